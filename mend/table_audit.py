"""Whether a table holds what was loaded into it, row by row and value by value, and nothing else of ours.

Every row is reduced to its batch, its number and hashes of its key and of its typed values. First only the sums of
both sides are compared, which costs next to no memory (rows that replace each other have to be held, in parts). If
they differ, the rows are compared one by one, in parts again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from mend.places import Document
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import BATCH_COLUMN, ROW_COLUMN, SEQ_COLUMN, TableColumn, Warehouse

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

KEYS_AT_ONCE: Final = 2_000_000
ROWS_AT_ONCE: Final = 1_000_000
BATCHES_NAMED_MAX: Final = 20
_FRAME_ROWS: Final = 65_536
_UNKNOWN: Final = 2**32 - 1
_ID: Final = ("batch", "row")


@dataclass(slots=True)
class TableAudit:
    """What was found of one table."""

    table: str
    mode: str
    rows: int = 0  # all rows of the table
    rows_ours: int = 0
    columns_not_compared: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    under_way: bool = False  # a load is under way: what differs now is not a problem yet


class _Deliveries(NamedTuple):
    """The batches by number, so that a row names its batch in four bytes."""

    ids: list[str]
    names: list[str]  # for sentences
    ranks: list[int]  # in the order of `_mend_seq`


@dataclass(slots=True)
class _Shape:
    """How rows of files and table are made comparable."""

    columns: dict[str, Any]  # case-folded name: Polars type
    keys: list[str]  # case-folded; [] unless rows replace each other
    batches: Any  # the batches as a Polars Enum
    rows: int  # of the larger side
    skipped: set[str] = field(default_factory=set)


class _Part(NamedTuple):
    """One of several shares of the rows."""

    number: int
    of: int


class _Sums(NamedTuple):
    """How many rows, and the sums of the two halves of their hashes, which no order changes."""

    rows: int
    low: int
    high: int


class _NotComparable(Exception):
    """A column whose text in the table cannot be told from the file's typed value."""


def audit_table(
    warehouse: Warehouse,
    objects: ObjectStore,
    table: str,
    loads: Sequence[Document],
    uris: Mapping[str, str],
    progress: Callable[[str, int, int], None],
) -> TableAudit:
    """Compare a table with the ``loads`` that stand; ``uris`` has every batch that was ever registered."""
    modes = sorted({str(each["mode"]) for each in loads})
    found = TableAudit(table, modes[0] if modes else "")
    info = warehouse.describe(table)
    expected = _newest_delivery(loads) if found.mode == "overwrite" else list(loads)
    found.rows = info.rows if info is not None else 0
    if len(modes) > 1:
        found.problems.append(
            f"table {table} was loaded in the modes {' and '.join(modes)}, so that what it should hold is not defined; "
            "give each pipeline a table of its own"
        )
        return found
    rows = sum(int(each["rows_loaded"]) for each in expected)
    if info is None:
        if rows:
            found.problems.append(
                f"table {table} does not exist, but {rows:,} rows were loaded; restore the warehouse from a copy"
            )
        return found
    deliveries = _deliveries(loads, uris)
    keys = list(max(expected, key=lambda each: str(each["seq"]))["keys"]) if found.mode == "upsert" else []
    shape = _shape(info.columns, keys, deliveries, max(rows, info.rows))
    comparison = _Comparison(warehouse, objects, table, expected, deliveries, shape, progress)
    comparison.run(found)
    found.columns_not_compared = sorted(shape.skipped)
    return found


def _newest_delivery(loads: Sequence[Document]) -> list[Document]:
    """Overwriting leaves one delivery: the last in order."""
    if not loads:
        return []
    newest = max((str(each["seq"]), str(each["batch_id"])) for each in loads)
    return [each for each in loads if (str(each["seq"]), str(each["batch_id"])) == newest]


def _deliveries(loads: Sequence[Document], uris: Mapping[str, str]) -> _Deliveries:
    ids = sorted(uris)
    seqs = {str(each["batch_id"]): str(each["seq"]) for each in loads}
    order = {seq: rank for rank, seq in enumerate(sorted(set(seqs.values())))}
    return _Deliveries(ids, [uris[each] for each in ids], [order.get(seqs.get(each, ""), 0) for each in ids])


def _shape(columns: Sequence[TableColumn], keys: Sequence[str], deliveries: _Deliveries, rows: int) -> _Shape:
    import polars as pl

    types = {
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "boolean": pl.Boolean(),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us", "UTC"),
        "time": pl.Time(),
    }
    return _Shape(
        columns={column.name.casefold(): types.get(column.logical_type, pl.String()) for column in columns},
        keys=[key.casefold() for key in keys],
        batches=pl.Enum(deliveries.ids),
        rows=rows,
    )


