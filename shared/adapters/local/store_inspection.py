"""Looks at a store's file without making, migrating or changing anything: what is wrong, what is left undone."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from shared.adapters.local import lease_holder
from shared.adapters.local.store_file import APPLICATION_ID, SCHEMA_VERSION, translate
from shared.domain.errors import MendError, StoreDamaged
from shared.domain.store_health import DeadLetter, KeptEvent, Queue, Readable, StoreHealth, Stuck, Timer

LISTED_MAX = 50

_RECEIPTS = """SELECT json_extract(data, '$.service'), json_extract(data, '$.event_id'),
        json_extract(data, '$.event_type'), json_extract(data, '$.at'), json_extract(data, '$.failures')
    FROM documents WHERE collection = 'receipts' AND json_extract(data, '$.at') < ? AND {condition}
    ORDER BY 4 LIMIT ?"""
_QUEUES = """SELECT subscription, count(*), sum(due_at < ? AND holder = ''), max(attempts), min(due_at)
    FROM deliveries GROUP BY subscription ORDER BY subscription"""
_TIMERS = """SELECT collection, key, json_extract(data, '$.wake_at') FROM documents
    WHERE collection IN (SELECT value FROM json_each(?)) AND json_extract(data, '$.wake_at') > 0
    AND json_extract(data, '$.wake_at') < ? ORDER BY 3 LIMIT ?"""
_DEAD_LETTERS = """SELECT i.key, json_extract(i.data, '$.service'), json_extract(i.data, '$.event_id'),
        coalesce(json_extract(h.data, '$.state'), json_extract(i.data, '$.state'), '')
    FROM documents i LEFT JOIN documents h ON h.collection = 'healings' AND h.key = i.key
    LEFT JOIN documents r ON r.collection = 'receipts'
        AND r.key = json_extract(i.data, '$.service') || ':' || json_extract(i.data, '$.event_id')
    WHERE i.collection = 'incidents' AND json_extract(i.data, '$.origin') = 'dead_letter'
    AND coalesce(json_extract(r.data, '$.state'), '') <> 'handled' ORDER BY 1 LIMIT ?"""
_PIPELINES = """SELECT DISTINCT json_extract(data, '$.pipeline') FROM documents
    WHERE collection = 'deliveries' ORDER BY 1"""
_EVENT = "SELECT type, payload FROM events WHERE event_id = ? ORDER BY position LIMIT 1"

# What is worth saving, by its table; and what a row of it is called.
_SALVAGED = {"documents": "collection", "events": "'events'", "messages": "'messages'"}
_ROWS_PASSED_OVER_MAX = 1 << 40


class StoreInspection:
    """The store's file in ``root``, opened for reading only."""

    def __init__(self, root: Path) -> None:
        self.path = root / ".mend" / "store.db"
        self._warehouse_lock = root / "warehouse.duckdb.lock"

    def health(self, before: int, timers: Sequence[str] = ()) -> StoreHealth:
        """Everything that is wrong or was left undone before a moment (microseconds); ``timers`` are collections."""
        in_use = self._in_use()
        found = self._health(before, timers)
        if found.state == "damaged" and self._in_use() and not in_use:
            return self._health(before, timers)  # somebody began to write while it was read as if at rest
        return found

    def _health(self, before: int, timers: Sequence[str]) -> StoreHealth:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return StoreHealth("missing")
        except OSError as error:
            return StoreHealth("unreadable", str(error.strerror))
        try:
            with self._opened() as connection:
                strange = _strange(connection)
                if strange is not None:
                    return StoreHealth(*strange, bytes=size)
                found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
                if found != ["ok"]:
                    problems = tuple(found)
                    return StoreHealth("damaged", "SQLite finds it damaged", size, 0, problems, self._readable())
                return _undone(connection, before, timers, size)
        except StoreDamaged as error:
            return StoreHealth("damaged", str(error), size, readable=self._readable())
        except MendError as error:
            return StoreHealth("unreadable", str(error), size)

    def _readable(self) -> tuple[Readable, ...]:
        """How many rows of what come out of the file, page by page around the damage."""
        counted: Counter[str] = Counter()
        try:
            with self._opened() as connection:
                connection.execute("PRAGMA cell_size_check = ON")
                for table, kind in _SALVAGED.items():
                    counted.update(_around_damage(connection, table, kind))
        except MendError:
            return ()  # not even its first page
        return tuple(Readable(what, rows) for what, rows in sorted(counted.items()))

    def event(self, event_id: str) -> KeptEvent | None:
        """The event of that id, if the bus has carried it."""
        with self._opened() as connection:
            row = connection.execute(_EVENT, (event_id,)).fetchone()
        return KeptEvent(*row) if row else None

    def warehouse_holder(self) -> int | None:
        """The process that has the warehouse in its hands now, 0 when it does not say; None when nobody has."""
        try:
            file = os.open(self._warehouse_lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            return int(text) if text.isdecimal() else 0
        finally:
            os.close(file)
        return None

    def _in_use(self) -> bool:
        return self.path.with_name("store.db-wal").exists()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        # Without a log beside it nobody has the file open, and SQLite may take it as it stands; else it would make one.
        address = f"file:{quote(str(self.path.resolve()))}?mode=ro" + ("" if self._in_use() else "&immutable=1")
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=5.0, isolation_level=None)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise translate(error, self.path) from error


