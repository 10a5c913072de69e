"""Events to bytes and back: Pub/Sub binary mode (attributes ``ce-…``) and structured JSON, CloudEvents 1.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from shared.domain.errors import MalformedEvent
from shared.domain.masking import mask
from shared.events.types import EVENT_TYPES, Event

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
STRUCTURED_CONTENT_TYPE = "application/cloudevents+json"
EVENT_BYTES_MAX = 1_000_000
_ATTRIBUTE_BYTES_MAX = 1_000  # Pub/Sub takes 1,024 bytes per attribute value


class Encoded(NamedTuple):
    """An event as a bus carries it."""

    topic: str
    data: bytes
    attributes: dict[str, str]


def topic_of(event_type: str | type[Event]) -> str:
    """The topic of an event type: ``mend-batch-staged-v1`` for ``batch.staged.v1``."""
    name = event_type if isinstance(event_type, str) else event_type.TYPE
    return "mend-" + name.replace(".", "-").replace("_", "-")


def payload_of(event: Event) -> str:
    """The event's fields as JSON text, every field present, no null."""
    return event.model_dump_json()


def encode(event: Event, source: str) -> Encoded:
    """Binary mode. ``source`` names the emitting service (``/mendline/validate``).

    Raises ``MalformedEvent`` when the event is larger than ``EVENT_BYTES_MAX``.
    """
    data = payload_of(event).encode()
    if len(data) > EVENT_BYTES_MAX:
        raise MalformedEvent(f"{event.TYPE} is {len(data):,} bytes long, {EVENT_BYTES_MAX:,} are allowed")
    attributes = {
        "ce-specversion": SPEC_VERSION,
        "ce-id": event.id,
        "ce-type": event.TYPE,
        "ce-source": source,
        "ce-time": _iso(event.time),
        "ce-subject": _bounded(event.subject),
        "content-type": CONTENT_TYPE,
    }
    if event.traceparent:
        attributes["ce-traceparent"] = _bounded(event.traceparent)
    return Encoded(topic_of(event.TYPE), data, attributes)


def encode_structured(event: Event, source: str) -> bytes:
    """Structured mode: one JSON object that holds the CloudEvents attributes and the payload under ``data``."""
    head = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "type": event.TYPE,
        "source": source,
        "time": _iso(event.time),
        "subject": event.subject,
        "datacontenttype": CONTENT_TYPE,
        "traceparent": event.traceparent,
    }
    shown = {name: value for name, value in head.items() if value}
    return json.dumps({**shown, "data": event.model_dump(mode="json")}, ensure_ascii=False).encode()


def decode(data: bytes, attributes: Mapping[str, str]) -> Event:
    """The event in a message, whichever mode it is in. ``MalformedEvent`` says what is wrong, without values."""
    lowered = {name.lower(): value for name, value in attributes.items()}
    content_type = lowered.get("content-type", lowered.get("contenttype", ""))
    if content_type.startswith("application/cloudevents"):
        return decode_structured(data)
    event_type = lowered.get("ce-type", "")
    if not event_type:
        raise MalformedEvent("the message has no attribute ce-type: publish CloudEvents in binary mode")
    if lowered.get("ce-specversion", SPEC_VERSION) != SPEC_VERSION:
        raise MalformedEvent("the message is not CloudEvents 1.0")
    event = _parse(event_type, data)
    if lowered.get("ce-id", event.id) != event.id:
        raise MalformedEvent(f"{event_type}: the attribute ce-id and the payload's id differ")
    return event


def decode_structured(data: bytes) -> Event:
    """The event in a structured-mode message."""
    if len(data) > EVENT_BYTES_MAX * 2:
        raise MalformedEvent(f"the message is {len(data):,} bytes long")
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent("the message is not JSON") from error
    if not isinstance(whole, dict) or not isinstance(whole.get("type"), str) or not isinstance(whole.get("data"), dict):
        raise MalformedEvent("the message is not a structured CloudEvent with type and data")
    return _parse(whole["type"], json.dumps(whole["data"]).encode())


def _parse(event_type: str, data: bytes) -> Event:
    model = EVENT_TYPES.get(event_type)
    if model is None:
        raise MalformedEvent(f"unknown event type {mask(event_type, 100)}")
    if len(data) > EVENT_BYTES_MAX:
        raise MalformedEvent(f"{event_type} is {len(data):,} bytes long, {EVENT_BYTES_MAX:,} are allowed")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise MalformedEvent(f"{event_type}: {_complaints(error)}") from error


def _complaints(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'payload'}: {mask(item['msg'], 120)}" for item in found[:5])


def _iso(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _bounded(text: str) -> str:
    return text.encode()[:_ATTRIBUTE_BYTES_MAX].decode(errors="ignore")


def as_document(event: Event) -> dict[str, Any]:
    """The event as a state document that ``from_document`` reads back."""
    return {"type": event.TYPE, "payload": payload_of(event)}


def from_document(document: Mapping[str, Any]) -> Event:
    """The event that ``as_document`` wrote."""
    return _parse(str(document["type"]), str(document["payload"]).encode())