@dataclass(slots=True)
class _Comparison:
    """Both sides of one table, part by part."""

    warehouse: Warehouse
    objects: ObjectStore
    table: str
    loads: Sequence[Document]
    deliveries: _Deliveries
    shape: _Shape
    progress: Callable[[str, int, int], None]
    gone: set[str] = field(default_factory=set)

    def run(self, found: TableAudit) -> None:
        """Compare; again from the start when a column turns out not to be comparable."""
        tries = len(self.shape.columns) + 1
        for _ in range(tries):
            counts: dict[str, dict[int, int]] = {}
            try:
                if not self._sums_agree(found):
                    parts = max(1, -(-self.shape.rows // ROWS_AT_ONCE))
                    for number in range(parts):
                        self._compare_rows(_Part(number, parts), counts)
            except _NotComparable as error:
                self.shape.skipped.add(str(error))
                continue
            if self.gone:
                found.problems.append(
                    f"table {self.table} cannot be compared: {len(self.gone):,} files of loaded rows are gone, such as "
                    f"{min(self.gone)}; restore them from a copy of the store"
                )
                return
            found.problems += [self._sentence(found.mode, what, by_batch) for what, by_batch in counts.items()]
            return

    def _sums_agree(self, found: TableAudit) -> bool:
        """True when files and table have the same rows, as far as number and sums of hashes can tell: always."""
        found.rows_ours = 0
        agree = True
        parts = max(1, -(-self.shape.rows // KEYS_AT_ONCE)) if self.shape.keys else 1
        for number in range(parts):
            part = _Part(number, parts)
            narrow = (self._narrow(frame, part) for frame in self._files())
            given = _summed(iter([self._newest(_concat(narrow))]) if self.shape.keys else narrow)
            held = _summed(self._narrow(frame, part) for frame in self._table())
            found.rows_ours += held.rows
            agree = agree and given == held
        return agree

    def _newest(self, given: pl.DataFrame) -> pl.DataFrame:
        """One row a key: the last in order."""
        import polars as pl

        ranks = pl.Series(self.deliveries.ranks, dtype=pl.UInt32)
        ranked = given.with_columns(ranks.gather(given.get_column("batch")).alias("rank"))
        return ranked.sort("rank", "row").unique("key", keep="last")

    def _compare_rows(self, part: _Part, counts: dict[str, dict[int, int]]) -> None:
        import polars as pl

        given = _concat(self._narrow(frame, part) for frame in self._files())
        held = _concat(self._narrow(frame, part) for frame in self._table())
        if self.shape.keys:
            given = self._newest(given)
        _add(counts, "missing", given.join(held, on=_ID, how="anti"))
        _add(counts, "strange", held.join(given, on=_ID, how="anti"))
        _add(counts, "twice", held.filter(held.select(_ID).is_duplicated()))
        both = given.join(held.unique(_ID), on=_ID, how="inner")
        _add(counts, "differ", both.filter(pl.col("values") != pl.col("values_right")))

    def _files(self) -> Iterator[pl.DataFrame]:
        """The loaded rows, with small files of equal columns put together: most of the time goes into each frame."""
        import polars as pl
        import pyarrow as pa

        waiting: list[pa.Table] = []
        rows = 0
        for table in self._marked():
            if waiting and (waiting[0].schema != table.schema or rows + table.num_rows > _FRAME_ROWS):
                yield cast("pl.DataFrame", pl.from_arrow(pa.concat_tables(waiting)))
                waiting, rows = [], 0
            waiting.append(table)
            rows += table.num_rows
        if waiting:
            yield cast("pl.DataFrame", pl.from_arrow(pa.concat_tables(waiting)))

    def _marked(self) -> Iterator[pa.Table]:
        """The files' rows in pieces, marked as what the loads' documents say they are."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        paths = [(load, path) for load in self.loads for path in load["files"]]
        for number, (load, path) in enumerate(paths):
            self.progress(f"comparing {self.table}", number, len(paths))
            marks = {BATCH_COLUMN: str(load["batch_id"]), SEQ_COLUMN: str(load["seq"])}
            try:
                stream = self.objects.read(path)
            except FileNotFoundError:
                self.gone.add(path)
                continue
            with stream:
                for piece in pq.ParquetFile(stream).iter_batches(_FRAME_ROWS, use_threads=False):
                    table = pa.Table.from_batches([piece])
                    table = table.drop_columns([name for name in marks if name in table.column_names])
                    for name, mark in marks.items():
                        table = table.append_column(name, pa.repeat(pa.scalar(mark), table.num_rows))
                    yield table.replace_schema_metadata(None)

    def _table(self) -> Iterator[pl.DataFrame]:
        import polars as pl

        for batch in self.warehouse.dump(self.table):
            frame = pl.from_arrow(batch)
            if isinstance(frame, pl.DataFrame):
                yield frame.filter(pl.col(SEQ_COLUMN).is_not_null())

    def _narrow(self, frame: pl.DataFrame, part: _Part) -> pl.DataFrame:
        """The rows of this part as batch, row and hashes."""
        import polars as pl

        frame = frame.rename({name: name.casefold() for name in frame.columns if name != name.casefold()})
        cells = {
            name: self._cell(frame, name, kind)
            for name, kind in self.shape.columns.items()
            if name not in self.shape.skipped or name in self.shape.keys
        }
        compared = [cell for name, cell in cells.items() if name not in self.shape.skipped]
        values = frame.select(pl.col(SEQ_COLUMN).cast(pl.String), *compared).hash_rows(1)
        batches = frame.get_column(BATCH_COLUMN).cast(self.shape.batches, strict=False).to_physical()
        narrow = pl.DataFrame(
            {
                "batch": batches.cast(pl.UInt32).fill_null(_UNKNOWN),
                "row": frame.get_column(ROW_COLUMN).cast(pl.Int64).fill_null(-1),
                "values": values,
            }
        )
        share = pl.col("row") % part.of
        if self.shape.keys:
            keys = frame.select(cells[key] for key in self.shape.keys if key in cells).hash_rows(2)
            narrow = narrow.with_columns(keys.alias("key"))
            share = pl.col("key") % part.of
        return narrow if part.of == 1 else narrow.filter(share == part.number)

    def _cell(self, frame: pl.DataFrame, name: str, kind: Any) -> pl.Expr:
        """A column in the table's type, null where it is absent."""
        import polars as pl

        if name not in frame.columns:
            return pl.lit(None, dtype=kind).alias(name)
        given = frame.schema[name]
        if given == kind:
            return pl.col(name)
        if given == pl.Date() and isinstance(kind, pl.Datetime):
            return pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias(name)
        whole = given.is_integer() and kind in (pl.Int64(), pl.Float64())
        same = isinstance(given, pl.Datetime) and isinstance(kind, pl.Datetime)
        if not (whole or same or given == pl.Null()) and name not in self.shape.skipped:
            raise _NotComparable(name)
        return pl.col(name).cast(kind, strict=False)

    def _sentence(self, mode: str, what: str, by_batch: dict[int, int]) -> str:
        said = {
            "missing": "does not show {rows} that were loaded (the newest of their key) and lie in the files of",
            "strange": "shows {rows} that no load put there, by their marks of",
            "twice": "shows {rows} more than once, of",
            "differ": "shows {rows} with other values than were loaded, of",
        }[what]
        if mode != "upsert":
            said = said.replace(" (the newest of their key)", "")
        rows = sum(by_batch.values())
        named = [self._named(number, count) for number, count in sorted(by_batch.items())[:BATCHES_NAMED_MAX]]
        more = len(by_batch) - len(named)
        return (
            f"table {self.table} {said.format(rows=f'{rows:,} row' + 's' * (rows != 1))} {', '.join(named)}"
            + (f" and {more:,} more batches" if more else "")
            + "; something else than Mendline changed it: restore the warehouse from a copy, or reload those batches"
        )

    def _named(self, number: int, rows: int) -> str:
        if number >= len(self.deliveries.ids):
            return f"a batch nobody knows ({rows:,})"
        return f"batch {self.deliveries.ids[number]} ({self.deliveries.names[number]}: {rows:,})"


def _concat(frames: Iterator[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    parts = list(frames)
    schema = {"batch": pl.UInt32, "row": pl.Int64, "values": pl.UInt64, "key": pl.UInt64}
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def _summed(frames: Iterator[pl.DataFrame]) -> _Sums:
    import polars as pl

    rows = low = high = 0
    for frame in frames:
        if frame.height:
            whole = frame.select("batch", "row", "values").hash_rows(3).to_frame("whole")
            halves = whole.select((pl.col("whole") % 2**32).alias("low"), (pl.col("whole") // 2**32).alias("high"))
            rows += frame.height
            low += int(halves.get_column("low").sum())
            high += int(halves.get_column("high").sum())
    return _Sums(rows, low, high)


def _add(counts: dict[str, dict[int, int]], what: str, rows: pl.DataFrame) -> None:
    """Count offending rows by batch."""
    if rows.height == 0:
        return
    by_batch = counts.setdefault(what, {})
    for batch, count in rows.group_by("batch").len().iter_rows():  # at most as many as there are batches
        by_batch[int(batch)] = by_batch.get(int(batch), 0) + int(count)
