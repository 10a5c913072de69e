"""Writes attempt n+1: repaired rows as staged files, the log of changed cells, and the rows that are dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from services.remediate.quarantine import VIOLATIONS, Quarantine, read_parts, rows_violating, violations
from services.remediate.records import Healing
from shared.domain import paths
from shared.domain.reading import RAW, ROW
from shared.ports.object_store import ObjectStore

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange:
    """One remedy's repair of one column: which texts become which."""

    remedy: str
    column: str  # in the contract
    staged: str  # in the staged files
    mapping: pl.DataFrame  # old, new, confidence; old is unique
    all_rows: bool = False  # also in rows without a violation on the column


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """One remedy's rows to drop: each because of a row that is kept."""

    remedy: str
    columns: tuple[str, ...]
    rows: pl.DataFrame  # _mend_row, kept, reason


class Repairs(NamedTuple):
    """What an attempt is made of."""

    changes: list[CellChange]
    discards: list[Discard]
    rejudge: list[str]  # columns (composite: joined by commas) whose rows are judged anew as they are
    late: list[str]  # columns whose rows are judged anew when something else of them is repaired


@dataclass(slots=True, kw_only=True)
class Written:
    """What the files of an attempt hold."""

    parts: list[str] = field(default_factory=list)
    rows: int = 0
    rows_discarded: int = 0
    rows_kept: int = 0  # for whose sake others were dropped
    raw_rows: int = 0
    bytes: int = 0
    cells: dict[tuple[str, str], int] = field(default_factory=dict)  # by (remedy, column)


def tried(objects: ObjectStore, healing: Healing) -> pl.DataFrame:
    """(row, column, remedy) of every repair of the batch's current reading, except those that a person took back."""
    import polars as pl

    parts = []
    for attempt in healing.attempts:
        if attempt.reading != healing.reading or not attempt.remedies or attempt.undone:
            continue
        parts += list(read_parts(objects, paths.repairs(healing.batch_id, attempt.number), [ROW, "column", "remedy"]))
    schema = {ROW: pl.Int64, "column": pl.String, "remedy": pl.String}
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def changed_cells(frame: pl.DataFrame, change: CellChange, before: pl.DataFrame) -> pl.DataFrame:
    """The cells of a frame that a change touches: `_mend_row`, column, old, new, remedy, confidence."""
    import polars as pl

    if change.staged not in frame.columns or frame.schema[change.staged] != pl.String:
        return _no_cells()
    rows = frame
    if not change.all_rows:
        rows = frame.filter(pl.col(ROW).is_in(rows_violating(frame, change.column).implode()))
    done = before.filter((pl.col("column") == change.column) & (pl.col("remedy") == change.remedy)).get_column(ROW)
    return (
        rows.filter(~pl.col(ROW).is_in(done.implode()))
        .select(ROW, pl.col(change.staged).alias("old"))
        .join(change.mapping.select("old", "new", "confidence"), on="old", how="inner", maintain_order="left")
        .filter(pl.col("old") != pl.col("new"))
        .select(
            ROW,
            pl.lit(change.column).alias("column"),
            "old",
            "new",
            pl.lit(change.remedy).alias("remedy"),
            pl.col("confidence").cast(pl.Float64),
        )
    )


def _no_cells() -> pl.DataFrame:
    import polars as pl

    text = {"column": pl.String, "old": pl.String, "new": pl.String, "remedy": pl.String}
    return pl.DataFrame(schema={ROW: pl.Int64, **text, "confidence": pl.Float64})


@dataclass(slots=True, kw_only=True)
class Repair:
    """A frame after all changes: its cells as they should be, the log, and the rows that may go on."""

    frame: pl.DataFrame
    cells: pl.DataFrame
    ready: pl.Series


def repair(frame: pl.DataFrame, repairs: Repairs, before: pl.DataFrame) -> Repair:
    """Apply all changes to a frame. A row is ready when each of its violations was addressed."""
    import polars as pl

    logs: list[pl.DataFrame] = []
    for change in repairs.changes:
        cells = changed_cells(frame, change, before)
        for log in logs:  # one remedy a cell: the first that has an answer
            cells = cells.join(log, on=[ROW, "column"], how="anti", maintain_order="left")
        if cells.height == 0:
            continue
        logs.append(cells)
        new = frame.select(ROW).join(cells.select(ROW, "new"), on=ROW, how="left", maintain_order="left")
        frame = frame.with_columns(pl.coalesce(new.get_column("new"), pl.col(change.staged)).alias(change.staged))
    log = pl.concat(logs) if logs else _no_cells()
    pairs = violations(frame).with_columns(pl.col("column").str.split(",").alias("parts"))
    by_row = log.group_by(ROW).agg(pl.col("column").alias("changed"))
    judged = pairs.join(by_row, on=ROW, how="left").with_columns(
        (pl.col("parts").list.set_intersection(pl.col("changed")).list.len() > 0).fill_null(False).alias("ok"),
        pl.col("changed").is_not_null().alias("touched"),
    )
    for discard in repairs.discards:
        concerned = pl.concat([discard.rows.get_column(ROW), discard.rows.get_column("kept")]).unique()
        mine = pl.col("column") == ",".join(discard.columns)
        touched = pl.col(ROW).is_in(concerned.implode())
        judged = judged.with_columns(pl.col("ok") | (mine & touched), pl.col("touched") | touched)
    again = pl.col("column").is_in(repairs.rejudge) | (pl.col("touched") & pl.col("column").is_in(repairs.late))
    judged = judged.with_columns(pl.col("ok") | again)
    ready = judged.group_by(ROW).agg(pl.col("ok").all()).filter("ok").get_column(ROW)
    return Repair(frame=frame, cells=log, ready=ready)


