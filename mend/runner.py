"""Runs all services in this process until nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mend import report
from mend.services import every_service
from shared.events.types import Event, SourceDue
from shared.ports.event_bus import Message
from shared.ports.state_store import Where
from shared.runtime.handling import messages_of, subscriptions_of
from shared.runtime.wiring import Process

WAIT_SECONDS_MAX = 30.0  # timers further away are left to a later run
ELSEWHERE_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.5
_STILL_WAITING = "a batch waits for the verdicts on deliveries before it; the next mend run goes on with it"


def run_pipeline(process: Process, pipeline: str, uri: str = "", wait_seconds_max: float = WAIT_SECONDS_MAX) -> str:
    """Look at a pipeline's source and deal with everything that follows, and with what an earlier run left over.

    A sentence about what could not be ended now; "" when nothing is left to do.
    """
    return run_events(process, [due(process, pipeline, uri, "mend run")], wait_seconds_max)


def due(process: Process, pipeline: str, uri: str, by: str) -> SourceDue:
    """A person asks, now, for a pipeline's source to be looked at."""
    request = process.ids.new()
    return SourceDue(
        id=request,
        time=process.clock.now(),
        subject=pipeline,
        correlation_id=request,
        pipeline=pipeline,
        uri=uri,
        requested_by=by,
    )


def run_events(
    process: Process,
    events: Sequence[Event],
    wait_seconds_max: float = WAIT_SECONDS_MAX,
    messages: Sequence[Message] = (),
) -> str:
    """Publish the events and messages, and deal with everything that follows; what could not be ended, or "".

    On Google Cloud the services are elsewhere: they are told, and do the rest.
    """
    if process.settings.backend == "gcp":
        process.bus.publish([*messages_of("mend", events), *messages])
        return "the services have been told; mend status shows what they make of it"
    worker = process.worker(every_service())
    published = [*messages_of("mend", events), *messages]
    if published:
        process.bus.publish(published)
    try:
        worker.run_until_idle(wait_seconds_max)
        return _left_over(process)
    finally:
        process.close()


def await_services(process: Process, holds: Callable[[], bool]) -> None:
    """On Google Cloud the services are elsewhere and take a while: look until it holds, a minute at most."""
    if process.settings.backend != "gcp":
        return
    until = process.clock.monotonic() + ELSEWHERE_SECONDS_MAX
    while not holds() and process.clock.monotonic() < until:
        process.clock.sleep(_LOOK_SECONDS)


def _left_over(process: Process) -> str:
    """What still has to come: work that our own infrastructure refused, and that is tried again later."""
    names = [f"{service.name}.{topic}" for service in every_service() for topic in subscriptions_of(service)]
    if process.bus.next_due(names) is None:
        # One that was called has its event, or an incident that says why that came to nothing.
        return _STILL_WAITING if process.store.query("waiting", [Where("wake_at", ">", 0)], limit=1) else ""
    note = process.log.last_note.strip().splitlines()
    why = f": {note[-1]}" if note else ""
    return f"not everything could be done now{why}; nothing is lost, and the next mend run goes on with it"


def summary(process: Process, pipeline: str, seconds: float) -> dict[str, Any]:
    """The machine-readable account of a pipeline after a run."""
    store = report.Store(process.store, process.objects)
    found = report.batches(store, pipeline)
    names = ("batch_id", "input", "state", "attempts", *report.COUNTS, "incidents")
    return {
        "pipeline": pipeline,
        "batches": [{name: entry[name] for name in names} for entry in found],
        "totals": report.totals(found),
        "incidents": [
            {name: entry[name] for name in ("id", "class", "cause", "confidence", "state", "remedies")}
            for entry in report.incidents(store, pipeline)
        ],
        "seconds": round(seconds, 3),
    }
