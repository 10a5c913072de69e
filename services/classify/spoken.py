"""Clues from what a message says: codes that are written out in it, and its likeness to the known failures.

The message is read clause by clause, and the first beginning of it that decides is all that counts: what somebody
appends to a message cannot change what it said before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.classify import codes, exception_types, similarity, structured, wording
from services.classify.diagnosis import WORDS_CONFIDENCE_MAX, Clue, Evidence
from shared.domain.incident import FailureClass

DECISIVE = 0.62  # a beginning of the message that weighs this much decides
ENOUGH = 0.36  # the whole message needs this much; below it is said to be unknown
_MARGIN_MIN = 0.02
_LIKENESS_WEIGHT = 0.8
_SUPPORT_SHARE = 0.35  # what further entries of the same class add
_HEAD_WORDS_MIN = 3

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
    """What the words make of a failure."""

    failure_class: FailureClass
    weight: float
    clues: tuple[Clue, ...]


def read(message: str, system: str) -> Spoken | None:
    """The failure class that a message tells of, or None when it resembles nothing known."""
    parts = wording.clauses(message)
    beginning = ""
    for number, clause in enumerate(parts, 1):
        beginning = f"{beginning}\n{clause}" if beginning else clause
        if number < len(parts) and len(wording.words(beginning)) < _HEAD_WORDS_MIN:
            continue
        found = _weigh(beginning, system)
        needed = DECISIVE if number < len(parts) else ENOUGH
        if found is not None and found.weight >= needed:
            return found if found.failure_class != FailureClass.UNKNOWN else None
    return None


def _weigh(text: str, system: str) -> Spoken | None:
    clues = [*_written_codes(text, system), *_likenesses(text, system)]
    doubt: dict[FailureClass, float] = {}
    for clue in clues:
        doubt[clue.failure_class] = doubt.get(clue.failure_class, 1.0) * (1 - clue.evidence.weight)
    ranked = sorted(doubt.items(), key=lambda each: (each[1], each[0]))
    if not ranked:
        return None
    best, rest = ranked[0]
    second = 1 - ranked[1][1] if len(ranked) > 1 else 0.0
    if 1 - rest - second < _MARGIN_MIN:
        return None
    # The class is as sure as its own evidence, less half of what speaks for the next one.
    weight = min((1 - rest) * (1 - second / 2), WORDS_CONFIDENCE_MAX)
    ours = sorted((clue for clue in clues if clue.failure_class == best), key=lambda clue: -clue.evidence.weight)
    return Spoken(best, weight if 1 - rest >= ENOUGH else 0.0, tuple(ours))


def _likenesses(text: str, system: str) -> Iterator[Clue]:
    seen: set[FailureClass] = set()
    for likeness in similarity.nearest(text, system):
        known = likeness.known
        weight = likeness.score * _LIKENESS_WEIGHT
        if known.failure_class in seen:
            continue
        seen.add(known.failure_class)
        evidence = Evidence("words", "known failure", f"{known.system}: {known.text}", round(weight, 3))
        yield Clue(known.failure_class, evidence, f"the message resembles “{known.text}”")


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
