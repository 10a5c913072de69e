"""The faults that a delivery can have, and what is right for the cells that each of them touches."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from typing import TYPE_CHECKING

from tests.simulation.project import ORPHAN

if TYPE_CHECKING:
    from tests.simulation.project import Row, _Draft

MILES = 1.609344


def plant(draft: _Draft, fault: str) -> None:
    """Spoil a draft; one that has no such column or row any more stays as it is."""
    _PLANTS[fault](draft)


def _some(draft: _Draft, share: float) -> list[Row]:
    chance = draft.chance
    return [row for row in draft.rows if chance.random() < share] or draft.rows[:1]


# ── columns and form ──


def _renamed(name: str, other: str) -> Callable[[_Draft], None]:
    def plant_it(draft: _Draft) -> None:
        if name in draft.header:
            draft.header[draft.header.index(name)] = other
            draft.names[other] = name

    return plant_it


def _missing(draft: _Draft) -> None:
    """An optional column is not there: nothing can be right in its place."""
    if "distance" in draft.header and draft.pipeline == "orders":
        draft.header.remove("distance")
        for row in draft.rows:
            row.right["distance"] = ()


def _missing_with_decoy(draft: _Draft) -> None:
    """The column is gone, and another one with numbers is there that is not it."""
    if "distance" not in draft.header:
        return
    _missing(draft)
    draft.header.append("discount")
    for row in draft.rows:
        row.cells["discount"] = f"{draft.chance.random() * 30:.2f}"


def _new_column(draft: _Draft) -> None:
    if "channel" in draft.header:
        return
    draft.header.insert(draft.chance.randrange(len(draft.header) + 1), "channel")
    for row in draft.rows:
        row.cells["channel"] = draft.chance.choice(["web", "app"])
        row.right["channel"] = (row.cells["channel"], None)


def _reordered(draft: _Draft) -> None:
    draft.chance.shuffle(draft.header)


def _delimiter(draft: _Draft) -> None:
    draft.delimiter = draft.chance.choice(";\t|")


def _encoding(draft: _Draft) -> None:
    draft.encoding = draft.chance.choice(["cp1252", "utf-16", "utf-8-sig"])
    for row in draft.rows[:: max(len(draft.rows) // 5, 1)]:
        if "\n" not in row.cells["note"]:
            row.cells["note"] += " Größe"
            row.right["note"] = (row.cells["note"],)
            row.note = row.cells["note"]


def _decimal_comma(draft: _Draft) -> None:
    draft.delimiter, draft.decimal = ";", ","


def _headless(draft: _Draft) -> None:
    draft.headless = True


def _preamble(draft: _Draft) -> None:
    draft.preamble = draft.chance.randrange(1, 4)


# ── cells ──


def _day_texts(pattern: str, share: float, *, ambiguous: bool = False) -> Callable[[_Draft], None]:
    def plant_it(draft: _Draft) -> None:
        for row in _some(draft, share):
            if draft.pipeline != "orders" or not row.right["day"]:
                continue
            day = row.right["day"][0]
            if ambiguous:
                day = date(day.year, day.month, min(day.day, 12))
                row.right["day"] = (day,)
            row.cells["day"] = day.strftime(pattern)

    return plant_it


def _typo(column: str) -> Callable[[_Draft], None]:
    def plant_it(draft: _Draft) -> None:
        for row in _some(draft, 0.1):
            if column in row.cells:
                row.cells[column] = _misspelled(row.cells[column], draft.chance)

    return plant_it


def _misspelled(text: str, chance: random.Random) -> str:
    if len(text) < 4:
        return text
    place = chance.randrange(1, len(text) - 1)
    kind = chance.randrange(3)
    if kind == 0:
        return text[:place] + text[place + 1 :]
    if kind == 1:
        return text[:place] + text[place] + text[place:]
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _dressed(draft: _Draft) -> None:
    for row in _some(draft, 0.2):
        if "status" in row.cells:
            row.cells["status"] = draft.chance.choice([f" {row.cells['status']} ", row.cells["status"].upper()])


def _unknown(draft: _Draft) -> None:
    for row in _some(draft, 0.05):
        row.cells["status"], row.right["status"] = f"zqxlost{draft.chance.randrange(99)}", ()


def _null(column: str) -> Callable[[_Draft], None]:
    def plant_it(draft: _Draft) -> None:
        for row in _some(draft, 0.05):
            row.cells[column], row.right[column] = "", ()

    return plant_it


def _negative(draft: _Draft) -> None:
    for row in _some(draft, 0.05):
        if _plain(row) is not None:
            row.cells["distance"], row.right["distance"] = "-" + row.cells["distance"], ()


def _plain(row: Row) -> float | None:
    """The row's distance while it is still written as it should be."""
    value = (row.right.get("distance") or (None,))[0]
    return value if value is not None and row.cells["distance"] == f"{value:.2f}" else None


