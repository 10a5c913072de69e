"""The whole story of an incident, a remedy or a batch: what was seen, believed, done, changed, and what waits.

Everything is put together from the documents of the services that own them; cell values are read only when asked for,
and only from the files in which they live.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mend import load_waits, report
from mend.beliefs import believed
from mend.evidence_words import sentences
from mend.lookup import Named
from mend.personal_columns import personal_columns
from mend.places import healing_of, places
from mend.quarantine import NOT_ACCEPTABLE, is_held, reasons_of
from shared.domain.commands import at_root
from shared.domain.incident import CLOSED, IncidentState, Origin
from shared.domain.masking import clean
from shared.domain.personal_data import masked
from shared.domain.remedy import RemedyState
from shared.ports.definitions import Definitions
from shared.ports.object_store import ObjectStore
from shared.ports.state_store import StateStore, Where

if TYPE_CHECKING:
    import polars as pl

Story = dict[str, Any]
CHANGES_MAX: Final = 20
LISTED_MAX: Final = 100
_CELL_CHARACTERS_MAX: Final = 80
_UNDOABLE: Final = frozenset({RemedyState.APPLIED, RemedyState.VERIFIED})
_CHANGED: Final = frozenset({RemedyState.APPLIED, RemedyState.VERIFIED, RemedyState.FAILED, RemedyState.UNDONE})
_REMEDY_COUNTS: Final = ("rows", "rows_changed", "cells_changed", "rows_discarded", "rows_healed", "rows_not_healed")


class Store(NamedTuple):
    """Where a story is read from, and how commands name it."""

    state: StateStore
    objects: ObjectStore
    definitions: Definitions
    root: str

    def command(self, text: str) -> str:
        """What to type."""
        return f"mend {text} --root {self.root}"


def explain(store: Store, named: Named, *, values: bool = False) -> Story:
    """The story of whatever was found."""
    if named.kind == "incident":
        return of_incident(store, named.key, named.data, values=values)
    if named.kind == "remedy":
        return of_remedy(store, named.key, named.data, values=values)
    return of_batch(store, named.key, named.data)


# ── an incident ────────────────────────────────────────────────────────────────────────────────────────────────────


def of_incident(store: Store, key: str, incident: dict[str, Any], *, values: bool) -> Story:
    """What was seen, what was believed and why, what was done, how it stands, what waits."""
    stored = store.state.get("healings", key)
    healing = stored.data if stored is not None else {}
    state = str(healing.get("state") or incident.get("state") or IncidentState.OPEN)
    evidence = _parsed(incident.get("evidence_json"))
    remedies = [
        of_remedy(store, remedy, data, values=values, alone=False) for remedy, data in _remedies(store, key, healing)
    ]
    batch = str(incident.get("batch_id") or "")
    story: Story = {
        "kind": "incident",
        "id": key,
        "state": state,
        "pipeline": incident.get("pipeline", ""),
        "batch_id": batch,
        "input": _input(store, batch) or incident.get("uri", ""),
        "seen": {
            "origin": incident.get("origin", ""),
            "check": incident.get("check", ""),
            "column": incident.get("column", ""),
            "rows": incident.get("rows", 0),
            "rows_failed": incident.get("rows_failed", 0),
            "rows_failed_first": incident.get("rows_failed_first", 0),
            "reports": incident.get("reports", 1),
            "occurrence": incident.get("occurrence", 1),
            "first_seen": incident.get("first_seen", 0),
            "last_seen": incident.get("last_seen", 0),
            "facts": sentences(incident, evidence),
        },
        "believed": believed(store.state, key, incident),
        "done": remedies,
        "done_for_others": _for_others(store, key, batch, int(incident.get("first_attempt") or 0)),
        "end": {
            # An undo opens a closed incident again: what was said at its end holds no longer.
            "at": incident.get("closed_at", 0) if state in CLOSED else 0,
            "explanation": at_root(incident.get("close_explanation", "") if state in CLOSED else "", store.root),
            "note": at_root(healing.get("note", ""), store.root),
            "rows_healed": incident.get("rows_healed", 0) if state in CLOSED else 0,
            "rows_left": healing.get("rows_left", incident.get("rows_left", 0)),
        },
    }
    story["waits"] = [*_waits(store, story, healing), *load_waits.told(store.state, batch)]
    return story


def _remedies(store: Store, incident: str, healing: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The remedies of an incident in the order in which they were thought of."""
    found = {
        stored.key: stored.data for stored in store.state.query("remedies", [Where("incident_id", "==", incident)])
    }
    for key in healing.get("remedies", []):
        stored = store.state.get("remedies", str(key))
        if stored is not None:
            found.setdefault(stored.key, stored.data)
    order = {str(key): number for number, key in enumerate(healing.get("remedies", []))}
    return sorted(
        found.items(), key=lambda each: (order.get(each[0], len(order)), each[1].get("proposed_at", 0), each[0])
    )


