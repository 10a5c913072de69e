"""How many remedies ran by themselves in the last hour: one small document each, and no counter.

A document takes the next free number of its pipeline's hour, and of all pipelines', so that two handlers at the same
time cannot both take the last one: the later commit conflicts, and that handler looks again.
"""

from __future__ import annotations

from services.remediate.records import BUDGETS
from shared.ports.state import State
from shared.ports.state_store import Where

HOUR_MICROSECONDS = 3_600_000_000
_ALL = "*"


def spent(state: State, pipeline: str, now: int, most: int) -> tuple[int, int]:
    """Remedies of the last hour in this pipeline and in all, counted up to one above ``most``.

    Asked by the hour itself, and not by clock hours: of those, what is no longer of the last hour could hide the rest
    from a limit that somebody has just lowered.
    """
    found = state.query(BUDGETS, [Where("at", ">", now - HOUR_MICROSECONDS)], limit=most + 1)
    return sum(1 for each in found if each.data["pipeline"] == pipeline), len(found)


def spend(state: State, remedy_id: str, pipeline: str, now: int) -> None:
    """Note that a remedy runs by itself."""
    hour = now // HOUR_MICROSECONDS
    key = _free(state, pipeline, hour)
    state.put(BUDGETS, key, {"pipeline": pipeline, "hour": hour, "at": now, "remedy_id": remedy_id})
    state.put(BUDGETS, _free(state, _ALL, hour), {"pipeline": _ALL, "hour_of_all": hour, "remedy_id": remedy_id})


def _free(state: State, pipeline: str, hour: int) -> str:
    """The first number that nobody has taken; the commit fails if somebody takes it meanwhile."""
    field = "hour_of_all" if pipeline == _ALL else "hour"
    taken = len(state.query(BUDGETS, [Where("pipeline", "==", pipeline), Where(field, "==", hour)], limit=100_000))
    while state.get(BUDGETS, f"{pipeline}:{hour}:{taken}") is not None:
        taken += 1  # in this very handler
    return f"{pipeline}:{hour}:{taken}"