def _thousands(draft: _Draft) -> None:
    for row in _some(draft, 0.3):
        value = _plain(row)
        if value is not None:
            row.cells["distance"] = f"{value:,.2f}"


def _three_decimals(draft: _Draft) -> None:
    """Decimal commas with three digits after them: nobody can say whether 1,234 is one or a thousand."""
    draft.delimiter, draft.decimal = ";", ","
    for row in draft.rows:
        if _plain(row) is not None:
            value = round(draft.chance.random() * 90 + 1, 3)
            row.cells["distance"], row.right["distance"] = f"{value:.3f}", (value,)


def _miles(draft: _Draft) -> None:
    """Another unit; what nobody noticed is loaded as it was delivered."""
    for row in draft.rows:
        value = _plain(row)
        if value is not None:
            miles = round(value / MILES, 4)
            row.cells["distance"], row.right["distance"] = f"{miles:.4f}", (value, miles)


def _orphan(draft: _Draft) -> None:
    for row in _some(draft, 0.05):
        row.cells["customer"], row.right["customer"] = str(ORPHAN), (ORPHAN,)


# ── rows ──


def _twice(draft: _Draft) -> None:
    for _ in range(draft.chance.randrange(1, 4)):
        draft.rows.append(deepcopy(draft.chance.choice(draft.rows)))


def _conflict(draft: _Draft) -> None:
    """Two rows with one key that differ: neither may be loaded by itself."""
    for row in draft.chance.sample(draft.rows, min(2, len(draft.rows))):
        other = deepcopy(row)
        other.cells["note"] += "b"
        other.right["note"] = (other.cells["note"],)
        other.note = other.cells["note"]
        row.loadable = other.loadable = False
        draft.rows.append(other)


def _ragged(draft: _Draft) -> None:
    for index in draft.chance.sample(range(len(draft.rows)), min(3, len(draft.rows))):
        row = draft.rows[index]
        cells = [row.cells[name] for name in ("id", "status", "note") if name in row.cells]
        if draft.chance.random() < 0.5:
            cells += ["more"] * (len(draft.header) + 1 - len(cells))
        if any(mark in text for text in cells for mark in '\n",;|\t'):
            continue
        draft.lines[index] = draft.delimiter.join(cells)
        row.loadable = False


def _open_quote(draft: _Draft) -> None:
    index = draft.chance.randrange(len(draft.rows))
    row = draft.rows[index]
    row.loadable = False
    draft.lines[index] = draft.delimiter.join(
        [row.cells["id"], '"' + "x", *("1" for _ in range(len(draft.header) - 2))]
    )


def _tail(kind: str) -> Callable[[_Draft], None]:
    def plant_it(draft: _Draft) -> None:
        draft.tail = kind

    return plant_it


_PLANTS: dict[str, Callable[[_Draft], None]] = {
    "synonym": _renamed("day", "order_date"),
    "similar_name": _renamed("status", "order_status"),
    "missing": _missing,
    "decoy": _missing_with_decoy,
    "new_column": _new_column,
    "reordered": _reordered,
    "delimiter": _delimiter,
    "encoding": _encoding,
    "decimal_comma": _decimal_comma,
    "headless": _headless,
    "preamble": _preamble,
    "dates_dmy": _day_texts("%d/%m/%Y", 1.0),
    "dates_mdy": _day_texts("%m/%d/%Y", 0.5),
    "dates_dots": _day_texts("%d.%m.%Y", 0.3),
    "dates_ambiguous": _day_texts("%d/%m/%Y", 1.0, ambiguous=True),
    "typo": _typo("status"),
    "typo_country": _typo("country"),
    "dressed": _dressed,
    "unknown": _unknown,
    "null": _null("status"),
    "null_key": _null("id"),
    "negative": _negative,
    "thousands": _thousands,
    "three_decimals": _three_decimals,
    "miles": _miles,
    "orphan": _orphan,
    "twice": _twice,
    "conflict": _conflict,
    "ragged": _ragged,
    "open_quote": _open_quote,
    "nul": _tail("nul"),
    "truncated": _tail("truncated"),
    "gzip": _tail("gzip"),
    "empty": _tail("empty"),
    "header_only": _tail("header_only"),
}
FAULTS = tuple(name for name in _PLANTS if name != "typo_country")
# Other notations of numbers, which the remedy parse_numbers reads, have no plain twin.
NOT_PLAIN = ("decimal_comma", "thousands", "three_decimals")
FAULTS_PLAIN = tuple(name for name in FAULTS if name not in NOT_PLAIN)
