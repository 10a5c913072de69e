"""Judges Parquet files by a contract where they lie: validate's own judgement, without staged files or a bus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from services.validate.failing_rows import FailingRows
from services.validate.judging import judge
from services.validate.parquet_rows import ParquetRows
from services.validate.terms import gather_terms
from shared.domain.ids import batch_id
from shared.events.types import BatchStaged
from shared.runtime.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.validate.judging import Verdict
    from services.validate.terms import Terms
    from shared.ports.ports import Ports
    from shared.ports.source import Found
    from shared.ports.warehouse import Warehouse
    from shared.runtime.wiring import Process


@dataclass(frozen=True, slots=True)
class InPlace:
    """A delivery with its rows, opened; ``same_as`` names an earlier one with the same bytes."""

    found: Found
    path: Path
    rows: ParquetRows
    same_as: str = ""


def opened(found: Sequence[Found], rows_max: int) -> list[InPlace] | None:
    """The deliveries opened where they lie; None when one of them is not on this machine's disks."""
    import polars as pl

    ready: list[InPlace] = []
    for each in found:
        address = urlsplit(each.uri)
        path = Path(unquote(address.path) if address.scheme == "file" else each.uri)
        if address.scheme not in ("", "file") or not path.is_file():
            return None
        try:
            rows = ParquetRows(path, rows_max)
        except (OSError, pl.exceptions.PolarsError):
            return None  # ingest says what is wrong with it
        ready.append(InPlace(each, path, rows, _same_as(each, path, ready)))
    return ready


def _same_as(found: Found, path: Path, before: list[InPlace]) -> str:
    """The first delivery of the same bytes; files of different sizes are not read."""
    for each in before:
        if each.found.bytes == found.bytes and not each.same_as and _digest(each.path) == _digest(path):
            return each.found.name
    return ""


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def judged(
    process: Process, pipeline: str, delivery: InPlace, sink: FailingRows, warehouse: Warehouse | None = None
) -> Verdict:
    """The verdict on a delivery, its failing rows given to ``sink``.

    Keys are looked up in ``warehouse``, where the contract refers to tables.
    """
    terms, ports = terms_of(process, pipeline, delivery.found, delivery.rows.rows, warehouse)
    return judge(terms, ports, delivery.rows, sink)


def terms_of(
    process: Process, pipeline: str, found: Found, rows: int, warehouse: Warehouse | None = None
) -> tuple[Terms, Ports]:
    """What a delivery of a trial is judged by, and the ports to do it with."""
    from services.validate.handlers import SERVICE

    key = batch_id(pipeline, found.uri, found.generation, "")
    now = process.clock.now()
    event = BatchStaged(
        id=key, time=now, subject=key, correlation_id=key, batch_id=key, pipeline=pipeline, attempt=1, reading=1,
        seq=found.name[:1_000], parts=[], rows=rows,
    )  # fmt: skip
    ports = process.ports(SERVICE, _Arrived(process, now))
    if warehouse is not None:
        ports = replace(ports, warehouse=warehouse)
    return gather_terms(event, ports), ports


class _Arrived(UnitOfWork):
    """The state of a trial that nothing came before: a delivery arrives at the moment of the test."""

    def __init__(self, process: Process, now: int) -> None:
        super().__init__(process.store, "validate", ())
        self._now = now

    def get(self, collection: str, key: str) -> dict[str, Any] | None:
        return {"registered_at": self._now} if collection == "deliveries" else super().get(collection, key)