def _for_others(store: Store, incident: str, batch: str, attempt: int) -> list[Story]:
    """Remedies of the batch's other incidents since this one was seen: they may have healed its rows, or be awaited."""
    if not batch:
        return []
    found = [
        stored
        for stored in store.state.query("remedies", [Where("batch_id", "==", batch)])
        if stored.data["incident_id"] != incident
        and (stored.data["state"] == RemedyState.PROPOSED or int(stored.data.get("attempt") or 0) > attempt)
    ]
    found.sort(key=lambda each: (each.data.get("proposed_at", 0), each.key))
    names = ("remedy", "state", "incident_id", "attempt", "plan_text")
    return [{"id": each.key, **{name: each.data.get(name, "") for name in names}} for each in found[:LISTED_MAX]]


def _waits(store: Store, story: Story, healing: dict[str, Any]) -> list[Story]:
    """What somebody, or something, has yet to do, with the exact command."""
    waits: list[Story] = []
    for remedy in story["done"]:
        waits += remedy["waits"]
    if story["state"] == IncidentState.WAITING and not waits:
        waits += [_decision(store, each) for each in story["done_for_others"] if each["state"] == RemedyState.PROPOSED]
    if healing.get("awaits_table"):
        waits.append({"what": f"its rows are judged again when {healing['awaits_table']} is loaded", "commands": []})
    elif healing.get("wake_at") and story["state"] not in (IncidentState.HEALED, IncidentState.DISMISSED):
        waits.append({"what": "something is tried again later", "at": healing["wake_at"], "commands": []})
    batch = story["batch_id"]
    if story["state"] == IncidentState.ESCALATED:
        held = bool(batch) and is_held(store.state, batch, healing_of(store.state, batch))
        # Of a batch that passed with a finding on the whole of it no row waits.
        of_rows = batch and story["seen"]["origin"] in (
            (Origin.VIOLATION, Origin.DATASET) if held else (Origin.VIOLATION,)
        )
        commands = [store.command(f"quarantine show {batch}")] if of_rows else []
        acceptable = of_rows and story["seen"]["check"] not in NOT_ACCEPTABLE
        if acceptable and held:
            commands.append(store.command(f"quarantine release {batch}"))
        waits.append({"what": "a person looks into it: nothing more can be done by itself", "commands": commands})
    return waits


# ── a remedy ───────────────────────────────────────────────────────────────────────────────────────────────────────


def of_remedy(store: Store, key: str, remedy: dict[str, Any], *, values: bool, alone: bool = True) -> Story:
    """What it would do or did, who let it and why, how it was verified, what it changed, how to take it back."""
    state = str(remedy["state"])
    batch, attempt = str(remedy.get("batch_id") or ""), int(remedy.get("attempt") or 0)
    stored = store.state.get("decisions", key)
    history = stored.data.get("history", []) if stored is not None else []
    undo = state in _UNDOABLE and attempt > 0
    story: Story = {
        "kind": "remedy",
        "id": key,
        "remedy": remedy["remedy"],
        "tier": remedy["tier"],
        "state": state,
        "incident_id": remedy["incident_id"],
        "pipeline": remedy.get("pipeline", ""),
        "batch_id": batch,
        "attempt": attempt,
        "plan": remedy["plan_text"],
        "decided_by": remedy.get("decided_by", ""),
        "because": remedy.get("reason", ""),
        "decisions": [{name: each.get(name, "") for name in ("decision", "by", "reason", "at")} for each in history],
        "p_cause": remedy.get("p_cause", 0.0),
        "p_success": remedy.get("p_success", 0.0),
        "cost": remedy.get("cost", 0.0),
        "columns": list(remedy.get("columns") or []),
        **{name: remedy.get(name, 0) for name in _REMEDY_COUNTS},
        "times": {name: remedy.get(f"{name}_at", 0) for name in ("proposed", "decided", "applied", "verified")},
        "verified": remedy.get("explanation", ""),
        "undone_by": remedy.get("undone_by", ""),
        "undo": store.command(f"undo {key}") if undo else "",
        "waits": [],
    }
    if state == RemedyState.PROPOSED:
        told = {"id": key, "remedy": remedy["remedy"], "plan_text": remedy["plan_text"]}
        story["waits"] = [{**_decision(store, told), "until": remedy.get("expires", 0)}]
    story["repairs"] = _repairs(store, remedy, values=values)
    if alone:
        incident = store.state.get("incidents", str(remedy["incident_id"]))
        story["about"] = _short_incident(store, str(remedy["incident_id"]), incident.data) if incident else {}
    return story


