"""The checks on single typed cells as masks: they name the rows, after the pandera schema found that some fail."""

from __future__ import annotations

import json
import re
import warnings
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from services.validate.findings import Failure, Rule, Severity
from shared.domain.text_formats import TEXT_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import polars as pl

    from shared.domain.contract import Bound, Column
    from shared.domain.text_formats import TextFormat

PATTERN_VALUES_SHOWN = 12
INTEGERS = (-(2**63), 2**63 - 1)  # what a typed column of whole numbers can hold


class CellRule(NamedTuple):
    """A rule with the expression that is true where a typed cell keeps it; null cells are for ``required`` alone."""

    rule: Rule
    passes: Callable[[], pl.Expr]


def severity_of(column: Column) -> Severity:
    """``warning`` when the contract's column carries the custom property severity: warning."""
    return "warning" if dict(column.custom).get("severity") == json.dumps("warning") else "error"


_TYPE_TEXT = {
    "integer": "a whole number of at most 64 bits",
    "number": "a finite decimal number",
    "boolean": "true or false",
    "date": "a date",
    "timestamp": "a date and time",
    "time": "a time of day",
    "object": "a JSON object",
    "array": "a JSON array",
    "string": "text",
}


def type_rule(column: Column) -> Rule:
    """The rule that every cell is of the column's type; no severity lets one pass that is not."""
    layout = f" ({column.format})" if column.format and column.logical_type in ("date", "timestamp", "time") else ""
    return Rule("type", (column.name,), f"{column.name} must be {_TYPE_TEXT[column.logical_type]}{layout}")


def cell_rules(columns: Iterable[Column], never_null: Sequence[str]) -> list[CellRule]:
    """All rules on single cells; ``never_null`` are columns that a key needs although they may be optional."""
    rules: list[CellRule] = []
    for column in columns:
        rules += _rules_of(column, needed=column.name in never_null or not column.nullable)
    return rules


def _rules_of(column: Column, *, needed: bool) -> list[CellRule]:
    import polars as pl

    cell, name, severity = pl.col(column.name), column.name, severity_of(column)
    found: list[CellRule] = []

    def add(check: str, explanation: str, passes: Callable[[], pl.Expr]) -> None:
        found.append(CellRule(Rule(check, (name,), explanation, severity), passes))

    if needed:
        found.append(
            CellRule(
                Rule("required", (name,), f"{name} must not be null", _required_severity(column)), cell.is_not_null
            )
        )
    if column.enum:
        allowed = enum_values(column)
        shown = ", ".join(str(value) for value in column.enum[:PATTERN_VALUES_SHOWN])
        more = f" … ({len(column.enum)} values)" if len(column.enum) > PATTERN_VALUES_SHOWN else ""
        listed = allowed or pl.lit(pl.Series([], dtype=pl.Int64)).implode()
        add("enum", f"{name} must be one of {shown}{more}", lambda: cell.is_in(listed))
    if column.pattern and pattern_supported(column.pattern):
        add("pattern", f"{name} must match {column.pattern}", lambda: cell.str.contains(column.pattern))
    elif column.pattern:
        add("pattern", f"{name} must match {column.pattern}", lambda: _python_pattern(cell, column.pattern))
    if column.logical_type == "string" and column.format in TEXT_FORMATS:
        has = TEXT_FORMATS[column.format]
        add("format", f"{name} must be {has.said}", lambda: has_format(cell, has))
    if column.min_length is not None or column.max_length is not None:
        low, high = column.min_length or 0, column.max_length
        add("length", _length_text(name, low, high), lambda: _within(cell.str.len_chars(), low, high))
    bounds = [(sign, bound) for sign, bound in bounds_of(column) if bound is not None]
    if bounds:
        text = " and ".join(f"{sign} {bound}" for sign, bound in _written_bounds(column))
        add("range", f"{name} must be {text}", lambda: _bounded(cell, bounds))
    if column.multiple_of:
        step = column.multiple_of
        add("multiple_of", f"{name} must be a multiple of {step}", lambda: is_multiple(cell, step))
    return found


def _required_severity(column: Column) -> Severity:
    # A row without its key cannot be placed, so a warning does not let it pass.
    return "error" if column.primary_key_position else severity_of(column)


def _length_text(name: str, low: int, high: int | None) -> str:
    if high is None:
        return f"{name} must have at least {low} characters"
    return f"{name} must have {low} to {high} characters" if low else f"{name} must have at most {high} characters"


def _within(length: pl.Expr, low: int, high: int | None) -> pl.Expr:
    return length >= low if high is None else (length >= low) & (length <= high)


def enum_values(column: Column) -> list[Any]:
    """Allowed values in the type of the typed column; a whole number that it cannot hold stands in no cell."""
    values = [typed_bound(value, column) for value in column.enum]
    return [each for each in values if INTEGERS[0] <= each <= INTEGERS[1]] if _is_whole(column) else values


def _is_whole(column: Column) -> bool:
    return column.logical_type == "integer"


