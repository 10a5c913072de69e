"""Casts of columns that a delivery already typed (Parquet) to the contract's types, without loss or as a violation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.validate.moments import local_to_utc

if TYPE_CHECKING:
    import polars as pl
    from polars._typing import PolarsDataType

    from shared.domain.contract import Column

_INTEGER_LIMIT = 2.0**63


def cast_native(cells: pl.Series, column: Column, wanted: pl.DataType) -> pl.Series:
    """The cells in ``wanted`` type, null where that would lose something."""
    import polars as pl

    have, name = cells.dtype, column.name
    cell = pl.col(name)
    frame = cells.alias(name).to_frame()
    expression: pl.Expr | None = None
    if have == pl.Null:
        expression = cell.cast(wanted)
    elif wanted == pl.Int64:
        expression = _to_integer(cell, have)
    elif wanted == pl.Float64:
        expression = _to_number(cell, have)
    elif column.logical_type in ("date", "timestamp", "time"):
        expression = _to_moment(cell, have, column)
    elif wanted == pl.Boolean:
        expression = cell if have == pl.Boolean else _one_or_zero(cell) if have.is_integer() else None
    elif column.logical_type == "string":
        whole = have.is_integer() or have in (pl.Boolean, pl.Date)
        expression = _bytes_text(cell) if have == pl.Binary else cell.cast(pl.String, strict=False) if whole else None
    elif have.is_nested() and (column.logical_type == "object") == isinstance(have, pl.Struct):
        expression = _to_json(cell, have) if column.logical_type in ("object", "array") else None
    if expression is None:
        return pl.Series(name, [], dtype=wanted).extend_constant(None, cells.len())
    return frame.select(expression.alias(name)).to_series()


def texts_of(cells: pl.Series) -> pl.Series:
    """Delivered cells as texts; null where a cell has none, as nested values and bytes that are not UTF-8."""
    import polars as pl

    if cells.dtype == pl.Binary:
        return cells.to_frame().select(_bytes_text(pl.col(cells.name))).to_series()
    if isinstance(cells.dtype, pl.Duration):
        return cells.dt.to_string()
    if cells.dtype.is_nested() or cells.dtype == pl.Object:
        return pl.Series(cells.name, [], dtype=pl.String).extend_constant(None, cells.len())
    return cells.cast(pl.String, strict=False)


def _to_json(cell: pl.Expr, have: pl.DataType) -> pl.Expr:
    """JSON text; null where something inside would be lost: bytes that are no text, nan, digits of a decimal."""
    import polars as pl

    wrapped = pl.struct(_json_value(cell, have).alias("x")).struct.json_encode()
    sound = cell.is_not_null() & _kept_in_json(cell, have)
    return pl.when(sound).then(wrapped.str.slice(5).str.strip_suffix("}"))


def _json_value(cell: pl.Expr, have: pl.DataType) -> pl.Expr:
    """With bytes as texts, and decimals as numbers: the engine knows no bytes, and would write decimals as texts."""
    import polars as pl

    if isinstance(have, pl.Struct):
        fields = [
            _json_value(cell.struct.field(each.name), _instance(each.dtype)).alias(each.name) for each in have.fields
        ]
        return pl.when(cell.is_not_null()).then(pl.struct(fields)) if fields else cell
    if isinstance(have, (pl.List, pl.Array)):
        listed = cell.arr.to_list() if isinstance(have, pl.Array) else cell
        return listed.list.eval(_json_value(pl.element(), _instance(have.inner)))
    if have == pl.Binary:
        return _bytes_text(cell)
    return cell.cast(pl.Float64) if have.is_decimal() else cell


def _kept_in_json(cell: pl.Expr, have: pl.DataType) -> pl.Expr:
    """True where JSON says the same; what is null says nothing."""
    import polars as pl

    kept: pl.Expr
    if isinstance(have, pl.Struct):
        inside = [_kept_in_json(cell.struct.field(each.name), _instance(each.dtype)) for each in have.fields]
        kept = pl.all_horizontal(inside) if inside else pl.lit(True)
    elif isinstance(have, (pl.List, pl.Array)):
        listed = cell.arr.to_list() if isinstance(have, pl.Array) else cell
        kept = listed.list.eval(_kept_in_json(pl.element(), _instance(have.inner))).list.all()
    elif have == pl.Binary:
        kept = _bytes_text(cell).is_not_null()
    elif have.is_decimal():
        kept = cell.cast(pl.Float64).cast(have, strict=False) == cell
    else:
        kept = cell.is_finite() if have.is_float() else cell.is_not_null()
    return kept.fill_null(True) | cell.is_null()


def _bytes_text(cell: pl.Expr) -> pl.Expr:
    """Bytes as the text that they are in UTF-8, else null; the engine's own cast stops at the first that are none."""
    import polars as pl

    def read(cells: pl.Series) -> pl.Series:
        try:
            return cells.cast(pl.String)
        except pl.exceptions.ComputeError:
            return pl.Series(cells.name, [_text_of(each) for each in cells], dtype=pl.String)

    return cell.map_batches(read, return_dtype=pl.String)


def _text_of(octets: bytes | None) -> str | None:
    try:
        return None if octets is None else octets.decode()
    except UnicodeDecodeError:
        return None


def _instance(kind: PolarsDataType) -> pl.DataType:
    return kind() if isinstance(kind, type) else kind


def _to_integer(cell: pl.Expr, have: pl.DataType) -> pl.Expr | None:
    import polars as pl

    if have.is_integer():
        return cell.cast(pl.Int64, strict=False)
    if have.is_float():
        whole = cell.is_finite() & (cell == cell.floor()) & (cell >= -_INTEGER_LIMIT) & (cell < _INTEGER_LIMIT)
        return pl.when(whole).then(cell).cast(pl.Int64, strict=False)
    if have.is_decimal():
        whole = cell.cast(pl.Int64, strict=False)
        return pl.when(whole.cast(have, strict=False) == cell).then(whole)
    return None


def _to_number(cell: pl.Expr, have: pl.DataType) -> pl.Expr | None:
    import polars as pl

    if have.is_float():
        return pl.when(cell.is_finite()).then(cell.cast(pl.Float64))
    number = cell.cast(pl.Float64, strict=False)
    if have.is_integer():
        return pl.when(number.cast(pl.Int128, strict=False) == cell.cast(pl.Int128, strict=False)).then(number)
    return number if have.is_decimal() else None


def _one_or_zero(cell: pl.Expr) -> pl.Expr:
    """As the texts 1 and 0 are read; another number is no truth value."""
    import polars as pl

    return pl.when(cell.is_in([0, 1])).then(cell == 1)


def _to_moment(cell: pl.Expr, have: pl.DataType, column: Column) -> pl.Expr | None:
    import polars as pl

    kind = column.logical_type
    if isinstance(have, pl.Datetime):
        exact = cell if have.time_unit != "ns" else pl.when(cell.dt.nanosecond() % 1000 == 0).then(cell)
        fine = exact.dt.cast_time_unit("us")
        if kind == "timestamp":
            if have.time_zone:
                return fine.dt.convert_time_zone("UTC")
            return local_to_utc(fine, column.timezone)
        if kind == "date":
            return pl.when(fine.dt.time() == pl.time(0, 0)).then(fine.dt.date())
        return None
    if have == pl.Date:
        if kind == "date":
            return cell
        if kind == "timestamp":
            return local_to_utc(cell.cast(pl.Datetime("us")), column.timezone)
    if have == pl.Time and kind == "time":
        return pl.when(cell.cast(pl.Int64) % 1000 == 0).then(cell)
    return None
