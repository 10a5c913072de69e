"""Goal: another reading of a delivery takes the old one's place when it is better, and gives it back when it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shared.domain import paths
from shared.events.types import (
    BatchStaged,
    BatchWithdraw,
    Event,
    SourceReread,
)
from shared.ports.state_store import Put
from tests.unit.remediate.test_healing import trips
from tests.unit.remediate.world import BATCH, World

NEWER = "b0000000000000000002"


def rereading(world: World) -> Callable[[SourceReread], list[Event]]:
    """ingest: the same rows again, as the next reading."""

    def reread(event: SourceReread) -> list[Event]:
        world.loaded.clear()
        made = world.process.store.get("deliveries", BATCH)
        assert made is not None
        reading = len(made.data["readings"]) + 1
        readings = [*made.data["readings"], {"options": event.reading_options_json}]
        world.process.store.commit([Put("deliveries", BATCH, {**made.data, "readings": readings})])
        rows = trips().with_columns(
            _mend_row=pl.int_range(1, 21, dtype=pl.Int64),
            _mend_raw=pl.lit(None, dtype=pl.String),
            _mend_misfit=pl.lit(None, dtype=pl.String),
        )
        path = paths.part(paths.staged(BATCH, event.attempt), 0)
        world.write(path, rows)
        return [
            BatchStaged.caused_by(event, "staged", 1, batch_id=BATCH, pipeline="trips", attempt=event.attempt,
                                  reading=reading, seq="s1", parts=[path], rows=20)
        ]  # fmt: skip

    return reread


@pytest.mark.parametrize("works", [True, False])
def test_another_reading_takes_the_old_ones_place_or_gives_it_back(tmp_path: Path, works: bool) -> None:
    world = World(tmp_path, [])

    def hold(rows: pl.DataFrame, event: BatchStaged) -> list[dict[str, Any]]:
        if event.reading == 2 and works:
            return []
        return [{"check": "missing_columns", "cause": "wrong_dialect", "missing": ["price"], "missing_count": 1,
                 "alternatives": [{"format": "csv", "delimiter": ";"}]}]  # fmt: skip

    world.hold, world.on_reread = hold, rereading(world)
    world.deliver(trips())
    healing = world.healing()
    (record,) = world.remedies()
    if works:
        assert record.state == "verified"
        assert [each.state for each in healing.attempts] == ["withdrawn", "done"]
        assert world.waiting_rows() == set()
    else:
        assert record.state == "undone"
        assert [each.state for each in healing.attempts][:2] == ["withdrawn", "withdrawn"]
        assert healing.reading == 3
        assert world.finding("missing_columns").state == "escalated"
    assert len(world.of(BatchWithdraw)) == (1 if works else 2)
    world.places(20)


def test_a_reading_under_which_no_row_can_be_looked_at_heals_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, [])

    def hold(rows: pl.DataFrame, event: BatchStaged) -> list[dict[str, Any]]:
        if event.reading == 2:
            return [{"check": "missing_columns", "cause": "column_missing", "missing": ["price"], "missing_count": 1}]
        return [{"check": "row_count", "cause": "wrong_dialect", "alternatives": [{"format": "csv", "delimiter": ";"}]}]

    world.hold, world.on_reread = hold, rereading(world)
    world.deliver(trips())
    (record,) = [each for each in world.remedies() if each.remedy == "other_reading"]
    assert record.state == "undone"
    assert "it fails at missing_columns" in record.explanation
    assert world.healing().reading == 3
    assert world.finding("row_count").state != "healed"
    world.places(20)


def test_columns_that_were_missing_once_and_healed_do_not_excuse_a_reading_that_lacks_them_again(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, [])
    found = {
        1: {
            "check": "missing_columns",
            "cause": "wrong_dialect",
            "alternatives": [{"format": "csv", "delimiter": ";"}],
        },
        2: {"check": "row_count", "cause": "wrong_dialect", "alternatives": [{"format": "csv", "delimiter": "|"}]},
        3: {"check": "missing_columns", "column": "price", "cause": "column_missing", "missing": ["price"]},
    }
    world.hold = lambda rows, event: [found.get(event.reading, found[2])]
    world.on_reread = rereading(world)
    world.deliver(trips())
    records = [each for each in world.remedies() if each.remedy == "other_reading"]
    assert [each.state for each in records if "|" in each.plan["signature"]] == ["undone"]
    assert world.finding("row_count").state != "healed"
    world.places(20)
