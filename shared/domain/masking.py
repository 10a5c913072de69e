"""Bounds error text and hides what may be a cell's value in it."""

from __future__ import annotations

import re

MESSAGE_CHARACTERS_MAX = 600

_QUOTED = re.compile(r"'[^'\n]{0,400}'|\"[^\"\n]{0,400}\"|`[^`\n]{0,400}`|«[^»\n]{0,400}»")
# Halves of surrogate pairs, which JSON can hold and UTF-8 cannot, count as control characters.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_VALUE = r"(?:(?:bearer|basic|digest|token)\s+)?(?:\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|\S+)"
_SECRET = re.compile(
    r"(?i)\b([\w-]{0,40}(?:token|passw(?:or)?d|pwd|secret|api[-_]?key|access[-_]?key|credential)[\w-]{0,20}['\"]?\s*[=:]\s*"
    r"|(?:bearer|basic|token|password|passwd|pwd|secret|api[-_]?key|authorization|sig|signature)\b['\"]?"
    rf"(?:\s*[=:]\s*|\s+)){_VALUE}"
)
_URL_USER = re.compile(r"(?<=://)[^/\s]{1,400}@")
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+\b")
_LONG_NUMBER = re.compile(r"(?<![\w.])\d{9,}(?![\w.])")


def clean(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX) -> str:
    """Text safe to show: no control or invisible characters, secrets hidden, at most ``characters_max`` long."""
    shortened = text[: characters_max * 4]
    shown = _CONTROL.sub(" ", shortened)
    shown = _URL_USER.sub("***@", shown)
    shown = _SECRET.sub(lambda match: f"{match.group(1)}***", shown)
    shown = _EMAIL.sub("***@***", shown)
    return shown if len(shown) <= characters_max else shown[: characters_max - 1] + "…"


def visible(text: str) -> str:
    """Text without characters that a terminal obeys or hides; whole, unlike ``clean``."""
    return _CONTROL.sub(" ", text)


def one_line(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX) -> str:
    """``clean`` for what must stay on its line, such as a file's name."""
    return clean(text, characters_max).replace("\n", " ").replace("\t", " ")


def mask(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX) -> str:
    """``clean`` plus quoted literals and long numbers replaced, since libraries quote cells in their errors."""
    hidden = _QUOTED.sub("'…'", text[: characters_max * 4])
    return clean(_LONG_NUMBER.sub("…", hidden), characters_max)
