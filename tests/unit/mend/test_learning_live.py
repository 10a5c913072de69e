"""Goal: a change of what comes in is noticed, and a challenger is judged by what people said, deciding nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mend.learning import live, training
from mend.main import app
from services.classify import text_model
from shared.ports.state_store import Put
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process

DAY = 86_400_000_000
KNOWN = [f"connection to host{number} reset by peer" for number in range(40)]
STRANGE = [f"flurbo gnax {word} wibble zorp" for word in ("quux", "blat", "frob", "mimsy", "vorpal") for _ in range(8)]


class Told:
    """A store whose incidents were told in words, on the days that a test says."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "store"
        self.process = make_process(folder, TurnedClock())
        self.count = 0

    def add(self, messages: list[str], days_ago: float, **told: Any) -> None:
        at = self.process.clock.now() - int(days_ago * DAY)
        puts = []
        for message in messages:
            self.count += 1
            key = f"i{self.count:012d}"
            names = {"kind": "incident", "incident_id": key, "fingerprint": key, "origin": "signal", "system": "lab"}
            verdict = {"failure_class": "unknown", "cause": "unknown"}
            document = {**names, **verdict, "message": message, "first_seen": at + self.count, **told}
            puts.append(Put("incidents", key, document))
        self.process.store.commit(puts)

    def drift(self, days: int = 7) -> dict[str, Any]:
        return live.drift(live.heard(self.process.store), self.process.clock.now() - days * DAY)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_the_same_kind_of_messages_is_no_drift(told: Told) -> None:
    told.add(KNOWN, 20)
    told.add(KNOWN, 3)
    found = told.drift()
    assert (found["before"], found["after"], found["enough"], found["drifted"]) == (40, 40, True, False)
    assert {name: each["distance"] for name, each in found["measures"].items()} == {"novelty": 0.0, "confidence": 0.0}


def test_words_that_nobody_used_before_are_a_drift(told: Told) -> None:
    told.add(KNOWN, 20)
    told.add(STRANGE, 3)
    found = told.drift()
    assert found["drifted"]
    novelty = found["measures"]["novelty"]
    assert novelty["before"] < 0.7 < novelty["after"]
    assert novelty["distance"] > 0.9
    assert novelty["chance"] < 1e-9


def test_a_few_strange_ones_among_many_are_none(told: Told) -> None:
    told.add(KNOWN, 20)
    told.add([*KNOWN[:36], *STRANGE[:4]], 3)
    assert not told.drift()["drifted"]


def test_too_few_say_nothing_and_violations_are_not_words(told: Told) -> None:
    told.add(KNOWN, 20)
    told.add(STRANGE[:29], 3)
    told.add(STRANGE, 3, origin="violation")
    told.add([""] * 40, 3)
    found = told.drift()
    assert (found["after"], found["enough"], found["drifted"], found["measures"]) == (29, False, False, {})


def learn(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["learn", *map(str, arguments)])


@pytest.fixture
def challenger(tmp_path: Path) -> Path:
    """A model that knows a system nobody else knows."""
    rows = [
        {"message": text.format(word), "label": label, "system": f"s{word}", "case": f"{label} {word}"}
        for label, texts in {
            "disk_space_full": ["flurbo gnax {} wibble zorp", "flurbo gnax wibble {}"],
            "network_timeout": ["connection to {} reset by peer", "could not reach {}, no route to host"],
            "permission_denied": ["access to {} denied for this role", "not authorized to read {}, grant missing"],
        }.items()
        for word in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
        for text in texts
    ]
    file = tmp_path / "messages.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    training.export(training.train(training.examples_of(file)), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    text_model.chosen.cache_clear()
    yield monkeypatch
    text_model.chosen.cache_clear()


def said(failure_class: str) -> dict[str, Any]:
    return {"feedback": [{"verdict": "wrong", "believed_class": "unknown", "failure_class": failure_class}]}


def test_a_challenger_is_promoted_by_what_people_said_alone(
    told: Told, challenger: Path, chosen: pytest.MonkeyPatch
) -> None:
    told.add(STRANGE[:12], 1)
    shadow = live.shadow(live.heard(told.process.store), text_model.load(challenger))
    assert (shadow["differ"], shadow["judged_by_people"], shadow["promote"]) == (12, 0, "undecided")
    assert {each["challenger"] for each in shadow["differences"]} == {"disk_space_full"}
    told.add(STRANGE[:12], 1, **said("disk_space_full"))
    before = {each.key: each.data for each in told.process.store.query("incidents", limit=100)}
    ended = learn("--shadow", challenger, "--root", told.root, "--json")
    found = json.loads(ended.stdout)
    assert (found["messages"], found["judged_by_people"], found["gained"], found["lost"]) == (24, 12, 12, 0)
    assert found["right"] == {"champion": 0, "challenger": 12}
    assert (found["promote"], found["chance"]) == ("yes", round(1 / 2**12, 4))
    assert f"export MEND_TEXT_MODEL={challenger}" in learn("--shadow", challenger, "--root", told.root).stdout.replace(
        "\n", ""
    )
    after = {each.key: each.data for each in told.process.store.query("incidents", limit=100)}
    assert after == before, "a challenger decides nothing"
    # The other way round, with the challenger in use, the one that came with Mendline is worse.
    chosen.setenv("MEND_TEXT_MODEL", str(challenger))
    text_model.chosen.cache_clear()
    back = json.loads(learn("--shadow", text_model.FOLDER, "--root", told.root, "--json").stdout)
    assert (back["promote"], back["gained"], back["lost"]) == ("no", 0, 12)


def test_what_a_model_was_trained_on_is_not_its_exam(told: Told, challenger: Path) -> None:
    """The challenger knows twelve of these by heart: that it says of them what people said is no merit."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    told.add([f"flurbo gnax {word} wibble zorp" for word in words], 1, **said("disk_space_full"))
    found = live.shadow(live.heard(told.process.store), text_model.load(challenger))
    assert (found["differ"], found["learned_from"], found["judged_by_people"]) == (12, 12, 0)
    assert (found["gained"], found["promote"]) == (0, "undecided")
    ended = learn("--shadow", challenger, "--root", told.root)
    assert "12 that people judged were learned from by one of them: not measured" in ended.stdout


def test_a_few_gains_may_be_chance(told: Told, challenger: Path) -> None:
    told.add(STRANGE[:4], 1, **said("disk_space_full"))
    found = live.shadow(live.heard(told.process.store), text_model.load(challenger))
    assert (found["gained"], found["lost"], found["chance"], found["promote"]) == (4, 0, 0.0625, "undecided")


def test_the_commands_exit_code_is_the_alarm(told: Told) -> None:
    now_real = CliRunner().invoke(app, ["learn", "--drift", "7", "--root", str(told.root)])
    assert now_real.exit_code == 0
    assert "30 on each side are needed" in now_real.stdout
    now = time.time_ns() // 1_000
    told.add(KNOWN, 0, first_seen=now - 20 * DAY)
    told.add(KNOWN, 0, first_seen=now - 3 * DAY)
    assert learn("--drift", 7, "--root", told.root).exit_code == 0
    told.add(STRANGE * 2, 0, first_seen=now - 2 * DAY)
    alarm = learn("--drift", 7, "--root", told.root, "--json")
    assert (alarm.exit_code, json.loads(alarm.stdout)["drifted"]) == (1, True)
