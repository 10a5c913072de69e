"""What a training came to, on messages that the judging models had not seen: figures, and pictures of them."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mend.learning.calibration import LABELS, log_loss
from mend.learning.exam import OURS, Answers, Exam
from shared.domain.incident import ACTING_CONFIDENCE, FailureClass

_BINS: Final = 10
_COMPARED: Final = ("accuracy", "macro_f1", "coverage", "selective_accuracy", "log_loss", "ece")
_UNKNOWN: Final = LABELS.index(FailureClass.UNKNOWN)
_STYLE: Final = (
    "body{font:15px sans-serif;max-width:60em;margin:2em auto}td,th{padding:2px 10px;text-align:right}img{width:100%}"
)


def figures(sat: Exam) -> dict[str, Any]:
    """Ours in full; of the forest and of the other ways of calibrating what compares them."""
    labels = np.array([each.label for each in sat.messages])
    told = {name: _whole(labels, each) for name, each in sat.answers.items()}
    return {
        "messages": len(labels),
        "systems": len({each.system for each in sat.messages}),
        **told[OURS],
        "compared": {name: {figure: each[figure] for figure in _COMPARED} for name, each in told.items()},
    }


def _whole(labels: npt.NDArray[np.int64], answers: Answers) -> dict[str, Any]:
    """Per class precision, recall and F1; the whole; how sure beliefs hold (ten bins); the confusion matrix."""
    said, sure = answers
    right = said == labels
    acted = (said != _UNKNOWN) & (sure >= ACTING_CONFIDENCE)
    per_class = {str(label): _of_class(labels, said, place) for place, label in enumerate(LABELS)}
    confusion = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    np.add.at(confusion, (labels, said), 1)
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    reliability = [
        {"from": number / _BINS, "messages": int(here.sum()), "sure": _mean(sure[here]), "right": _mean(right[here])}
        for number in range(_BINS)
        if (here := bins == number).any()
    ]
    error = sum(each["messages"] / len(labels) * abs(each["sure"] - each["right"]) for each in reliability)
    return {
        "accuracy": _mean(right),
        "macro_f1": round(float(np.mean([each["f1"] for each in per_class.values() if each["messages"]])), 4),
        "coverage": _mean(acted),
        "selective_accuracy": _mean(right[acted]),
        "log_loss": round(log_loss(sure, right), 4),
        "ece": round(float(error), 4),
        "per_class": per_class,
        "reliability": reliability,
        "confusion": {"labels": [str(label) for label in LABELS], "counts": confusion.tolist()},
    }


def _of_class(labels: Any, said: Any, place: int) -> dict[str, float]:
    both = int(((labels == place) & (said == place)).sum())
    true, told = int((labels == place).sum()), int((said == place).sum())
    precision, recall = both / told if told else 0.0, both / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return {
        "messages": true, "precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)
    }  # fmt: skip


def _mean(values: Any) -> float:
    return round(float(np.mean(values)), 4) if len(values) else 0.0


def draw(found: dict[str, Any], folder: Path) -> None:
    """``reliability.png``, ``confusion.png`` and ``report.html``, which shows them and the figures."""
    import matplotlib as mpl

    mpl.use("Agg")
    _reliability(found, folder / "reliability.png")
    _confusion(found, folder / "confusion.png")
    (folder / "report.html").write_text(_page(found), encoding="utf-8")


def _reliability(found: dict[str, Any], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    bins = found["reliability"]
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    axes.plot([each["sure"] for each in bins], [each["right"] for each in bins], "o-", color="#1f5fa8")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="how sure", ylabel="share that was right")
    axes.set_title(f"Reliability: mean distance {found['ece']:.3f}")
    figure.savefig(file, dpi=110)


def _confusion(found: dict[str, Any], file: Path) -> None:
    from matplotlib.figure import Figure

    labels, counts = found["confusion"]["labels"], np.array(found["confusion"]["counts"])
    figure = Figure(figsize=(9, 8), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="said", ylabel="true")
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    figure.savefig(file, dpi=110)


def _page(found: dict[str, Any]) -> str:
    heads = ("messages", "systems", "accuracy", "macro_f1", "coverage", "selective_accuracy", "ece")
    whole = "".join(f"<tr><th>{name}</th><td>{found[name]}</td></tr>" for name in heads)
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>" + "".join(f"<td>{value}</td>" for value in each.values()) + "</tr>"
        for name, each in found["per_class"].items()
    )
    told = (
        "Every message is judged by a model that was made without it, from leaving out what is labelled wrongly to "
        "calibration (five folds, cases kept together). All are judged, those too that training leaves out."
    )
    compared = "".join(
        f"<tr><th>{html.escape(name)}</th>" + "".join(f"<td>{value}</td>" for value in each.values()) + "</tr>"
        for name, each in found["compared"].items()
    )
    compared_heads = "<tr><th></th>" + "".join(f"<th>{name}</th>" for name in _COMPARED) + "</tr>"
    head = f'<meta charset="utf-8"><title>Text model</title><style>{_STYLE}img{{width:100%}}</style>'
    columns = "<tr><th></th><th>messages</th><th>precision</th><th>recall</th><th>F1</th></tr>"
    parts = [
        f'<!doctype html><html lang="en">{head}<h1>Text model</h1><p>{told}</p><table>{whole}</table>',
        "<h2>The same exam: the forest of the literature, and ours calibrated in other ways</h2>",
        f"<table>{compared_heads}{compared}</table>",
        f"<h2>Classes</h2><table>{columns}{rows}</table>",
        '<h2>Reliability</h2><img src="reliability.png" alt="how sure, and how often right">',
        '<h2>Confusion</h2><img src="confusion.png" alt="confusion matrix"></html>',
    ]
    return "\n".join(parts) + "\n"
