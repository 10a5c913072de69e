"""What was close in time and how a job did before is evidence that ranks causes, and changes no decision."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.classify.circumstances import NEAR_MAX, RUNS_MAX, TOGETHER_MICROSECONDS
from services.classify.decision import diagnose
from services.classify.handlers import SERVICE
from services.remediate.records import WORDS_RELIED_ON_MAX, Finding
from shared.events.types import IncidentClassified, IncidentOpened
from shared.ports.state_store import Put
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.support.local_ports import handle, make_process

MINUTE = 60_000_000
DAY = 1_440 * MINUTE
RANGE = json.dumps({"hypotheses": {"below_share": 0.1, "above_share": 0.9}})


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return make_process(tmp_path, TurnedClock())


def opened(number: int, at: int, **fields: Any) -> IncidentOpened:
    given = {"fingerprint": f"f{number}", "origin": "violation", "pipeline": "orders", "batch_id": f"b{number}",
             "attempt": 1, "check": "range", "column": "amount", "evidence_json": RANGE}  # fmt: skip
    return IncidentOpened(id=f"e{number}", time=START + at, subject="s", correlation_id="c", **{**given, **fields})


def failed(number: int, at: int, **fields: Any) -> IncidentOpened:
    """A source that could not be read."""
    given = {"origin": "source", "check": "", "column": "", "batch_id": "", "evidence_json": "", "http_status": 503}
    return opened(number, at, **{**given, **fields})


def job(number: int, at: int, run: str, state: str = "", **fields: Any) -> IncidentOpened:
    """A task of Airflow that failed."""
    told = {"dag_id": "nightly", "task_id": "load", "run_id": run, "state": state}
    given = {"origin": "signal", "pipeline": "", "batch_id": "", "check": "", "column": "", "system": "airflow",
             "message": "the frobnicator gave up", "evidence_json": json.dumps(told)}  # fmt: skip
    return opened(number, at, **{**given, **fields})


def told(process: Process, report: IncidentOpened) -> IncidentClassified:
    (found,) = handle(process, SERVICE, report)
    assert isinstance(found, IncidentClassified)
    return found


def shown(found: IncidentClassified) -> dict[str, str]:
    because = json.loads(found.evidence_json)["diagnosis"]["because"]
    return {each["field"]: each["value"] for each in because if each["source"] == "circumstances"}


def rivals(found: IncidentClassified) -> list[str]:
    return [each["cause"] for each in json.loads(found.evidence_json)["diagnosis"]["rivals"]]


def judged(process: Process, now: dict[str, Any], good: dict[str, Any]) -> None:
    """The verdicts as validate keeps them: of this batch, and of the last good one."""
    process.store.commit(
        [
            Put("verdicts", "b1:1", {"batch_id": "b1", "attempt": 1, "baseline": ["orders:b0"], **now}),
            Put("profiles", "orders:b0", {"batch_id": "b0", "attempt": 2}),
            Put("verdicts", "b0:2", {"batch_id": "b0", "attempt": 2, "baseline": [], **good}),
        ]
    )


def test_a_contract_that_is_new_since_the_last_good_batch_is_the_next_cause_to_look_at(process: Process) -> None:
    judged(process, {"contract": "c.yaml@2", "pipeline_file": "p@1"}, {"contract": "c.yaml@1", "pipeline_file": "p@1"})
    found = told(process, opened(1, 0))
    assert shown(found) == {
        "contract changed": "c.yaml@1 judged the last good batch b0; c.yaml@2 judged this one"
    }  # fmt: skip
    assert rivals(found) == ["definition_wrong"]
    assert (found.cause, found.confidence) == diagnose(opened(1, 0))[1:3]


def test_a_pipeline_file_that_is_new_is_shown_and_an_old_one_is_not(process: Process) -> None:
    judged(process, {"contract": "c@1", "pipeline_file": "p@2"}, {"contract": "c@1", "pipeline_file": "p@1"})
    assert list(shown(told(process, opened(1, 0)))) == ["pipeline file changed"]
    judged(process, {"contract": "c@1", "pipeline_file": "p@1"}, {"contract": "c@1", "pipeline_file": "p@1"})
    same = told(process, opened(2, DAY, batch_id="b1"))
    assert (shown(same), rivals(same)) == ({}, [])


def test_no_contract_explains_a_delivery_that_was_cut_off(process: Process) -> None:
    judged(process, {"contract": "c@2"}, {"contract": "c@1"})
    cut = {"origin": "dataset", "check": "delivery_complete", "column": "", "evidence_json": '{"problem": "truncated"}'}
    found = told(process, opened(1, 0, **cut))
    assert list(shown(found)) == ["contract changed"]
    assert rivals(found) == []


def test_what_failed_at_the_same_source_in_the_same_minutes_is_shown_and_ranked(process: Process) -> None:
    first = told(process, failed(1, 0))
    found = told(process, opened(2, 5 * MINUTE))
    assert shown(found) == {"the same source, in the same minutes": f"{first.incident_id} (source_unavailable)"}
    assert rivals(found) == ["source_unavailable"]
    assert (found.cause, found.confidence) == diagnose(opened(2, 0))[1:3]
    assert rivals(told(process, failed(3, 6 * MINUTE))) == []  # it is what is believed already
    elsewhere = told(process, opened(4, 5 * MINUTE, pipeline="invoices"))
    later = told(process, opened(5, 6 * MINUTE + TOGETHER_MICROSECONDS + 1))
    assert (shown(elsewhere), shown(later)) == ({}, {})


def test_of_many_only_some_are_read_and_named(process: Process) -> None:
    for number in range(NEAR_MAX + 5):
        told(process, failed(number, number))
    (value,) = shown(told(process, opened(99, MINUTE))).values()
    assert value.endswith(f"and {NEAR_MAX - 3} more")


def test_a_job_s_first_failure_and_the_later_ones_are_told_apart(process: Process) -> None:
    first = told(process, job(1, 0, "monday"))
    again = told(process, job(2, MINUTE, "monday", fingerprint="f1"))
    assert shown(first)["job history"] == "the first failure of nightly.load that was told of"
    assert shown(again)["job history"] == shown(first)["job history"]
    told(process, job(3, DAY, "tuesday"))
    third = told(process, job(4, 2 * DAY, "wednesday"))
    assert shown(third)["job history"] == "nightly.load failed in 2 earlier runs of the last 90 days"
    assert "job retries" not in shown(third)
    other = told(process, job(5, 3 * DAY, "monday", evidence_json=json.dumps({"resource": "other"})))
    assert shown(other)["job history"] == "the first failure of other that was told of"


def test_a_run_that_was_to_be_retried_and_not_told_of_again_is_flaky(process: Process) -> None:
    told(process, job(1, 0, "monday", "up_for_retry"))
    told(process, job(2, MINUTE, "tuesday", "up_for_retry"))
    told(process, job(3, 2 * MINUTE, "tuesday", "failed"))
    found = told(process, job(4, DAY, "wednesday", "up_for_retry"))
    assert shown(found)["job retries"].startswith("1 of 2 earlier runs were to be retried and not told of again")
    assert (found.failure_class, found.cause, found.confidence) == diagnose(job(4, 0, "wednesday"))[:3]


def test_what_is_known_of_a_job_is_bounded_and_forgotten(process: Process) -> None:
    for number in range(RUNS_MAX + 10):
        told(process, job(number, number * MINUTE, f"run {number}"))
    (kept,) = [each.data for each in process.store.query("incidents") if each.data["kind"] == "job"]
    assert (len(kept["runs"]), kept["failures"]) == (RUNS_MAX, RUNS_MAX + 10)
    late = told(process, job(99, 200 * DAY, "late"))
    assert shown(late)["job history"] == "the first failure of nightly.load that was told of"


def test_a_reason_decides_whatever_the_circumstances(process: Process) -> None:
    told(process, failed(1, 0))
    report = failed(2, MINUTE, http_status=403, reason="rateLimitExceeded")
    found = told(process, report)
    assert shown(found)
    assert (found.failure_class, found.confidence) == (str(diagnose(report).failure_class), diagnose(report).confidence)
    assert found.failure_class == "rate_limiting"


def test_circumstances_give_no_ground_to_act(process: Process) -> None:
    told(process, job(1, 0, "monday"))
    found = told(process, job(2, DAY, "tuesday", message="connection refused: could not connect to server"))
    assert shown(found)
    finding = Finding(incident_id="i1", confidence=0.95, evidence_json=found.evidence_json)
    assert finding.p_cause == WORDS_RELIED_ON_MAX
    alone = {"diagnosis": {"because": [{"source": "circumstances", "field": "job history", "value": ""}]}}
    none = {"diagnosis": {"because": []}}
    for evidence in (alone, none):
        assert not Finding(incident_id="i1", evidence_json=json.dumps(evidence)).rests_on_words


def test_a_stranger_s_names_are_bounded_text(process: Process) -> None:
    hostile = json.dumps({"resource": "\x1b[2J" + "a\n" * 500, "run": "r" * 5_000})
    told(process, job(1, 0, "", evidence_json=hostile))
    value = shown(told(process, job(2, MINUTE, "", evidence_json=hostile.replace("rrr", "sss"))))["job history"]
    assert "\x1b" not in value
    assert "\n" not in value
    assert len(value) <= 200


def deployed(process: Process, at: int, **fields: Any) -> None:
    """As ingest keeps it."""
    given = {"system": "", "resource": "", "version": "2.4.1", "pipelines": [], "by": "", "at": START + at, **fields}
    process.store.commit([Put("deployments", f"d{at}{fields}", given)])


def test_what_was_deployed_before_it_began_is_shown_and_is_a_cause_to_look_at(process: Process) -> None:
    deployed(process, 0, system="shop", pipelines=["orders"], by="ada")
    found = told(process, opened(1, 12 * MINUTE + 1))
    assert shown(found) == {"deployed": "shop 2.4.1 was deployed by ada 12 minutes before"}
    assert rivals(found) == ["deployment_faulty"]
    assert (found.cause, found.confidence) == diagnose(opened(1, 0))[1:3]
    because = json.loads(found.evidence_json)["diagnosis"]["rivals"][0]["because"]
    assert because == "shop 2.4.1 was deployed by ada 12 minutes before it began"


def test_a_deployment_elsewhere_later_or_long_ago_is_not_shown(process: Process) -> None:
    deployed(process, 0, pipelines=["orders"])
    deployed(process, 2 * DAY, pipelines=["invoices"])
    deployed(process, 2 * DAY, system="airflow")
    deployed(process, 2 * DAY + 2, pipelines=["orders"])
    found = told(process, opened(1, 2 * DAY + 1))
    assert (shown(found), rivals(found)) == ({}, [])


def test_an_incident_that_was_open_already_has_another_cause(process: Process) -> None:
    told(process, opened(1, 0))
    deployed(process, MINUTE, pipelines=["orders"])
    again = told(process, opened(2, 2 * MINUTE, fingerprint="f1"))
    assert again.repeated
    assert (shown(again), rivals(again)) == ({}, [])


def test_of_a_system_the_part_that_failed_counts(process: Process) -> None:
    deployed(process, 0, system="airflow", resource="nightly", version="r7")
    deployed(process, MINUTE, system="airflow", resource="hourly", version="r8")
    found = told(process, job(1, 2 * MINUTE, "monday"))
    assert shown(found)["deployed"] == "airflow nightly r7 was deployed 2 minutes before"
    assert rivals(found) == ["deployment_faulty"]


def test_a_new_mendline_may_have_broken_what_mendline_does_and_nothing_else(process: Process) -> None:
    deployed(process, 0, system="mendline", version="0.9")
    assert rivals(told(process, opened(1, 3 * 60 * MINUTE))) == ["deployment_faulty"]
    assert shown(told(process, failed(2, 1)))["deployed"] == "mendline 0.9 was deployed less than a minute before"
    assert "deployed" not in shown(told(process, job(3, MINUTE, "monday")))


def test_a_changed_definition_goes_before_a_deployment_and_that_before_what_failed_beside_it(process: Process) -> None:
    judged(process, {"contract": "c@2"}, {"contract": "c@1"})
    deployed(process, 0, pipelines=["orders"])
    told(process, failed(7, 0))
    assert rivals(told(process, opened(1, MINUTE))) == ["definition_wrong", "deployment_faulty", "source_unavailable"]
