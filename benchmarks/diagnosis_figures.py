"""What many verdicts come to: accuracy, macro-F1, coverage at the threshold for acting, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

UNKNOWN = "unknown"
_BINS = 10


class Verdict(NamedTuple):
    """What a message truly is, what was said of it, how surely, and how long that took."""

    label: str
    said: str
    confidence: float
    milliseconds: float


def figures(verdicts: Sequence[Verdict], acting: float) -> dict[str, Any]:
    """The figures of ``python -m benchmarks.classify``, in the order it prints them.

    ``acting`` is the confidence from which on the product acts on a class; ``unknown`` is never acted on, so it
    lowers coverage, and selective accuracy is that of the messages that are acted on.
    """
    labels = sorted({each.label for each in verdicts} | {each.said for each in verdicts})
    per_label = {label: _of_label(verdicts, label) for label in labels}
    acted = [each for each in verdicts if each.said != UNKNOWN and each.confidence >= acting]
    strangers = [each for each in verdicts if each.label == UNKNOWN]
    times = sorted(each.milliseconds for each in verdicts)
    return {
        "n": len(verdicts),
        "accuracy": _share(verdicts),
        "macro_f1": round(sum(each["f1"] for each in per_label.values()) / len(per_label), 4),
        "coverage": round(len(acted) / len(verdicts), 4),
        "selective_accuracy": _share(acted),
        "unknown_recall": _share(strangers),
        "ece": calibration_error(verdicts),
        "per_label": per_label,
        "milliseconds_p50": round(times[len(times) // 2], 3),
        "milliseconds_p99": round(times[min(int(len(times) * 0.99), len(times) - 1)], 3),
    }


def calibration_error(verdicts: Sequence[Verdict]) -> float:
    """The mean distance between confidence and accuracy over ten equal bins, weighted by their messages.

    The confidence of ``unknown`` is how surely the message is none of the classes.
    """
    error = 0.0
    for number in range(_BINS):
        here = [each for each in verdicts if min(int(each.confidence * _BINS), _BINS - 1) == number]
        if here:
            right = sum(each.said == each.label for each in here) / len(here)
            error += len(here) / len(verdicts) * abs(right - sum(each.confidence for each in here) / len(here))
    return round(error, 4)


def _share(verdicts: Sequence[Verdict]) -> float:
    return round(sum(each.said == each.label for each in verdicts) / len(verdicts), 4) if verdicts else 0.0


def _of_label(verdicts: Sequence[Verdict], label: str) -> dict[str, Any]:
    right = sum(each.label == label == each.said for each in verdicts)
    said = sum(each.said == label for each in verdicts)
    true = sum(each.label == label for each in verdicts)
    return {
        "n": true,
        "precision": round(right / said, 4) if said else 0.0,
        "recall": round(right / true, 4) if true else 0.0,
        "f1": round(2 * right / (said + true), 4) if said + true else 0.0,
    }
