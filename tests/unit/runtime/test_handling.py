"""Goal: the failure table and the outbox hold. Method: a small service, real bus and store, and planted faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.errors import ForeignFailure, StoreUnavailable, TerminalError
from shared.domain.incident import Origin
from shared.events.codec import encode, topic_of
from shared.events.types import ClockTicked, Event, IncidentOpened, RetryRequested, SourceDue
from shared.ports.ports import Ports
from shared.runtime.handling import FAILURES_MAX, Outcome
from shared.runtime.service import RawMessage, Service
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import logged, make_process, seen, watch

TICKED = topic_of(ClockTicked)
INCIDENT = topic_of(IncidentOpened)
Body = Callable[[SourceDue, Ports], Sequence[Event]]


class Box:
    """A service whose handler a test writes, and how often it ran."""

    def __init__(self, body: Body) -> None:
        self.calls = 0
        self._body = body
        self.service = Service(
            name="box",
            handlers={SourceDue: self._handle},
            raw_handlers={"raw": self._raw},
            collections=("things",),
            emits=(ClockTicked, IncidentOpened),
            foreign_origin=Origin.SOURCE,
        )

    def _handle(self, event: SourceDue, ports: Ports) -> Sequence[Event]:
        self.calls += 1
        return self._body(event, ports)

    def _raw(self, message: RawMessage, ports: Ports) -> Sequence[Event]:
        self.calls += 1
        return []


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """Bus and state apart, as in the cloud: each step may fail alone."""
    made = replace(make_process(tmp_path, TurnedClock()), together=nullcontext)
    watch(made, [TICKED, INCIDENT])
    return made


def due(event_id: str = "e1") -> SourceDue:
    return SourceDue(id=event_id, time=1, subject="p", correlation_id="c", pipeline="p", uri="u")


def deliver(process: Process, box: Box, event: Event | None = None, attempt: int = 1) -> Outcome:
    sent = encode(event or due(), "/test")
    return process.runtime().deliver(box.service, sent.topic, sent.data, sent.attributes, attempt=attempt)


def ticks(event: SourceDue, ports: Ports) -> Sequence[Event]:
    count = (ports.state.get("things", "count") or {"n": 0})["n"]
    ports.state.put("things", "count", {"n": count + 1})
    return [ClockTicked.caused_by(event, f"tick {number}", ports.clock.now()) for number in (1, 2)]


def count(process: Process) -> int:
    stored = process.store.get("things", "count")
    return int(stored.data["n"]) if stored else 0


def test_handled_once_however_often_it_is_delivered(process: Process) -> None:
    box = Box(ticks)
    assert deliver(process, box) == Outcome(True, "handled")
    assert deliver(process, box) == Outcome(True, "repeated")
    assert (box.calls, count(process), len(seen(process, [TICKED]))) == (1, 1, 2)


class Failing:
    """A port of which one method fails a number of times, before or after it took effect."""

    def __init__(self, inner: Any, method: str, times: int, *, after: bool) -> None:
        self._inner, self._method, self._times, self._after = inner, method, times, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if self._times > 0:
                self._times -= 1
                if self._after:
                    found(*arguments, **named)
                raise StoreUnavailable("the store said no")
            return found(*arguments, **named)

        return call


@pytest.mark.parametrize("after", [False, True])
def test_where_bus_and_state_share_a_transaction_a_bus_that_fails_leaves_nothing_behind(
    tmp_path: Path, after: bool
) -> None:
    process = make_process(tmp_path, TurnedClock())
    watch(process, [TICKED, INCIDENT])
    box = Box(ticks)
    broken = replace(process, bus=Failing(process.bus, "publish", 1, after=after))
    assert deliver(broken, box).outcome == "transient"
    assert (count(process), seen(process, [TICKED])) == (0, [])
    assert deliver(process, box) == Outcome(True, "handled")
    assert (box.calls, count(process), len(seen(process, [TICKED]))) == (2, 1, 2)


@pytest.mark.parametrize("after", [False, True])
def test_a_bus_that_fails_after_the_commit_gets_the_same_events_later(process: Process, after: bool) -> None:
    box = Box(ticks)
    broken = replace(process, bus=Failing(process.bus, "publish", 1, after=after))
    assert not deliver(broken, box).acknowledge
    assert deliver(broken, box, attempt=2) == Outcome(True, "repeated")
    ids = [event.id for event in seen(process, [TICKED])]
    assert (box.calls, count(process), len(set(ids))) == (1, 1, 2)


def test_a_commit_that_did_not_happen_is_handled_again(process: Process) -> None:
    box = Box(ticks)
    broken = replace(process, store=Failing(process.store, "commit", 1, after=False))
    assert not deliver(broken, box).acknowledge
    assert deliver(broken, box, attempt=2).outcome == "handled"
    assert (count(process), len(seen(process, [TICKED]))) == (1, 2)


def test_a_commit_that_happened_and_said_it_did_not_is_not_handled_again(process: Process) -> None:
    box = Box(ticks)
    broken = replace(process, store=Failing(process.store, "commit", 1, after=True))
    assert not deliver(broken, box).acknowledge
    assert deliver(broken, box, attempt=2).outcome == "repeated"
    assert (box.calls, count(process), len(seen(process, [TICKED]))) == (1, 1, 2)


def test_a_document_that_changed_meanwhile_makes_the_handler_run_again(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        seen_count = (ports.state.get("things", "count") or {"n": 0})["n"]
        if box.calls == 1:
            from shared.ports.state_store import Put

            process.store.commit([Put("things", "count", {"n": 41})])
        ports.state.put("things", "count", {"n": seen_count + 1})
        return []

    box = Box(body)
    assert deliver(process, box).outcome == "handled"
    assert (box.calls, count(process)) == (2, 42)


def test_a_foreign_failure_is_an_incident_with_its_evidence_and_no_state(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        ports.state.put("things", "count", {"n": 9})
        raise ForeignFailure(
            "no answer", system="http", exception_type="ConnectTimeout", http_status=503, reason="busy"
        )

    box = Box(body)
    assert deliver(process, box) == Outcome(True, "foreign")
    assert deliver(process, box).outcome == "repeated"
    (incident,) = seen(process, [INCIDENT])
    assert isinstance(incident, IncidentOpened)
    assert (incident.origin, incident.system, incident.http_status, incident.reason) == ("source", "http", 503, "busy")
    assert (incident.service, incident.event_id, incident.event_topic) == ("box", "e1", topic_of(SourceDue))
    assert (incident.pipeline, incident.uri, count(process)) == ("p", "u", 0)


def test_a_retry_handles_the_kept_event_again_under_a_new_id(process: Process) -> None:
    answers = [True, True, False]

    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        if answers.pop(0):
            raise ForeignFailure("no answer", system="http", http_status=503)
        return ticks(event, ports)

    box = Box(body)
    deliver(process, box)
    for number in (1, 2):
        retry = RetryRequested(
            id=f"retry{number}",
            time=2,
            subject="r",
            correlation_id="c",
            remedy_id="r1",
            service="box",
            event_id="e1",
            event_topic=topic_of(SourceDue),
        )
        deliver(process, box, retry)
        deliver(process, box, retry)
    first, second = seen(process, [INCIDENT])
    assert first.id != second.id
    assert getattr(first, "fingerprint", 1) == getattr(second, "fingerprint", 2)
    assert (box.calls, count(process), len(seen(process, [TICKED]))) == (3, 1, 2)


def test_a_retry_for_another_service_is_ignored(process: Process) -> None:
    box = Box(ticks)
    fields: dict[str, Any] = {"id": "r", "time": 1, "subject": "s", "correlation_id": "c", "remedy_id": "r"}
    retry = RetryRequested(**fields, service="other", event_id="e1", event_topic="t")
    assert deliver(process, box, retry) == Outcome(True, "ignored")
    assert box.calls == 0


def test_a_terminal_error_is_an_incident_at_once(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        raise TerminalError("the contract 'secret cell' is wrong")

    box = Box(body)
    assert deliver(process, box) == Outcome(True, "terminal")
    (incident,) = seen(process, [INCIDENT])
    assert isinstance(incident, IncidentOpened)
    assert incident.origin == "internal"
    assert "secret cell" not in incident.model_dump_json()


def test_what_nobody_foresaw_is_tried_again_and_the_third_time_an_incident_with_its_stack(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        raise ZeroDivisionError("planted")

    box = Box(body)
    outcomes = [deliver(process, box, attempt=number).acknowledge for number in range(1, FAILURES_MAX + 1)]
    assert outcomes == [False] * (FAILURES_MAX - 1) + [True]
    (incident,) = seen(process, [INCIDENT])
    assert isinstance(incident, IncidentOpened)
    assert incident.exception_type == "ZeroDivisionError"
    assert "test_handling.py" in incident.evidence_json
    assert (box.calls, deliver(process, box).outcome) == (FAILURES_MAX, "repeated")


def test_malformed_bytes_become_one_incident_and_are_acknowledged(process: Process) -> None:
    box = Box(ticks)
    runtime = process.runtime()
    for _ in range(2):
        outcome = runtime.deliver(box.service, topic_of(SourceDue), b"junk", {"ce-type": "source.due.v1"})
        assert outcome.acknowledge
    assert (box.calls, len(seen(process, [INCIDENT]))) == (0, 1)


def test_writing_anothers_collection_is_refused(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        ports.state.put("incidents", "i1", {})
        return []

    assert deliver(process, Box(body)).outcome == "terminal"
    assert process.store.get("incidents", "i1") is None


def test_more_than_a_hundred_events_are_refused_before_anything_is_written(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        ports.state.put("things", "count", {"n": 1})
        return [ClockTicked.caused_by(event, str(number), 1) for number in range(101)]

    assert deliver(process, Box(body)).outcome == "terminal"
    assert (count(process), seen(process, [TICKED])) == (0, [])


def test_large_receipts_are_spread_over_documents_and_come_back_whole(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        fields = {"pipeline": "p", "fingerprint": "f", "origin": "signal", "evidence_json": "x" * 30_000}
        return [IncidentOpened.caused_by(event, str(number), 1, **fields) for number in range(60)]

    box = Box(body)
    broken = replace(process, bus=Failing(process.bus, "publish", 1, after=False))
    assert not deliver(broken, box).acknowledge
    assert deliver(broken, box, attempt=2).outcome == "repeated"
    assert (box.calls, len(seen(process, [INCIDENT]))) == (1, 60)


def test_one_log_line_per_delivery_names_what_it_was_about(process: Process) -> None:
    watched, lines = logged(process)
    deliver(watched, Box(ticks))
    (line,) = lines
    assert (line.service, line.event, line.event_id, line.about, line.correlation, line.outcome) == (
        *("box", "source.due.v1", "e1", "p", "c", "handled"),
    )
    assert line.milliseconds >= 0


def test_the_trace_goes_on_and_each_handling_has_its_own_span(process: Process) -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    deliver(process, Box(ticks), due().model_copy(update={"traceparent": trace}))
    emitted = seen(process, [TICKED])
    spans = {event.traceparent for event in emitted}
    assert len(spans) == 1
    assert spans.pop().split("-")[1] == "a" * 32
    assert emitted[0].traceparent != trace


def test_two_equal_raw_messages_are_two_and_a_redelivered_one_is_one(process: Process) -> None:
    box = Box(ticks)
    runtime = process.runtime()
    for message_id in ("1", "1", "2"):
        runtime.deliver(box.service, "raw", b"{}", {}, message_id=message_id)
    assert box.calls == 2


def test_an_event_that_the_service_does_not_say_it_emits_is_a_bug_and_nothing_is_kept(process: Process) -> None:
    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        ports.state.put("things", "a", {"n": 1})
        return [RetryRequested.caused_by(event, "x", 1, remedy_id="r", service="box", event_id="e", event_topic="t")]

    box = Box(body)
    assert deliver(process, box, due()).outcome == "terminal"
    assert process.store.get("things", "a") is None
    (incident,) = seen(process, [INCIDENT])
    assert "box does not say that it emits event.retry.v1" in str(incident)
