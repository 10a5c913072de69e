"""What people said and what is known reads the same from Firestore as from SQLite."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mend.knowledge import Entry, entries, versions
from services.classify.handlers import SERVICE
from shared.adapters.gcp.state_store import FirestoreStateStore
from shared.domain.knowledge import entry_id
from shared.events.types import (
    Event,
    IncidentClassified,
    IncidentClosed,
    IncidentJudged,
    IncidentOpened,
    KnowledgeNoted,
)
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.emulators.running import Emulators
from tests.support.local_ports import handle, make_process

ENTRY = entry_id("runbook", "Range")
projects = itertools.count(1)


def told(number: int, kind: type[Event], /, **fields: object) -> Event:
    return kind(id=f"e{number}", time=START + number, subject="s", correlation_id="c", **fields)


def report(process: Process, number: int) -> IncidentClassified:
    fields = {"fingerprint": f"f{number}", "origin": "violation", "pipeline": "orders", "check": "range", "column": "a"}
    (found,) = handle(process, SERVICE, told(number, IncidentOpened, **fields))
    assert isinstance(found, IncidentClassified)
    return found


def lived(process: Process) -> tuple[str, Sequence[Entry], Sequence[Entry]]:
    """A correction, a healed incident and an edited entry; what the next report is taken for, and what is known."""
    first = report(process, 1)
    said = {"verdict": "wrong", "failure_class": "data_corruption", "cause": "unit_changed", "by": "ada"}
    believed = {"believed_class": first.failure_class, "believed_cause": first.cause}
    handle(process, SERVICE, told(2, IncidentJudged, incident_id=first.incident_id, **said, **believed))
    handle(process, SERVICE, told(3, IncidentClosed, incident_id=first.incident_id, state="healed"))
    for number, text in ((4, "ask"), (5, "ask twice")):
        fields = {"entry_id": ENTRY, "kind": "runbook", "title": "Range", "text": text, "by": "ada"}
        handle(process, SERVICE, told(number, KnowledgeNoted, **fields))
    return report(process, 6).cause, entries(process.store), versions(process.store, ENTRY)


def test_both_stores_know_the_same(emulators: Emulators, tmp_path: Path) -> None:
    process = make_process(tmp_path, TurnedClock())
    there = replace(process, store=FirestoreStateStore(f"knowledge-{next(projects)}", emulator=emulators.firestore))
    local, cloud = lived(process), lived(there)
    assert local == cloud
    cause, known, edits = local
    assert cause == "unit_changed"
    assert [each.kind for each in known] == ["past_incident", "runbook"]
    assert [each.text for each in edits] == ["ask", "ask twice"]
