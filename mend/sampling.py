"""Reads the first deliveries of a source as ingest would: the sample that a contract is inferred from."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from services.ingest.dialect import HEAD_BYTES, sniff
from services.ingest.staging import stage
from shared.domain.errors import DefinitionError
from shared.domain.reading import MISFIT, ROW, ReadingOptions
from shared.ports.source import Found, Source

if TYPE_CHECKING:
    import polars as pl

    from mend.project import Progress

BYTES_MAX = 256 << 20  # of one delivery; the rest of a longer text says little more
ROWS_MAX = 1_000_000  # of all deliveries together
_CHUNK_BYTES = 1 << 20
_CONTROL = re.compile(r"\\x[0-9a-f]{2}")  # as names of columns show control characters


class Sample(NamedTuple):
    """What was read: one frame a delivery, staged text and our own columns."""

    frames: list[pl.DataFrame]
    dialect: ReadingOptions  # that most of the deliveries have
    read: list[Found]
    left_out: list[str]  # names of deliveries that read differently, or could not be read
    notes: list[str]


class _Fetched(NamedTuple):
    found: Found
    file: Path
    whole: bool
    dialect: ReadingOptions


def sample(source: Source, chosen: Sequence[Found], progress: Progress | None) -> Sample:
    """Read the deliveries in the dialect that most of them have.

    ``ForeignFailure`` when the source fails, ``DefinitionError`` when there is nothing to read in what it gives.
    """
    with TemporaryDirectory(prefix="mend-init-") as folder:
        fetched: list[_Fetched] = []
        for number, found in enumerate(chosen, start=1):
            if progress:
                progress("looking", number - 1, len(chosen))
            fetched.append(_fetch(source, found, Path(folder) / f"{number}"))
        dialect = _shared_dialect([each.dialect for each in fetched])
        alike = [each for each in fetched if _told(each.dialect) == _told(dialect)]
        notes = []
        if len(alike) < len(fetched):
            odd = len(fetched) - len(alike)
            notes.append(f"{odd} of {len(fetched)} deliveries read differently and are left out; such a one is healed")
        frames = []
        for number, each in enumerate(alike, start=1):
            if progress:
                progress("reading", number - 1, len(alike))
            frames.append(_frame(each, ROWS_MAX // len(alike)))
        misfits = sum(frame.get_column(MISFIT).is_not_null().sum() for frame in frames)
        binary = any(_CONTROL.search(column) for frame in frames for column in frame.columns)
        if binary or misfits * 2 > sum(frame.height for frame in frames):
            what = "what was read is no text of rows: neither CSV, nor JSON, nor Avro, nor Parquet"
            raise DefinitionError(chosen[0].uri, 0, 0, what, "unpack archives; gzip is read as it is")
        if misfits:
            notes.append(f"{misfits:,} lines do not fit the others; they would be quarantined")
        if any(not each.whole for each in alike):
            notes.append(f"of long deliveries the first {BYTES_MAX >> 20} MB were read")
        names = {each.found.name for each in alike}
        left_out = [found.name for found in chosen if found.name not in names]
        return Sample(frames, dialect, [each.found for each in alike], left_out, notes)


def _fetch(source: Source, found: Found, file: Path) -> _Fetched:
    """Copy a delivery's beginning; a Parquet file says what it is at its end, so it is copied whole."""
    with source.open(found.uri) as stream, file.open("wb") as copy:
        head = _read(stream, HEAD_BYTES)
        copy.write(head)
        dialect = sniff(head, found.name)[0]
        if dialect.format == "parquet":
            shutil.copyfileobj(stream, copy, _CHUNK_BYTES)
            return _Fetched(found, file, True, dialect)
        while copy.tell() < BYTES_MAX:
            chunk = stream.read(_CHUNK_BYTES)
            if not chunk:
                return _Fetched(found, file, True, dialect)
            copy.write(chunk)
        return _Fetched(found, file, not stream.read(1), dialect)


def _read(stream: BinaryIO, count: int) -> bytes:
    """Exactly so many bytes, or all there are."""
    parts = []
    while count > 0:
        part = stream.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _told(dialect: ReadingOptions) -> ReadingOptions:
    """What a pipeline file says of a dialect: compression is seen from the bytes themselves."""
    return dialect.model_copy(update={"compression": "none"})


def _shared_dialect(dialects: list[ReadingOptions]) -> ReadingOptions:
    """The most frequent one, of equals the last."""
    counts = Counter(_told(each) for each in dialects)
    best = max(counts.values())
    return next(_told(each) for each in reversed(dialects) if counts[_told(each)] == best)


def _frame(fetched: _Fetched, rows_max: int) -> pl.DataFrame:
    """The delivery's rows; the last one of a delivery that was cut is cut too."""
    import polars as pl

    folder = fetched.file.with_suffix(".staged")
    folder.mkdir()
    parts: list[Path] = []

    def open_part(number: int) -> BinaryIO:
        parts.append(folder / f"part-{number:05d}.parquet")
        return parts[-1].open("wb")

    staged = stage(lambda: fetched.file.open("rb"), fetched.dialect, open_part)
    if staged.problem == "unreadable":
        raise DefinitionError(fetched.found.uri, 0, 0, f"cannot be read: {staged.reason}", "deliver another format")
    frames = [pl.read_parquet(part, n_rows=rows_max, memory_map=False) for part in parts]
    frame = pl.concat(frames, how="diagonal_relaxed").sort(ROW).head(rows_max)
    return frame if fetched.whole else frame.head(frame.height - 1)
