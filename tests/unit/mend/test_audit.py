"""The audit counts right, and every way of tampering with a store makes it say so: one test per tampering."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mend import table_audit
from mend.audit import audit
from shared.ports.state_store import Put
from tests.unit.mend.small_project import HEADER, SmallProject, lines

BAD = "x,Secretville,1,2024-01-01\n1,2,3,4,5,6\n"


def run_project(folder: Path, mode: str = "append", **options: str) -> SmallProject:
    project = SmallProject(folder, mode, **options)
    project.deliver("a.csv", HEADER + lines(1, 50))
    project.deliver("b.csv", HEADER + lines(41, 90, "Oslo") + ("" if mode == "overwrite" else BAD))
    project.deliver("c.csv", HEADER + lines(41, 90, "Oslo") + ("" if mode == "overwrite" else BAD))
    project.run()
    return project


def look(project: SmallProject) -> dict[str, Any]:
    process = project.process()
    found = audit(process).as_json()
    process.close()
    said = " ".join(found["problems"])
    assert "Secretville" not in said
    assert "Oslo" not in said
    return found


def problem_of(project: SmallProject) -> str:
    found = look(project)
    assert not found["ok"]
    assert len(found["problems"]) == 1, found["problems"]
    return str(found["problems"][0])


@pytest.fixture
def appended(tmp_path: Path) -> SmallProject:
    return run_project(tmp_path)


@pytest.fixture
def upserted(tmp_path: Path) -> SmallProject:
    return run_project(tmp_path, "upsert")


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[f"rows_{name}"] for name in ("read", "loaded", "quarantined", "discarded", "in_flight"))


# ── what adds up ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mode", "expected", "shown"),
    [
        ("append", (154, 100, 2, 52, 0), 100),
        ("upsert", (154, 100, 2, 52, 0), 90),
        ("overwrite", (150, 100, 0, 50, 0), 50),
    ],
)
def test_a_store_as_it_should_be(tmp_path: Path, mode: str, expected: tuple[int, ...], shown: int) -> None:
    found = look(run_project(tmp_path, mode))
    assert found["ok"], found["problems"]
    assert found["batches"] == 3
    assert counts(found) == expected
    assert found["duplicates"] == 1
    assert found["discarded_because"] == {"duplicate of another delivery": expected[3]}
    table = found["tables"][0]
    assert (table["rows"], table["rows_ours"], table["columns_not_compared"]) == (shown, shown, [])


def test_an_empty_store_adds_up(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.run()
    found = look(project)
    assert found["ok"]
    assert counts(found) == (0, 0, 0, 0, 0)


def test_a_truncated_delivery_is_counted_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    whole = gzip.compress((HEADER + lines(1, 5_000)).encode())
    project.deliver("a.csv", whole[: len(whole) // 2])
    project.run()
    found = look(project)
    assert found["ok"], found["problems"]
    assert found["rows_read"] == found["rows_quarantined"] > 1_000


def test_rows_that_a_transform_drops_are_discarded_with_that_reason(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, extra="transform: SELECT id, city, amount, day FROM batch WHERE id > 10\n")
    project.deliver("a.csv", HEADER + lines(1, 50))
    project.run()
    found = look(project)
    assert found["ok"], found["problems"]
    assert counts(found) == (50, 40, 0, 10, 0)
    assert found["discarded_because"] == {"the transform's WHERE dropped it": 10}


def test_rows_of_others_in_our_table_are_none_of_our_business(appended: SmallProject) -> None:
    appended.warehouse("INSERT INTO shop.orders (id, city) VALUES (1, 'Bern')")
    found = look(appended)
    assert found["ok"], found["problems"]
    assert (found["tables"][0]["rows"], found["tables"][0]["rows_ours"]) == (101, 100)


def test_a_large_table_is_compared_in_parts(
    appended: SmallProject, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_audit, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(table_audit, "KEYS_AT_ONCE", 11)
    assert look(appended)["ok"]
    keyed = run_project(tmp_path_factory.mktemp("keyed"), "upsert")
    assert look(keyed)["ok"]
    keyed.warehouse("UPDATE shop.orders SET amount = amount + 1 WHERE id IN (1, 2, 3)")
    assert "3 rows with other values" in problem_of(keyed)


def test_a_column_that_became_text_since_is_said_not_to_be_compared(appended: SmallProject) -> None:
    appended.warehouse("ALTER TABLE shop.orders ALTER COLUMN amount SET DATA TYPE VARCHAR")
    found = look(appended)
    assert found["ok"], found["problems"]
    assert found["tables"][0]["columns_not_compared"] == ["amount"]


def test_a_whole_number_column_that_became_wider_is_compared(appended: SmallProject) -> None:
    appended.warehouse("ALTER TABLE shop.orders ALTER COLUMN id SET DATA TYPE DOUBLE")
    assert look(appended)["tables"][0]["columns_not_compared"] == []
    appended.warehouse("UPDATE shop.orders SET id = id + 0.5 WHERE id = 7")
    assert "1 row with other values" in problem_of(appended)


# ── the table was changed ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_row_taken_out_of_the_table(appended: SmallProject) -> None:
    appended.warehouse("DELETE FROM shop.orders WHERE id = 7")
    said = problem_of(appended)
    assert said.startswith("table shop.orders does not show 1 row that were loaded and lie in the files of batch b")
    assert "landing/a.csv: 1" in said


def test_a_key_taken_out_of_the_table(upserted: SmallProject) -> None:
    upserted.warehouse("DELETE FROM shop.orders WHERE id = 90")
    assert "does not show 1 row" in problem_of(upserted)


def test_an_older_row_shown_for_a_key(upserted: SmallProject) -> None:
    old = "(SELECT any_value(_mend_batch) FROM shop.orders WHERE id = 1)"
    seq = "(SELECT any_value(_mend_seq) FROM shop.orders WHERE id = 1)"
    upserted.warehouse(
        f"UPDATE shop.orders SET city = 'Rome', _mend_batch = {old}, _mend_seq = {seq}, _mend_row = 41 WHERE id = 41"
    )
    found = look(upserted)
    assert [each.split(" row")[0] for each in found["problems"]] == [
        "table shop.orders does not show 1",
        "table shop.orders shows 1",
    ]


def test_rows_loaded_twice(appended: SmallProject) -> None:
    appended.warehouse("INSERT INTO shop.orders SELECT * FROM shop.orders WHERE id < 4")
    assert "shows 6 rows more than once" in problem_of(appended)


def test_a_value_changed_in_the_table(appended: SmallProject) -> None:
    appended.warehouse("UPDATE shop.orders SET city = 'Secretville' WHERE id = 7")
    assert "shows 1 row with other values than were loaded" in problem_of(appended)


def test_a_null_in_the_place_of_a_value(upserted: SmallProject) -> None:
    upserted.warehouse("UPDATE shop.orders SET day = NULL WHERE id = 7")
    assert "shows 1 row with other values than were loaded" in problem_of(upserted)


def test_an_order_key_changed_in_the_table(upserted: SmallProject) -> None:
    upserted.warehouse("UPDATE shop.orders SET _mend_seq = 'zzz' WHERE id = 7")
    assert "shows 1 row with other values" in problem_of(upserted)


def test_rows_of_a_batch_nobody_knows(appended: SmallProject) -> None:
    appended.warehouse("INSERT INTO shop.orders SELECT * REPLACE ('b0' AS _mend_batch) FROM shop.orders WHERE id = 7")
    assert "shows 1 row that no load put there, by their marks of a batch nobody knows (1)" in problem_of(appended)


def test_an_older_delivery_shown_by_a_table_that_is_overwritten(tmp_path: Path) -> None:
    project = run_project(tmp_path, "overwrite")
    first = project.files("passed/*/a0001/*.parquet") + project.files("loaded/*/a0001/*.parquet")
    project.warehouse("UPDATE shop.orders SET _mend_row = _mend_row + 100")
    assert first
    found = look(project)
    assert len(found["problems"]) == 2


def test_a_table_that_is_gone(appended: SmallProject) -> None:
    appended.warehouse("DROP TABLE shop.orders")
    assert "table shop.orders does not exist, but 100 rows were loaded" in problem_of(appended)


# ── files were changed ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_quarantine_file_that_is_gone(appended: SmallProject) -> None:
    appended.files("quarantine/*/a0001/*.parquet")[0].unlink()
    found = look(appended)
    assert found["rows_in_flight"] == 2
    assert counts(found)[0] == sum(counts(found)[1:])
    assert "has 2 rows in flight although nothing is under way" in found["problems"][0]
    assert found["waiting"] == []


def test_a_file_of_loaded_rows_that_is_gone(appended: SmallProject) -> None:
    loads = appended.process().store.query("loads")
    (appended.root / "objects" / loads[0].data["files"][0]).unlink()
    found = look(appended)
    assert not found["ok"]
    assert found["rows_in_flight"] == 50
    assert any("cannot be compared: 1 files of loaded rows are gone" in each for each in found["problems"])


def test_a_row_in_two_places(appended: SmallProject) -> None:
    quarantined = appended.files("quarantine/*/a0001/*.parquet")[0]
    pl.read_parquet(quarantined).with_columns(pl.lit(1, pl.Int64).alias("_mend_row")).head(1).write_parquet(
        quarantined.with_name("part-00009.parquet")
    )
    assert "has 1 rows in two places at once" in problem_of(appended)


def test_rows_that_the_delivery_does_not_have(appended: SmallProject) -> None:
    quarantined = appended.files("quarantine/*/a0001/*.parquet")[0]
    more = pl.read_parquet(quarantined).with_columns(pl.col("_mend_row") + 100)
    more.write_parquet(quarantined.with_name("part-00009.parquet"))
    assert "rows that its 52 delivered records do not account for" in problem_of(appended)


def test_a_byte_added_to_a_delivery(appended: SmallProject) -> None:
    raw = next(each for each in appended.files("raw/orders/*/*") if each.name == "a.csv")
    raw.write_bytes(raw.read_bytes() + b" ")
    found = look(appended)
    assert not found["ok"]
    assert "has other bytes than were delivered" in found["problems"][0]


def test_a_record_added_to_a_delivery_is_a_row_that_is_nowhere(appended: SmallProject) -> None:
    raw = next(each for each in appended.files("raw/orders/*/*") if each.name == "a.csv")
    raw.write_bytes(raw.read_bytes() + lines(51, 51).encode())
    found = look(appended)
    assert found["rows_in_flight"] == 1
    assert "has other bytes" in found["problems"][0]
    assert "has 1 rows in flight although nothing is under way" in found["problems"][1]


def test_a_delivery_that_is_gone(appended: SmallProject) -> None:
    next(each for each in appended.files("raw/orders/*/*") if each.name == "a.csv").unlink()
    said = problem_of(appended)
    assert "has lost its delivered bytes (raw/orders/" in said
    assert "restore that file from a copy" in said


def test_a_duplicate_that_is_none(appended: SmallProject) -> None:
    process = appended.process()
    stored = next(each for each in process.store.query("deliveries") if each.data["duplicate_of"])
    other = next(each for each in process.store.query("deliveries") if each.data["name"] == "a.csv")
    process.store.commit([Put("deliveries", stored.key, {**stored.data, "duplicate_of": other.key})])
    assert f"was discarded as a duplicate of {other.key}, which has other bytes" in problem_of(appended)


# ── attempts and rows in flight ────────────────────────────────────────────────────────────────────────────────────


def unload(project: SmallProject, name: str) -> str:
    """Let a delivery be as if its load had not come about."""
    process = project.process()
    batch = next(each.key for each in process.store.query("deliveries") if each.data["name"] == name)
    load = process.store.get("loads", f"{batch}:1")
    assert load is not None
    process.store.commit([Put("loads", load.key, {**load.data, "state": "failed"})])
    project.warehouse(f"DELETE FROM shop.orders WHERE _mend_batch = '{batch}'")
    return batch


def test_rows_in_flight_are_a_problem_when_nothing_is_under_way(appended: SmallProject) -> None:
    unload(appended, "a.csv")
    assert "has 50 rows in flight although nothing is under way" in problem_of(appended)


def test_rows_in_flight_are_no_problem_while_their_load_waits(appended: SmallProject) -> None:
    """Its own job may have been done: who loads it together with others looks."""
    batch = unload(appended, "a.csv")
    store = appended.process().store
    load = store.get("loads", f"{batch}:1")
    assert load is not None
    store.commit([Put("loads", load.key, {**load.data, "kind": "waiting"})])
    found = look(appended)
    assert (found["ok"], found["rows_in_flight"]) == (True, 50)
    assert found["waiting"][0]["because"] == "work is under way; run mend run to end it"


def test_rows_in_flight_are_no_problem_while_work_is_under_way(appended: SmallProject) -> None:
    unload(appended, "a.csv")
    appended.deliver("d.csv", HEADER + lines(91, 92))
    appended.run(end=False)
    found = look(appended)
    assert found["ok"], found["problems"]
    assert found["rows_in_flight"] == 50
    assert (found["waiting"][0]["rows"], found["waiting"][0]["incidents"]) == (50, [])


@pytest.mark.parametrize(("origin", "explains"), [("destination", True), ("violation", False)])
def test_an_open_incident_of_a_service_that_could_not_go_on_explains_them(
    appended: SmallProject, origin: str, explains: bool
) -> None:
    batch = unload(appended, "a.csv")
    incident = {"failure_class": "unknown", "origin": origin, "batch_id": batch, "uri": "", "state": "escalated"}
    appended.process().store.commit([Put("incidents", "i1", incident)])
    found = look(appended)
    assert found["ok"] is explains
    assert [each["incidents"] for each in found["waiting"]] == ([["i1"]] if explains else [])


def test_rows_of_an_attempt_that_was_taken_back_may_not_stay(appended: SmallProject) -> None:
    process = appended.process()
    batch = next(each.key for each in process.store.query("deliveries") if each.data["name"] == "a.csv")
    attempt = {"number": 1, "reading": 1, "kind": "reading", "state": "withdrawn", "rows": 50}
    healing = {"kind": "batch", "batch_id": batch, "pipeline": "orders", "reading": 1, "attempts": [attempt]}
    process.store.commit([Put("healings", batch, healing)])
    found = look(appended)
    assert found["rows_in_flight"] == 50
    assert any("has 50 rows in flight" in each for each in found["problems"])