def _decision(store: Store, remedy: Story) -> Story:
    """A proposal as something that waits."""
    commands = [store.command(f"approve {remedy['id']}"), store.command(f"reject {remedy['id']}")]
    return {"what": f"a person decides about {remedy['remedy']}: {remedy['plan_text']}", "commands": commands}


def _repairs(store: Store, remedy: dict[str, Any], *, values: bool) -> list[Story]:
    """The cells that it changed, or would change, by column; the texts themselves only with ``values``."""
    import polars as pl

    batch, attempt = str(remedy.get("batch_id") or ""), int(remedy.get("attempt") or 0)
    stored = store.state.get("repairs", f"{batch}:{attempt}") if batch and attempt else None
    path = str(stored.data.get("path", "")) if stored is not None else ""
    proposed = remedy["state"] not in _CHANGED
    if proposed:
        path = str(remedy.get("diff") or "")
    if not path:
        return []
    try:
        with store.objects.read(path) as stream:
            cells = pl.read_parquet(stream)
    except FileNotFoundError:
        return []
    if not proposed:
        cells = cells.filter(pl.col("remedy") == remedy["remedy"])
    found: list[Story] = []
    personal = personal_columns(store.state, store.definitions, batch)
    for column in cells.get_column("column").unique(maintain_order=True).to_list()[:LISTED_MAX]:
        mine = cells.filter(pl.col("column") == column)
        told: Story = {"column": column, "cells": 0 if proposed else mine.height, "proposed": proposed}
        told["texts"] = mine.get_column("old").n_unique()
        told["confidence_min"] = round(float(mine.get_column("confidence").min() or 0.0), 3)  # type: ignore[arg-type]
        if values:
            told["changes"] = _changes(mine, personal.of(str(column)))
        found.append(told)
    return found


def _changes(cells: pl.DataFrame, treatment: str) -> list[Story]:
    """The most frequent changes, before and after, personal data masked."""
    import polars as pl

    counted = cells.group_by("old", "new").agg(pl.len().alias("cells"), pl.col("confidence").min())
    first = counted.sort(["cells", "old"], descending=[True, False]).head(CHANGES_MAX)
    return [
        {
            "before": clean(masked(str(each["old"]), treatment), _CELL_CHARACTERS_MAX, personal=True),
            "after": clean(masked(str(each["new"]), treatment), _CELL_CHARACTERS_MAX, personal=True),
            "cells": each["cells"],
        }
        for each in first.to_dicts()  # at most CHANGES_MAX
    ]


