"""Cloud Logging under the suite of the local log. It has no emulator: a real gRPC server speaks its protocol."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse, LogEntry
from google.protobuf.struct_pb2 import Struct

from shared.adapters.gcp.log_reader import CloudLogReader
from shared.domain.errors import StoreUnavailable
from shared.ports.log_reader import LogReader
from tests.conformance.log_reader_suite import LogReaderSuite
from tests.emulators.grpc_server import serving

SERVICE = "google.logging.v2.LoggingServiceV2"
FILTER = re.compile(r'resource\.type="cloud_run_revision" AND jsonPayload\.about=\((.+)\) AND timestamp>="(\S+)"')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
Lines = list[dict[str, Any]]


def entry(said: dict[str, Any]) -> LogEntry:
    """A line as Cloud Logging keeps what the services print."""
    payload = Struct()
    payload.update({name: value for name, value in said.items() if name not in ("time", "severity")})
    when = datetime.fromtimestamp(said["time"] / 1_000_000, UTC)
    return LogEntry(json_payload=payload, severity=said.get("severity", "INFO"), timestamp=when)


def answer(lines: Lines, request: Any) -> ListLogEntriesResponse:
    """What the filter asks for, as the service answers it: a page, and where the next begins."""
    assert list(request.resource_names) == ["projects/p"]
    assert request.order_by == "timestamp desc"
    asked = FILTER.fullmatch(request.filter)
    assert asked is not None, request.filter
    assert re.sub(_STRING, "s", asked[1]) in {" OR ".join(["s"] * count) for count in range(1, 9)}, "nothing unquoted"
    wanted = [json.loads(each) for each in _STRING.findall(asked[1])]
    since = datetime.fromisoformat(asked[2]).timestamp() * 1_000_000
    found = [each for each in reversed(lines) if each["about"] in wanted and each["time"] >= since]
    start = int(request.page_token or 0)
    end = start + min(request.page_size, 2)
    token = str(end) if end < len(found) else ""
    return ListLogEntriesResponse(entries=[entry(each) for each in found[start:end]], next_page_token=token)


class TestCloudLogReader(LogReaderSuite):
    """No known differences."""

    @pytest.fixture
    def lines(self) -> Lines:
        return []

    @pytest.fixture
    def reader(self, lines: Lines) -> Iterator[LogReader]:  # type: ignore[override]
        self.lines_kept = lines
        methods = {
            "ListLogEntries": (
                ListLogEntriesRequest, ListLogEntriesResponse, lambda request, context: answer(lines, request)
            )
        }  # fmt: skip
        with serving(SERVICE, methods) as address:
            yield CloudLogReader("p", server=address)

    def write(self, lines: Lines) -> None:
        self.lines_kept += lines


def test_no_permission_is_said() -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "Permission 'logging.logEntries.list' denied")

    methods = {"ListLogEntries": (ListLogEntriesRequest, ListLogEntriesResponse, refuse)}
    with serving(SERVICE, methods) as address, pytest.raises(StoreUnavailable, match=r"Cloud Logging.*denied"):
        CloudLogReader("p", server=address).about(["b1"], 3)
