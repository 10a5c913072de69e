"""`mend doctor` finds what is wrong with a store, says what to do, and leaves every byte as it was."""

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mend import doctor
from mend.main import app
from mend.services import timed_collections
from services.classify import text_model
from shared.ports.event_bus import Message, Subscription
from shared.ports.state_store import Put
from shared.runtime import settings, wiring

HOUR = 3_600_000_000


class Past:
    """A clock that stopped long ago."""

    def now(self) -> int:
        return 1_600_000_000_000_000

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        """Nothing passes."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of its own."""
    return tmp_path / "store"


def opened(root: Path) -> wiring.Process:
    """The store, made if it is not there, as somebody used it long ago."""
    return wiring.build(settings.load({}, root=str(root), project=str(root.parent)), clock=Past())


def examined(root: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and report of the command."""
    result = CliRunner().invoke(app, ["doctor", "--root", str(root), "--json"])
    return result.exit_code, json.loads(result.stdout)


def found(report: dict[str, Any], about: str) -> dict[str, str]:
    """The one finding about something; every finding says what to do."""
    findings = [each for each in report["findings"] if each["about"] == about]
    assert len(findings) == 1, report["findings"]
    assert findings[0]["do"]
    return dict(findings[0])


def picture(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_store_in_which_nothing_is_wrong(root: Path) -> None:
    opened(root)
    code, report = examined(root)
    assert (code, report["ok"], report["findings"]) == (0, True, [])
    assert report["versions"]["duckdb"]


def test_no_store(root: Path) -> None:
    code, report = examined(root)
    assert code == 1
    assert "no store" in found(report, "store")["what"]
    assert not root.exists()


@pytest.mark.parametrize("damage", ["none", "page", "header", "newer", "stranger"])
def test_nothing_is_touched(root: Path, damage: str) -> None:
    process = opened(root)
    process.store.commit([Put("notes", f"n{number}", {"text": "x" * 500}) for number in range(300)])
    process.store.query("notes")  # not closed: what it wrote stays in the log beside the file
    wreck(root, damage)
    before = picture(root)
    code, report = examined(root)
    after = picture(root)
    assert {**after, ".mend/store.db-shm": None} == {**before, ".mend/store.db-shm": None}
    states = {"none": "whole", "page": "damaged", "header": "damaged", "newer": "newer", "stranger": "stranger"}
    assert report["store_state"] == states[damage]
    assert code == (0 if damage == "none" else 1)


def wreck(root: Path, damage: str) -> None:
    """Do something to a store's file."""
    file = root / ".mend" / "store.db"
    if damage == "none":
        return
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {99 if damage == 'newer' else 1}")
        connection.execute(f"PRAGMA application_id = {7 if damage == 'stranger' else 0x4D454E44}")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    for name in ("store.db-wal", "store.db-shm"):
        file.with_name(name).unlink(missing_ok=True)
    content = bytearray(file.read_bytes())
    if damage == "page":
        content[8192 : len(content) - 4096] = b"\xaa" * (len(content) - 12288)
    elif damage == "header":
        content[:100] = b"?" * 100
    file.write_bytes(content)


def test_of_a_damaged_store_what_can_be_saved_is_said(root: Path) -> None:
    process = opened(root)
    process.store.commit([Put("notes", f"n{number}", {"text": "x" * 500}) for number in range(300)])
    with process.objects.write("raw/trips/k/a.csv") as stream:
        stream.write(b"1,2\n")
    wreck(root, "header")
    todo = found(examined(root)[1], "store")["do"]
    assert "1 deliveries (4 bytes) lie unchanged" in todo
    assert f"--uri '{root}/objects/raw/trips/*/*'" in todo


def test_messages_that_nobody_takes(root: Path) -> None:
    process = opened(root)
    process.bus.subscribe([Subscription("load.t", "t", "load")])
    process.bus.publish([Message("t", b"{}", {}), Message("t", b"{}", {})])
    code, report = examined(root)
    finding = found(report, "messages")
    assert (code, finding["level"], report["messages_waiting"]) == (1, "problem", 2)
    assert "load.t 2" in finding["what"]


def test_messages_that_a_dead_process_holds(root: Path) -> None:
    code = (
        "from shared.runtime import settings, wiring\n"
        "from shared.ports.event_bus import Message, Subscription\n"
        f"bus = wiring.build(settings.load({{}}, root={str(root)!r})).bus\n"
        "bus.subscribe([Subscription('load.t', 't', 'load')])\n"
        "bus.publish([Message('t', b'', {})])\n"
        "bus.pull(['load.t'], 1, 600)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    finding = found(examined(root)[1], "messages")
    assert "died with messages in its hands" in finding["what"]


@pytest.mark.parametrize(
    ("change", "says"),
    [({"published": False}, "not on the bus"), ({"state": "failing", "failures": 2}, "failed 2 times")],
)
def test_receipts_that_are_not_finished(root: Path, change: dict[str, object], says: str) -> None:
    process = opened(root)
    receipt = {"service": "load", "event_id": "e1", "event_type": "t.v1", "state": "handled", "published": True}
    old = {**receipt, "at": Past().now(), "failures": 0}
    process.store.commit([Put("receipts", "load:e1", {**old, **change}), Put("receipts", "load:e2", old)])
    code, report = examined(root)
    assert code == 1
    assert says in found(report, "receipts")["what"]


@pytest.mark.parametrize("collection", timed_collections())
def test_timers_that_nobody_heard(root: Path, collection: str) -> None:
    """Of whatever a service says has timers: heals, loads that wait for others, batches that wait for earlier ones."""
    rung, ahead = Past().now(), 2 * time.time_ns() // 1_000
    opened(root).store.commit([Put(collection, "b1", {"wake_at": rung}), Put(collection, "b2", {"wake_at": ahead})])
    opened(root).store.commit([Put(collection, "b3", {"wake_at": 0}), Put("knowledge", "k", {"wake_at": rung})])
    code, report = examined(root)
    assert code == 1
    assert found(report, "timers")["what"].startswith("1 timers")


def test_dead_letters_can_be_replayed(root: Path) -> None:
    letter = {"origin": "dead_letter", "service": "load", "event_id": "e1", "state": "healed"}
    handled = {
        "service": "load",
        "event_id": "e2",
        "event_type": "t.v1",
        "state": "handled",
        "published": True,
        "at": 1,
    }
    process = opened(root)
    process.store.commit([Put("incidents", "i1", letter), Put("incidents", "i2", {**letter, "event_id": "e2"})])
    process.store.commit([Put("receipts", "load:e2", handled)])
    code, report = examined(root)
    assert code == 1
    assert found(report, "dead letters")["do"] == f"mend replay i1 --root {root}"


def test_definitions_that_are_gone(root: Path) -> None:
    opened(root).store.commit([Put("deliveries", "b1", {"pipeline": "trips"})])
    result = CliRunner().invoke(app, ["doctor", "--root", str(root), "--project", str(root.parent), "--json"])
    assert result.exit_code == 1
    assert "pipelines/trips.yaml" in found(json.loads(result.stdout), "definitions")["what"]


@pytest.mark.parametrize(
    ("setting", "level", "code"), [("MEND_TEXT_MODEL", "problem", 1), ("MEND_TEXT_MODEL_CHALLENGER", "notice", 0)]
)
def test_a_text_model_that_is_not_there(
    root: Path, monkeypatch: pytest.MonkeyPatch, setting: str, level: str, code: int
) -> None:
    opened(root)
    monkeypatch.setenv(setting, str(text_model.FOLDER))
    assert examined(root)[1]["findings"] == []
    monkeypatch.setenv(setting, str(root.parent / "nowhere"))
    ended, report = examined(root)
    finding = found(report, "text model")
    assert (ended, finding["level"]) == (code, level)
    assert finding["what"].startswith(f"{setting}: ")
    assert "nowhere" in finding["what"]


def test_secrets_that_others_may_read(root: Path) -> None:
    opened(root)
    (root / ".mend" / "secrets").write_text("a=b")
    (root / ".mend" / "secrets").chmod(0o644)
    code, report = examined(root)
    assert code == 1
    assert found(report, "permissions")["do"].startswith("chmod 600")
    (root / ".mend" / "secrets").chmod(0o600)
    assert examined(root)[0] == 0


@pytest.mark.parametrize(("free", "level"), [(100_000_000, "problem"), (1_000_000_000, "notice")])
def test_a_disk_that_is_nearly_full(root: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    opened(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**12, 10**12 - free, free))  # type: ignore[attr-defined]
    code, report = examined(root)
    assert found(report, "disk")["level"] == level
    assert code == (1 if level == "problem" else 0)


def test_who_works_in_the_warehouse(root: Path) -> None:
    opened(root)
    lock = root / "warehouse.duckdb.lock"
    lock.write_text(f"{os.getpid()}\n")
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, report = examined(root)
    assert code == 0
    assert f"process {os.getpid()} works" in found(report, "warehouse")["what"]
    assert examined(root)[1]["findings"] == []


def test_left_overs(root: Path) -> None:
    opened(root)
    (root / "objects" / ".unfinished").mkdir(parents=True)
    (root / "objects" / ".unfinished" / "1-ab").write_bytes(b"half")
    code, report = examined(root)
    assert code == 0
    assert "1 unfinished files (4 bytes)" in found(report, "left-overs")["what"]


def test_what_people_see(root: Path) -> None:
    opened(root)
    result = CliRunner().invoke(app, ["doctor", "--root", str(root)])
    assert "nothing is wrong" in result.stdout
    assert "Python 3." in result.stdout


def test_every_library_that_matters_is_here() -> None:
    assert all(doctor.versions().values())
