"""How sure a model may be: from scores on texts that it had not seen to chances, and to how often beliefs hold.

What is served is ``signs_of`` times coefficients, so a way of calibrating is a choice of coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold

from services.classify.text_model import signs_of
from shared.domain.incident import FailureClass

LABELS = tuple(FailureClass)
FOLDS: Final = 5
_SEED: Final = 7
_LOG_ODDS: Final = 1  # place of the likeliest class's log-odds in ``signs_of``
_SURELY: Final = 0.999  # no belief is surer, none less sure than the rest
_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]
Sureness = Callable[[_Floats], _Floats]  # from signs, a row for each belief, to how often such beliefs are right


class Unseen(NamedTuple):
    """What a model makes of texts that it has not seen: scores by class, and the votes that it heard."""

    scores: _Floats
    by_pieces: _Floats
    heard: _Floats
    known: _Floats  # share of each text's features that the model knows
    features: _Ints


class Scaling(NamedTuple):
    """From the scores of both models to chances: how much each counts, and a shift for each class."""

    scale: float
    piece_scale: float
    shift: _Floats


UNSCALED: Final = Scaling(1.0, 1.0, np.zeros(len(LABELS)))


class Calibration(NamedTuple):
    """From scores to chances, and from what is seen of a belief to how often such beliefs are right."""

    scaling: Scaling
    sureness: _Floats
    unknown_below: float  # a class that is less likely than this is not named
    unknown_confidence: float  # how often "unknown" is right there
    way: str = "signs"  # of ``WAYS``


def scaling_of(found: Unseen, labels: _Ints) -> Scaling:
    """By likelihood on texts that neither model had seen."""

    def loss(given: _Floats) -> float:
        scaled = found.scores * np.exp(given[0]) + found.by_pieces * np.exp(given[1]) + given[2:]
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        chances = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(-chances[np.arange(len(labels)), labels].mean() + 0.002 * (given[2:] ** 2).sum())

    best = optimize.minimize(loss, np.zeros(len(LABELS) + 2), method="L-BFGS-B").x
    return Scaling(float(np.exp(best[0])), float(np.exp(best[1])), best[2:])


def chances_of(found: Unseen, scaling: Scaling) -> _Floats:
    """The scores as chances that add up to one."""
    scaled = found.scores * scaling.scale + found.by_pieces * scaling.piece_scale + scaling.shift
    grown = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    chances: _Floats = grown / grown.sum(axis=1, keepdims=True)
    return chances


def signs_by_row(chances: _Floats, found: Unseen) -> _Floats:
    """``signs_of`` each belief."""
    rows = zip(chances, found.heard, found.known, found.features, strict=True)
    return np.array([signs_of(*row) for row in rows])


def by_signs(signs: _Floats, right: _Bools) -> _Floats:
    """Coefficients of all signs; where all beliefs held, or none, the signs tell nothing and their share is told."""
    if right.all() or not right.any():
        share = (right.sum() + 1) / (len(right) + 2)
        coefficients = np.zeros(signs.shape[1])
        coefficients[0] = np.log(share / (1 - share))
        return coefficients
    machine = LogisticRegression(C=1.0, fit_intercept=False, max_iter=1_000).fit(signs, right)
    found: _Floats = machine.coef_[0]
    return found


def by_log_odds(signs: _Floats, right: _Bools) -> _Floats:
    """The likeliest class's chance alone, stretched and shifted (Platt)."""
    coefficients = np.zeros(signs.shape[1])
    coefficients[: _LOG_ODDS + 1] = by_signs(signs[:, : _LOG_ODDS + 1], right)
    return coefficients


def by_chance(signs: _Floats, right: _Bools) -> _Floats:
    """The likeliest class's chance as it is: temperature scaling."""
    del right
    coefficients = np.zeros(signs.shape[1])
    coefficients[_LOG_ODDS] = 1.0
    return coefficients


WAYS: Final[dict[str, Callable[[_Floats, _Bools], _Floats]]] = {
    "temperature": by_chance,  # the simplest first: of equal ones it is taken
    "platt": by_log_odds,
    "signs": by_signs,
}


def sure_of(signs: _Floats, coefficients: _Floats) -> _Floats:
    """How sure each belief is."""
    found: _Floats = 1 / (1 + np.exp(-(signs @ coefficients)))
    return found


def isotonic(signs: _Floats, right: _Bools) -> Sureness:
    """Steps that only rise with the likeliest class's chance; measured beside the others, not served."""
    steps = IsotonicRegression(y_min=1 - _SURELY, y_max=_SURELY, out_of_bounds="clip")
    steps.fit(signs[:, _LOG_ODDS], right)

    def sure(given: _Floats) -> _Floats:
        found: _Floats = steps.predict(given[:, _LOG_ODDS])
        return found

    return sure


def log_loss(sure: _Floats, right: _Bools) -> float:
    """The mean surprise at whether beliefs held: less is better."""
    bounded = np.clip(sure, 1 - _SURELY, _SURELY)
    return float(-np.log(np.where(right, bounded, 1 - bounded)).mean())


def chosen_way(signs: _Floats, right: _Bools, groups: Sequence[str]) -> str:
    """The way with the least log loss on groups that it was not made on (five folds, or fewer)."""
    folds = min(FOLDS, len(set(groups)))
    if folds < 2 or right.all() or not right.any():
        return "signs"  # nothing tells them apart
    sure = {name: np.zeros(len(right)) for name in WAYS}
    for seen, apart in GroupKFold(folds, shuffle=True, random_state=_SEED).split(signs, groups=np.array(groups)):
        for name, way in WAYS.items():
            sure[name][apart] = sure_of(signs[apart], way(signs[seen], right[seen]))
    return min(WAYS, key=lambda name: round(log_loss(sure[name], right), 3))


def calibrate(found: Unseen, labels: _Ints, groups: Sequence[str]) -> Calibration:
    """All of it on examples that the judging models had not seen; ``groups`` keeps together what belongs together."""
    scaling = scaling_of(found, labels)
    chances = chances_of(found, scaling)
    signs = signs_by_row(chances, found)
    right = chances.argmax(axis=1) == labels
    way = chosen_way(signs, right, groups)
    return Calibration(scaling, WAYS[way](signs, right), *open_set(chances, labels), way)


def open_set(chances: _Floats, labels: _Ints) -> tuple[float, float]:
    """The chance below which ``unknown`` is said instead of a class, so that macro-F1 is greatest; and its accuracy."""
    unknown = LABELS.index(FailureClass.UNKNOWN)
    said, top = chances.argmax(axis=1), chances.max(axis=1)
    best = (f1_score(labels, said, average="macro"), 0.0)
    for bound in np.arange(0.15, 0.6, 0.025):
        score = f1_score(labels, np.where(top < bound, unknown, said), average="macro")
        best = max(best, (score, float(bound)))
    below = (top < best[1]) & (said != unknown)
    right = float((labels[below] == unknown).mean()) if below.any() else 0.0
    return round(best[1], 3), round(right, 3)
