"""How repairs went of late: how many, how fast, and which of them were no repairs after all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from shared.domain.incident import CLOSED, IncidentState
from shared.domain.remedy import RemedyState
from shared.ports.state_store import StateStore, Where

ENDED_MAX: Final = 1_000  # incidents that ended, were undone, or were judged: the newest of each are looked at

Document = Mapping[str, Any]


class Repairs(NamedTuple):
    """What became of incidents since a moment."""

    ended: list[Document]  # healed, dismissed, or handed to a person
    wrong: list[Document]  # were healed, until a person took the remedy back or said that the diagnosis was wrong


def repairs(state: StateStore, since: int) -> Repairs:
    """``since``: microseconds since 1970."""
    ended = [each for each in _newest(state, "incidents", "closed_at", since) if each.get("state") in CLOSED]
    wrong = {str(each["incident_id"]): each for each in [*_undone(state, since), *_judged_wrong(state, since)]}
    return Repairs(ended, [each for _, each in sorted(wrong.items())])


def seconds_to_repair(ended: Sequence[Document]) -> list[float]:
    """From the first report to the end of those that were healed, shortest first."""
    healed = [each for each in ended if each["state"] == IncidentState.HEALED]
    return sorted(max(0, int(each["closed_at"]) - int(each["first_seen"])) / 1_000_000 for each in healed)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed; of one that was really there."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def _undone(state: StateStore, since: int) -> list[Document]:
    """Incidents whose verified remedy a person took back. What failed by itself was never a repair."""
    found = {str(each["incident_id"]): each for each in _newest(state, "incidents", "undone_at", since)}
    if not found:
        return []
    asked = [Where("incident_id", "in", list(found)), Where("state", "==", str(RemedyState.UNDONE))]
    remedies = [stored.data for stored in state.query("remedies", asked, limit=ENDED_MAX)]
    taken_back = {str(each["incident_id"]) for each in remedies if each.get("undone_by") and each.get("verified_at")}
    return [each for key, each in found.items() if key in taken_back]


def _judged_wrong(state: StateStore, since: int) -> list[Document]:
    """Healed incidents of which a person's last word is that they were diagnosed wrongly."""
    judged = [str(each["incident_id"]) for each in _newest(state, "knowledge", "at", since) if _is_word(each)]
    if not judged:
        return []
    asked = [Where("incident_id", "in", judged), Where("state", "==", str(IncidentState.HEALED))]
    found = [stored.data for stored in state.query("incidents", asked, limit=ENDED_MAX)]
    return [each for each in found if (each.get("feedback") or [{}])[-1].get("verdict") == "wrong"]


def _is_word(document: Document) -> bool:
    return document.get("kind") == "judged" and bool(document.get("incident_id"))


def _newest(state: StateStore, collection: str, field: str, since: int) -> list[Document]:
    found = state.query(collection, [Where(field, ">=", since)], field, descending=True, limit=ENDED_MAX)
    return [stored.data for stored in found]
