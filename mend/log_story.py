"""What the services wrote in their log about the thing that a story tells of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from shared.ports.log_reader import LogReader

LINES_MAX: Final = 200
_DAY: Final = 86_400 * 1_000_000
_IDS: Final = ("id", "incident_id", "batch_id")


def entries(reader: LogReader, story: dict[str, Any]) -> list[dict[str, Any]]:
    """The last ``LINES_MAX`` lines about the story's batch, incident or remedy, oldest first."""
    ids = list(dict.fromkeys(str(story[name]) for name in _IDS if story.get(name)))
    first_seen = int((story.get("seen") or {}).get("first_seen") or 0)
    # What came before a failure is part of what led to it.
    return [each._asdict() for each in reader.about(ids, LINES_MAX, since=max(0, first_seen - _DAY))]


def lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """The lines for people."""
    yield ""
    yield "What the services wrote"
    if not found:
        yield "  nothing that is still kept"
    for each in found:
        told = "" if each["outcome"] == "handled" else f" {each['outcome']}"
        again = f", delivery {each['attempt']}" if each["attempt"] > 1 else ""
        said = f": {each['message']}" if each["message"] and each["outcome"] != "handled" else ""
        took = f"{each['milliseconds']:,.0f} ms"
        yield f"  {_time(each['time'])} {each['service']:<9} {each['event']}{told}, {took}{again}{said}"


def _time(microseconds: int) -> str:
    if not microseconds:
        return " " * 23
    at = datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
