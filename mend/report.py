"""What stands in the store, for people and programs: batches with the place of their rows, incidents, remedies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from shared.domain.batch import BatchState, LoadState, derive_state
from shared.domain.incident import CLOSED, IncidentState
from shared.ports.object_store import ObjectStore
from shared.ports.state_store import StateStore, Where

_PAGE = 1_000
INCIDENT_FIELDS = (
    *("pipeline", "batch_id", "uri", "origin", "check", "column"),
    *("cause", "confidence", "explanation", "rows_failed"),
)
COUNTS = ("rows_read", "rows_loaded", "rows_quarantined", "rows_discarded", "rows_in_flight")


class Store(NamedTuple):
    """Where a report reads from."""

    state: StateStore
    objects: ObjectStore


def documents(state: StateStore, collection: str, *where: Where) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every (key, document) of a collection that matches, by key, however many there are."""
    seen: set[str] = set()
    field = "batch_id" if collection in {"deliveries", "verdicts", "loads"} else ""
    if not field:
        yield from ((stored.key, stored.data) for stored in state.query(collection, where, limit=1_000_000))
        return
    after = ""
    while True:
        page = state.query(collection, [*where, Where(field, ">=", after)], order_by=field, limit=_PAGE)
        fresh = [stored for stored in page if stored.key not in seen]
        yield from ((stored.key, stored.data) for stored in fresh)
        if not fresh or len(page) < _PAGE:
            return
        seen = {stored.key for stored in page}
        after = page[-1].data[field]


def batches(store: Store, pipeline: str = "") -> list[dict[str, Any]]:
    """One entry a batch, in order of delivery, with the place of its rows."""
    chosen = [Where("pipeline", "==", pipeline)] if pipeline else []
    verdicts = _by_batch(documents(store.state, "verdicts", *chosen))
    loads = _by_batch(documents(store.state, "loads", Where("kind", "==", "load"), *chosen))
    healings = {key: data for key, data in documents(store.state, "healings") if data.get("kind") == "batch"}
    incidents: dict[str, list[str]] = {}
    for key, data in documents(store.state, "incidents"):
        if data.get("batch_id"):
            incidents.setdefault(data["batch_id"], []).append(key)
    found = []
    for key, delivery in documents(store.state, "deliveries", *chosen):
        entry = _batch(store, key, delivery, verdicts.get(key, []), loads.get(key, []), healings.get(key))
        found.append({**entry, "incidents": sorted(incidents.get(key, []))})
    _count_repetitions(found)
    return sorted(found, key=lambda entry: (entry["pipeline"], entry["seq"]))


def _count_repetitions(found: list[dict[str, Any]]) -> None:
    """A duplicate is never read: it has as many records as what it repeats, and all of them are discarded."""
    by_id = {entry["batch_id"]: entry for entry in found}
    for entry in found:
        if entry["state"] != BatchState.DUPLICATE:
            continue
        first: dict[str, Any] | None = entry
        seen: set[str] = set()
        while first and first["state"] == BatchState.DUPLICATE and first["batch_id"] not in seen:
            seen.add(first["batch_id"])
            first = by_id.get(first["duplicate_of"])
        entry["rows_read"] = entry["rows_discarded"] = int(first["rows_read"]) if first else 0


