"""What ingest does with each event: look at sources, keep deliveries, make readings, take in signals."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from services.ingest import delivery, deployments, landed, listing, reading, signals
from services.ingest.staging import TooManyRows
from shared.domain.errors import DefinitionError, ForeignFailure, MalformedEvent
from shared.domain.incident import Origin, batch_fingerprint
from shared.domain.masking import clean, mask
from shared.domain.pipeline import PIPELINE_NAME, PipelineDefinition, parse_pipeline
from shared.domain.reading import ReadingOptions, ReadingUnknown
from shared.events.types import (
    BatchHeld,
    BatchStaged,
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
from shared.ports.state_store import Document
from shared.runtime.service import RawMessage, Service

_REQUEST_BYTES_MAX = 10_000
_REQUEST_URI_CHARACTERS_MAX = 2_000
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def on_source_due(event: SourceDue, ports: Ports) -> list[Event]:
    """Announce every object that has not become a delivery yet, a page at a time."""
    return listing.announced(event, _pipeline(event.pipeline, ports), ports)


def on_delivery_arrived(event: DeliveryArrived, ports: Ports) -> list[Event]:
    """Keep the bytes, register the batch, stage its first reading; nothing if that has been done."""
    pipeline = _pipeline(event.pipeline, ports)
    document = delivery.of_object(ports.state, event.pipeline, event.uri, event.generation)
    emitted: list[Event] = []
    if document is None:
        kept = delivery.keep_bytes(event, pipeline, listing.source_of(pipeline, ports), ports)
        document = delivery.register(event, kept, pipeline, ports)
        if ports.state.get(delivery.DELIVERIES, document["batch_id"]) is not None:
            return []
        position = delivery.object_key(event.pipeline, event.uri, event.generation)
        ports.state.put(delivery.POSITIONS, position, {"batch_id": document["batch_id"]})
        emitted += [_registered(event, document, ports), *_checked_again(event, document, pipeline, ports)]
    elif document["reading"]:
        return []
    elif delivery.may_be_read_now(document, pipeline):
        document["held_above"] = 0
    elif document["duplicate_of"]:
        kept = delivery.Kept(document["raw_path"], document["sha256"], document["bytes"])
        if delivery.repeated(document["batch_id"], kept, document["seq"], pipeline, ports.state):
            return []
        document["duplicate_of"] = ""  # something arrived in between: it is news after all
        emitted += [_registered(event, document, ports)]
    else:
        return []
    emitted += _first_reading(event, document, pipeline, ports)
    return emitted + _revived(event, document, pipeline, ports)


def _first_reading(
    event: DeliveryArrived, document: Document, pipeline: PipelineDefinition, ports: Ports
) -> list[Event]:
    emitted: list[Event] = []
    held = bool(document["duplicate_of"]) and pipeline.source.duplicates == "hold"
    if not document["duplicate_of"] or held:
        try:
            options, problem = reading.declared(pipeline), "duplicate" * held
            emitted.append(reading.make(event, document, pipeline, options, 1, ports, problem))
        except TooManyRows as error:
            document["held_above"] = pipeline.source.batch_rows_max
            emitted += _too_large(event, document, error.rows, ports)
    key = delivery.content_key(document["pipeline"], document["sha256"])
    if not document["duplicate_of"] and ports.state.get(delivery.POSITIONS, key) is None:
        ports.state.put(delivery.POSITIONS, key, {"batch_id": document["batch_id"]})
    ports.state.put(delivery.DELIVERIES, document["batch_id"], document)
    return emitted


def _too_large(event: DeliveryArrived, document: Document, rows: int, ports: Ports) -> list[Event]:
    """A batch of more rows than the pipeline takes: held before anything is judged, and said."""
    limit = document["held_above"]
    message = (
        f"the delivery has more than {limit:,} rows, which is the pipeline's limit; raise batch_rows_max under source "
        "and run the pipeline again, or deliver it in pieces"
    )
    about, now = f"{document['batch_id']}|batch_rows_max|{limit}", ports.clock.now()
    whose = {"subject": document["batch_id"], "batch_id": document["batch_id"], "pipeline": document["pipeline"]}
    opened = IncidentOpened.caused_by(
        event,
        about,
        now,
        **whose,
        fingerprint=batch_fingerprint(document["pipeline"], document["batch_id"], "batch_rows_max", ""),
        origin=Origin.DATASET,
        attempt=1,
        reading=1,
        uri=document["uri"],
        message=message,
        check="batch_rows_max",
        rows=rows,
        rows_failed=rows,
        evidence_json=json.dumps({"check": "batch_rows_max", "rows": rows, "rows_max": limit}),
    )
    return [BatchHeld.caused_by(event, about, now, **whose, attempt=1, reason=message, rows=rows), opened]


def _checked_again(
    event: DeliveryArrived, document: Document, pipeline: PipelineDefinition, ports: Ports
) -> list[Event]:
    """A repetition of the one before looks again after its commit whether that still is the one before."""
    if not document["duplicate_of"] or pipeline.destination.mode == "append":
        return []
    delivery.note_repetition(ports.state, document)
    return [_announced_again(event, document, f"{document['batch_id']}|checked again", ports)]


def _revived(event: DeliveryArrived, document: Document, pipeline: PipelineDefinition, ports: Ports) -> list[Event]:
    """The next delivery in order, if it was taken for a repetition of one before this late one."""
    if pipeline.destination.mode == "append":
        return []
    later = delivery.neighbour(ports.state, document["pipeline"], document["seq"], later=True)
    if later is None or not later["duplicate_of"] or later["sha256"] == document["sha256"]:
        return []
    return [_announced_again(event, later, f"{later['batch_id']}|revived by {document['batch_id']}", ports)]


def _announced_again(event: DeliveryArrived, document: Document, about: str, ports: Ports) -> DeliveryArrived:
    fields = {name: document[name] for name in ("pipeline", "uri", "name", "generation")}
    return DeliveryArrived.caused_by(event, about, ports.clock.now(), subject=document["batch_id"], **fields)


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
    if ports.objects.stat(document["raw_path"]) is None:
        return [_reread_failed(event, "the delivered bytes are gone from the store", ports)]
    try:
        options = ReadingOptions.from_json(event.reading_options_json)
        staged = reading.make(event, document, pipeline, options, event.attempt, ports, "", event.remedy_id)
    except ReadingUnknown as error:
        return [_reread_failed(event, mask(str(error)), ports)]
    except TooManyRows:
        limit = f"more than {pipeline.source.batch_rows_max:,} rows"
        return [_reread_failed(event, f"read that way it has {limit}, which is the pipeline's limit", ports)]
    ports.state.put(delivery.DELIVERIES, event.batch_id, document)
    return [staged]


def _refetch(event: SourceReread, pipeline: PipelineDefinition, document: Document | None, ports: Ports) -> list[Event]:
    uri = event.uri or (document["uri"] if document else "")
    try:
        found = list(listing.source_of(pipeline, ports).discover(uri))
    except ForeignFailure as error:
        return [_reread_failed(event, f"the source failed: {mask(error.message)}", ports)]
    known = delivery.known_objects(ports.state, pipeline, found)
    fresh = [each for each in found if (each.uri, each.generation) not in known]
    if not fresh:
        return [_reread_failed(event, "the source has nothing newer", ports)]
    page = fresh[: ports.limits.listing_page]
    return [listing.arrived(event, each, event.pipeline, ports, event.remedy_id) for each in page]


def on_request(message: RawMessage, ports: Ports) -> Sequence[Event]:
    """A user asks for a pipeline to be run: ``{"pipeline": "flights", "uri": "gs://…"}``."""
    if len(message.data) > _REQUEST_BYTES_MAX:
        raise MalformedEvent(f"the request is {len(message.data):,} bytes long")
    request = signals.parse(message.data, "request")
    name, uri = request.get("pipeline"), request.get("uri", "")
    if name is None and request.get("by") == "storage" and isinstance(uri, str):
        now = ports.clock.now()
        return [
            SourceDue.caused_by(message.event, f"{due}|{of}", now, subject=due, pipeline=due, uri=of, requested_by="")
            for due, of in landed.due_for(uri, ports)
        ]
    if not isinstance(name, str) or not re.fullmatch(PIPELINE_NAME, name) or not isinstance(uri, str):
        raise MalformedEvent('a request looks like {"pipeline": "flights", "uri": "gs://…"}; uri may be left out')
    if len(uri) > _REQUEST_URI_CHARACTERS_MAX or _UNFIT.search(uri):
        raise MalformedEvent("the uri of a request is too long, or holds control characters")
    asked = request.get("by", "")
    by = clean(asked, 100) if isinstance(asked, str) else ""
    fields = {"pipeline": name, "uri": uri, "requested_by": by}
    return [SourceDue.caused_by(message.event, f"{name}|{uri}", ports.clock.now(), subject=name, **fields)]


def on_signal(message: RawMessage, ports: Ports) -> Sequence[Event]:
    """Another system reports a failure, or tells of a deployment, which is kept and opens nothing."""
    signal, address = signals.parse(message.data), message.attributes.get("kind", "")
    if signals.kind_of(signal, address) == signals.DEPLOYMENT:
        deployments.keep(ports.state, signal, message.event)
        return []
    return [signals.incident_of(signal, address, message.event, ports.clock.now())]


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
    pipeline = parse_pipeline(found.text, found.path)
    if pipeline.pipeline != name:
        what = f"the file is named {name}, its pipeline {pipeline.pipeline}"
        raise DefinitionError(found.path, 0, 0, what, "give both the same name")
    return pipeline


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
    emits=(BatchHeld, BatchStaged, DeliveryArrived, DeliveryRegistered, IncidentOpened, RereadFailed, SourceDue),
    collections=(delivery.DELIVERIES, delivery.POSITIONS, deployments.DEPLOYMENTS),
    foreign_origin=Origin.SOURCE,
    priority=50,
    urgent=(SourceReread,),
)
