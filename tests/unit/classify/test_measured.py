"""The interface by which the diagnosis is measured: what it reads, and what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import classify
from benchmarks.diagnosis_figures import Verdict, figures

MESSAGES = (
    ("psycopg2.OperationalError: could not connect to server: Connection refused", "network_timeout"),
    ("MemoryError: Unable to allocate 2.0 GiB for an array", "memory_leak"),
    ("OSError: [Errno 28] No space left on device: '/data/zyx.parquet'", "disk_space_full"),
    ("the moon was in the wrong place for the flurbo", "other"),
)


def measured(messages: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert classify.main(["--messages", str(messages), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    file = tmp_path / "messages.jsonl"
    rows = [json.dumps({"message": text, "label": label, "more": 1}) for text, label in MESSAGES]
    file.write_text("\n".join([*rows, "", ""]), encoding="utf-8")
    return file


def test_it_prints_what_is_asked_for(messages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(messages, capsys)
    asked = {
        *("n", "accuracy", "macro_f1", "coverage", "selective_accuracy", "unknown_recall", "ece", "per_label"),
        *("milliseconds_p50", "milliseconds_p99", "targets", "unseen"),
    }
    assert found.keys() == asked
    assert found["n"] == 4
    assert "other" not in found["per_label"]
    assert found["per_label"]["unknown"]["n"] == 1  # `other` counts as `unknown`
    assert found["unknown_recall"] == 1.0
    assert found["targets"].keys() == classify.TARGETS.keys()
    for name, target in found["targets"].items():
        assert target["got"] == found[name]


def test_messages_that_the_corpus_has_are_told_apart(messages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = json.loads(classify.CORPUS.read_text(encoding="utf-8").partition("\n")[0])
    alone = measured(messages, capsys)["unseen"]["n"]
    with messages.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"message": known["message"], "label": known["label"]}) + "\n")
    found = measured(messages, capsys)
    assert (found["n"], found["unseen"]["n"]) == (5, alone)


def test_a_label_that_is_none_is_said(tmp_path: Path) -> None:
    file = tmp_path / "messages.jsonl"
    file.write_text('{"message": "x", "label": "full"}\n')
    with pytest.raises(ValueError, match="line 1: 'full' is no failure class"):
        classify.read(file)


def test_unknown_is_never_acted_on() -> None:
    verdicts = [
        Verdict("unknown", "unknown", 0.99, 1.0),
        Verdict("disk_space_full", "disk_space_full", 0.9, 2.0),
        Verdict("disk_space_full", "memory_leak", 0.86, 3.0),
        Verdict("disk_space_full", "memory_leak", 0.84, 4.0),
    ]
    found = figures(verdicts, 0.85)
    assert (found["coverage"], found["selective_accuracy"], found["accuracy"]) == (0.5, 0.5, 0.5)
