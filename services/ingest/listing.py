"""What a source has that is not a delivery yet, announced a page at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from services.ingest import delivery
from shared.domain.errors import DefinitionError
from shared.domain.ids import derive
from shared.domain.incident import Origin
from shared.domain.masking import clean
from shared.domain.pipeline import PipelineDefinition
from shared.events.types import DeliveryArrived, Event, IncidentOpened, SourceDue
from shared.ports.ports import Ports
from shared.ports.source import Found, Source

URI_CHARACTERS_MAX = 4_000


def source_of(pipeline: PipelineDefinition, ports: Ports) -> Source:
    """The source that the pipeline names; ``DefinitionError`` when nobody knows that kind."""
    try:
        return ports.source(pipeline.source.kind)
    except DefinitionError as error:
        raise DefinitionError(f"pipelines/{pipeline.pipeline}.yaml", 0, 0, error.message, error.hint) from error


def announced(event: SourceDue, pipeline: PipelineDefinition, ports: Ports) -> list[Event]:
    """Every object that is not a delivery yet, or the first page of them and the order to go on after it."""
    uri = event.uri or pipeline.source.uri
    source = source_of(pipeline, ports)
    if not uri:
        path = f"pipelines/{pipeline.pipeline}.yaml"
        hint = "name it in the request, or set uri: under source:"
        raise DefinitionError(path, 0, 0, f"a source of kind {pipeline.source.kind} has no uri of its own", hint)
    listed = list(_after(event.after, source.discover(uri)))
    known = delivery.known_objects(ports.state, pipeline, listed)
    emitted: list[Event] = []
    last = ""
    for found in listed:
        if (found.uri, found.generation) in known:
            continue
        if len(emitted) == ports.limits.listing_page and last:
            more = {"pipeline": event.pipeline, "uri": event.uri, "requested_by": event.requested_by}
            about = f"{event.pipeline}|{uri}|after {derive(last)}"
            now = ports.clock.now()
            further = SourceDue.caused_by(
                event, about, now, subject=event.pipeline, page=event.page + 1, after=last, **more
            )
            return [*emitted, further]
        problem = _problem(found)
        if not problem:
            emitted.append(arrived(event, found, event.pipeline, ports))
            last = found.uri
        elif len(emitted) < ports.limits.listing_page:
            emitted.append(_unannounced(event, found, problem, ports))
    return emitted


def arrived(event: Event, found: Found, pipeline: str, ports: Ports, remedy_id: str = "") -> DeliveryArrived:
    """The announcement of an object."""
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


def _after(uri: str, objects: Iterable[Found]) -> Iterator[Found]:
    """What is listed after ``uri``; everything when it is not listed any more."""
    listed = list(objects)
    places = [number for number, found in enumerate(listed) if uri and found.uri == uri]
    return iter(listed[places[0] + 1 :] if places else listed)


def _problem(found: Found) -> str:
    """Why an event could not carry the object's address, or ""."""
    if len(found.uri) > URI_CHARACTERS_MAX:
        return f"its address has more than {URI_CHARACTERS_MAX:,} characters"
    try:
        found.uri.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return ""


def _unannounced(event: SourceDue, found: Found, problem: str, ports: Ports) -> IncidentOpened:
    """An object that cannot be taken in under its name; the others are."""
    digest = derive(event.pipeline, found.uri, length=12)
    shown = clean(found.uri.encode("utf-8", "backslashreplace").decode(), 300)
    return IncidentOpened.caused_by(
        event,
        f"unnameable|{digest}",
        ports.clock.now(),
        fingerprint=f"ingest|{event.pipeline}|{digest}|unnameable",
        origin=Origin.SOURCE,
        pipeline=event.pipeline,
        uri=shown,
        system="source",
        exception_type="NameRefused",
        reason="invalid_name",
        message=f"{shown} cannot be taken in: {problem}; rename it at the source",
        evidence_json=json.dumps({"bytes": found.bytes}),
    )
