"""Goal: a history that lands at once is judged as if it came in order, whatever happens while it is.

Method: ten deliveries, one of which names a column otherwise and a later one of which is in another unit, are all there
when the pipeline first looks. Events are handed out in any order, twice and by two workers; processes die and stores
fail. What is said of each delivery first, drift above all, must be what is said when they come one after the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.validate import waiting
from shared.runtime.settings import load
from tests.simulation import simulation
from tests.simulation.planes.plain import PlainPlane
from tests.simulation.project import HISTORY_FAULTS, make_history
from tests.simulation.simulation import Simulation

SEEDS = 20
LONG = 86_400.0  # what fails is tried again after hours, and nobody gives up before
MILES = next(number for number, fault in HISTORY_FAULTS.items() if fault == "miles")


def lived(seed: int, monkeypatch: pytest.MonkeyPatch, *, at_once: bool) -> Simulation:
    """The seed's history at rest: landed at once and in trouble, or one delivery after the other without any."""
    settle = 3_600.0 if at_once else 0.0
    settings = load({}, root="simulated", project="simulated", wait_seconds=LONG, settle_seconds=settle)
    monkeypatch.setattr(simulation, "_SETTINGS", settings)
    plane = PlainPlane()
    with plane.installed():
        world = Simulation(seed, plane, Path("nowhere"), world=make_history(seed))
        world.start(quiet=not at_once)
        for number, each in enumerate(world.world.deliveries):
            world.put(each, number)
            if not at_once:
                world.look()
                world.rest()
        world.look()
        world.work(400)
        world.look()
        world.rest()
    return world


def first_verdicts(world: Simulation) -> dict[str, Any]:
    """By name of the delivery: state, reason and findings."""
    names = {key: each["name"] for key, each in world.store.documents("deliveries").items()}
    found = {}
    for each in world.store.documents("verdicts").values():
        if each["attempt"] == 1:
            findings = [(finding["check"], finding["column"], finding["holds"]) for finding in each["findings"]]
            found[names[each["batch_id"]]] = (each["state"], each["reason"], findings)
    return found


def sees_the_unit(said: dict[str, Any]) -> bool:
    """Whether the delivery in another unit was seen to be one."""
    return any(finding[:2] == ("shift", "distance") for finding in said[f"d{MILES:02d}.csv"][2])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_history_in_any_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = first_verdicts(lived(seed, monkeypatch, at_once=False))
    assert sees_the_unit(expected)
    world = lived(seed, monkeypatch, at_once=True)
    assert first_verdicts(world) == expected
    assert world.store.documents("waiting") == {}
    assert world.judged("at rest") == []


def test_it_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the waiting the other unit is loaded unseen in most of these worlds."""
    monkeypatch.setattr(waiting, "waited_for", lambda terms, ports: terms)
    seen = [sees_the_unit(first_verdicts(lived(seed, monkeypatch, at_once=True))) for seed in range(SEEDS // 2)]
    assert sum(seen) <= len(seen) // 2
