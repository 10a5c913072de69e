"""Trains a second model, over pieces of words; ``services/classify/word_pieces.py`` serves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.svm import LinearSVC

from services.classify.word_pieces import NUMBERS, pieces_of, words_of

_Floats = npt.NDArray[np.float64]
_PENALTY: Final = 1.0


class Pieces(NamedTuple):
    """Coefficients by piece."""

    rarity: _Floats
    weights: _Floats  # pieces × labels
    bias: _Floats
    machine: LinearSVC  # as scikit-learn knows it


class _Told(NamedTuple):
    """Which words stand in each text, and which pieces in each word."""

    texts: sparse.csr_matrix
    words: sparse.csr_matrix


def fit(texts: Sequence[str], labels: npt.NDArray[np.int64], weights: _Floats, seed: int) -> Pieces:
    """One linear model over the pieces of all words."""
    told = _told(texts)
    containing = np.asarray(((told.texts @ told.words) > 0).sum(axis=0)).ravel()
    rarity = np.log((1 + len(texts)) / (1 + containing)) + 1
    machine = LinearSVC(C=_PENALTY, random_state=seed).fit(_rows(told, rarity), labels, sample_weight=weights)
    return Pieces(rarity, machine.coef_.T, machine.intercept_, machine)


def scores(pieces: Pieces, texts: Sequence[str]) -> _Floats:
    """The fitted model's score of each class for other texts."""
    found: _Floats = np.asarray(_rows(_told(texts), pieces.rarity) @ pieces.weights) + pieces.bias
    return found


def exported(pieces: Pieces) -> dict[str, npt.NDArray[Any]]:
    """The arrays of the artifact: weights of those pieces alone that say something."""
    numbers = np.flatnonzero(np.abs(pieces.weights).max(axis=1) > 0)
    return {
        "piece_numbers": numbers.astype(np.uint16),
        "piece_rarity": pieces.rarity.astype(np.float16),
        "piece_weights": pieces.weights[numbers].astype(np.float16),
        "piece_bias": pieces.bias.astype(np.float32),
    }


def _told(texts: Sequence[str]) -> _Told:
    words = [words_of(each) for each in texts]
    places = {word: place for place, word in enumerate(sorted({word for each in words for word in each}))}
    return _Told(
        _marked([[places[word] for word in each] for each in words], len(places)),
        _marked([pieces_of(word) for word in places], NUMBERS),
    )


def _marked(columns: Sequence[Sequence[int]], width: int) -> sparse.csr_matrix:
    """Ones in the named columns of each row."""
    starts = np.concatenate(([0], np.cumsum([len(each) for each in columns])))
    flat = np.array([column for each in columns for column in each], dtype=np.int64)
    return sparse.csr_matrix((np.ones(len(flat)), flat, starts), shape=(len(columns), width))


def _rows(told: _Told, rarity: _Floats) -> sparse.csr_matrix:
    """Each word of length one, each text the sum of its words by the root of their number."""
    weighed = told.words @ sparse.diags(rarity)
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    numbers = np.asarray(told.texts.sum(axis=1)).ravel()
    summed: sparse.csr_matrix = sparse.diags(1 / np.sqrt(np.maximum(numbers, 1))) @ told.texts
    return (summed @ (sparse.diags(1 / np.maximum(lengths, 1e-9)) @ weighed)).tocsr()
