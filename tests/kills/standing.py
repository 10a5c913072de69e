"""What stood on the disk when a process had been killed: files without their record are effects before their commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

AT_REST = "after the commit: nothing under way"


class Standing(NamedTuple):
    """The furthest that the store had got, in words."""

    what: str
    log_left: bool  # DuckDB's log was still there: the warehouse was open

    @property
    def side(self) -> str:
        """Whether effects stood without the commit that records them."""
        return self.what.partition(":")[0]


def standing(root: Path) -> Standing:
    """Looks without changing anything (a copy is not needed: readers leave a WAL as it is)."""
    return Standing(_what(root), (root / "warehouse.duckdb.wal").exists())


def _what(root: Path) -> str:
    path = root / ".mend" / "store.db"
    if not path.exists() or path.stat().st_size == 0:
        return "before the commit: no store yet"
    # Without a log beside it a reader would make one; then the file is whole as it stands.
    more = "" if path.with_name("store.db-wal").exists() else "&immutable=1"
    with closing(sqlite3.connect(f"file:{path}?mode=ro{more}", uri=True)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return "before the commit: an empty store"
        for what in _ahead(root / "objects", connection):
            return f"before the commit: {what}"
        if connection.execute("SELECT count(*) FROM deliveries").fetchone()[0]:
            return "after the commit: messages under way"
    return AT_REST


def _ahead(objects: Path, connection: sqlite3.Connection) -> Iterator[str]:
    """Effects that no document tells of, the latest stage first."""

    def known(field: str, collection: str) -> set[str]:
        rows = connection.execute(f"SELECT {field} FROM documents WHERE collection = ?", (collection,))
        return {str(row[0]) for row in rows}

    loaded, judged = known("key", "loads"), known("key", "verdicts")
    if _attempts(objects.glob("manifests/*/*.json")) - loaded:
        yield "load begun, not recorded"
    if _attempts(objects.glob("before/*/*")) - loaded:
        yield "rows to be replaced kept, load not recorded"
    if _attempts(objects.glob("passed/*/*")) - judged or _attempts(objects.glob("quarantine/*/*")) - judged:
        yield "judged files, no verdict"
    if _attempts(objects.glob("repairs/*/*")) - known("key", "repairs"):
        yield "repairs written, not recorded"
    readings = known("key || ':' || json_array_length(data, '$.readings')", "deliveries")
    staged = _attempts(objects.glob("staged/*/a0001"))
    if staged - {f"{each.partition(':')[0]}:1" for each in readings if not each.endswith(":0")}:
        yield "staged, not recorded"
    raw = {str(path.relative_to(objects)) for path in objects.glob("raw/*/*/*")}
    if raw - known("json_extract(data, '$.raw_path')", "deliveries"):
        yield "bytes copied, not registered"
    if any(objects.glob(".unfinished/*")):
        yield "a file half written"


def _attempts(paths: Iterator[Path]) -> set[str]:
    """``BATCH:ATTEMPT`` of ``…/BATCH/a0002`` and ``…/BATCH.a0002.json``."""
    found = set()
    for path in paths:
        batch, attempt = path.name.split(".")[:2] if path.suffix == ".json" else (path.parent.name, path.name)
        if attempt[1:].isdecimal():
            found.add(f"{batch}:{int(attempt[1:])}")
    return found
