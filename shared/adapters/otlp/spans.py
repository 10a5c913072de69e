"""Handled events as spans, sent by OTLP over HTTP: one batch's whole path is one trace."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from shared.domain.errors import DefinitionError
from shared.domain.ids import derive

if TYPE_CHECKING:
    from requests import Session

FLUSH_MILLISECONDS: Final = 5_000
TRY_SECONDS_MAX: Final = 2  # a command that has ended waits no longer for a collector that does not answer
_TRACEPARENT_PARTS: Final = 4
_CLOUD: Final = "telemetry.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/trace.append"
# What an event's own span is for; a delivery that comes again, or that is nobody's, did nothing.
_FINAL: Final = frozenset({"handled", "foreign", "terminal", "malformed"})
_IDLE: Final = frozenset({"repeated", "ignored"})


class Handled(Protocol):
    """What is told of one delivery."""

    @property
    def service(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def correlation(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def milliseconds(self) -> float: ...
    @property
    def attempt(self) -> int: ...
    @property
    def traceparent(self) -> str: ...


class _Complaints(logging.Handler):
    """What the library says of failures goes where ours go, not to a terminal."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._complain = complain

    def emit(self, record: logging.LogRecord) -> None:
        self._complain(record.getMessage())


class OtlpSpans:
    """Sends spans in the background, in batches; what cannot be sent is dropped, and no event waits for it."""

    def __init__(self, endpoint: str, project: str, version: str, complain: Callable[[str], None]) -> None:
        """``endpoint`` takes OTLP over HTTP, for example ``http://localhost:4318/v1/traces``.

        ``complain`` is told why spans were dropped. Raises ``DefinitionError`` when what sends spans is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            hint = "pip install 'mendline[otlp]', or leave the setting empty"
            raise DefinitionError("environment", 0, 0, "MEND_OTLP_ENDPOINT: cannot send spans", hint) from error
        of_cloud = urlsplit(endpoint).hostname == _CLOUD
        exporter = OTLPSpanExporter(
            endpoint=endpoint, timeout=TRY_SECONDS_MAX, session=_authorized(project) if of_cloud else None
        )
        library = logging.getLogger("opentelemetry")
        library.addHandler(_Complaints(complain))
        library.propagate = False
        self._processor = BatchSpanProcessor(exporter, schedule_delay_millis=FLUSH_MILLISECONDS)
        named = {"service.name": "mendline", "service.version": version, "gcp.project_id": project}
        self._resource = Resource({name: value for name, value in named.items() if value})

    def record(self, line: Handled, now_nanoseconds: int) -> None:
        """One delivery that ended at ``now_nanoseconds`` (since 1970)."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
        from opentelemetry.trace.status import Status, StatusCode

        if line.outcome in _IDLE:
            return
        trace, parent = _came_from(line)
        sampled = TraceFlags(TraceFlags.SAMPLED)
        above = SpanContext(trace, parent, is_remote=True, trace_flags=sampled) if parent else None
        own = _own(line)
        good = line.outcome == "handled"
        self._processor.on_end(
            ReadableSpan(
                name=f"{line.service} {line.event}",
                context=SpanContext(trace, own, is_remote=False, trace_flags=sampled),
                parent=above,
                resource=self._resource,
                kind=SpanKind.CONSUMER,
                status=Status(StatusCode.OK) if good else Status(StatusCode.ERROR, line.outcome),
                attributes={
                    "mend.service": line.service,
                    "mend.outcome": line.outcome,
                    "mend.about": line.about,
                    "messaging.message.id": line.event_id,
                    "messaging.operation.type": "process",
                    "mend.attempt": line.attempt,
                },
                start_time=now_nanoseconds - int(line.milliseconds * 1_000_000),
                end_time=now_nanoseconds,
            )
        )

    def close(self) -> None:
        """Send what is left."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def _came_from(line: Handled) -> tuple[int, int]:
    """The trace, and the span of the handler that sent the event (0: nobody's)."""
    parts = line.traceparent.split("-")
    if len(parts) == _TRACEPARENT_PARTS:
        try:
            return int(parts[1], 16), int(parts[2], 16)
        except ValueError:
            pass  # a stranger wrote it
    return int(derive(line.correlation), 16), 0


def _own(line: Handled) -> int:
    """The span that the events sent by this handler name as theirs; a try that ended nothing has one of its own."""
    parts = (line.service, line.event_id) if line.outcome in _FINAL else (line.service, line.event_id, line.attempt)
    return int(derive(*parts, length=16), 16)


def _authorized(project: str) -> Session:
    """A session that names the caller to Google's own collector."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[_SCOPE], quota_project_id=project or None)
    session: Session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return session
