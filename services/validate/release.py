"""Writes a judged chunk: rows that pass typed, the others as they were staged, each with every reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

from services.validate.native_casting import texts_of
from shared.domain import paths
from shared.domain.checks import check
from shared.ports.warehouse import BATCH_COLUMN, SEQ_COLUMN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import polars as pl

    from services.validate.findings import DatasetFinding, Failure
    from services.validate.staged_rows import Chunk
    from shared.events.types import BatchStaged
    from shared.ports.object_store import ObjectStore

VIOLATIONS = "_mend_violations"
VALUE_CHARACTERS_MAX = 1_000  # the whole cell stands in its own column
REASONS_AT_ONCE = 1_000_000  # violations built in one piece, so that memory stays bounded when every row fails


class RowSink(Protocol):
    """Where the rows of judged chunks go."""

    def write(
        self,
        chunk: Chunk,
        typed: pl.DataFrame,
        failures: Sequence[Failure],
        held: DatasetFinding | None,
        delivered: Mapping[str, str],
    ) -> None:
        """Take a chunk's rows, those typed that no failure marks; a chunk that comes again replaces what it brought.

        ``delivered`` gives the staged name of a renamed contract column.
        """
        ...


class RowFiles:
    """The passed and quarantined files of one attempt; writing a chunk again replaces its files."""

    def __init__(self, objects: ObjectStore, event: BatchStaged) -> None:
        self._objects = objects
        self._provenance = {BATCH_COLUMN: event.batch_id, SEQ_COLUMN: event.seq}
        self._passed = paths.passed(event.batch_id, event.attempt)
        self._quarantine = paths.quarantine(event.batch_id, event.attempt)
        self._written: dict[str, int] = {}

    def write(
        self,
        chunk: Chunk,
        typed: pl.DataFrame,
        failures: Sequence[Failure],
        held: DatasetFinding | None,
        delivered: Mapping[str, str],
    ) -> None:
        """Release the rows that no failure marks; when ``held``, none."""
        failing = failing_rows(chunk.rows.height, failures)
        passing = typed.clear() if held else typed if failing is None else typed.filter(~failing)
        self._write_passed(paths.part(self._passed, chunk.number), passing)
        path = paths.part(self._quarantine, chunk.number)
        if held is None and failing is None:
            self._forget(path)
            return
        aside = None if held else failing
        self._write_quarantine(path, chunk.rows, failures, aside, held, delivered)

    def _write_passed(self, path: str, rows: pl.DataFrame) -> None:
        import polars as pl

        if not rows.height:
            self._forget(path)
            return
        # With their provenance the rows are rows of the table: load need not write them again.
        rows = rows.with_columns(pl.lit(value).alias(name) for name, value in self._provenance.items())
        with self._objects.write(path) as stream:
            rows.write_parquet(stream, compression="snappy", statistics=False)
        self._written[path] = rows.height

    def _write_quarantine(
        self,
        path: str,
        rows: pl.DataFrame,
        failures: Sequence[Failure],
        aside: pl.Series | None,
        held: DatasetFinding | None,
        delivered: Mapping[str, str],
    ) -> None:
        count = rows.height if aside is None else int(aside.sum())
        if not count:
            self._forget(path)
            return
        pieces = with_reasons(rows, failures, aside, held, delivered)
        with self._objects.write(path) as stream:
            first = next(pieces)
            if first.height == count:
                first.write_parquet(stream, compression="snappy", statistics=False)
            else:
                _write_pieces(stream, first, pieces)
        self._written[path] = count

    def _forget(self, path: str) -> None:
        self._written.pop(path, None)

    def finish(self) -> tuple[list[str], list[str]]:
        """Paths of the passed and of the quarantined files; what an interrupted run left besides is removed."""
        for folder in (self._passed, self._quarantine):
            for info in list(self._objects.list(folder)):
                if info.path not in self._written:
                    self._objects.delete(info.path)
        return self._below(self._passed), self._below(self._quarantine)

    def _below(self, folder: str) -> list[str]:
        return sorted(path for path in self._written if path.startswith(folder))

    @property
    def rows_passed(self) -> int:
        """Rows in the passed files."""
        return sum(rows for path, rows in self._written.items() if path.startswith(self._passed))

    @property
    def rows_quarantined(self) -> int:
        """Rows in the quarantine files."""
        return sum(rows for path, rows in self._written.items() if path.startswith(self._quarantine))


def _write_pieces(stream: BinaryIO, first: pl.DataFrame, others: Iterator[pl.DataFrame]) -> None:
    """One file of several pieces, in the schema that a single piece has."""
    import polars as pl
    import pyarrow.parquet as pq

    oldest = pl.CompatLevel.oldest()
    table = first.to_arrow(compat_level=oldest)
    with pq.ParquetWriter(stream, table.schema, compression="snappy") as writer:
        writer.write_table(table)
        for piece in others:
            writer.write_table(piece.to_arrow(compat_level=oldest))


def failing_rows(rows: int, failures: Sequence[Failure]) -> pl.Series | None:
    """The rows that at least one failure sets aside; None when there are none. Warnings set nothing aside."""
    import polars as pl

    masks = [failure.mask for failure in failures if failure.rule.severity == "error"]
    if not masks:
        return None
    named = [mask.alias(str(index)) for index, mask in enumerate(masks)]
    return pl.DataFrame(named).select(pl.any_horizontal(pl.all()).alias("failing")).to_series()


def with_reasons(
    rows: pl.DataFrame,
    failures: Sequence[Failure],
    aside: pl.Series | None,
    held: DatasetFinding | None,
    delivered: Mapping[str, str],
) -> Iterator[pl.DataFrame]:
    """The rows set aside (None: all) with every reason, in pieces; rows that broke nothing have that of ``held``."""
    masks = [failure.mask.alias(f"_mend_mask_{index}") for index, failure in enumerate(failures)]
    marked = rows.hstack(masks) if masks else rows
    if aside is not None:
        marked = marked.filter(aside)
    step = max(1, REASONS_AT_ONCE // max(1, len(failures)))
    for start in range(0, marked.height, step):
        piece = marked.slice(start, step)
        yield piece.select(rows.columns).with_columns(_reasons(piece, failures, delivered, held))


def _reasons(
    piece: pl.DataFrame, failures: Sequence[Failure], delivered: Mapping[str, str], held: DatasetFinding | None
) -> pl.Series:
    """One list of violations per row: a long table of all reasons, put together by row.

    Lists built row by row from nullable structs took thirty times as long.
    """
    import polars as pl

    long = []
    have = set(piece.columns)
    blameless = pl.repeat(True, piece.height, dtype=pl.Boolean, eager=True)
    for index, (rule, _) in enumerate(failures):
        mask = piece[f"_mend_mask_{index}"]
        if rule.severity == "error":
            blameless = blameless & ~mask
        places = mask.arg_true()
        told = _values(piece, have, [delivered.get(name, name) for name in rule.columns], places)
        long.append(_told(places, rule.check, rule.column, told, rule.explanation))
    if held is not None:
        places = blameless.arg_true()
        nothing = pl.Series("value", [], dtype=pl.String).extend_constant(None, places.len())
        long.append(_told(places, held.check, held.column, nothing, held.message))
    together = pl.concat(long).sort("place", maintain_order=True).group_by("place", maintain_order=True)
    reasons = together.agg(pl.struct("check", "column", "value", "explanation").alias(VIOLATIONS))
    check(reasons.height == piece.height, "every row set aside has a reason")
    return reasons[VIOLATIONS]


def _told(places: pl.Series, check_name: str, column: str, values: pl.Series, explanation: str) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame([places.alias("place"), values.alias("value")]).select(
        "place",
        pl.lit(check_name).alias("check"),
        pl.lit(column).alias("column"),
        "value",
        pl.lit(explanation).alias("explanation"),
    )


def _values(piece: pl.DataFrame, have: Collection[str], names: Sequence[str], places: pl.Series) -> pl.Series:
    """The failing cells as they were staged; of several columns with a bar between; nothing for nested cells."""
    import polars as pl

    cells = [piece[name].gather(places) for name in names if name in have]
    texts = [texts_of(item) for item in cells if not item.dtype.is_nested()]
    if not texts:
        return pl.Series([], dtype=pl.String).extend_constant(None, places.len())
    if len(texts) == 1:
        return texts[0].str.slice(0, VALUE_CHARACTERS_MAX)
    joined = pl.concat_str(pl.all().fill_null(""), separator=" | ")
    return pl.DataFrame(texts).select(joined.str.slice(0, VALUE_CHARACTERS_MAX)).to_series()
