"""The services' log lines, read back from Cloud Logging."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.gcp import channels
from shared.adapters.gcp.errors import translated, vendor_errors
from shared.domain.errors import StoreUnavailable
from shared.ports.log_reader import LogEntry, entry_of

if TYPE_CHECKING:
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

_TIMEOUT_SECONDS: Final = 30.0
_PAGE_MAX: Final = 1_000
_SEVERITIES: Final = {0: "DEFAULT", 100: "DEBUG", 200: "INFO", 300: "NOTICE", 400: "WARNING"}


class CloudLogReader:
    """Asks Cloud Logging; entries appear there some seconds after they were written."""

    def __init__(self, project: str, *, server: str = "") -> None:
        """``server``: a plain gRPC server in place of the service."""
        self._project = project
        self._server = server
        self._made: LoggingServiceV2Client | None = None

    def about(self, ids: Sequence[str], limit: int, since: int = 0) -> list[LogEntry]:
        """The last lines about one of these."""
        asked = {
            "resource_names": [f"projects/{self._project}"],
            "filter": _filter(ids, since),
            "order_by": "timestamp desc",
            "page_size": min(limit, _PAGE_MAX),
        }
        try:
            pages = self._client().list_log_entries(request=asked, timeout=_TIMEOUT_SECONDS)
            entries = list(islice(pages, limit))
        except vendor_errors() as error:
            raise translated(error, "Cloud Logging", StoreUnavailable) from error
        found = []
        for entry in reversed(entries):
            severity = _SEVERITIES.get(int(entry.severity), "ERROR")
            said: dict[str, Any] = {**(entry.json_payload or {}), "severity": severity}
            found.append(entry_of(said, round(entry.timestamp.timestamp() * 1_000_000)))
        return found

    def _client(self) -> LoggingServiceV2Client:
        if self._made is None:
            from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
            from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport

            self._made = (
                LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channels.insecure(self._server)))
                if self._server
                else LoggingServiceV2Client()
            )
        return self._made


def _filter(ids: Sequence[str], since: int) -> str:
    """Which entries are asked for; from a time on, since Cloud Logging searches all that is kept otherwise."""
    # JSON quotes a string as the query language does.
    wanted = " OR ".join(json.dumps(each, ensure_ascii=False) for each in ids)
    from_when = datetime.fromtimestamp(since // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ours = 'resource.type="cloud_run_revision"'
    return f'{ours} AND jsonPayload.about=({wanted}) AND timestamp>="{from_when}"'
