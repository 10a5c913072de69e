"""A store that cannot be used as it should: a clear end, exit code 1, and nothing lost once it can be again."""

import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.command import MEND
from tests.end_to_end.orders import GOOD, Orders
from tests.unit.mend.small_project import HEADER, lines

pytestmark = pytest.mark.slow
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
ROOT = os.geteuid() == 0
UNSHARE = ("unshare", "--mount") if ROOT else ("unshare", "--map-root-user", "--mount")


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    """A project whose first delivery is loaded, and a second one that is not."""
    made = Orders(tmp_path)
    made.deliver("a.csv", GOOD)
    assert made.run_it().code == 0
    made.deliver("b.csv", HEADER + lines(31, 40))
    return made


def needs(*command: str) -> None:
    """Skip aloud where the machine does not permit what a test needs; where PRIVILEGES=required (CI), fail."""
    if shutil.which(command[0]) is None or subprocess.run(command, capture_output=True, check=False).returncode:
        missing = f"this machine does not permit: {' '.join(command)}"
        if os.environ.get("PRIVILEGES") == "required":
            pytest.fail(f"mounts and other users are required: {missing}")
        pytest.skip(missing)


def mounted(mount: str) -> tuple[str, ...]:
    """What runs a command with ``store`` mounted in another way, seen by nobody else."""
    needs(*UNSHARE, "sh", "-c", "d=$(mktemp -d) && mount -t tmpfs none $d && umount $d && rmdir $d")
    return (*UNSHARE, "sh", "-c", f'{mount} && "$@"', "sh")


def assert_mended(orders: Orders) -> None:
    """Everything is there once the store can be used again; what it refused is tried again after a pause."""
    assert orders.run_it("--wait", "60").code == 0
    orders.assert_rows(loaded=30)


def test_a_read_only_store(orders: Orders) -> None:
    read_only = mounted("mount --bind store store && mount -o remount,ro,bind store")
    for command in (("run", "pipelines/orders.yaml"), ("status",), ("audit",), ("incidents",), ("doctor",)):
        ended = orders.mend(*command, "--root", "store", before=read_only)
        assert ended.code == 1, (command, ended.said)
        assert "Traceback" not in ended.said
        assert "writable" in ended.said or "may read and write it" in ended.said
        assert "store" in ended.said
    assert_mended(orders)


@pytest.mark.parametrize("size", ["200k", "600k", "1200k", "2m"])
def test_a_full_disk(orders: Orders, size: str) -> None:
    """It says that the disk is full, never that all is well; with room it goes on where it was."""
    orders.deliver("c.csv", HEADER + lines(1_000, 12_999))
    kept = orders.folder / "kept"
    kept.mkdir()
    # The store is filled into a small disk; what is on it afterwards is what the user has.
    full = mounted(f"mount -t tmpfs -o size={size} none store && trap 'cp -a store/. kept/' EXIT")
    shutil.rmtree(orders.root)
    orders.root.mkdir()
    ended = orders.mend("run", "pipelines/orders.yaml", "--root", "store", "--wait", "2", before=full)
    assert ended.code == 1, ended.said
    assert "Traceback" not in ended.said
    assert "mend: " in ended.err
    assert any(word in ended.err for word in ("disk is full", "No space left", "disk space"))
    shutil.rmtree(orders.root)
    kept.rename(orders.root)
    # What the full disk refused is tried again after a pause; this run waits for it.
    again = orders.mend("run", "pipelines/orders.yaml", "--root", "store", "--wait", "60")
    assert again.code == 0, again.said
    orders.assert_rows(loaded=12_030)


def test_a_store_of_a_newer_version(orders: Orders) -> None:
    path = orders.root / ".mend" / "store.db"
    with sqlite3.connect(path) as connection:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    for command in (("run", "pipelines/orders.yaml"), ("status",), ("audit",)):
        ended = orders.mend(*command, "--root", "store")
        assert ended.code == 1, ended.said
        assert "newer" in ended.err
        assert "store.db" in ended.err
        assert "upgrade" in ended.err.lower() or "update" in ended.err.lower() or "install" in ended.err.lower()
    assert orders.mend("doctor", "--root", "store").code == 1
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert_mended(orders)


