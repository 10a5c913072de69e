"""Cloud Monitoring under the suite of gauges. It has no emulator: a real gRPC server checks what its rules forbid."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.cloud.monitoring_v3 import CreateTimeSeriesRequest
from google.protobuf.empty_pb2 import Empty

from shared.adapters.gcp.gauges import MonitoringGauges
from shared.domain.errors import StoreUnavailable
from shared.ports.gauges import Gauge, Gauges
from tests.conformance.gauges_suite import NOW, GaugesSuite
from tests.emulators.grpc_server import serving

SERVICE = "google.monitoring.v3.MetricService"
WRITER = {"project_id": "p", "location": "europe-west1", "namespace": "mendline", "job": "measure", "task_id": "0"}


class EmptyAnswer:
    """``google.protobuf.Empty`` as the server writes answers."""

    @staticmethod
    def serialize(answer: Any) -> bytes:
        return bytes(answer.SerializeToString())

    @staticmethod
    def deserialize(data: bytes) -> Any:
        return Empty.FromString(data)


class Written(list[Any]):
    """The time series that came, none of them twice in a minute; those named ``refused`` are refused."""

    def take(self, request: Any, context: grpc.ServicerContext) -> Any:
        assert request.name == "projects/p"
        assert 0 < len(request.time_series) <= 200
        for series in request.time_series:
            assert len(series.points) == 1
            assert series.resource.type == "generic_task"
            assert dict(series.resource.labels) == WRITER
            if series.metric.type.endswith("refused"):
                context.abort(grpc.StatusCode.UNAVAILABLE, "no")
            key = (series.metric.type, tuple(sorted(series.metric.labels.items())), series.points[0].interval.end_time)
            assert key not in [each[0] for each in self]
            self.append((key, series))
        return Empty()


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def server(written: Written) -> Iterator[str]:
    methods: Any = {"CreateTimeSeries": (CreateTimeSeriesRequest, EmptyAnswer, written.take)}
    with serving(SERVICE, methods) as address:
        yield address


class TestMonitoringGauges(GaugesSuite):
    """No known differences."""

    @pytest.fixture
    def gauges(self, server: str, written: Written) -> Gauges:
        self.written = written
        return MonitoringGauges("p", "europe-west1", server=server)

    def arrived(self) -> list[tuple[str, float, dict[str, str]]]:
        return [
            (
                series.metric.type.removeprefix("custom.googleapis.com/mendline/"),
                series.points[0].value.double_value,
                dict(series.metric.labels),
            )
            for _, series in self.written
        ]


def test_a_part_that_is_refused_keeps_no_other_from_being_written(server: str, written: Written) -> None:
    gauges = MonitoringGauges("p", "europe-west1", server=server)
    first = [Gauge("refused", 1.0, {"pipeline": str(number)}) for number in range(200)]
    with pytest.raises(StoreUnavailable, match="Cloud Monitoring"):
        gauges.write([*first, Gauge("kept", 1.0, {})], NOW)
    assert [series.metric.type for _, series in written] == ["custom.googleapis.com/mendline/kept"]
