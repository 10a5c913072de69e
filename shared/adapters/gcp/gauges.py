"""Gauges as custom metrics of Cloud Monitoring, written by one writer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shared.adapters.gcp import channels
from shared.adapters.gcp.errors import translated, vendor_errors
from shared.domain.errors import StoreUnavailable
from shared.ports.gauges import Gauge

if TYPE_CHECKING:
    from google.cloud.monitoring_v3 import MetricServiceClient, TimeSeries

PREFIX: Final = "custom.googleapis.com/mendline/"
SERIES_PER_REQUEST_MAX: Final = 200
LABEL_CHARACTERS_MAX: Final = 1_024
_TIMEOUT_SECONDS: Final = 30.0


class MonitoringGauges:
    """Cloud Monitoring takes one point a series and minute, and from one writer a series."""

    def __init__(self, project: str, location: str, *, server: str = "") -> None:
        """``server``: a plain gRPC server in place of the service."""
        self._project = project
        self._location = location
        self._server = server
        self._made: MetricServiceClient | None = None

    def write(self, gauges: Sequence[Gauge], now: int) -> None:
        """Write them all; a part that is refused does not keep the rest from being written."""
        refused: Exception | None = None
        for part in _parts(gauges):
            series = [self._series(each, now) for each in part]
            request = {"name": f"projects/{self._project}", "time_series": series}
            try:
                self._client().create_time_series(request=request, timeout=_TIMEOUT_SECONDS)
            except vendor_errors() as error:
                refused = translated(error, "Cloud Monitoring", StoreUnavailable)
        if refused is not None:
            raise refused

    def _series(self, gauge: Gauge, now: int) -> TimeSeries:
        from google.cloud.monitoring_v3 import Point, TimeSeries

        # A revision of Cloud Run may not be written for; a task may, and there is one: whoever is asked to measure.
        task = {
            "project_id": self._project,
            "location": self._location,
            "namespace": "mendline",
            "job": "measure",
            "task_id": "0",
        }
        labels = {name: value[:LABEL_CHARACTERS_MAX] for name, value in gauge.labels.items()}
        return TimeSeries(
            metric={"type": f"{PREFIX}{gauge.name}", "labels": labels},
            resource={"type": "generic_task", "labels": task},
            points=[
                Point(
                    interval={"end_time": datetime.fromtimestamp(now / 1_000_000, UTC)},
                    value={"double_value": gauge.value},
                )
            ],
        )

    def _client(self) -> MetricServiceClient:
        if self._made is None:
            from google.cloud.monitoring_v3 import MetricServiceClient
            from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

            self._made = (
                MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channels.insecure(self._server)))
                if self._server
                else MetricServiceClient()
            )
        return self._made


def _parts(gauges: Sequence[Gauge]) -> list[Sequence[Gauge]]:
    step = SERIES_PER_REQUEST_MAX
    return [gauges[start : start + step] for start in range(0, len(gauges), step)]
