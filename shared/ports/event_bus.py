"""The bus that carries messages between services: durable, at least once, in any order unless keyed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """What is published: bytes and attributes under a topic.

    ``ordering_key`` "" means unordered; messages with one key reach a subscription one after the other.
    """

    topic: str
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str = ""


class Subscription(NamedTuple):
    """One service's queue of one topic; ``name`` is unique, ``priority`` lower = pulled first (local bus only)."""

    name: str
    topic: str
    service: str
    priority: int = 100


class Delivery(NamedTuple):
    """A message handed to one subscription for the ``attempt``-th time (from 1)."""

    ack_id: str
    message_id: str
    subscription: Subscription
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    attempt: int
    published_at: int  # microseconds


class BusLimits(NamedTuple):
    """What the bus refuses or gives up on."""

    message_bytes_max: int = 10_000_000
    attributes_max: int = 100
    attribute_key_bytes_max: int = 256
    attribute_value_bytes_max: int = 1_024
    deliveries_max: int = 20


DEAD_LETTER_TOPIC = "mend-dead-letters"
REQUESTS_TOPIC = "mend-requests"
SIGNALS_TOPIC = "mend-signals"


class EventBus(Protocol):
    """Publish, pull, acknowledge. All methods raise ``StoreUnavailable`` when the bus says no for now."""

    limits: BusLimits

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Create the subscriptions that do not exist yet; a message published later reaches each of its topic."""

    def publish(self, messages: Sequence[Message]) -> list[str]:
        """Store the messages durably, all or none, before returning their ids. ``LimitExceeded`` beyond the limits."""

    def pull(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        """Lease up to ``messages_max`` due messages; they come again when the lease ends without ack or nack.

        With an ordering key, a message is not handed out while an earlier one of its key is not acknowledged.
        """

    def ack(self, delivery: Delivery) -> None:
        """The delivery is done with; harmless when repeated or when the lease has ended."""

    def nack(self, delivery: Delivery, delay_seconds: float) -> None:
        """Hand it out again after ``delay_seconds``; after ``deliveries_max`` attempts it becomes a dead letter.

        A dead letter is published under ``DEAD_LETTER_TOPIC`` with the original data and attributes plus
        ``mend-dead-subscription``, ``mend-dead-topic`` and ``mend-dead-attempts``.
        """

    def next_due(self, subscriptions: Sequence[str]) -> int | None:
        """When (microseconds) the earliest message not acknowledged can be pulled; None when there is none.

        Leased messages count with the end of their lease. A bus that cannot tell (Pub/Sub) returns None.
        """

    def under_way(self, subscriptions: Sequence[str]) -> int:
        """How many messages can be pulled now or are being handled by somebody, at one moment.

        Neither those that come again later, nor those behind them. A bus that cannot tell (Pub/Sub) returns 0.
        """
