"""The text model in service: exported coefficients, the nearest known failures, and a confidence that is calibrated.

Trained by ``mend learn`` (``mend/learning/``) with scikit-learn; here is numpy alone, so that a cold start does not pay
for a trainer.
The artifact is ``model/weights.npz`` (arrays) and ``model/model.json`` (names, texts of known failures).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from services.classify import text_features, word_pieces
from services.classify.word_pieces import WordPieces
from shared.domain.checks import check
from shared.domain.errors import DefinitionError
from shared.domain.incident import FailureClass
from shared.runtime import settings

FOLDER = Path(__file__).with_name("model")
_Floats = npt.NDArray[np.float32]
_Counted = tuple[tuple[str, int], ...]  # names of features, and how often each
_NEAREST_MAX = 5
_MATTERED_MAX = 6
_REMEMBERED_MAX = 512  # a storm of reports says the same again and again


class Neighbour(NamedTuple):
    """A known failure and how much a text resembles it (0 … 1)."""

    failure_class: FailureClass
    system: str
    text: str
    likeness: float


class Belief(NamedTuple):
    """What the model makes of a text: the class, how surely, what mattered, and what it resembles."""

    failure_class: FailureClass
    confidence: float
    runner_up: FailureClass
    mattered: tuple[tuple[str, float], ...]
    nearest: tuple[Neighbour, ...]


class _Compared(NamedTuple):
    """What the features of a text come to, whatever codes stand in it."""

    ids: npt.NDArray[np.int64]
    shares: _Floats
    scores: _Floats  # by label
    near: _Floats  # by label: how much it resembles the known failure that it resembles most
    nearest: tuple[Neighbour, ...]


class _Read(NamedTuple):
    """What a text comes to: its features and who speaks for which class."""

    compared: _Compared
    heard: _Floats  # as ``vote_weights``
    chances: _Floats  # by label
    known: float  # share of its features that the model knows


@dataclass(frozen=True)
class TextModel:
    """Coefficients by feature, and the known failures by word."""

    labels: tuple[FailureClass, ...]
    vocabulary: Mapping[str, int]
    rarity: _Floats  # inverse document frequency by feature
    weights: _Floats  # features × labels
    vote_weights: _Floats  # votes of codes, then votes of neighbours × labels
    bias: _Floats
    scale: _Floats  # of the scores before they become probabilities, by label
    shift: _Floats
    pieces: WordPieces  # of words, for those that were never seen
    piece_scale: float
    sureness: _Floats  # from what is seen of a belief (``signs_of``) to how often such beliefs were right
    unknown_below: float  # a class that is less likely than this is not named
    unknown_confidence: float
    starts: npt.NDArray[np.int32]  # of each feature's postings
    documents: npt.NDArray[np.int32]  # numbered so that those of a class stand together
    shares: _Floats
    document_labels: npt.NDArray[np.int8]
    known: Sequence[Sequence[str]]  # system, text
    version: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names by number."""
        return tuple(self.vocabulary)

    @cached_property
    def _by_label(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where each class begins among the known failures, and which it is."""
        said, starts = np.unique(self.document_labels, return_index=True)
        return starts, said.astype(np.int64)

    def believe(self, text: str, votes: Mapping[FailureClass, float]) -> Belief:
        """The class that a text tells of; ``votes`` are what the codes written in it say (class → weight)."""
        read = self._read(text, votes)
        named, confidence = self._named(read)
        best, second = (int(place) for place in np.argsort(-read.chances)[:2])
        mattered = self._mattered(read.compared, best, second)
        return Belief(named, confidence, self.labels[second], mattered, read.compared.nearest)

    def class_of(self, text: str, votes: Mapping[FailureClass, float]) -> tuple[FailureClass, float]:
        """Class and confidence of ``believe``, without what they rest on."""
        return self._named(self._read(text, votes))

    def _named(self, read: _Read) -> tuple[FailureClass, float]:
        best = int(read.chances.argmax())
        named, confidence = self.labels[best], self._confidence(read, best)
        if read.chances[best] < self.unknown_below and named != FailureClass.UNKNOWN:
            named, confidence = FailureClass.UNKNOWN, self.unknown_confidence
        return named, round(confidence, 4)

    def confidence_in(self, failure_class: FailureClass, text: str, votes: Mapping[FailureClass, float]) -> float:
        """How surely a text tells of a class, be it the likeliest or not (0 … 1)."""
        return round(self._confidence(self._read(text, votes), self.labels.index(failure_class)), 4)

    def _read(self, text: str, votes: Mapping[FailureClass, float]) -> _Read:
        counted = _counted(text)
        compared = self._remembered(counted)
        codes = np.array([votes.get(label, 0.0) for label in self.labels], dtype=np.float32)
        heard: _Floats = np.concatenate([codes, compared.near])
        scores = compared.scores + heard @ self.vote_weights + self.bias
        chances = self._chances(scores, self.pieces.scores(word_pieces.words_of(text)))
        return _Read(compared, heard, chances, len(compared.ids) / max(len(counted), 1))

    def _confidence(self, read: _Read, place: int) -> float:
        signs = signs_of(read.chances, read.heard, read.known, len(read.compared.ids), place)
        return float(1 / (1 + np.exp(-(signs @ self.sureness))))

    @cached_property
    def _remembered(self) -> Callable[[_Counted], _Compared]:
        return lru_cache(maxsize=_REMEMBERED_MAX)(self._compare)

    def _compare(self, counted: _Counted) -> _Compared:
        ids, shares = self._features(counted)
        likeness = self._likeness(ids, shares)
        near = np.zeros(len(self.labels), dtype=np.float32)
        starts, said = self._by_label
        if len(said):
            near[said] = np.maximum.reduceat(likeness, starts)
        return _Compared(ids, shares, shares @ self.weights[ids], near, self._nearest(likeness))

    def _features(self, counted: _Counted) -> tuple[npt.NDArray[np.int64], _Floats]:
        vocabulary = self.vocabulary
        pairs = [(vocabulary[name], count) for name, count in counted if name in vocabulary]
        if not pairs:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        ids = np.fromiter((pair[0] for pair in pairs), dtype=np.int64, count=len(pairs))
        counts = np.fromiter((pair[1] for pair in pairs), dtype=np.float32, count=len(pairs))
        shares = (np.log(counts) + 1) * self.rarity[ids]
        return ids, shares / (float(np.linalg.norm(shares)) or 1.0)

    def _likeness(self, ids: npt.NDArray[np.int64], shares: _Floats) -> _Floats:
        """How much the text resembles each known failure: the cosine of their features."""
        total = np.zeros(len(self.document_labels), dtype=np.float32)
        if len(ids):
            starts, ends = self.starts[ids], self.starts[ids + 1]
            lengths = ends - starts
            places = np.repeat(starts - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths) + np.arange(
                int(lengths.sum())
            )
            parts = self.shares[places] * np.repeat(shares, lengths)
            total = np.bincount(self.documents[places], parts, minlength=len(total)).astype(np.float32)
        return total

    def _chances(self, scores: _Floats, by_pieces: _Floats) -> _Floats:
        scaled = scores * self.scale + by_pieces * self.piece_scale + self.shift
        grown = np.exp(scaled - scaled.max())
        chances: _Floats = grown / grown.sum()
        return chances

    def _mattered(self, compared: _Compared, best: int, second: int) -> tuple[tuple[str, float], ...]:
        ids, shares = compared.ids, compared.shares
        if not len(ids):
            return ()
        gain = shares * (self.weights[ids, best] - self.weights[ids, second])
        top = np.argsort(-gain)[:_MATTERED_MAX]
        names = self.names
        return tuple((names[int(ids[at])], round(float(gain[at]), 3)) for at in top if gain[at] > 0)

    def _nearest(self, likeness: _Floats) -> tuple[Neighbour, ...]:
        left, ranked = likeness.copy(), []
        for _ in range(min(_NEAREST_MAX, len(likeness))):
            ranked.append(int(left.argmax()))
            left[ranked[-1]] = -1.0
        return tuple(
            Neighbour(
                self.labels[int(self.document_labels[at])],
                self.known[at][0],
                self.known[at][1],
                round(min(float(likeness[at]), 1.0), 3),
            )
            for at in ranked
            if likeness[at] > 0
        )


def signs_of(
    chances: npt.NDArray[Any], heard: npt.NDArray[Any], known: float, features: int, best: int | None = None
) -> npt.NDArray[Any]:
    """What tells a belief that holds from one that does not; it is of the class ``best``, by default the likeliest.

    How likely the class is and the next one; how much codes and neighbours speak for it and for others; how much of
    the text is known at all; and which class it is.
    """
    count = len(chances)
    best = int(chances.argmax()) if best is None else best
    top = min(max(float(chances[best]), 1e-6), 1 - 1e-6)
    others = np.arange(count) != best
    codes, near = heard[:count], heard[count:]
    signs = np.zeros(8 + count)
    signs[:8] = (
        1.0,
        np.log(top / (1 - top)),
        chances[others].max(),
        near[best],
        near[others].max(),
        codes[best] - codes[others].max(),
        known,
        np.log1p(features),
    )
    signs[8 + best] = 1.0
    return signs


@lru_cache(maxsize=_REMEMBERED_MAX)
def _counted(text: str) -> _Counted:
    return tuple(text_features.counted(text).items())


_SHADOW: ContextVar[TextModel | None] = ContextVar("shadow", default=None)


def current() -> TextModel:
    """The model in the folder that ``MEND_TEXT_MODEL`` names, else the one the service came with; read once."""
    return _SHADOW.get() or chosen()


@cache
def chosen() -> TextModel:
    """The model that the settings name."""
    named = settings.load().text_model
    return load(Path(named) if named else FOLDER)


@contextmanager
def using(model: TextModel) -> Iterator[None]:
    """Whatever is diagnosed inside is diagnosed by this model: a challenger beside the one that is chosen."""
    token = _SHADOW.set(model)
    try:
        yield
    finally:
        _SHADOW.reset(token)


def load(folder: Path) -> TextModel:
    """The model in a folder. ``InvariantBroken`` when its parts are not of one training.

    ``DefinitionError`` when there is none, or it is damaged.
    """
    try:
        told: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        hint = "mend learn makes one; without MEND_TEXT_MODEL the one that Mendline comes with is used"
        raise DefinitionError(str(folder), 0, 0, f"holds no text model that can be read: {error}", hint) from error
    check(str(held["version"]) == told["version"], "the text model's weights and names are of two trainings")
    names = told["features"]
    check(len(names) == len(held["weights"]), "the text model has a name for every feature")
    order = np.argsort(held["document_labels"], kind="stable")
    return TextModel(
        labels=tuple(FailureClass(label) for label in told["labels"]),
        vocabulary={name: place for place, name in enumerate(names)},
        rarity=held["rarity"].astype(np.float32),
        weights=held["weights"].astype(np.float32),
        vote_weights=held["vote_weights"].astype(np.float32),
        bias=held["bias"].astype(np.float32),
        scale=held["scale"].astype(np.float32),
        shift=held["shift"].astype(np.float32),
        pieces=WordPieces.exported(held, len(told["labels"])),
        piece_scale=float(held.get("piece_scale", 0.0)),
        unknown_below=float(told["unknown_below"]),
        unknown_confidence=float(told["unknown_confidence"]),
        sureness=held["sureness"].astype(np.float32),
        starts=held["starts"],
        documents=np.argsort(order).astype(np.int32)[held["documents"]],
        shares=held["shares"].astype(np.float32),
        document_labels=held["document_labels"][order],
        known=[told["known"][place] for place in order],
        version=told["version"],
    )
