"""The rows that wait in quarantine, for people: which, why, and all of them as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mend import report
from mend.personal_cells import QUOTED_CHARACTERS_MIN, masked_column, masked_violations
from mend.places import Document, healing_of, quarantine_frames
from shared.domain.batch import VerdictState
from shared.domain.errors import DefinitionError
from shared.domain.masking import clean
from shared.domain.personal_data import PersonalColumns, masked, shown_names, treatment_within
from shared.domain.personal_values import hidden
from shared.domain.reading import MISFIT, RAW, ROW
from shared.ports.object_store import ObjectStore
from shared.ports.state_store import StateStore

if TYPE_CHECKING:
    import polars as pl

VIOLATIONS: Final = "_mend_violations"
REASONS: Final = "_mend_reasons"
BATCH: Final = "_mend_batch"
ATTEMPT: Final = "_mend_attempt"
MARKS: Final = frozenset({ROW, RAW, MISFIT, VIOLATIONS, BATCH, ATTEMPT})
NOT_ACCEPTABLE: Final = frozenset({"missing_columns", "unexpected_columns"})  # by no one: there is no place for them
ROWS_SHOWN_MAX: Final = 1_000
COLUMNS_SHOWN_MAX: Final = 50
VALUE_CHARACTERS_MAX: Final = 120
FORMATS: Final = (".csv", ".parquet")
# What a spreadsheet takes for a formula; numbers with a sign are none, and stay as they are.
_FORMULA: Final = r"^\s*[=+\-@\t\r|]"
_NUMBER: Final = r"^[+-]?[0-9][0-9 .,']*(?:[eE][+-]?[0-9]{1,3})?%?$"


def waiting_batches(state: StateStore, objects: ObjectStore, pipeline: str = "") -> list[dict[str, Any]]:
    """Batches with rows in quarantine now, in order of delivery, each with its reasons."""
    candidates = {
        str(data["batch_id"]) for _, data in report.documents(state, "verdicts") if int(data["rows_quarantined"])
    }
    found = []
    for batch, delivery in report.documents(state, "deliveries"):
        if batch not in candidates or (pipeline and delivery["pipeline"] != pipeline):
            continue
        healing = healing_of(state, batch)
        rows, reasons = reasons_of(objects, batch, healing)
        if rows:
            entry = {
                "batch_id": batch,
                "pipeline": delivery["pipeline"],
                "input": delivery["uri"],
                "seq": delivery["seq"],
                "rows": rows,
                "held": is_held(state, batch, healing),
                "reasons": reasons,
            }
            found.append(entry)
    return sorted(found, key=lambda each: (each["pipeline"], each["seq"]))


def is_held(state: StateStore, batch: str, healing: Document | None) -> bool:
    """True when the newest judgement of the whole batch released nothing."""
    refused = {VerdictState.HELD, VerdictState.REJECTED}
    if healing and healing.get("attempts"):
        whole = [
            each
            for each in healing["attempts"]
            if each["state"] != "withdrawn" and each["kind"] in ("reading", "whole") and each["verdict"]
        ]
        newest = max(whole, key=lambda each: int(each["number"]), default=None)
        return newest is not None and newest["verdict"] in refused and not healing.get("superseded_by")
    stored = state.get("verdicts", f"{batch}:1")
    return stored is not None and stored.data["state"] in refused


def reasons_of(objects: ObjectStore, batch: str, healing: Document | None) -> tuple[int, list[dict[str, Any]]]:
    """How many rows wait, and how many of them for each (check, column); a row may have several reasons."""
    import polars as pl

    rows = 0
    parts = []
    for _, frame in quarantine_frames(objects, batch, healing, [VIOLATIONS]):
        rows += frame.height
        parts.append(
            violations_in(frame)
            .group_by("check", "column")
            .agg(pl.col(ROW).n_unique().alias("rows"), pl.col("explanation").min())
        )
    if not parts:
        return 0, []
    summed = (
        pl.concat(parts)
        .group_by("check", "column")
        .agg(pl.col("rows").sum(), pl.col("explanation").min())
        .sort(["rows", "check", "column"], descending=[True, False, False])
    )
    return rows, reasons_told(summed.select("check", "column", "rows", "explanation").to_dicts())  # one for each rule


def reasons_told(reasons: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reasons as people may see them."""
    return [{**each, **{name: hidden(each[name] or "") for name in ("column", "explanation")}} for each in reasons]