def _by_batch(found: Iterator[tuple[str, dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for _, data in found:
        grouped.setdefault(data["batch_id"], []).append(data)
    return {key: sorted(group, key=lambda data: int(data["attempt"])) for key, group in grouped.items()}


def _batch(
    store: Store,
    key: str,
    delivery: dict[str, Any],
    verdicts: list[dict[str, Any]],
    loads: list[dict[str, Any]],
    healing: dict[str, Any] | None,
) -> dict[str, Any]:
    duplicate = bool(delivery["duplicate_of"]) and not delivery["readings"]
    current = [each for each in delivery["readings"] if each["number"] == delivery["reading"]]
    rows = int(current[0]["rows"]) if current else 0
    kept = [each for each in loads if each["state"] == LoadState.LOADED]
    loaded = sum(int(each["rows_loaded"]) for each in kept)
    discarded = sum(int(each["rows_discarded"]) for each in kept) + _discarded_by_remedies(healing)
    quarantined = _quarantined(store, key, verdicts, healing)
    superseded = str(healing.get("superseded_by", "")) if healing else ""
    state = derive_state(
        duplicate=duplicate,
        staged=bool(delivery["readings"]),
        verdicts=[str(each["state"]) for each in verdicts],
        loads=[str(each["state"]) for each in loads],
    )
    return {
        "batch_id": key,
        "pipeline": delivery["pipeline"],
        "input": delivery["uri"],
        "seq": delivery["seq"],
        "state": BatchState.REJECTED if superseded else state,
        "attempts": max((int(each["attempt"]) for each in verdicts), default=0),
        "rows_read": rows,
        "rows_loaded": loaded,
        "rows_quarantined": quarantined,
        "rows_discarded": discarded,
        "rows_in_flight": max(rows - loaded - quarantined - discarded, 0),
        "duplicate_of": delivery["duplicate_of"],
        "superseded_by": superseded,
        "score": float(verdicts[0]["score"]) if verdicts else 0.0,
    }


def _discarded_by_remedies(healing: dict[str, Any] | None) -> int:
    attempts = healing.get("attempts", []) if healing else []
    return sum(int(each["rows_discarded"]) for each in attempts if each["state"] != "withdrawn")


def _quarantined(store: Store, key: str, verdicts: list[dict[str, Any]], healing: dict[str, Any] | None) -> int:
    """From the only verdict, or, once a batch was healed, from the rows that lie in quarantine."""
    if healing is None or len(healing.get("attempts", [])) < 2:
        return int(verdicts[-1]["rows_quarantined"]) if verdicts else 0
    from mend.places import quarantined_rows

    return int(quarantined_rows(store.objects, key, healing))


def incidents(store: Store, pipeline: str = "", *, open_only: bool = False) -> list[dict[str, Any]]:
    """One entry an incident, newest first; its state is that of whoever deals with it."""
    healings = dict(documents(store.state, "healings"))
    remedies: dict[str, list[dict[str, Any]]] = {}
    for key, data in documents(store.state, "remedies"):
        remedies.setdefault(data["incident_id"], []).append(_remedy(key, data))
    found = []
    for key, data in documents(store.state, "incidents"):
        if not _is_classified(data) or (pipeline and data["pipeline"] != pipeline):
            continue
        entry = _incident(key, data, healings.get(key), remedies.get(key, []))
        if open_only and entry["state"] in CLOSED - {IncidentState.ESCALATED}:
            continue
        found.append(entry)
    return sorted(found, key=lambda entry: (-int(entry["first_seen"]), str(entry["id"])))


def incident_alone(store: Store, key: str) -> dict[str, Any] | None:
    """The entry of one incident, read without the others; None when there is none, or it is not classified yet."""
    stored = store.state.get("incidents", key)
    if stored is None or not _is_classified(stored.data):
        return None
    healing = store.state.get("healings", key)
    asked = [Where("incident_id", "==", key)]
    remedies = [_remedy(each.key, each.data) for each in store.state.query("remedies", asked)]
    return _incident(key, stored.data, healing.data if healing else None, remedies)


def _is_classified(incident: dict[str, Any]) -> bool:
    return "fingerprint" in incident and "failure_class" in incident


def _remedy(key: str, data: dict[str, Any]) -> dict[str, Any]:
    names = ("remedy", "tier", "state", "plan_text", "reason")
    return {"id": key, **{name: data[name] for name in names if name in data}}


def _incident(
    key: str, data: dict[str, Any], healing: dict[str, Any] | None, remedies: list[dict[str, Any]]
) -> dict[str, Any]:
    entry = {"id": key, "class": data["failure_class"], **{name: data.get(name, "") for name in INCIDENT_FIELDS}}
    state = _incident_state(data, healing)
    return {**entry, "state": state, "remedies": remedies, "first_seen": data.get("first_seen", 0)}


def _incident_state(data: dict[str, Any], healing: dict[str, Any] | None) -> str:
    if healing and healing.get("state"):
        return str(healing["state"])
    return str(data.get("state", IncidentState.OPEN))


def totals(found: list[dict[str, Any]]) -> dict[str, int]:
    """The counts of all batches together."""
    sums = {name: sum(int(entry[name]) for entry in found) for name in COUNTS}
    return {"batches": len(found), **sums}


def states(found: list[dict[str, Any]]) -> dict[str, int]:
    """How many entries are in each state."""
    return dict(sorted(Counter(str(entry["state"]) for entry in found).items()))


def waits_for_person(found: list[dict[str, Any]]) -> bool:
    """True when some incident is open, waiting or escalated: a person has something to decide or to look at."""
    return any(entry["state"] not in {IncidentState.HEALED, IncidentState.DISMISSED} for entry in found)
