"""What a run sends to a collector of OpenTelemetry, decoded as OpenTelemetry publishes it."""

import gzip
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.emulators.http_server import Answer, Asked, Recorder
from tests.end_to_end.orders import GOOD, Orders
from tests.unit.mend.small_project import HEADER, lines

pytestmark = pytest.mark.slow
PLANTED = "Xanadu-4711"


def spans_of(requests: list[Asked]) -> list[Span]:
    """Every span in the requests, whose resource must be ours."""
    found: list[Span] = []
    for asked in requests:
        assert asked.path == "/v1/traces"
        headers = {name.lower(): value for name, value in asked.headers.items()}
        body = gzip.decompress(asked.body) if headers.get("content-encoding") == "gzip" else asked.body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert named["service.name"] == "mendline"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def said(span: Span, name: str) -> str:
    return next(each.value.string_value for each in span.attributes if each.key == name)


def test_one_delivery_is_one_trace(tmp_path: Path) -> None:
    """Every handler's span is below the one that sent its event; a failure in it is no secret, a cell's value is."""
    orders = Orders(tmp_path)
    orders.deliver("a.csv", GOOD)
    orders.deliver("b.csv", HEADER + lines(31, 34) + f"oops,{PLANTED},1,2024-01-01\n")
    with Recorder(lambda asked: Answer(200, b"")) as collector:
        collector.requests.clear()
        ended = orders.run_it(before=("env", f"MEND_OTLP_ENDPOINT={collector.url}/v1/traces"))
        spans = spans_of(collector.requests)
    assert ended.code in {0, 3}, ended.said
    assert len({span.span_id for span in spans}) == len(spans)
    known = {span.span_id: span for span in spans}
    roots = [span for span in spans if not span.parent_span_id]
    assert {span.name for span in roots} == {"ingest source.due.v1"}
    assert len({span.trace_id for span in spans}) == len(roots) == 1
    for span in spans:
        assert span.end_time_unix_nano >= span.start_time_unix_nano > 1_600_000_000 * 10**9
        assert span.parent_span_id == b"" or span.parent_span_id in known, span.name
        assert span.status.code == Status.STATUS_CODE_OK
    below = {(known[span.parent_span_id].name, span.name) for span in spans if span.parent_span_id}
    assert ("validate batch.staged.v1", "load batch.validated.v1") in below
    loaded = {said(span, "mend.about") for span in spans if span.name == "load batch.validated.v1"}
    assert len(loaded) == 2
    assert PLANTED not in "".join(map(str, spans))


def test_what_a_person_says_of_an_incident_is_in_its_trace(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.deliver("a.csv", HEADER + lines(31, 34) + f"oops,{PLANTED},1,2024-01-01\n")
    with Recorder(lambda asked: Answer(200, b"")) as collector:
        seen = ("env", f"MEND_OTLP_ENDPOINT={collector.url}/v1/traces")
        orders.run_it(before=seen)
        before = spans_of(collector.requests)
        found = orders.mend("incidents", "--root", "store", "--json").json["incidents"]
        told = orders.mend("feedback", found[0]["id"], "--root", "store", "--right", before=seen)
        spans = spans_of(collector.requests)
    assert told.code == 0, told.said
    assert "classify incident.judged.v1" in {span.name for span in spans[len(before) :]}
    assert len({span.trace_id for span in spans}) == 1


@pytest.mark.parametrize("answer", [Answer(503, b""), Answer(400, b"no")])
def test_a_collector_that_takes_nothing_costs_nothing(tmp_path: Path, answer: Answer) -> None:
    orders = Orders(tmp_path)
    orders.deliver("a.csv", GOOD)
    with Recorder(lambda asked: answer) as collector:
        ended = orders.run_it(before=("env", f"MEND_OTLP_ENDPOINT={collector.url}/v1/traces"))
    assert ended.code == 0, ended.said
    assert collector.requests
    assert not ended.err
    orders.assert_rows(loaded=20)


def test_nobody_listens(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.deliver("a.csv", GOOD)
    ended = orders.run_it(before=("env", "MEND_OTLP_ENDPOINT=http://127.0.0.1:9/v1/traces"))
    assert ended.code == 0, ended.said
    assert not ended.err
    assert "spans" in (orders.root / "log.jsonl").read_text()
    orders.assert_rows(loaded=20)
