"""Turns staged cells into the contract's types, and says of every cell whether it could be turned without loss.

Casting is ours because a validation library's coercion names no column and no row. Every type has a fast expression for
the shape that nearly all cells have, run for all columns at once, and a thorough one for the cells left over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from services.validate.moments import date_cast, time_cast, timestamp_cast
from services.validate.native_casting import cast_native

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from shared.domain.contract import Column

EXACT_IN_DOUBLE = 2**53
TRUE_WORDS = ("true", "t", "yes", "y", "1")
WORDS_COMPARED = 4  # comparing with a few words is faster than looking them up
_EARLY_YEAR = r"(?:^|[^0-9])(?:0[0-9]{3}|1000)"  # in UTC the first hours of the year 1000 may be of 999
FALSE_WORDS = ("false", "f", "no", "n", "0")
_DAY_MICROSECONDS = 86_400_000_000
_FOUR_DIGIT_YEARS = (-354_285, 2_932_897)  # from 1000-01-01 until before 10000-01-01, in days since 1970


class Cast(NamedTuple):
    """Typed columns, and for the columns where cells could not be typed a mask of those cells."""

    frame: pl.DataFrame
    failed: Mapping[str, pl.Series]


class TextRules(NamedTuple):
    """How text is read: words for null (a column may have its own), and the decimal mark."""

    null_values: tuple[str, ...] = ("",)
    decimal: str = "."

    def nulls_of(self, column: Column) -> tuple[str, ...]:
        """The null words of one column."""
        return self.null_values if column.null_values is None else column.null_values


def polars_type(logical_type: str) -> pl.DataType:
    """The type of a typed column."""
    import polars as pl

    types: dict[str, pl.DataType] = {
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "boolean": pl.Boolean(),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us", "UTC"),
        "time": pl.Time(),
    }
    return types.get(logical_type, pl.String())


def cast_frame(staged: pl.DataFrame, columns: Sequence[Column], rules: TextRules) -> Cast:
    """Type all ``columns``; one that is not staged is all null."""
    import polars as pl

    texts: list[Column] = []
    made: dict[str, pl.Series] = {}
    failed: dict[str, pl.Series] = {}
    schema = staged.schema  # asked once: it is built anew each time, and tables may have thousands of columns
    for column in columns:
        if column.name not in schema:
            made[column.name] = pl.Series(column.name, [], dtype=polars_type(column.logical_type)).extend_constant(
                None, staged.height
            )
        elif schema[column.name] == pl.String:
            texts.append(column)
        elif isinstance(schema[column.name], (pl.Categorical, pl.Enum)):  # text that is stored as a number
            staged = staged.with_columns(pl.col(column.name).cast(pl.String))
            texts.append(column)
        else:
            typed = cast_native(staged[column.name], column, polars_type(column.logical_type))
            made[column.name] = typed
            _note_failed(failed, column.name, staged[column.name].is_null(), typed)
    _cast_texts(staged, texts, rules, made, failed)
    return Cast(pl.DataFrame([made[column.name] for column in columns]), failed)


def cast_texts(cells: pl.Series, column: Column, rules: TextRules) -> pl.Series:
    """One text column typed; cells that cannot be are null."""
    import polars as pl

    made: dict[str, pl.Series] = {}
    _cast_texts(pl.DataFrame([cells.alias(column.name)]), [column], rules, made, {})
    return made[column.name]


def _note_failed(failed: dict[str, pl.Series], name: str, null: pl.Series, typed: pl.Series) -> None:
    if typed.null_count() != null.sum():
        failed[name] = typed.is_null() & ~null


def _cast_texts(
    staged: pl.DataFrame,
    columns: Sequence[Column],
    rules: TextRules,
    made: dict[str, pl.Series],
    failed: dict[str, pl.Series],
) -> None:
    """Fast expressions for all columns at once, then the thorough ones for cells that are left."""
    fast = staged.select(_fast(column, staged, rules) for column in columns)
    nulls = staged.select(_is_null(column, rules).sum() for column in columns)
    for column in columns:
        typed = fast[column.name]
        if typed.null_count() == nulls[column.name][0] and not _suspicious(typed, column):
            made[column.name] = typed
            continue
        cells = staged[column.name]
        null = cells.to_frame().select(_is_null(column, rules)).to_series()
        left = typed.is_null() & ~null
        if left.any():
            places = left.arg_true()
            typed = typed.scatter(places, _thorough(cells.gather(places), column, rules))
        made[column.name] = _without_lossy(typed, cells, column)
        _note_failed(failed, column.name, null, made[column.name])


def _is_null(column: Column, rules: TextRules) -> pl.Expr:
    import polars as pl

    words = rules.nulls_of(column)
    cell = pl.col(column.name)
    null = cell.is_null()
    for word in words[:WORDS_COMPARED]:
        null = null | (cell == word)
    return null | cell.is_in(list(words[WORDS_COMPARED:])) if len(words) > WORDS_COMPARED else null


def _present(column: Column, rules: TextRules) -> pl.Expr:
    """The cell, null where it is a word for null."""
    import polars as pl

    if not rules.nulls_of(column):
        return pl.col(column.name)
    return pl.when(~_is_null(column, rules)).then(pl.col(column.name)).alias(column.name)


def _fast(column: Column, staged: pl.DataFrame, rules: TextRules) -> pl.Expr:
    """The type's usual shape; anything else becomes null."""
    import polars as pl

    kind = column.logical_type
    plain = pl.col(column.name) if _never_values(rules.nulls_of(column), kind) else _present(column, rules)
    if kind == "integer":
        return plain.cast(pl.Int64, strict=False)
    if kind == "number":
        return _decimal_point(plain, rules.decimal).cast(pl.Float64, strict=False).alias(column.name)
    if kind == "boolean":
        return _boolean(plain).alias(column.name)
    if kind == "date":
        return date_cast(plain, column).alias(column.name)
    if kind == "time":
        return time_cast(plain, column).alias(column.name)
    if kind == "timestamp":
        return timestamp_cast(plain, column, _sample(staged[column.name], rules.nulls_of(column))).alias(column.name)
    if kind in ("object", "array"):
        return _json(_present(column, rules), kind).alias(column.name)
    return _present(column, rules)


