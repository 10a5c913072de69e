"""How likely a remedy helps: a Beta posterior of (cause, remedy, pipeline), fed by verified outcomes alone."""

from __future__ import annotations

from typing import NamedTuple

from services.remediate.records import POSTERIORS
from shared.ports.state import State
from shared.ports.state_store import Where

OUTCOMES_MAX = 200  # the newest ones; what was seen long before says less, and a busy feed has thousands


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


class Kind(NamedTuple):
    """What outcomes are kept of: a remedy for a cause in a pipeline."""

    cause: str
    remedy: str
    pipeline: str


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
    """The newest verified outcomes of a remedy for a cause in a pipeline."""
    mine = [Where("key", "==", key_of(cause, remedy, pipeline))]
    found = state.query(POSTERIORS, mine, order_by="at", descending=True, limit=OUTCOMES_MAX)
    return [Outcome(bool(each.data["success"]), int(each.data["at"])) for each in found]


def recent_outcomes(state: State, remedy: str, pipeline: str, since: int, most: int) -> list[Outcome]:
    """The last ``most`` verified outcomes of a remedy in a pipeline since then, oldest first."""
    mine = [Where("breaker", "==", breaker_key(remedy, pipeline)), Where("at", ">=", since)]
    found = state.query(POSTERIORS, mine, order_by="at", descending=True, limit=most)
    return sorted(
        (Outcome(bool(each.data["success"]), int(each.data["at"])) for each in found), key=lambda each: each.at
    )


def feed(state: State, remedy_id: str, kind: Kind, outcome: Outcome) -> bool:
    """Keep an outcome; each remedy counts once, however often it is told (False: it had been)."""
    if state.get(POSTERIORS, remedy_id) is not None:
        return False
    state.put(
        POSTERIORS,
        remedy_id,
        {
            "key": key_of(*kind),
            "breaker": breaker_key(kind.remedy, kind.pipeline),
            **kind._asdict(),
            **outcome._asdict(),
        },
    )
    return True
