"""What was trained over pieces of words is what is served, and a word never seen counts by those it looks like."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mend.learning import pieces
from services.classify import text_model
from services.classify.word_pieces import NUMBERS, WordPieces, pieces_of, words_of

TEXTS = ("connection refused by peer", "disk quota exceeded", "permission denied for role", "connecting timed out")
LABELS = np.array([0, 1, 2, 0])


@pytest.fixture(scope="module")
def trained() -> pieces.Pieces:
    return pieces.fit(TEXTS, LABELS, np.ones(len(TEXTS)), seed=1)


def served(trained: pieces.Pieces) -> WordPieces:
    return WordPieces.exported(pieces.exported(trained), 3)


def test_a_word_is_its_pieces_and_itself() -> None:
    pieces_and_word = {" di", "dis", "isk", "sk ", " dis", "disk", "isk ", " disk", "disk ", "w:disk"}
    assert len(pieces_of("disk")) == len(pieces_and_word)
    assert all(0 <= number < NUMBERS for number in pieces_of("permission"))
    assert words_of("Disk error 503: DiskFull is not a disk") == ["disk", "error", "503", "full", "is", "not", "a"]
    assert len(pieces_of(words_of("x" * 5_000)[0])) == 10  # of three to five, at each end and inside, and the word


@pytest.mark.parametrize("text", [*TEXTS, "something else altogether", "disks are full", ""])
def test_what_is_served_is_what_was_trained(trained: pieces.Pieces, text: str) -> None:
    found = served(trained).scores(words_of(text))
    assert found == pytest.approx(pieces.scores(trained, [text])[0], abs=0.01)


@pytest.mark.parametrize(("word", "label"), [("reconnection", 0), ("quotas", 1), ("permissions", 2)])
def test_a_word_that_nobody_has_seen_counts_by_those_it_looks_like(
    trained: pieces.Pieces, word: str, label: int
) -> None:
    assert all(word not in text for text in TEXTS)
    assert served(trained).scores([word]).argmax() == label


def test_a_model_from_before_there_were_pieces_can_be_restored(tmp_path: Path) -> None:
    shutil.copytree(text_model.FOLDER, tmp_path / "model")
    with np.load(tmp_path / "model" / "weights.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files if not name.startswith("piece_")}
    np.savez_compressed(tmp_path / "model" / "weights.npz", **kept)
    old, new = text_model.load(tmp_path / "model"), text_model.load(text_model.FOLDER)
    assert not old.pieces.scores(["disk"]).any()
    assert new.pieces.scores(["disk"]).any()
    text = "no space left on device while writing to disk"
    assert old.believe(text, {}).failure_class == new.believe(text, {}).failure_class == "disk_space_full"
