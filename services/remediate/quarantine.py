"""The current quarantine of a batch: which rows wait now, with which violations (the rule is in the README)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from services.remediate.records import Attempt, Healing
from shared.domain import paths
from shared.domain.reading import MISFIT, RAW, ROW
from shared.ports.object_store import ObjectStore

if TYPE_CHECKING:
    import polars as pl

VIOLATIONS = "_mend_violations"
MARKS = (ROW, RAW, MISFIT, VIOLATIONS)
KEPT_BYTES_MAX = 16 << 20  # of a batch's quarantine; each remedy that is considered asks for the rows several times


def read_parts(objects: ObjectStore, folder: str, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """The parts of a folder of rows, in order, each whole in memory."""
    import polars as pl

    for info in list(objects.list(folder)):
        if not info.path.endswith(".parquet"):
            continue
        with objects.read(info.path) as stream:
            yield pl.read_parquet(stream, columns=columns)


def row_numbers(objects: ObjectStore, folder: str) -> pl.Series:
    """The `_mend_row` of every row in a folder or under a file's path."""
    import polars as pl

    parts = [frame.get_column(ROW) for frame in read_parts(objects, folder, [ROW])]
    return pl.concat(parts) if parts else pl.Series(ROW, [], dtype=pl.Int64)


def contained(objects: ObjectStore, batch: str, attempt: Attempt) -> pl.Series:
    """Rows whose place an attempt decides."""
    import polars as pl

    staged = row_numbers(objects, paths.staged(batch, attempt.number))
    if attempt.kind == "rows" and attempt.verdict:
        again = row_numbers(objects, paths.quarantine(batch, attempt.number))
        staged = staged.filter(~staged.is_in(again.implode()))
    discarded = row_numbers(objects, paths.discarded(batch, attempt.number, "remediate"))
    return pl.concat([staged, discarded])


class Quarantine:
    """The rows of a batch that wait in quarantine now, read part by part; few rows are read once and kept."""

    def __init__(self, objects: ObjectStore, healing: Healing) -> None:
        self._objects = objects
        self._batch = healing.batch_id
        standing = [each for each in healing.standing() if each.verdict or each.kind == "superseded"]
        whole = [each for each in standing if each.kind in ("reading", "whole")]
        # A whole attempt takes every row that was in quarantine, so that the earlier ones hold none any more.
        self._base = whole[-1] if whole else None
        after = self._base.number if self._base else 0
        self._later = [each for each in standing if each.number > after]
        self._gone: pl.Series | None = None
        self._kept: list[pl.DataFrame] | None = None
        self._warnings = list(healing.warnings)

    @property
    def base(self) -> Attempt | None:
        """The attempt whose quarantine it is."""
        return self._base

    def gone(self) -> pl.Series:
        """Rows that later attempts took away."""
        import polars as pl

        if self._gone is None:
            parts = [contained(self._objects, self._batch, each) for each in self._later]
            self._gone = pl.concat(parts) if parts else pl.Series(ROW, [], dtype=pl.Int64)
        return self._gone

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows with their marks, staged cells and violations; no empty frame."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[pl.DataFrame] = []
        size = 0
        for frame in self._read():
            size += int(frame.estimated_size())
            if size <= KEPT_BYTES_MAX:
                kept.append(frame)
            yield frame
        if size <= KEPT_BYTES_MAX:
            self._kept = kept

    def _read(self) -> Iterator[pl.DataFrame]:
        import polars as pl

        if self._base is None or self._base.rows_quarantined == 0:
            return
        gone = self.gone().implode()
        for frame in read_parts(self._objects, paths.quarantine(self._batch, self._base.number)):
            left = frame.filter(~pl.col(ROW).is_in(gone)) if len(self.gone()) else frame
            left = without(left, self._warnings)
            if left.height:
                yield left

    def columns(self) -> dict[str, Any]:
        """Staged columns and their Polars types."""
        for frame in self.frames():
            return {name: kind for name, kind in frame.schema.items() if name not in MARKS}
        return {}

    def counts(self) -> dict[tuple[str, str], int]:
        """Rows by (check, column); a row counts once for each pair."""
        import polars as pl

        counts: dict[tuple[str, str], int] = {}
        for frame in self.frames():
            pairs = violations(frame).group_by("check", "column").agg(pl.col(ROW).n_unique().alias("rows"))
            for check, column, rows in pairs.select("check", "column", "rows").iter_rows():  # a few dozen pairs
                counts[check, column] = counts.get((check, column), 0) + rows
        return counts

    def values(self, column: str, staged: str) -> pl.DataFrame:
        """Distinct texts (``value``, ``rows``) that a staged column has in rows with a violation on ``column``."""
        import polars as pl

        parts = [
            frame.filter(pl.col(ROW).is_in(rows_violating(frame, column).implode()))
            .group_by(pl.col(staged).alias("value"))
            .len("rows")
            for frame in self.frames()
            if staged in frame.columns
        ]
        if not parts:
            return pl.DataFrame(schema={"value": pl.String, "rows": pl.UInt32})
        return pl.concat(parts).group_by("value").agg(pl.col("rows").sum()).drop_nulls("value").sort("value")


def without(frame: pl.DataFrame, warnings: list[str]) -> pl.DataFrame:
    """The rows without violations that are only warnings (``check|column``): they hold no row back."""
    import polars as pl

    if not warnings:
        return frame
    each = pl.element().struct
    pair = pl.concat_str(each.field("check"), pl.lit("|"), each.field("column"))
    return frame.with_columns(pl.col(VIOLATIONS).list.eval(pl.element().filter(~pair.is_in(warnings))))


def violations(frame: pl.DataFrame) -> pl.DataFrame:
    """One line per (row, violation): `_mend_row`, ``check``, ``column``."""
    import polars as pl

    return (
        frame.select(ROW, pl.col(VIOLATIONS))
        .explode(VIOLATIONS)
        .drop_nulls(VIOLATIONS)
        .select(
            ROW,
            pl.col(VIOLATIONS).struct.field("check").alias("check"),
            pl.col(VIOLATIONS).struct.field("column").alias("column"),
        )
    )


def rows_violating(frame: pl.DataFrame, column: str) -> pl.Series:
    """Rows of the frame with a violation on that column, alone or as part of a composite."""
    import polars as pl

    pairs = violations(frame)
    concerned = (pl.col("column") == column) | pl.col("column").str.split(",").list.contains(column)
    return pairs.filter(concerned).get_column(ROW).unique(maintain_order=True)
