"""What ingest does with each event: look at sources, keep deliveries, make readings, take in signals."""

from __future__ import annotations

import json
from collections.abc import Sequence

from services.ingest import delivery, reading, signals
from shared.domain.errors import ForeignFailure, MalformedEvent
from shared.domain.ids import derive
from shared.domain.incident import Origin
from shared.domain.masking import clean, mask
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.domain.reading import ReadingOptions, ReadingUnknown
from shared.events.types import (
    DeliveryArrived,
    DeliveryRegistered,
    Event,
    IncidentOpened,
    RereadFailed,
    SourceDue,
    SourceReread,
)
from shared.ports.event_bus import DEAD_LETTER_TOPIC, REQUESTS_TOPIC, SIGNALS_TOPIC
from shared.ports.ports import Ports
from shared.ports.source import Found
from shared.ports.state_store import Document
from shared.runtime.service import RawMessage, Service

_REQUEST_BYTES_MAX = 10_000


def on_source_due(event: SourceDue, ports: Ports) -> list[Event]:
    """Announce every object that has not become a delivery yet, a page at a time."""
    pipeline = _pipeline(event.pipeline, ports)
    uri = event.uri or pipeline.source.uri
    known = delivery.known_objects(ports.state, event.pipeline)
    fresh: list[Event] = []
    for found in ports.source(pipeline.source.kind).discover(uri):
        if (found.uri, found.generation) in known:
            continue
        if len(fresh) == ports.limits.listing_page:
            page = event.page + 1
            rest = f"{event.pipeline}|{uri}|page {page}|{derive(*(each.subject for each in fresh), length=12)}"
            more = {"pipeline": event.pipeline, "uri": event.uri, "page": page, "requested_by": event.requested_by}
            return [*fresh, SourceDue.caused_by(event, rest, ports.clock.now(), **more)]
        fresh.append(_arrived(event, found, event.pipeline, ports, remedy_id=""))
    return fresh


def on_delivery_arrived(event: DeliveryArrived, ports: Ports) -> list[Event]:
    """Keep the bytes, register the batch, stage its first reading; nothing if that has been done."""
    pipeline = _pipeline(event.pipeline, ports)
    document = delivery.of_object(ports.state, event.pipeline, event.uri, event.generation)
    if document is None:
        kept = delivery.keep_bytes(event, pipeline, ports)
        document = delivery.register(event, kept, pipeline, ports)
        if ports.state.get(delivery.DELIVERIES, document["batch_id"]) is not None:
            return []
        position = delivery.object_key(event.pipeline, event.uri, event.generation)
        ports.state.put(delivery.POSITIONS, position, {"batch_id": document["batch_id"]})
        emitted: list[Event] = [_registered(event, document, ports)]
    elif document["reading"] or not document["duplicate_of"]:
        return []
    else:
        kept = delivery.Kept(document["raw_path"], document["sha256"], document["bytes"])
        again = delivery.repeated(document["batch_id"], kept, document["seq"], pipeline, ports.state)
        if again:
            return []
        document["duplicate_of"] = ""  # something arrived in between: it is news after all
        emitted = [_registered(event, document, ports)]
    emitted += _first_reading(event, document, pipeline, ports)
    return emitted + _revived(event, document, ports)


def _first_reading(
    event: DeliveryArrived, document: Document, pipeline: PipelineDefinition, ports: Ports
) -> list[Event]:
    emitted: list[Event] = []
    held = bool(document["duplicate_of"]) and pipeline.source.duplicates == "hold"
    if not document["duplicate_of"] or held:
        staged = reading.make(event, document, pipeline, reading.declared(pipeline), 1, ports, "duplicate" * held)
        emitted.append(staged)
    key = delivery.content_key(document["pipeline"], document["sha256"])
    if not document["duplicate_of"] and ports.state.get(delivery.POSITIONS, key) is None:
        ports.state.put(delivery.POSITIONS, key, {"batch_id": document["batch_id"]})
    ports.state.put(delivery.DELIVERIES, document["batch_id"], document)
    return emitted


def _revived(event: DeliveryArrived, document: Document, ports: Ports) -> list[Event]:
    """The next delivery in order, if it was taken for a repetition of one before this late one."""
    later = delivery.neighbour(ports.state, document["pipeline"], document["seq"], later=True)
    if later is None or not later["duplicate_of"] or later["sha256"] == document["sha256"]:
        return []
    about = f"{later['batch_id']}|revived by {document['batch_id']}"
    fields = {name: later[name] for name in ("pipeline", "uri", "name", "generation")}
    return [DeliveryArrived.caused_by(event, about, ports.clock.now(), subject=later["batch_id"], **fields)]


def on_source_reread(event: SourceReread, ports: Ports) -> list[Event]:
    """Make another reading of a batch, or fetch its object again if the source has a newer one."""
    pipeline = _pipeline(event.pipeline, ports)
    document = ports.state.get(delivery.DELIVERIES, event.batch_id) if event.batch_id else None
    if event.refetch:
        return _refetch(event, pipeline, document, ports)
    if document is None:
        return [_reread_failed(event, "there is no such batch", ports)]
    if any(made["attempt"] == event.attempt for made in document["readings"]):
        return []
    try:
        options = ReadingOptions.from_json(event.reading_options_json)
    except ReadingUnknown as error:
        return [_reread_failed(event, mask(str(error)), ports)]
    staged = reading.make(event, document, pipeline, options, event.attempt, ports, "", event.remedy_id)
    ports.state.put(delivery.DELIVERIES, event.batch_id, document)
    return [staged]


