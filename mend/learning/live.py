"""Models on the messages that really came in: whether these change, and whether a challenger would do better.

A challenger runs in shadow: it diagnoses the same reports beside the model in use, and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mend.report import documents
from services.classify import spoken, text_features, text_model
from services.classify.decision import diagnose
from services.classify.records import report_of
from services.classify.text_model import TextModel
from shared.domain.incident import ACTING_CONFIDENCE, Origin
from shared.domain.masking import excerpt, one_line
from shared.events.types import IncidentOpened
from shared.ports.state_store import StateStore

COMPARED_MIN: Final = 30  # messages on each side; fewer say nothing
CHANCE_MAX: Final = 0.01
EFFECT_MIN: Final = 0.2  # greatest distance between the two distributions; less is of no consequence
LISTED_MAX: Final = 50
KNOWN_CHARACTERS_MAX: Final = 200  # of a text that a model learned from, as its artifact keeps it


class Heard(NamedTuple):
    """A failure that was told in words; ``truth`` is the class that a person gave it, "" when nobody has."""

    incident: str
    at: int  # microseconds since 1970
    report: IncidentOpened
    truth: str
    shadow: dict[str, Any] | None = None  # what was kept of a challenger that read the report when it came


class Said(NamedTuple):
    """What a model makes of a failure."""

    failure_class: str
    confidence: float


def heard(state: StateStore) -> list[Heard]:
    """Every failure whose words were read, by the time it was first seen."""
    found = []
    for key, data in documents(state, "incidents"):
        of_data = data.get("origin") in (Origin.VIOLATION, Origin.DATASET)
        if "failure_class" not in data or of_data or not data.get("message"):
            continue
        said = [each for each in data.get("feedback") or [] if isinstance(each, dict)]
        at, truth = int(data.get("first_seen") or 0), _truth(said[-1]) if said else ""
        found.append(Heard(key, at, report_of(data), truth, data.get("shadow")))
    return sorted(found, key=lambda each: (each.at, each.incident))


def _truth(said: dict[str, Any]) -> str:
    if said.get("verdict") == "right":
        return str(said.get("believed_class") or "")
    return str(said.get("failure_class") or "")


# ── does what comes in change? ─────────────────────────────────────────────────────────────────────────────────────


def drift(messages: Sequence[Heard], since: int) -> dict[str, Any]:
    """What came since a moment against what came before it, by two measures of the model in use.

    ``novelty`` is the share of a message's words and pairs of words that the model does not know, ``confidence`` how
    sure it is. Each is compared by the two-sample Kolmogorov-Smirnov test; it has drifted when chance alone would show
    such a distance less than once in a hundred times, and the distance is one of consequence (0.2 of 1).
    """
    from scipy.stats import ks_2samp

    before = [each for each in messages if each.at < since]
    after = [each for each in messages if each.at >= since]
    told: dict[str, Any] = {"before": len(before), "after": len(after), "measures": {}, "drifted": False}
    told["enough"] = min(len(before), len(after)) >= COMPARED_MIN
    if not told["enough"]:
        return told
    for name, measure in (("novelty", _novelty), ("confidence", _confidence)):
        one, other = [measure(each) for each in before], [measure(each) for each in after]
        distance, chance = ks_2samp(one, other)
        moved = bool(chance < CHANCE_MAX and distance >= EFFECT_MIN)
        told["measures"][name] = {
            "before": round(sum(one) / len(one), 4),
            "after": round(sum(other) / len(other), 4),
            "distance": round(float(distance), 4),
            "chance": float(f"{chance:.3g}"),
            "drifted": moved,
        }
        told["drifted"] = told["drifted"] or moved
    return told


def _novelty(message: Heard) -> float:
    names = text_features.counted(spoken.prepared(message.report.message))
    vocabulary = text_model.current().vocabulary
    return sum(name not in vocabulary for name in names) / len(names) if names else 0.0


def _confidence(message: Heard) -> float:
    text, system = spoken.prepared(message.report.message), message.report.system
    return float(text_model.current().believe(text, spoken.votes(text, system)).confidence)


# ── would another model do better? ─────────────────────────────────────────────────────────────────────────────────


def shadow(messages: Sequence[Heard], challenger: TextModel) -> dict[str, Any]:
    """The challenger beside the model in use, on every message; measured where a person has said what it was.

    Where the same two read a message when it came, what they said then is taken; else both read it now. ``promote`` is
    yes when the challenger is right more often where the two differ, by more than chance (McNemar's exact test,
    one-sided, 5 %), and is not surely wrong more often; no when it is worse; else undecided. A message that either of
    them was trained on says nothing of what it will do, unless both read it when it came: it is not measured.
    """
    champion = text_model.current()
    then = [_told_live(each, champion, challenger) for each in messages]
    one = [each[0] if each else _said_now(told, champion) for each, told in zip(then, messages, strict=True)]
    other = [each[1] if each else _said_now(told, challenger) for each, told in zip(then, messages, strict=True)]
    differs = [
        {
            "incident": each.incident,
            "message": one_line(each.report.message, 200),
            "champion": a.failure_class,
            "challenger": b.failure_class,
            "truth": each.truth,
        }
        for each, a, b in zip(messages, one, other, strict=True)
        if a.failure_class != b.failure_class
    ]
    learned = _learned(champion) | _learned(challenger)
    by_heart = [kept is None and _as_known(each) in learned for each, kept in zip(messages, then, strict=True)]
    rows = zip(messages, by_heart, one, other, strict=True)
    known = [(each.truth, a, b) for each, is_known, a, b in rows if each.truth and not is_known]
    gained = sum(b.failure_class == truth != a.failure_class for truth, a, b in known)
    lost = sum(a.failure_class == truth != b.failure_class for truth, a, b in known)
    surely_wrong = [
        sum(said.failure_class != truth and said.confidence >= ACTING_CONFIDENCE for truth, said in pairs)
        for pairs in ([(truth, a) for truth, a, _ in known], [(truth, b) for truth, _, b in known])
    ]
    chance = _chance(gained, lost)
    worse = lost > gained or surely_wrong[1] > surely_wrong[0]
    better = gained > lost and chance < 0.05 and not worse
    return {
        "champion": champion.version,
        "challenger": challenger.version,
        "messages": len(messages),
        "recorded_live": sum(each is not None for each in then),
        "differ": len(differs),
        "differences": differs[:LISTED_MAX],
        "judged_by_people": len(known),
        "learned_from": sum(bool(each.truth) and it for each, it in zip(messages, by_heart, strict=True)),
        "right": {
            "champion": sum(a.failure_class == truth for truth, a, _ in known),
            "challenger": sum(b.failure_class == truth for truth, _, b in known),
        },
        "surely_wrong": {"champion": surely_wrong[0], "challenger": surely_wrong[1]},
        "gained": gained,
        "lost": lost,
        "chance": round(chance, 4),
        "promote": "yes" if better else "no" if worse else "undecided",
    }


def _learned(model: TextModel) -> set[str]:
    return {str(text) for _, text in model.known}


def _as_known(message: Heard) -> str:
    """The message as a model's artifact has those that it learned from."""
    return " ".join(spoken.prepared(excerpt(message.report.message)).split())[:KNOWN_CHARACTERS_MAX]


def _told_live(message: Heard, champion: TextModel, challenger: TextModel) -> tuple[Said, Said] | None:
    kept = message.shadow or {}
    sides = [kept.get(name) or {} for name in ("champion", "challenger")]
    if [each.get("version") for each in sides] != [champion.version, challenger.version]:
        return None
    one, other = (Said(str(each["failure_class"]), float(each["confidence"])) for each in sides)
    return one, other


def _said_now(message: Heard, model: TextModel) -> Said:
    with text_model.using(model):
        found = diagnose(message.report)
    return Said(str(found.failure_class), found.confidence)


def _chance(gained: int, lost: int) -> float:
    """How often a coin would favour the challenger at least so clearly (exact binomial, one-sided)."""
    tossed = gained + lost
    return sum(math.comb(tossed, heads) for heads in range(gained, tossed + 1)) / 2**tossed if tossed else 1.0
