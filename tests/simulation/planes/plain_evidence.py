"""The profile of a finding, as the product tells it: counts and shares over the failing cells."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from services.validate import number_probes, text_probes
from services.validate.baseline import Baseline
from services.validate.column_checks import bounds_of
from services.validate.date_probes import DAYS, FORMATS_SHOWN, is_day_first, is_month_first
from services.validate.findings import Rule
from services.validate.profile import BatchProfile, ColumnProfile, rounded
from services.validate.units import unit_ratio
from shared.domain.contract import Column
from tests.simulation.planes.plain_cells import as_number, beyond, cast_of

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]")
_LETTERS_LOST = re.compile("\ufffd|[^\\W\\d_]\\?+[^\\W\\d_]")
_NUMBERED = re.compile("[^0-9]*([0-9]{2,})")
_SPACES = re.compile(r"\s+")
_FORMATS = {
    name: re.compile(re.sub(r"\\x\{([0-9A-F]{4})\}", lambda found: chr(int(found[1], 16)), pattern))
    for name, pattern in number_probes.FORMATS.items()
}
_AMBIGUOUS = re.compile(r"^[+-]?[0-9]{1,3},[0-9]{3}$")
_OVERFLOW = re.compile(r"^[+-]?[0-9]{19,}$")
_EPOCH = {"seconds": re.compile("^[0-9]{9,10}$"), "milliseconds": re.compile("^[0-9]{12,13}$")}
_PIECES = {"%d": "(?P<d>[0-9]{1,2})", "%m": "(?P<m>[0-9]{1,2})", "%Y": "(?P<Y>[0-9]{4})", "%y": "(?P<y>[0-9]{2})"}


@dataclass(frozen=True, slots=True)
class PlainParent:
    """One foreign key with its parent's keys as the child's values; None = no such table."""

    rule: Rule
    table: str
    parent_columns: tuple[str, ...]
    keys: frozenset[Any] | None
    snapshot: str


@dataclass(slots=True)
class Finding:
    """One rule with the rows that break it: positions, row numbers, staged texts, values."""

    rule: Rule
    column: Column | None
    parent: PlainParent | None
    places: list[int]
    numbers: list[int]
    texts: list[str]  # without nulls; none for rules that have no cells of their own
    values: list[Any]
    misfits: list[str]
    facts: dict[str, Any] = field(default_factory=dict)

    def evidence(self, rows: int, profile: BatchProfile, baseline: Baseline, alternatives: int) -> dict[str, Any]:
        """The finding's whole profile as plain JSON."""
        column = self.column.name if self.column is not None else ""
        failed = len(self.places)
        lengths = [len(text) for text in self.texts]
        found: dict[str, Any] = {
            "check": self.rule.check,
            "column": self.rule.column,
            "columns": list(self.rule.columns),
            "logical_type": self.column.logical_type if self.column is not None else "",
            "severity": self.rule.severity,
            "rows": rows,
            "rows_failed": failed,
            "share_failed": rounded(failed / rows) if rows else 0.0,
            "row_first": min(self.numbers),
            "row_last": max(self.numbers),
            "null_share": rounded(profile.null_share(column)),
            "distinct_failed": len(set(self.texts)),
            "distinct_capped": False,
            "length_min": min(lengths, default=0),
            "length_max": max(lengths, default=0),
            "length_mean": rounded(sum(lengths) / len(lengths)) if lengths else 0.0,
        }
        earlier = baseline.null_share(column) if column else {}
        if earlier:
            found["baseline"] = earlier
        found["hypotheses"] = self._hypotheses(profile, baseline, alternatives)
        return found

    def _hypotheses(self, profile: BatchProfile, baseline: Baseline, alternatives: int) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.facts)
        check, column = self.rule.check, self.column
        if alternatives and check in ("type", "well_formed"):
            found["alternatives_count"] = alternatives
        if check == "well_formed":
            found["kinds"] = dict(sorted(Counter(self.misfits).items()))
        if check == "type" and column is not None and self.texts:
            found |= _type_hypotheses(Counter(self.texts), column, profile)
        if check == "enum" and column is not None and column.logical_type == "string":
            found |= _membership(Counter(self.texts), [str(value) for value in column.enum])
        if self.parent is not None:
            found |= {
                "parent_table": self.parent.table,
                "parent_columns": list(self.parent.parent_columns),
                "parent_missing": self.parent.keys is None,
                "parent_keys": len(self.parent.keys) if self.parent.keys is not None else 0,
            }
        if check == "range" and column is not None:
            found |= self._sides(column)
            units = unit_ratio(profile.document().get(column.name, {}), baseline, column.name)
            if units:
                found["unit_ratio"] = units
        return found

    def _sides(self, column: Column) -> dict[str, float]:
        counts: Counter[str] = Counter()
        for sign, bound in bounds_of(column):
            if bound is not None:
                side = "below_share" if sign.startswith(">") else "above_share"
                counts[side] += sum(value is not None and beyond(value, sign, bound) for value in self.values)
        return {side: rounded(count / len(self.places)) for side, count in counts.items() if count}