# ── a batch ────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_batch(store: Store, key: str, delivery: dict[str, Any]) -> Story:
    """What was delivered, how it was read and judged, where its rows are, what happened to it."""
    healing = healing_of(store.state, key)
    found = places(store.objects, store.state, key)
    mine = [Where("batch_id", "==", key)]
    verdicts = sorted(
        (stored.data for stored in store.state.query("verdicts", mine)), key=lambda each: int(each["attempt"])
    )
    loads = [stored.data for stored in store.state.query("loads", [Where("kind", "==", "load"), *mine])]
    incidents = [stored for stored in store.state.query("incidents", mine) if "failure_class" in stored.data]
    remedies = store.state.query("remedies", mine)
    held = is_held(store.state, key, healing)
    _, reasons = reasons_of(store.objects, key, healing)
    told = [_short_incident(store, stored.key, stored.data) for stored in incidents]
    story: Story = {
        "kind": "batch",
        "id": key,
        "pipeline": delivery["pipeline"],
        "input": delivery["uri"],
        "bytes": delivery["bytes"],
        "sha256": delivery["sha256"],
        "raw": delivery["raw_path"],
        "registered_at": delivery.get("registered_at", 0),
        "duplicate_of": delivery["duplicate_of"] if not delivery["readings"] else "",
        "superseded_by": healing.get("superseded_by", "") if healing else "",
        "held": held,
        "readings": [_reading(each, delivery) for each in delivery["readings"]],
        "attempts": _attempts(verdicts, loads, healing),
        "rows": {
            "loaded": found.loaded,
            "quarantined": found.quarantined,
            "discarded": found.discarded,
            "in_flight": found.in_flight,
        },
        "discarded_because": dict(found.reasons),
        "quarantined_because": reasons,
        "incidents": sorted(told, key=lambda each: (each["first_seen"], each["id"]))[:LISTED_MAX],
        "remedies": [
            {name: stored.data.get(name, "") for name in ("remedy_id", "remedy", "state", "plan_text", "incident_id")}
            for stored in sorted(remedies, key=lambda each: (each.data.get("proposed_at", 0), each.key))[:LISTED_MAX]
        ],
    }
    story["waits"] = _batch_waits(store, story)
    return story


def _batch_waits(store: Store, story: Story) -> list[Story]:
    waits: list[Story] = []
    for remedy in story["remedies"]:
        if remedy["state"] == RemedyState.PROPOSED:
            waits.append(_decision(store, {**remedy, "id": remedy["remedy_id"]}))
    acceptable = not {each["check"] for each in story["quarantined_because"]} & NOT_ACCEPTABLE
    if story["held"] and acceptable:
        command = store.command(f"quarantine release {story['id']}")
        waits.append({"what": "the batch is held until somebody accepts what holds it", "commands": [command]})
    opened = [each for each in story["incidents"] if each["state"] == IncidentState.ESCALATED]
    if opened:
        commands = [store.command(f"explain {each['id']}") for each in opened[:5]]
        waits.append({"what": f"{len(opened)} incidents are a person's", "commands": commands})
    return [*waits, *load_waits.told(store.state, story["id"])]


def _reading(noted: dict[str, Any], delivery: dict[str, Any]) -> Story:
    names = ("number", "attempt", "rows", "raw_rows", "problem")
    told = {name: noted.get(name, "") for name in names}
    return {**told, "options": _parsed(noted.get("options")), "current": noted["number"] == delivery["reading"]}


def _attempts(verdicts: list[Story], loads: list[Story], healing: Any) -> list[Story]:
    """Each attempt as validate, load and remediate know it."""
    known = {int(each["number"]): each for each in (healing or {}).get("attempts", [])}
    loaded = {int(each["attempt"]): each for each in loads}
    found = []
    for verdict in verdicts:
        number = int(verdict["attempt"])
        load, made = loaded.get(number, {}), known.get(number, {})
        names = ("attempt", "reading", "state", "rows", "rows_passed", "rows_quarantined", "score", "contract")
        found.append(
            {
                **{name: verdict.get(name, "") for name in names},
                "kind": made.get("kind", "reading"),
                "withdrawn": made.get("state") == "withdrawn",
                "remedies": list(made.get("remedies", [])),
                "table": load.get("table", ""),
                "load": load.get("state", ""),
                "rows_loaded": load.get("rows_loaded", 0),
            }
        )
    return found


def _short_incident(store: Store, key: str, incident: dict[str, Any]) -> Story:
    stored = store.state.get("healings", key)
    names = ("check", "column", "failure_class", "cause", "confidence", "explanation", "rows_failed", "first_seen")
    state = (stored.data.get("state") if stored is not None else "") or incident.get("state", "")
    return {"id": key, "state": state, **{name: incident.get(name, "") for name in names}}


def _input(store: Store, batch: str) -> str:
    stored = store.state.get("deliveries", batch) if batch else None
    return str(stored.data["uri"]) if stored is not None else ""


def _parsed(text: object) -> dict[str, Any]:
    try:
        found = json.loads(str(text or "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def waits_for_person(story: Story) -> bool:
    """True when the story ends with something that a person has to do."""
    if story["kind"] == "incident":
        return report.waits_for_person([story])
    return any(each["commands"] for each in story["waits"])
