"""Where rows are: the rule for attempts, each of its clauses, and agreement with a plain reading of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mend.places import Place, place_rows, places, quarantine_frames, quarantined_rows
from shared.adapters.local.object_store import FolderObjectStore
from shared.domain import paths
from shared.ports.object_store import ObjectStore
from shared.ports.state_store import Put
from tests.support.local_ports import make_process

BATCH = "b1"


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return FolderObjectStore(tmp_path / "objects", durable=False)


def put(objects: ObjectStore, path: str, rows: list[int], **columns: list[str]) -> str:
    buffer = io.BytesIO()
    pl.DataFrame({"_mend_row": pl.Series(rows, dtype=pl.Int64), **columns}).write_parquet(buffer)
    with objects.write(path) as stream:
        stream.write(buffer.getvalue())
    return path


def staged(objects: ObjectStore, attempt: int, rows: list[int]) -> None:
    put(objects, paths.part(paths.staged(BATCH, attempt), 0), rows)


def quarantined(objects: ObjectStore, attempt: int, rows: list[int]) -> None:
    put(objects, paths.part(paths.quarantine(BATCH, attempt), 0), rows)


def loaded(objects: ObjectStore, attempt: int, rows: list[int], state: str = "loaded") -> dict[str, Any]:
    path = put(objects, paths.part(paths.loaded(BATCH, attempt), 0), rows)
    return {"attempt": attempt, "state": state, "files": [path], "batch_id": BATCH, "kind": "load"}


def discarded(objects: ObjectStore, attempt: int, rows: list[int], reason: str = "superseded by b2") -> None:
    put(objects, paths.discarded(BATCH, attempt, "remediate"), rows, reason=[reason] * len(rows))


def healing(*kinds: str) -> dict[str, Any]:
    """One attempt for each kind; ``kind!`` was withdrawn."""
    attempts = [
        {
            "number": number,
            "reading": 1,
            "kind": kind.rstrip("!"),
            "state": "withdrawn" if kind.endswith("!") else "done",
        }
        for number, kind in enumerate(kinds, start=1)
    ]
    return {"kind": "batch", "attempts": attempts}


def test_one_attempt_without_a_healing(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2, 3, 4])
    quarantined(objects, 1, [2])
    found = place_rows(objects, BATCH, None, [loaded(objects, 1, [1, 3])])
    assert (found.loaded, found.quarantined, found.discarded, found.in_flight) == (2, 1, 0, 1)
    assert found.rows(Place.LOADED).to_list() == [1, 3]
    assert found.rows(Place.IN_FLIGHT).to_list() == [4]


def test_rows_that_were_given_to_the_warehouse_count_only_when_the_load_stands(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2])
    found = place_rows(objects, BATCH, None, [loaded(objects, 1, [1, 2], state="withdrawn")])
    assert (found.loaded, found.in_flight) == (0, 2)


def test_a_healed_row_is_where_the_later_attempt_put_it(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2, 3])
    quarantined(objects, 1, [2, 3])
    staged(objects, 2, [2])
    loads = [loaded(objects, 1, [1]), loaded(objects, 2, [2])]
    found = place_rows(objects, BATCH, healing("reading", "rows"), loads)
    assert found.rows(Place.LOADED).to_list() == [1, 2]
    assert found.rows(Place.QUARANTINED).to_list() == [3]


def test_a_repaired_row_that_fails_again_is_where_it_was(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2])
    quarantined(objects, 1, [1, 2])
    staged(objects, 2, [1, 2])
    quarantined(objects, 2, [2])
    found = place_rows(objects, BATCH, healing("reading", "rows"), [loaded(objects, 2, [1])])
    assert (found.loaded, found.quarantined, found.in_flight) == (1, 1, 0)
    frames = list(quarantine_frames(objects, BATCH, healing("reading", "rows")))
    assert [(attempt, frame.get_column("_mend_row").to_list()) for attempt, frame in frames] == [(1, [2])]


def test_a_whole_attempt_takes_all_rows_that_waited(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2])
    quarantined(objects, 1, [1, 2])
    staged(objects, 2, [1, 2])
    quarantined(objects, 2, [2])
    told = healing("reading", "whole")
    found = place_rows(objects, BATCH, told, [loaded(objects, 2, [1])])
    assert (found.loaded, found.quarantined) == (1, 1)
    assert [attempt for attempt, _ in quarantine_frames(objects, BATCH, told)] == [2]
    assert quarantined_rows(objects, BATCH, told) == 1


def test_a_withdrawn_attempt_decides_nothing(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2])
    quarantined(objects, 1, [2])
    staged(objects, 2, [2])
    loads = [loaded(objects, 1, [1]), loaded(objects, 2, [2], state="withdrawn")]
    found = place_rows(objects, BATCH, healing("reading", "rows!"), loads)
    assert (found.loaded, found.quarantined) == (1, 1)


def test_a_superseded_batch_is_discarded_with_its_reason(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2, 3])
    quarantined(objects, 1, [1, 2, 3])
    discarded(objects, 2, [1, 2, 3])
    found = place_rows(objects, BATCH, healing("reading", "superseded"), [])
    assert (found.discarded, found.quarantined, found.in_flight) == (3, 0, 0)
    assert dict(found.reasons) == {"superseded by b2": 3}


def test_repetitions_share_a_reason(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2])
    quarantined(objects, 1, [1, 2])
    staged(objects, 2, [1])
    discarded(objects, 2, [2], "duplicate of row 1")
    found = place_rows(objects, BATCH, healing("reading", "rows"), [loaded(objects, 2, [1])])
    assert (found.loaded, found.discarded) == (1, 1)
    assert dict(found.reasons) == {"duplicate of another row": 1}


def test_between_two_readings_everything_is_in_flight(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2])
    quarantined(objects, 1, [1, 2])
    found = place_rows(objects, BATCH, healing("reading!"), [])
    assert (found.size, found.quarantined) == (0, 0)


def test_damage_is_counted(objects: ObjectStore) -> None:
    staged(objects, 1, [1, 2, 3])
    quarantined(objects, 1, [2, 2, 3, 0, 2**40])
    load = loaded(objects, 1, [1, 3])
    found = place_rows(objects, BATCH, None, [{**load, "files": [*load["files"], "loaded/b1/a0001/gone.parquet"]}])
    assert found.twice == 2
    assert found.strays == 2
    assert found.missing_files == ["loaded/b1/a0001/gone.parquet"]


def test_documents_are_looked_up(tmp_path: Path) -> None:
    process = make_process(tmp_path)
    staged(process.objects, 1, [1, 2])
    quarantined(process.objects, 1, [2])
    load = loaded(process.objects, 1, [1])
    process.store.commit([Put("loads", f"{BATCH}:1", load), Put("healings", BATCH, healing("reading"))])
    found = places(process.objects, process.store, BATCH)
    assert (found.loaded, found.quarantined) == (1, 1)


def test_only_the_columns_asked_for_are_read(objects: ObjectStore) -> None:
    staged(objects, 1, [1])
    put(objects, paths.part(paths.quarantine(BATCH, 1), 0), [1], city=["Rome"])
    (_, frame), *_ = quarantine_frames(objects, BATCH, None, ["absent"])
    assert frame.columns == ["_mend_row"]


ROWS = list(range(1, 7))
ATTEMPT = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["reading", "whole", "rows"]),
        "withdrawn": st.booleans(),
        "staged": st.sets(st.sampled_from(ROWS)),
        # Where each row of the attempt is put; "" = not judged yet.
        "outcome": st.fixed_dictionaries({row: st.sampled_from(["l", "q", "d", ""]) for row in ROWS}),
    }
)


def by_the_rule(row: int, attempts: list[dict[str, Any]]) -> str:
    """The README's rule, read row by row."""
    for attempt in reversed(attempts):
        if attempt["withdrawn"] or row not in attempt["staged"]:
            continue
        outcome = attempt["outcome"][row]
        if outcome == "q" and attempt["kind"] == "rows":
            continue
        return str(outcome)
    return ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ATTEMPT, min_size=1, max_size=4))
