"""What was deployed, as whoever deployed it tells: kept for those who ask what was changed before a failure.

``deployments/{hash} = {system, resource, version, pipelines: [names], by, at}``: ``system`` is whose software is new,
``resource`` the part of it (a job, a service), ``pipelines`` those of ours that it feeds. Told again it stays as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from services.ingest.signal_fields import name
from shared.domain.errors import MalformedEvent
from shared.domain.ids import derive
from shared.events.types import Event
from shared.ports.state import State
from shared.ports.state_store import Document

DEPLOYMENTS: Final = "deployments"
_PIPELINES_MAX: Final = 50
_LIKE: Final = "its kind is deployment, its system or pipelines say whose, its version what, its at since when"


def keep(state: State, signal: dict[str, Any], told: Event) -> None:
    """Write a deployment down, once. ``MalformedEvent`` when it does not say of what it is, or when."""
    key, found = read(signal, told)
    if state.get(DEPLOYMENTS, key) is None:
        state.put(DEPLOYMENTS, key, found)


def read(signal: dict[str, Any], told: Event) -> tuple[str, Document]:
    """The key of a deployment, and what is kept of it. One that names its moment has the same key whenever told."""
    system = name(signal.get("system") or signal.get("source")).casefold()
    resource = name(signal.get("resource") or signal.get("job") or signal.get("service"))
    version = name(signal.get("version") or signal.get("revision"))
    pipelines = _pipelines(signal)
    if not system and not pipelines:
        raise MalformedEvent(f"a deployment tells of no system and of no pipeline: {_LIKE}")
    said = signal.get("at")
    moment = told.time if said in (None, "") else _moment(said)
    found = {"system": system, "resource": resource, "version": version, "pipelines": pipelines}
    key = derive(system, resource, version, *pipelines, told.id if said in (None, "") else moment)
    return key, {**found, "at": min(moment, told.time), "by": name(signal.get("by"))}


def _pipelines(signal: dict[str, Any]) -> list[str]:
    listed = signal.get("pipelines")
    given = listed if isinstance(listed, list) else [signal.get("pipeline")]
    return sorted({named for each in given[:_PIPELINES_MAX] if (named := name(each))})


def _moment(said: object) -> int:
    """A time as ISO 8601 writes it with hyphens, in microseconds; without a zone it is UTC."""
    try:
        # Without hyphens, seconds since 1970 look like a date too: 1801051231200 would be of the year 1801.
        if not isinstance(said, str) or said[4:5] != "-":
            raise ValueError("no hyphen after the year")
        found = datetime.fromisoformat(said)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)
    except (ValueError, OverflowError) as error:
        raise MalformedEvent(f"the time of a deployment is not like 2026-12-01T10:00:00Z: {_LIKE}") from error