def _refetch(event: SourceReread, pipeline: PipelineDefinition, document: Document | None, ports: Ports) -> list[Event]:
    uri = event.uri or (document["uri"] if document else "")
    try:
        found = list(ports.source(pipeline.source.kind).discover(uri))
    except ForeignFailure as error:
        return [_reread_failed(event, f"the source failed: {mask(error.message)}", ports)]
    known = delivery.known_objects(ports.state, event.pipeline)
    fresh = [each for each in found if (each.uri, each.generation) not in known]
    if not fresh:
        return [_reread_failed(event, "the source has nothing newer", ports)]
    return [_arrived(event, each, event.pipeline, ports, event.remedy_id) for each in fresh[:90]]


def on_request(message: RawMessage, ports: Ports) -> Sequence[Event]:
    """A user asks for a pipeline to be run: ``{"pipeline": "flights", "uri": "gs://…"}``."""
    if len(message.data) > _REQUEST_BYTES_MAX:
        raise MalformedEvent(f"the request is {len(message.data):,} bytes long")
    request = signals.parse(message.data)
    name, uri = request.get("pipeline"), request.get("uri", "")
    if not isinstance(name, str) or not name or not isinstance(uri, str):
        raise MalformedEvent('a request looks like {"pipeline": "flights", "uri": "gs://…"}; uri may be left out')
    pipeline = _pipeline(name, ports)
    by = clean(str(request.get("by", "")), 100)
    about = f"{pipeline.pipeline}|{uri}"
    fields = {"pipeline": pipeline.pipeline, "uri": uri[:2_000], "requested_by": by}
    return [SourceDue.caused_by(message.event, about, ports.clock.now(), **fields)]


def on_signal(message: RawMessage, ports: Ports) -> Sequence[Event]:
    """Another system reports a failure."""
    signal = signals.parse(message.data)
    return [signals.incident_of(signal, message.attributes.get("kind", ""), message.event, ports.clock.now())]


def on_dead_letter(message: RawMessage, ports: Ports) -> Sequence[Event]:
    """A message used up its deliveries: an incident that can be replayed."""
    lowered = {name.lower(): clean(value, 500) for name, value in message.attributes.items()}
    subscription = lowered.get("mend-dead-subscription") or lowered.get("cloudpubsubdeadlettersourcesubscription", "")
    service, _, topic = subscription.partition(".")
    event_id = lowered.get("ce-id", "")
    fingerprint = clean(f"dead letter|{service}|{topic}|{event_id or message.event.id}", 1_000)
    evidence = {
        "subscription": subscription,
        "attempts": lowered.get("mend-dead-attempts", ""),
        "replayable": bool(event_id),
    }
    return [
        IncidentOpened.caused_by(
            message.event,
            fingerprint,
            ports.clock.now(),
            fingerprint=fingerprint,
            origin=Origin.DEAD_LETTER,
            system="mendline",
            exception_type="DeadLetter",
            message=f"an event of {topic or 'an unknown topic'} could not be handled by {service or 'a service'}",
            evidence_json=json.dumps(evidence),
            service=service,
            event_id=event_id,
            event_topic=topic,
        )
    ]


def _pipeline(name: str, ports: Ports) -> PipelineDefinition:
    found = ports.definitions.read(f"pipelines/{name}.yaml")
    return parse_pipeline(found.text, found.path)


def _arrived(event: Event, found: Found, pipeline: str, ports: Ports, remedy_id: str) -> DeliveryArrived:
    return DeliveryArrived.caused_by(
        event,
        f"{pipeline}|{found.uri}|{found.generation}",
        ports.clock.now(),
        subject=clean(found.uri, 1_000),
        pipeline=pipeline,
        uri=found.uri,
        name=found.name,
        generation=found.generation,
        bytes=found.bytes,
        arrived=found.arrived,
        remedy_id=remedy_id,
    )


def _registered(event: DeliveryArrived, document: Document, ports: Ports) -> DeliveryRegistered:
    names = ("batch_id", "pipeline", "uri", "name", "generation", "sha256", "bytes", "seq", "raw_path", "duplicate_of")
    fields = {name: document[name] for name in names}
    about = f"{document['batch_id']}|{document['duplicate_of']}"
    return DeliveryRegistered.caused_by(event, about, ports.clock.now(), **{**fields, "subject": document["batch_id"]})


def _reread_failed(event: SourceReread, reason: str, ports: Ports) -> RereadFailed:
    fields = {"pipeline": event.pipeline, "remedy_id": event.remedy_id, "batch_id": event.batch_id, "uri": event.uri}
    about = f"{event.remedy_id}|{event.batch_id or event.uri}"
    return RereadFailed.caused_by(event, about, ports.clock.now(), reason=reason, **fields)


SERVICE = Service(
    name="ingest",
    handlers={
        SourceDue: on_source_due,
        DeliveryArrived: on_delivery_arrived,
        SourceReread: on_source_reread,
    },
    raw_handlers={
        REQUESTS_TOPIC: on_request,
        SIGNALS_TOPIC: on_signal,
        DEAD_LETTER_TOPIC: on_dead_letter,
    },
    collections=(delivery.DELIVERIES, delivery.POSITIONS),
    foreign_origin=Origin.SOURCE,
    priority=50,
    urgent=(SourceReread,),
)
