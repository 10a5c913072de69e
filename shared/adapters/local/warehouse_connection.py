"""The open DuckDB database: shared by threads while in use, closed when idle or when another process wants it."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.adapters.local.warehouse_errors import DAMAGING, translated
from shared.adapters.local.warehouse_lock import WarehouseLock
from shared.adapters.local.warehouse_schema import TableName, stored_columns
from shared.adapters.table_shape import StoredColumn
from shared.domain.errors import WarehouseUnavailable

if TYPE_CHECKING:
    import duckdb

_WATCH_SECONDS: Final = 0.02

_BOOKS: Final = """
CREATE SCHEMA IF NOT EXISTS "_mend";
CREATE TABLE IF NOT EXISTS "_mend".jobs (
    job_id VARCHAR, table_name VARCHAR, "rows" BIGINT, "bytes" BIGINT, done_at BIGINT
);
CREATE TABLE IF NOT EXISTS "_mend"."tables" (table_name VARCHAR, shown_batch VARCHAR, shown_seq VARCHAR);
CREATE TABLE IF NOT EXISTS "_mend".upkeep (jobs BIGINT);
"""

# DuckDB puts short row groups together whenever it writes its file, which is half the cost of a load. Once in so many
# jobs is enough: what was deleted whole is given back at once all the same.
_TIDY_JOBS: Final = 20
_TIDY_TASKS: Final = 100
_USES_MAX: Final = 200  # before the file is closed and opened again, so that its turn to be tidied comes
_MARK = slice(8, 12)  # where DuckDB marks its files


class WarehouseSettings(NamedTuple):
    """``idle_seconds``: 0 closes after every use; None never closes by itself and starts no thread.

    It outlasts what lies between reading parents' keys and loading a middling batch: opening anew costs more than most
    reads, and whoever else wants the file is let in before.

    ``hold_seconds`` is how long we work on while another process waits, so that opening does not cost more than work.
    """

    idle_seconds: float | None = 1.0
    hold_seconds: float = 0.25
    wait_seconds: float = 60.0
    memory_limit: str = "400MB"
    threads: int = 2


class WarehouseConnection:
    """Lends cursors of one database; the file is open, and its lock held, only while that is of use."""

    def __init__(self, path: Path, objects_root: Path, lock: WarehouseLock, settings: WarehouseSettings) -> None:
        self._path = path
        self._objects_root = objects_root
        self._lock = lock
        self._settings = settings
        self._gate = threading.Condition()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._users = 0
        self._uses = 0
        self._damaged = False
        self._opened_at = 0.0
        self._used_at = 0.0
        self._watching = False
        # What the catalogue says of tables, for as long as nobody else can change it.
        self._columns: dict[str, dict[str, StoredColumn]] = {}
        self._generation = 0

    def columns(self, cursor: duckdb.DuckDBPyConnection, name: TableName) -> dict[str, StoredColumn]:
        """``stored_columns``, asked once while the file stays open or until ``forget_columns``."""
        known = self._columns.get(name.folded)
        if known is None:
            generation = self._generation
            known = stored_columns(cursor, name)
            if generation == self._generation:  # a writer may have committed since
                self._columns[name.folded] = known
        return known

    def forget_columns(self) -> None:
        """A table was changed, and the change is committed."""
        self._generation += 1
        self._columns.clear()

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own to the database; errors of DuckDB leave as ours."""
        import duckdb

        cursor = self._take()
        damaged = False
        try:
            yield cursor
        except duckdb.Error as error:
            damaged = type(error).__name__ in DAMAGING
            raise translated(error) from None
        finally:
            self._give_back(cursor, damaged)

    def close(self) -> None:
        """Close the file and release its lock, whoever still reads."""
        with self._gate:
            self._shut()
            self._lock.close()

    def _take(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        with self._gate:
            if self._database is not None and self._damaged and self._users == 0:
                self._shut()
            if self._database is None:
                self._lock.acquire()
                try:
                    self._database = self._open()
                except duckdb.Error as error:
                    told = translated(error)
                    if not isinstance(told, WarehouseUnavailable):
                        raise told from None
                    advice = "if its file is damaged, put back a copy of it, then run again"
                    raise WarehouseUnavailable(f"warehouse {self._path} cannot be opened: {told}; {advice}") from None
                finally:
                    if self._database is None:
                        self._lock.release()
                self._opened_at = time.monotonic()
                atexit.register(self.close)  # a process that just ends leaves no log to replay
            cursor = self._database.cursor()
            self._users += 1
            self._uses += 1
            return cursor

    def _give_back(self, cursor: duckdb.DuckDBPyConnection, damaged: bool) -> None:
        with self._gate:
            cursor.close()
            self._users = max(0, self._users - 1)
            self._damaged = self._damaged or damaged
            self._used_at = time.monotonic()
            if self._database is None or self._users > 0:
                return
            if self._settings.idle_seconds == 0 or self._uses >= _USES_MAX or self._should_yield():
                self._shut()
            elif self._settings.idle_seconds is not None and not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="warehouse-idle", daemon=True).start()

    def _open(self) -> duckdb.DuckDBPyConnection:
        """Open the file so that SQL reaches nothing but it and the object store."""
        import duckdb

        self._path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_damaged(self._path)
        database = duckdb.connect(
            str(self._path),
            config={
                "memory_limit": self._settings.memory_limit,
                "threads": self._settings.threads,
                "preserve_insertion_order": False,
                "temp_directory": str(self._path.with_name(self._path.name + ".tmp")),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        database.execute(_BOOKS)
        database.execute(f"SET GLOBAL max_vacuum_tasks = {_TIDY_TASKS if _is_untidy(database) else 0}")
        folder = str(self._objects_root.resolve()).replace("'", "''") + "/"
        database.execute(
            f"SET allowed_directories = ['{folder}']; SET GLOBAL TimeZone = 'UTC'; "
            "SET enable_external_access = false; SET lock_configuration = true;"
        )
        return database

    def _should_yield(self) -> bool:
        held = time.monotonic() - self._opened_at
        return held >= self._settings.hold_seconds and self._lock.wanted()

    def _shut(self) -> None:
        if self._database is None:
            return
        database, self._database = self._database, None
        self._damaged = False
        self.forget_columns()
        self._users = self._uses = 0
        atexit.unregister(self.close)
        try:
            database.close()
        finally:
            self._lock.release()

    def _watch(self) -> None:
        idle = self._settings.idle_seconds or 0.0
        with self._gate:
            while self._database is not None:
                if self._users == 0 and (time.monotonic() - self._used_at >= idle or self._should_yield()):
                    self._shut()
                    break
                self._gate.wait(_WATCH_SECONDS)
            self._watching = False


def _is_untidy(database: duckdb.DuckDBPyConnection) -> bool:
    """True once in ``_TIDY_JOBS`` jobs, for as long as the file then stays open."""
    jobs, tidied = database.execute(
        'SELECT (SELECT count(*) FROM "_mend".jobs), (SELECT coalesce(max(jobs), 0) FROM "_mend".upkeep)'
    ).fetchall()[0]
    if jobs - tidied < _TIDY_JOBS:
        return False
    database.execute('DELETE FROM "_mend".upkeep')
    database.execute('INSERT INTO "_mend".upkeep VALUES (?)', [jobs])
    return True


def _refuse_damaged(path: Path) -> None:
    """Say in our words that a file is no database; DuckDB would only quote its name."""
    try:
        with path.open("rb") as file:
            head = file.read(_MARK.stop)
    except FileNotFoundError:
        return
    if head and head[_MARK] != b"DUCK":
        what = f"warehouse {path}: the file is damaged or no DuckDB database"
        raise WarehouseUnavailable(f"{what}; put back a copy of it, then run again")