def violations_in(frame: pl.DataFrame) -> pl.DataFrame:
    """One line per row and violation of quarantined rows."""
    import polars as pl

    return (
        frame.select(ROW, VIOLATIONS)
        .explode(VIOLATIONS)
        .drop_nulls(VIOLATIONS)
        .select(ROW, pl.col(VIOLATIONS).struct.unnest())
    )


def rows_of(
    objects: ObjectStore,
    batch: str,
    healing: Document | None,
    limit: int,
    *,
    values: bool,
    personal: PersonalColumns | None,
) -> list[dict[str, Any]]:
    """The first waiting rows with their reasons; cells and raw records only with ``values``, cut to a bearable length.

    The cells are the delivered ones, personal data masked; ``personal`` is None for who may see it.
    """
    frames = quarantine_frames(objects, batch, healing, None if values else [MISFIT, VIOLATIONS])
    return rows_in(frames, limit, values=values, personal=personal)


def rows_in(
    frames: Iterable[tuple[int, pl.DataFrame]], limit: int, *, values: bool, personal: PersonalColumns | None
) -> list[dict[str, Any]]:
    """The first rows of ``(attempt, frame)`` with their reasons, as ``rows_of`` tells them."""
    wanted = min(limit, ROWS_SHOWN_MAX)
    shown: list[dict[str, Any]] = []
    for attempt, frame in frames:
        columns = personal.among(frame.columns) if personal is not None else None
        names = shown_names(frame.columns) if columns else {name: name for name in frame.columns}
        for row in frame.sort(ROW).head(wanted - len(shown)).to_dicts():  # at most ROWS_SHOWN_MAX
            entry: dict[str, Any] = {"row": row[ROW], "attempt": attempt, "misfit": row.get(MISFIT) or ""}
            entry["reasons"] = [_reason(each, columns, values=values) for each in row[VIOLATIONS] or []]
            if values:
                cells = [name for name in row if name not in MARKS and row[name] is not None]
                shown_cells = cells[:COLUMNS_SHOWN_MAX]
                entry["cells"] = {
                    names[name]: _cell(row[name], columns.of(name) if columns else None) for name in shown_cells
                }
                entry["cells_left_out"] = max(len(cells) - COLUMNS_SHOWN_MAX, 0)
                entry["raw"] = _cell(row.get(RAW) or "", columns.of_record() if columns else None)
            shown.append(entry)
        if len(shown) >= wanted:
            break
    return shown


def _reason(violation: dict[str, Any], columns: PersonalColumns | None, *, values: bool) -> dict[str, str]:
    told = {name: str(violation[name] or "") for name in ("check", "column", "explanation")}
    value = violation["value"]
    treatment = columns.of(told["column"]) if columns else None
    if columns is not None:
        # A check may quote the cell: it is told there as it is told beside it.
        if value and len(value) >= QUOTED_CHARACTERS_MIN and (seen := masked(value, treatment or "")) != value:
            told["explanation"] = told["explanation"].replace(value, seen)
        told |= {name: hidden(told[name]) for name in ("column", "explanation")}
    return {**told, "value": _cell(value, treatment)} if values and value is not None else told


def _cell(value: object, treatment: str | None) -> str:
    """A cell as people see it, cut; ``treatment`` is None for who may see personal data."""
    text = str(value) if treatment is None else masked(str(value), treatment or treatment_within(value))
    return clean(text, VALUE_CHARACTERS_MAX, personal=True)


