"""Says in one line what an event means, for whoever watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shared.domain.masking import clean
from shared.events.codec import decode, topic_of
from shared.events.types import (
    BatchHeld,
    BatchLoaded,
    BatchValidated,
    BatchWithdrawn,
    DeliveryRegistered,
    Event,
    IncidentClassified,
    IncidentClosed,
    RemedyApplied,
    RemedyProposed,
    RemedyUndone,
    RemedyVerified,
)
from shared.ports.event_bus import EventBus, Subscription

_TOLD: tuple[type[Event], ...] = (
    DeliveryRegistered,
    BatchValidated,
    BatchLoaded,
    BatchHeld,
    BatchWithdrawn,
    IncidentClassified,
    IncidentClosed,
    RemedyApplied,
    RemedyProposed,
    RemedyUndone,
    RemedyVerified,
)


class Told(NamedTuple):
    """One line: who, about which delivery or pipeline, what, and how to colour it."""

    service: str
    about: str
    what: str
    style: str  # "" | green | yellow | red | cyan
    event: Event


class Narrator:
    """Listens on the bus beside the services and turns what it hears into lines."""

    def __init__(self, bus: EventBus, name: str = "narrator") -> None:
        self._bus = bus
        self._names: dict[str, str] = {}
        self._subscriptions = [
            Subscription(f"{name}.{topic_of(kind)}", topic_of(kind), name, priority=0) for kind in _TOLD
        ]
        bus.subscribe(self._subscriptions)

    def lines(self) -> Iterator[Told]:
        """What was heard since the last call, in the order of publication."""
        names = [subscription.name for subscription in self._subscriptions]
        while heard := self._bus.pull(names, 100, 60.0):
            for delivery in sorted(heard, key=lambda each: int(each.message_id)):
                told = self._tell(decode(delivery.data, delivery.attributes))
                self._bus.ack(delivery)
                if told is not None:
                    yield told

    def _tell(self, event: Event) -> Told | None:
        if isinstance(event, DeliveryRegistered):
            self._names[event.batch_id] = event.name
        batch = str(getattr(event, "batch_id", ""))
        about = clean(self._names.get(batch, "") or str(getattr(event, "pipeline", "")) or batch, 60)
        said = _sentence(event)
        return Told(said[0], about, clean(said[1], 300), said[2], event) if said else None


def _sentence(event: Event) -> tuple[str, str, str] | None:
    return _of_batch(event) or _of_incident(event) or _of_remedy(event)


def _of_batch(event: Event) -> tuple[str, str, str] | None:
    if isinstance(event, DeliveryRegistered):
        if event.duplicate_of:
            return "ingest", f"the same content as {event.duplicate_of}: discarded", "yellow"
        return "ingest", f"arrived, {event.bytes:,} bytes", ""
    if isinstance(event, BatchValidated):
        again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
        what = f"{event.rows:,} rows checked{again}: {event.rows_passed:,} pass"
        aside = f", {event.rows_quarantined:,} set aside" if event.rows_quarantined else ""
        return "validate", f"{what}{aside}, score {event.score:.1f}", "yellow" if aside else "green"
    if isinstance(event, BatchLoaded):
        return "load", f"{event.rows_loaded:,} rows into {event.table}", "green"
    if isinstance(event, BatchHeld):
        return "validate", f"held: {event.reason}", "yellow"
    if isinstance(event, BatchWithdrawn):
        return "load", f"{event.rows_withdrawn:,} rows taken out again", ""
    return None


def _of_incident(event: Event) -> tuple[str, str, str] | None:
    if isinstance(event, IncidentClassified) and (event.judged_by or not event.repeated):
        diagnosis = f"{event.failure_class}/{event.cause} ({event.confidence:.0%})"
        return "classify", f"{event.incident_id} {diagnosis}: {event.explanation}", "red"
    if isinstance(event, IncidentClosed):
        style = "green" if event.state == "healed" else "yellow"
        return "remediate", f"{event.incident_id} {event.state}: {event.explanation}", style
    return None


def _of_remedy(event: Event) -> tuple[str, str, str] | None:
    if isinstance(event, RemedyApplied):
        return "remediate", f"{event.remedy}, by {event.decided_by}: {event.plan}", "cyan"
    if isinstance(event, RemedyProposed):
        return "remediate", f"{event.remedy} waits for a person: {event.plan} ({event.reason})", "yellow"
    if isinstance(event, RemedyVerified):
        return "remediate", f"{event.remedy} {event.state}: {event.explanation}", "cyan"
    if isinstance(event, RemedyUndone):
        return "remediate", f"{event.remedy} undone", "yellow"
    return None