def normal_forms(text: str) -> dict[str, str]:
    """A text after each normalisation."""
    clean = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    strip = _SPACES.sub(" ", text.strip())
    any_ = _SPACES.sub(" ", clean.strip()).lower()
    return {"strip": strip, "casefold": text.lower(), "unicode": clean, "any": any_}


def _membership(counts: Counter[str], allowed: list[str]) -> dict[str, Any]:
    """How many failing cells are one allowed value after a normalisation, or near one."""
    found: dict[str, Any] = {}
    total = sum(counts.values())
    forms = [normal_forms(word) for word in allowed]
    for name in ("strip", "casefold", "unicode", "any"):
        single = {form for form, many in Counter(each[name] for each in forms).items() if many == 1}
        hits = sum(count for text, count in counts.items() if normal_forms(text)[name] in single)
        if hits:
            found.setdefault("normalised", {})[name] = rounded(hits / total)
    found |= _bare_and_lost(counts, allowed, total)
    found["allowed"] = len(allowed)
    if counts:
        found["near_match_share"] = rounded(text_probes.near_match_share(counts.items(), allowed))
    return found


def _bare_and_lost(counts: Counter[str], allowed: list[str], total: int) -> dict[str, float]:
    """How many failing cells are an allowed value's number behind another prefix, and how many lost letters."""
    numbers = Counter(match[1] for match in map(_NUMBERED.fullmatch, allowed) if match)
    bare = {text: match[1] for text in counts if (match := _NUMBERED.fullmatch(text))}
    shares = {
        "other_prefix_share": sum(counts[text] for text, digits in bare.items() if numbers[digits] == 1),
        "letters_lost_share": sum(count for text, count in counts.items() if _LETTERS_LOST.search(text)),
    }
    return {name: rounded(count / total) for name, count in shares.items() if count}


def _type_hypotheses(counts: Counter[str], column: Column, profile: BatchProfile) -> dict[str, Any]:
    total = sum(counts.values())
    cast = cast_of(column.logical_type)
    shares = {
        "null_word_share": sum(n for text, n in counts.items() if text.strip().lower() in text_probes.NULL_WORDS),
        "whitespace_share": sum(n for text, n in counts.items() if cast(text.strip()) is not None),
    }
    found: dict[str, Any] = {}
    if column.logical_type in ("integer", "number"):
        formats = {name: sum(n for text, n in counts.items() if form.search(text)) for name, form in _FORMATS.items()}
        told = [{"format": name, "share": rounded(n / total)} for name, n in formats.items() if n]
        if told:
            found["number_formats"] = sorted(told, key=lambda item: (-float(str(item["share"])), str(item["format"])))
        shares["number_ambiguous_share"] = sum(n for text, n in counts.items() if _AMBIGUOUS.search(text))
    if column.logical_type == "integer":
        shares["number_share"] = sum(n for text, n in counts.items() if as_number(text) is not None)
        shares["integer_overflow_share"] = sum(n for text, n in counts.items() if _OVERFLOW.search(text))
    found |= {name: rounded(n / total) for name, n in shares.items() if n}
    return found | _date_forms(counts, profile.columns.get(column.name)) if column.logical_type == "date" else found


