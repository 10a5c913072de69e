"""The bus on Pub/Sub: one topic per event type, one subscription per (service, topic)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.gcp import channels
from shared.adapters.gcp.errors import translated, translating, vendor_errors
from shared.adapters.gcp.patience import briefly
from shared.domain.checks import check
from shared.domain.errors import LimitExceeded, MalformedEvent, StoreUnavailable
from shared.events.dead_letters import as_ours
from shared.ports.event_bus import DEAD_LETTER_TOPIC, BusLimits, Delivery, Message, Subscription

if TYPE_CHECKING:
    from google.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1.types import ReceivedMessage

# A request has 10 MB in all, attributes and names included.
LIMITS: Final = BusLimits(message_bytes_max=9_800_000)
_REQUEST_BYTES_MAX: Final = 9_900_000
_REQUEST_MESSAGES_MAX: Final = 1_000
_DELAY_SECONDS_MAX: Final = 600
_LEASE_SECONDS_MIN: Final = 10  # of a subscription; a single delivery's may be shorter


class PubsubEventBus:
    """An ``EventBus`` in one project.

    It calls the generated client, and not the one that batches in a thread of its own: a handler's events are at hand
    together, they must be on the bus before the push is answered, and a function's threads stand still after that.
    So they go as one request per topic and ordering key, and the caller waits: that is the flow control.

    Pulling is for tools and tests; deployed services are pushed to. Messages are pulled one at a time, because one
    request may answer with several of one ordering key, and the port promises one after the other.
    """

    def __init__(
        self, project: str, *, emulator: str = "", limits: BusLimits | None = None, ordered: bool = True
    ) -> None:
        """``ordered``: the subscriptions that ``subscribe`` makes keep the order of messages with one key."""
        self.limits = limits or LIMITS
        self._ordered = ordered
        self._project = project
        self._emulator = emulator
        self._known: dict[str, Subscription] = {}
        self._publisher_made: PublisherClient | None = None
        self._subscriber_made: SubscriberClient | None = None

    # ── publishing ──

    def publish(self, messages: Sequence[Message]) -> list[str]:
        """Publish the messages, each request whole or not at all, and wait for their ids.

        Several topics are several requests: after an error some may have been published, and publishing again
        repeats them. Receivers have receipts.
        """
        for message in messages:
            self._check_limits(message)
        ids: dict[int, str] = {}
        for topic, numbered in _requests(messages):
            ids.update(
                zip((number for number, _ in numbered), self._send(topic, [m for _, m in numbered]), strict=True)
            )
        return [ids[number] for number in range(len(messages))]

    def _send(self, topic: str, messages: Sequence[Message]) -> list[str]:
        from google.api_core.exceptions import InvalidArgument
        from google.pubsub_v1.types import PubsubMessage

        request = {
            "topic": self._topic(topic),
            "messages": [
                PubsubMessage(data=each.data, attributes=dict(each.attributes), ordering_key=each.ordering_key)
                for each in messages
            ],
        }
        try:
            answer = self._publisher().publish(request=request, **briefly(twice=True))
        except InvalidArgument as error:
            # The topic's schema refuses it, and will again.
            raise MalformedEvent(f"topic {topic} refuses the message: it does not fit the topic's schema") from error
        except vendor_errors() as error:
            raise translated(error, f"topic {topic}", StoreUnavailable) from error
        return list(answer.message_ids)

    def _check_limits(self, message: Message) -> None:
        limits = self.limits
        if len(message.data) > limits.message_bytes_max:
            raise LimitExceeded(
                f"a message to {message.topic} has {len(message.data)} bytes; at most {limits.message_bytes_max}"
            )
        if len(message.attributes) > limits.attributes_max:
            raise LimitExceeded(
                f"a message to {message.topic} has {len(message.attributes)} attributes; "
                f"at most {limits.attributes_max}"
            )
        for key, value in message.attributes.items():
            if len(key.encode()) > limits.attribute_key_bytes_max:
                raise LimitExceeded(f"an attribute's name has more than {limits.attribute_key_bytes_max} bytes")
            if len(value.encode()) > limits.attribute_value_bytes_max:
                raise LimitExceeded(f"attribute {key} has more than {limits.attribute_value_bytes_max} bytes")

    # ── pulling ──

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Create the topics and pull subscriptions that do not exist yet; a deployed one is left as it is."""
        from google.api_core.exceptions import AlreadyExists

        with translating("subscriptions", StoreUnavailable):
            for each in subscriptions:
                for topic in (each.topic, DEAD_LETTER_TOPIC):
                    with contextlib.suppress(AlreadyExists):
                        self._publisher().create_topic(name=self._topic(topic), **briefly(twice=True))
                with contextlib.suppress(AlreadyExists):
                    self._subscriber().create_subscription(request=self._request(each), **briefly(twice=True))
        self._known.update({each.name: each for each in subscriptions})

    def pull(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        """Lease what is there now, subscription after subscription by priority."""
        check(messages_max > 0, "at least one message is pulled")
        unknown = [name for name in subscriptions if name not in self._known]
        check(not unknown, f"there is no subscription {', '.join(unknown)}; subscribe first")
        deliveries: list[Delivery] = []
        for subscription in sorted((self._known[name] for name in subscriptions), key=lambda each: each.priority):
            while len(deliveries) < messages_max:
                delivery = self._pull_one(subscription, lease_seconds)
                if delivery is None:
                    break
                deliveries.append(delivery)
        return deliveries

    def _pull_one(self, subscription: Subscription, lease_seconds: float) -> Delivery | None:
        request = {"subscription": self._path(subscription.name), "max_messages": 1, "return_immediately": True}
        with translating(f"subscription {subscription.name}", StoreUnavailable):
            answer = self._subscriber().pull(request=request, **briefly(twice=True))
        for received in answer.received_messages:
            delivery = _delivery(subscription, received)
            self._lease(delivery, lease_seconds)
            return delivery
        return None

    def ack(self, delivery: Delivery) -> None:
        """The delivery is done with; one whose lease has ended comes again all the same."""
        request = {"subscription": self._path(delivery.subscription.name), "ack_ids": [delivery.ack_id]}
        with translating(f"subscription {delivery.subscription.name}", StoreUnavailable):
            self._subscriber().acknowledge(request=request, **briefly(twice=True))

    def nack(self, delivery: Delivery, delay_seconds: float) -> None:
        """Hand it out again after ``delay_seconds``, at most ten minutes; Pub/Sub buries what comes too often."""
        self._lease(delivery, max(0.0, delay_seconds))

    def next_due(self, subscriptions: Sequence[str]) -> int | None:
        """Pub/Sub cannot tell."""
        return None

    def under_way(self, subscriptions: Sequence[str]) -> int:
        """Pub/Sub cannot tell."""
        return 0

    def _lease(self, delivery: Delivery, seconds: float) -> None:
        request = {
            "subscription": self._path(delivery.subscription.name),
            "ack_ids": [delivery.ack_id],
            "ack_deadline_seconds": min(_DELAY_SECONDS_MAX, round(seconds)),
        }
        with translating(f"subscription {delivery.subscription.name}", StoreUnavailable):
            self._subscriber().modify_ack_deadline(request=request, **briefly(twice=True))

    # ── clients ──

    def _request(self, subscription: Subscription) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "name": self._path(subscription.name),
            "topic": self._topic(subscription.topic),
            "ack_deadline_seconds": _LEASE_SECONDS_MIN,
            "enable_message_ordering": self._ordered,
        }
        if subscription.topic != DEAD_LETTER_TOPIC:  # a dead letter that nobody can take is never lost
            asked["dead_letter_policy"] = {
                "dead_letter_topic": self._topic(DEAD_LETTER_TOPIC),
                "max_delivery_attempts": self.limits.deliveries_max,
            }
        return asked

    def _topic(self, topic: str) -> str:
        return f"projects/{self._project}/topics/{topic}"

    def _path(self, subscription: str) -> str:
        return f"projects/{self._project}/subscriptions/{subscription}"

    def _publisher(self) -> PublisherClient:
        if self._publisher_made is None:
            from google.pubsub_v1 import PublisherClient
            from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

            self._publisher_made = (
                PublisherClient(transport=PublisherGrpcTransport(channel=channels.insecure(self._emulator)))
                if self._emulator
                else PublisherClient()
            )
        return self._publisher_made

    def _subscriber(self) -> SubscriberClient:
        if self._subscriber_made is None:
            from google.pubsub_v1 import SubscriberClient
            from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

            self._subscriber_made = (
                SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.insecure(self._emulator)))
                if self._emulator
                else SubscriberClient()
            )
        return self._subscriber_made


