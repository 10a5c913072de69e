"""A message as words, without what is invisible, quoted, or addressed to the reader instead of telling of a failure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

CHARACTERS_MAX = 600
_READ_MAX = CHARACTERS_MAX * 4

_NAMES_OF_CLASSES = re.compile(
    r"(?i)\b(?:permission_denied|authentication_failure|network_timeout|timeout_exceeded|rate_limiting"
    r"|resource_exhaustion|memory_leak|disk_space_full|schema_mismatch|data_corruption|missing_dependency"
    r"|configuration_error)\b"
)
_DIRECTIVE = re.compile(
    r"(?i)\b(?:new instructions?\b|(?:ignore|disregard|forget|override)\b.{0,60}"
    r"\b(?:instruction|previous|above|prior|evidence|rule|earlier|rest)"
    r"|(?:classify|label|categori[sz]e|diagnose|treat|mark|report|consider|file)\b.{0,40}\b(?:as|this|it)\b"
    r"|(?:failure|error|incident)[ _-]?class\b|(?:real|true|correct|actual)\s+(?:class|cause|label|diagnosis|answer)\b"
    r"|you\s+(?:are|must|should|will)\b|(?:please|now)\s+(?:approve|apply|run|execute|set)\b"
    r"|confidence\s*(?:is|of|[=:])|(?:approve|reject|undo)\s+(?:the\s+)?remed"
    r"|^\s*(?:system|assistant|user|human|ai|note to (?:the )?(?:classifier|model|system|reader))\s*[:>\]]"
    r"|</?(?:system|instruction|assistant|user|prompt)s?>|\[/?inst\]|begin (?:system|prompt)"
    r"|end of (?:log|message|prompt|error))"
)
_CLAUSE = re.compile(r"(?<=[.!?;|])\s+|\s*\n\s*|\s+(?:--+|—|–|\|)\s+|(?<=\]) (?=\[)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION_LINE = re.compile(
    r"^(?:[A-Za-z_][\w.$]*\.)?[A-Za-z_]\w*(?:Error|Exception|Timeout|Violation|Failure|Warning)?\b:?"
)

_MASKS = (
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}://\S+"), " url "),
    (re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), " id "),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), " time "),
    (re.compile(r"\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b"), " time "),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), " host "),
    (re.compile(r"(?i)(?<![\w/])(?:[a-z]:)?(?:[\\/][\w.@$~+*%-]+){2,}[\\/]?"), " path "),
    (re.compile(r"(?i)\b(?:0x[0-9a-f]+|(?=[a-f]*\d)[0-9a-f]{8,})\b"), " id "),
    (re.compile(r"'[^'\n]{0,200}'|\"[^\"\n]{0,200}\"|`[^`\n]{0,200}`|«[^»\n]{0,200}»"), " "),
)
_WORD = re.compile(r"[a-z]+")
_APOSTROPHE = re.compile(r"(?i)\b(can|could|does|do|did|is|was|has|had|would|should|wo|are|were|have)n?['’]t\b")
_STOP_WORDS = """
a an the of to in on at by for from with and or is was are were be been it its this that as has have had error errors
exception failed failure java lang org com net io path url host time id num please see more detail details info line
if then when while you your we our i they will would
"""
_STOP = frozenset(_STOP_WORDS.split())
# A key or a value in quotes, or another bracket; what else stands in braces (a type's fields, a block) is text.
_JSON_OPENS = re.compile(r"\{(?=\[|\s*[\"'{}])|\[(?=\s*[\"{])")
_SENTENCE = re.compile(r"'… [^'\n]{1,300} …'")  # as ``masking.excerpt`` leaves them
_WORDS_BESIDE_MIN = 3  # words that tell of a failure, so that JSON beside them is only somebody's data
_STEMS_REMEMBERED_MAX = 4_096
_REMEMBERED_MAX = 64  # one message is read several times over, from its beginning
_SHOWN_MAX = 10_000  # characters that are remembered; all of Unicode would take 88 MB


class _Shown(dict[int, str | None]):
    """Each character as it is shown: itself, a space, or nothing; of the first that are met it is remembered."""

    def __missing__(self, number: int) -> str | None:
        character = chr(number)
        category = unicodedata.category(character)
        shown: str | None = character
        if category in ("Cf", "Mn", "Co", "Cs", "Cn"):
            shown = None
        elif category in ("Cc", "Zl", "Zp", "Zs") and character != "\n":
            shown = " "
        if len(self) < _SHOWN_MAX:
            self[number] = shown
        return shown


_SHOWN = _Shown()


def visible(text: str) -> str:
    """The text in plain characters: compatibility forms folded, what cannot be seen taken out, bounded.

    An ellipsis stays one sign, for it marks what was cut out (``masking.excerpt``); three dots would end a clause.
    """
    parts = text[:_READ_MAX].split("…")
    return "…".join(unicodedata.normalize("NFKC", part) for part in parts).translate(_SHOWN)


def clauses(message: str) -> list[str]:
    """What the message tells, clause by clause, in the order of weight: the exception of a traceback comes first.

    JSON inside a message, and clauses that address the reader, are somebody's words about the failure and left out.
    """
    text = _without_json(visible(message)[:CHARACTERS_MAX])
    found = [clause.strip() for clause in _CLAUSE.split(text)]
    kept = [_NAMES_OF_CLASSES.sub(" ", _telling(clause)) for clause in found]
    kept = [clause for clause in kept if any(character.isalnum() for character in clause)]
    return _traceback_turned(kept, text)


def _telling(clause: str) -> str:
    """The clause up to where it begins to address the reader."""
    directive = _DIRECTIVE.search(clause)
    return clause[: directive.start()] if directive else clause


def _without_json(text: str) -> str:
    """The text without bracketed JSON that stands beside words, but for the sentences that are quoted in it.

    Many a library tells its whole failure in such a sentence. Where JSON is all that a line begins with it stays.
    Beside, not among: what is appended in a line of its own does not take away what stood before it.
    """
    if not _JSON_OPENS.search(text):
        return text
    parts = list(_parts(text))
    shown: list[str] = []
    before = 0
    for number, (is_json, part) in enumerate(parts):
        if not is_json:
            shown.append(part)
            before += _count(part)
            continue
        beside = parts[number + 1][1].partition("\n")[0] if number + 1 < len(parts) else ""
        alone = before + _count(beside) < _WORDS_BESIDE_MIN
        shown.append(part if alone else " ".join(_SENTENCE.findall(part)) or " ")
    return "".join(shown)


def _parts(text: str) -> Iterator[tuple[bool, str]]:
    """Pieces of the text in order, each with whether it is bracketed JSON."""
    openings = {match.start() for match in _JSON_OPENS.finditer(text)}
    depth = start = 0
    for index, character in enumerate(text):
        if index in openings or (depth and character in "{["):
            if not depth and index > start:
                yield False, text[start:index]
            start = start if depth else index
            depth += 1
        elif depth and character in "}]":
            depth -= 1
            if not depth:
                yield True, text[start : index + 1]
                start = index + 1
    if start < len(text):
        yield depth > 0, text[start:]


def _count(text: str) -> int:
    return len(_WORD.findall(text.casefold()))


def _traceback_turned(found: list[str], text: str) -> list[str]:
    """In a traceback the first exception line is the root; the frames say nothing of the cause."""
    if _TRACEBACK not in text:
        return found
    lines = [line for line in text.split("\n") if line.strip()]
    start = next((index for index, line in enumerate(lines) if _TRACEBACK in line), 0)
    for line in lines[start + 1 :]:
        if not line.startswith((" ", "\t")) and _EXCEPTION_LINE.match(line) and _TRACEBACK not in line:
            head = [part.strip() for part in _CLAUSE.split(_telling(line)) if part.strip()]
            return head + [clause for clause in found if clause not in head and not clause.startswith('File "')]
    return found


def words(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order; numbers, ids, paths, hosts and times are masked."""
    return list(_words(text))


@lru_cache(maxsize=_REMEMBERED_MAX)
def _words(text: str) -> tuple[str, ...]:
    text = _APOSTROPHE.sub(r"\1 not", text)
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    spread = _CAMEL.sub(" ", text).casefold()
    return tuple(stem(word) for word in _WORD.findall(spread) if word not in _STOP and len(word) > 1)


@lru_cache(maxsize=_STEMS_REMEMBERED_MAX)
def stem(word: str) -> str:
    """The word without its commonest English endings, so that "exceeded" and "exceeds" meet."""
    for ending, least in (("ation", 7), ("ing", 6), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4)):
        if word.endswith(ending) and len(word) >= least and not word.endswith(("ss", "us", "is")):
            word = word[: -len(ending)] + ("y" if ending == "ies" else "")
            break
    return word[:-1] if word.endswith("e") and len(word) > 4 else word
