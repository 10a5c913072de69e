"""Clues from what a message says: codes that are written out in it, its words, and the known failures it resembles.

The message is read clause by clause, and the first beginning of it that is believed surely names the class: what
somebody appends as a clause of its own does not change what was surely said before. How surely is told by the whole,
for a beginning knows less: what comes after it can make the class doubtful. A beginning that tells of no known failure
names nothing, since many a message says first that something failed, and then why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.classify import codes, exception_types, structured, text_features, text_model, wording
from services.classify.diagnosis import Clue, Evidence
from shared.domain.incident import FailureClass

DECISIVE = 0.85  # a beginning of the message that is believed this surely names the class
_HEAD_WORDS_MIN = 2
_HEADS_MAX = 8  # so many beginnings are read before the whole

_IDENTIFIER = re.compile(r"[A-Za-z_][\w.$]{3,120}")
_EXIT = re.compile(
    r"(?i)\bexit(?:ed|s|ing)?[ _-]?(?:with |by )?(?:[a-z]+[ _-])?(?:code|status|value)?[ :=]*(-?\d{1,3})\b"
)
_PATTERNS: tuple[tuple[str, re.Pattern[str], float], ...] = (
    ("sqlstate", re.compile(r"(?i)\bSQL ?STATE\b[\s\[(:=]*([0-9A-Z]{5})\b"), 0.95),
    ("sqlstate", re.compile(r"\bERROR:? \d{3,5} \(([0-9A-Z]{5})\)"), 0.8),
    ("mysql", re.compile(r"(?i)\bERROR:? (\d{4}) \([0-9A-Z]{5}\)"), 0.95),
    ("mysql", re.compile(r"\((\d{4}), "), 0.85),
    ("oracle", re.compile(r"\bORA-0*(\d{1,5})\b"), 0.95),
    ("sqlserver", re.compile(r"(?i)\bMsg (\d{2,5}), Level\b"), 0.95),
    ("sqlserver", re.compile(r"(?i)\bSQL Server\b.{0,40}?\((\d{2,5})\)"), 0.85),
    ("errno", re.compile(r"(?i)\berr(?:no|code|or)?[ :=\]]*\[?Errno[ :=]*(\d{1,3})\b|\[Errno (\d{1,3})\]"), 0.9),
    ("errno", re.compile(r"(?i)\b(?:errno|errcode|os error)[ :=]*\(?(\d{1,3})\b"), 0.9),
    ("grpc", re.compile(r"\bStatusCode\.([A-Z_]+)|(?i:\bcode) ?[:=] ?([A-Za-z_]{5,30})\b"), 0.9),
    ("http", re.compile(r"(?i)\b(?:HTTP(?:/\d(?:\.\d)?)?(?:Error)?|status(?:[ _-]?code)?)[ :=]*\(?([45]\d\d)\b"), 0.85),
    ("http", re.compile(r"(?i)\b(?:error|code|returned|response|got|answered)[ :=]*\(?([45]\d\d)\b"), 0.8),
    ("http", re.compile(r"^\W*([45]\d\d)\b(?= [A-Za-z])|: ([45]\d\d) (?=[A-Z])"), 0.8),
    ("http", re.compile(r"\b([45]\d\d) (?:Client|Server) Error\b"), 0.9),
    ("exit", _EXIT, 0.9),
    ("exit", re.compile(r"(?i)\breturn(?:ed)?[ _-]?code[ :=]*(-?\d{1,3})\b"), 0.9),
)  # fmt: skip


class Spoken(NamedTuple):
    """What the words make of a failure; ``unknown`` when they tell of none that is known."""

    failure_class: FailureClass
    weight: float
    clues: tuple[Clue, ...]


def prepared(message: str) -> str:
    """The message as the text model reads it: clause by clause, without stack frames and what addresses the reader."""
    return "\n".join(wording.clauses(text_features.told(message)))


def votes(text: str, system: str) -> dict[FailureClass, float]:
    """The failure classes of the codes that are written out in a text."""
    return {clue.failure_class: clue.evidence.weight for clue in _written_codes(text, system)}


_FRAME = re.compile(r"Traceback \(most recent call last\):?|^\s*File \S+.*$", re.MULTILINE)


def read(message: str, system: str) -> Spoken | None:
    """The failure class that a message tells of; None when it says nothing at all."""
    whole = prepared(message)
    if not wording.words(_FRAME.sub("", whole)):
        return None  # a stack trace's frame around nothing
    parts = whole.split("\n")
    heads = 0
    for number in range(1, len(parts)):
        beginning = "\n".join(parts[:number])
        if heads == _HEADS_MAX:
            break
        if len(wording.words(beginning)) < _HEAD_WORDS_MIN:
            continue
        heads += 1
        named, sure = text_model.current().class_of(beginning, votes(beginning, system))
        if sure >= DECISIVE and named != FailureClass.UNKNOWN:
            surely = text_model.current().confidence_in(named, whole, votes(whole, system))
            return _believed(beginning, system)._replace(weight=surely)
    return _believed(whole, system) if len(wording.words(whole)) else None


def _believed(text: str, system: str) -> Spoken:
    written = tuple(_written_codes(text, system))
    belief = text_model.current().believe(text, {clue.failure_class: clue.evidence.weight for clue in written})
    clues = [clue for clue in written if clue.failure_class == belief.failure_class]
    if belief.mattered:
        said = ", ".join(text_features.shown(name) for name, _ in belief.mattered)
        evidence = Evidence("words", "words", said, belief.confidence)
        clues.append(Clue(belief.failure_class, evidence, f"its words are those of such failures ({said})"))
    for near in belief.nearest:
        if near.failure_class == belief.failure_class:
            evidence = Evidence("words", "known failure", f"{near.system}: {near.text}", near.likeness)
            clues.append(Clue(belief.failure_class, evidence, f"the message resembles “{near.text}”"))
    return Spoken(belief.failure_class, belief.confidence, tuple(clues))


def _written_codes(text: str, system: str) -> Iterator[Clue]:
    seen: set[FailureClass] = set()
    for field, value, found in sorted(_found_codes(text, system), key=lambda each: -each[2][1]):
        if found[0] not in seen:
            seen.add(found[0])
            evidence = Evidence("words", field, value[:100], round(found[1], 3))
            yield Clue(found[0], evidence, f"the message names {field} {value[:100]}")


def _found_codes(text: str, system: str) -> list[tuple[str, str, codes.Meaning]]:
    found: list[tuple[str, str, codes.Meaning]] = []
    for field, pattern, trust in _PATTERNS:
        match = pattern.search(text)
        value = next((group for group in match.groups() if group), "") if match else ""
        meaning = _meaning(field, value, system) if value else None
        if meaning is not None:
            found.append((field, value, (meaning[0], meaning[1] * trust)))
    named = _named(_IDENTIFIER.findall(text))
    return found + named


def _meaning(field: str, value: str, system: str) -> codes.Meaning | None:
    if field == "sqlstate":
        return structured.sqlstate_meaning(value.upper())
    if field in ("mysql", "oracle", "sqlserver"):
        return structured.number_meaning(value, field)
    if field == "errno":
        return codes.REASONS.get(codes.ERRNO_NUMBERS.get(int(value), ""))
    if field == "grpc":
        return codes.GRPC.get(structured.squeezed(value))
    if field == "http":
        return codes.HTTP.get(int(value))
    return codes.EXIT_CODES.get(int(value))


def _named(identifiers: Sequence[str]) -> list[tuple[str, str, codes.Meaning]]:
    """Exception types and reasons among the identifiers: words in CamelCase or CAPITALS that the tables know."""
    found: list[tuple[str, str, codes.Meaning]] = []
    for identifier in identifiers:
        last = identifier.rstrip(".").rpartition(".")[2].rpartition("$")[2]
        if last == last.lower() or last == last.capitalize():
            continue
        name = structured.squeezed(last)
        meaning = exception_types.TYPES.get(name)
        if meaning is not None:
            found.append(("exception", last, (meaning[0], meaning[1] * 0.8)))
        elif name in codes.REASONS:
            found.append(("reason", last, (codes.REASONS[name][0], codes.REASONS[name][1] * 0.85)))
    return found[:4]
