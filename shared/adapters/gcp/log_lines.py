"""Log entries as Cloud Logging reads them from standard output: severity, trace, labels, Error Reporting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

_REPORTED: Final = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
_LABELS: Final = ("service", "event", "outcome")
_TRACEPARENT_PARTS: Final = 4
Entry = dict[str, object]


def shaper(project: str, service: str, version: str) -> Callable[[Entry], Entry]:
    """A function that gives our entries the names under which Cloud Logging knows them."""

    def shape(entry: Entry) -> Entry:
        shaped: dict[str, Any] = dict(entry)
        shaped.setdefault("message", " ".join(str(entry.get(name, "")) for name in _LABELS).strip())
        parts = str(shaped.pop("traceparent", "")).split("-")
        if project and len(parts) == _TRACEPARENT_PARTS:
            shaped["logging.googleapis.com/trace"] = f"projects/{project}/traces/{parts[1]}"
            shaped["logging.googleapis.com/spanId"] = parts[2]
            shaped["logging.googleapis.com/trace_sampled"] = parts[3] == "01"
        shaped["logging.googleapis.com/labels"] = {
            name: str(entry[name]) for name in _LABELS if isinstance(entry.get(name), str)
        }
        if entry.get("outcome") in ("unforeseen", "terminal"):
            # Without a stack trace in the message, Error Reporting wants to be told that this is one.
            shaped["severity"] = "ERROR"
            shaped["@type"] = _REPORTED
            shaped["serviceContext"] = {"service": service, "version": version}
        return shaped

    return shape
