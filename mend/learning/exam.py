"""The exam of a training: every message is judged by a model that was made without it, calibration included.

Five folds, cases kept together. What training leaves out as labelled wrongly is judged like the rest. The forest of the
literature and other ways of calibrating sit the same exam.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from mend.learning import calibration, training
from mend.learning.baseline import forest
from mend.learning.calibration import FOLDS, LABELS, WAYS, Calibration, Unseen
from mend.learning.training import Example, Trained
from services.classify import text_features
from shared.domain.incident import FailureClass

_SEED: Final = 7
_JOBS: Final = 2
_UNKNOWN: Final = LABELS.index(FailureClass.UNKNOWN)
OURS: Final = "ours"
FOREST: Final = "forest"


class Answers(NamedTuple):
    """What was said of each message (a place in ``LABELS``), and how surely."""

    said: npt.NDArray[np.int64]
    sure: npt.NDArray[np.float64]


class Exam(NamedTuple):
    """The messages, and the answers of ours, of the forest, and of ours calibrated in each other way."""

    messages: tuple[Example, ...]
    answers: dict[str, Answers]


def sit(examples: Sequence[Example]) -> Exam:
    """Train on four fifths and judge the last, five times; the catalogue of known failures is always there to learn."""
    messages = [each for each in examples if each.weight == 1.0]
    catalogue = [each for each in examples if each.weight < 1.0]
    cases, labels = (np.array([getattr(each, name) for each in messages]) for name in ("case", "label"))
    answers: dict[str, Answers] = {}
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=_SEED)
    for seen, apart in folds.split(cases, labels, groups=cases):
        rest, asked = [*(messages[at] for at in seen), *catalogue], [messages[at] for at in apart]
        found = {**_answered(training.train(rest), asked), FOREST: _by_forest(rest, asked)}
        for name, part in found.items():
            nothing = Answers(np.zeros(len(messages), dtype=np.int64), np.zeros(len(messages)))
            whole = answers.setdefault(name, nothing)
            whole.said[apart], whole.sure[apart] = part
    return Exam(tuple(messages), answers)


def _answered(trained: Trained, asked: Sequence[Example]) -> dict[str, Answers]:
    """What the model says, and how sure it would be by each way of calibrating."""
    scores = training.judged(trained.fitted, asked, [text_features.counted(each.text) for each in asked])
    made = trained.calibration
    found = {OURS: said_by(made, scores)}
    chances = calibration.chances_of(trained.heard, made.scaling)
    signs = calibration.signs_by_row(chances, trained.heard)
    right = chances.argmax(axis=1) == trained.heard_labels
    asked_signs = calibration.signs_by_row(calibration.chances_of(scores, made.scaling), scores)
    for name, way in WAYS.items():
        found[name] = said_by(made, scores, calibration.sure_of(asked_signs, way(signs, right)))
    found["isotonic"] = said_by(made, scores, calibration.isotonic(signs, right)(asked_signs))
    found["none"] = said_by(made, scores, calibration.chances_of(scores, calibration.UNSCALED).max(axis=1))
    return found


def said_by(made: Calibration, scores: Unseen, sure: npt.NDArray[np.float64] | None = None) -> Answers:
    """As the service says it: the likeliest class, or ``unknown`` where that is not likely enough."""
    chances = calibration.chances_of(scores, made.scaling)
    if sure is None:
        sure = calibration.sure_of(calibration.signs_by_row(chances, scores), made.sureness)
    said = chances.argmax(axis=1)
    doubtful = (chances.max(axis=1) < made.unknown_below) & (said != _UNKNOWN)
    return Answers(np.where(doubtful, _UNKNOWN, said), np.where(doubtful, made.unknown_confidence, sure))


def _by_forest(rest: Sequence[Example], asked: Sequence[Example]) -> Answers:
    model = forest(_JOBS).fit([each.text for each in rest], [each.label for each in rest])
    chances = model.predict_proba([each.text for each in asked])
    return Answers(model.classes_[chances.argmax(axis=1)], chances.max(axis=1))
