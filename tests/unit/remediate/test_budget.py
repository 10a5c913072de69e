"""Goal: whatever limit holds now, what ran in the last hour is counted against it."""

from __future__ import annotations

from pathlib import Path

from services.remediate.budget import HOUR_MICROSECONDS, spent
from shared.ports.state_store import Put
from tests.unit.remediate.world import World, fails_city

_MINUTE = HOUR_MICROSECONDS // 60


def test_a_limit_that_was_lowered_holds_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    now = (world.clock.now() // HOUR_MICROSECONDS + 1) * HOUR_MICROSECONDS + 30 * _MINUTE
    ran = [now - 80 * _MINUTE] * 40 + [now - 50 * _MINUTE] * 10  # one after the other within one hour of the clock
    hour = ran[0] // HOUR_MICROSECONDS
    assert ran[-1] // HOUR_MICROSECONDS == hour
    about = {"pipeline": "trips", "hour": hour}
    kept = [Put("budgets", f"trips:{hour}:{n:02d}", {**about, "at": at}) for n, at in enumerate(ran)]
    world.process.store.commit(kept)
    assert spent(world.state, "trips", now, 1_000) == (10, 10)
    assert spent(world.state, "trips", now, 5) == (6, 6)
    assert spent(world.state, "planes", now, 1_000) == (0, 10)
