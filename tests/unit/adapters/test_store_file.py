"""The store's file: who may open it, what is said when it cannot be used, and what is one transaction."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.local.clock import SystemClock
from shared.adapters.local.event_bus import SqliteEventBus
from shared.adapters.local.state_store import SqliteStateStore
from shared.adapters.local.store_file import MEANINGS, SCHEMA_VERSION, StoreFile, _Connection, translate
from shared.domain.errors import Conflict, InvariantBroken, LimitExceeded, StoreDamaged, StoreTooNew, StoreUnavailable
from shared.ports.event_bus import DEAD_LETTER_TOPIC, Message, Subscription
from shared.ports.state_store import Expect, Put

ROOT = Path(__file__).resolve().parents[3]
QUEUE = Subscription("a.t", "t", "a")


def store_path(root: Path) -> Path:
    return root / ".mend" / "store.db"


# ── opening ──


def test_it_lies_in_dot_mend_and_is_safe(tmp_path: Path) -> None:
    store = StoreFile(tmp_path / "new" / "folder")
    assert store.path == store_path(tmp_path / "new" / "folder")
    assert store.path.is_file()
    with store.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    with store.writing(durable=False) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1
    with store.writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert store.problems() == []


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    StoreFile(tmp_path).close()
    with sqlite3.connect(store_path(tmp_path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = store_path(tmp_path).read_bytes()
    with pytest.raises(StoreTooNew, match=r"newer version of Mendline.*install"):
        StoreFile(tmp_path)
    assert store_path(tmp_path).read_bytes() == before


def test_a_store_made_by_somebody_else_in_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever another process commits between our first looks at a new file, it is taken for what it is: a store."""
    looks: list[str] = []

    class Watched(_Connection):
        def execute(self, sql: str, /, *values: Any) -> sqlite3.Cursor:
            if "sqlite_master" in sql and not looks:
                looks.append(sql)
                other = threading.Thread(target=StoreFile, args=(tmp_path,))
                other.start()
                other.join(0.5)  # it is done by now, or waits until we have looked
            return super().execute(sql, *values)

    monkeypatch.setattr("shared.adapters.local.store_file._Connection", Watched)
    StoreFile(tmp_path).close()
    assert looks


@pytest.mark.parametrize(
    "content", [b"this is no database" * 100, b"\0" * 5_000, b"SQLite format 3\0" + b"\xff" * 5_000]
)
def test_a_file_that_is_no_database_is_damaged(tmp_path: Path, content: bytes) -> None:
    store_path(tmp_path).parent.mkdir()
    store_path(tmp_path).write_bytes(content)
    with pytest.raises(StoreDamaged, match="put back a copy"):
        StoreFile(tmp_path)
    assert store_path(tmp_path).read_bytes() == content


def test_a_damaged_page_is_damage(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    SqliteStateStore(store).commit([Put("things", f"k{n}", {"t": "x" * 3_000}) for n in range(200)])
    store.close()
    with store.path.open("r+b") as stream:
        stream.seek(4_096 * 3)
        stream.write(os.urandom(4_096 * 150))
    broken = StoreFile(tmp_path)
    with pytest.raises(StoreDamaged):
        SqliteStateStore(broken).query("things")
    try:
        problems = broken.problems()
    except StoreDamaged:
        problems = ["too damaged to look"]
    assert problems


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    store_path(tmp_path).parent.mkdir()
    connection = sqlite3.connect(store_path(tmp_path))
    connection.execute("CREATE TABLE theirs (a)")
    connection.commit()
    connection.close()
    before = store_path(tmp_path).read_bytes()
    with pytest.raises(StoreDamaged, match="no Mendline store"):
        StoreFile(tmp_path)
    assert store_path(tmp_path).read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="writable"):
        StoreFile(tmp_path / "file")


# ── a user who may only read ──

