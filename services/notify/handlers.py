"""What notify does with each event: tell once, count the rest, and try again what a channel refused."""

from __future__ import annotations

from collections.abc import Sequence

from services.notify import messages, sending, telling
from services.notify.sending import SERVICE_NAME, Refusal
from services.notify.telling import Telling
from shared.domain.incident import Origin
from shared.events.types import (
    BatchHeld,
    ClockTicked,
    Event,
    IncidentClosed,
    IncidentOpened,
    RemedyApplied,
    RemedyProposed,
    RemedyUndone,
)
from shared.ports.ports import Ports
from shared.ports.state_store import Document, Where
from shared.runtime.service import Service


def on_remedy_proposed(event: RemedyProposed, ports: Ports) -> list[Event]:
    """A person should decide."""
    incident = _incident(event.incident_id, ports)
    return _tell(event, telling.of_proposed(event, incident), incident, ports)


def on_remedy_applied(event: RemedyApplied, ports: Ports) -> list[Event]:
    """A remedy was carried out."""
    incident = _incident(event.incident_id, ports)
    return _tell(event, telling.of_applied(event, incident), incident, ports)


def on_remedy_undone(event: RemedyUndone, ports: Ports) -> list[Event]:
    """A remedy was taken back."""
    incident = _incident(event.incident_id, ports)
    return _tell(event, telling.of_undone(event, incident), incident, ports)


def on_incident_closed(event: IncidentClosed, ports: Ports) -> list[Event]:
    """An incident ended, or is a person's now."""
    incident = _incident(event.incident_id, ports)
    return _tell(event, telling.of_closed(event, incident), incident, ports)


def on_batch_held(event: BatchHeld, ports: Ports) -> list[Event]:
    """A batch waits."""
    return _tell(event, telling.of_held(event, _delivered(event.batch_id, ports)), {}, ports)


def on_clock_ticked(event: ClockTicked, ports: Ports) -> list[Event]:
    """Try again what a channel refused; when it is given up, the channel's incident hears of it once more."""
    now = ports.clock.now()
    gone: list[Refusal] = []
    for stored in messages.due(ports.state, now):
        message = ports.state.get(messages.MESSAGES, stored.key)
        if message is None or not message["notice"] or not 0 < message["wake_at"] <= now:
            continue
        notice = messages.notice_of(message["notice"])
        waiting = sorted(name for name, result in message["channels"].items() if result == "pending")
        results, refusals = sending.send(notice, waiting, ports.channels)
        messages.settle(message, results, notice, now, _wait(refusals))
        ports.state.put(messages.MESSAGES, stored.key, message)
        if message["state"] == "lost" and not _about_us(_incident(message["incident_id"], ports)):
            gone += refusals
    return _incidents(gone, event, ports)


def _tell(event: Event, told: Telling, incident: Document, ports: Ports) -> list[Event]:
    """Send the message unless it was told before or only counts; the sending comes last, before the commit."""
    if messages.told(ports.state, told.key):
        return []
    now = ports.clock.now()
    names = _channels(told, incident, ports)
    message = messages.written(told, event.id, now)
    wanted, others = messages.counted(ports.state, told, now)
    refusals: list[Refusal] = []
    if wanted:
        notice = told.notice(event.id, others)
        results, refusals = sending.send(notice, names, ports.channels)
        messages.settle(message, results, notice, now, _wait(refusals))
    ports.state.put(messages.MESSAGES, told.key, message)
    # An incident about a channel opens no further one when that channel, or another, refuses the news of it.
    return [] if _about_us(incident) else _incidents(refusals, event, ports)


def _channels(told: Telling, incident: Document, ports: Ports) -> Sequence[str]:
    """Where the message goes. News of our own failures go to what exists, and never to the channel that failed."""
    names = sending.channels_of(told.pipeline, ports)
    if not _about_us(incident):
        sending.check_known(told.pipeline, names, ports.channels)
        return names
    broken = {str(incident.get("system", "")), _channel_of(str(incident.get("fingerprint", "")))}
    wanted = (*names, *sending.DEFAULT_CHANNELS, *sorted(ports.channels))
    return [name for name in wanted if name in ports.channels and name not in broken][:1]


def _channel_of(fingerprint: str) -> str:
    service, _, rest = fingerprint.partition("|channel ")
    return rest.partition("|")[0] if service == SERVICE_NAME else ""


def _about_us(incident: Document) -> bool:
    return incident.get("service") == SERVICE_NAME


def _incident(incident_id: str, ports: Ports) -> Document:
    """What classify knows of the incident. By query: that it changes meanwhile is no reason to tell again."""
    found = ports.state.query("incidents", [Where("incident_id", "==", incident_id)], limit=5) if incident_id else []
    incident: Document = next((stored.data for stored in found if stored.key == incident_id), {})
    if not incident.get("uri") and incident.get("batch_id"):
        return {**incident, "uri": _delivered(str(incident["batch_id"]), ports)}
    return incident


def _delivered(batch_id: str, ports: Ports) -> str:
    """The address of what a batch is made of."""
    found = ports.state.query("deliveries", [Where("batch_id", "==", batch_id)], limit=1)
    return str(found[0].data["uri"]) if found else ""


def _wait(refusals: Sequence[Refusal]) -> float:
    return max((refusal.wait_seconds for refusal in refusals), default=0.0)


def _incidents(refusals: Sequence[Refusal], event: Event, ports: Ports) -> list[Event]:
    opened = [sending.incident_of(refusal, event, ports.clock.now()) for refusal in refusals]
    return list({incident.id: incident for incident in opened}.values())


SERVICE = Service(
    name=SERVICE_NAME,
    handlers={
        RemedyProposed: on_remedy_proposed,
        RemedyApplied: on_remedy_applied,
        RemedyUndone: on_remedy_undone,
        IncidentClosed: on_incident_closed,
        BatchHeld: on_batch_held,
        ClockTicked: on_clock_ticked,
    },
    emits=(IncidentOpened,),
    collections=(messages.MESSAGES,),
    foreign_origin=Origin.INTERNAL,
    priority=15,
    timers=(messages.MESSAGES,),
)
