"""Ways in which data goes wrong, put into a sample one at a time, each with the rule that would have noticed it.

A corruption is only made where the sample itself is free of it: a null where there is none, a tenth customer number
twice where all are different. So the rule that is suggested holds for the sample.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any, Final, NamedTuple

import polars as pl

from mend.nested_corruptions import inside_corruptions
from shared.domain.contract import Bound, Column, Contract, RowCountRule
from shared.domain.contract_nested import KEPT_AS
from shared.domain.personal_data import hides_values
from shared.domain.text_formats import TEXT_FORMATS, fits

STEP: Final = 10  # every tenth row is corrupted
CATEGORIES_MAX: Final = 20
SHAPES_MAX: Final = 3
UNIQUE_ROWS_MIN: Final = 20
_FAR_YEARS: Final = 100
_NUMERIC: Final = frozenset({"integer", "number"})
_DATED: Final = frozenset({"date", "timestamp"})
_RUN: Final = re.compile(r"(\\d|\[A-Z\]|\[a-z\])\1*")
Amend = Callable[[Contract], Contract]


class Rule(NamedTuple):
    """A rule that would notice a corruption: as a line of a contract, and as a change of one."""

    text: str
    amend: Amend


class Corrupted(NamedTuple):
    """The sample with one thing wrong."""

    column: str  # "" when it is not one column's
    corruption: str
    what: str
    frame: pl.DataFrame
    rule: Rule | None  # None where no single rule would notice


def corruptions(frame: pl.DataFrame, contract: Contract, decimal: str) -> Iterator[Corrupted]:
    """Every corruption that means something for this sample (text as delivered, null where there is nothing)."""
    known = [column for column in contract.columns if column.name in frame.columns]
    for column in known:
        yield from _of_column(frame, column, decimal)
    for first, second in itertools.pairwise(known):
        yield from _swapped(frame, first, second)
    yield from _of_table(frame, contract)


# ── one column ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_column(frame: pl.DataFrame, column: Column, decimal: str) -> Iterator[Corrupted]:
    values = frame.get_column(column.name)
    chosen = _chosen(frame.height)

    def made(corruption: str, what: str, to: pl.Series, rule: Rule | None) -> Corrupted:
        return Corrupted(column.name, corruption, what, frame.with_columns(to.alias(column.name)), rule)

    def some(to: pl.Series | str | None) -> pl.Series:
        with_them = pl.Series([to] * frame.height, dtype=pl.String) if not isinstance(to, pl.Series) else to
        return with_them.zip_with(chosen, values)

    required = Rule("required: true", _changed(column.name, required=True))
    if values.null_count() == 0:
        yield made("nulls", "every tenth value is missing", some(None), required)
    gone = frame.drop(column.name)
    if gone.width:
        yield Corrupted(column.name, "column missing", "the column is not delivered", gone, required)
    present = values.drop_nulls()
    if present.is_empty():
        return
    if column.logical_type != "string":
        yield made("unreadable", f"every tenth value is no {column.logical_type}", some("?!"), None)
    names_things = column.logical_type in ("integer", "string")  # that two measures differ says nothing of a third
    if names_things and present.n_unique() == present.len() >= UNIQUE_ROWS_MIN:
        twice = Rule("unique: true", _changed(column.name, unique=True))
        yield made("duplicates", "every tenth value is that of the first row", some(present[0]), twice)
    if column.logical_type in _NUMERIC:
        yield from _of_numbers(column, values, decimal, made, some)
    elif column.logical_type in _DATED:
        yield from _of_dates(column, values, made, some)
    elif column.logical_type == "string":
        yield from _of_texts(column, values, made, some)
    elif column.logical_type in KEPT_AS.values():
        for each in inside_corruptions(column, values, chosen):
            yield made(each.corruption, each.what, each.cells, Rule(each.rule, each.amend))


_Made = Callable[[str, str, pl.Series, Rule | None], Corrupted]
_Some = Callable[[pl.Series | str | None], pl.Series]


def _of_numbers(column: Column, values: pl.Series, decimal: str, made: _Made, some: _Some) -> Iterator[Corrupted]:
    plain = values.str.strip_chars()
    numbers = (plain.str.replace(decimal, ".", literal=True) if decimal != "." else plain).cast(
        pl.Float64, strict=False
    )
    low, high = _float(numbers.min()), _float(numbers.max())
    strange = numbers.null_count() > values.null_count() or not numbers.drop_nulls().is_finite().all()
    if strange or low == high:  # a value that never changes speaks for no bounds
        return
    span = max(high - low, abs(high), 1.0)
    whole = column.logical_type == "integer"

    def text(found: pl.Series) -> pl.Series:
        written = found.round(0).cast(pl.Int64, strict=False).cast(pl.String) if whole else found.cast(pl.String)
        return written.str.replace(".", decimal, literal=True) if decimal != "." else written

    ceiling, floor = _ceiling(high + span / 2, whole), 0 if low >= 0 else _floor(low - span / 2, whole)
    at_most = Rule(f"logicalTypeOptions: {{maximum: {ceiling}}}", _changed(column.name, maximum=ceiling))
    at_least = Rule(f"logicalTypeOptions: {{minimum: {floor}}}", _changed(column.name, minimum=floor))
    rows = values.len()
    if low > 0:
        yield made("sign", "every tenth value has lost its sign", some(text(-numbers)), at_least)
    if _names_things(column, values):  # a number that grows with every new thing has no bound above
        return
    yield made(
        "too large", "every tenth value is far above the others", some(text(_all(high + 10 * span, rows))), at_most
    )
    yield made(
        "too small", "every tenth value is far below the others", some(text(_all(low - 10 * span, rows))), at_least
    )
    if high > 0:
        yield made("unit", "all values are a thousand times as large", text(numbers * 1_000), at_most)


def _names_things(column: Column, values: pl.Series) -> bool:
    """True for a key's column: all different, and whole."""
    keyed = column.unique or column.primary_key_position > 0
    different = values.n_unique() == values.len() >= UNIQUE_ROWS_MIN and column.logical_type == "integer"
    return keyed or different