@pytest.mark.parametrize("damage", ["beginning", "all", "empty", "cut"])
def test_a_damaged_store(orders: Orders, damage: str) -> None:
    path = orders.root / ".mend" / "store.db"
    for left in orders.root.glob(".mend/store.db-*"):
        left.unlink()
    whole = path.read_bytes()
    content = {
        "beginning": b"\0" * 100 + whole[100:],
        "all": b"no database " * (len(whole) // 12),
        "empty": b"",
        "cut": whole[: len(whole) // 3],
    }[damage]
    path.write_bytes(content)
    ended = orders.mend("audit", "--root", "store")
    assert "Traceback" not in ended.said
    if damage != "empty":  # an empty file is a new store
        assert ended.code == 1, ended.said
        assert "damaged" in ended.err or "no store" in ended.err
        assert "copy" in ended.err
    for left in orders.root.glob(".mend/store.db-*"):
        left.unlink()
    path.write_bytes(whole)
    assert_mended(orders)


def test_a_damaged_warehouse(orders: Orders) -> None:
    path = orders.root / "warehouse.duckdb"
    whole = path.read_bytes()
    path.write_bytes(b"no database " * 5_000)
    ended = orders.mend("run", "pipelines/orders.yaml", "--root", "store", "--wait", "0")
    assert ended.code in {1, 3}, ended.said
    assert "Traceback" not in ended.said
    assert "warehouse" in ended.said
    audited = orders.mend("audit", "--root", "store")
    assert audited.code == 1
    assert "warehouse" in audited.said
    assert "Traceback" not in audited.said
    path.write_bytes(whole)


def test_no_permission_for_a_delivery(orders: Orders) -> None:
    (orders.folder / "landing" / "b.csv").chmod(0)
    ended = orders.run_it(before=_as_nobody(orders))
    assert ended.code == 3, ended.said
    assert "landing/b.csv" in ended.out
    assert "→ mend" in ended.out
    orders.assert_rows(loaded=20)


def test_no_permission_for_the_store(orders: Orders) -> None:
    nobody = _as_nobody(orders)
    for path in (orders.root, *orders.root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    ended = orders.run_it(before=nobody)
    assert ended.code == 1, ended.said
    assert "writable" in ended.err
    for path in (orders.root, *orders.root.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert_mended(orders)


def _as_nobody(orders: Orders) -> tuple[str, ...]:
    """What runs a command as somebody whom permissions bind; nothing is needed unless we are root."""
    if not ROOT:
        return ()
    needs(*NOBODY, "true")
    if subprocess.run([*NOBODY, "test", "-r", str(MEND)], capture_output=True, check=False).returncode:
        pytest.skip("this checkout lies in a folder that is ours alone, and nobody else may run it")
    reachable = subprocess.run([*NOBODY, "ls", str(orders.folder)], capture_output=True, check=False).returncode == 0
    if not reachable:
        for parent in orders.folder.parents:
            if parent.name.startswith("pytest-") or parent.name.startswith("popen-"):
                parent.chmod(parent.stat().st_mode | 0o755)
    for path in (orders.folder, *orders.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    return NOBODY


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_a_page_that_is_lost(orders: Orders, share: float) -> None:
    """The doctor counts what can still be read, and its own command brings the rows back from the kept deliveries."""
    path = orders.root / ".mend" / "store.db"
    whole = _whole_documents(path)
    content = bytearray(path.read_bytes())
    page = int(share * len(content) / 4096) * 4096
    content[page : page + 4096] = bytes(4096)
    path.write_bytes(content)
    doctor = orders.mend("doctor", "--root", "store", "--json")
    assert doctor.code == 1, doctor.said
    told = " ".join(finding["what"] for finding in doctor.json["findings"])
    readable = {name: int(count) for name, count in re.findall(r"(\w+) (\d+)[,\s]", f"{told} ")}
    assert "can still be read" in told
    assert sum(readable.values()) > 0
    assert all(readable.get(name, 0) <= count for name, count in whole.items())
    advice = " ".join(finding["do"] for finding in doctor.json["findings"])
    again = re.search(r"mend (run pipelines/orders\.yaml --root) NEW (--uri) '([^']+)'", advice)
    assert again is not None, advice
    ended = orders.mend(*again.group(1).split(), "new", again.group(2), again.group(3))
    assert ended.code == 0, ended.said
    assert "20 rows read = 20 loaded" in ended.out


def _whole_documents(path: Path) -> dict[str, int]:
    """How many documents each collection has; afterwards everything is in the one file."""
    with sqlite3.connect(path) as connection:
        found = dict(connection.execute("SELECT collection, count(*) FROM documents GROUP BY 1").fetchall())
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return found


def test_a_quarter_of_a_warehouse(orders: Orders) -> None:
    """Most of the warehouse's file is lost: the run ends clearly, and goes on once it is back."""
    path = orders.root / "warehouse.duckdb"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 4])
    for command in (("run", "pipelines/orders.yaml", "--wait", "0"), ("audit",)):
        ended = orders.mend(*command, "--root", "store")
        assert ended.code == 1, ended.said
        assert "Traceback" not in ended.said
        assert "warehouse.duckdb cannot be opened" in ended.err
        assert "put back a copy" in ended.err
    path.write_bytes(content)
    assert_mended(orders)
