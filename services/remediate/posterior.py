"""How likely a remedy helps: a Beta posterior of (cause, remedy, pipeline), fed by verified outcomes alone."""

from __future__ import annotations

from typing import NamedTuple

from services.remediate.records import POSTERIORS
from shared.ports.state import State
from shared.ports.state_store import Where

OUTCOMES_MAX = 1_000


class Beta(NamedTuple):
    """A Beta distribution by its two counts."""

    successes: float
    failures: float

    @property
    def mean(self) -> float:
        """The probability of success that it stands for."""
        return self.successes / (self.successes + self.failures)


class Outcome(NamedTuple):
    """One verified end of a remedy."""

    success: bool
    at: int


def posterior(prior: Beta, outcomes: list[Outcome]) -> Beta:
    """The prior, grown by what was seen."""
    good = sum(1 for each in outcomes if each.success)
    return Beta(prior.successes + good, prior.failures + len(outcomes) - good)


def key_of(cause: str, remedy: str, pipeline: str) -> str:
    """Under which key outcomes are kept."""
    return f"{cause}|{remedy}|{pipeline}"


def breaker_key(remedy: str, pipeline: str) -> str:
    """Under which key the circuit breaker looks."""
    return f"{remedy}|{pipeline}"


def outcomes_of(state: State, cause: str, remedy: str, pipeline: str) -> list[Outcome]:
    """The verified outcomes of a remedy for a cause in a pipeline."""
    found = state.query(POSTERIORS, [Where("key", "==", key_of(cause, remedy, pipeline))], limit=OUTCOMES_MAX)
    return [Outcome(bool(each.data["success"]), int(each.data["at"])) for each in found]


def recent_outcomes(state: State, remedy: str, pipeline: str, since: int) -> list[Outcome]:
    """The verified outcomes of a remedy in a pipeline since then, oldest first."""
    found = state.query(POSTERIORS, [Where("breaker", "==", breaker_key(remedy, pipeline))], limit=OUTCOMES_MAX)
    recent = [Outcome(bool(each.data["success"]), int(each.data["at"])) for each in found]
    return sorted((each for each in recent if each.at >= since), key=lambda each: each.at)


def feed(state: State, remedy_id: str, cause: str, remedy: str, pipeline: str, success: bool, at: int) -> None:
    """Keep an outcome; each remedy counts once, however often it is told."""
    if state.get(POSTERIORS, remedy_id) is not None:
        return
    state.put(
        POSTERIORS,
        remedy_id,
        {
            "key": key_of(cause, remedy, pipeline),
            "breaker": breaker_key(remedy, pipeline),
            "cause": cause,
            "remedy": remedy,
            "pipeline": pipeline,
            "success": success,
            "at": at,
        },
    )
