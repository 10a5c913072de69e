"""One fingerprint, one incident; every report is answered once; what is closed can happen again."""

import json
from pathlib import Path

import pytest

from services.classify.handlers import SERVICE
from services.classify.records import HANDLED_MAX, index_key
from shared.domain.ids import incident_id
from shared.events.types import IncidentClassified, IncidentClosed, IncidentOpened, RemedyUndone
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.support.local_ports import handle, make_process

FINGERPRINT = "flights|b1|type|day"


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return make_process(tmp_path, TurnedClock())


def opened(number: int, **fields: object) -> IncidentOpened:
    given = {
        "fingerprint": FINGERPRINT,
        "origin": "violation",
        "pipeline": "flights",
        "batch_id": "b1",
        "attempt": 1,
        "reading": 1,
        "check": "type",
        "column": "day",
        "rows": 100,
        "rows_failed": 20,
        "evidence_json": json.dumps({"hypotheses": {"date_formats": [{"format": "%d.%m.%Y", "share": 1.0}]}}),
        **fields,
    }
    return IncidentOpened(id=f"e{number}", time=START + number, subject="s", correlation_id="c", **given)


def closed(incident: str, time: int, state: str = "healed") -> IncidentClosed:
    return IncidentClosed(
        id=f"closed{time}", time=time, subject="s", correlation_id="c", incident_id=incident, state=state,
        pipeline="flights", explanation="twenty cells were parsed", rows_healed=20,
    )  # fmt: skip


def only(found: list[object]) -> IncidentClassified:
    assert len(found) == 1
    assert isinstance(found[0], IncidentClassified)
    return found[0]


def document(process: Process, incident: str) -> dict[str, object]:
    stored = process.store.get("incidents", incident)
    assert stored is not None
    return stored.data


def test_the_first_report_is_diagnosed(process: Process) -> None:
    classified = only(handle(process, SERVICE, opened(1)))
    assert classified.incident_id == incident_id(FINGERPRINT, 1)
    assert (classified.cause, classified.failure_class) == ("date_format_changed", "data_corruption")
    assert (classified.rows_failed, classified.attempt, classified.repeated) == (20, 1, False)
    told = json.loads(classified.evidence_json)
    assert told["hypotheses"]["date_formats"][0]["format"] == "%d.%m.%Y"
    assert told["diagnosis"]["because"][0]["field"] == "date_formats"
    found = document(process, classified.incident_id)
    assert (found["state"], found["reports"], found["cause"]) == ("classified", 1, "date_format_changed")
    assert found["first_seen"] == found["last_seen"] == START + 1


def test_the_same_report_twice_is_harmless(process: Process) -> None:
    first = only(handle(process, SERVICE, opened(1)))
    assert handle(process, SERVICE, opened(1)) == []
    assert document(process, first.incident_id)["reports"] == 1


def test_a_later_attempt_reports_into_the_same_incident(process: Process) -> None:
    first = only(handle(process, SERVICE, opened(1)))
    second = only(handle(process, SERVICE, opened(2, attempt=2, rows=20, rows_failed=5, evidence_json="{}")))
    assert second.incident_id == first.incident_id
    assert (second.repeated, second.attempt, second.rows_failed) == (True, 2, 5)
    assert second.cause != first.cause
    found = document(process, first.incident_id)
    assert (found["reports"], found["attempt"], found["first_attempt"], found["rows_failed"]) == (2, 2, 1, 5)
    assert [belief["cause"] for belief in found["diagnoses"]] == [first.cause, second.cause]
    assert found["rows_failed_first"] == 20


def test_a_late_report_of_an_earlier_attempt_only_counts(process: Process) -> None:
    handle(process, SERVICE, opened(2, attempt=2, rows_failed=5))
    late = only(handle(process, SERVICE, opened(1)))
    assert (late.repeated, late.attempt) == (True, 1)
    found = document(process, late.incident_id)
    assert (found["attempt"], found["first_attempt"], found["rows_failed"], found["first_seen"]) == (2, 1, 5, START + 1)


def test_a_failing_retry_is_a_repeated_report(process: Process) -> None:
    fields = {
        "origin": "source",
        "check": "",
        "column": "",
        "evidence_json": "",
        "http_status": 503,
        "service": "ingest",
    }
    first = only(handle(process, SERVICE, opened(1, **fields)))
    again = only(handle(process, SERVICE, opened(2, **fields)))
    assert (first.repeated, again.repeated) == (False, True)
    assert again.cause == "source_unavailable"


