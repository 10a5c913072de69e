"""Formats, bounds and allowed values of one column in its own type; what cannot be read is said, and not checked."""

from __future__ import annotations

import re
from typing import Any, cast

from shared.domain.contract import Bound, LogicalType, Scalar, UnsupportedRule
from shared.domain.contract_formats import is_iso, iso_moment, strptime_pattern
from shared.domain.contract_rules import Place
from shared.domain.definition_file import shape_of
from shared.domain.text_formats import ANY_TEXT, TEXT_FORMATS

_MOMENTS = ("date", "timestamp", "time")
_INTEGER_BITS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "u8": 8, "u16": 16, "u32": 32, "u64": 64}
# Formats of numbers that a column of integers cannot hold here, as in BigQuery: it has 64 bits with the sign.
_TOO_WIDE = ("u64", "i128", "u128")
_BOUNDS = (
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("exclusiveMinimum", "exclusive_minimum"),
    ("exclusiveMaximum", "exclusive_maximum"),
)
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?")


class ColumnValues:
    """What the options of a column's type come to; ``notes`` are what of them is not checked."""

    def __init__(self, kind: LogicalType, options: dict[str, Any], name: str, place: Place) -> None:
        """``kind`` as declared. Dates and times in a format that is not known here stay text."""
        self.kind = kind
        self.notes: list[UnsupportedRule] = []
        self._options, self._name, self._place = options, name, place
        self._layout, self._unread = "", False
        written = options.get("format", "")
        if kind in _MOMENTS and written and not is_iso(written):
            try:
                self._layout = strptime_pattern(written)
            except ValueError as error:
                why = str(error).partition(" | ")[0]
                what = f"the {kind} is not checked, nor are its bounds and values: its cells stay text, since {why}"
                self._note(what, self._at("format"))
                self.kind, self._unread = "string", True
        if "timezone" in options:
            said = f"timezone: {str(options['timezone']).lower()}"
            how = "a time with a zone of its own is read by that, any other by defaultTimezone"
            if kind == "time":
                how = "a time of day that brings its distance from UTC is moved by it"
                how = how if options["timezone"] else "one with a zone of its own is no time"
            self._note(f"{said} is not checked: {how}", self._at("timezone"))

    def _at(self, option: str) -> Place:
        return self._place.below("logicalTypeOptions", option)

    def _note(self, what: str, place: Place) -> None:
        self.notes.append(UnsupportedRule(column=self._name, what=what, line=place.line))

    def allowed(self, values: list[Any], place: Place) -> tuple[Scalar, ...]:
        """Allowed values; null says nothing, since ``required`` decides about nulls. () when they are not checked."""
        if self._unread:
            return ()
        typed: list[Scalar] = []
        for index, value in enumerate(values):
            if value is None:
                continue
            at = place.below(index, "value")
            try:
                typed.append(self._allowed(value, at))
            except ValueError as error:
                self._note(f"its allowed values are not checked: {str(error).partition(' | ')[0]}", at)
                return ()
        return tuple(dict.fromkeys(typed))

    def _allowed(self, value: Any, at: Place) -> Scalar:
        kind = self.kind
        if kind == "string" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if kind in ("string", *_MOMENTS) and not isinstance(value, str):
            raise ValueError(f"one of a {kind} column must be text, found {shape_of(value)}")
        if kind in ("integer", "number"):
            if isinstance(value, str) and _NUMBER.fullmatch(value):
                value = float(value) if "." in value else int(value)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise at.error(f"an allowed value of a {kind} column must be a number, found {shape_of(value)}")
        if kind == "integer" and not float(value).is_integer():
            raise at.error("an allowed value of an integer column must be whole")
        if kind == "boolean" and not isinstance(value, bool):
            raise at.error("an allowed value of a boolean column must be true or false")
        if kind in _MOMENTS:
            return iso_moment(value, kind, self._layout)
        return int(value) if kind == "integer" else float(value) if kind == "number" else cast(Scalar, value)

    def zone(self) -> str:
        """The name of the zone of times that bring none; a fixed distance in hours has one, too."""
        name = self._options.get("defaultTimezone", "")
        if not name:
            return ""
        from zoneinfo import ZoneInfo

        at = self._at("defaultTimezone")
        offset = _OFFSET.fullmatch(name)
        if offset is not None:
            sign, hours, minutes = offset[1], int(offset[2]), int(offset[3] or 0)
            if not minutes and hours <= (14 if sign == "+" else 12):
                # The names of these zones count westwards.
                return f"Etc/GMT{'-' if sign == '+' else '+'}{hours}" if hours else "Etc/UTC"
            self._note(f'defaultTimezone "{name}" is not known here: times without a zone count as UTC', at)
            return ""
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise at.error(f'"{name}" is no time zone', "such as Etc/UTC or Europe/Rome") from None
        return str(name)

    def format(self) -> str:
        """The format as the column keeps it; "" where it says nothing."""
        text, kind, at = self._options.get("format", ""), self.kind, self._at("format")
        if not text or self._unread or (kind in _MOMENTS and is_iso(text)):
            return ""
        if kind == "integer" and text in _TOO_WIDE:
            why = "a number of more than 64 bits with its sign cannot be held, and fails as no integer"
            self._note(f'format "{text}": {why}', at)
        elif kind in ("string", "integer", "number") and not _is_checked(text, kind):
            why = ": every text has it" if kind == "string" and text in ANY_TEXT else ""
            self._note(f'format "{text}" is not checked{why}', at)
        return str(text) if kind in (*_MOMENTS, "string", "integer", "number") else ""

    def bounds(self) -> dict[str, Any]:
        """Lengths and bounds, which must leave something possible."""
        options, at = self._options, self._place.below("logicalTypeOptions")
        if self._unread:
            return {}
        if self.kind == "string":
            shortest, longest = options.get("minLength"), options.get("maxLength")
            if shortest is not None and longest is not None and shortest > longest:
                raise at.below("maxLength").error("maxLength is less than minLength", "exchange them")
            return {"min_length": shortest, "max_length": longest}
        if self.kind in _MOMENTS:
            return {attribute: self._moment(key) for key, attribute in _BOUNDS}
        if self.kind not in ("integer", "number"):
            return {}
        found: dict[str, Bound | None] = {attribute: options.get(key) for key, attribute in _BOUNDS}
        lows = [found[key] for key in ("minimum", "exclusive_minimum") if found[key] is not None]
        highs = [found[key] for key in ("maximum", "exclusive_maximum") if found[key] is not None]
        if any(cast(float, low) > cast(float, high) for low in lows for high in highs):
            raise at.error("the least value is more than the greatest", "exchange them")
        found["multiple_of"] = options.get("multipleOf")
        _narrow_by_bits(found, options.get("format", "") if self.kind == "integer" else "")
        return found

    def _moment(self, key: str) -> str | None:
        given = self._options.get(key)
        if given is None:
            return None
        try:
            return iso_moment(str(given), self.kind, self._layout)
        except ValueError as error:
            self._note(f"{key} is not checked: {str(error).partition(' | ')[0]}", self._at(key))
            return None


def _is_checked(name: str, kind: str) -> bool:
    return (kind == "integer" and name in _INTEGER_BITS) or (kind == "string" and name in TEXT_FORMATS)


def _narrow_by_bits(found: dict[str, Bound | None], width: str) -> None:
    """An integer format such as i16 or u8 is a range; declared bounds narrow it, and never widen it."""
    if width not in _INTEGER_BITS:
        return
    bits, signed = _INTEGER_BITS[width], width.startswith("i")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    least = found["exclusive_minimum"] if found["minimum"] is None else found["minimum"]
    most = found["exclusive_maximum"] if found["maximum"] is None else found["maximum"]
    # The bounds of an integer are numbers; the schema says so.
    if not isinstance(least, (int, float)) or least < low:
        found["minimum"], found["exclusive_minimum"] = low, None
    if not isinstance(most, (int, float)) or most > high:
        found["maximum"], found["exclusive_maximum"] = high, None