def _of_dates(column: Column, values: pl.Series, made: _Made, some: _Some) -> Iterator[Corrupted]:
    """Only dates as ISO writes them, of which the year can be changed in the text."""
    years = values.str.extract(r"^(\d{4})-\d{2}-\d{2}", 1).cast(pl.Int64, strict=False)
    if column.format or years.null_count() > values.null_count():
        return
    low, high = int(_float(years.min())), int(_float(years.max()))
    rest = values.str.slice(4)

    def moved(by: int) -> pl.Series:
        return (years + by).cast(pl.String).str.zfill(4) + rest.str.replace("^-02-29", "-02-28")

    last, first = date(min(high + 1, 9_999), 12, 31), date(max(low, 1), 1, 1)
    ending = "" if column.logical_type == "date" else "T00:00:00Z"
    at_most = Rule(
        f"logicalTypeOptions: {{maximum: '{last}{ending}'}}", _changed(column.name, maximum=f"{last}{ending}")
    )
    at_least = Rule(
        f"logicalTypeOptions: {{minimum: '{first}{ending}'}}", _changed(column.name, minimum=f"{first}{ending}")
    )
    if high + _FAR_YEARS <= date.max.year:
        yield made("far future", f"every tenth date is {_FAR_YEARS} years later", some(moved(_FAR_YEARS)), at_most)
    if low > _FAR_YEARS:
        yield made("far past", f"every tenth date is {_FAR_YEARS} years earlier", some(moved(-_FAR_YEARS)), at_least)


