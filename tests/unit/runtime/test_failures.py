"""Goal: an incident made of an exception carries all its evidence, within bounds, and one fingerprint per failure."""

from __future__ import annotations

import json

import pytest

from shared.domain.errors import DefinitionError, ForeignFailure, TerminalError
from shared.domain.incident import Origin
from shared.events.codec import decode, encode
from shared.events.types import BatchStaged, DeliveryArrived, IncidentOpened
from shared.runtime.failures import incident_of

STAGED = BatchStaged(
    id="e1", time=1, subject="b1", correlation_id="c", batch_id="b1", pipeline="p", attempt=3, reading=2, seq="s",
    parts=[], rows=1,
)  # fmt: skip


def arrived(uri: str) -> DeliveryArrived:
    return DeliveryArrived(
        id=f"e {uri}", time=1, subject="x", correlation_id="c", pipeline="p", uri=uri, name="n", generation="g"
    )


def incident(error: Exception, failed: DeliveryArrived | BatchStaged = STAGED) -> IncidentOpened:
    return incident_of("load", Origin.DESTINATION, failed, failed, error, 5)


def test_a_foreign_failures_evidence() -> None:
    error = ForeignFailure(
        "it said no", system="bigquery", exception_type="Forbidden", http_status=403, grpc_status="PERMISSION_DENIED",
        sqlstate="42501", reason="accessDenied", exit_code=7,
    )  # fmt: skip
    made = incident(error)
    assert (made.system, made.exception_type, made.http_status, made.grpc_status) == (
        *("bigquery", "Forbidden", 403, "PERMISSION_DENIED"),
    )
    assert (made.sqlstate, made.reason, made.exit_code, made.message) == ("42501", "accessDenied", 7, "it said no")
    assert (made.pipeline, made.batch_id, made.attempt, made.reading) == ("p", "b1", 3, 2)
    assert (made.service, made.event_id, made.event_topic) == ("load", "e1", "mend-batch-staged-v1")


def test_a_definition_error_says_where_and_what_to_do() -> None:
    made = incident(DefinitionError("pipelines/p.yaml", 3, 7, 'unknown key "sorce"', "did you mean source?"))
    assert "pipelines/p.yaml:3:7" in made.message
    assert "sorce" in made.message
    assert json.loads(made.evidence_json) == {
        "file": "pipelines/p.yaml",
        "line": 3,
        "column": 7,
        "hint": "did you mean source?",
    }


def test_the_stack_names_places_and_no_values() -> None:
    with pytest.raises(ValueError) as caught:
        int("secret cell")
    made = incident(caught.value)
    assert any("test_failures.py" in frame for frame in json.loads(made.evidence_json)["stack"])
    assert "secret" not in made.model_dump_json()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("landing/20240101120000/x.csv", "landing/20240102120000/x.csv", False),
        ("landing/basic a.csv", "landing/basic b.csv", False),
        ("landing/'a'.csv", "landing/'b'.csv", False),
        ("landing/a.csv", "landing/a.csv", True),
        ("x" * 3_000 + "a", "x" * 3_000 + "b", False),
    ],
)
def test_two_objects_that_fail_alike_are_two_incidents(one: str, other: str, same: bool) -> None:
    made = [incident(TerminalError("no"), arrived(uri)) for uri in (one, other)]
    assert (made[0].fingerprint == made[1].fingerprint) == same
    assert all(len(each.fingerprint) <= 1_000 for each in made)


def test_retries_are_reports_of_the_same_incident() -> None:
    error = ForeignFailure("no", system="x", http_status=503)
    retry = STAGED.model_copy(update={"id": "retry"})
    first = incident_of("load", Origin.DESTINATION, STAGED, STAGED, error, 5)
    second = incident_of("load", Origin.DESTINATION, STAGED, retry, error, 6)
    assert (first.fingerprint == second.fingerprint, first.id == second.id) == (True, False)


@pytest.mark.parametrize(
    "error",
    [
        ForeignFailure(
            "x" * 10_000, system="s" * 9_000, exception_type="t" * 9_000, reason="r" * 9_000, sqlstate="q" * 9_000
        ),
        ForeignFailure(
            "\ud800", system="\ud800\x00", reason="\udfff", grpc_status="\ud800", http_status=-1, exit_code=-9
        ),
        DefinitionError("p" * 9_000, 10**9, 1, "m" * 90_000, "h" * 90_000),
        TerminalError("\ud800" * 5_000),
        ValueError(b"\xff" * 10_000),
        RecursionError("x"),
    ],
)
def test_whatever_is_raised_makes_an_event_that_can_be_sent(error: Exception) -> None:
    made = incident(error)
    sent = encode(made, "/test")
    assert decode(sent.data, sent.attributes) == made
    assert len(sent.data) < 20_000
