"""The SQLite file under the local bus, state store and history: opened, versioned, shared, its errors translated."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from shared.domain.errors import InvariantBroken, LimitExceeded, MendError, StoreDamaged, StoreTooNew, StoreUnavailable

APPLICATION_ID = 0x4D454E44  # "MEND", so that somebody else's SQLite file is not taken for a store
SCHEMA_VERSION = 1
BUSY_SECONDS = 20.0
CACHED_STATEMENTS = 256

_SCHEMA = (
    # Numbers that only grow: of messages, and of documents' versions.
    "CREATE TABLE sequences (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO sequences VALUES ('message', 0), ('version', 0)",
    """CREATE TABLE subscriptions (
        name TEXT PRIMARY KEY, topic TEXT NOT NULL, service TEXT NOT NULL, priority INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # `waiting` counts the deliveries that are left; the message goes with the last one.
    """CREATE TABLE messages (
        number INTEGER PRIMARY KEY, topic TEXT NOT NULL, data BLOB NOT NULL, attributes TEXT NOT NULL,
        ordering_key TEXT NOT NULL, published_at INTEGER NOT NULL, waiting INTEGER NOT NULL
    )""",
    """CREATE TABLE deliveries (
        subscription TEXT NOT NULL, number INTEGER NOT NULL, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
        ordering_key TEXT NOT NULL, holder TEXT NOT NULL DEFAULT '', PRIMARY KEY (subscription, number)
    ) WITHOUT ROWID""",
    """CREATE INDEX deliveries_held ON deliveries (holder) WHERE holder <> ''""",
    """CREATE INDEX deliveries_keyed ON deliveries (subscription, ordering_key, number) WHERE ordering_key <> ''""",
    # The local history: what the bus carried, as the cloud's history tables keep it (rows may repeat per event id).
    """CREATE TABLE events (
        position INTEGER PRIMARY KEY, event_id TEXT NOT NULL, type TEXT NOT NULL, time_us INTEGER NOT NULL,
        subject TEXT NOT NULL, correlation_id TEXT NOT NULL, payload TEXT NOT NULL, published_at INTEGER NOT NULL,
        message_id TEXT NOT NULL
    )""",
    """CREATE TABLE documents (
        collection TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, data TEXT NOT NULL,
        UNIQUE (collection, key)
    )""",
)


class _Meaning(NamedTuple):
    """What an SQLite result code is to us, and what a person can do about it."""

    error: type[MendError]
    advice: str


_LOCKED = _Meaning(StoreUnavailable, "another process keeps it locked; wait, or end that process")
_READ_ONLY = _Meaning(
    StoreUnavailable, "it cannot be written; make the file and its folder writable for this user, then try again"
)
_DAMAGED = _Meaning(
    StoreDamaged, "it is damaged or no store; put back a copy of the .mend folder, or move it away to start anew"
)
_TROUBLE = _Meaning(StoreUnavailable, "the disk or the system did not do what SQLite asked; check the disk")
_INTERRUPTED = _Meaning(StoreUnavailable, "the work was interrupted; it will be tried again")
_BUG = _Meaning(InvariantBroken, "Mendline used it wrongly; this is a bug")

# By primary result code; every code that SQLite can return is here, which a test asserts.
MEANINGS: dict[int, _Meaning] = {
    sqlite3.SQLITE_ERROR: _BUG,
    sqlite3.SQLITE_INTERNAL: _BUG,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_ABORT: _INTERRUPTED,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_NOMEM: _Meaning(StoreUnavailable, "there was not enough memory; close something, then try again"),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_INTERRUPT: _INTERRUPTED,
    sqlite3.SQLITE_IOERR: _TROUBLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTFOUND: _BUG,
    sqlite3.SQLITE_FULL: _Meaning(StoreUnavailable, "the disk is full; free some space, then try again"),
    sqlite3.SQLITE_CANTOPEN: _Meaning(
        StoreUnavailable, "it cannot be opened; check that its folder exists and that this user may read and write it"
    ),
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_EMPTY: _BUG,
    sqlite3.SQLITE_SCHEMA: _INTERRUPTED,
    sqlite3.SQLITE_TOOBIG: _Meaning(LimitExceeded, "a value is larger than SQLite holds"),
    sqlite3.SQLITE_CONSTRAINT: _BUG,
    sqlite3.SQLITE_MISMATCH: _BUG,
    sqlite3.SQLITE_MISUSE: _BUG,
    sqlite3.SQLITE_NOLFS: _TROUBLE,
    sqlite3.SQLITE_AUTH: _READ_ONLY,
    sqlite3.SQLITE_FORMAT: _DAMAGED,
    sqlite3.SQLITE_RANGE: _BUG,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_NOTICE: _TROUBLE,
    sqlite3.SQLITE_WARNING: _TROUBLE,
}


def translate(error: sqlite3.Error, path: Path) -> MendError:
    """Our error for SQLite's, by its result code; what Python itself refuses (a closed connection) is a bug."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    meaning = _BUG if code is None else MEANINGS.get(code & 0xFF, _TROUBLE)
    return meaning.error(f"store {path}: {meaning.advice} ({name})")


class _Connection(sqlite3.Connection):
    """One thread's connection, and how deep it stands in transactions."""

    depth = 0
    durable = True
    deferring = False


