"""A challenger reads what comes in beside the model in use: its verdict is kept, and nothing else differs by it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mend.learning import live
from services.classify import challenger, text_model
from services.classify.handlers import SERVICE
from shared.events.types import Event, IncidentJudged, IncidentOpened
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.support.local_ports import handle, make_process
from tests.tidy.tree import ROOT

MESSAGES = (
    "could not connect to server: connection refused",
    "No space left on device while writing block 17",
    "the frobnicator gave up its seventh lantern",
    "password authentication failed for user etl",
)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The model that Mendline comes with, under another name, and with the weights of two classes exchanged."""
    import numpy as np

    folder = tmp_path / "other"
    shutil.copytree(text_model.FOLDER, folder)
    told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    first, second = (told["labels"].index(name) for name in ("network_timeout", "disk_space_full"))
    told["labels"][first], told["labels"][second] = told["labels"][second], told["labels"][first]
    told["version"] = "other"
    (folder / "model.json").write_text(json.dumps(told), encoding="utf-8")
    with np.load(folder / "weights.npz") as arrays:
        held = {name: arrays[name] for name in arrays.files}
    np.savez(folder / "weights.npz", **{**held, "version": np.array("other")})
    return folder


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    challenger.chosen.cache_clear()
    yield monkeypatch
    challenger.chosen.cache_clear()


def name(patch: pytest.MonkeyPatch, folder: object) -> None:
    patch.setenv("MEND_TEXT_MODEL_CHALLENGER", str(folder))
    challenger.chosen.cache_clear()


def events() -> Iterator[Event]:
    for number, message in enumerate(MESSAGES):
        yield IncidentOpened(id=f"e{number}", time=START + number, subject="s", correlation_id="c", system="lab",
                             fingerprint=f"f{number}", origin="signal", message=message)  # fmt: skip
    rows = {"origin": "violation", "pipeline": "orders", "batch_id": "b1", "check": "range", "column": "amount"}
    yield IncidentOpened(id="rows", time=START + 50, subject="s", correlation_id="c", fingerprint="rows", **rows)


def lived(folder: Path, notes: list[str]) -> tuple[Process, list[Event]]:
    """Everything that classify says of the events."""
    process = make_process(folder, TurnedClock())
    process.log.note = lambda kind, service, message: notes.append(f"{kind}|{service}|{message}")  # type: ignore[method-assign]
    said: list[Event] = []
    for event in events():
        said += handle(process, SERVICE, event)
    first = said[0]
    word = {"verdict": "wrong", "failure_class": "disk_space_full", "believed_cause": "external_network"}
    said += handle(process, SERVICE, IncidentJudged(
        id="said", time=START + 90, subject="s", correlation_id="c", by="ada", incident_id=first.subject, **word,
    ))  # fmt: skip
    return process, said


def kept(process: Process) -> dict[str, dict[str, Any]]:
    stored = process.store.query("incidents")
    return {each.key: {name: value for name, value in each.data.items() if name != "shadow"} for each in stored}


def shadows(process: Process) -> dict[str, dict[str, Any] | None]:
    stored = process.store.query("incidents")
    return {str(each.data["message"]): each.data["shadow"] for each in stored if "shadow" in each.data}


@pytest.mark.parametrize("kind", ["another", "missing", "no model", "parts of two trainings", "shapes that do not fit"])
def test_no_decision_differs_with_a_challenger_or_with_a_broken_one(
    tmp_path: Path, other: Path, named: pytest.MonkeyPatch, kind: str
) -> None:
    plain, notes = lived(tmp_path / "plain", []), list[str]()
    assert set(shadows(plain[0]).values()) == {None}
    if kind == "missing":
        shutil.rmtree(other)
    elif kind == "no model":
        (other / "weights.npz").write_bytes(b"PK not really")
    elif kind == "parts of two trainings":
        shutil.copy(text_model.FOLDER / "model.json", other / "model.json")
    elif kind == "shapes that do not fit":
        told = json.loads((other / "model.json").read_text(encoding="utf-8"))
        (other / "model.json").write_text(json.dumps({**told, "labels": told["labels"][:3]}), encoding="utf-8")
    name(named, other)
    beside = lived(tmp_path / "beside", notes)
    assert beside[1] == plain[1]
    assert kept(beside[0]) == kept(plain[0])
    if kind == "another":
        assert notes == []
    else:
        (note,) = notes
        assert note.startswith("challenger|classify|the challenger is left out, and the model in use goes on: ")
        assert set(shadows(beside[0]).values()) == {None}


def test_both_verdicts_are_kept_where_words_were_read(tmp_path: Path, other: Path, named: pytest.MonkeyPatch) -> None:
    name(named, other)
    process, _ = lived(tmp_path / "beside", [])
    found = shadows(process)
    assert found[""] is None  # of rows
    told = found[MESSAGES[0]]
    assert told is not None
    assert (told["champion"]["failure_class"], told["challenger"]["failure_class"]) == (
        "network_timeout", "disk_space_full",
    )  # fmt: skip
    assert (told["champion"]["version"], told["challenger"]["version"]) == (text_model.chosen().version, "other")
    assert len(json.dumps(told)) < 500


def test_an_incident_says_which_model_read_its_words(tmp_path: Path) -> None:
    process, _ = lived(tmp_path / "plain", [])
    found = {each["message"]: each for each in kept(process).values() if each["kind"] == "incident"}
    assert found[""]["model"] == ""  # of rows
    told = found[MESSAGES[0]]
    assert told["model"] == text_model.chosen().version
    assert {each["model"] for each in told["diagnoses"]} == {text_model.chosen().version}


def test_what_was_kept_live_is_measured_and_the_rest_is_made_up_for(
    tmp_path: Path, other: Path, named: pytest.MonkeyPatch
) -> None:
    model = text_model.load(other)
    process, _ = lived(tmp_path / "plain", [])
    later = live.shadow(live.heard(process.store), model)
    name(named, other)
    process, _ = lived(tmp_path / "beside", [])
    messages = live.heard(process.store)
    found = live.shadow(messages, model)
    assert (later["recorded_live"], found["recorded_live"], found["messages"]) == (0, 4, 4)
    assert {**found, "recorded_live": 0} == later
    assert live.shadow(messages, text_model.chosen())["recorded_live"] == 0  # another challenger than that kept
    changed = dict(messages[0].shadow or {})
    changed["challenger"] = {**changed["challenger"], "failure_class": "rate_limiting"}
    doctored = live.shadow([messages[0]._replace(shadow=changed)], model)
    assert doctored["differences"][0]["challenger"] == "rate_limiting"


def test_a_challenger_needs_no_trainer(tmp_path: Path, other: Path) -> None:
    told = f"""
import sys
from pathlib import Path
from tests.unit.classify.test_challenger import lived, shadows
process, _ = lived(Path({str(tmp_path / "apart")!r}), [])
assert any(shadows(process).values())
assert not [each for each in sys.modules if each.split(".")[0] in ("sklearn", "scipy", "skops")]
"""
    environ = {**os.environ, "MEND_TEXT_MODEL_CHALLENGER": str(other)}
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
