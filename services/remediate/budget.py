"""How many remedies ran by themselves in the last hour: one small document each, and no counter."""

from __future__ import annotations

from services.remediate.records import BUDGETS
from shared.ports.state import State
from shared.ports.state_store import Where

HOUR_MICROSECONDS = 3_600_000_000


def spent(state: State, pipeline: str, now: int, most: int) -> tuple[int, int]:
    """Remedies of the last hour in this pipeline and in all, each counted up to a little above ``most``."""
    hour = now // HOUR_MICROSECONDS
    found = state.query(BUDGETS, [Where("hour", "in", [hour - 1, hour])], limit=2 * most + 1)
    recent = [each.data for each in found if int(each.data["at"]) > now - HOUR_MICROSECONDS]
    return sum(1 for each in recent if each["pipeline"] == pipeline), len(recent)


def spend(state: State, remedy_id: str, pipeline: str, now: int) -> None:
    """Note that a remedy runs by itself."""
    state.put(BUDGETS, remedy_id, {"pipeline": pipeline, "hour": now // HOUR_MICROSECONDS, "at": now})
