"""Trains the text model with scikit-learn and exports what it learned; nothing here is imported in service."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.model_selection import GroupKFold
from sklearn.svm import LinearSVC

from mend.learning import catalogue, pieces
from mend.learning.calibration import FOLDS, LABELS, Calibration, Unseen, calibrate, chances_of, scaling_of
from mend.learning.live import KNOWN_CHARACTERS_MAX
from mend.learning.pieces import Pieces
from services.classify import spoken, text_features, wording
from shared.domain.errors import DefinitionError
from shared.domain.incident import FailureClass
from shared.domain.masking import excerpt, one_line

CORPUS = Path(__file__).resolve().parents[2] / "benchmarks" / "corpus" / "corpus.jsonl"  # in a checkout
_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_PENALTY = 2.0
_KNOWN_WEIGHT = 0.7  # an entry of the catalogue was written, not seen
_BARE_WEIGHT = 0.5  # a message without its exception's name
_BARE_WORDS_MIN = 3
_TYPE = re.compile(r"\A\(?(?:[A-Za-z_][\w$]*\.)*[A-Z]\w*(?:Error|Exception|Warning|Failure|Timeout|[a-z])\)?: ?(?=\S)")
_OWN_CHANCE_MIN, _OTHER_CHANCE_MAX = 0.05, 0.85
_CONTAINING_MIN = 2
_LABELS_MIN = 2
_SEED = 7


class Example(NamedTuple):
    """A text as the service sees it, its class, and the case it belongs to: texts of one case are never parted."""

    text: str
    label: int
    case: str
    system: str
    votes: _Floats  # of the codes that are written in it
    weight: float = 1.0


class Space(NamedTuple):
    """The features that examples are told in, and how rare each is."""

    names: tuple[str, ...]
    rarity: _Floats


class Fitted(NamedTuple):
    """Coefficients before calibration."""

    space: Space
    weights: _Floats  # features × labels
    vote_weights: _Floats
    bias: _Floats
    known: sparse.csr_matrix  # examples × features, of length one
    known_labels: _Ints
    machine: LinearSVC  # as scikit-learn knows it
    pieces: Pieces


def examples_of(corpus: Path = CORPUS) -> list[Example]:
    """The corpus's messages through the service's own preparation, and the catalogue of known failures.

    ``DefinitionError`` names a line that is no message with a label, and a file that is none or says too little.
    """
    found = [_example_in(corpus, number, line) for number, line in enumerate(_lines(corpus), 1) if line.strip()]
    if len({each.case for each in found}) < FOLDS or len({each.label for each in found}) < _LABELS_MIN:
        what = f"{len(found)} messages are too few: {FOLDS} cases and {_LABELS_MIN} classes at least"
        raise DefinitionError(str(corpus), 0, 0, what, "each line: message, label, system, case")
    for number, entry in enumerate(catalogue.entries()):
        given = example(entry.text, entry.failure_class, f"known {number}", entry.system)
        found.append(given._replace(weight=_KNOWN_WEIGHT))
    return found


def _lines(corpus: Path) -> list[str]:
    try:
        return corpus.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(str(corpus), 0, 0, f"cannot be read: {error}", "JSON lines in UTF-8") from error


def _example_in(corpus: Path, number: int, line: str) -> Example:
    """A message that names no case is one by itself."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise _refused(corpus, number, "is no JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("message"), str) or not isinstance(row.get("label"), str):
        raise _refused(corpus, number, "is no object with message and label, both text")
    label = "unknown" if row["label"] == "other" else row["label"]
    if label not in set(LABELS):
        told = f"{one_line(label, 60)} is no failure class"
        raise DefinitionError(str(corpus), number, 0, told, f"labels: {', '.join(LABELS)}")
    return example(row["message"], label, str(row.get("case") or f"line {number}"), str(row.get("system") or ""))


def _refused(corpus: Path, number: int, what: str) -> DefinitionError:
    hint = 'JSON lines: {"message": "…", "label": "disk_space_full", "system": "…", "case": "…"}'
    return DefinitionError(str(corpus), number, 0, what, hint)


def example(message: str, label: str, case: str, system: str) -> Example:
    """A message as the service sees it: masked, cleaned, without the frames of its stack."""
    text = spoken.prepared(excerpt(message))
    return Example(text, LABELS.index(FailureClass(label)), case, system, _votes(text))


def _votes(text: str) -> _Floats:
    votes = np.zeros(len(LABELS))
    for failure_class, weight in spoken.votes(text, "").items():
        votes[LABELS.index(failure_class)] = weight
    return votes


def space_of(counts: Sequence[Counter[str]]) -> Space:
    """The features that occur in at least two examples."""
    containing = Counter(name for each in counts for name in each)
    kept = sorted(name for name, number in containing.items() if number >= _CONTAINING_MIN)
    rarity = [np.log((1 + len(counts)) / (1 + containing[name])) + 1 for name in kept]
    return Space(tuple(kept), np.array(rarity))


