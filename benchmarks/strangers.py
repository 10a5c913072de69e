"""How surely the text model may speak of what it has not met: `python -m benchmarks.strangers --json`.

Nested folds over the project's own corpus: whole cases, or whole systems, are kept apart; the model is trained and
calibrated on the rest, as `mend learn` does, once on unseen cases alone and once on unseen systems too. All messages
that were kept apart are judged, those too that training would leave out as labelled wrongly. Five minutes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold

from benchmarks.diagnosis_figures import Verdict, figures
from mend.learning import exam, training
from mend.learning.calibration import LABELS, Calibration, Unseen, calibrate
from mend.learning.training import Example
from services.classify import text_features

SEEDS = (1, 2)
THRESHOLDS = (0.85, 0.87)
_FIGURES = ("accuracy", "macro_f1", "unknown_recall", "ece")


def measure() -> list[dict[str, Any]]:
    """One entry for what was kept apart and what calibration was made on."""
    examples = training.examples_of()
    apart = {"systems": [training.origin(each) for each in examples], "cases": [each.case for each in examples]}
    found: list[dict[str, Any]] = []
    for unseen, groups in apart.items():
        verdicts: dict[str, list[Verdict]] = {"cases": [], "both": []}
        for seed in SEEDS:
            for seen, kept in GroupKFold(5, shuffle=True, random_state=seed).split(groups, groups=groups):
                for made_on, each in _judged([examples[at] for at in seen], [examples[at] for at in kept]):
                    verdicts[made_on] += each
        found += [{"unseen": unseen, "calibrated_on": made_on, **_told(each)} for made_on, each in verdicts.items()]
    return found


def _told(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    whole = figures(verdicts, THRESHOLDS[0])
    acting = {f"from_{bound}": figures(verdicts, bound) for bound in THRESHOLDS}
    names = ("selective_accuracy", "coverage")
    return {
        **{name: whole[name] for name in _FIGURES},
        **{bound: {name: each[name] for name in names} for bound, each in acting.items()},
    }


def _judged(seen: Sequence[Example], kept: Sequence[Example]) -> Iterator[tuple[str, list[Verdict]]]:
    """The real messages among those that were kept apart, judged with either calibration."""
    lesson = training.lesson_of(seen)
    real = np.array([each.weight == 1.0 for each in lesson.examples])
    labels = np.array([each.label for each in lesson.examples])[real]
    cases = [each.case for each in lesson.examples if each.weight == 1.0]
    by_case = training.unseen(lesson, [each.case for each in lesson.examples])
    by_system = training.unseen(lesson, [training.origin(each) for each in lesson.examples])
    both = (np.concatenate([one[real], other[real]]) for one, other in zip(by_case, by_system, strict=True))
    calibrations = {
        "cases": calibrate(Unseen(*(part[real] for part in by_case)), labels, cases),
        "both": calibrate(Unseen(*both), np.tile(labels, 2), cases * 2),
    }
    messages = [each for each in kept if each.weight == 1.0]
    told = [text_features.counted(each.text) for each in messages]
    scores = training.judged(training.fitted_to(lesson), messages, told)
    for made_on, calibration in calibrations.items():
        yield made_on, _said(messages, scores, calibration)


def _said(messages: Sequence[Example], scores: Unseen, calibration: Calibration) -> list[Verdict]:
    said, sure = exam.said_by(calibration, scores)
    return [
        Verdict(LABELS[message.label], LABELS[int(best)], float(surely), 0.0)
        for message, best, surely in zip(messages, said, sure, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strangers", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON array")
    given = parser.parse_args(arguments)
    found = measure()
    if given.json:
        print(json.dumps(found, indent=1))
        return 0
    for each in found:
        print(" ".join(f"{name} {value}" for name, value in each.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
