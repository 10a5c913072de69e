"""The one place that turns a handler's outcome into acknowledge or retry (the design's failure table)."""

from __future__ import annotations

import dataclasses
import hashlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from shared.domain.checks import check
from shared.domain.errors import Conflict, ForeignFailure, MalformedEvent, TerminalError, TransientError
from shared.domain.ids import derive
from shared.domain.incident import Origin
from shared.domain.masking import mask
from shared.events.codec import decode, encode, from_document, topic_of
from shared.events.types import Event, RetryRequested
from shared.ports.event_bus import EventBus, Message
from shared.ports.metrics import Metrics
from shared.ports.ports import Ports
from shared.ports.state_store import Delete, Expect, Put, StateStore
from shared.runtime import receipts
from shared.runtime.failures import incident_of
from shared.runtime.logs import EventLog, LogLine
from shared.runtime.service import RawMessage, Service
from shared.runtime.unit_of_work import UnitOfWork

CONFLICTS_MAX = 5  # reruns of a handler within one delivery before the bus is asked to deliver again
FAILURES_MAX = 3  # the third exception nobody foresaw becomes an incident


class Outcome(NamedTuple):
    """What to do with the delivery: acknowledge, or deliver again after ``delay_seconds``."""

    acknowledge: bool
    outcome: str  # handled | repeated | malformed | terminal | foreign | unforeseen | transient | ignored
    delay_seconds: float = 0.0


