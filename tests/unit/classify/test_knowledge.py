"""Entries of the knowledge base are kept with every version, in whatever order they are told."""

from pathlib import Path

import pytest

from services.classify.handlers import SERVICE
from services.classify.knowledge import entry_key, version_key
from shared.domain.knowledge import KnowledgeKind, entry_id
from shared.events.types import KnowledgeNoted
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.support.local_ports import handle, make_process

ENTRY = entry_id(KnowledgeKind.RUNBOOK, "Dates")


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return make_process(tmp_path, TurnedClock())


def note(process: Process, at: int, text: str, **fields: object) -> None:
    given = {"entry_id": ENTRY, "kind": "runbook", "title": "Dates", "by": "ada", **fields}
    event = KnowledgeNoted(id=f"e{at}", time=START + at, subject="s", correlation_id="c", text=text, **given)
    assert handle(process, SERVICE, event) == []


def text(process: Process, key: str) -> tuple[int, str]:
    stored = process.store.get("knowledge", key)
    assert stored is not None
    return stored.data["version"], stored.data["text"]


def test_the_same_twice_is_one_version_and_an_edit_keeps_the_earlier_one(process: Process) -> None:
    note(process, 1, "ask")
    note(process, 2, "ask", by="bob")
    assert text(process, entry_key(ENTRY)) == (1, "ask")
    note(process, 3, "ask the sender")
    note(process, 4, "ask the sender twice")
    assert text(process, entry_key(ENTRY)) == (3, "ask the sender twice")
    assert text(process, version_key(ENTRY, 1)) == (1, "ask")
    assert text(process, version_key(ENTRY, 2)) == (2, "ask the sender")


def test_an_edit_that_comes_late_does_not_replace_a_newer_one(process: Process) -> None:
    note(process, 5, "new")
    note(process, 4, "old")
    assert text(process, entry_key(ENTRY)) == (2, "new")
    assert text(process, version_key(ENTRY, 1)) == (1, "old")


def test_what_is_taken_back_stays_on_record(process: Process) -> None:
    note(process, 1, "ask")
    note(process, 2, "ask", withdrawn=True)
    stored = process.store.get("knowledge", entry_key(ENTRY))
    assert stored is not None
    assert (stored.data["withdrawn"], stored.data["version"]) == (True, 2)
    assert text(process, version_key(ENTRY, 1)) == (1, "ask")


def test_an_entry_is_named_by_kind_and_title() -> None:
    assert entry_id("runbook", "  dates ") == ENTRY
    assert entry_id("best_practice", "Dates") != ENTRY
