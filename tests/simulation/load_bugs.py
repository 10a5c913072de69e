"""Bugs of load and of the warehouse."""

from __future__ import annotations

import secrets
from typing import Any
from unittest.mock import patch

from shared.adapters.local import warehouse_rows
from shared.domain import ids
from shared.events.types import LoadDue

# ── load ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _random_job(original: Any) -> Any:
    return lambda *given: f"load-{secrets.token_hex(8)}"


def _upsert_by_batch_time_alone(original: Any) -> Any:
    """The row number is not compared: of two rows of one delivery any may win."""

    def upsert(self: Any, files: Any, keys: Any) -> int:
        with patch.object(warehouse_rows, "_NEWEST_FIRST", f"{warehouse_rows._SEQ} DESC, {warehouse_rows._ROW} ASC"):
            rows: int = original(self, files, keys)
        return rows

    return upsert


def _forgets_jobs(original: Any) -> Any:
    def run(self: Any, job: Any) -> Any:
        self._done.pop(job.job_id, None)
        return original(self, job)

    return run


def _plain_upsert_replaces(original: Any) -> Any:
    def upsert(self: Any, files: Any, keys: Any) -> int:
        places = self.places(keys)
        keyed = {tuple(row[place] for place in places) for row in self.fitted(files)}
        self.rows = [row for row in self.rows if tuple(row[place] for place in places) not in keyed]
        rows: int = original(self, files, keys)
        return rows

    return upsert


def _plain_overwrite_always(original: Any) -> Any:
    def overwrite(self: Any, files: Any, batch: str, seq: str) -> int:
        self.shown = None if self.shown is not None and self.shown.batch != batch else self.shown
        rows: int = original(self, files, batch, seq)
        return rows

    return overwrite


def _plain_equal_replaces(original: Any) -> Any:
    """What is as old as the row that is there takes its place."""

    def upsert(self: Any, files: Any, keys: Any) -> int:
        places, (_, number, seq) = self.places(keys), self._own()
        given = {(*(row[each] for each in places), row[seq], row[number]) for row in self.fitted(files)}
        self.rows = [row for row in self.rows if (*(row[each] for each in places), row[seq], row[number]) not in given]
        rows: int = original(self, files, keys)
        return rows

    return upsert


def _upsert_replaces_always(original: Any) -> Any:
    def upsert(self: Any, files: Any, keys: Any) -> int:
        columns = self.key_columns(keys)
        keyed = self.source(files, [column.name.casefold() for column in columns])
        self._count(f"DELETE FROM {self._sql} AS t USING {keyed} AS f WHERE {warehouse_rows._same(columns)}")
        rows: int = original(self, files, keys)
        return rows

    return upsert


def _drops_the_refused(original: Any) -> Any:
    """A group that is refused is not loaded one by one."""

    def load(event: Any, ports: Any) -> Any:
        return [each for each in original(event, ports) if len(event.members) == 1 or not isinstance(each, LoadDue)]

    return load


def _halted_is_done(original: Any) -> Any:
    """A job that a withdrawal or a refusal has halted is taken for one that was done."""
    return lambda *given: (original(*given), True)[1]


def _group_by_table(original: Any) -> Any:
    """Another group of the same table has the same job."""
    return lambda after, members: ids.derive(members[0].written.table)


def _blind_undo(original: Any) -> Any:
    """What stood there before the load comes back, whatever was loaded since."""

    def restorable(mode: str, standing: Any, every: Any, objects: Any) -> tuple[str, ...]:
        if mode == "append":
            return ()
        oldest = sorted(every, key=lambda each: each.seq)[:1]
        return tuple(file for each in oldest for file in each.files)

    return restorable
