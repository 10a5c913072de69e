"""Where every row of a batch is: loaded, quarantined, discarded or in flight, told from files and not from counters.

The rule stands in ``services/remediate/README.md``: the latest attempt that contains a row decides its place. A batch
costs one byte a row, whatever its columns are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.domain import paths
from shared.domain.batch import LoadState
from shared.domain.reading import ROW
from shared.ports.object_store import ObjectStore
from shared.ports.state_store import StateStore, Where

if TYPE_CHECKING:
    import polars as pl

Document = Mapping[str, Any]

ROWS_MAX: Final = 2**31  # a greater row number is damage, and must not cost memory
REASONS_MAX: Final = 20
_FRESH: Final = 8  # marks, while an attempt is looked at, what it decided itself


class Place(IntEnum):
    """Where a row is; ``UNDECIDED`` counts as in flight, as no attempt contains the row."""

    UNDECIDED = 0
    LOADED = 1
    QUARANTINED = 2
    DISCARDED = 3
    IN_FLIGHT = 4


class Attempt(NamedTuple):
    """An attempt that was not withdrawn."""

    number: int
    reading: int
    kind: str  # reading | whole | rows | superseded


@dataclass(slots=True)
class Places:
    """The place of each row of one batch: ``codes`` holds a ``Place`` for rows 1, 2, …"""

    batch_id: str
    codes: pl.Series
    twice: int = 0  # rows that have two places, or one place twice
    strays: int = 0  # row numbers that no reading gives
    shadowed: int = 0  # rows in the warehouse although a later attempt says they are elsewhere
    missing_files: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)  # of the discarded rows

    @property
    def size(self) -> int:
        """The greatest row number that is known."""
        return len(self.codes)

    def count(self, place: Place, records: int | None = None) -> int:
        """Rows in a place, among the first ``records`` rows."""
        codes = self.codes if records is None else self.codes.head(records)
        return int((codes == int(place)).sum())

    @property
    def loaded(self) -> int:
        """Rows that are in the warehouse, or were replaced there by newer ones."""
        return self.count(Place.LOADED)

    @property
    def quarantined(self) -> int:
        """Rows that wait in quarantine now."""
        return self.count(Place.QUARANTINED)

    @property
    def discarded(self) -> int:
        """Rows dropped for a reason."""
        return self.count(Place.DISCARDED)

    @property
    def in_flight(self) -> int:
        """Rows that have no place (yet)."""
        return self.size - self.loaded - self.quarantined - self.discarded

    def rows(self, place: Place) -> pl.Series:
        """The numbers of the rows in a place."""
        import polars as pl

        return (self.codes == int(place)).arg_true().cast(pl.Int64).alias(ROW) + 1

    def contains(self, rows: pl.Series, place: Place) -> pl.Series:
        """For each row number, whether that row is in the place."""
        import polars as pl

        known = rows.is_between(1, self.size)
        index = (rows - 1).clip(0, max(self.size - 1, 0)).cast(pl.UInt32)
        if self.size == 0:
            return known
        return known & (self.codes.gather(index) == int(place))


def standing_attempts(healing: Document | None) -> list[Attempt]:
    """The attempts that decide, latest first; without a healing there is one, made by the first reading."""
    attempts = list(healing.get("attempts", [])) if healing else []
    if not attempts:
        return [Attempt(1, 1, "reading")]
    standing = [
        Attempt(int(each["number"]), int(each["reading"]), str(each.get("kind", "reading")))
        for each in attempts
        if each.get("state") != "withdrawn"
    ]
    return sorted(standing, reverse=True)


def places(objects: ObjectStore, state: StateStore, batch_id: str) -> Places:
    """The place of every row of a batch."""
    loads = state.query("loads", [Where("kind", "==", "load"), Where("batch_id", "==", batch_id)])
    return place_rows(objects, batch_id, healing_of(state, batch_id), [stored.data for stored in loads])


def healing_of(state: StateStore, batch_id: str) -> Document | None:
    """The document that lists a batch's attempts, if there is one."""
    stored = state.get("healings", batch_id)
    return stored.data if stored is not None and stored.data.get("kind") == "batch" else None


def place_rows(objects: ObjectStore, batch_id: str, healing: Document | None, loads: Sequence[Document]) -> Places:
    """The place of every row of a batch whose documents are at hand."""
    import polars as pl

    found = Places(batch_id, pl.Series(ROW, [], dtype=pl.UInt8))
    loaded = {int(each["attempt"]): each for each in loads if each["state"] == LoadState.LOADED}
    for attempt in standing_attempts(healing):
        _decide(found, objects, attempt, loaded.get(attempt.number))
    return found


def quarantined_rows(objects: ObjectStore, batch_id: str, healing: Document | None) -> int:
    """How many rows of a batch wait in quarantine now."""
    return place_rows(objects, batch_id, healing, []).quarantined