def _around_damage(connection: sqlite3.Connection, table: str, kind: str) -> Iterator[str]:
    """What each row is that can be read whole, in the order of row numbers; a page that cannot is leapt over."""
    content = "payload" if table == "events" else "data"
    sql = f"SELECT rowid, {kind}, length({content}) FROM {table} WHERE rowid > ? ORDER BY rowid"
    last, leap = 0, 1
    while leap < _ROWS_PASSED_OVER_MAX:
        try:
            for row, what, _ in connection.execute(sql, (last,)):
                yield str(what)
                last, leap = int(row), 1
            return
        except sqlite3.DatabaseError:
            last, leap = last + leap, leap * 2


def _strange(connection: sqlite3.Connection) -> tuple[Literal["newer", "stranger"], str] | None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if application != APPLICATION_ID:
        return "stranger", "this SQLite file is no Mendline store"
    if version > SCHEMA_VERSION:
        return "newer", f"its format is {version}, this version knows up to {SCHEMA_VERSION}"
    return None


def _undone(connection: sqlite3.Connection, before: int, timers: Sequence[str], size: int) -> StoreHealth:
    def listed(sql: str, *values: int | str) -> list[tuple[Any, ...]]:
        return connection.execute(sql, values).fetchall()

    unpublished = _RECEIPTS.format(condition="json_extract(data, '$.published') = 0")
    failing = _RECEIPTS.format(condition="json_extract(data, '$.state') = 'failing'")
    holders = [str(row[0]) for row in listed("SELECT DISTINCT holder FROM deliveries WHERE holder <> ''")]
    return StoreHealth(
        "whole",
        bytes=size,
        format=SCHEMA_VERSION,
        unpublished=tuple(Stuck(*row) for row in listed(unpublished, before, LISTED_MAX)),
        failing=tuple(Stuck(*row) for row in listed(failing, before, LISTED_MAX)),
        queues=tuple(Queue(*row) for row in listed(_QUEUES, before)),
        holders=tuple(holder for holder in holders if lease_holder.is_dead(holder)),
        timers=tuple(Timer(*row) for row in listed(_TIMERS, json.dumps(list(timers)), before, LISTED_MAX)),
        dead_letters=tuple(DeadLetter(*(str(cell or "") for cell in row)) for row in listed(_DEAD_LETTERS, LISTED_MAX)),
        pipelines=tuple(str(row[0]) for row in listed(_PIPELINES)),
    )
