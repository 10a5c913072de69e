"""What is known: entries that people wrote, incidents that were healed or judged, and decisions that hold for good.

Only the first are kept as entries. The others are read where they stand (incidents, remedies, precedents), so that what
was learned is never told twice in two ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from mend import report
from mend.beliefs import sentence
from mend.output import shown
from shared.domain.errors import DefinitionMissing
from shared.domain.incident import IncidentState
from shared.domain.knowledge import TEXT_CHARACTERS_MAX, TITLE_CHARACTERS_MAX, KnowledgeKind
from shared.domain.remedy import RemedyState
from shared.ports.state_store import StateStore, Stored, Where

LEARNED_MAX: Final = 2_000  # of the incidents that were healed, the newest
_BEGINNING_MIN: Final = 3


class Entry(NamedTuple):
    """One thing that is known."""

    id: str
    kind: str
    title: str
    text: str
    cause: str = ""
    pipeline: str = ""
    source: str = ""
    by: str = ""
    at: int = 0
    version: int = 1
    learned: bool = False  # read from what happened, not written by a person
    family: str = ""  # of a past incident: what incidents of one kind share


def entries(state: StateStore, kind: str = "") -> list[Entry]:
    """Everything that is known, by kind and title; entries that were taken back are left out."""
    found = [*written(state), *learned(state)]
    order = {str(each): number for number, each in enumerate(KnowledgeKind)}
    chosen = [each for each in found if kind in ("", each.kind)]
    return sorted(chosen, key=lambda each: (order.get(each.kind, 99), each.title.casefold(), each.id))


def written(state: StateStore) -> list[Entry]:
    """What people wrote."""
    found = report.documents(state, "knowledge", Where("kind", "==", "entry"))
    return [of_document(data) for _, data in found if not data["withdrawn"]]


def of_document(data: dict[str, Any]) -> Entry:
    """A kept entry, or an earlier version of one."""
    names = ("title", "text", "cause", "pipeline", "source", "by", "at", "version")
    return Entry(data["entry_id"], data["entry_kind"], **{name: data[name] for name in names})


def versions(state: StateStore, entry: str) -> list[Entry]:
    """Every version of an entry that was written, the first one first."""
    current = state.get("knowledge", f"entry:{entry}")
    if current is None:
        return []
    numbers = range(1, int(current.data["version"]))
    earlier = [state.get("knowledge", f"version:{entry}:{number:04}") for number in numbers]
    return [of_document(each.data) for each in [*earlier, current] if each is not None]


def learned(state: StateStore) -> list[Entry]:
    """What was learned: incidents that were healed or judged, and decisions that hold for later deliveries."""
    return [*_past_incidents(state), *_precedents(state)]


def _past_incidents(state: StateStore) -> Iterator[Entry]:
    ended = _newest(state, "incidents", "closed_at")
    known = {each.key: each.data for each in ended if each.data.get("state") == IncidentState.HEALED}
    for _, case in report.documents(state, "knowledge", Where("kind", "==", "judged")):
        stored = state.get("incidents", case["incident_id"])
        if stored is not None:
            known.setdefault(stored.key, stored.data)
    remedies: dict[str, list[dict[str, Any]]] = {}
    for each in _newest(state, "remedies", "verified_at"):
        if each.data["state"] == RemedyState.VERIFIED:
            remedies.setdefault(str(each.data["incident_id"]), []).append(each.data)
    for key, incident in known.items():
        yield _past_incident(key, incident, remedies.get(key, []))


def _newest(state: StateStore, collection: str, field: str) -> list[Stored]:
    return state.query(collection, [Where(field, ">", 0)], order_by=field, descending=True, limit=LEARNED_MAX)


def _past_incident(key: str, incident: dict[str, Any], remedies: list[dict[str, Any]]) -> Entry:
    about = f"{incident.get('check', '')} {incident.get('column', '')}".strip() or str(incident.get("system", ""))
    where = str(incident.get("pipeline") or incident.get("origin", ""))
    told = [str(incident.get("explanation", "")), str(incident.get("message", ""))]
    told += [f"Healed by {each['remedy']} ({each.get('decided_by', '')}): {each['plan_text']}." for each in remedies]
    if incident.get("state") == IncidentState.HEALED:
        told.append(str(incident.get("close_explanation", "")))
    feedback = incident.get("feedback") or []
    told += [f"{sentence(each)}." for each in feedback[-1:]]
    cause = str((feedback[-1].get("cause") if feedback else "") or incident.get("cause", ""))
    return Entry(
        key,
        str(KnowledgeKind.PAST_INCIDENT),
        shown(f"{key} {where}: {about}, {cause}", TITLE_CHARACTERS_MAX),
        "\n".join(each for each in told if each)[:TEXT_CHARACTERS_MAX],
        cause=cause,
        pipeline=str(incident.get("pipeline", "")),
        source=str(incident.get("uri", "")),
        by=str(feedback[-1]["by"]) if feedback else "",
        at=int(incident.get("closed_at") or incident.get("last_seen") or 0),
        learned=True,
        family=str(incident.get("family", "")),
    )


def _precedents(state: StateStore) -> Iterator[Entry]:
    """Decisions about a remedy that hold for later deliveries of the pipeline (remediate's questions and answers)."""
    for _, question in report.documents(state, "healings", Where("kind", "==", "question")):
        for key, answer in question.get("answers", {}).items():
            if answer.get("state") != "standing":
                continue
            names = ", ".join(f"{old} is {new}" for old, new in dict(answer.get("rename") or {}).items())
            told = [f"{answer.get('by', '')} decided it ({answer.get('remedy_id', '')}), and it holds from then on."]
            told += [f"{names}." if names else f"{answer.get('signature', '')}."]
            told += [str(answer["reason"])] if answer.get("reason") else []
            yield Entry(
                f"p{key[:12]}",
                str(KnowledgeKind.TEAM_EXPERTISE),
                shown(
                    f"{question['pipeline']}: {question['remedy']}, {names or question['question']}",
                    TITLE_CHARACTERS_MAX,
                ),
                "\n".join(told)[:TEXT_CHARACTERS_MAX],
                pipeline=str(question["pipeline"]),
                by=str(answer.get("by", "")),
                at=int(answer.get("at") or 0),
                learned=True,
            )


def find(known: Sequence[Entry], text: str) -> Entry:
    """The entry with this id, or the only one that begins so; ``DefinitionMissing`` if none."""
    same = [each for each in known if each.id == text]
    near = same or [each for each in known if len(text) >= _BEGINNING_MIN and each.id.startswith(text)]
    if len({each.id for each in near}) == 1:
        return near[0]
    named = shown(text, 60)
    if near:
        raise DefinitionMissing(f"{named} begins {len(near)} ids: {', '.join(each.id for each in near[:5])}")
    raise DefinitionMissing(f"there is no entry {named} in the knowledge base; mend knowledge list shows them")


def as_document(entry: Entry) -> dict[str, Any]:
    """An entry for programs."""
    told = entry._asdict()
    del told["family"]
    return told