def told_in(space: Space, counts: Sequence[Counter[str]]) -> sparse.csr_matrix:
    """The examples as rows of length one."""
    places = {name: place for place, name in enumerate(space.names)}
    starts, columns, values = [0], [], []
    for each in counts:
        pairs = sorted((places[name], number) for name, number in each.items() if name in places)
        columns += [place for place, _ in pairs]
        values += [(np.log(number) + 1) * space.rarity[place] for place, number in pairs]
        starts.append(len(columns))
    rows = sparse.csr_matrix((values, columns, starts), shape=(len(counts), len(space.names)))
    return _of_length_one(rows)


def _of_length_one(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    lengths = np.sqrt(rows.multiply(rows).sum(axis=1)).A1
    lengths[lengths == 0] = 1
    scaled: sparse.csr_matrix = sparse.diags(1 / lengths).dot(rows).tocsr()
    return scaled


def neighbour_votes(
    rows: sparse.csr_matrix, known: sparse.csr_matrix, labels: _Ints, apart: npt.NDArray[np.bool_] | None = None
) -> _Floats:
    """The greatest likeness to a known failure of each class; ``apart`` marks pairs that must not see each other."""
    likeness = np.asarray((rows @ known.T).todense())
    if apart is not None:
        likeness = np.where(apart, 0.0, likeness)
    votes = np.zeros((likeness.shape[0], len(LABELS)))
    for label in range(len(LABELS)):
        held = likeness[:, labels == label]
        if held.shape[1]:
            votes[:, label] = held.max(axis=1)
    return votes


def fit(examples: Sequence[Example], counts: Sequence[Counter[str]]) -> Fitted:
    """A linear model over words, pairs, the votes of written codes and of the nearest; one over pieces of words."""
    space = space_of(counts)
    rows = told_in(space, counts)
    labels = np.array([each.label for each in examples])
    cases = np.array([each.case for each in examples])
    votes = neighbour_votes(rows, rows, labels, cases[:, None] == cases[None, :])
    given = sparse.hstack([rows, np.array([each.votes for each in examples]), votes]).tocsr()
    counted = np.array([each.weight for each in examples])
    machine = LinearSVC(C=_PENALTY, random_state=_SEED).fit(given, labels, sample_weight=counted)
    size = len(space.names)
    coefficients = (machine.coef_[:, :size].T, machine.coef_[:, size:].T, machine.intercept_)
    return Fitted(
        space,
        *coefficients,
        rows,
        labels,
        machine,
        pieces.fit([each.text for each in examples], labels, counted, _SEED),
    )


def judged(fitted: Fitted, examples: Sequence[Example], counts: Sequence[Counter[str]]) -> Unseen:
    """The fitted model's score of each class for other texts."""
    rows = told_in(fitted.space, counts)
    votes = neighbour_votes(rows, fitted.known, fitted.known_labels)
    heard = np.hstack([np.array([each.votes for each in examples]), votes])
    scores = rows @ fitted.weights + heard @ fitted.vote_weights + fitted.bias
    features = np.diff(rows.indptr)
    known = features / np.maximum([len(each) for each in counts], 1)
    return Unseen(scores, pieces.scores(fitted.pieces, [each.text for each in examples]), heard, known, features)


def unseen(lesson: Lesson, groups: Sequence[str]) -> Unseen:
    """Every example judged by models that saw none of its group (five folds), and only such as are believed."""
    examples, counts = lesson.examples, lesson.counts
    size, count = len(examples), len(LABELS)
    votes, known = np.zeros((size, 2 * count)), np.zeros(size)
    found = Unseen(np.zeros((size, count)), np.zeros((size, count)), votes, known, np.zeros(size, dtype=np.int64))
    folds = GroupKFold(FOLDS, shuffle=True, random_state=_SEED)
    for seen, apart in folds.split(np.zeros(size), groups=np.array(groups)):
        learned = seen[lesson.believed[seen]]
        fitted = fit([examples[at] for at in learned], [counts[at] for at in learned])
        for whole, part in zip(
            found, judged(fitted, [examples[at] for at in apart], [counts[at] for at in apart]), strict=True
        ):
            whole[apart] = part
    return found


def trusted(examples: Sequence[Example], counts: Sequence[Counter[str]]) -> npt.NDArray[np.bool_]:
    """Which examples are believed to be labelled rightly.

    A case may fail with something else than it was meant to. An example is left out when models that saw nothing of
    its case are nearly sure of another class and give its own next to no chance.
    """
    everything = np.ones(len(examples), dtype=bool)
    found = unseen(Lesson(tuple(examples), tuple(counts), everything), [each.case for each in examples])
    labels = np.array([each.label for each in examples])
    chances = chances_of(found, scaling_of(found, labels))
    own = chances[np.arange(len(labels)), labels]
    written = np.array([each.weight < 1 for each in examples])
    kept: npt.NDArray[np.bool_] = written | (own > _OWN_CHANCE_MIN) | (chances.max(axis=1) < _OTHER_CHANCE_MAX)
    return kept


class Lesson(NamedTuple):
    """What is learned from: examples, their features, and which of them are believed."""

    examples: tuple[Example, ...]
    counts: tuple[Counter[str], ...]
    believed: npt.NDArray[np.bool_]


def lesson_of(given: Sequence[Example]) -> Lesson:
    """The examples, and once more without the name of their exception those that begin with one.

    Many a log has the text alone. The shorter form belongs to the case, and is believed as the message is.
    """
    counts = [text_features.counted(each.text) for each in given]
    kept = trusted(given, counts)
    pairs = [(at, bare) for at, each in enumerate(given) if (bare := _bare(each)) is not None]
    shorter = [bare for _, bare in pairs]
    believed = np.concatenate([kept, kept[[at for at, _ in pairs]]]) if pairs else kept
    return Lesson((*given, *shorter), (*counts, *(text_features.counted(each.text) for each in shorter)), believed)


def _bare(each: Example) -> Example | None:
    text = _TYPE.sub("", each.text)
    if each.weight < 1.0 or text == each.text or len(wording.words(text)) < _BARE_WORDS_MIN:
        return None
    return each._replace(text=text, votes=_votes(text), weight=_BARE_WEIGHT)


class Trained(NamedTuple):
    """A model over the examples it was made of, its calibration, and what calibration was made on."""

    fitted: Fitted
    calibration: Calibration
    examples: tuple[Example, ...]
    heard: Unseen
    heard_labels: _Ints


def origin(example: Example) -> str:
    """The system that says it; what any system might say is a case by itself."""
    return example.system.casefold() if example.system not in ("", "any") else f"case {example.case}"


def train(given: Sequence[Example]) -> Trained:
    """The model over all examples that are believed to be labelled rightly.

    How sure it may be is learned from every message, those too that are not believed, for their like comes in as well;
    and from each twice: judged by models that knew others of its system, and by such that did not, for in service both
    come in. Who has but a few systems knows them all, and is judged once.
    """
    lesson = lesson_of(given)
    real = np.array([each.weight == 1.0 for each in lesson.examples])
    messages = [each for each in given if each.weight == 1.0]
    rounds = [unseen(lesson, [each.case for each in lesson.examples])]
    if len({origin(each) for each in messages}) >= FOLDS:
        rounds.append(unseen(lesson, [origin(each) for each in lesson.examples]))
    heard = Unseen(*(np.concatenate([part[real] for part in parts]) for parts in zip(*rounds, strict=True)))
    labels = np.tile(np.array([each.label for each in messages]), len(rounds))
    calibration = calibrate(heard, labels, [each.case for each in messages] * len(rounds))
    return Trained(fitted_to(lesson), calibration, _believed(lesson)[0], heard, labels)


def fitted_to(lesson: Lesson) -> Fitted:
    """The models over all that is believed."""
    return fit(*_believed(lesson))


def _believed(lesson: Lesson) -> tuple[tuple[Example, ...], tuple[Counter[str], ...]]:
    at = np.flatnonzero(lesson.believed).tolist()
    return tuple(lesson.examples[each] for each in at), tuple(lesson.counts[each] for each in at)


def export(trained: Trained, folder: Path) -> str:
    """Write the artifact; its version is a hash of what it holds."""
    fitted, calibration = trained.fitted, trained.calibration
    folder.mkdir(parents=True, exist_ok=True)
    postings = fitted.known.tocsc()
    arrays: dict[str, npt.NDArray[Any]] = {
        "rarity": fitted.space.rarity.astype(np.float32),
        "weights": fitted.weights.astype(np.float16),
        "vote_weights": fitted.vote_weights.astype(np.float32),
        "bias": fitted.bias.astype(np.float32),
        "scale": np.full(len(LABELS), calibration.scaling.scale, dtype=np.float32),
        "piece_scale": np.array(calibration.scaling.piece_scale, dtype=np.float32),
        "shift": calibration.scaling.shift.astype(np.float32),
        "sureness": calibration.sureness.astype(np.float32),
        "starts": postings.indptr.astype(np.int32),
        "documents": postings.indices.astype(np.int32),
        "shares": postings.data.astype(np.float16),
        "document_labels": fitted.known_labels.astype(np.int8),
        **pieces.exported(fitted.pieces),
    }
    told = {
        "labels": [str(label) for label in LABELS],
        "unknown_below": calibration.unknown_below,
        "unknown_confidence": calibration.unknown_confidence,
        "features": list(fitted.space.names),
        "known": [[each.system, " ".join(each.text.split())[:KNOWN_CHARACTERS_MAX]] for each in trained.examples],
    }
    text = json.dumps(told, ensure_ascii=False)
    version = hashlib.sha256(text.encode() + b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()[
        :16
    ]
    np.savez_compressed(folder / "weights.npz", version=np.array(version), **arrays)  # type: ignore[arg-type]
    (folder / "model.json").write_text(json.dumps({"version": version, **told}, ensure_ascii=False), encoding="utf-8")
    return version
