"""Receipt = outbox: one document per (service, event) with what handling it emitted, and whether that is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.domain.checks import check
from shared.domain.errors import LimitExceeded
from shared.events.codec import as_document, from_document
from shared.events.types import Event
from shared.ports.state_store import Put, StateStore

COLLECTION = "receipts"
EVENTS_PER_COMMIT_MAX = 100
BYTES_PER_COMMIT_MAX = 3_000_000
_BYTES_PER_DOCUMENT = 700_000  # Firestore takes 1 MiB; JSON text grows a little when it is stored


class Receipt(NamedTuple):
    """What is known of an event's handling by one service."""

    key: str
    version: int
    state: str  # handled | failed | failing
    published: bool
    parts: int  # further documents that hold emitted events
    events: list[Event]
    failures: int  # exceptions nobody foresaw, so far
    event: dict[str, Any] | None  # the event itself, kept when it could not be handled


LIVES_DAYS = 60  # longer than any bus keeps a message


def lives_seconds(collection: str, data: Mapping[str, Any]) -> int:
    """How long a document may be kept where a store can end it (0 = for good): a receipt that nothing refers to.

    One that keeps an event for a retry, or events that are not published, stays.
    """
    spent = collection == COLLECTION and data.get("published") is True and data.get("event") is None
    return LIVES_DAYS * 86_400 if spent else 0


def key_of(service: str, event_id: str) -> str:
    """The receipt's key."""
    return f"{service}:{event_id}"


def read(store: StateStore, service: str, event_id: str) -> Receipt | None:
    """The receipt of an event, emitted events included, or None."""
    key = key_of(service, event_id)
    stored = store.get(COLLECTION, key)
    if stored is None:
        return None
    data = stored.data
    documents = list(data["events"])
    for number in range(1, int(data["parts"]) + 1):
        part = store.get(COLLECTION, f"{key}:{number}")
        check(part is not None, "a receipt's part is missing")
        documents.extend(part.data["events"] if part else [])
    return Receipt(
        key=key,
        version=stored.version,
        state=str(data["state"]),
        published=bool(data["published"]),
        parts=int(data["parts"]),
        events=[from_document(document) for document in documents],
        failures=int(data["failures"]),
        event=data.get("event"),
    )


def writes(
    service: str,
    event: Event,
    emitted: Sequence[Event],
    *,
    state: str,
    now: int,
    failures: int = 0,
    keep_event: bool = False,
    published: bool = False,
) -> list[Put]:
    """The documents of a new receipt. ``LimitExceeded`` beyond 100 events or 3 MB.

    ``published``: the events reach the bus in the same transaction, so that nothing needs to be kept of them here.
    """
    documents = [as_document(each) for each in emitted]
    sizes = [len(document["payload"].encode()) + 200 for document in documents]
    if len(documents) > EVENTS_PER_COMMIT_MAX or sum(sizes) > BYTES_PER_COMMIT_MAX:
        raise LimitExceeded(f"{service} emitted {len(documents)} events of {sum(sizes):,} bytes for one event")
    groups = [[]] if published else _grouped(documents, sizes)
    key = key_of(service, event.id)
    head = {
        "service": service,
        "event_id": event.id,
        "event_type": event.TYPE,
        "state": state,
        "published": published or not documents,
        "parts": len(groups) - 1,
        "events": groups[0],
        "failures": failures,
        "at": now,
        "event": as_document(event) if keep_event else None,
    }
    rest = [Put(COLLECTION, f"{key}:{number}", {"events": group}) for number, group in enumerate(groups[1:], start=1)]
    return [Put(COLLECTION, key, head), *rest]


def mark_published(store: StateStore, service: str, event_id: str) -> None:
    """Note that every emitted event is on the bus; history keeps the events themselves."""
    key = key_of(service, event_id)
    stored = store.get(COLLECTION, key)
    if stored is not None and not stored.data["published"]:
        store.commit([Put(COLLECTION, key, {**stored.data, "published": True, "events": [], "parts": 0})])


def _grouped(documents: list[dict[str, Any]], sizes: list[int]) -> list[list[dict[str, Any]]]:
    groups: list[list[dict[str, Any]]] = [[]]
    filled = 0
    for document, size in zip(documents, sizes, strict=True):
        if groups[-1] and filled + size > _BYTES_PER_DOCUMENT:
            groups.append([])
            filled = 0
        groups[-1].append(document)
        filled += size
    return groups