def _of_texts(column: Column, values: pl.Series, made: _Made, some: _Some) -> Iterator[Corrupted]:
    present = values.drop_nulls()
    lengths = present.str.len_chars()
    shortest, longest = int(_float(lengths.min())), int(_float(lengths.max()))
    few = present.n_unique() <= CATEGORIES_MAX and present.n_unique() * 5 <= present.len()
    names = tuple(sorted(present.unique().to_list()))
    few = few and not hides_values(column, names)  # the suggestion would list them
    listed = ", ".join(f"{{value: {_quoted(name)}}}" for name in names)
    of_these = Rule(f"enum: [{listed}]", _changed(column.name, enum=names))
    form = column.format if column.format in TEXT_FORMATS else _format_of(present)
    shaped = "" if form else _shaped(present)
    formed, trimmed = (_pattern(column, each) for each in (shaped, r"^\S(.*\S)?$"))
    best = of_these if few else formed if shaped else None
    if few:
        yield made("unknown category", "every tenth value is one that was never seen", some("unheard-of"), of_these)
    if shaped:
        yield made(
            "format", "every tenth value has digits for letters and letters for digits", some(_crossed(values)), best
        )
    if form:
        said = TEXT_FORMATS[form].said
        named = Rule(f"logicalTypeOptions: {{format: {form}}}", _changed(column.name, format=form))
        # A format that the column has and that is not checked (password) is not replaced.
        yield made(
            "other format",
            f"every tenth value is not {said}",
            some(values + " ?"),
            named if not column.format else None,
        )
    if shortest >= 2:
        at_least = Rule(f"logicalTypeOptions: {{minLength: {shortest}}}", _changed(column.name, min_length=shortest))
        half = values.str.slice(0, shortest // 2)
        yield made("truncated", "every tenth value is cut off", some(half), best or at_least)
    at_most = 2 * max(longest, 1)
    bound = Rule(f"logicalTypeOptions: {{maxLength: {at_most}}}", _changed(column.name, max_length=at_most))
    yield made(
        "overlong", "every tenth value is more than twice as long as any", some(_long(values, at_most)), best or bound
    )
    if shortest and bool((present == present.str.strip_chars()).all()):
        yield made("padded", "every tenth value has spaces around it", some(" " + values + " "), best or trimmed)


def _format_of(present: pl.Series) -> str:
    """The format that all values have; "" for none, or for one that any word has (host names, base64)."""
    for name in ("uuid", "ipv4", "ipv6", "email", "uri"):
        if all(fits(value, name) for value in present):
            return name
    return ""


def _pattern(column: Column, pattern: str) -> Rule | None:
    """The rule; none where the column has a pattern, which another in its place might loosen."""
    if column.pattern:
        return None
    return Rule(f"logicalTypeOptions: {{pattern: {_quoted(pattern)}}}", _changed(column.name, pattern=pattern))


def _quoted(text: str) -> str:
    """As YAML reads it back."""
    return "'" + text.replace("'", "''") + "'"


def _long(values: pl.Series, than: int) -> pl.Series:
    return values + "x" * (than + 1)


def _crossed(values: pl.Series) -> pl.Series:
    """Digits become letters and letters digits."""
    marked = values.str.replace_all(r"\d", "\x00").str.replace_all(r"\p{L}", "7")
    return marked.str.replace_all("\x00", "q")


def _shaped(present: pl.Series) -> str:
    """A pattern that all values have, where there are few shapes; "" otherwise."""
    shapes = (
        present.str.escape_regex()
        .str.replace_all(r"\d", "\x00")
        .str.replace_all(r"[A-Z]", "\x01")
        .str.replace_all(r"[a-z]", "\x02")
    )
    found = shapes.unique().sort().to_list()
    if (
        len(found) > SHAPES_MAX
        or present.n_unique() <= SHAPES_MAX
        or not any(re.search("[\x00-\x02]", each) for each in found)
    ):
        return ""
    written = [each.replace("\x00", r"\d").replace("\x01", "[A-Z]").replace("\x02", "[a-z]") for each in found]
    return "^(" + "|".join(_RUN.sub(_counted, each) for each in written) + ")$"


def _counted(run: re.Match[str]) -> str:
    count = len(run[0]) // len(run[1])
    return run[1] if count == 1 else f"{run[1]}{{{count}}}"


# ── several columns, and the table ─────────────────────────────────────────────────────────────────────────────────


def _swapped(frame: pl.DataFrame, first: Column, second: Column) -> Iterator[Corrupted]:
    """Two neighbours of one type in each other's place, as when a delivery's columns come in another order."""
    one, other = frame.get_column(first.name), frame.get_column(second.name)
    if first.logical_type != second.logical_type or one.equals(other, null_equal=True):
        return
    swapped = frame.with_columns(other.alias(first.name), one.alias(second.name))
    yield Corrupted(
        f"{first.name}, {second.name}", "swapped", "the two columns are in each other's place", swapped, None
    )


def _of_table(frame: pl.DataFrame, contract: Contract) -> Iterator[Corrupted]:
    rows = frame.height
    again = pl.concat([frame, frame.filter(_chosen(rows))])
    keys = [
        column.name
        for column in contract.columns
        if column.name in frame.columns and frame.get_column(column.name).n_unique() == rows >= UNIQUE_ROWS_MIN
    ]
    unique = Rule(f"{keys[0]}: unique: true", _changed(keys[0], unique=True)) if keys else None
    yield Corrupted("", "rows twice", "every tenth row is delivered twice", again, unique)
    enough = max(1, rows * 4 // 5)
    counted = Rule(f"quality: rowCount, mustBeGreaterOrEqualTo: {enough}", _with_rows(enough))
    yield Corrupted(
        "", "half of the rows", "the second half of the delivery is missing", frame.head(rows // 2), counted
    )
    some = Rule("quality: rowCount, mustBeGreaterOrEqualTo: 1", _with_rows(1))
    yield Corrupted("", "no rows", "the delivery has a header and no rows", frame.head(0), some)


def _with_rows(count: int) -> Amend:
    return lambda contract: replace(contract, row_counts=(*contract.row_counts, RowCountRule(minimum=count)))


def _changed(name: str, **values: Any) -> Amend:
    """The contract with one column's rules changed."""

    def amend(contract: Contract) -> Contract:
        columns = (replace(each, **values) if each.name == name else each for each in contract.columns)
        return replace(contract, columns=tuple(columns))

    return amend


def _chosen(rows: int) -> pl.Series:
    """Every tenth row, or the one in the middle."""
    at = pl.Series(range(rows), dtype=pl.Int64)
    return at == rows // 2 if rows < STEP else at % STEP == STEP // 2


def _all(number: float, rows: int) -> pl.Series:
    return pl.Series([number] * rows, dtype=pl.Float64)


def _float(found: object) -> float:
    return float(found) if isinstance(found, int | float) else 0.0


def _ceiling(number: float, whole: bool) -> Bound:
    """A round number above: of two digits that count."""
    unit = 10 ** max(math.floor(math.log10(abs(number) or 1)) - 1, 0 if whole else -6)
    found = math.ceil(number / unit) * unit
    return int(found) if whole or float(found).is_integer() else round(found, 9)


def _floor(number: float, whole: bool) -> Bound:
    found = _ceiling(-number, whole)
    return -found if isinstance(found, int | float) else found
