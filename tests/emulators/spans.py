"""Takes spans as any collector does, by OpenTelemetry's published types, and says which belong together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.emulators.http_server import Answer, Asked, Recorder


class Sent(NamedTuple):
    """A span as it came; the numbers are in hexadecimal, "" for no parent."""

    trace: str
    span: str
    parent: str
    service: str
    about: str

    @classmethod
    def all_of(cls, asked: Iterable[Asked]) -> list[Self]:
        """Those of all requests; what is no request of the protocol cannot be read."""
        found = []
        for each in asked:
            request = ExportTraceServiceRequest.FromString(each.body)
            for span in (span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans):
                told = {attribute.key: attribute.value.string_value for attribute in span.attributes}
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                found.append(cls(*ids, told["mend.service"], told["mend.about"]))
        return found


class Collector(Recorder):
    """Serves while its context lasts; ``address`` is what ``MEND_OTLP_ENDPOINT`` wants."""

    def __init__(self) -> None:
        super().__init__(lambda asked: Answer(200, b""))
        self.address = f"{self.url}/v1/traces"

    def spans(self) -> list[Sent]:
        """What has come until now."""
        return Sent.all_of(list(self.requests))
