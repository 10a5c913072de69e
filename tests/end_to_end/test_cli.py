"""The promises of the command line: help, one JSON object, exit codes, and the shapes that programs rely on."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.end_to_end.command import Ended, Running, mend, until
from tests.end_to_end.orders import GOOD, Orders
from tests.unit.mend.small_project import HEADER, lines

pytestmark = pytest.mark.slow

COMMANDS = (
    "demo", "init", "check", "run", "up", "publish", "signal", "status", "incidents", "explain", "approve", "reject",
    "quarantine", "quarantine list", "quarantine show", "quarantine export", "quarantine release", "replay", "undo",
    "audit", "doctor", "taxonomy", "feedback", "knowledge", "knowledge add", "knowledge import", "knowledge list",
    "knowledge search", "knowledge show", "knowledge remove", "knowledge export",
)  # fmt: skip
COUNTS = ("rows_read", "rows_loaded", "rows_quarantined", "rows_discarded", "rows_in_flight")
DONE, FAILED, USAGE, WAITING = 0, 1, 2, 3


class Store(Orders):
    """A store that has something of everything: loaded, quarantined, proposed, escalated."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.deliver("a.csv", GOOD)
        days = (HEADER + lines(101, 160)).replace("2024-01-", "2024.01.")
        self.deliver("b.csv", days)  # a date format, whose remedy is proposed: it changes more than a quarter
        self.deliver("c.csv", HEADER + lines(201, 205) + "206,short\n")
        signal = {"source": "billing", "message": "permission denied", "exception_type": "PermissionError"}
        (folder / "signal.json").write_text(json.dumps(signal))
        self.ran = self.run_it("--json")

    def asked(self, *arguments: object) -> Ended:
        """A command about this store, as JSON."""
        return self.mend(*arguments, "--root", "store", "--json")

    def remedy(self) -> str:
        """Id of a remedy that is proposed."""
        found = self.asked("incidents", "--all").json["incidents"]
        return next(
            str(each["id"])
            for entry in found
            for each in entry["remedies"]
            if each["state"] == "proposed" and each["remedy"] == "parse_dates"
        )

    def incident(self) -> str:
        """Id of an incident."""
        return str(self.asked("incidents").json["incidents"][0]["id"])

    def batch(self) -> str:
        """Id of a batch with rows in quarantine."""
        return str(self.asked("quarantine", "list").json["batches"][0]["batch_id"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for everything that changes nothing."""
    return Store(tmp_path_factory.mktemp("cli"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help(tmp_path: Path, command: str) -> None:
    ended = mend(*command.split(), "--help", cwd=tmp_path)
    assert ended.code == DONE
    assert ended.out.startswith(f"Usage: mend {command}")
    assert command in ("quarantine", "knowledge") or "--json" in ended.out
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_commands(tmp_path: Path) -> None:
    ended = mend("--help", cwd=tmp_path)
    assert ended.code == DONE
    listed = set(re.findall(r"^  (\w+)  ", ended.out, re.MULTILINE))
    assert {command for command in COMMANDS if " " not in command} <= listed
    assert "Exit codes: 0 ended as asked and nothing open" in ended.out
    assert re.fullmatch(r"mend \d+\.\d+\.\d+\n", mend("--version", cwd=tmp_path).out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",), ("run",), ("run", "x.yaml", "--nonsense"), ("quarantine", "nonsense"), ("--nonsense",),
        ("run", "x.yaml", "--wait", "soon"), ("audit", "too", "much"), ("init", "x", "--mode", "sometimes"),
        ("quarantine", "show", "b1", "--limit", "0"), ("feedback", "i1", "--class", "nonsense"),
        ("knowledge", "nonsense"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = mend(*arguments, cwd=tmp_path)
    assert ended.code == USAGE
    assert ended.out == ""
    assert "Usage: mend" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status",), WAITING), (("incidents",), WAITING), (("incidents", "--all"), WAITING), (("audit",), DONE),
        (("doctor",), DONE), (("quarantine", "list"), WAITING), (("explain", "INCIDENT"), WAITING),
        (("explain", "BATCH"), WAITING), (("quarantine", "show", "BATCH"), DONE),
        (("quarantine", "show", "BATCH", "--values"), DONE),
        (("quarantine", "export", "BATCH", "rows.csv", "--replace"), DONE),
        (("explain", "i00000000dead"), USAGE), (("quarantine", "show", "b00000000dead"), USAGE),
        (("approve", "r00000000dead"), USAGE), (("reject", "r00000000dead"), USAGE), (("undo", "r00000000dead"), USAGE),
        (("replay", "e00000000dead"), USAGE), (("feedback", "i00000000dead", "--right"), USAGE),
        (("knowledge", "list"), DONE), (("knowledge", "search", "permission"), DONE),
        (("knowledge", "show", "k00000000dead"), USAGE), (("knowledge", "import", "nothing.csv"), USAGE),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_json_and_exit_code(store: Store, arguments: tuple[str, ...], code: int) -> None:
    named = {"INCIDENT": store.incident, "BATCH": store.batch}
    ended = store.asked(*(named[each]() if each in named else each for each in arguments))
    assert ended.code == code, ended.said
    if code == USAGE:
        assert ended.out == ""
        assert re.match(r"mend: .*\n$", ended.err)
    else:
        assert isinstance(ended.json, dict)
        assert ended.out.count("\n") == 1
    for_people = store.mend(*(named[each]() if each in named else each for each in arguments), "--root", "store")
    assert for_people.code == code, for_people.said
    assert for_people.said


def test_check_init_publish_signal_replay(store: Store, tmp_path: Path) -> None:
    checked = store.mend("check", "--json")
    assert checked.code == DONE, checked.said
    assert checked.json["ok"] is True
    made = mend("init", str(store.folder / "landing" / "a.csv"), "--project", "new", "--json", cwd=tmp_path)
    assert made.code == DONE, made.said
    assert made.json
    mine = Orders(tmp_path / "mine")
    mine.deliver("a.csv", GOOD)
    assert mine.run_it().code == DONE
    published = mine.mend("publish", "orders", "--root", "store", "--json")
    assert published.code == DONE, published.said
    assert published.json
    (mine.folder / "signal.json").write_text((store.folder / "signal.json").read_text())
    signalled = mine.mend("signal", "signal.json", "--root", "store", "--json")
    assert signalled.code == WAITING, signalled.said
    assert signalled.json
    (mine.folder / "deployed.json").write_text('{"kind": "deployment", "system": "shop", "version": "2.4.1"}')
    deployed = mine.mend("signal", "deployed.json", "--root", "store", "--json")
    assert deployed.code == DONE, deployed.said
    assert [each["version"] for each in deployed.json["deployments"]] == ["2.4.1"]
    (mine.folder / "deployed.json").write_text('{"kind": "deployment", "version": "2.4.1"}')
    malformed = mine.mend("signal", "deployed.json", "--root", "store")
    assert malformed.code == 1, malformed.said
    assert "tells of no system" in malformed.err
    replayed = mine.mend("replay", "--dead-letters", "--root", "store", "--json")
    assert replayed.code in {DONE, USAGE}, replayed.said
    assert mine.mend("check", "nothing.yaml", "--json").code == USAGE


def test_the_shape_of_a_run(store: Store) -> None:
    found = store.ran.json
    assert store.ran.code == WAITING
    assert list(found) == ["pipeline", "batches", "totals", "incidents", "seconds"]
    assert found["pipeline"] == "orders"
    for batch in found["batches"]:
        assert list(batch) == ["batch_id", "input", "state", "attempts", *COUNTS, "incidents"]
        assert batch["rows_read"] == sum(batch[name] for name in COUNTS[1:])
    assert [batch["input"] for batch in found["batches"]] == [f"landing/{name}.csv" for name in "abc"]
    assert found["totals"] == {"batches": 3, **{name: sum(b[name] for b in found["batches"]) for name in COUNTS}}
    assert found["incidents"]
    for incident in found["incidents"]:
        assert list(incident) == ["id", "class", "cause", "confidence", "state", "remedies"]
        assert 0 < incident["confidence"] <= 1
    assert {each for batch in found["batches"] for each in batch["incidents"]} <= {e["id"] for e in found["incidents"]}
    assert isinstance(found["seconds"], float)


def test_the_shape_of_an_audit(store: Store) -> None:
    found = store.asked("audit").json
    assert list(found)[: len(COUNTS) + 3] == ["ok", "batches", *COUNTS, "problems"]
    assert (found["ok"], found["batches"], found["problems"]) == (True, 3, [])
    assert found["rows_read"] == 86 == sum(found[name] for name in COUNTS[1:])


def test_a_decision_and_its_exit_codes(tmp_path: Path) -> None:
    """Approved, it is carried out; undone, all is as before; the audit holds after each."""
    mine = Store(tmp_path / "a")
    remedy, before = mine.remedy(), mine.account()
    assert before["rows_loaded"] == 25
    approved = mine.asked("approve", remedy, "--by", "ada", "--reason", "they write it so")
    assert (approved.code, approved.json["state"]) == (DONE, "verified"), approved.said
    assert approved.json["decided_by"] == "ada"
    mine.assert_rows(loaded=85, quarantined=1)
    again = mine.asked("approve", remedy)
    assert again.json["state"] == "verified"
    mine.assert_rows(loaded=85, quarantined=1)
    undone = mine.asked("undo", remedy)
    assert (undone.code, undone.json["state"]) == (DONE, "undone"), undone.said
    after = mine.account()
    assert {**after, "seconds": 0} == {**before, "seconds": 0}
    other = Store(tmp_path / "b")
    rejected = other.asked("reject", other.remedy())
    assert (rejected.code, rejected.json["state"]) == (DONE, "rejected"), rejected.said
    assert {**other.account(), "seconds": 0} == {**before, "seconds": 0}


def test_nothing_open_is_exit_code_0(tmp_path: Path) -> None:
    mine = Orders(tmp_path)
    mine.deliver("a.csv", GOOD)
    for command in (("run", "pipelines/orders.yaml"), ("status",), ("incidents",), ("quarantine", "list"), ("doctor",)):
        ended = mine.mend(*command, "--root", "store", "--json")
        assert ended.code == DONE, (command, ended.said)
        assert ended.err == ""
        assert ended.json is not None


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    mine = Orders(tmp_path)
    mine.deliver("a.csv", HEADER + lines(1, 20_000))
    running = Running("run", "pipelines/orders.yaml", "--root", "store", cwd=mine.folder)
    assert until(lambda: any(mine.root.glob("objects/raw/**/*.csv")), 30)
    os.kill(running.pid, signal.SIGINT)
    ended = running.wait()
    assert ended.code in {130, DONE}, ended.said
    assert "Traceback" not in ended.said
    assert mine.run_it().code == DONE
    mine.assert_rows(loaded=20_000)
