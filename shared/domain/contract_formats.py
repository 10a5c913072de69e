"""Date and time formats: the standard's letters (``yyyy-MM-dd``) as strptime patterns (``%Y-%m-%d``); ISO bounds."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, time
from functools import lru_cache

# DateTimeFormatter letters that have one strptime meaning. Longest first.
_LETTERS = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%m",
    "dd": "%d",
    "d": "%d",
    "DDD": "%j",
    "EEEE": "%A",
    "EEE": "%a",
    "HH": "%H",
    "H": "%H",
    "hh": "%I",
    "h": "%I",
    "mm": "%M",
    "m": "%M",
    "ss": "%S",
    "s": "%S",
    "a": "%p",
    "XXX": "%:z",
    "XX": "%z",
    "X": "%#z",
    "xxx": "%:z",
    "xx": "%z",
    "Z": "%z",
    "ZZZZZ": "%:z",
}
_ISO_NAMES = ("date", "datetime", "time", "timestamp", "iso", "iso8601", "rfc3339")
_FRACTIONS = {"SSS": "3f", "SSSSSS": "6f", "SSSSSSSSS": "9f"}
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([^A-Za-z']+)", re.ASCII)
_STRPTIME = re.compile(r"%(?:[YymdHIMSpjBbAaTFDRez%s]|\.?[369]?f|:z|#z|-[mdHIMSe])")


def exchanged_order(pattern: str) -> str:
    """The strptime pattern with day and month exchanged; "" when it has not both as numbers, once.

    >>> exchanged_order("%d/%m/%Y %H:%M")
    '%m/%d/%Y %H:%M'
    """
    if pattern.count("%d") != 1 or pattern.count("%m") != 1:
        return ""
    return pattern.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")


@lru_cache(maxsize=256)
def strptime_pattern(text: str) -> str:
    """The strptime (chrono, as Polars takes it) pattern of a declared format; raises ``ValueError`` when there is none.

    A format that contains ``%`` is taken as strptime already.
    """
    if "[" in text or "]" in text:
        raise ValueError(f'"{text}" has parts that may be absent | write one format, without brackets')
    if "%" in text:
        if "%" in _STRPTIME.sub("", text):
            raise ValueError(f'"{text}" is no strptime pattern | write it like %Y-%m-%d %H:%M:%S')
        return text
    parts: list[str] = []
    position = 0
    for token in _TOKEN.finditer(text):
        if token.start() != position:
            break
        position = token.end()
        parts.append(_translated(token, text, parts))
    if position != len(text) or not any("%" in part for part in parts):
        raise ValueError(f'"{text}" is no date or time format | write it like yyyy-MM-dd HH:mm:ss')
    return "".join(parts)


def _translated(token: re.Match[str], text: str, before: list[str]) -> str:
    quoted, letter, literal = token.groups()
    if literal is not None:
        return literal
    if quoted is not None:
        return quoted.replace("''", "'") or "'"
    letters = token.group(0)
    if letter == "T" and len(letters) == 1:
        return "T"  # often left unquoted
    if letters in _FRACTIONS:
        if before and before[-1].endswith("."):
            before[-1] = before[-1][:-1]
            return f"%.{_FRACTIONS[letters]}"
        return f"%{_FRACTIONS[letters]}"
    if letters not in _LETTERS:
        raise ValueError(f'"{letters}" in "{text}" is no part of a date or time | such as yyyy-MM-dd HH:mm:ss')
    return _LETTERS[letters]


def is_iso(text: str) -> bool:
    """True for a format that is a name of ISO 8601, which is read without a format."""
    return re.sub(r"[-_ :]", "", text).casefold() in _ISO_NAMES


def iso_moment(text: str, logical_type: str, layout: str = "") -> str:
    """A bound or an allowed value of a date, timestamp or time column as ISO 8601.

    It may be written in the column's own format (``layout``, a strptime pattern), and that of a date as a timestamp at
    midnight. ``ValueError`` when it is none.
    """
    readers = {"date": date.fromisoformat, "timestamp": datetime.fromisoformat, "time": time.fromisoformat}
    examples = {"date": "2020-12-31", "timestamp": "2020-12-31T23:59:59Z", "time": "23:59:59"}
    if not re.match(r"[0-9]+\.", text):  # Python takes 08.30 for a time of ISO 8601, which knows no point there
        with suppress(ValueError):
            readers[logical_type](text)
            return text
    with suppress(ValueError):
        # Without a zone it stays so: the column says how it is read.
        moment = datetime.strptime(text, layout) if layout else datetime.fromisoformat(text)  # noqa: DTZ007
        if logical_type == "timestamp":
            return moment.isoformat()
        if logical_type == "time":
            return moment.timetz().isoformat()
        if moment.time() == time(0):
            return moment.date().isoformat()
    raise ValueError(f'"{text}" is no {logical_type} | write it like {examples[logical_type]}')