def test_reported_after_closing_is_a_new_occurrence(process: Process) -> None:
    first = only(handle(process, SERVICE, opened(1)))
    assert handle(process, SERVICE, closed(first.incident_id, START + 5)) == []
    found = document(process, first.incident_id)
    assert (found["state"], found["closed_at"], found["rows_healed"]) == ("healed", START + 5, 20)
    assert handle(process, SERVICE, opened(1)) == []
    second = only(handle(process, SERVICE, opened(9)))
    assert second.incident_id == incident_id(FINGERPRINT, 2)
    assert second.repeated is False
    assert document(process, first.incident_id)["reports"] == 1
    alike = json.loads(second.evidence_json)["diagnosis"]["alike"]
    assert [past["incident_id"] for past in alike] == [first.incident_id]
    assert document(process, second.incident_id)["similar"] == alike


def test_similar_incidents_are_of_the_same_pipeline_and_cause_and_bounded(process: Process) -> None:
    for number in range(1, 9):
        found = only(handle(process, SERVICE, opened(number, fingerprint=f"f{number}")))
        handle(process, SERVICE, closed(found.incident_id, START + 100 + number))
    other = only(handle(process, SERVICE, opened(20, fingerprint="other", pipeline="planes")))
    assert document(process, other.incident_id)["similar"] == []
    same = only(handle(process, SERVICE, opened(21, fingerprint="same")))
    times = [past["closed_at"] for past in document(process, same.incident_id)["similar"]]
    assert times == [START + 100 + number for number in (8, 7, 6, 5, 4)]


def test_an_undone_remedy_opens_its_incident_again(process: Process) -> None:
    first = only(handle(process, SERVICE, opened(1)))
    handle(process, SERVICE, closed(first.incident_id, START + 5))
    undone = RemedyUndone(
        id="u", time=START + 6, subject="s", correlation_id="c", remedy_id="r1", incident_id=first.incident_id,
        remedy="parse_dates",
    )  # fmt: skip
    handle(process, SERVICE, undone)
    assert document(process, first.incident_id)["state"] == "classified"
    again = only(handle(process, SERVICE, opened(7, attempt=3)))
    assert (again.incident_id, again.repeated) == (first.incident_id, True)


def test_an_undo_opens_nothing_beside_the_incident_that_came_after(process: Process) -> None:
    first = only(handle(process, SERVICE, opened(1)))
    handle(process, SERVICE, closed(first.incident_id, START + 5))
    second = only(handle(process, SERVICE, opened(7, attempt=3)))
    assert second.incident_id != first.incident_id
    undone = RemedyUndone(
        id="u", time=START + 8, subject="s", correlation_id="c", remedy_id="r1", incident_id=first.incident_id,
        remedy="parse_dates",
    )  # fmt: skip
    handle(process, SERVICE, undone)
    assert document(process, first.incident_id)["state"] == "healed"
    assert document(process, second.incident_id)["state"] == "classified"


def test_a_heal_that_is_told_after_its_undo_stays_undone(process: Process) -> None:
    first = only(handle(process, SERVICE, opened(1)))
    undone = RemedyUndone(
        id="u", time=START + 6, subject="s", correlation_id="c", remedy_id="r1", incident_id=first.incident_id,
        remedy="parse_dates",
    )  # fmt: skip
    handle(process, SERVICE, undone)
    handle(process, SERVICE, closed(first.incident_id, START + 5))
    assert document(process, first.incident_id)["state"] == "classified"
    handle(process, SERVICE, closed(first.incident_id, START + 7))
    assert document(process, first.incident_id)["state"] == "healed"


def test_what_does_not_fit_changes_nothing(process: Process) -> None:
    assert handle(process, SERVICE, closed("i000000000000", START)) == []
    first = only(handle(process, SERVICE, opened(1)))
    assert handle(process, SERVICE, closed(first.incident_id, START + 5, state="whatever")) == []
    assert document(process, first.incident_id)["state"] == "classified"


def test_documents_and_events_stay_bounded(process: Process) -> None:
    large = json.dumps({"unexpected": [{"name": "x" * 900} for _ in range(60)]})
    classified = only(handle(process, SERVICE, opened(1, evidence_json=large, message="m" * 4_000)))
    assert len(classified.evidence_json) <= 60_000
    for number in range(2, HANDLED_MAX + 20):
        handle(process, SERVICE, opened(number, attempt=number))
    index = process.store.get("incidents", index_key(FINGERPRINT))
    assert index is not None
    assert len(index.data["handled"]) == HANDLED_MAX
    assert len(document(process, classified.incident_id)["diagnoses"]) <= 10
