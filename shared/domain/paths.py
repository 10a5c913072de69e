"""Where every file of a batch lies in the object store; all names are derived, so a repeated write lands in place."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(name: str) -> str:
    """A stranger's file name as a path segment: last segment only, ASCII, at most 120 characters, never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    cleaned = _UNSAFE.sub("_", last).lstrip(".")[-120:]
    return cleaned or "unnamed"


def raw(pipeline: str, batch: str, file_name: str) -> str:
    """The delivered bytes, unchanged."""
    return f"raw/{pipeline}/{batch}/{safe_name(file_name)}"


def _attempt(kind: str, batch: str, attempt: int) -> str:
    return f"{kind}/{batch}/a{attempt:04d}/"


def staged(batch: str, attempt: int) -> str:
    """Folder of the rows that enter an attempt."""
    return _attempt("staged", batch, attempt)


def passed(batch: str, attempt: int) -> str:
    """Folder of the typed rows that passed an attempt."""
    return _attempt("passed", batch, attempt)


def quarantine(batch: str, attempt: int) -> str:
    """Folder of the rows that failed an attempt, with their violations."""
    return _attempt("quarantine", batch, attempt)


def loaded(batch: str, attempt: int) -> str:
    """Folder of the table-shaped rows that a transform made; without one, the passed rows are loaded as they are."""
    return _attempt("loaded", batch, attempt)


def manifest(table: str, batch: str, attempt: int) -> str:
    """File that says which rows an attempt gives to a table; written before the warehouse is touched."""
    return f"{manifests(table)}{batch}.a{attempt:04d}.json"


def manifests(table: str) -> str:
    """Folder of a table's manifests."""
    return f"manifests/{safe_name(table)}/"


def withdrawal(table: str, batch: str, reading: int, attempt: int) -> str:
    """Empty file that says, by its name alone, that rows are to leave a table; written before any of them does."""
    return f"{withdrawals(table)}{batch}.r{reading:04d}.a{attempt:04d}"


def withdrawals(table: str) -> str:
    """Folder of a table's withdrawals."""
    return f"withdrawals/{safe_name(table)}/"


def discarded(batch: str, attempt: int, service: str) -> str:
    """File of the rows a service dropped in an attempt, each with a reason."""
    return f"{_attempt('discarded', batch, attempt)}{service}.parquet"


def before(batch: str, attempt: int) -> str:
    """File of the warehouse rows that a load replaced."""
    return f"{_attempt('before', batch, attempt)}rows.parquet"


def before_foreign(batch: str, attempt: int) -> str:
    """File of those replaced rows that Mendline had not loaded, and so has nowhere else."""
    return f"{_attempt('before', batch, attempt)}foreign.parquet"


def before_superseded(batch: str, attempt: int) -> str:
    """List of the earlier files of foreign rows that an attempt's stands for."""
    return f"{_attempt('before', batch, attempt)}superseded.json"


def repairs(batch: str, attempt: int) -> str:
    """File of the cells that a remedy changed to make an attempt."""
    return f"{_attempt('repairs', batch, attempt)}cells.parquet"


def snapshot(table: str, digest: str) -> str:
    """File of a parent table's keys as a verdict saw them."""
    return f"snapshots/{safe_name(table)}/{digest}.parquet"


def rows_snapshot(table: str, digest: str) -> str:
    """File of some columns of another table, all its rows, as a verdict saw them."""
    return f"snapshots/{safe_name(table)}.rows/{digest}.parquet"


def contract_text(version: str) -> str:
    """File of a contract as it judged batches; ``version`` is what their verdicts call it, ``path@digest``."""
    path, _, digest = version.rpartition("@")
    return f"contract_texts/{digest}/{safe_name(path)}"


def part(folder: str, number: int) -> str:
    """The nth (from 0) part of a folder of rows."""
    return f"{folder}part-{number:05d}.parquet"


def attempt_of(path: str) -> int:
    """The attempt number in any path made here; 0 when there is none."""
    found = re.search(r"/a(\d{4,})/", path)
    return int(found.group(1)) if found else 0
