"""Bounds error text and hides what may be a cell's value, a secret or personal data in it."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

from shared.domain.personal_values import hidden
from shared.domain.stack_frames import without_frames

MESSAGE_CHARACTERS_MAX = 600
EXCERPTED_CHARACTERS_MAX = 20_000
_REMEMBERED_CHARACTERS_MAX = 160
_REMEMBERED_MAX = 2_048
_LINE_CHARACTERS_MIN = 160  # of a long report's line are always shown

_QUOTED = re.compile(r"'[^'\n]{0,400}'|\"[^\"\n]{0,400}\"|`[^`\n]{0,400}`|«[^»\n]{0,400}»")
# Halves of surrogate pairs, which JSON can hold and UTF-8 cannot, count as control characters.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
# Taken out, not replaced: between letters they would part a word, and hide it from who reads the text.
_OF_NO_WIDTH = re.compile(r"[\u200b-\u200d\u2060\ufeff\u00ad]")
_CONTRACTION = re.compile(r"(?<=n)'(?=t\b)|(?<=[a-z])'(?=s\s)")  # an apostrophe opens no quotation
_WORD = re.compile(r"[A-Za-z]+|\d+")
_STATUS = re.compile(r"[1-5]\d\d")
_SENTENCE_WORDS_MIN = 3
_VALUE = r"(?:(?:bearer|basic|digest|token)\s+)?(?:\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|\S+)"
_SECRET = re.compile(
    r"(?i)\b([\w-]{0,40}(?:token|passw(?:or)?d|pwd|secret|api[-_]?key|access[-_]?key|credential)[\w-]{0,20}['\"]?\s*[=:]\s*"
    r"|(?:bearer|basic|token|password|passwd|pwd|secret|api[-_]?key|authorization|sig|signature)\b['\"]?"
    # What sentences go on with is no secret: format "password" is not checked, Unexpected token (line 3 …, password
    # authentication failed, Signature has expired
    rf"(?:\s*[=:]\s*|\s+(?:is|was)\s+|\s+(?!is not\b|\(line \d|authentication\b|verification\b|has expired\b))){_VALUE}"
)
_URL_USER = re.compile(r"(?<=://)[^/\s]{1,400}@")
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+\b")
_LONG_NUMBER = re.compile(r"(?<![\w.])\d{9,}(?![\w.])")


def clean(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX, *, personal: bool = False) -> str:
    """Text safe to show: no control or invisible characters, secrets hidden, at most ``characters_max`` long.

    Personal data is hidden as well, except for who may see it (``personal``).
    """
    if len(text) <= _REMEMBERED_CHARACTERS_MAX:
        return _cleaned_before(text, characters_max, personal)
    return _cleaned(text, characters_max, personal)


def _cleaned(text: str, characters_max: int, personal: bool) -> str:
    shortened = text[: characters_max * 4]
    shown = _CONTROL.sub(" ", _OF_NO_WIDTH.sub("", shortened))
    shown = _URL_USER.sub("***@", shown)
    shown = _SECRET.sub(_told_secret, shown)
    if not personal:
        shown = hidden(_EMAIL.sub("***@***", shown))
    return shown if len(shown) <= characters_max else shown[: characters_max - 1] + "…"


# Every line of the log names the same pipelines, files and tables again and again.
_cleaned_before = lru_cache(maxsize=_REMEMBERED_MAX)(_cleaned)


def visible(text: str) -> str:
    """Text without characters that a terminal obeys or hides; whole, unlike ``clean``."""
    return _CONTROL.sub(" ", text)


def one_line(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX, *, personal: bool = False) -> str:
    """``clean`` for what must stay on its line, such as a file's name."""
    return clean(text, characters_max, personal=personal).replace("\n", " ").replace("\t", " ")


def mask(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX) -> str:
    """``clean`` plus quoted literals and long numbers replaced, since libraries quote cells in their errors."""
    hidden = _QUOTED.sub("'…'", text[: characters_max * 4])
    return clean(_LONG_NUMBER.sub("…", hidden), characters_max)


def _told_secret(found: re.Match[str]) -> str:
    """A secret masked; what is said of one (password is required) stays."""
    before, value = found.group(1), found.group()[len(found.group(1)) :]
    if before.rstrip().endswith((" is", " was")) and value.strip(".,;:!").lower() in _failure_words():
        return found.group()
    return f"{before}***"


@cache
def _failure_words() -> frozenset[str]:
    return frozenset(Path(__file__).with_name("failure_words.txt").read_text(encoding="utf-8").split())


def _told(quoted: re.Match[str]) -> str:
    """A quoted literal: masked, or, where it is a sentence about a failure, its common words and status alone.

    Many systems quote another system's error. A sentence is told by words of a closed list (``failure_words.txt``), and
    nothing but such words and a status of three digits is shown of it, so that no cell's value can be.
    """
    found = _WORD.findall(_QUOTED.sub(" ", quoted.group()[1:-1]))
    shown = [word for word in found if word.lower() in _failure_words() or _STATUS.fullmatch(word)]
    words = sum(word[0].isalpha() for word in found)
    if len(shown) < _SENTENCE_WORDS_MIN or len(shown) * 2 < words:
        return "'…'"
    return f"'… {' '.join(shown)} …'"


def excerpt(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX) -> str:
    """``mask`` for the report of another system; of a long one the beginning and the end are kept.

    A traceback says last what went wrong; and what stands in quotes may be the very error (``_told``).
    """
    apart = _CONTRACTION.sub("’", text[:EXCERPTED_CHARACTERS_MAX])
    hidden = _LONG_NUMBER.sub("…", _QUOTED.sub(_told, apart))
    masked = clean(hidden, EXCERPTED_CHARACTERS_MAX)  # as a whole: a cut inside quotes would show what they hide
    masked = _lines_cut(masked, characters_max)
    if len(masked) <= characters_max:
        return masked
    head = characters_max * 3 // 10
    tail = masked[-(characters_max - head - 3) :]
    return f"{masked[:head]}\n…\n{tail.partition(chr(10))[2] or tail}"


def _lines_cut(text: str, characters_max: int) -> str:
    """A text that does not fit, without stack frames and empty lines, and its longest lines cut until it fits.

    So that neither a deep stack nor one line, be it a statement that is repeated or what somebody put in, displaces the
    others. It may still be too long; then no line is.
    """
    if len(text) <= characters_max:
        return text
    lines = [line for line in without_frames(text).split("\n") if line.strip()]
    room, left = characters_max, len(lines)
    for length in sorted(map(len, lines)):  # what short lines leave is for the longer ones
        if (length + 1) * left > room:
            break
        room, left = room - length - 1, left - 1
    most = max(room // left - 1 if left else 0, _LINE_CHARACTERS_MIN)
    head = most * 2 // 3
    return "\n".join(line if len(line) <= most else f"{line[:head]}…{line[head + 1 - most :]}" for line in lines)
