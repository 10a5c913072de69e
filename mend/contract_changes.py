"""What changed between two contracts, and what that means to those who read the table and those who deliver.

- **breaking**: what readers use is gone or is another thing, or every delivery of before would be refused;
- **degrading**: readers are promised less, or deliveries that passed may be set aside now;
- **harmless**: nothing that was true before is untrue, and nothing that passed fails.

Beside that each change says which way the two contracts are no longer compatible: *backward*, when a delivery that
passed before may fail now; *forward*, when one that passes now would have failed before, so that who relied on the old
promises may meet what they exclude.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from shared.domain.contract import Column, Contract, CustomCheck, Inside, QualityRule, SlaProperty
from shared.domain.text_formats import TEXT_FORMATS

Kind = Literal["breaking", "degrading", "harmless"]
KINDS: tuple[Kind, ...] = ("breaking", "degrading", "harmless")
Way = Literal["backward", "forward"]
Mode = Literal["backward", "forward", "full", "none"]
_TIGHTER: Final[tuple[Way, ...]] = ("backward",)
_LOOSER: Final[tuple[Way, ...]] = ("forward",)
_OTHER: Final[tuple[Way, ...]] = ("backward", "forward")


# Types of which every cell passes as another one, in every format: a date as text is no timestamp, and of Parquet's
# numbers only whole ones are text. (Whole numbers beyond 2^53 that no double holds are no numbers; that is not told.)
_STILL_PASS: Final = {("integer", "number"), *((old, "string") for old in ("integer", "boolean", "date"))}
# Inside a cell the kinds are JSON's, and dates and times are texts there.
_STILL_PASS_WITHIN: Final = {("integer", "number"), *((old, "string") for old in ("date", "timestamp", "time"))}


class Change(NamedTuple):
    """One difference; ``column`` "" = the whole table."""

    kind: Kind
    column: str
    what: str
    breaks: tuple[Way, ...] = ()


def incompatible(found: list[Change], mode: Mode) -> list[Change]:
    """The changes that a compatibility mode forbids."""
    ways = {"backward": _TIGHTER, "forward": _LOOSER, "full": _OTHER, "none": ()}[mode]
    return [each for each in found if set(each.breaks) & set(ways)]


def changes(before: Contract, after: Contract) -> list[Change]:
    """Every difference that has a meaning, the gravest first, then in the order of columns."""
    found = [*_columns(before, after), *_table(before, after)]
    return sorted(found, key=lambda each: KINDS.index(each.kind))


def _columns(before: Contract, after: Contract) -> Iterator[Change]:
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    gone = [name for name in old if name not in new]
    renamed = {name: column.name for column in after.columns for name in column.synonyms if name in gone}
    for name in gone:
        if name in renamed:
            told = f"is called {renamed[name]} now: a delivery with the old name is held, and a pipeline mends that"
            yield Change("breaking", name, f"{told} by the synonym", _OTHER)
        else:
            yield Change("breaking", name, "is gone: a delivery that has it is held", _OTHER)
    for name, column in new.items():
        if name in old:
            yield from _column(old[name], column)
        elif name in renamed.values():
            continue
        elif column.nullable:
            what = f"is new ({column.logical_type}), and may be empty: without it a delivery is held, unless it is JSON"
            yield Change("degrading", name, what, _OTHER)
        else:
            what = f"is new ({column.logical_type}) and required: without it a delivery is held"
            yield Change("breaking", name, what, _OTHER)


def _column(old: Column, new: Column, *, within: bool = False) -> Iterator[Change]:
    """``within``: a place inside a cell."""
    name = new.name
    if old.logical_type != new.logical_type:
        kind: Kind = "degrading" if new.logical_type == "number" and old.logical_type == "integer" else "breaking"
        passing = _STILL_PASS_WITHIN if within else _STILL_PASS
        ways = _LOOSER if (old.logical_type, new.logical_type) in passing else _OTHER
        ways = _TIGHTER if (new.logical_type, old.logical_type) in passing else ways
        yield Change(kind, name, f"was {old.logical_type}, is {new.logical_type}", ways)
        if ways != _OTHER:
            yield from _flags(old, new)
            yield from _limits(old, new)
            yield from _words(old, new)
        return
    for what, one, other in (
        ("unit", old.unit, new.unit),
        ("time zone", old.timezone, new.timezone),
    ):
        if one != other:
            yield Change("breaking", name, f"{what} was {one or 'not said'}, is {other or 'not said'}", _OTHER)
    yield from _severity(old, new)
    yield from _format(old, new)
    yield from _flags(old, new)
    yield from _limits(old, new)
    yield from _words(old, new)
    if old.nested != new.nested:
        yield from _inside(old, new)


def _inside(old: Column, new: Column) -> Iterator[Change]:
    """What changed in what is asked of the inside of an object or array, under its path."""
    one, other = old.inside or Inside(), new.inside or Inside()
    yield from _limits(
        Column(name=new.name, min_length=one.size_min, max_length=one.size_max),
        Column(name=new.name, min_length=other.size_min, max_length=other.size_max),
    )
    before, after = _places(one, new.name), _places(other, new.name)
    for path, column in before.items():
        if path not in after:
            yield Change("breaking", path, "is gone", _LOOSER)
        else:
            yield from _column(column, after[path], within=True)
    for path, column in after.items():
        if path not in before and not column.nullable:
            yield Change("breaking", path, f"is new ({column.logical_type}) and required", _TIGHTER)
        elif path not in before:
            # What was there unasked may be of another type.
            yield Change("degrading", path, f"is new ({column.logical_type}), and may be empty", _TIGHTER)
    for what, had, has in (
        ("names that must be there", set(one.required), set(other.required)),
        ("no item may be there twice", {one.unique} - {False}, {other.unique} - {False}),
    ):
        if had - has:
            yield Change("degrading", new.name, f"{what}: no longer as strict", _LOOSER)
        if has - had:
            yield Change("degrading", new.name, f"{what}: rows that passed may be set aside", _TIGHTER)


def _places(inside: Inside, path: str) -> dict[str, Column]:
    found = {f"{path}.{column.name}": column for column in inside.properties}
    others = {f"{path}[]": inside.items, f"{path}.* (key)": inside.keys, f"{path}.*": inside.values}
    found |= {name: column for name, column in others.items() if column is not None}
    return {name: replace(column, name=name) for name, column in found.items()}


def _severity(old: Column, new: Column) -> Iterator[Change]:
    before, after = (dict(column.custom).get("severity") == '"warning"' for column in (old, new))
    if after and not before:
        yield Change("degrading", new.name, "breaking its rules is a warning now: readers are promised less", _LOOSER)
    elif before and not after:
        yield Change("degrading", new.name, "breaking its rules is an error now: rows may be set aside", _TIGHTER)


def _format(old: Column, new: Column) -> Iterator[Change]:
    """Of texts and numbers only formats that are checked matter; those of dates and times say how a cell is read."""
    if old.format == new.format or new.logical_type in ("integer", "number"):  # of integers it is a range, told as one
        return
    one, other = old.format, new.format
    told = f"format was {one or 'not said'}, is {other or 'not said'}"
    if new.logical_type != "string":
        yield Change("degrading", new.name, told, _OTHER)
        return
    had, has = one in TEXT_FORMATS, other in TEXT_FORMATS
    yield Change("degrading" if had or has else "harmless", new.name, told, _way(had, has) if had or has else ())


def _flags(old: Column, new: Column) -> Iterator[Change]:
    for what, one, other in (("required", not old.nullable, not new.nullable), ("unique", old.unique, new.unique)):
        if one and not other:
            yield Change("degrading", new.name, f"is no longer {what}", _LOOSER)
        elif other and not one:
            yield Change("degrading", new.name, f"is {what} now: rows that passed may be set aside", _TIGHTER)
    if set(old.enum) != set(new.enum):
        more, fewer = sorted(map(str, set(new.enum) - set(old.enum))), sorted(map(str, set(old.enum) - set(new.enum)))
        if not old.enum or not new.enum:
            what = "any value is allowed now" if not new.enum else f"only {len(new.enum)} values are allowed now"
            yield Change("degrading", new.name, what, _TIGHTER if new.enum else _LOOSER)
        else:
            told = [f"also allowed: {', '.join(more)}"] * bool(more)
            told += [f"no longer allowed: {', '.join(fewer)}"] * bool(fewer)
            yield Change("degrading", new.name, "; ".join(told), (*_TIGHTER * bool(fewer), *_LOOSER * bool(more)))
    if old.pattern != new.pattern:
        told_pattern = f"pattern was {old.pattern or 'none'}, is {new.pattern or 'none'}"
        yield Change("degrading", new.name, told_pattern, _way(old.pattern, new.pattern))


def _way(old: object, new: object) -> tuple[Way, ...]:
    """Of a rule that came, went, or became another one."""
    if not old:
        return _TIGHTER
    return _OTHER if new else _LOOSER


_LIMITS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("minimum", "least value", lambda one, other: other < one),
    ("exclusive_minimum", "least value (excluded)", lambda one, other: other < one),
    ("maximum", "greatest value", lambda one, other: other > one),
    ("exclusive_maximum", "greatest value (excluded)", lambda one, other: other > one),
    ("min_length", "least length", lambda one, other: other < one),
    ("max_length", "greatest length", lambda one, other: other > one),
)


def _limits(old: Column, new: Column) -> Iterator[Change]:
    for name, what, looser in _LIMITS:
        one, other = getattr(old, name), getattr(new, name)
        if one == other:
            continue
        if other is None or (one is not None and looser(one, other)):
            told, way = "readers are promised less", _LOOSER
        else:
            told, way = "rows that passed may be set aside", _TIGHTER
        yield Change("degrading", new.name, f"{what} was {_said(one)}, is {_said(other)}: {told}", way)
    if old.multiple_of != new.multiple_of:
        step = f"step was {_said(old.multiple_of)}, is {_said(new.multiple_of)}"
        yield Change("degrading", new.name, step, _way(old.multiple_of, new.multiple_of))


def _words(old: Column, new: Column) -> Iterator[Change]:
    names = ("description", "classification", "tags", "synonyms", "allowed_repairs", "null_values", "drift_limits")
    for name in names:
        if getattr(old, name) != getattr(new, name):
            ways = _null_words(old, new) if name == "null_values" else ()
            # A name that is no longer known is one that deliveries may still use.
            ways = _TIGHTER if name == "synonyms" and set(old.synonyms) - set(new.synonyms) else ways
            yield Change("degrading" if ways else "harmless", new.name, f"{name.replace('_', ' ')} changed", ways)


def _null_words(old: Column, new: Column) -> tuple[Way, ...]:
    """A text that is null on one side is a value on the other, which may not be of the type, or must not be null."""
    if old.null_values is None or new.null_values is None:
        return _OTHER  # the pipeline's words, which no contract tells
    fewer, more = set(old.null_values) - set(new.null_values), set(new.null_values) - set(old.null_values)
    backward = fewer or (more and not new.nullable)
    return (*_TIGHTER * bool(backward), *_LOOSER * bool(more or (fewer and not old.nullable)))


def _table(before: Contract, after: Contract) -> Iterator[Change]:
    if before.primary_key != after.primary_key:
        was, now = ", ".join(before.primary_key) or "none", ", ".join(after.primary_key) or "none"
        yield Change("breaking", "", f"the primary key was {was}, is {now}", _OTHER)
    if before.table != after.table:
        yield Change("breaking", "", f"the table was {before.table}, is {after.table}", _LOOSER)
    pairs: tuple[tuple[str, set[Any], set[Any]], ...] = (
        ("combination that must be unique", set(before.unique_groups), set(after.unique_groups)),
        ("reference", set(before.references), set(after.references)),
        ("rule on the number of rows", set(before.row_counts), set(after.row_counts)),
        ("quality rule with a threshold", _thresholds(before), _thresholds(after)),
        ("check of a package", _custom_checks(before), _custom_checks(after)),
        ("dependency between columns", set(before.functional_dependencies), set(after.functional_dependencies)),
    )
    for what, had, has in pairs:
        for _ in had - has:
            yield Change("degrading", "", f"a {what} is gone", _LOOSER)
        for _ in has - had:
            yield Change("degrading", "", f"a {what} is new: rows that passed may be set aside", _TIGHTER)
    for promised in sorted(set(before.sla) - set(after.sla), key=str):
        yield Change("degrading", "", f"the service level {_promise(promised)} is gone, or another one", _LOOSER)
    for promised in sorted(set(after.sla) - set(before.sla), key=str):
        if promised.severity == "error":
            told = f"the service level {_promise(promised)} is new: batches that passed may be held"
            yield Change("degrading", "", told, _TIGHTER)
        else:
            yield Change("harmless", "", f"the service level {_promise(promised)} is new")
    for name in ("drift_limits", "score_weights"):
        if getattr(before, name) != getattr(after, name):
            yield Change("harmless", "", f"{name.replace('_', ' ')} of the table changed")
    if before.version != after.version:
        yield Change("harmless", "", f"version {before.version} → {after.version}")


def _promise(promised: SlaProperty) -> str:
    return f"{promised.property} {promised.value} {promised.unit}".strip()


def _custom_checks(contract: Contract) -> set[CustomCheck]:
    return {replace(rule, raw="", explanation="", dimension="") for rule in contract.custom_checks}


def _thresholds(contract: Contract) -> set[QualityRule]:
    """Without what does not change the verdict."""
    return {replace(rule, raw="", name="", dimension="") for rule in contract.quality}


def _said(value: object) -> str:
    return "none" if value is None else str(value)
