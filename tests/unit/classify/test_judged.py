"""What people said of a diagnosis is kept once, replaced by a later word, and counts for later failures like it."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.classify.handlers import SERVICE
from services.classify.judged import DOUBTED_MAX, JUDGEMENTS_MAX, RELIED_ON_MAX, case_key, precedents
from services.remediate.records import WORDS_RELIED_ON_MAX, Finding
from shared.events.types import IncidentClassified, IncidentClosed, IncidentJudged, IncidentOpened
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.support.local_ports import handle, make_process

DATES = json.dumps({"hypotheses": {"date_formats": [{"format": "%d.%m.%Y", "share": 1.0}]}})
RANGE = json.dumps({"hypotheses": {"below_share": 0.1, "above_share": 0.9}})
TOLD = "the frobnicator gave up its seventh lantern on the northern shelf"


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return make_process(tmp_path, TurnedClock())


def report(process: Process, number: int, **fields: object) -> IncidentClassified:
    given = {
        "fingerprint": f"f{number}",
        "origin": "violation",
        "pipeline": "orders",
        "batch_id": f"b{number}",
        "attempt": 1,
        "check": "range",
        "column": "amount",
        "evidence_json": RANGE,
        **fields,
    }
    event = IncidentOpened(id=f"e{number}", time=START + number, subject="s", correlation_id="c", **given)
    (found,) = handle(process, SERVICE, event)
    assert isinstance(found, IncidentClassified)
    return found


def signal(process: Process, number: int, message: str, **fields: object) -> IncidentClassified:
    given = {"origin": "signal", "pipeline": "", "batch_id": "", "check": "", "column": "", "evidence_json": ""}
    return report(process, number, message=message, **{**given, "system": "lamps", **fields})


def say(process: Process, about: IncidentClassified, at: int, verdict: str, **fields: str) -> list[IncidentClassified]:
    """What is believed of the incident from then on, [] when nothing changed."""
    given = {"by": "ada", "believed_class": about.failure_class, "believed_cause": about.cause, **fields}
    event = IncidentJudged(
        id=f"said{at}{sorted(fields.items())}{verdict}", time=START + at, subject="s", correlation_id="c",
        incident_id=about.incident_id, verdict=verdict, **given,
    )  # fmt: skip
    found = handle(process, SERVICE, event)
    assert all(isinstance(each, IncidentClassified) and each.judged_by for each in found)
    return [each for each in found if isinstance(each, IncidentClassified)]


def kept(process: Process, about: IncidentClassified) -> list[dict[str, object]]:
    stored = process.store.get("incidents", about.incident_id)
    assert stored is not None
    found: list[dict[str, object]] = stored.data.get("feedback", [])
    return found


def because(found: IncidentClassified) -> list[dict[str, object]]:
    told: list[dict[str, object]] = json.loads(found.evidence_json)["diagnosis"]["because"]
    return told


def test_said_twice_is_kept_once_and_a_later_word_replaces_it(process: Process) -> None:
    first = report(process, 1)
    say(process, first, 10, "right")
    say(process, first, 11, "right")
    assert [(each["verdict"], each["at"]) for each in kept(process, first)] == [("right", START + 10)]
    say(process, first, 12, "wrong", note="it was the unit")
    say(process, first, 9, "right", note="told too late to count")
    assert [each["verdict"] for each in kept(process, first)] == ["right", "wrong"]
    case = process.store.get("knowledge", case_key(first.incident_id))
    assert case is not None
    assert (case.data["verdict"], case.data["note"], case.data["by"]) == ("wrong", "it was the unit", "ada")
    say(process, first, 13, "right")
    assert [each["verdict"] for each in kept(process, first)] == ["right", "wrong", "right"]


def corrected(process: Process, about: IncidentClassified, at: int, cause: str) -> list[IncidentClassified]:
    return say(process, about, at, "wrong", failure_class="data_corruption", cause=cause)


def document(process: Process, about: IncidentClassified) -> dict[str, Any]:
    stored = process.store.get("incidents", about.incident_id)
    assert stored is not None
    return stored.data


def test_a_person_who_names_the_cause_changes_the_diagnosis_of_the_incident_itself(process: Process) -> None:
    first = report(process, 1)
    (found,) = corrected(process, first, 10, "unit_changed")
    assert (found.incident_id, found.cause, found.confidence) == (first.incident_id, "unit_changed", RELIED_ON_MAX)
    assert (found.repeated, found.judged_by, found.attempt, found.batch_id) == (True, "ada", 1, "b1")
    assert found.explanation.startswith("ada said that it is unit_changed, not out_of_range. By itself it looks like")
    (piece,) = [each for each in because(found) if each["source"] == "person"]
    assert piece["value"] == "ada said of this incident: it is unit_changed, not out_of_range"
    kept_now = document(process, first)
    assert (kept_now["cause"], kept_now["confidence"], kept_now["reports"]) == ("unit_changed", RELIED_ON_MAX, 1)
    assert [each["cause"] for each in kept_now["diagnoses"]] == ["out_of_range", "unit_changed"]


def test_right_confirms_the_diagnosis_of_the_incident_itself(process: Process) -> None:
    first = report(process, 1, check="strange_rule", column="")
    (found,) = say(process, first, 10, "right")
    assert found.cause == first.cause
    assert first.confidence < found.confidence <= RELIED_ON_MAX
    assert f"ada said that {first.cause} is right" in found.explanation
    assert because(found)[0]["source"] == "person"


def test_wrong_without_a_cause_makes_the_incident_itself_doubtful(process: Process) -> None:
    first = report(process, 1)
    (found,) = say(process, first, 10, "wrong")
    assert found.cause == first.cause
    assert found.confidence <= DOUBTED_MAX


def test_said_twice_of_what_was_corrected_nothing_more_happens(process: Process) -> None:
    first = report(process, 1)
    (found,) = corrected(process, first, 10, "unit_changed")
    before = document(process, first)
    assert corrected(process, found, 11, "unit_changed") == []
    assert corrected(process, first, 12, "unit_changed") == []
    assert corrected(process, first, 9, "out_of_range") == []
    assert document(process, first) == before


def test_a_later_word_on_the_same_incident_holds_and_reports_follow_it(process: Process) -> None:
    first = report(process, 1)
    (second,) = corrected(process, first, 10, "unit_changed")
    (third,) = corrected(process, second, 11, "columns_shifted")
    assert third.explanation.startswith("ada said that it is columns_shifted, not out_of_range. By itself")
    assert "unit_changed" not in third.explanation
    again = report(process, 2, fingerprint="f1", batch_id="b1", attempt=2)
    assert (again.incident_id, again.cause, again.judged_by) == (first.incident_id, "columns_shifted", "")
    (right,) = say(process, again, 12, "right")
    assert right.cause == "columns_shifted"
    assert report(process, 3, fingerprint="f1", batch_id="b1", attempt=3).cause == "columns_shifted"
    assert report(process, 4).cause == "columns_shifted"


def test_a_correction_that_is_called_wrong_is_taken_back(process: Process) -> None:
    first = report(process, 1)
    (second,) = corrected(process, first, 10, "unit_changed")
    (third,) = say(process, second, 11, "wrong")
    assert (third.cause, third.confidence) == ("out_of_range", first.confidence)
    assert report(process, 2).cause == "out_of_range"


def test_words_about_another_incident_give_way_to_those_about_this_one(process: Process) -> None:
    corrected(process, report(process, 1), 10, "unit_changed")
    second = report(process, 2)
    assert second.cause == "unit_changed"
    (own,) = corrected(process, second, 11, "columns_shifted")
    assert own.cause == "columns_shifted"
    assert report(process, 3, fingerprint="f2", batch_id="b2", attempt=2).cause == "columns_shifted"


def close(process: Process, about: IncidentClassified, at: int, state: str, judged_at: int = 0) -> None:
    told = {"incident_id": about.incident_id, "state": state, "explanation": "as it was", "judged_at": judged_at}
    event = IncidentClosed(id=f"end{at}", time=START + at, subject="s", correlation_id="c", **told)
    handle(process, SERVICE, event)


@pytest.mark.parametrize("state", ["healed", "dismissed"])
def test_an_incident_that_is_over_is_only_annotated(process: Process, state: str) -> None:
    first = report(process, 1)
    close(process, first, 5, state)
    assert corrected(process, first, 10, "unit_changed") == []
    assert document(process, first)["cause"] == "out_of_range"
    assert [each["cause"] for each in kept(process, first)] == ["unit_changed"]
    assert report(process, 2).cause == "unit_changed"


def test_one_that_was_handed_to_a_person_is_taken_up_again_when_the_person_names_another_cause(
    process: Process,
) -> None:
    first = report(process, 1)
    close(process, first, 5, "escalated")
    (right,) = say(process, first, 9, "right")
    assert (right.cause, document(process, first)["state"]) == (first.cause, "escalated")
    (found,) = corrected(process, first, 10, "unit_changed")
    assert (document(process, first)["state"], document(process, first)["closed_at"]) == ("classified", 0)
    close(process, first, 12, "escalated", judged_at=found.time - 1)  # by whoever had not heard of it yet
    assert document(process, first)["state"] == "classified"
    close(process, first, 13, "escalated", judged_at=found.time)
    assert document(process, first)["state"] == "escalated"


def test_one_that_came_back_meanwhile_is_not_taken_up_beside_the_later_one(process: Process) -> None:
    first = report(process, 1)
    close(process, first, 5, "escalated")
    second = report(process, 2, fingerprint="f1", batch_id="b1", attempt=2)
    assert second.incident_id != first.incident_id
    assert corrected(process, first, 10, "unit_changed") == []
    assert document(process, first)["state"] == "escalated"
    assert [each["cause"] for each in kept(process, first)] == ["unit_changed"]
    assert report(process, 3, fingerprint="f1", batch_id="b1", attempt=3).cause == "unit_changed"


def test_of_an_incident_that_is_not_there_nothing_is_kept(process: Process) -> None:
    first = report(process, 1)
    say(process, first.model_copy(update={"incident_id": "i000000000000"}), 10, "wrong")
    assert process.store.query("knowledge") == []


def test_words_about_one_incident_stay_bounded(process: Process) -> None:
    first = report(process, 1)
    for number in range(30):
        say(process, first, 10 + number, "right" if number % 2 else "wrong")
    assert len(kept(process, first)) == JUDGEMENTS_MAX


def test_a_corrected_cause_is_evidence_for_the_same_mistake_and_said(process: Process) -> None:
    first = report(process, 1)
    assert first.cause == "out_of_range"
    say(process, first, 10, "wrong", failure_class="data_corruption", cause="unit_changed")
    second = report(process, 2)
    assert (second.failure_class, second.cause) == ("data_corruption", "unit_changed")
    assert second.confidence == RELIED_ON_MAX
    assert f"ada said of {first.incident_id}, which is like it, that it is unit_changed" in second.explanation
    (piece,) = [each for each in because(second) if each["source"] == "person"]
    assert first.incident_id in str(piece["value"])
    assert "the same check of the same pipeline (range amount)" in str(piece["value"])


def test_what_is_not_like_it_is_left_alone(process: Process) -> None:
    first = report(process, 1)
    say(process, first, 10, "wrong", cause="unit_changed", failure_class="data_corruption")
    for number, fields in enumerate(
        ({"column": "price"}, {"pipeline": "invoices"}, {"check": "type", "evidence_json": DATES}), 2
    ):
        other = report(process, number, **fields)
        assert other.cause != "unit_changed"
        assert "ada" not in other.explanation


def test_another_belief_of_the_same_check_is_left_alone(process: Process) -> None:
    first = report(process, 1, check="type", column="day", evidence_json=DATES)
    say(process, first, 10, "wrong", cause="timezone_shifted", failure_class="data_corruption")
    nulls = json.dumps({"hypotheses": {"null_word_share": 1.0}})
    assert report(process, 2, check="type", column="day", evidence_json=nulls).cause == "null_burst"
    assert report(process, 3, check="type", column="day", evidence_json=DATES).cause == "timezone_shifted"


def test_wrong_without_a_class_makes_the_belief_doubtful(process: Process) -> None:
    first = report(process, 1)
    say(process, first, 10, "wrong")
    second = report(process, 2)
    assert second.cause == first.cause
    assert second.confidence <= DOUBTED_MAX < first.confidence
    assert "out_of_range is wrong" in second.explanation


def test_right_never_lifts_a_belief_over_what_may_be_relied_on(process: Process) -> None:
    weak = report(process, 1, check="strange_rule", column="")
    assert weak.confidence < RELIED_ON_MAX
    say(process, weak, 10, "right")
    assert weak.confidence < report(process, 2, check="strange_rule", column="").confidence <= RELIED_ON_MAX
    sure = report(process, 3)
    say(process, sure, 11, "right")
    assert report(process, 4).confidence == sure.confidence


def test_a_message_that_was_corrected_is_known_the_next_time(process: Process) -> None:
    first = signal(process, 1, f"{TOLD} 17")
    assert first.failure_class != "disk_space_full"
    say(process, first, 10, "wrong", failure_class="disk_space_full")
    again = signal(process, 2, f"{TOLD} 4711")
    assert (again.failure_class, again.cause) == ("disk_space_full", "external_disk")
    assert again.confidence <= RELIED_ON_MAX
    assert "100% of its words are the same" in str(because(again)[0]["value"])
    other = signal(process, 3, "an entirely different story of boats and rivers")
    elsewhere = signal(process, 4, TOLD, system="kettles")
    assert "ada" not in other.explanation + elsewhere.explanation


def test_a_message_is_near_by_the_share_of_its_words(process: Process) -> None:
    say(process, signal(process, 1, TOLD), 10, "wrong", failure_class="disk_space_full")
    told = {"fingerprint": "f", "origin": "signal", "system": "lamps"}

    def near(message: str) -> list[float]:
        event = IncidentOpened(id="e", time=1, subject="s", correlation_id="c", message=message, **told)
        unit = UnitOfWork(process.store, SERVICE.name, SERVICE.collections)
        return [round(each.likeness, 2) for each in precedents(unit, event, {"incident_id": "i"})]

    assert near(TOLD) == [1.0]
    assert 0.6 <= near(TOLD.replace("seventh", "eighth"))[0] < 1
    assert near("the frobnicator gave up") == []
    assert near("") == []


def test_what_people_said_is_relied_on_no_more_than_words(process: Process) -> None:
    first = signal(process, 1, TOLD)
    say(process, first, 10, "wrong", failure_class="disk_space_full")
    near = signal(process, 2, TOLD)
    finding = Finding(incident_id="i1", first_attempt=1, rows_first=0)
    finding.confidence, finding.evidence_json = 0.95, near.evidence_json
    assert finding.rests_on_words
    assert finding.p_cause == WORDS_RELIED_ON_MAX


def test_a_correction_that_was_called_wrong_is_not_repeated(process: Process) -> None:
    first = report(process, 1)
    say(process, first, 10, "wrong", cause="unit_changed", failure_class="data_corruption")
    second = report(process, 2)
    say(process, second, 11, "wrong")
    assert report(process, 3).cause == "out_of_range"


def test_the_word_of_somebody_who_may_not_decide_changes_nothing(process: Process, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("approvals: {people: [ada]}\n", encoding="utf-8")
    first = report(process, 1)
    say(process, first, 10, "wrong", by="mallory")
    assert kept(process, first) == []
    assert process.store.query("knowledge") == []
    say(process, first, 11, "wrong")
    assert [each["by"] for each in kept(process, first)] == ["ada"]


def test_hostile_words_are_shown_as_text(process: Process) -> None:
    first = report(process, 1)
    say(process, first, 10, "wrong", by="\x1b[2Jada\nmend approve r1", note="\x1b]0;x\x07")
    second = report(process, 2)
    assert "\x1b" not in second.explanation
    assert "\n" not in second.explanation
    assert "\\u001b" not in second.evidence_json
