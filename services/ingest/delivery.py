"""One delivery: its bytes brought to safety, hashed, registered, and judged new or repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from services.ingest.order import Neighbour, duplicate_of, seq_of
from shared.domain import ids, paths
from shared.domain.errors import Conflict, ForeignFailure
from shared.domain.pipeline import PipelineDefinition
from shared.events.types import DeliveryArrived
from shared.ports.ports import Ports
from shared.ports.source import Found, Source
from shared.ports.state import State
from shared.ports.state_store import Document, Where

DELIVERIES = "deliveries"
POSITIONS = "positions"
_CHUNK_BYTES = 1 << 20
_LOOKS_MAX = 5
_ONE_BY_ONE_MAX = 10
_REPETITIONS_NOTED_MAX = 100


class Kept(NamedTuple):
    """The delivered bytes, safe under ``raw_path``."""

    raw_path: str
    sha256: str
    bytes: int


def keep_bytes(event: DeliveryArrived, pipeline: PipelineDefinition, source: Source, ports: Ports) -> Kept:
    """Copy the object to ``raw/``, whole or not at all; a source that gives fewer bytes than it said has failed."""
    # The event is part of the name: whoever hears of the object from another event never writes over these bytes.
    key = ids.derive(event.pipeline, event.uri, event.generation, event.id, length=20)
    raw_path = paths.raw(event.pipeline, key, event.name)
    digest = hashlib.sha256()
    count = 0
    with source.open(event.uri) as stream, ports.objects.write(raw_path) as target:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
            count += len(chunk)
            ports.progress(f"fetching {paths.safe_name(event.name)}", count, event.bytes)
        if event.bytes and count < event.bytes:
            raise ForeignFailure(
                f"the source ended after {count:,} of {event.bytes:,} bytes",
                system=pipeline.source.kind,
                exception_type="ShortRead",
                reason="short_read",
            )
    return Kept(raw_path, digest.hexdigest(), count)


def of_object(state: State, pipeline: str, uri: str, generation: str) -> Document | None:
    """The delivery that this object already became, or None."""
    position = state.get(POSITIONS, object_key(pipeline, uri, generation))
    return state.get(DELIVERIES, str(position["batch_id"])) if position else None


def known_objects(state: State, pipeline: PipelineDefinition, listed: Sequence[Found]) -> set[tuple[str, str]]:
    """(uri, generation) of those listed that are deliveries, without those that a raised limit lets in now.

    Of a longer list every delivery of the pipeline is read, of a short one only those that are asked for: what a
    single new file costs does not grow with the number of those before it.
    """
    if len(listed) <= _ONE_BY_ONE_MAX:
        asked = ((each, of_object(state, pipeline.pipeline, each.uri, each.generation)) for each in listed)
        return {
            (each.uri, each.generation)
            for each, document in asked
            if document is not None and not may_be_read_now(document, pipeline)
        }
    known: set[tuple[str, str]] = set()
    after = ""
    while True:
        page = state.query(
            DELIVERIES,
            [Where("pipeline", "==", pipeline.pipeline), Where("seq", ">", after)],
            order_by="seq",
            limit=1_000,
        )
        known.update(
            (stored.data["uri"], stored.data["generation"])
            for stored in page
            if not may_be_read_now(stored.data, pipeline)
        )
        if len(page) < 1_000:
            return known
        after = page[-1].data["seq"]


def may_be_read_now(document: Document, pipeline: PipelineDefinition) -> bool:
    """True for a delivery that was held for its rows, when the pipeline's limit was raised since."""
    return 0 < int(document.get("held_above", 0)) < pipeline.source.batch_rows_max


def register(event: DeliveryArrived, kept: Kept, pipeline: PipelineDefinition, ports: Ports) -> Document:
    """The delivery's document, its duplicate rule applied; not yet put."""
    batch = ids.batch_id(event.pipeline, event.uri, event.generation, kept.sha256)
    seq = seq_of(pipeline.source.order, event.name, event.arrived, event.uri, event.generation)
    return {
        "batch_id": batch,
        "pipeline": event.pipeline,
        "uri": event.uri,
        "name": event.name,
        "generation": event.generation,
        "sha256": kept.sha256,
        "bytes": kept.bytes,
        "seq": seq,
        "raw_path": kept.raw_path,
        "duplicate_of": repeated(batch, kept, seq, pipeline, ports.state),
        "reading": 0,
        "readings": [],
        "held_above": 0,  # the limit of rows that it did not keep to
        "registered_at": ports.clock.now(),
    }


def repeated(batch: str, kept: Kept, seq: str, pipeline: PipelineDefinition, state: State) -> str:
    """The batch that this one repeats under the pipeline's duplicate rule, or ""."""
    if pipeline.source.duplicates == "load":
        return ""
    mode = pipeline.destination.mode
    if mode != "append":
        known = pinned_before(state, pipeline.pipeline, seq)
        before = Neighbour(known["batch_id"], known["sha256"]) if known else None
        return duplicate_of(mode, kept.sha256, kept.bytes, None, before)
    position = state.get(POSITIONS, content_key(pipeline.pipeline, kept.sha256))
    first = Neighbour(str(position["batch_id"]), kept.sha256) if position else None
    if first is not None and first.batch_id == batch:
        first = None
    return duplicate_of(mode, kept.sha256, kept.bytes, first, None)


def pinned_before(state: State, pipeline: str, seq: str) -> Document | None:
    """The delivery just before an order key, read so that a change of it until the commit runs the handler again.

    A repetition writes into the document of the delivery that it repeats (``note_repetition``) and looks once more
    after its commit: so of a repetition and a delivery that comes between at the same time one sees the other.
    """
    for _ in range(_LOOKS_MAX):
        found = neighbour(state, pipeline, seq, later=False)
        if found is None:
            return None
        pinned = state.get(DELIVERIES, found["batch_id"])
        again = neighbour(state, pipeline, seq, later=False)
        if again is not None and again["batch_id"] == found["batch_id"]:
            return pinned
    raise Conflict(f"deliveries of {pipeline} kept arriving just before this one")


def note_repetition(state: State, document: Document) -> None:
    """Write into the document of the delivery that this one repeats."""
    original = state.get(DELIVERIES, document["duplicate_of"])
    if original is not None:
        names = sorted({*original.get("repeated_by", []), document["batch_id"]})[-_REPETITIONS_NOTED_MAX:]
        state.put(DELIVERIES, document["duplicate_of"], {**original, "repeated_by": names})


def neighbour(state: State, pipeline: str, seq: str, *, later: bool) -> dict[str, Any] | None:
    """The delivery just before (or after) an order key."""
    found = state.query(
        DELIVERIES,
        [Where("pipeline", "==", pipeline), Where("seq", ">" if later else "<", seq)],
        order_by="seq",
        descending=not later,
        limit=1,
    )
    return found[0].data if found else None


def content_key(pipeline: str, sha256: str) -> str:
    """Key of the document that remembers which batch first had this content."""
    return f"{pipeline}:content:{sha256}"


def object_key(pipeline: str, uri: str, generation: str) -> str:
    """Key of the document that remembers which batch an object became."""
    return f"{pipeline}:object:{ids.derive(uri, generation)}"
