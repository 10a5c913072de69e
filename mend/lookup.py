"""Finds what a person means by an id: the whole id, or the beginning of one; else says which ones are near."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mend import report
from shared.domain.errors import DefinitionMissing
from shared.domain.masking import clean
from shared.ports.state_store import StateStore

COLLECTIONS: Final = {"incident": "incidents", "remedy": "remedies", "batch": "deliveries"}
_NEAR_MAX: Final = 5
_BEGINNING_MIN: Final = 3


class Named(NamedTuple):
    """A document that was asked for."""

    kind: str  # incident | remedy | batch
    key: str
    data: dict[str, Any]


def find(state: StateStore, text: str, kinds: Sequence[str] = tuple(COLLECTIONS)) -> Named:
    """The incident, remedy or batch with this id, or the only one that begins so; ``DefinitionMissing`` if none."""
    for kind in kinds:
        stored = state.get(COLLECTIONS[kind], text) if text else None
        if stored is not None and _proper(kind, stored.data):
            return Named(kind, stored.key, stored.data)
    known = [
        Named(kind, key, data)
        for kind in kinds
        for key, data in report.documents(state, COLLECTIONS[kind])
        if _proper(kind, data)
    ]
    beginning = [each for each in known if len(text) >= _BEGINNING_MIN and each.key.startswith(text)]
    if len(beginning) == 1:
        return beginning[0]
    raise DefinitionMissing(_not_found(text, kinds, known, beginning))


def trace_of(state: StateStore, incident_id: str) -> str:
    """The trace of an incident's first report: what a person says of it belongs there; "" when it is not known."""
    stored = state.get(COLLECTIONS["incident"], incident_id) if incident_id else None
    return str(stored.data.get("traceparent", "")) if stored is not None else ""


def _proper(kind: str, data: dict[str, Any]) -> bool:
    """Incidents share their collection with documents about fingerprints."""
    return kind != "incident" or "failure_class" in data


def _not_found(text: str, kinds: Sequence[str], known: list[Named], beginning: list[Named]) -> str:
    wanted = f"no {' or '.join(kinds)} {clean(text, 60)}"
    if beginning:
        near = [each.key for each in beginning[:_NEAR_MAX]]
        return f"{clean(text, 60)} begins {len(beginning)} ids: {', '.join(near)}; write more of it"
    if not known:
        return f"there is {wanted}: the store has none at all"
    same = [each.key for each in known if each.key[:_BEGINNING_MIN] == text[:_BEGINNING_MIN]]
    near = same[:_NEAR_MAX] or difflib.get_close_matches(text, [each.key for each in known], n=_NEAR_MAX, cutoff=0.5)
    named = [each for each in known if text and each.data.get("name") == text]
    near = [each.key for each in named[:_NEAR_MAX]] or near or [each.key for each in known[-_NEAR_MAX:]]
    return f"there is {wanted}; near ids: {', '.join(near)} (mend incidents --all and mend status --json list them)"
