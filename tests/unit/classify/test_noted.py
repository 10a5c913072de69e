"""Goal: an entry that names the cause of a failure counts where little else is known of it, and within bounds."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.classify.handlers import SERVICE
from services.classify.judged import RELIED_ON_MAX
from services.remediate.records import GUESS_RELIED_ON_MAX, Finding
from shared.events.types import IncidentClassified, IncidentJudged, IncidentOpened, KnowledgeNoted
from shared.ports.state_store import Put
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import START, TurnedClock
from tests.support.local_ports import handle, make_process

TITLE = "The frobnicator gave up its 7th lantern on the northern shelf"
MESSAGE = "the frobnicator gave up its 12th lantern on the northern shelf"
DISK = "write failed: no space left on device on the northern volume"


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return make_process(tmp_path, TurnedClock())


def note(process: Process, at: int = 1, **fields: Any) -> None:
    given = {"entry_id": "k1", "kind": "runbook", "title": TITLE, "text": "", "cause": "external_disk", "by": "ada"}
    event = KnowledgeNoted(
        id=f"n{at}", time=START + at, subject="k", correlation_id="c",
        **{"pipeline": "", "source": "", "withdrawn": False, **given, **fields},
    )  # fmt: skip
    assert handle(process, SERVICE, event) == []


def signal(process: Process, message: str = MESSAGE, number: int = 1, **fields: Any) -> IncidentClassified:
    given = {"fingerprint": f"f{number}", "origin": "signal", "system": "lamps", "message": message, **fields}
    event = IncidentOpened(id=f"e{number}", time=START + 50 + number, subject="s", correlation_id="c", **given)
    (found,) = handle(process, SERVICE, event)
    assert isinstance(found, IncidentClassified)
    return found


def pieces(found: IncidentClassified) -> list[dict[str, Any]]:
    told = json.loads(found.evidence_json)["diagnosis"]["because"]
    return [each for each in told if each["source"] == "knowledge"]


def relied_on(found: IncidentClassified) -> float:
    return Finding(incident_id="i", confidence=found.confidence, evidence_json=found.evidence_json).p_cause


def test_an_entry_names_the_cause_of_what_nothing_else_is_known_of(process: Process) -> None:
    assert signal(process).cause != "external_disk"
    note(process)
    for number, message in ((2, MESSAGE), (3, f"{MESSAGE}\n  at lamp.c:17\n  and more of it")):
        found = signal(process, message, number)
        assert (found.cause, found.confidence) == ("external_disk", 0.7)
        assert found.explanation.startswith(f"The entry “{TITLE}” of the knowledge base says that it is external_disk.")
        assert [each["value"] for each in pieces(found)] == [f"k1 “{TITLE}”: external_disk"]
        assert relied_on(found) == GUESS_RELIED_ON_MAX, "no remedy that changes data runs because of it"


def test_a_code_decides_whatever_an_entry_says(process: Process) -> None:
    note(process)
    found = signal(process, http_status=429)
    assert (found.failure_class, [each["weight"] for each in pieces(found)]) == ("rate_limiting", [0.0])


@pytest.mark.parametrize(
    "fields",
    [
        {"cause": ""},
        {"cause": "no_such_cause"},
        {"withdrawn": True},
        {"pipeline": "orders"},
        {"title": "northern shelf"},
        {"title": f"{TITLE} again"},
        {"title": "Lamps", "text": TITLE},
    ],
)
def test_one_that_is_not_surely_about_it_says_nothing(process: Process, fields: dict[str, Any]) -> None:
    note(process, **fields)
    found = signal(process)
    assert (found.cause == "external_disk", pieces(found)) == (False, [])


def test_words_that_somebody_appends_and_few_words_find_no_entry(process: Process) -> None:
    note(process)
    note(process, 2, entry_id="k2", title="it failed")
    assert not pieces(signal(process, f"{MESSAGE}, please treat it as disk full"))
    assert not pieces(signal(process, "it failed", 2))


def test_two_that_contradict_each_other_say_nothing_and_the_newest_version_holds(process: Process) -> None:
    note(process)
    note(process, 2, entry_id="k2", kind="best_practice", cause="external_network")
    assert signal(process).cause not in ("external_disk", "external_network")
    note(process, 3, entry_id="k2", kind="best_practice", cause="external_disk")
    assert signal(process, number=2).cause == "external_disk"
    note(process, 4, entry_id="k1", title="Another thing altogether that is long enough")
    note(process, 5, entry_id="k2", kind="best_practice", cause="external_disk", withdrawn=True)
    assert signal(process, number=3).cause != "external_disk", "what earlier versions said does not vote"


def test_what_is_known_by_itself_is_supported_or_left_as_it_is(process: Process) -> None:
    alone = signal(process, DISK)
    assert alone.failure_class == "disk_space_full"
    note(process, title=DISK, cause="external_network")
    against = signal(process, DISK, 2)
    assert (against.cause, against.confidence) == (alone.cause, alone.confidence)
    assert [each["weight"] for each in pieces(against)] == [0.0], "it is shown"
    note(process, 2, title=DISK, cause=alone.cause)
    agreed = signal(process, DISK, 3)
    assert agreed.cause == alone.cause
    assert alone.confidence <= agreed.confidence <= max(RELIED_ON_MAX, alone.confidence)


def test_the_word_of_somebody_who_may_not_decide_does_not_count(process: Process, tmp_path: Path) -> None:
    note(process, by="mallory")
    (tmp_path / "policy.yaml").write_text("approvals:\n  people: [ada]\n")
    assert signal(process).cause not in ("external_disk", "external_network")
    note(process, 2, text="read again", by="ada")
    assert signal(process, number=2).cause == "external_disk"


def test_what_a_person_said_of_the_diagnosis_goes_first(process: Process) -> None:
    note(process)
    found = signal(process)
    said = IncidentJudged(
        id="j", time=START + 90, subject="s", correlation_id="c", incident_id=found.incident_id, verdict="wrong",
        failure_class="network_timeout", by="ada", believed_class=found.failure_class, believed_cause=found.cause,
    )  # fmt: skip
    (again,) = handle(process, SERVICE, said)
    assert isinstance(again, IncidentClassified)
    assert again.failure_class == "network_timeout"
    assert signal(process, number=2).failure_class == "network_timeout"


def test_an_entry_kept_before_this_could_be_is_found_once_it_is_noted_again(process: Process) -> None:
    note(process)
    stored = process.store.get("knowledge", "entry:k1")
    assert stored is not None
    process.store.commit([Put("knowledge", "entry:k1", {k: v for k, v in stored.data.items() if k != "alike"})])
    assert signal(process).cause not in ("external_disk", "external_network")
    note(process, 9)
    assert signal(process, number=2).cause == "external_disk"
    again = process.store.get("knowledge", "entry:k1")
    assert again is not None
    assert again.data["version"] == 1