def _never_values(words: tuple[str, ...], kind: str) -> bool:
    """True when no null word could be taken for a value, so that it need not be looked for before the cast."""
    if kind == "integer":
        return not any(character.isdigit() for word in words for character in word)
    if kind in ("date", "timestamp"):
        return all(len(word) < 6 for word in words)
    return kind == "number" and all(word == "" or word.upper() in ("NA", "N/A", "NULL", "-", "?") for word in words)


def _sample(cells: pl.Series, null_words: tuple[str, ...]) -> str:
    """A cell that shows the column's usual shape: the first that is not null; "" without one."""
    for start in (0, 1_000):
        head = cells.slice(start, 1_000)
        found = head.filter(head.is_not_null() & ~head.is_in(list(null_words)))
        if found.len():
            return str(found[0])
    return ""


def _decimal_point(text: pl.Expr, decimal: str) -> pl.Expr:
    import polars as pl

    if decimal == ".":
        return text
    # A point is no decimal mark here, and guessing that it separates thousands would be a guess.
    return pl.when(~text.str.contains(".", literal=True)).then(text.str.replace_all(decimal, ".", literal=True))


def _boolean(text: pl.Expr) -> pl.Expr:
    import polars as pl

    word = text.str.to_lowercase()
    return pl.when(word.is_in(TRUE_WORDS)).then(True).when(word.is_in(FALSE_WORDS)).then(False)


def _json(text: pl.Expr, kind: str) -> pl.Expr:
    """The text itself when it is JSON of that kind."""
    import polars as pl

    start = r"^\s*\{" if kind == "object" else r"^\s*\["
    return pl.when(text.str.contains(start) & text.str.json_path_match("$").is_not_null()).then(text)


def _thorough(cells: pl.Series, column: Column, rules: TextRules) -> pl.Series:
    """The cells that the fast expression left: other exact spellings of the type."""
    import polars as pl

    frame = pl.DataFrame([cells.alias(column.name)])
    text = pl.col(column.name)
    kind = column.logical_type
    if kind == "integer":
        whole = _decimal_point(text, rules.decimal).str.extract(r"^([+-]?[0-9]+)\.0+$", 1)
        return frame.select(whole.cast(pl.Int64, strict=False)).to_series()
    if kind in ("date", "time", "timestamp"):
        casts = {"date": date_cast, "time": time_cast, "timestamp": timestamp_cast}
        return frame.select(casts[kind](text, column, thorough=True)).to_series()
    return pl.Series(column.name, [], dtype=polars_type(kind)).extend_constant(None, cells.len())


def _suspicious(typed: pl.Series, column: Column) -> bool:
    """True when some cell may have lost something by its type."""
    import polars as pl

    if column.logical_type == "number":
        risky = (~pl.col("x").is_finite()) | (pl.col("x").abs() >= EXACT_IN_DOUBLE)
        return bool(typed.alias("x").to_frame().select(risky.any()).item())
    if column.logical_type in ("date", "timestamp"):
        # The least and the greatest tell it, without every cell's year; as numbers: Python has no year 10000.
        least, greatest = typed.to_physical().min(), typed.to_physical().max()
        first, end = (days * (1 if typed.dtype == pl.Date else _DAY_MICROSECONDS) for days in _FOUR_DIGIT_YEARS)
        return least is not None and not (first <= least and greatest < end)  # type: ignore[operator]
    return False


def _without_lossy(typed: pl.Series, cells: pl.Series, column: Column) -> pl.Series:
    """Null for numbers that are not finite or that a double cannot hold, and for dates outside the calendar."""
    import polars as pl

    frame = pl.DataFrame([typed.alias("x"), cells.alias("cell")])
    if column.logical_type == "number":
        digits = pl.col("cell").str.extract(r"^([+-]?[0-9]+)$", 1).cast(pl.Int128, strict=False)
        whole = pl.col("cell").str.contains(r"^[+-]?[0-9]+$") & (pl.col("x").abs() >= EXACT_IN_DOUBLE)
        exact = digits.is_not_null() & (pl.col("x").cast(pl.Int128, strict=False) == digits)
        keep = pl.col("x").is_finite() & (~whole | exact.fill_null(False))
    elif column.logical_type in ("date", "timestamp"):
        year = pl.col("x").dt.year()
        # The engine takes the 25 of 5.3.25 for the year 25; early years are those that are written with a leading 0.
        keep = year.is_between(1000, 9999) | (year.is_between(1, 999) & pl.col("cell").str.contains(_EARLY_YEAR))
    else:
        return typed
    return frame.select(pl.when(keep).then(pl.col("x")).alias(typed.name)).to_series()
