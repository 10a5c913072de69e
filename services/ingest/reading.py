"""Makes a reading: chooses how the bytes are read, stages every record, and says what else they might be."""

from __future__ import annotations

import functools
import json

from services.ingest.dialect import HEAD_BYTES, sniff
from services.ingest.staging import Staged, TooManyRows, stage
from shared.domain import paths
from shared.domain.pipeline import PipelineDefinition
from shared.domain.reading import ReadingOptions
from shared.events.types import BatchStaged, Event
from shared.ports.ports import Ports
from shared.ports.state_store import Document

_ALTERNATIVES_MAX = 5
_ALTERNATIVES_CHARACTERS_MAX = 20_000


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
    ``TooManyRows`` when the pipeline takes no batch that large: then nothing is left of the attempt's files.
    """
    with ports.objects.read(document["raw_path"]) as stream:
        suggested = sniff(stream.read(HEAD_BYTES), document["name"])
    first = suggested[0] if suggested else ReadingOptions()
    chosen = first if options is None else _with_compression(options, first)
    folder = paths.staged(document["batch_id"], attempt)
    try:
        staged = stage(
            functools.partial(ports.objects.read, document["raw_path"]),
            chosen,
            lambda number: ports.objects.write(paths.part(folder, number)),
            pipeline.source.batch_rows_max,
        )
    except TooManyRows as error:
        for index in range(error.parts):
            ports.objects.delete(paths.part(folder, index))
        raise
    ports.progress("reading", staged.rows, staged.rows)
    number = int(document["reading"]) + 1
    document["reading"] = number
    if staged.problem == "encoding":
        suggested = list(dict.fromkeys([chosen.model_copy(update={"encoding": "utf-8"}), *suggested]))
    others = _bounded([json.loads(each.to_json()) for each in suggested if each != chosen])
    document["readings"] = [*document["readings"], _noted(number, attempt, chosen, staged, others)]
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
        alternatives_json=json.dumps(others),
        remedy_id=remedy_id,
    )


def declared(pipeline: PipelineDefinition) -> ReadingOptions | None:
    """The reading that the pipeline declares; None for ``format: auto``."""
    return pipeline.source.declared


def _with_compression(options: ReadingOptions, sniffed: ReadingOptions) -> ReadingOptions:
    """A declared dialect says nothing of compression, which the bytes themselves tell for certain."""
    if options.compression == sniffed.compression or options.format in ("avro", "parquet"):
        return options
    return options.model_copy(update={"compression": sniffed.compression})


def _bounded(others: list[Document]) -> list[Document]:
    """The best of the other readings, as many as an event and a document hold with ease."""
    kept = others[:_ALTERNATIVES_MAX]
    while len(json.dumps(kept)) > _ALTERNATIVES_CHARACTERS_MAX:
        kept.pop()
    return kept


def _noted(number: int, attempt: int, options: ReadingOptions, staged: Staged, others: list[Document]) -> Document:
    return {
        "number": number,
        "attempt": attempt,
        "options": options.to_json(),
        "rows": staged.rows,
        "raw_rows": staged.raw_rows,
        "parts": staged.parts,
        "problem": staged.problem,
        "reason": staged.reason,
        "alternatives": others,
    }
