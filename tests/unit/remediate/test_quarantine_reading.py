"""A quarantine of few rows is read once however often it is asked, one of many never stays in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pytest

from services.remediate import quarantine
from services.remediate.quarantine import Quarantine
from services.remediate.records import Attempt, Healing
from shared.adapters.local.object_store import FolderObjectStore
from shared.domain import paths


class CountingStore(FolderObjectStore):
    """Notes what is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, durable=False)
        self.read_paths: list[str] = []

    @contextmanager
    def read(self, path: str) -> Iterator[BinaryIO]:
        self.read_paths.append(path)
        with super().read(path) as stream:
            yield stream


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    store = CountingStore(tmp_path)
    for part in range(2):
        rows = pl.DataFrame({"_mend_row": [2 * part + 1, 2 * part + 2], "x": ["a", "b"]}).with_columns(
            _mend_raw=pl.lit(None, dtype=pl.String),
            _mend_misfit=pl.lit(None, dtype=pl.String),
            _mend_violations=pl.concat_list(
                pl.struct(check=pl.lit("enum"), column=pl.lit("x"), value=pl.col("x"), explanation=pl.lit(""))
            ),
        )
        with store.write(paths.part(paths.quarantine("b1", 1), part)) as stream:
            rows.write_parquet(stream)
    return store


def asked_thrice(store: CountingStore) -> None:
    attempt = Attempt(number=1, reading=1, verdict="released", rows=4, rows_quarantined=4)
    asked = Quarantine(store, Healing(batch_id="b1", pipeline="p", attempts=[attempt]))
    for _ in range(3):
        assert asked.counts() == {("enum", "x"): 4}
        assert asked.values("x", "x").rows() == [("a", 2), ("b", 2)]
        assert asked.columns() == {"x": pl.String}


def test_few_rows_are_read_once(store: CountingStore) -> None:
    asked_thrice(store)
    assert len(store.read_paths) == 2


def test_many_rows_are_read_part_by_part_each_time(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "KEPT_BYTES_MAX", 50)
    asked_thrice(store)
    assert len(store.read_paths) == 3 * (2 + 2 + 1)
