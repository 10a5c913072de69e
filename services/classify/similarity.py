"""How much a text resembles the known failures: rare words that both have, in what order, and how alike the rest is."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from services.classify import wording
from shared.domain.checks import check
from shared.domain.incident import FailureClass

_FILE = Path(__file__).with_name("known_failures.txt")
_COMPARED_MAX = 24  # of the entries with the greatest overlap, those whose order of words is compared too
_REMEMBERED_MAX = 256  # messages, by their words: a storm of reports says the same again and again
_MASS_FULL = 8.0  # an entry this rare in words needs no discount
_SYSTEM_BONUS = 0.04


class Known(NamedTuple):
    """An entry of the catalogue."""

    failure_class: FailureClass
    system: str
    text: str
    words: tuple[str, ...]
    mass: float  # sum of the words' rarity


class Likeness(NamedTuple):
    """An entry and how much a text resembles it (0 … 1)."""

    known: Known
    score: float


class Index(NamedTuple):
    """The catalogue by word."""

    entries: tuple[Known, ...]
    rarity: dict[str, float]
    places: dict[str, tuple[int, ...]]


@cache
def index() -> Index:
    """The catalogue, read once per process."""
    rows: list[tuple[FailureClass, str, str, tuple[str, ...]]] = []
    heading: FailureClass | None = None
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            heading = FailureClass(line.strip("[] "))
        elif line and not line.startswith("#"):
            system, bar, text = (part.strip() for part in line.partition("|"))
            check(bool(bar) and heading is not None, f"known_failures.txt: {line!r} is no entry")
            if heading is not None:
                rows.append((heading, system, text, tuple(dict.fromkeys(wording.words(text)))))
    counts: dict[str, int] = defaultdict(int)
    for _, _, _, found in rows:
        for word in found:
            counts[word] += 1
    rarity = {word: math.log((len(rows) + 1) / count) for word, count in counts.items()}
    places: dict[str, list[int]] = defaultdict(list)
    entries: list[Known] = []
    for number, (failure_class, system, text, found) in enumerate(rows):
        for word in found:
            places[word].append(number)
        entries.append(Known(failure_class, system, text, found, sum(rarity[word] for word in found)))
    return Index(tuple(entries), rarity, {word: tuple(numbers) for word, numbers in places.items()})


def nearest(text: str, system: str) -> tuple[Likeness, ...]:
    """The entries most like the text, best first; at most ``_COMPARED_MAX``."""
    return _nearest(tuple(wording.words(text)), system)


@lru_cache(maxsize=_REMEMBERED_MAX)
def _nearest(found: tuple[str, ...], system: str) -> tuple[Likeness, ...]:
    from rapidfuzz import fuzz

    catalogue = index()
    shared: dict[int, float] = defaultdict(float)
    for word in dict.fromkeys(found):
        for number in catalogue.places.get(word, ()):
            shared[number] += catalogue.rarity[word]
    named = wording.words(system)
    spoken = " ".join(found)
    known_mass = sum(catalogue.rarity.get(word, 0.0) for word in dict.fromkeys(found)) or 1.0
    rough = sorted(shared, key=lambda number: (-_rough(catalogue.entries[number], shared[number]), number))
    compared: list[Likeness] = []
    for number in rough[:_COMPARED_MAX]:
        entry = catalogue.entries[number]
        covered = shared[number] / entry.mass
        explained = shared[number] / known_mass  # how much of what the text says the entry accounts for
        order = fuzz.partial_ratio(" ".join(entry.words), spoken) / 100
        score = 0.6 * covered + 0.15 * explained + 0.25 * order
        score *= min(1.0, 0.4 + 0.6 * shared[number] / _MASS_FULL)
        if entry.system != "any" and entry.system in (system.casefold(), *named):
            score += _SYSTEM_BONUS
        compared.append(Likeness(entry, min(score, 1.0)))
    return tuple(sorted(compared, key=lambda likeness: -likeness.score))


def _rough(entry: Known, mass: float) -> float:
    return mass / entry.mass * min(1.0, 0.4 + 0.6 * mass / _MASS_FULL)