def quarantine_frames(
    objects: ObjectStore, batch_id: str, healing: Document | None, columns: list[str] | None = None
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows that wait in quarantine now, with the attempt that set them aside; a part at a time, none empty.

    ``columns`` are the only ones read, those that a part has.
    """
    import polars as pl

    found = place_rows(objects, batch_id, healing, [])
    waiting = found.quarantined
    shown = pl.zeros(found.size, pl.UInt8, eager=True)
    for attempt in standing_attempts(healing):
        if waiting == 0:
            return
        if attempt.kind == "rows":
            continue
        for path in files_in(objects, paths.quarantine(batch_id, attempt.number)):
            frame = read_columns(objects, path, columns)
            frame = frame.filter(found.contains(frame.get_column(ROW), Place.QUARANTINED))
            index = (frame.get_column(ROW) - 1).cast(pl.UInt32)
            fresh = shown.gather(index) == 0
            shown.scatter(index.filter(fresh), 1)
            frame = frame.filter(fresh)
            if frame.height:
                waiting -= frame.height
                yield attempt.number, frame


def files_in(objects: ObjectStore, folder: str) -> list[str]:
    """The Parquet files of a folder, in order."""
    return [info.path for info in objects.list(folder) if info.path.endswith(".parquet")]


def read_columns(objects: ObjectStore, path: str, columns: list[str] | None = None) -> pl.DataFrame:
    """A file's rows, with those of ``columns`` that it has; always with the row number."""
    import polars as pl

    with objects.read(path) as stream:
        if columns is None:
            return pl.read_parquet(stream)
        present = pl.read_parquet_schema(stream)
        stream.seek(0)
        return pl.read_parquet(stream, columns=[name for name in (ROW, *columns) if name in present])


def row_numbers(objects: ObjectStore, path: str) -> pl.Series:
    """The row numbers in a file. (pyarrow takes a third of the time that Polars does for a small file.)"""
    import polars as pl
    import pyarrow.parquet as pq

    with objects.read(path) as stream:
        rows = pq.ParquetFile(stream).read(columns=[ROW], use_threads=False).column(ROW)
    return pl.Series(ROW, rows, dtype=pl.Int64)


def _decide(found: Places, objects: ObjectStore, attempt: Attempt, load: Document | None) -> None:
    """Give a place to the rows that this attempt contains and no later one does."""
    batch, number = found.batch_id, attempt.number
    for path in files_in(objects, paths.discarded(batch, number, "").removesuffix(".parquet")):
        _discard(found, objects, path)
    for path in load["files"] if load else []:
        try:
            rows = row_numbers(objects, path)
        except FileNotFoundError:
            found.missing_files.append(path)
            continue
        found.shadowed += len(rows) - _assign(found, rows, Place.LOADED)
    again = None
    for path in files_in(objects, paths.quarantine(batch, number)):
        rows = row_numbers(objects, path)
        if attempt.kind == "rows":  # the failed repair is undone: the row is where it was before
            again = rows if again is None else again.append(rows)
        else:
            _assign(found, rows, Place.QUARANTINED)
    for path in files_in(objects, paths.staged(batch, number)):
        rows = row_numbers(objects, path)
        _extend(found, rows)
        if again is not None:
            rows = rows.filter(~rows.is_in(again.implode()))
        _assign(found, rows, Place.IN_FLIGHT)
    if found.size:
        found.codes = found.codes % _FRESH


def _discard(found: Places, objects: ObjectStore, path: str) -> None:
    import polars as pl

    frame = read_columns(objects, path, ["reason"])
    rows = frame.get_column(ROW)
    _extend(found, rows)
    before = found.contains(rows, Place.UNDECIDED)
    _assign(found, rows, Place.DISCARDED)
    if "reason" in frame.columns:
        # One reason for all repetitions in a batch: which row each repeats stands in the file.
        reasons = frame.filter(before).select(
            pl.col("reason").cast(pl.String).str.replace_all(r"\brow \d+", "another row")
        )
        for reason, rows_dropped in reasons.get_column("reason").value_counts(sort=True).head(REASONS_MAX).iter_rows():
            found.reasons[str(reason)] += int(rows_dropped)


def _extend(found: Places, rows: pl.Series) -> None:
    """Make room for the rows of an attempt."""
    import polars as pl

    highest = rows.max()
    if isinstance(highest, int) and highest > ROWS_MAX:
        highest = rows.filter(rows <= ROWS_MAX).max()
    if isinstance(highest, int) and highest > found.size:
        found.codes = found.codes.append(pl.zeros(highest - found.size, pl.UInt8, eager=True)).rechunk()


def _assign(found: Places, rows: pl.Series, place: Place) -> int:
    """Put rows into a place, unless a later attempt decided about them; how many this attempt decides about."""
    import polars as pl

    if not len(rows):
        return 0
    _extend(found, rows)
    lowest, highest = rows.min(), rows.max()
    proper = rows
    if rows.null_count() or lowest < 1 or highest > ROWS_MAX:  # type: ignore[operator]
        proper = rows.filter(rows.is_between(1, ROWS_MAX))
        found.strays += len(rows) - len(proper)
    once = proper if proper.n_unique() == len(proper) else proper.unique()
    index = (once - 1).cast(pl.UInt32)
    codes = found.codes.gather(index)
    mine = int((codes >= _FRESH).sum()) + len(proper) - len(once)
    if place is not Place.IN_FLIGHT:
        found.twice += mine
    undecided = codes == 0
    fresh = index if undecided.all() else index.filter(undecided)
    if len(fresh):
        found.codes.scatter(fresh, int(place) + _FRESH)
    return len(fresh) + mine