class StoreFile:
    """``<root>/.mend/store.db``: WAL, FULL; any number of threads and processes may use it at once.

    Each thread has its own connection. Writers of this process queue at a lock, those of other processes at SQLite's.
    """

    def __init__(self, root: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = root / ".mend" / "store.db"
        self._busy_seconds = busy_seconds
        self._inherited: list[object] = []
        self._start_process()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                f"store {self.path}: its folder cannot be made; make {root} writable for this user ({error.strerror})"
            ) from error
        with self.reading():
            pass

    # ── transactions ──

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection; sees what its open transaction wrote, and what others committed."""
        connection = self._connection()
        try:
            yield connection
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: all or nothing, on the disk when the context ends.

        Inside another one of the same thread it is a part of that one and is taken back alone when it fails.
        ``durable=False`` leaves the moment of reaching the disk to the next durable one: a power failure (not the
        death of the process) may take it back whole, which is right for leases and acknowledgements.
        """
        connection = self._connection()
        durable = durable and not connection.deferring
        nested = connection.depth > 0
        opening = f"SAVEPOINT part{connection.depth}" if nested else "BEGIN IMMEDIATE"
        closing = f"RELEASE part{connection.depth}" if nested else "COMMIT"
        if not nested and not self._writers.acquire(timeout=self._busy_seconds):
            raise StoreUnavailable(f"store {self.path}: {_LOCKED.advice} (another thread writes)")
        try:
            if nested and not connection.in_transaction:
                raise StoreUnavailable(f"store {self.path}: the transaction that this belongs to has failed")
            if not nested and connection.durable != durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                connection.durable = durable
            connection.execute(opening)
            connection.depth += 1
            try:
                yield connection
                # SQLite takes back the whole transaction by itself when the disk is full.
                if not connection.in_transaction:
                    raise StoreUnavailable(f"store {self.path}: the transaction failed and was taken back")
                connection.execute(closing)
                closing = ""
            finally:
                connection.depth -= 1
                if closing and connection.in_transaction:
                    if nested:
                        connection.execute(f"ROLLBACK TO part{connection.depth}")
                        connection.execute(closing)
                    else:
                        connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        finally:
            if not nested:
                self._writers.release()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything that this thread does here to the bus and the state store is one transaction, with one fsync.

        What the runtime does after a handler (commit, publish, acknowledge, pull the next) thus becomes visible and
        durable in one step. Other writers wait meanwhile: nothing slow belongs inside.
        """
        with self.writing():
            yield

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """What this thread commits meanwhile reaches the disk with its next durable transaction after that.

        The file keeps the order of commits: a power failure takes back the last ones, never one in their midst. So
        whoever acknowledges in a durable transaction afterwards acknowledges only what is on the disk.
        """
        connection = self._connection()
        connection.deferring = True
        try:
            yield
        finally:
            connection.deferring = False

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file; [] when it is whole. Reads all of it."""
        with self.reading() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close this process's connections; a later use opens new ones."""
        for connection in list(self._open):
            connection.close()
        self._start_process()

    # ── connections ──

    def _start_process(self) -> None:
        self._pid = os.getpid()
        self._local = threading.local()
        self._open: WeakSet[_Connection] = WeakSet()
        # A process that ends leaves one whole file and no log beside it.
        weakref.finalize(self, _close_own, self._pid, self._open)
        self._writers = threading.Lock()

    def _connection(self) -> _Connection:
        if self._pid != os.getpid():
            # A forked child must neither use nor close what its parent opened.
            self._inherited += [self._local, *self._open]
            self._start_process()
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            try:
                connection = self._opened()
            except sqlite3.Error as error:
                raise translate(error, self.path) from error
            self._local.connection = connection
            self._open.add(connection)
        return connection

    def _opened(self) -> _Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
            factory=_Connection,
        )
        done = False
        try:
            self._prepare(connection)
            done = True
        finally:
            if not done:
                connection.close()
        return connection

    def _prepare(self, connection: _Connection) -> None:
        self._refuse_strangers(connection)
        if self._shared_mode(connection) != "wal":
            raise StoreUnavailable(f"store {self.path}: this file system cannot share it; use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        if self._version(connection) < SCHEMA_VERSION:
            self._migrate(connection)

    def _shared_mode(self, connection: _Connection) -> str:
        """Switch the file to WAL; SQLite does not wait by itself when two processes do that to a new file at once."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def _refuse_strangers(self, connection: _Connection) -> None:
        """Before anything is written: is this a store, and one that we understand?

        Read in one transaction: another process may be making this store new in the same moment.
        """
        connection.execute("BEGIN")
        try:
            version = self._version(connection)
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if application != APPLICATION_ID and (version or application or tables):
            raise StoreDamaged(f"store {self.path}: this SQLite file is no Mendline store; move it away to start anew")
        if version > SCHEMA_VERSION:
            raise StoreTooNew(
                f"store {self.path}: a newer version of Mendline made it (its format is {version}, "
                f"this one knows up to {SCHEMA_VERSION}); install that version or a later one"
            )

    @staticmethod
    def _version(connection: _Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, connection: _Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._version(connection) < SCHEMA_VERSION:  # another process may have been faster
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _close_own(pid: int, connections: WeakSet[_Connection]) -> None:
    if pid == os.getpid():
        for connection in list(connections):
            connection.close()


def next_numbers(connection: sqlite3.Connection, name: str, count: int) -> int:
    """The first of ``count`` numbers that were never given before; within a transaction."""
    row = connection.execute("UPDATE sequences SET value = value + ? WHERE name = ? RETURNING value", (count, name))
    return int(row.fetchone()[0]) - count + 1
