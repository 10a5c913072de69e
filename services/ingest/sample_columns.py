"""What a sample's columns look like: whether the first row names them, whether they write 2,5 for two and a half."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[-+]?(\d+([.,]\d+)*|\.\d+)([eE][-+]?\d+)?\s*%?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2})?")
_COMMA = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+")
_POINT = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)\.\d+")
_THOUSANDS = re.compile(r"[-+]?\d{1,3},\d{3}")
_INTEGER = re.compile(r"[-+]?\d+")


def _kind(cell: str) -> str:
    text = cell.strip()
    if not text:
        return ""
    if _NUMBER.fullmatch(text):
        return "number"
    return "date" if _DATE.fullmatch(text) else "text"


def _column_kind(cells: list[str]) -> str:
    """The kind of at least four fifths of the filled cells, or text."""
    kinds = [kind for kind in map(_kind, cells) if kind]
    for kind in ("number", "date"):
        if kinds and kinds.count(kind) >= 0.8 * len(kinds):
            return kind
    return "text" if kinds else ""


def first_row_is_header(rows: list[list[str]]) -> bool:
    """Whether the first row differs from those below as names differ from values; yes when it cannot be told."""
    if len(rows) < 2:
        return not rows or not any(_kind(cell) in {"number", "date"} for cell in rows[0])
    named = valued = 0
    for position, cell in enumerate(rows[0]):
        below = _column_kind([row[position] for row in rows[1:]])
        if below in {"number", "date"}:
            named += _kind(cell) == "text"
            valued += _kind(cell) == below
    if named or valued:
        return named >= valued
    names = [cell.strip() for cell in rows[0]]
    repeated = any(name and name in {row[position].strip() for row in rows[1:]} for position, name in enumerate(names))
    return not repeated


def decimal_commas(rows: list[list[str]]) -> bool:
    """Whether some column writes its fractions with a comma, and none with a point."""
    found = False
    for cells in zip(*rows[1:], strict=False):
        filled = [cell.strip() for cell in cells if cell.strip()]
        commas = [cell for cell in filled if _COMMA.fullmatch(cell)]
        points = sum(1 for cell in filled if _POINT.fullmatch(cell))
        whole = sum(1 for cell in filled if _INTEGER.fullmatch(cell))
        if points and points + whole >= 0.8 * len(filled):
            return False
        real = [cell for cell in commas if not _THOUSANDS.fullmatch(cell)]
        if real and len(commas) + whole >= 0.8 * len(filled):
            found = True
    return found
