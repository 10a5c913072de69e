"""The topics and subscriptions of the system, as the events and the services' handlers say."""

from __future__ import annotations

from typing import Final, NamedTuple

from mend.services import every_service
from shared.events.codec import topic_of
from shared.events.types import EVENT_TYPES, ClockTicked, IncidentOpened
from shared.ports.event_bus import DEAD_LETTER_TOPIC, REQUESTS_TOPIC, SIGNALS_TOPIC, BusLimits
from shared.runtime.handling import subscriptions_of

ACK_SECONDS: Final = 600  # how long a push may take: as long as Pub/Sub waits
BACKOFF_SECONDS_MIN: Final = 10
BACKOFF_SECONDS_MAX: Final = 600
DELIVERIES_MAX: Final = BusLimits().deliveries_max


_CLOCK: Final = "ingest"  # the service with the scheduler's entry point


class Topic(NamedTuple):
    """A topic; ``schema`` is the event type whose Avro file it is checked by, "" for what strangers publish."""

    name: str
    schema: str


class Queue(NamedTuple):
    """One service's subscription to one topic; ``buried`` is where it puts what nobody can take ("" = nowhere)."""

    name: str
    topic: str
    service: str
    buried: str


def published() -> list[tuple[str, str]]:
    """(service, topic) of every topic that a service publishes to: what its handlers emit, failures, the clock's."""
    pairs = {(service.name, topic_of(each)) for service in every_service() for each in service.emits}
    pairs |= {(service.name, topic_of(IncidentOpened)) for service in every_service()}
    return sorted(pairs | {(_CLOCK, topic_of(ClockTicked))})


def users_of(topic: str) -> tuple[str, ...]:
    """The services that publish to a topic or hear it."""
    heard = {queue.service for queue in queues() if queue.topic == topic}
    return tuple(sorted(heard | {service for service, each in published() if each == topic}))


def topics() -> list[Topic]:
    """Every topic: one per event type, and those without schema."""
    typed = [Topic(topic_of(name), name) for name in sorted(EVENT_TYPES)]
    return [*typed, *(Topic(name, "") for name in (REQUESTS_TOPIC, SIGNALS_TOPIC, DEAD_LETTER_TOPIC))]


def recorded() -> list[Topic]:
    """The topics whose events Pub/Sub writes into history, each by a subscription of its own."""
    return [topic for topic in topics() if topic.schema]


def history_of(topic: Topic) -> str:
    """The subscription by which Pub/Sub writes a topic's events into their table."""
    return f"history.{topic.name}"


def queues() -> list[Queue]:
    """Every subscription; dead letters are never buried a second time."""
    return [
        Queue(f"{service.name}.{topic}", topic, service.name, "" if topic == DEAD_LETTER_TOPIC else DEAD_LETTER_TOPIC)
        for service in every_service()
        for topic in dict.fromkeys(subscriptions_of(service))
    ]