class Runtime:
    """Handles deliveries for services: decode, receipt, transaction, publish, log.

    The order is commit → publish → mark → acknowledge (the caller acknowledges). A redelivered event whose receipt
    is unpublished is published, not handled again. Where bus and state share a transaction (``together``), the first
    three are one step.
    """

    def __init__(
        self,
        *,
        store: StateStore,
        bus: EventBus,
        ports: Callable[[Service, UnitOfWork], Ports],
        log: EventLog,
        metrics: Metrics,
        clock_now: Callable[[], int],
        monotonic: Callable[[], float],
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._store = store
        self._bus = bus
        self._ports = ports
        self._log = log
        self._metrics = metrics
        self._now = clock_now
        self._monotonic = monotonic
        self._together = together
        self._in_one_step = together is not nullcontext

    def deliver(
        self,
        service: Service,
        topic: str,
        data: bytes,
        attributes: Mapping[str, str],
        *,
        attempt: int = 1,
        message_id: str = "",
    ) -> Outcome:
        """Handle one delivered message of a topic, the ``attempt``-th time (from 1).

        ``message_id`` tells two equal messages of a topic without schema apart; an event has an id of its own.
        """
        started = self._monotonic()
        event: Event | None = None
        try:
            if topic in service.raw_handlers:
                raw = raw_message(topic, data, attributes, message_id, self._now())
                event = raw.event
                outcome = self._settle(service, raw.event, raw)
            else:
                try:
                    event = decode(data, attributes)
                except MalformedEvent as error:
                    event = _envelope(topic, data, attributes, "", self._now())
                    outcome = self._fail(service, event, error, "malformed")
                else:
                    outcome = self._settle(service, event, None)
        except TransientError as error:
            outcome = Outcome(False, "transient", backoff_seconds(attempt))
            self._log.note("transient", service.name, mask(str(error)))
        line = _log_line(service, topic, event, outcome, (self._monotonic() - started) * 1000, attempt)
        self._log.line(line)
        labels = {"service": line.service, "event": line.event, "outcome": line.outcome}
        self._metrics.record("handler_ms", line.milliseconds, labels)
        return outcome

    def _settle(self, service: Service, event: Event, raw: RawMessage | None) -> Outcome:
        if isinstance(event, RetryRequested) and event.service != service.name:
            return Outcome(True, "ignored")
        receipt = receipts.read(self._store, service.name, event.id)
        if receipt is not None and receipt.state != "failing":
            if not receipt.published:
                self._publish(service, receipt.events)
                receipts.mark_published(self._store, service.name, event.id)
            return Outcome(True, "repeated")
        failures = receipt.failures if receipt is not None else 0
        version = receipt.version if receipt is not None else 0
        try:
            return self._handle(service, event, raw, failures, version)
        except TransientError:
            raise
        except ForeignFailure as error:
            return self._fail(service, event, error, "foreign")
        except TerminalError as error:
            return self._fail(service, event, error, "terminal")
        except Exception as error:  # what nobody foresaw must be seen and retried, and said the third time
            if failures + 1 >= FAILURES_MAX:
                return self._fail(service, event, error, "unforeseen")
            self._log.note("unforeseen", service.name, mask("".join(traceback.format_exception(error)), 4_000))
            failing = receipts.writes(service.name, event, [], state="failing", now=self._now(), failures=failures + 1)
            self._commit(service, event, version, failing, [])
            return Outcome(False, "unforeseen", backoff_seconds(failures + 1))

    def _handle(self, service: Service, event: Event, raw: RawMessage | None, failures: int, version: int) -> Outcome:
        for _ in range(CONFLICTS_MAX):
            state = UnitOfWork(self._store, service.name, service.collections)
            emitted = self._call(service, event, raw, self._ports(service, state))
            unsaid = sorted({each.TYPE for each in emitted if type(each) not in service.emits})
            check(not unsaid, f"{service.name} does not say that it emits {', '.join(unsaid)}")
            traced = [_traced(each, event, service.name) for each in emitted]
            receipt = receipts.writes(
                service.name,
                event,
                traced,
                state="handled",
                now=self._now(),
                failures=failures,
                published=self._in_one_step,
            )
            changes, expects = state.changes()
            try:
                with self._together():
                    self._commit(service, event, version, [*changes, *receipt], expects)
                    self._publish(service, traced)
                    if traced and not self._in_one_step:
                        receipts.mark_published(self._store, service.name, event.id)
            except Conflict:
                if receipts.read(self._store, service.name, event.id) is not None and version == 0:
                    return self._settle(service, event, raw)  # another delivery of the same event was faster
                continue
            return Outcome(True, "handled")
        raise Conflict(f"{service.name}: the state kept changing while {event.TYPE} was handled")

    def _call(self, service: Service, event: Event, raw: RawMessage | None, ports: Ports) -> Sequence[Event]:
        if raw is not None:
            return service.raw_handlers[raw.topic](raw, ports)
        if isinstance(event, RetryRequested):
            kept = receipts.read(self._store, service.name, event.event_id)
            if kept is None or kept.event is None:
                return []  # nothing was kept: the event was handled after all, or never failed here
            original = from_document(kept.event)
            event = original.model_copy(update={"id": derive("retry", event.id, original.id)})
        handler = service.handlers.get(type(event))
        if handler is None:
            raise MalformedEvent(f"{service.name} does not handle {event.TYPE}")
        return handler(event, ports)

    def _fail(self, service: Service, event: Event, error: Exception, kind: str) -> Outcome:
        """Write the failure's receipt with its incident, publish it, and acknowledge."""
        existing = receipts.read(self._store, service.name, event.id)
        if existing is not None and existing.state != "failing":
            if not existing.published:
                self._publish(service, existing.events)
                receipts.mark_published(self._store, service.name, event.id)
            return Outcome(True, "repeated")
        origin = service.foreign_origin if kind == "foreign" else Origin.INTERNAL
        failed = self._original_of(service, event)
        report = incident_of(service.name, origin, failed, event, error, self._now())
        incident = _traced(report, event, service.name)
        version = existing.version if existing is not None else 0
        keep = bool(report.event_id)
        kept = receipts.writes(service.name, failed, [incident], state="failed", now=self._now(), keep_event=keep)
        if failed.id != event.id:  # a retry failed: its own receipt carries the incident, the original stays retryable
            kept = receipts.writes(service.name, event, [incident], state="failed", now=self._now())
        self._commit(service, event, version, kept, [])
        self._publish(service, [incident])
        receipts.mark_published(self._store, service.name, event.id)
        return Outcome(True, kind)

    def _original_of(self, service: Service, event: Event) -> Event:
        if not isinstance(event, RetryRequested):
            return event
        kept = receipts.read(self._store, service.name, event.event_id)
        return from_document(kept.event) if kept is not None and kept.event is not None else event

    def _commit(
        self, service: Service, event: Event, version: int, changes: Sequence[Put | Delete], expects: Sequence[Expect]
    ) -> None:
        mine = Expect(receipts.COLLECTION, receipts.key_of(service.name, event.id), version)
        self._store.commit(changes, [mine, *expects])

    def _publish(self, service: Service, events: Sequence[Event]) -> None:
        if events:
            self._bus.publish(messages_of(service.name, events))


def messages_of(service: str, events: Sequence[Event]) -> list[Message]:
    """The events as messages to publish."""
    encoded = [encode(event, f"/mendline/{service}") for event in events]
    return [Message(each.topic, each.data, each.attributes) for each in encoded]


def raw_message(topic: str, data: bytes, attributes: Mapping[str, str], message_id: str, now: int) -> RawMessage:
    """A message of a topic without schema; redelivered, it is the same message."""
    envelope = _envelope(topic, data, attributes, message_id, now)
    return RawMessage(event=envelope, topic=topic, data=data, attributes=dict(attributes))


def backoff_seconds(attempt: int) -> float:
    """How long to wait before the next delivery: 1 s doubled per attempt, at most 5 minutes."""
    return float(min(2 ** min(attempt - 1, 10), 300))


class RawEnvelope(Event):
    """Stands for a message that is no event of ours, so that what it causes has a cause."""

    TYPE = "raw.message"


def _envelope(topic: str, data: bytes, attributes: Mapping[str, str], message_id: str, now: int) -> Event:
    about = derive(
        topic,
        message_id,
        hashlib.sha256(data).hexdigest(),
        *(f"{name}={attributes[name]}" for name in sorted(attributes)),
    )
    return RawEnvelope(id=about, time=now, subject=topic, correlation_id=about)


def _traced(emitted: Event, cause: Event, service: str) -> Event:
    known = emitted.traceparent or cause.traceparent  # its own where it belongs to another story than what called it
    trace = known.split("-")[1] if known.count("-") == 3 else derive(cause.correlation_id)
    return emitted.model_copy(update={"traceparent": f"00-{trace}-{derive(service, cause.id, length=16)}-01"})


def _log_line(
    service: Service, topic: str, event: Event | None, outcome: Outcome, milliseconds: float, attempt: int
) -> LogLine:
    about = getattr(event, "batch_id", "") or getattr(event, "incident_id", "") or (event.subject if event else "")
    return LogLine(
        service=service.name,
        event=event.TYPE if event and event.TYPE != RawEnvelope.TYPE else topic,
        event_id=event.id if event else "",
        about=mask(about, 200),
        correlation=event.correlation_id if event else "",
        outcome=outcome.outcome,
        milliseconds=round(milliseconds, 3),
        attempt=attempt,
        traceparent=event.traceparent if event else "",
    )


def subscriptions_of(service: Service) -> list[str]:
    """The topics a service must be subscribed to."""
    typed = [topic_of(event_type) for event_type in service.handlers]
    return [*typed, *service.raw_handlers, topic_of(RetryRequested)]


def with_state(ports: Ports, state: UnitOfWork) -> Ports:
    """The process's ports for the handling of one event."""
    return dataclasses.replace(ports, state=state)
