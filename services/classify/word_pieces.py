"""Words as pieces of three to five letters, so that a word nobody has seen counts by those that look like it.

A piece is known by a number that is computed from it, so no list of pieces is kept. What a word says is the sum of what
its pieces say, the rare ones more; a text says the sum of its words. So each word is worked out once and remembered.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shared.domain.checks import check

NUMBERS = 1 << 16  # pieces that share a number are one
_SHORTEST, _LONGEST = 3, 5
_LETTERS_MAX = 40
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z]+|\d{1,6}")
_WORDS_REMEMBERED_MAX = 8_192
_Floats = npt.NDArray[np.float32]


def words_of(text: str) -> list[str]:
    """The words of a text, each once: also its numbers and the small words, which ``text_features`` leave out."""
    return list(dict.fromkeys(word[:_LETTERS_MAX] for word in _WORD.findall(_CAMEL.sub(" ", text).lower())))


def pieces_of(word: str) -> list[int]:
    """The numbers of a word's pieces, and of the word as a whole."""
    framed = f" {word} "
    found = {f"w:{word}"}
    for length in range(_SHORTEST, _LONGEST + 1):
        found.update(framed[start : start + length] for start in range(len(framed) - length + 1))
    return sorted({zlib.crc32(piece.encode()) % NUMBERS for piece in found})


class WordPieces:
    """What each piece says for each class, in service."""

    def __init__(self, numbers: npt.NDArray[np.uint16], rarity: _Floats, weights: _Floats, bias: _Floats) -> None:
        """``rarity`` of every number; ``weights`` (pieces × classes) of ``numbers`` alone, the others say nothing."""
        check(len(numbers) == len(weights), "the text model has weights for every piece")
        self._rarity = rarity
        self._weights = np.vstack([weights, np.zeros((1, weights.shape[1]), dtype=np.float32)])
        self._places = np.full(NUMBERS, len(weights), dtype=np.int32)
        self._places[numbers] = np.arange(len(numbers))
        self._bias = bias
        self._said_by = lru_cache(maxsize=_WORDS_REMEMBERED_MAX)(self._said_by_word)

    @classmethod
    def exported(cls, held: Mapping[str, npt.NDArray[np.generic]], labels: int) -> WordPieces:
        """Those of an artifact; of one that has none, pieces that say nothing."""
        if "piece_weights" not in held:
            nothing = np.zeros((0, labels), dtype=np.float32)
            return cls(np.zeros(0, dtype=np.uint16), np.ones(NUMBERS, dtype=np.float32), nothing, nothing.sum(axis=0))
        names = ("piece_rarity", "piece_weights", "piece_bias")
        rarity, weights, bias = (held[name].astype(np.float32) for name in names)
        return cls(held["piece_numbers"].astype(np.uint16), rarity, weights, bias)

    def scores(self, words: list[str]) -> _Floats:
        """How much a text's words speak for each class."""
        if not words:
            return self._bias
        said: _Floats = np.array([self._said_by(word) for word in words]).sum(axis=0) / np.sqrt(np.float32(len(words)))
        return said + self._bias

    def _said_by_word(self, word: str) -> _Floats:
        numbers = pieces_of(word)
        rarity = self._rarity[numbers]
        said: _Floats = (rarity / np.linalg.norm(rarity)) @ self._weights[self._places[numbers]]
        return said
