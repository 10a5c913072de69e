"""Goal: pushes of every wrapping reach the runtime as the same event, and nothing that is sent can break the shell."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from shared.domain.errors import StoreUnavailable, TerminalError
from shared.events.codec import encode, encode_structured, topic_of
from shared.events.types import Event, IncidentOpened, SourceDue
from shared.ports.ports import Ports
from shared.runtime import http
from shared.runtime.service import RawMessage, Service
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process, seen, watch

INCIDENT = topic_of(IncidentOpened)
EVENT = SourceDue(id="e1", time=1, subject="Zoë's", correlation_id="c", pipeline="p", uri="Zoë")
SENT = encode(EVENT, "/test")


class Box:
    """A service that keeps what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.got: list[Any] = []
        self._error = error
        self.service = Service(
            name="box", handlers={SourceDue: self._handle}, raw_handlers={"raw": self._raw}, collections=("things",)
        )

    def _handle(self, event: SourceDue, ports: Ports) -> Sequence[Event]:
        self.got.append(event)
        if self._error:
            raise self._error
        return []

    def _raw(self, message: RawMessage, ports: Ports) -> Sequence[Event]:
        self.got.append((message.data, dict(message.attributes)))
        if self._error:
            raise self._error
        return []


@pytest.fixture
def process(tmp_path: Path) -> Process:
    made = make_process(tmp_path, TurnedClock())
    watch(made, [INCIDENT])
    return made


def request(data: bytes = b"", path: str = "/", headers: dict[str, str] | None = None, method: str = "POST") -> Request:
    return Request(EnvironBuilder(path=path, method=method, data=data, headers=Headers(headers or {})).get_environ())


def wrapped(data: bytes = SENT.data, attributes: dict[str, str] | None = None, **beside: Any) -> bytes:
    message = {"data": base64.b64encode(data).decode(), "attributes": attributes or SENT.attributes, "messageId": "7"}
    subscription = "projects/p/subscriptions/box.mend-source-due-v1"
    return json.dumps({"message": message, "subscription": subscription, **beside}).encode()


def push(process: Process, box: Box, made: Request) -> int:
    return http.answer(box.service, process.runtime(), made)[1]


# ── one event, every wrapping ──────────────────────────────────────────────────────────────────────────────────────

BINARY = {name: value.encode().decode("latin-1") for name, value in SENT.attributes.items()}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (wrapped(), {"Content-Type": "application/json"}),
        (wrapped(), {}),
        (SENT.data, BINARY),
        (SENT.data, {name.title(): value for name, value in BINARY.items()}),
        (encode_structured(EVENT, "/test"), STRUCTURED),
        (wrapped(encode_structured(EVENT, "/test"), {"content-type": "application/cloudevents+json"}), {}),
    ],
)
def test_every_wrapping_is_the_same_event(process: Process, data: bytes, headers: dict[str, str]) -> None:
    box = Box()
    assert push(process, box, request(data, headers=headers)) == http.ACKNOWLEDGED
    assert box.got == [EVENT]
    assert push(process, box, request(wrapped())) == http.ACKNOWLEDGED
    assert box.got == [EVENT], "the same event in another wrapping is a repetition"


def test_what_is_said_beside_the_message() -> None:
    told = http.unwrap(wrapped(deliveryAttempt=4), {})
    assert (told.topic, told.attempt, told.message_id) == ("mend-source-due-v1", 4, "7")
    headers = {**SENT.attributes, "x-goog-pubsub-subscription-name": "projects/p/subscriptions/box.mend-source-due-v1"}
    headers |= {"x-goog-pubsub-delivery-attempt": "5", "x-goog-pubsub-message-id": "9"}
    told = http.unwrap(SENT.data, headers)
    assert (told.topic, told.attempt, told.message_id) == ("mend-source-due-v1", 5, "9")


def test_a_message_without_schema_is_known_by_its_subscription(process: Process) -> None:
    box = Box()
    message = {"data": base64.b64encode(b"{}").decode(), "attributes": None, "messageId": "1"}
    data = json.dumps({"message": message, "subscription": "projects/p/subscriptions/box.raw"}).encode()
    assert push(process, box, request(data)) == http.ACKNOWLEDGED
    assert box.got == [(b"{}", {})]


@pytest.mark.parametrize("attempt", ["", "0x1", "-1", "9" * 40, None, [], {}, True, 1.5])
def test_an_attempt_that_is_no_number_is_the_first(attempt: object) -> None:
    assert http.unwrap(wrapped(deliveryAttempt=attempt), {}).attempt == 1


