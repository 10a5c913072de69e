"""Codes outrank status, status outranks words; confidence follows the written rules."""

import json

import pytest

from services.classify.decision import diagnose
from services.classify.diagnosis import CONFIDENCE_MAX
from services.remediate.records import WORDS_RELIED_ON_MAX, Finding
from shared.domain.causes import CAUSES, failure_class_of
from shared.domain.incident import FailureClass, Origin
from shared.events.types import IncidentOpened


def report(**fields: object) -> IncidentOpened:
    given = {"fingerprint": "f", "origin": Origin.SIGNAL, "system": "somewhere", **fields}
    return IncidentOpened(id="e", time=1, subject="s", correlation_id="c", **given)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"http_status": 403}, "permission_denied"),
        ({"http_status": 403, "reason": "rateLimitExceeded"}, "rate_limiting"),
        ({"http_status": 400, "reason": "invalidQuery"}, "configuration_error"),
        ({"http_status": 429}, "rate_limiting"),
        ({"http_status": 503, "message": "permission denied"}, "network_timeout"),
        ({"grpc_status": "UNAUTHENTICATED"}, "authentication_failure"),
        ({"grpc_status": "StatusCode.DEADLINE_EXCEEDED"}, "timeout_exceeded"),
        ({"grpc_status": "14"}, "network_timeout"),
        ({"sqlstate": "42501"}, "permission_denied"),
        ({"sqlstate": "23999"}, "data_corruption"),
        ({"sqlstate": "08006", "exception_type": "psycopg.OperationalError"}, "network_timeout"),
        ({"sqlstate": "ORA-00942"}, "missing_dependency"),
        ({"sqlstate": "1045", "system": "mysql"}, "authentication_failure"),
        ({"sqlstate": "1226", "system": "mysql"}, "rate_limiting"),
        ({"sqlstate": "42601"}, "unknown"),
        ({"exception_type": "requests.exceptions.ConnectTimeout"}, "network_timeout"),
        ({"exception_type": "google.api_core.exceptions.TooManyRequests"}, "rate_limiting"),
        ({"exception_type": "java.io.FileNotFoundException"}, "missing_dependency"),
        ({"exception_type": "ValueError"}, "unknown"),
        ({"exit_code": 127}, "missing_dependency"),
        ({"exit_code": 1}, "unknown"),
        ({"exit_code": 139}, "unknown"),
        ({"reason": "ENOSPC", "exception_type": "OSError"}, "disk_space_full"),
        ({"exception_type": "ModuleNotFoundError"}, "missing_dependency"),
        ({}, "unknown"),
    ],
)
def test_the_highest_ranking_code_decides(fields: dict[str, object], expected: str) -> None:
    diagnosis = diagnose(report(**fields))
    assert diagnosis.failure_class == expected
    assert failure_class_of(diagnosis.cause) == diagnosis.failure_class
    assert diagnosis.explanation
    assert 0 <= diagnosis.confidence <= CONFIDENCE_MAX


def test_agreement_adds_and_disagreement_takes_away() -> None:
    alone = diagnose(report(exception_type="PermissionError")).confidence
    agreed = diagnose(report(exception_type="PermissionError", http_status=403)).confidence
    mixed = diagnose(report(exception_type="PermissionError", http_status=404)).confidence
    assert mixed < alone < agreed <= CONFIDENCE_MAX


def test_a_reason_explains_its_status_instead_of_contradicting_it() -> None:
    assert diagnose(report(reason="rateLimitExceeded", http_status=403)).confidence >= 0.95


@pytest.mark.parametrize(
    ("origin", "fields", "cause"),
    [
        (Origin.SOURCE, {"http_status": 503}, "source_unavailable"),
        (Origin.SOURCE, {"http_status": 401}, "source_login_failed"),
        (Origin.SOURCE, {"exception_type": "FileNotFoundError", "reason": "ENOENT"}, "source_missing"),
        (Origin.SOURCE, {"exception_type": "ShortRead", "reason": "short_read"}, "source_unavailable"),
        (Origin.SOURCE, {"exception_type": "PermissionError", "reason": "EACCES"}, "source_forbidden"),
        (Origin.DESTINATION, {"reason": "invalid"}, "destination_refused"),
        (Origin.DESTINATION, {"reason": "accessDenied"}, "destination_forbidden"),
        (Origin.DESTINATION, {"reason": "quotaExceeded"}, "destination_quota"),
        (Origin.SIGNAL, {"exception_type": "AirflowTaskTimeout"}, "external_timeout"),
        (Origin.INTERNAL, {"system": "teams", "http_status": 429}, "external_rate_limit"),
        (Origin.INTERNAL, {"system": "mendline", "exception_type": "DefinitionError"}, "definition_wrong"),
        (Origin.INTERNAL, {"system": "mendline", "exception_type": "DefinitionMissing"}, "definition_missing"),
        (Origin.INTERNAL, {"system": "mendline", "exception_type": "KeyError"}, "internal_error"),
        (
            Origin.INTERNAL,
            {"system": "mendline", "exception_type": "OSError", "message": "[Errno 28] No space left on device"},
            "disk_full",
        ),
        (Origin.DEAD_LETTER, {"event_id": "e1"}, "dead_letter"),
        (Origin.DEAD_LETTER, {}, "dead_letter_unreplayable"),
    ],
)
def test_the_cause_depends_on_who_saw_it(origin: str, fields: dict[str, object], cause: str) -> None:
    diagnosis = diagnose(report(origin=origin, **fields))
    assert diagnosis.cause == cause
    assert diagnosis.cause in CAUSES


def test_words_alone_never_reach_what_lets_a_guarded_remedy_run() -> None:
    diagnosis = diagnose(report(message="psycopg2.errors.InsufficientPrivilege: permission denied for table x"))
    assert diagnosis.failure_class == FailureClass.PERMISSION_DENIED
    told = json.dumps({"diagnosis": {"because": [each._asdict() for each in diagnosis.evidence]}})
    finding = Finding(incident_id="i", fingerprint="f", confidence=diagnosis.confidence, evidence_json=told)
    assert finding.rests_on_words
    assert finding.p_cause <= WORDS_RELIED_ON_MAX < 0.8
    assert Finding(incident_id="i", fingerprint="f", confidence=0.9).p_cause == 0.9


def test_unknown_is_said_of_what_nobody_knows() -> None:
    """Its confidence is that nothing in the taxonomy fits; the cause has no remedy but a person."""
    diagnosis = diagnose(report(message="the frobnicator went sideways on Tuesday"))
    assert (diagnosis.failure_class, diagnosis.cause) == ("unknown", "external_failure")