READER = """
import os, sys
from pathlib import Path
from pydantic_core import to_json
from shared.adapters.local.store_file import StoreFile
from shared.adapters.local.state_store import SqliteStateStore
from shared.ports.state_store import Put
to_json({})  # loads what it needs, which may lie where the other user cannot read
if os.geteuid() == 0:
    os.setuid(65534)
try:
    store = SqliteStateStore(StoreFile(Path(sys.argv[1])))
    print("opened", store.get("things", "k"))
    store.commit([Put("things", "l", {})])
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user reaches, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        for path in (Path(folder) / ".mend", *(Path(folder) / ".mend").glob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_read_only_store_says_what_to_do(open_folder: Path, folder_mode: int) -> None:
    """Method: a real process of a user without the right to write (root has every right)."""
    store = StoreFile(open_folder)
    SqliteStateStore(store).commit([Put("things", "k", {"n": 1})])
    if folder_mode == 0o555:
        store.close()
    for path in store.path.parent.glob("*"):
        path.chmod(0o444)
    store.path.parent.chmod(folder_mode)
    outcome = subprocess.run(
        [sys.executable, "-c", READER, str(open_folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert outcome.returncode == 0, outcome.stderr
    last = outcome.stdout.strip().splitlines()[-1]
    assert last.startswith("StoreUnavailable"), last
    assert "writable for this user" in last or "may read and write it" in last


# ── SQLite's errors ──


def test_every_result_code_has_a_meaning() -> None:
    assert set(range(1, 29)) == set(MEANINGS), "SQLite's primary result codes are 1 to 28"


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_extended_codes_mean_what_their_first_byte_means(code: int) -> None:
    error = sqlite3.OperationalError("says 'a cell' here")
    for extended in (code, code | 7 << 8):
        error.sqlite_errorcode = extended
        error.sqlite_errorname = "SQLITE_X"
        ours = translate(error, Path("p/store.db"))
        assert type(ours) is MEANINGS[code].error
        assert str(ours) == f"store p/store.db: {MEANINGS[code].advice} (SQLITE_X)"


def test_what_python_refuses_is_a_bug(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    with pytest.raises(InvariantBroken), store.reading() as connection:
        connection.execute("SELECT ?", (1, 2))


def _three_commits_together(store: StoreFile, state: SqliteStateStore) -> None:
    with store.together():
        state.commit([Put("things", "k", {"n": 3})])
        with pytest.raises(StoreUnavailable):
            state.commit([Put("things", "l", {"t": "x" * 100_000})])
        # SQLite took everything back: what follows must not be written on its own.
        state.commit([Put("things", "k", {"n": 4})])


def test_a_full_disk_changes_nothing_and_says_so(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    state = SqliteStateStore(store)
    state.commit([Put("things", "k", {"n": 1})])
    with store.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StoreUnavailable, match="free some space"):
        state.commit([Put("things", "k", {"n": 2}), Put("things", "l", {"t": "x" * 100_000})])
    with pytest.raises(StoreUnavailable):
        _three_commits_together(store, state)
    with store.reading() as connection:
        connection.execute("PRAGMA max_page_count = 1073741823")
    stored = state.get("things", "k")
    assert stored is not None
    assert stored.data == {"n": 1}
    state.commit([Put("things", "k", {"n": 5})])


def test_a_lock_that_stays_is_unavailable(tmp_path: Path) -> None:
    holder, waiter = StoreFile(tmp_path), StoreFile(tmp_path, busy_seconds=0.05)
    with holder.writing(), pytest.raises(StoreUnavailable, match="another process"):
        SqliteStateStore(waiter).commit([Put("things", "k", {})])
    SqliteStateStore(waiter).commit([Put("things", "k", {})])


def test_a_thread_that_writes_long_is_unavailable_too(tmp_path: Path) -> None:
    store = StoreFile(tmp_path, busy_seconds=0.05)
    caught: list[BaseException] = []

    def write() -> None:
        try:
            SqliteStateStore(store).commit([Put("things", "k", {})])
        except StoreUnavailable as error:
            caught.append(error)

    with store.writing():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(10)
    assert len(caught) == 1
    SqliteStateStore(store).commit([Put("things", "k", {})])


# ── together ──


def test_together_is_all_or_nothing(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    state, bus = SqliteStateStore(store), SqliteEventBus(store, SystemClock())
    bus.subscribe([QUEUE])
    bus.publish([Message("t", b"cause", {})])
    [delivery] = bus.pull([QUEUE.name], 1, 60.0)
    with pytest.raises(Conflict), store.together():  # noqa: PT012 - the whole block is what is taken back
        bus.publish([Message("t", b"effect", {})])
        bus.ack(delivery)
        state.commit([Put("things", "k", {})], [Expect("things", "k", 7)])
    assert bus.pull([QUEUE.name], 5, 60.0) == []
    with store.together():
        state.commit([Put("things", "k", {})], [Expect("things", "k", 0)])
        bus.publish([Message("t", b"effect", {})])
        bus.ack(delivery)
        [following] = bus.pull([QUEUE.name], 5, 60.0)
        other = SqliteStateStore(StoreFile(tmp_path))
        assert other.get("things", "k") is None, "nobody else sees a part of it"
    assert other.get("things", "k") is not None
    assert following.data == b"effect"


def test_a_part_that_fails_is_taken_back_alone(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    state = SqliteStateStore(store)
    with store.together():
        state.commit([Put("things", "first", {})])
        with pytest.raises(Conflict):
            state.commit([Put("things", "lost", {})], [Expect("things", "first", 0), Expect("things", "x", 9)])
        with pytest.raises(LimitExceeded):
            state.commit([Put("things", "k" * 2_000, {})])
        state.commit([Put("things", "second", {})])
    assert [each.key for each in state.query("things")] == ["first", "second"]


def test_closed_and_used_again(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    state = SqliteStateStore(store)
    state.commit([Put("things", "k", {})])
    store.close()
    store.close()
    assert state.get("things", "k") is not None


# ── the history ──


def test_events_stay_and_others_do_not(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    bus = SqliteEventBus(store, SystemClock())
    bus.subscribe([QUEUE])
    payload = '{"id": "e1", "time": 5, "subject": "b1", "correlation_id": "c1", "more": "ü"}'
    ids = bus.publish(
        [
            Message("t", payload.encode(), {"ce-id": "e1", "ce-type": "batch.staged.v1"}),
            Message("nobody-listens", payload.encode(), {"ce-id": "e1", "ce-type": "batch.staged.v1"}),
            Message("t", payload.encode(), {}),
            Message("t", b"\xff", {"ce-id": "e2"}),
            Message("t", b"[1]", {"ce-id": "e3"}),
            Message("t", b"[" * 100_000, {"ce-id": "e4"}),
            Message(DEAD_LETTER_TOPIC, payload.encode(), {"ce-id": "e1"}),
            Message("t", b'{"time": 99999999999999999999, "subject": "\\ud800"}', {"ce-id": "e5"}),
        ]
    )
    for delivery in bus.pull([QUEUE.name], 100, 60.0):
        bus.ack(delivery)
    with store.reading() as connection:
        rows = connection.execute(
            "SELECT event_id, type, time_us, subject, correlation_id, payload, message_id FROM events ORDER BY position"
        ).fetchall()
        left = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
    first = ("e1", "batch.staged.v1", 5, "b1", "c1", payload)
    assert rows[:2] == [(*first, ids[0]), (*first, ids[1])]
    assert len(rows) == 3
    assert rows[2][3] == "?"
    assert left == 0, "what everybody has acknowledged leaves the bus"