def typed_bound(bound: Any, column: Column) -> Any:
    """A contract's scalar as the Python value that compares with the typed column."""
    if column.logical_type == "date":
        return date.fromisoformat(str(bound))
    if column.logical_type == "time":
        at = time.fromisoformat(str(bound))
        return at if at.tzinfo is None else datetime.combine(date(2000, 1, 2), at).astimezone(UTC).time()
    if column.logical_type == "timestamp":
        moment = datetime.fromisoformat(str(bound))
        zone = ZoneInfo(column.timezone) if column.timezone else UTC
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    # The engine compares a number with no whole number of more than 64 bits.
    return float(bound) if column.logical_type == "number" else bound


def bounds_of(column: Column) -> list[tuple[str, Any]]:
    """The four bounds with their signs, typed; None where there is none, or none that any cell could break."""
    return [
        (sign, None) if bound is None else _held(sign, typed_bound(bound, column), column)
        for sign, bound in (
            (">=", column.minimum),
            (">", column.exclusive_minimum),
            ("<=", column.maximum),
            ("<", column.exclusive_maximum),
        )
    ]


def _held(sign: str, bound: Any, column: Column) -> tuple[str, Any]:
    """A bound of whole numbers within what a cell can hold: one beyond that is kept by every cell, or by none."""
    least, greatest = INTEGERS
    if not _is_whole(column) or least <= bound <= greatest:
        return sign, bound
    kept_by_all = bound < least if sign.startswith(">") else bound > greatest
    return (sign, None) if kept_by_all else (">", greatest) if sign.startswith(">") else ("<", least)


def _written_bounds(column: Column) -> list[tuple[str, Bound]]:
    written = (
        ("at least", column.minimum),
        ("more than", column.exclusive_minimum),
        ("at most", column.maximum),
        ("less than", column.exclusive_maximum),
    )
    return [(sign, bound) for sign, bound in written if bound is not None]


def _bounded(cell: pl.Expr, bounds: list[tuple[str, Any]]) -> pl.Expr:
    import polars as pl

    compare = {">=": cell.__ge__, ">": cell.__gt__, "<=": cell.__le__, "<": cell.__lt__}
    return pl.all_horizontal([compare[sign](bound) for sign, bound in bounds])


def is_multiple(cell: pl.Expr, step: float) -> pl.Expr:
    """True where the cell is a whole number of steps, within what a double can tell."""
    import polars as pl

    if isinstance(step, int):
        return cell % step == 0 if step <= INTEGERS[1] else cell.cast(pl.Float64) % float(step) == 0
    ratio = cell / step
    return (ratio - ratio.round()).abs() <= 1e-9 * (ratio.abs() + 1)


@lru_cache(maxsize=1_024)
def pattern_supported(pattern: str) -> bool:
    """Whether the engine's expressions can do the pattern (they know no look-around and no back-references)."""
    import polars as pl

    try:
        pl.Series([""]).str.contains(pattern, strict=True)
    except pl.exceptions.ComputeError:
        return False
    return True


@lru_cache(maxsize=1_024)
def pattern_readable(pattern: str) -> bool:
    """Whether a pattern is a regular expression of the engine's, or of Python's, which does what the engine cannot."""
    if not pattern or pattern_supported(pattern):
        return True
    try:
        _compiled(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what may mean something else in a later Python
        return re.compile(pattern)


def has_format(cell: pl.Expr, wanted: TextFormat) -> pl.Expr:
    """True where a text has the format; null where there is none."""
    import polars as pl

    kept = [cell.str.contains(pattern) for pattern in wanted.all_of]
    return pl.all_horizontal(*kept, *(~cell.str.contains(pattern) for pattern in wanted.none_of))


def _python_pattern(cell: pl.Expr, pattern: str) -> pl.Expr:
    import polars as pl

    compiled = _compiled(pattern)

    def search(cells: pl.Series) -> pl.Series:
        # Distinct values only: such patterns are rare, and repeated values are the rule.
        distinct = cells.drop_nulls().unique()
        matching = [value for value in distinct if compiled.search(value)]
        return cells.is_in(pl.Series(matching, dtype=pl.String).implode())

    return cell.map_batches(search, return_dtype=pl.Boolean)


def pattern_mask(cells: pl.Series, pattern: str) -> pl.Series:
    """True where the pattern is found in a text, null where there is none; patterns of either engine."""
    import polars as pl

    cell = pl.col(cells.name)
    found = cell.str.contains(pattern) if pattern_supported(pattern) else _python_pattern(cell, pattern)
    return cells.to_frame().select(found).to_series()


def failing_cells(
    typed: pl.DataFrame, rules: Sequence[CellRule], exempt: Mapping[str, pl.Series], raw: pl.Series | None = None
) -> list[Failure]:
    """Masks of the cells that break ``rules``.

    Judged otherwise, and therefore exempt: by column the cells without a type, and whole ``raw`` rows.
    """
    import polars as pl

    if not rules or not typed.height:
        return []
    columns = [(~item.passes()).fill_null(False).alias(str(index)) for index, item in enumerate(rules)]
    masks = typed.select(columns)
    some = masks.select(pl.all().any()).row(0)
    failures = []
    for index, item in enumerate(rules):
        if not some[index]:
            continue
        mask = masks[str(index)]
        spared = exempt.get(item.rule.columns[0])
        if spared is not None:
            mask = mask & ~spared
        if raw is not None:
            mask = mask & ~raw
        if mask.any():
            failures.append(Failure(item.rule, mask))
    return failures
