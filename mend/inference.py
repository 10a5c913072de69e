"""Infers a contract from a sample of staged text, prudently: what a small sample cannot support is not claimed.

A contract inferred from few rows must not raise alarms on tomorrow's ordinary data. The column decides its type
together; what is claimed beside it stands in ``column_claims``, the inside of objects and arrays in ``nested_claims``.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mend.column_claims import ISO_MOMENTS, REQUIRED_ROWS_MIN, claimed, is_real_date
from mend.column_sample import ColumnSample
from mend.key_inference import primary_key
from mend.nested_claims import nested
from services.validate.native_casting import cast_native, texts_of
from shared.domain.contract import Column, Contract, LogicalType, parse_contract, write_contract

if TYPE_CHECKING:
    import polars as pl

SURE_NULLS = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "\\N", "(null)", "<NA>")
MAYBE_NULLS = ("-", "--", "?", ".", "None", "none", "nil", "missing", "n.a.", "n.d.", "nd")

_INTEGER = r"^[+-]?(?:0|[1-9]\d{0,17})$"
_NUMBER = r"^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$"
_BOOLEAN = r"^(?:true|false|True|False|TRUE|FALSE)$"
_CODE = r"^[A-Z]{2,3}$"
# Numbers of which some have marks between thousands: 1.234,56 and 7,00, or 1,234.56 and 7.00.
_GROUPED = {
    ".": r"^[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+|[0-9]*)(?:\.[0-9]+)?$",
    ",": r"^[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+|[0-9]*)(?:,[0-9]+)?$",
}
_MARK = r"[0-9][.,][0-9]{3}(?:[.,]|$)"

# Written formats besides ISO 8601, as clock × day: the standard's letters, a shape, the strptime pattern to try.
_CLOCKS: tuple[tuple[LogicalType, str, str, str], ...] = (
    ("date", "", "", ""),
    ("timestamp", " HH:mm", r" \d{1,2}:\d{2}", " %H:%M"),
    ("timestamp", " HH:mm:ss", r" \d{1,2}:\d{2}:\d{2}", " %H:%M:%S"),
)
_DAYS = (
    ("dd/MM/yyyy", r"\d{1,2}/\d{1,2}/\d{4}", "%d/%m/%Y"),
    ("MM/dd/yyyy", r"\d{1,2}/\d{1,2}/\d{4}", "%m/%d/%Y"),
    ("dd.MM.yyyy", r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
    ("dd-MM-yyyy", r"\d{1,2}-\d{1,2}-\d{4}", "%d-%m-%Y"),
    ("MM-dd-yyyy", r"\d{1,2}-\d{1,2}-\d{4}", "%m-%d-%Y"),
    ("yyyy/MM/dd", r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    ("dd/MM/yy", r"\d{1,2}/\d{1,2}/\d{2}", "%d/%m/%y"),
    ("MM/dd/yy", r"\d{1,2}/\d{1,2}/\d{2}", "%m/%d/%y"),
    ("dd MMM yyyy", r"\d{1,2} [A-Za-z]{3} \d{4}", "%d %b %Y"),
    ("dd-MMM-yyyy", r"\d{1,2}-[A-Za-z]{3}-\d{4}", "%d-%b-%Y"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What a sample says: the contract, and what the pipeline file needs to read the same data."""

    contract: Contract
    text: str  # the contract as YAML
    null_values: tuple[str, ...]
    rows: int
    notes: tuple[str, ...]  # sentences for the person who is asked, without cell values


def infer(
    frames: pl.DataFrame | Sequence[pl.DataFrame],
    *,
    name: str,
    table: str,
    null_candidates: Sequence[str] = (*SURE_NULLS, *MAYBE_NULLS),
    decimal: str = ".",
    alone: bool = False,
) -> Inferred:
    """Infer from staged text, one frame per delivery: the header most deliveries share (of equals the last) decides
    the columns, and every delivery that has a column decides about it. ``_mend_`` columns and misfits are left out.
    A contract that is to stand ``alone`` names the texts that mean null itself, since no pipeline does.
    """
    import polars as pl

    staged = [_delivered(frame) for frame in ([frames] if isinstance(frames, pl.DataFrame) else frames)]
    notes: list[str] = []
    header = _shared_header(staged, notes)
    samples = []
    for position, column in enumerate(header):
        values = pl.concat([as_text(frame.get_column(column)) for frame in staged if column in frame.columns])
        samples.append(ColumnSample(name=column, position=position, values=values, rows=len(values)))
    null_values = _type_all(samples, tuple(null_candidates), decimal, notes)
    rows = max((sample.rows for sample in samples), default=0)
    same = [frame.select(header) for frame in staged if set(header) <= set(frame.columns)]
    key = primary_key(samples, pl.concat(same) if same else pl.DataFrame(), notes)
    columns = tuple(_column(sample, key, {""} if alone else set(null_values)) for sample in samples)
    if rows < REQUIRED_ROWS_MIN:
        notes.append(f"only {rows} rows were seen, so little but types is claimed; add rules you know to be true")
    text = write_contract(Contract(id=name, name=name, version="1.0.0", table=table, columns=columns))
    contract = parse_contract(text, f"{name}.odcs.yaml")
    return Inferred(contract=contract, text=text, null_values=null_values, rows=rows, notes=tuple(notes))


