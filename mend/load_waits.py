"""Attempts that are judged and not loaded yet, because the warehouse has had its number of jobs for now."""

from __future__ import annotations

from typing import Any, Final

from services.load.waiting import KIND
from shared.ports.state_store import StateStore, Where

LISTED_MAX: Final = 1_000
_WHY: Final = "because the warehouse has had its number of jobs"


def waiting_loads(state: StateStore, *, batch: str = "", pipeline: str = "") -> list[dict[str, Any]]:
    """Those of a batch, of a pipeline, or all; ``until`` is when they are called, 0 once they were (microseconds)."""
    wheres = [Where("kind", "==", KIND)]
    wheres += [Where("batch_id", "==", batch)] if batch else []
    wheres += [Where("pipeline", "==", pipeline)] if pipeline else []
    names = ("batch_id", "attempt", "pipeline", "table")
    found = [
        {**{name: each.data[name] for name in names}, "until": int(each.data["wake_at"])}
        for each in state.query("loads", wheres, limit=LISTED_MAX)
    ]
    return sorted(found, key=lambda each: (each["until"], each["batch_id"], each["attempt"]))


def told(state: StateStore, batch: str) -> list[dict[str, Any]]:
    """What a batch's story says of them; nobody has to do anything."""
    return [
        {"what": f"attempt {each['attempt']} {_what(each)}", "until": each["until"], "commands": []}
        for each in (waiting_loads(state, batch=batch) if batch else [])
    ]


def _what(load: dict[str, Any]) -> str:
    if load["until"]:
        return f"waits to be loaded into {load['table']} together with others, {_WHY}"
    return f"is being loaded into {load['table']} together with others, {_WHY}"
