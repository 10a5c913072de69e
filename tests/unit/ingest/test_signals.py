"""Goal: what strangers report becomes one incident per failure, whatever it looks like, and tells no secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest import signals
from shared.domain.errors import MalformedEvent
from shared.events.codec import decode, encode
from shared.events.types import ClockTicked, IncidentOpened
from tests.unit.ingest.world import IngestWorld

CAUSE = ClockTicked(id="c", time=1, subject="s", correlation_id="c")


def incident(signal: dict[str, Any], address: str = "") -> IncidentOpened:
    return signals.incident_of(signal, address, CAUSE, 1)


# ── generic ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ({"system": "dataflow", "message": "worker lost"}, {"system": "dataflow", "message": "worker lost"}),
        ({"source": "x", "error": "it broke"}, {"system": "x", "message": "it broke"}),
        (
            {"error": {"message": "no", "type": "AccessDenied", "code": 403, "status": "PERMISSION_DENIED"}},
            {
                "system": "external",
                "exception_type": "AccessDenied",
                "http_status": 403,
                "grpc_status": "PERMISSION_DENIED",
            },
        ),
        ({"status": 503, "reason": "backendError"}, {"http_status": 503, "reason": "backendError"}),
        ({"http_status": "429"}, {"http_status": 429}),
        ({"http_status": 42}, {"http_status": 0}),
        ({"http_status": True}, {"http_status": 0}),
        ({"exit_code": -9, "sqlstate": "42P01"}, {"exit_code": -9, "sqlstate": "42P01"}),
        ({"exit_code": "137"}, {"exit_code": 137}),
        ({"exit_code": 10**30}, {"exit_code": 0}),
        ({"pipeline": "flights"}, {"pipeline": "flights"}),
        ({}, {"system": "external", "message": ""}),
    ],
)
def test_generic(signal: dict[str, Any], expected: dict[str, Any]) -> None:
    made = incident(signal)
    assert made.origin == "signal"
    assert {name: getattr(made, name) for name in expected} == expected


# ── Airflow ────────────────────────────────────────────────────────────────────────────────────────────────────────

CALLBACK = {
    "dag_id": "load_flights",
    "task_id": "copy",
    "run_id": "scheduled__2024-01-01",
    "try_number": 2,
    "exception": "google.api_core.exceptions.Forbidden: 403 GET https://x: permission denied",
}


@pytest.mark.parametrize(
    ("exception", "kind", "message"),
    [
        ("airflow.exceptions.AirflowException: Bash command failed", "AirflowException", "Bash command failed"),
        ("ValueError: no such bucket", "ValueError", "no such bucket"),
        ("just words: and more", "", "just words: and more"),
        ({"type": "KeyError", "message": "gone"}, "KeyError", "gone"),
        (None, "", ""),
        (17, "", ""),
        ("", "", ""),
    ],
)
def test_airflow_exceptions(exception: object, kind: str, message: str) -> None:
    made = incident({**CALLBACK, "exception": exception})
    assert (made.system, made.exception_type, made.message) == ("airflow", kind, message)


@pytest.mark.parametrize(
    "signal",
    [
        CALLBACK,
        {"task_instance": {"dag_id": "load_flights", "task_id": "copy"}, "exception": CALLBACK["exception"]},
        {"kind": "airflow", **CALLBACK},
        {"kind": {"a": 1}, **CALLBACK},
    ],
)
def test_airflow_is_recognised(signal: dict[str, Any]) -> None:
    assert incident(signal).system == "airflow"
    assert "load_flights.copy" in incident(signal).fingerprint


def test_the_address_says_the_kind_unless_the_signal_does() -> None:
    assert incident({"message": "x"}, "airflow").system == "airflow"
    assert incident({"message": "x"}, "anything").system == "external"
    assert incident({"kind": "generic", "dag_id": "x"}, "airflow").system == "external"


def test_runs_and_tries_are_evidence_and_do_not_make_new_incidents() -> None:
    first = incident(CALLBACK)
    second = incident({**CALLBACK, "run_id": "scheduled__2024-01-02", "try_number": 3})
    assert first.fingerprint == second.fingerprint
    assert json.loads(first.evidence_json)["run_id"] == "scheduled__2024-01-01"


# ── one failure, one fingerprint ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"message": "row 17 of 20 failed"}, {"message": "row 4 of 99 failed"}, True),
        ({"message": "disk full"}, {"message": "no memory"}, False),
        ({"system": "a", "message": "x"}, {"system": "b", "message": "x"}, False),
        ({"job": "a", "message": "x"}, {"job": "b", "message": "x"}, False),
        ({"job": "a", "id": "1", "message": "x"}, {"job": "a", "id": "2", "message": "x"}, True),
        ({"http_status": 403, "message": "x"}, {"http_status": 403, "message": "y"}, True),
        ({"http_status": 403}, {"http_status": 500}, False),
    ],
)
def test_fingerprints(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert (incident(one).fingerprint == incident(other).fingerprint) == same


def test_reports_of_one_failure_are_events_of_their_own(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    for _ in range(2):
        world.signal(json.dumps(CALLBACK).encode())
    first, second = world.incidents()
    assert (first.fingerprint == second.fingerprint, first.id == second.id) == (True, False)


# ── strangers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"no", b"[]", b"17", b'"x"', b"\xff", b"\x00", b"{'a': 1}", b"{" * 50_000, b"[" * 500_000),
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"message": "' + b"x" * signals.SIGNAL_BYTES_MAX + b'"}',
        b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    ],
)
def test_what_is_no_signal_is_an_incident_that_does_not_quote_it(tmp_path: Path, data: bytes) -> None:
    world = IngestWorld(tmp_path)
    assert world.signal(data).outcome in ("terminal", "malformed")
    (made,) = world.incidents()
    assert made.exception_type == "MalformedEvent"
    assert len(made.model_dump_json()) < 3_000


deep: Any = 1
for _ in range(800):
    deep = {"a": deep}


@pytest.mark.parametrize("kind", ["generic", "airflow"])
@pytest.mark.parametrize(
    "signal",
    [
        dict.fromkeys(("kind", "system", "message", "error", "exception", "id", "dag_id", "task_instance"), deep),
        dict.fromkeys(("system", "message", "id", "dag_id", "exception", "pipeline"), "�\x00\x1b[31m\u202e" * 50),
        dict.fromkeys(("system", "message", "id", "dag_id", "task_id", "exception", "reason"), "x" * 100000),
        dict.fromkeys(("system", "exit_code", "http_status", "dag_id", "reason", "try_number"), 10**4000),
        {name: [1] * 10_000 for name in ("system", "message", "error", "exception", "reason", "dag_id", "kind")},
        {name: float("nan") for name in ("system", "http_status", "exit_code", "message")},
        dict.fromkeys(("system", "http_status", "exit_code", "message", "error", "exception")),
        {f"key {number}" * 20: number for number in range(5_000)},
        {"task_instance": {"\ud800": "\udfff"}, "\ud800": 1, "dag_id": "\ud800"},
    ],
)
def test_hostile_signals_are_bounded_incidents(tmp_path: Path, signal: dict[str, Any], kind: str) -> None:
    world = IngestWorld(tmp_path)
    assert world.signal(json.dumps(signal).encode(), kind).outcome == "handled"
    (made,) = world.incidents()
    text = made.model_dump_json()
    assert len(text) < 60_000
    assert isinstance(json.loads(made.evidence_json), dict)
    assert not {"\x00", "\x1b", "\u202e"} & set(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    ["kind", "system", "message", "error", "exception", "task_instance", "dag_id", "status", "exit_code", "job", "id"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(signal=st.dictionaries(keys | st.text(max_size=8), values, max_size=8), address=st.sampled_from(["", "airflow"]))
def test_any_json_object_is_a_signal(signal: dict[str, Any], address: str) -> None:
    try:
        parsed = signals.parse(json.dumps(signal).encode())
    except MalformedEvent:
        return
    made = incident(parsed, address)
    sent = encode(made, "/test")
    assert decode(sent.data, sent.attributes) == made
    assert incident(parsed, address).fingerprint == made.fingerprint


SECRET = "hunter2-s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"password: {SECRET}",
        f"PASSWORD='{SECRET} {SECRET}'",
        f"db_password={SECRET} next",
        f"access_token={SECRET}",
        f"client_secret: {SECRET}",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization = Basic {SECRET}",
        f"Bearer {SECRET}",
        f"X-Api-Key: {SECRET}",
        f"https://user:{SECRET}@host/x",
        f"https://{SECRET}@host/x",
        f"postgres://user:p@{SECRET}@host/db",
        f"https://host/x?sig={SECRET}&y=1",
        f'{{"password": "{SECRET}"}}',
        f"failed for '{SECRET}'",
    ],
)
@pytest.mark.parametrize("form", ["generic", "airflow", "name"])
def test_secrets_are_not_told(text: str, form: str) -> None:
    forms: dict[str, dict[str, Any]] = {
        "generic": {"message": text},
        "airflow": {**CALLBACK, "exception": f"ValueError: {text}"},
        "name": {"system": text, "reason": text, "message": "x"},
    }
    if form == "name" and text.startswith("failed"):
        return
    assert SECRET not in incident(forms[form]).model_dump_json()


def test_masking_a_message_of_a_megabyte_is_linear() -> None:
    """A pattern that goes back and forth over such a text would take minutes."""
    import time

    for text in ("token-" * 200_000, "a-" * 400_000, "://" * 300_000, "'" * 900_000, "password=" * 100_000):
        started = time.process_time()
        incident({"message": text, "system": text, "exception": text})
        incident({"message": text, "exception": text}, "airflow")
        assert time.process_time() - started < 20, text[:10]