@lru_cache(maxsize=64)
def _layout(layout: str) -> re.Pattern[str] | None:
    """A pattern for a layout of numbers; None for one with names or clocks, in which no simulated day is written."""
    if any(mark in layout for mark in ("%b", "%B", "%a", "%H", "%I")):
        return None
    pattern = re.escape(layout).replace(r"\%", "%")
    for mark, piece in _PIECES.items():
        pattern = pattern.replace(mark, piece)
    return re.compile(pattern)


@lru_cache(maxsize=8_192)
def day_in(text: str, layout: str) -> date | None:
    """The day that a text stands for in a layout; None when it is not in it, or in a year that data are not about."""
    form = _layout(layout)
    trimmed = text.strip()
    found = form.fullmatch(trimmed) if form is not None else None
    if found is None or (layout == "%Y%m%d" and re.fullmatch("[0-9]{8}", trimmed) is None):
        return None
    parts = found.groupdict()
    short = int(parts.get("y") or 0)
    year = int(parts["Y"]) if parts.get("Y") else short + (1900 if short >= 69 else 2000)
    try:
        return date(year, int(parts["m"]), int(parts["d"])) if 1800 <= year <= 2200 else None
    except ValueError:
        return None


def _date_forms(counts: Counter[str], passing: ColumnProfile | None) -> dict[str, Any]:
    total = sum(counts.values())
    read = {layout: {text: day for text in counts if (day := day_in(text, layout)) is not None} for layout in DAYS}
    read = {layout: days for layout, days in read.items() if days}
    formats = []
    for layout, days in read.items():
        item: dict[str, Any] = {"format": layout, "share": rounded(sum(counts[text] for text in days) / total)}
        if passing is not None and passing.first is not None:
            first = date.fromisoformat(passing.first) - timedelta(days=1)
            last = date.fromisoformat(passing.last) + timedelta(days=1)
            near = sum(counts[text] for text, day in days.items() if first <= day <= last)
            item["in_range_share"] = rounded(near / total)
        formats.append(item)
    formats.sort(key=lambda item: (-item["share"], -item.get("in_range_share", 0.0), item["format"]))
    found: dict[str, Any] = {"date_formats": formats[:FORMATS_SHOWN]} if formats else {}
    one = {text for layout, days in read.items() if is_day_first(layout) for text in days}
    two = {text for layout, days in read.items() if is_month_first(layout) for text in days}
    both, days_only, months_only = (sum(counts[text] for text in texts) for texts in (one & two, one - two, two - one))
    if both or days_only or months_only:
        found["day_month"] = {
            "both_share": rounded(both / total),
            "day_first_only_share": rounded(days_only / total),
            "month_first_only_share": rounded(months_only / total),
            "verdict": _order(days_only, months_only, formats),
        }
    epoch = {name: sum(counts[text] for text in counts if form.search(text)) for name, form in _EPOCH.items()}
    told = {name: rounded(count / total) for name, count in epoch.items() if count}
    return found | {"epoch_share": told} if told else found


def _order(day_only: int, month_only: int, formats: list[dict[str, Any]]) -> str:
    if day_only and month_only:
        return ""
    if day_only or month_only:
        return "day_first" if day_only else "month_first"
    day = max((item.get("in_range_share", 0.0) for item in formats if is_day_first(item["format"])), default=0.0)
    month = max((item.get("in_range_share", 0.0) for item in formats if is_month_first(item["format"])), default=0.0)
    if day >= 0.95 and month < 0.5 * day:
        return "day_first"
    if month >= 0.95 and day < 0.5 * month:
        return "month_first"
    return "ambiguous"