def _requests(messages: Sequence[Message]) -> Iterator[tuple[str, list[tuple[int, Message]]]]:
    """The messages by topic and ordering key, in their order, cut where a request would be too large."""
    groups: dict[tuple[str, str], list[tuple[int, Message]]] = {}
    for number, message in enumerate(messages):
        groups.setdefault((message.topic, message.ordering_key), []).append((number, message))
    for (topic, _), numbered in groups.items():
        part: list[tuple[int, Message]] = []
        size = 0
        for number, message in numbered:
            more = _bytes_of(message)
            if part and (size + more > _REQUEST_BYTES_MAX or len(part) >= _REQUEST_MESSAGES_MAX):
                yield topic, part
                part, size = [], 0
            part.append((number, message))
            size += more
        yield topic, part


def _bytes_of(message: Message) -> int:
    named = sum(len(key.encode()) + len(value.encode()) + 8 for key, value in message.attributes.items())
    return len(message.data) + named + len(message.ordering_key.encode()) + 64


def _delivery(subscription: Subscription, received: ReceivedMessage) -> Delivery:
    message = received.message
    attributes: Mapping[str, str] = dict(message.attributes)
    published = message.publish_time.timestamp_pb()
    return Delivery(
        ack_id=received.ack_id,
        message_id=message.message_id,
        subscription=subscription,
        data=bytes(message.data),
        attributes=as_ours(attributes),
        ordering_key=message.ordering_key,
        attempt=max(1, int(received.delivery_attempt)),
        published_at=published.seconds * 1_000_000 + published.nanos // 1_000,
    )