def rows_ready(quarantine: Quarantine, repairs: Repairs, before: pl.DataFrame) -> pl.Series:
    """Rows all of whose violations the changes address."""
    import polars as pl

    parts = [repair(frame, repairs, before).ready for frame in quarantine.frames()]
    return pl.concat(parts) if parts else pl.Series(ROW, [], dtype=pl.Int64)


def write_attempt(objects: ObjectStore, healing: Healing, number: int, repairs: Repairs, *, whole: bool) -> Written:
    """Write attempt ``number`` from the current quarantine: all rows (``whole``), or those that are ready."""
    import polars as pl

    quarantine = Quarantine(objects, healing)
    before = tried(objects, healing)
    dropped = _dropped(quarantine, repairs, before, whole)
    kept = dropped.get_column("kept").n_unique() if dropped.height else 0
    written = Written(rows_discarded=dropped.height, rows_kept=kept)
    logs: list[pl.DataFrame] = []
    for fixed in (repair(frame, repairs, before) for frame in quarantine.frames()):
        taken = fixed.frame if whole else fixed.frame.filter(pl.col(ROW).is_in(fixed.ready.implode()))
        taken = taken.filter(~pl.col(ROW).is_in(dropped.get_column(ROW).implode())).drop(VIOLATIONS)
        if taken.height == 0:
            continue
        path = paths.part(paths.staged(healing.batch_id, number), len(written.parts))
        written.bytes += _write(objects, path, taken)
        written.parts.append(path)
        written.rows += taken.height
        written.raw_rows += taken.height - taken.get_column(RAW).null_count()
        logs.append(fixed.cells.filter(pl.col(ROW).is_in(taken.get_column(ROW).implode())))
    _remove_strangers(objects, paths.staged(healing.batch_id, number), written.parts)
    log = pl.concat(logs).sort(ROW, "column") if logs else _no_cells()
    if log.height:
        _write(objects, paths.repairs(healing.batch_id, number), log)
    else:
        objects.delete(paths.repairs(healing.batch_id, number))
    if dropped.height:
        _write(objects, paths.discarded(healing.batch_id, number, "remediate"), dropped.select(ROW, "reason"))
    else:
        objects.delete(paths.discarded(healing.batch_id, number, "remediate"))
    counted = log.group_by("remedy", "column").len()
    written.cells = {(remedy, column): cells for remedy, column, cells in counted.iter_rows()}
    return written


def discard_all(objects: ObjectStore, healing: Healing, number: int, reason: str) -> int:
    """Write an attempt without staged rows that drops the whole current quarantine; how many rows that are."""
    import polars as pl

    parts = [frame.select(ROW) for frame in Quarantine(objects, healing).frames()]
    if not parts:
        return 0
    rows = pl.concat(parts).sort(ROW).with_columns(pl.lit(reason).alias("reason"))
    _write(objects, paths.discarded(healing.batch_id, number, "remediate"), rows)
    return rows.height


def _dropped(quarantine: Quarantine, repairs: Repairs, before: pl.DataFrame, whole: bool) -> pl.DataFrame:
    """Rows to drop: only those whose kept row goes on."""
    import polars as pl

    if not repairs.discards:
        return pl.DataFrame(schema={ROW: pl.Int64, "kept": pl.Int64, "reason": pl.String})
    rows = pl.concat([each.rows.select(ROW, "kept", "reason") for each in repairs.discards]).unique(
        ROW, maintain_order=True
    )
    if not whole:
        rows = rows.filter(pl.col("kept").is_in(rows_ready(quarantine, repairs, before).implode()))
    return rows.sort(ROW)


def _write(objects: ObjectStore, path: str, frame: pl.DataFrame) -> int:
    import io

    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    with objects.write(path) as stream:
        stream.write(buffer.getbuffer())
    return buffer.getbuffer().nbytes


def _remove_strangers(objects: ObjectStore, folder: str, parts: list[str]) -> None:
    """Take away parts that an earlier, interrupted writing of the same attempt may have left."""
    for info in list(objects.list(folder)):
        if info.path not in parts:
            objects.delete(info.path)
