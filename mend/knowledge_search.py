"""Which entries of the knowledge base are near some words or an incident, and because of what.

Near is counted in words: a word that few entries have says more, one in a title more than one in a text. Nothing is
executed or looked up: words are words, whatever they say.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mend.knowledge import Entry
from services.classify.wording import stem, visible
from shared.domain.causes import failure_class_of
from shared.domain.incident import FailureClass

_WORD: Final = re.compile(r"[^\W_]+")
_STOP: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "and",
        "or",
        "is",
        "was",
        "were",
        "be",
        "been",
        "it",
        "its",
        "this",
        "that",
        "as",
        "has",
        "have",
        "had",
        "not",
        "no",
        "are",
        "if",
        "then",
        "when",
        "which",
        "who",
        "what",
        "how",
        "all",
        "any",
        "one",
        "there",
        "they",
        "their",
        "do",
        "does",
        "did",
        "will",
        "would",
        "can",
        "may",
        "must",
    ]
)
_READ_MAX: Final = 20_000
_TITLE_WEIGHT: Final = 3
_SATURATION: Final = 1.2  # a word said ten times says little more than one said thrice
_CAUSE_WEIGHT: Final = 6.0
_FAMILY_WEIGHT: Final = 6.0
_PIPELINE_WEIGHT: Final = 1.0
_NEAR_WORDS_MIN: Final = 4  # without the same cause, so many words must be shared
_SHOWN_WORDS_MAX: Final = 8


class Found(NamedTuple):
    """An entry, how near it is, and because of what."""

    entry: Entry
    score: float
    because: str


class About(NamedTuple):
    """What is looked for: words, and what an incident says of itself."""

    text: str
    cause: str = ""
    pipeline: str = ""
    family: str = ""
    own: str = ""  # the id of the incident itself


def terms(text: str) -> list[tuple[str, str]]:
    """The words of a text in order, each by its stem and as it is written."""
    words = _WORD.findall(visible(text[:_READ_MAX]).replace("_", " ").casefold())
    return [(_root(word), word) for word in words if word not in _STOP and (len(word) > 1 or word.isdigit())]


def _root(word: str) -> str:
    found = stem(word)
    return found[:-1] if len(found) == 4 and found.endswith("e") else found  # so that "dates" and "date" meet


def search(known: Sequence[Entry], words: str, most: int = 20) -> list[Found]:
    """Entries that have some of the words, the nearest first."""
    return [each for each in _ranked(known, About(words)) if each.score > 0][:most]


def near(known: Sequence[Entry], incident: str, document: dict[str, Any], most: int = 5) -> list[Found]:
    """Entries that an incident's reader should know: of the same cause or kind, or with much the same words.

    What Mendline says of it itself is not looked for: it says the same of all failures that it does not know.
    """
    cause = str(document.get("cause", ""))
    cause = cause if failure_class_of(cause) != FailureClass.UNKNOWN else ""
    words = (str(document.get(name) or "") for name in ("check", "column", "system", "reason", "message"))
    about = About(
        " ".join((cause, *words)),
        cause,
        str(document.get("pipeline", "")),
        str(document.get("family", "")),
        incident,
    )
    return [each for each in _ranked(known, about, _NEAR_WORDS_MIN) if each.score > 0][:most]


def _ranked(known: Sequence[Entry], about: About, words_min: int = 1) -> list[Found]:
    counted = [_counted(each) for each in known]
    held = Counter(word for each in counted for word in each)
    asked = dict(reversed(terms(about.text)))
    if about.own:  # the counts and ids in an incident's words say nothing of what it is
        asked = {word: written for word, written in asked.items() if written.isalpha()}
    rarity = {word: math.log(1 + len(known) / held[word]) for word in asked if held[word]}
    found = [
        _compared(entry, counts, rarity, asked, about, words_min)
        for entry, counts in zip(known, counted, strict=True)
        if entry.id != about.own
    ]
    return sorted(found, key=lambda each: (-round(each.score, 6), -each.entry.at, each.entry.id))


def _counted(entry: Entry) -> Counter[str]:
    counts = Counter(word for word, _ in terms(f"{entry.text} {entry.cause} {entry.pipeline} {entry.kind}"))
    for word, _ in terms(entry.title):
        counts[word] += _TITLE_WEIGHT
    return counts


def _compared(
    entry: Entry,
    counts: Counter[str],
    rarity: dict[str, float],
    asked: dict[str, str],
    about: About,
    words_min: int,
) -> Found:
    shared = [word for word in rarity if word in counts]
    score = sum(rarity[word] * counts[word] / (counts[word] + _SATURATION) for word in shared)
    because: list[str] = []
    same_cause = bool(about.cause) and entry.cause == about.cause
    same_family = bool(about.family) and entry.family == about.family
    if same_family:
        because.append("the same check or failure as this one")
    if same_cause:
        because.append(f"the same cause, {about.cause}")
    if not (same_cause or same_family) and len(shared) < words_min:
        return Found(entry, 0.0, "")
    score += _CAUSE_WEIGHT * same_cause + _FAMILY_WEIGHT * same_family
    if score > 0 and about.pipeline and entry.pipeline == about.pipeline:
        score += _PIPELINE_WEIGHT
        because.append("the same pipeline")
    if shared:
        rarest = sorted(shared, key=lambda word: (-rarity[word], word))[:_SHOWN_WORDS_MAX]
        because.append(f"the words {', '.join(asked[word] for word in rarest)}")
    return Found(entry, round(score, 3), "; ".join(because))
