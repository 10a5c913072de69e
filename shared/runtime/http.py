"""The HTTP shell of a service: a Pub/Sub push or a CloudEvent comes in, acknowledge or deliver-again goes out."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from shared.domain.errors import TransientError
from shared.domain.ids import derive
from shared.events.codec import topic_of
from shared.events.dead_letters import as_ours
from shared.events.types import ClockTicked
from shared.ports.event_bus import REQUESTS_TOPIC, EventBus
from shared.ports.gauges import Gauge, Gauges
from shared.ports.state_store import StateStore
from shared.runtime.callers import Caller
from shared.runtime.handling import messages_of
from shared.runtime.service import Service
from shared.runtime.signatures import HEADER, Sent

if TYPE_CHECKING:
    from flask import Request

    from shared.runtime.handling import Runtime

REQUEST_BYTES_MAX = 15_000_000  # a 10 MB message in base64, and its envelope
ACKNOWLEDGED = 204
DELIVER_AGAIN = 503
NOT_NOW = "not now; send it again"
_CHUNK_BYTES = 1 << 20
_PUBSUB = "x-goog-pubsub-"


class Pushed(NamedTuple):
    """A message as it was pushed, whatever the wrapping."""

    topic: str
    data: bytes
    attributes: dict[str, str]
    attempt: int
    message_id: str


ORDERING_KEY = "mend-ordering-key"
STORED = "google.cloud.storage.object.v1.finalized"


def answer(service: Service, runtime: Runtime, request: Request) -> tuple[str, int]:
    """Handle one push. 204 acknowledges, 503 asks for redelivery; what is malformed is acknowledged as an incident."""
    if request.method != "POST":  # a probe is no event
        return "use POST", 405
    body = _body(request)
    if body is None:
        return "request too large", 413
    pushed = unwrap(body, {name.lower(): value for name, value in request.headers.items()})
    outcome = runtime.deliver(
        service,
        pushed.topic,
        pushed.data,
        pushed.attributes,
        attempt=pushed.attempt,
        message_id=pushed.message_id,
    )
    return "", ACKNOWLEDGED if outcome.acknowledge else DELIVER_AGAIN


def take_in(
    service: Service,
    runtime: Runtime,
    topic: str,
    request: Request,
    new_id: str,
    judge: Callable[[str, str, Sent], Caller] = lambda signature, authorization, sent: Caller(),
) -> tuple[str, int]:
    """A stranger's message over plain HTTP: answered only when what it causes is on the bus.

    202 when it was taken in (a repetition included), 400 with the reason when it is malformed, 503 to try again.
    The last segment of the path is the message's ``kind``; ``new_id`` is one that nobody else has. ``judge`` says of
    a signature, a token and what was sent whether it is believed: else 401. What is believed and sent again is the same
    message: its receipt is there already.
    """
    if request.method != "POST":
        return "use POST", 405
    body = _body(request)
    if body is None:
        return "request too large", 413
    try:
        sent = Sent(request.method, request.path, body)
        caller = judge(request.headers.get(HEADER, ""), request.headers.get("authorization", ""), sent)
    except TransientError:
        return NOT_NOW, DELIVER_AGAIN
    if caller.refusal:
        return caller.refusal, 401
    kind = request.path.rstrip("/").rsplit("/", 1)[-1]
    # A retry that names itself is the same message; otherwise every request is one, and repeating one is harmless.
    headers = request.headers
    named = caller.message_id or headers.get("x-request-id") or headers.get("x-cloudscheduler-scheduletime")
    outcome = runtime.deliver(service, topic, body, {"kind": kind[:100]}, message_id=(named or new_id)[:200])
    if not outcome.acknowledge:
        return NOT_NOW, DELIVER_AGAIN
    if outcome.outcome in {"handled", "repeated"}:
        return "taken in", 202
    return "malformed; an incident says what is wrong", 400


def ticked(bus: EventBus, now: int, request: Request) -> tuple[str, int]:
    """A scheduler's minute as ``clock.ticked``; the same second told twice is one event."""
    if request.method != "POST":
        return "use POST", 405
    told = derive("tick", request.headers.get("x-cloudscheduler-scheduletime") or now // 1_000_000)
    tick = ClockTicked(id=told, time=now, subject="clock", correlation_id=told)
    try:
        bus.publish(messages_of("clock", [tick]))
    except TransientError:
        return NOT_NOW, DELIVER_AGAIN
    return "", ACKNOWLEDGED


def measured(
    store: StateStore, gauges: Gauges, now: int, found: Callable[[StateStore, int], Sequence[Gauge]], request: Request
) -> tuple[str, int]:
    """How things stand, written where it is charted; a scheduler that hears 503 asks again."""
    if request.method != "POST":
        return "use POST", 405
    try:
        gauges.write(found(store, now), now)
    except TransientError:
        return NOT_NOW, DELIVER_AGAIN
    return "", ACKNOWLEDGED


def unwrap(body: bytes, headers: dict[str, str]) -> Pushed:
    """The message in a push: unwrapped (CloudEvents headers), structured, or wrapped in Pub/Sub's JSON.

    Never raises: what cannot be unwrapped becomes a message without ``ce-type``, which the runtime reports.
    """
    content_type = headers.get("content-type", "")
    if "ce-type" in headers or content_type.startswith("application/cloudevents"):
        attributes = {name: value for name, value in headers.items() if name.startswith("ce-")}
        attributes["content-type"] = content_type
        subscription = headers.get(f"{_PUBSUB}subscription-name", "")
        attempt = _attempt(headers.get(f"{_PUBSUB}delivery-attempt"))
        message_id = headers.get(f"{_PUBSUB}message-id", "")
        if headers.get("ce-type") == STORED:
            return _stored(body, headers)
        attributes = _whole(attributes, headers.get(f"{_PUBSUB}ordering-key", ""))
        return Pushed(_topic(attributes, subscription), body, attributes, attempt, message_id)
    try:
        wrapped = json.loads(body)
        message = wrapped["message"]
        data = base64.b64decode(message.get("data", ""), validate=True)
        attributes = {str(name): str(value) for name, value in (message.get("attributes") or {}).items()}
        subscription = str(wrapped.get("subscription", ""))
        attempt = _attempt(wrapped.get("deliveryAttempt"))
        message_id = str(message.get("messageId", ""))
        attributes = _whole(attributes, str(message.get("orderingKey", "")))
        return Pushed(_topic(attributes, subscription), data, attributes, attempt, message_id)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        return Pushed("", body, {}, 1, "")


def _body(request: Request) -> bytes | None:
    """The request's body; None when it is too large, which one that does not say its length may be as well."""
    if (request.content_length or 0) > REQUEST_BYTES_MAX:
        return None
    pieces: list[bytes] = []
    size = 0
    while piece := request.stream.read(_CHUNK_BYTES):  # a read may give less than was asked for
        pieces.append(piece)
        size += len(piece)
        if size > REQUEST_BYTES_MAX:
            return None
    return b"".join(pieces)


def _whole(attributes: dict[str, str], ordering_key: str) -> dict[str, str]:
    """The attributes with what a bus says beside them, and a dead letter's in our words."""
    whole = as_ours(attributes)
    return whole | {ORDERING_KEY: ordering_key} if ordering_key else whole


def _stored(body: bytes, headers: dict[str, str]) -> Pushed:
    """An object has landed: a request to look at it, whichever pipeline it is for. Told twice, it is one request."""
    bucket = headers.get("ce-bucket") or headers.get("ce-source", "").rpartition("/buckets/")[2]
    name = unquote(headers.get("ce-subject", "")).removeprefix("objects/")
    try:
        told = json.loads(body)
        bucket, name = str(told.get("bucket") or bucket), str(told.get("name") or name)
        generation = str(told.get("generation") or "")
    except (ValueError, AttributeError, RecursionError):
        generation = ""
    request = json.dumps({"uri": f"gs://{bucket}/{name}", "by": "storage"}).encode()
    return Pushed(REQUESTS_TOPIC, request, {}, 1, f"{bucket}/{name}#{generation or headers.get('ce-id', '')}")


def _topic(attributes: dict[str, str], subscription: str) -> str:
    named = subscription.rsplit("/", 1)[-1].partition(".")[2]  # subscriptions are named SERVICE.TOPIC
    if named:  # a dead letter still has the type of what it was
        return named
    lowered = {name.lower(): value for name, value in attributes.items()}
    return topic_of(lowered["ce-type"]) if lowered.get("ce-type") else ""


def _attempt(value: object) -> int:
    text = str(value or "")
    return int(text) if text.isdecimal() and len(text) < 6 else 1