# ── what comes of it ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "status"),
    [(StoreUnavailable("full"), 503), (TerminalError("wrong"), 204), (ZeroDivisionError(), 503), (None, 204)],
)
def test_status(process: Process, error: Exception | None, status: int) -> None:
    assert push(process, Box(error), request(wrapped())) == status


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"no",
            b"{}",
            b"[]",
            b"null",
            b'"x"',
            b"\xff\xfe",
            b"[" * 200_000,
            b'{"message": 5}',
            b'{"message": []}',
        ),
        *(
            b'{"message": {"data": "%%%"}}',
            b'{"message": {"data": 5}}',
            b'{"message": {"data": "e30=", "attributes": []}}',
        ),
        b'{"message": {"data": "e30=", "attributes": {"ce-type": "source.due.v1"}}}',
        b'{"message": {"data": "e30=", "attributes": {"ce-type": "no.such.v1"}}}',
        b'{"message": {"data": "\\ud800"}}',
        wrapped(b"\xff"),
        wrapped(attributes={**SENT.attributes, "ce-id": "another"}),
        wrapped(attributes={**SENT.attributes, "ce-specversion": "9"}),
    ],
)
def test_malformed_pushes_are_acknowledged_as_one_incident_each(process: Process, data: bytes) -> None:
    box = Box()
    for _ in range(2):
        assert push(process, box, request(data)) == http.ACKNOWLEDGED
    assert box.got == []
    assert len(seen(process, [INCIDENT])) == 1


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=60) | st.dictionaries(st.sampled_from(["message", "subscription"]), st.none() | st.text() |
    st.dictionaries(st.sampled_from(["data", "attributes", "messageId"]), st.none() | st.text() | st.integers()))
    .map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(st.sampled_from(["ce-type", "ce-id", "content-type"]), st.text(max_size=20)),
)  # fmt: skip
def test_unwrapping_never_raises(data: bytes, headers: dict[str, str]) -> None:
    told = http.unwrap(data, headers)
    assert isinstance(told.data, bytes)
    assert all(isinstance(value, str) for value in told.attributes.values())


# ── sizes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def without_length(data: bytes) -> Request:
    """As a chunked request comes: the server ends the stream, nobody says how long it is."""
    environ = EnvironBuilder(path="/", method="POST").get_environ()
    environ.pop("CONTENT_LENGTH", None)
    return Request({**environ, "wsgi.input": io.BytesIO(data), "wsgi.input_terminated": True})


def test_too_large(process: Process) -> None:
    box = Box()
    large = b"x" * (http.REQUEST_BYTES_MAX + 1)
    for made in (request(large), without_length(large)):
        assert push(process, box, made) == 413
    for made in (request(large), without_length(large)):
        assert http.take_in(box.service, process.runtime(), "raw", made, "n")[1] == 413
    assert box.got == []


def test_a_request_that_does_not_say_its_length(process: Process) -> None:
    box = Box()
    assert push(process, box, without_length(wrapped())) == http.ACKNOWLEDGED
    assert box.got == [EVENT]


def test_the_server_gives_little_at_a_time(process: Process) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size if size and size > 0 else 7, 7))

    box = Box()
    data = wrapped()
    environ = EnvironBuilder(path="/", method="POST", data=data).get_environ()
    assert push(process, box, Request({**environ, "wsgi.input": Slow(data)})) == http.ACKNOWLEDGED
    assert box.got == [EVENT]


# ── strangers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def take_in(process: Process, box: Box, made: Request, new_id: str = "n") -> int:
    return http.take_in(box.service, process.runtime(), "raw", made, new_id)[1]


def test_a_stranger_is_answered_when_it_is_taken_in(process: Process) -> None:
    box = Box()
    assert take_in(process, box, request(b"{}", "/signals/airflow/")) == 202
    assert box.got == [(b"{}", {"kind": "airflow"})]
    assert take_in(process, box, request(method="GET")) == 405


def test_a_message_that_names_itself_is_taken_in_once(process: Process) -> None:
    box = Box()
    named = {"X-Request-Id": "1"}
    assert [take_in(process, box, request(b"{}", headers=named), new_id) for new_id in "ab"] == [202, 202]
    assert len(box.got) == 1
    assert take_in(process, box, request(b"{ }", headers=named)) == 202
    tick = {"X-CloudScheduler-ScheduleTime": "2024-01-01T00:00:00Z"}
    assert [take_in(process, box, request(b"{}", headers=tick), new_id) for new_id in "cd"] == [202, 202]
    assert [take_in(process, box, request(b"{}"), new_id) for new_id in "ef"] == [202, 202]
    assert len(box.got) == 5


def test_a_strangers_mistake_and_ours(process: Process) -> None:
    assert take_in(process, Box(TerminalError("wrong")), request(b"{}"), "a") == 400
    assert take_in(process, Box(StoreUnavailable("full")), request(b"{}"), "b") == 503
    assert len(seen(process, [INCIDENT])) == 1


@pytest.mark.parametrize("path", ["/", "//", "/signals/" + "x" * 5_000, "/signals/%00%ff", "/\u202e"])
def test_strange_paths(process: Process, path: str) -> None:
    box = Box()
    assert take_in(process, box, request(b"{}", path, {"X-Request-Id": "y" * 5_000})) == 202
    ((_, attributes),) = box.got
    assert len(attributes["kind"]) <= 100
