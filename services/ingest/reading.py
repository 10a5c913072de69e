"""Makes a reading: chooses how the bytes are read, stages every record, and says what else they might be."""

from __future__ import annotations

import functools
import json

from services.ingest.dialect import HEAD_BYTES, sniff
from services.ingest.staging import Staged, stage
from shared.domain import paths
from shared.domain.pipeline import PipelineDefinition
from shared.domain.reading import ReadingOptions
from shared.events.types import BatchStaged, Event
from shared.ports.ports import Ports
from shared.ports.state_store import Document

_ALTERNATIVES_MAX = 5


def make(
    event: Event,
    document: Document,
    pipeline: PipelineDefinition,
    options: ReadingOptions | None,
    attempt: int,
    ports: Ports,
    problem: str,
    remedy_id: str = "",
) -> BatchStaged:
    """Stage the next reading of a delivery as an attempt and note it in the delivery's document.

    ``options`` None lets the content decide; ``problem`` is what is wrong beside what the reading finds.
    """
    with ports.objects.read(document["raw_path"]) as stream:
        suggested = sniff(stream.read(HEAD_BYTES), document["name"])
    first = suggested[0] if suggested else ReadingOptions()
    chosen = first if options is None else _with_compression(options, first)
    folder = paths.staged(document["batch_id"], attempt)
    staged = stage(
        functools.partial(ports.objects.read, document["raw_path"]),
        chosen,
        lambda number: ports.objects.write(paths.part(folder, number)),
    )
    ports.progress("reading", staged.rows, staged.rows)
    number = int(document["reading"]) + 1
    document["reading"] = number
    document["readings"] = [*document["readings"], _noted(number, attempt, chosen, staged)]
    others = [each.to_json() for each in suggested if each != chosen][:_ALTERNATIVES_MAX]
    return BatchStaged.caused_by(
        event,
        f"{document['batch_id']}|{attempt}",
        ports.clock.now(),
        subject=document["batch_id"],
        batch_id=document["batch_id"],
        pipeline=pipeline.pipeline,
        attempt=attempt,
        reading=number,
        seq=document["seq"],
        parts=[paths.part(folder, index) for index in range(staged.parts)],
        rows=staged.rows,
        raw_rows=staged.raw_rows,
        bytes=document["bytes"],
        problem=problem or staged.problem,
        reading_options_json=chosen.to_json(),
        alternatives_json=json.dumps([json.loads(each) for each in others]),
        remedy_id=remedy_id,
    )


def declared(pipeline: PipelineDefinition) -> ReadingOptions | None:
    """The reading that the pipeline declares; None for ``format: auto``."""
    return pipeline.source.declared


def _with_compression(options: ReadingOptions, sniffed: ReadingOptions) -> ReadingOptions:
    """A declared dialect says nothing of compression, which the bytes themselves tell for certain."""
    if options.compression == sniffed.compression or options.format == "parquet":
        return options
    return options.model_copy(update={"compression": sniffed.compression})


def _noted(number: int, attempt: int, options: ReadingOptions, staged: Staged) -> Document:
    return {
        "number": number,
        "attempt": attempt,
        "options": options.to_json(),
        "rows": staged.rows,
        "raw_rows": staged.raw_rows,
        "parts": staged.parts,
        "problem": staged.problem,
        "reason": staged.reason,
    }
