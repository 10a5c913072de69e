"""What was left undone in the state of a system on Google Cloud, as its own documents say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mend.deploy import refusals
from mend.deploy.refusals import Finding
from mend.deploy.steps import Target
from mend.doctor import span
from shared.domain.errors import TransientError
from shared.domain.incident import Origin
from shared.ports.state_store import StateStore, Stored, Where
from shared.runtime import receipts

# What is younger may be on its way: an event that failed comes again within ten minutes, the clock ticks every minute.
_SETTLED_MICROSECONDS: Final = 1_200_000_000
_LISTED_MAX: Final = 1_000


def undone(store: StateStore, timers: Sequence[str], target: Target, now: int) -> list[Finding]:
    """Receipts whose events are not on the bus, events that keep failing, timers that rang, events given up.

    ``timers`` are the collections that have some.
    """
    before = now - _SETTLED_MICROSECONDS
    try:
        return [
            *_receipts(store, target, before),
            *_timers(store, timers, target, before, now),
            *_dead_letters(store),
        ]
    except TransientError as error:
        return [refusals.of_library("documents", str(error), target)]


def _receipts(store: StateStore, target: Target, before: int) -> Iterator[Finding]:
    for where, what in (
        (Where("published", "==", False), "handled, but what it led to is not on the bus"),
        (Where("state", "==", "failing"), "tried again and again"),
    ):
        found = store.query(receipts.COLLECTION, [where], limit=_LISTED_MAX)
        old = sorted((each.data for each in found if 0 < int(each.data.get("at", 0)) < before), key=_moment)
        if old:
            first = old[0]
            told = f"{_number(old, 'event')} {what}, first {first['event_type']} {first['event_id']}"
            yield Finding(f"{told} by {first['service']}", _its_log(str(first["service"]), target))


def _moment(receipt: dict[str, Any]) -> int:
    return int(receipt["at"])


def _timers(store: StateStore, collections: Sequence[str], target: Target, before: int, now: int) -> Iterator[Finding]:
    rung = [Where("wake_at", ">", 0), Where("wake_at", "<", before)]
    place = f"--location={target.region} --project={target.project}"
    for collection in collections:
        found = store.query(collection, rung, order_by="wake_at", limit=_LISTED_MAX)
        if found:
            since = span((now - int(found[0].data["wake_at"])) / 1_000_000)
            what = f"{_number(found, 'timer')} in {collection} rang and nobody heard, the first {since} ago"
            yield Finding(what, f"gcloud scheduler jobs run mend-tick {place}")


def _dead_letters(store: StateStore) -> Iterator[Finding]:
    where = [Where("origin", "==", str(Origin.DEAD_LETTER))]
    found = [each for each in store.query("incidents", where, limit=_LISTED_MAX) if _is_left(store, each)]
    for incident in found[:1]:
        service, event = incident.data.get("service"), incident.data.get("event_id")
        what = f"{_number(found, 'event')} used up all deliveries, first {event} of {service}"
        yield Finding(what, f"mend replay {incident.key}")


def _is_left(store: StateStore, incident: Stored) -> bool:
    """Whether its event is one of ours that nobody has handled since."""
    service, event = str(incident.data.get("service", "")), str(incident.data.get("event_id", ""))
    receipt = store.get(receipts.COLLECTION, receipts.key_of(service, event)) if event else None
    return bool(event) and (receipt is None or receipt.data.get("state") != "handled")


def _its_log(service: str, target: Target) -> str:
    """Where a service says why."""
    ours = f'resource.type="cloud_run_revision" AND resource.labels.service_name="mend-{service}"'
    return f"gcloud logging read '{ours} AND severity>=WARNING' --limit=5 --project={target.project}"


def _number(found: Sequence[object], what: str) -> str:
    more = " or more" if len(found) == _LISTED_MAX else ""
    return f"{len(found):,}{more} {what}{'s' if len(found) > 1 else ''}"