class Exported:
    """What an export wrote."""

    def __init__(self) -> None:
        self.rows = 0
        self.cells_marked = 0  # cells that a spreadsheet would have run as a formula


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The rows to export; they are read once for their columns and once for themselves."""

    objects: ObjectStore
    batch: str
    healing: Document | None
    personal: PersonalColumns | None  # None: for who may see personal data

    def frames(self) -> Iterator[pl.DataFrame]:
        """A part at a time, personal data masked."""
        import polars as pl

        for attempt, frame in quarantine_frames(self.objects, self.batch, self.healing):
            marks = [pl.lit(self.batch).alias(BATCH), pl.lit(attempt, pl.Int64).alias(ATTEMPT)]
            if self.personal is None:
                yield frame.sort(ROW).with_columns(*marks)
                continue
            columns = self.personal.among(frame.columns)
            cells = [masked_column(frame[name], columns.of(name)) for name in frame.columns if name not in MARKS]
            if RAW in frame.columns:
                cells.append(masked_column(frame[RAW], columns.of_record()))
            if VIOLATIONS in frame.columns:
                cells.append(masked_violations(frame[VIOLATIONS], columns))
            yield frame.with_columns(cells).rename(shown_names(frame.columns)).sort(ROW).with_columns(*marks)


def export(
    objects: ObjectStore,
    batch: str,
    healing: Document | None,
    file: Path,
    *,
    replace: bool,
    personal: PersonalColumns | None,
) -> Exported:
    """All waiting rows with their reasons, as CSV or Parquet by the file's ending; whole or not at all.

    Personal data is masked, but for who may see it (``personal`` is None).
    """
    waiting = _Waiting(objects, batch, healing, personal)
    if file.suffix.lower() not in FORMATS:
        raise DefinitionError(
            str(file), 0, 0, "the export is neither CSV nor Parquet", "end its name in .csv or .parquet"
        )
    if file.exists() and not replace:
        raise DefinitionError(str(file), 0, 0, "there is such a file already", "choose another name, or add --replace")
    unfinished = file.with_name(f".{file.name}.unfinished")
    told = Exported()
    try:
        if file.suffix.lower() == ".csv":
            _write_csv(waiting, unfinished, told)
        else:
            _write_parquet(waiting, unfinished, told)
        unfinished.replace(file)
    except OSError as error:
        raise DefinitionError(
            str(file), 0, 0, f"cannot be written: {error.strerror}", "choose another place"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return told


def _columns(waiting: _Waiting) -> list[str]:
    """Our columns, then the delivered ones of all parts, in the order in which they are met."""
    names: dict[str, None] = {}
    for frame in waiting.frames():
        names |= dict.fromkeys(frame.columns)
    ours = [BATCH, ROW, ATTEMPT, VIOLATIONS, MISFIT, RAW]
    return [*(name for name in ours if name in names), *(name for name in names if name not in ours)]


def _write_parquet(waiting: _Waiting, file: Path, told: Exported) -> None:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = _columns(waiting)
    # Columns that a part lacks are null; a column that has two types is text.
    types: dict[str, pl.DataType] = {}
    for frame in waiting.frames():
        for name, kind in frame.schema.items():
            types[name] = kind if types.get(name, kind) in (kind, pl.Null()) else pl.String()
    oldest = pl.CompatLevel.oldest()
    empty = pl.DataFrame(schema={name: types[name] for name in names})
    schema: pa.Schema = empty.to_arrow(compat_level=oldest).schema
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for frame in waiting.frames():
            cells = [
                (pl.col(name).cast(types[name]) if name in frame.columns else pl.lit(None, types[name])).alias(name)
                for name in names
            ]
            writer.write_table(frame.select(cells).to_arrow(compat_level=oldest).cast(schema))
            told.rows += frame.height


def _write_csv(waiting: _Waiting, file: Path, told: Exported) -> None:
    import polars as pl

    names = _columns(waiting)
    with file.open("wb") as stream:
        header = io.StringIO(newline="")
        titles = [REASONS if name == VIOLATIONS else name for name in names]
        csv.writer(header, lineterminator="\n").writerow([_harmless(each) for each in titles])
        stream.write(header.getvalue().encode("utf-8", "backslashreplace"))
        for frame in waiting.frames():
            texts = frame.select(_text(frame, name) for name in names)
            flags = {
                name: pl.col(name).str.contains(_FORMULA) & ~pl.col(name).str.contains(_NUMBER)
                for name in names
                if texts.schema[name] == pl.String()
            }
            marked = [
                pl.when(flag).then(pl.lit("'") + pl.col(name)).otherwise(pl.col(name)).alias(name)
                for name, flag in flags.items()
            ]
            counts = texts.select(flag.sum().alias(name) for name, flag in flags.items())
            told.cells_marked += sum(int(count or 0) for count in counts.row(0))
            told.rows += frame.height
            texts.with_columns(marked).write_csv(stream, include_header=False)


def _harmless(title: str) -> str:
    return f"'{title}" if title[:1] in tuple("=+-@") else title


def _text(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column as CSV can hold it: reasons as sentences, nested cells as JSON."""
    import polars as pl

    if name not in frame.columns:
        return pl.lit(None, pl.String).alias(name)
    if name == VIOLATIONS:
        told = pl.element().struct
        sentence = pl.format("{} {}: {}", told.field("check"), told.field("column"), told.field("explanation"))
        tidy = sentence.str.replace(" : ", ": ", literal=True)
        return pl.col(name).list.eval(tidy).list.join("; ").alias(name)
    kind = frame.schema[name]
    if kind.is_nested():
        wrapped = pl.struct(pl.col(name).alias("v")).struct.json_encode()
        return wrapped.str.head(-1).str.slice(len('{"v":')).alias(name)
    return pl.col(name).cast(pl.String).alias(name) if name not in (ROW, ATTEMPT) else pl.col(name)