def test_agrees_with_the_rule_read_row_by_row(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[dict[str, Any]]
) -> None:
    objects = FolderObjectStore(tmp_path_factory.mktemp("objects"), durable=False)
    loads = []
    for number, attempt in enumerate(attempts, start=1):
        by_outcome = {
            name: [row for row in sorted(attempt["staged"]) if attempt["outcome"][row] == name] for name in "lqd"
        }
        staged(objects, number, sorted(attempt["staged"] - set(by_outcome["d"])))
        quarantined(objects, number, by_outcome["q"])
        discarded(objects, number, by_outcome["d"])
        loads.append(loaded(objects, number, by_outcome["l"], "withdrawn" if attempt["withdrawn"] else "loaded"))
    told = healing(*(each["kind"] + "!" * each["withdrawn"] for each in attempts))
    found = place_rows(objects, BATCH, told, loads)
    wanted = {row: by_the_rule(row, attempts) for row in ROWS}
    assert found.rows(Place.LOADED).to_list() == [row for row in ROWS if wanted[row] == "l"]
    assert found.rows(Place.DISCARDED).to_list() == [row for row in ROWS if wanted[row] == "d"]
    waiting = [row for row in ROWS if wanted[row] == "q"]
    assert found.rows(Place.QUARANTINED).to_list() == waiting
    shown = [row for _, frame in quarantine_frames(objects, BATCH, told) for row in frame.get_column("_mend_row")]
    assert sorted(shown) == waiting
    assert found.twice == 0