def _column(sample: ColumnSample, key: tuple[str, ...], nulls: set[str]) -> Column:
    column = claimed(sample, key, nulls)
    if column.logical_type not in ("object", "array") or sample.known is None:
        return column
    return replace(column, nested=nested(sample.known))


def as_text(values: pl.Series) -> pl.Series:
    """Cells as text, what Parquet or Avro nests as JSON; what JSON cannot say is only told by its brackets."""
    import polars as pl

    if not values.dtype.is_nested():
        return texts_of(values)
    kind: LogicalType = "object" if isinstance(values.dtype, pl.Struct) else "array"
    told = cast_native(values, Column(name=values.name, logical_type=kind), pl.String())
    empty = pl.lit("{}" if kind == "object" else "[]")
    shown = pl.when(values.is_not_null()).then(pl.lit(told).fill_null(empty))
    return pl.select(shown.alias(values.name)).to_series()


def _delivered(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    fitting = frame.filter(pl.col("_mend_misfit").is_null()) if "_mend_misfit" in frame.columns else frame
    return fitting.select([column for column in fitting.columns if not column.startswith("_mend_")])


def _shared_header(frames: list[pl.DataFrame], notes: list[str]) -> list[str]:
    counts = Counter(tuple(frame.columns) for frame in frames)
    if not counts:
        return []
    best = max(counts.values())
    header = next(tuple(frame.columns) for frame in reversed(frames) if counts[tuple(frame.columns)] == best)
    if len(counts) > 1:
        notes.append(
            f"{len(frames) - best} of {len(frames)} deliveries have other columns; the contract has those of most"
        )
    kept: dict[str, str] = {}
    for column in header:
        if column.strip() and column.casefold() not in kept:
            kept[column.casefold()] = column
    if len(kept) < len(header):
        notes.append(
            f"{len(header) - len(kept)} columns are left out: without a name, or named like another but for capitals"
        )
    return list(kept.values())


def _type_all(
    samples: list[ColumnSample], candidates: tuple[str, ...], decimal: str, notes: list[str]
) -> tuple[str, ...]:
    """Decide nulls and types of all columns, and return the texts that mean null everywhere."""
    found: set[str] = set()
    for sample in samples:
        tokens = ["", *candidates]
        sample.known = sample.values.filter(~sample.values.is_in(tokens) & sample.values.is_not_null())
        seen = set(sample.values.filter(sample.values.is_in(candidates)).unique().to_list())
        sample.logical_type, sample.format = _type_of(sample.known, decimal, sample.name, notes)
        if sample.logical_type != "string" and len(sample.known):
            found |= seen
        elif not _is_codes(sample.known):
            found |= seen & set(SURE_NULLS)
    null_values = ("", *sorted(found))
    for sample in samples:
        if sample.logical_type == "string":
            mine = [""] if _is_codes(sample.known) and len(sample.known) else list(null_values)  # type: ignore[arg-type]
            sample.nulls = set(mine)
            sample.known = sample.values.filter(~sample.values.is_in(mine) & sample.values.is_not_null())
        else:
            sample.nulls = set(null_values)
    return null_values


def _is_codes(known: pl.Series | None) -> bool:
    """Short capitals throughout, among which NA may well be a value (Namibia, North America)."""
    return known is not None and len(known) > 0 and bool(known.str.contains(_CODE).all())


def _type_of(known: pl.Series, decimal: str, name: str, notes: list[str]) -> tuple[LogicalType, str]:
    if not len(known):
        return "string", ""
    number = _NUMBER if decimal == "." else _NUMBER.replace(r"\.", ",")
    shapes: tuple[tuple[LogicalType, str], ...] = (
        ("integer", _INTEGER),
        ("number", number),
        ("boolean", _BOOLEAN),
        *ISO_MOMENTS,
        ("object", r"(?s)^\{.*\}$"),
        ("array", r"(?s)^\[.*\]$"),
    )
    for kind, shape in shapes:
        if bool(known.str.contains(shape).all()):
            if kind in ("date", "timestamp") and not is_real_date(known):
                continue
            return kind, ""
    if known.str.contains(_GROUPED[decimal]).all() and known.str.contains(_MARK).any():
        notes.append(f'column "{name}" holds numbers with marks between thousands: kept as text, no cast reads those')
    return _written_format(known, name, notes)


def _written_format(known: pl.Series, name: str, notes: list[str]) -> tuple[LogicalType, str]:
    """The one written date format that reads every value; two that do cannot be told apart."""
    import polars as pl

    fitting: list[tuple[LogicalType, str]] = []
    for (kind, clock, clock_shape, clock_pattern), (day, shape, pattern) in itertools.product(_CLOCKS, _DAYS):
        if bool(known.str.contains(f"^{shape}{clock_shape}$").all()):
            dtype = pl.Date() if kind == "date" else pl.Datetime("us")
            if known.str.strptime(dtype, pattern + clock_pattern, strict=False).is_not_null().all():
                fitting.append((kind, day + clock))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        notes.append(f'column "{name}" holds dates whose day and month cannot be told apart yet: kept as text')
    return "string", ""
