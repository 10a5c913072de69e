"""Goal: what a load does with rows, columns and keys, and what it refuses, by the words of the incident."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from shared.domain.errors import DefinitionError, ForeignFailure, MendError, TerminalError
from shared.events.codec import topic_of
from shared.events.types import BatchLoaded, IncidentOpened
from tests.support.local_ports import seen, watch
from tests.unit.load.world import LoadWorld

MODES = ["append", "upsert", "overwrite"]


@pytest.mark.parametrize("mode", MODES)
def test_rows_arrive_with_their_provenance(tmp_path: Path, mode: str) -> None:
    world = LoadWorld(tmp_path, mode)
    loaded = world.load("b1", [{"k": 1, "v": "x"}, {"k": 2, "v": None}], parts=2)
    assert loaded is not None
    assert (loaded.rows_loaded, loaded.rows_discarded, loaded.mode, loaded.table) == (2, 0, mode, "shop.things")
    shown = world.table("k", "v", "_mend_batch", "_mend_row", "_mend_seq")
    assert shown == [(1, "x", "b1", 1, "sb1"), (2, None, "b1", 2, "sb1")]


@pytest.mark.parametrize("state", ["held", "rejected"])
def test_what_is_not_released_is_not_loaded(tmp_path: Path, state: str) -> None:
    world = LoadWorld(tmp_path, "overwrite")
    assert world.load("b1", [{"k": 1, "v": "x"}], state=state) is None
    assert (world.table(), world.state("b1")) == ([], "")


def test_an_older_delivery_never_replaces_a_newer_one(tmp_path: Path) -> None:
    for mode in ("upsert", "overwrite"):
        world = LoadWorld(tmp_path / mode, mode)
        world.load("b2", [{"k": 1, "v": "new"}])
        world.load("b1", [{"k": 1, "v": "old"}, {"k": 2, "v": "old"}])
        assert world.table("k", "v") == [(1, "new"), (2, "old")][: 2 if mode == "upsert" else 1]


def test_a_later_row_of_a_batch_wins(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert")
    world.load("b1", [{"_mend_row": 7, "k": 1, "v": "later"}])
    world.load("b1", [{"_mend_row": 3, "k": 1, "v": "earlier, healed"}], attempt=2)
    assert world.table("v") == [("later",)]


def test_an_overwrite_without_rows_empties_the_table(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "overwrite")
    world.load("b1", [{"k": 1, "v": "x"}])
    loaded = world.load("b2", [])
    assert loaded is not None
    assert (loaded.rows_loaded, world.table()) == (0, [])
    world.take_out("b2", attempt=1)
    assert world.table("k") == [(1,)]


def test_a_key_of_a_wider_type_replaces_the_row_that_it_had_and_can_be_taken_out(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert")
    world.load("b1", [{"k": 1, "v": "old"}, {"k": 2, "v": "old"}])
    world.load("b2", [{"k": "2", "v": "new"}, {"k": "A3", "v": "new"}])
    assert world.table("k", "v") == [("1", "old"), ("2", "new"), ("A3", "new")]
    world.take_out("b2", attempt=1)
    assert world.table("k", "v") == [("1", "old"), ("2", "old")]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_no_rows_no_load(tmp_path: Path, mode: str) -> None:
    world = LoadWorld(tmp_path, mode)
    assert world.load("b1", []) is None
    assert world.process.warehouse.describe("shop.things") is None


def test_healed_rows_join_the_delivery_that_an_overwritten_table_shows(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "overwrite")
    world.load("b1", [{"_mend_row": 1, "k": 1, "v": "x"}])
    world.load("b1", [{"_mend_row": 2, "k": 2, "v": "healed"}], attempt=2)
    assert world.table("k") == [(1,), (2,)]
    world.load("b1", [], attempt=3)
    assert world.table("k") == [(1,), (2,)]
    world.take_out("b1", attempt=2)
    assert world.table("k") == [(1,)]


# ── transforms ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_where_drops_is_counted_and_written_down(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "append", extra="transform: SELECT k, UPPER(v) AS v FROM batch WHERE k <> 2")
    rows = [{"_mend_row": number * 10, "k": number, "v": "a"} for number in (1, 2, 3, 4)]
    loaded = world.load("b1", rows, parts=3)
    assert loaded is not None
    assert (loaded.rows_passed, loaded.rows_loaded, loaded.rows_discarded) == (4, 3, 1)
    assert world.table("k", "v", "_mend_row") == [(1, "A", 10), (3, "A", 30), (4, "A", 40)]
    assert world.discarded("b1") == [(20, "the transform's WHERE dropped it")]


def test_a_where_may_drop_everything(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "overwrite", extra="transform: SELECT k FROM batch WHERE FALSE")
    loaded = world.load("b1", [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}])
    assert loaded is not None
    assert (loaded.rows_loaded, loaded.rows_discarded, len(world.discarded("b1"))) == (0, 2, 2)
    assert world.table() == []


def test_the_types_that_a_transform_makes(tmp_path: Path) -> None:
    sql = (
        "SELECT k, k / 2 AS half, CAST(k AS NUMERIC) AS exact, k > 1 AS big, DATE '2024-01-02' AS day, "
        "TIMESTAMP '2024-01-02 03:04:05+02' AS at, DATETIME '2024-01-02 03:04:05' AS local, TIME '01:02:03' AS clock "
        "FROM batch"
    )
    world = LoadWorld(tmp_path, "append", extra=f'transform: "{sql}"')
    world.load("b1", [{"k": 3, "v": "a"}])
    info = world.process.warehouse.describe("shop.things")
    assert info is not None
    kinds = {column.name: column.logical_type for column in info.columns}
    assert kinds == {
        "k": "integer",
        "half": "number",
        "exact": "number",
        "big": "boolean",
        "day": "date",
        "at": "timestamp",
        "local": "timestamp",
        "clock": "time",
    }
    shown = world.table("half", "exact", "big", "day", "at", "local", "clock")
    assert [str(cell) for cell in shown[0]] == [
        *("1.5", "3.0", "True", "2024-01-02"),
        *("2024-01-02 01:04:05+00:00", "2024-01-02 03:04:05+00:00", "01:02:03"),
    ]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT k AS id, v FROM batch", "no column k, which is their key"),
        ("SELECT v FROM batch", "no column k, which is their key"),
        ("SELECT NULLIF(k, 2) AS k, v FROM batch", "1 of the rows to upsert have no k"),
        ("SELECT k, v AS V, v FROM batch", "makes column"),
        ("SELECT k, SPLIT(v, ',') AS parts FROM batch", "is a list"),
        ("SELECT k, SHA256(v) AS hash FROM batch", "is bytes"),
        ("SELECT k, INTERVAL 1 DAY AS pause FROM batch", "is an interval"),
    ],
)
def test_a_result_that_no_table_could_take(tmp_path: Path, sql: str, why: str) -> None:
    world = LoadWorld(tmp_path, "upsert", extra=f'transform: "{sql}"')
    with pytest.raises(DefinitionError, match=why) as caught:
        world.load("b1", [{"k": 1, "v": "secret"}, {"k": 2, "v": "secret"}])
    assert caught.value.path == "pipelines/things.yaml"
    assert caught.value.hint
    assert "secret" not in str(caught.value)
    assert (world.table(), list(world.process.objects.list("manifests/"))) == ([], [])


def test_a_transform_in_a_file_is_blamed_by_its_own_name(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert", extra="transform: sql/things.sql")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "things.sql").write_text("SELECT k AS id FROM batch")
    with pytest.raises(DefinitionError) as caught:
        world.load("b1", [{"k": 1, "v": "a"}])
    assert caught.value.path == "sql/things.sql"
    (tmp_path / "sql" / "things.sql").write_text("SELECT k, v\nFROM batch\nWHERE v = 'a'")
    assert world.load("b1", [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}]) is not None
    assert world.table("k") == [(1,)]


def test_a_row_that_makes_the_sql_fail_stops_the_batch_whole(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "append", extra="transform: SELECT CAST(v AS INT64) AS k FROM batch")
    with pytest.raises(TerminalError) as caught:
        world.load("b1", [{"k": 1, "v": "1"}, {"k": 2, "v": "secret"}])
    assert "secret" not in str(caught.value)
    assert (world.table(), world.state("b1")) == ([], "")


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_row_without_a_key_is_not_merged_with_others_that_have_none(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert")
    with pytest.raises(DefinitionError, match="2 of the rows to upsert have no k"):
        world.load("b1", [{"k": None, "v": "a"}, {"k": None, "v": "b"}, {"k": 1, "v": "c"}])
    assert world.table() == []


def test_an_upsert_needs_a_key(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert", primary="")
    with pytest.raises(DefinitionError, match="an upsert needs a key"):
        world.load("b1", [{"k": 1, "v": "a"}])


def test_the_key_changes_between_two_loads(tmp_path: Path) -> None:
    """Rows of before stay under the key they were loaded by, and can be taken out by it."""
    world = LoadWorld(tmp_path, "upsert")
    world.load("b1", [{"k": 1, "v": "a"}, {"k": 2, "v": "a"}])
    world.define("upsert", key="v")
    world.load("b2", [{"k": 3, "v": "a"}])
    assert world.table("k", "v") == [(3, "a")]
    world.take_out("b2", attempt=1)
    assert len(world.table("k", "v")) == 1, "by the new key there is one row"
    world.take_out("b1", attempt=1)
    assert world.table("k", "v") == []


@pytest.mark.parametrize("later", MODES)
@pytest.mark.parametrize("mode", MODES)
def test_the_mode_changes_between_a_load_and_its_withdrawal(tmp_path: Path, mode: str, later: str) -> None:
    world = LoadWorld(tmp_path, mode)
    world.load("b1", [{"k": 1, "v": "a"}])
    world.load("b2", [{"k": 2, "v": "b"}, {"k": 3, "v": "c"}])
    before = world.table("k")
    world.define(later)
    world.take_out("b2", attempt=1)
    assert world.table("k") == [(1,)]
    assert before == ([(2,), (3,)] if mode == "overwrite" else [(1,), (2,), (3,)])


def test_the_table_changes_between_a_load_and_its_withdrawal(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert")
    world.load("b1", [{"k": 1, "v": "a"}])
    world.name = "shop.others"
    world.define("upsert")
    world.load("b2", [{"k": 1, "v": "b"}])
    world.take_out("b1", reading=1)
    assert world.table("k") == [(1,)]
    world.name = "shop.things"
    assert world.table() == []


# ── schema ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_columns_are_added_and_widened(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert")
    world.load("b1", [{"k": 1, "v": 1}])
    world.load("b2", [{"k": 2, "v": 2.5, "new": True}])
    world.load("b3", [{"k": 3}])
    world.load("b4", [{"k": 4, "v": "text"}])
    assert world.table("k", "v", "new") == [(1, "1.0", None), (2, "2.5", True), (3, None, None), (4, "text", None)]
    world.take_out("b2", attempt=1)
    assert world.table("k") == [(1,), (3,), (4,)]


def test_an_incompatible_column_is_an_incident_of_the_destination_and_leaves_no_intent(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert")
    world.load("b0", [{"k": 1, "v": "x", "flag": True}])
    watch(world.process, [topic_of(IncidentOpened), topic_of(BatchLoaded)])
    event = world.validated("b1", [{"k": 1, "v": "y", "flag": 1.5}])
    assert world.deliver(event).outcome == "foreign"
    (incident,) = seen(world.process, [topic_of(IncidentOpened)])
    assert isinstance(incident, IncidentOpened)
    assert (incident.origin, incident.reason, incident.batch_id) == ("destination", "incompatible", "b1")
    assert "flag" in incident.message
    assert [info.path for info in world.process.objects.list("manifests/")] == ["manifests/shop.things/b0.a0001.json"]
    assert list(world.process.objects.list("before/b1/")) == [], "nothing was written for it"
    world.take_out("b0", attempt=1)
    assert world.table() == [], "rows that were refused do not come back"


def test_a_job_that_the_warehouse_refuses_leaves_no_intent(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "append")
    event = world.validated("b1", [{"k": 1, "v": "x"}])

    class Refusing:
        def __getattr__(self, name: str) -> object:
            return getattr(world.process.warehouse, name)

        def run(self, *_: object) -> None:
            raise ForeignFailure("no", system="duckdb", reason="resourcesExceeded")

    from dataclasses import replace

    with pytest.raises(ForeignFailure):
        world.handle(event, replace(world.process, warehouse=Refusing()))  # type: ignore[arg-type]
    assert list(world.process.objects.list("manifests/")) == []
    world.handle(event)
    assert world.table("k") == [(1,)]


# ── withdrawals ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", MODES)
def test_a_late_verdict_of_a_withdrawn_reading_is_ignored(tmp_path: Path, mode: str) -> None:
    world = LoadWorld(tmp_path, mode)
    withdrawn = world.take_out("b1", reading=1)
    assert withdrawn.rows_withdrawn == 0
    assert world.load("b1", [{"k": 1, "v": "x"}], attempt=2) is None
    assert (world.table(), world.state("b1", 2)) == ([], "ignored")
    assert world.load("b1", [{"k": 1, "v": "y"}], attempt=3, reading=2) is not None
    assert world.table("v") == [("y",)]


def test_a_withdrawal_says_how_many_rows_it_took(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert")
    world.load("b1", [{"k": 1, "v": "x"}, {"k": 2, "v": "x"}])
    world.load("b2", [{"k": 2, "v": "newer"}])
    withdrawn = world.take_out("b1", reading=1)
    assert withdrawn.rows_withdrawn == 2
    assert world.take_out("b1", reading=1, remedy="again").rows_withdrawn == 0
    assert world.table("k", "v") == [(2, "newer")]


def test_events_and_documents_hold_no_cells(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "upsert", extra="transform: SELECT k, v FROM batch WHERE v <> 'secret1'")
    world.foreign([{"k": 1, "v": "secret0"}])
    emitted = [*world.handle(world.validated("b1", [{"k": 1, "v": "secret1"}, {"k": 2, "v": "secret2"}]))]
    emitted += [world.take_out("b1", reading=1)]
    kept = [stored.data for stored in world.process.store.query("loads")]
    manifests = []
    for info in world.process.objects.list("manifests/"):
        with world.process.objects.read(info.path) as stream:
            manifests.append(stream.read().decode())
    assert manifests
    assert "secret" not in json.dumps([*(event.model_dump() for event in emitted), kept, manifests])


def test_an_unknown_pipeline(tmp_path: Path) -> None:
    world = LoadWorld(tmp_path, "append")
    event = world.validated("b1", [{"k": 1, "v": "x"}])
    (tmp_path / "pipelines" / "things.yaml").unlink()
    with pytest.raises(MendError, match=r"things\.yaml"):
        world.handle(event)


def test_object_columns_stay_text(tmp_path: Path) -> None:
    schema = pa.schema([("_mend_row", pa.int64()), ("k", pa.int64()), ("doc", pa.string())])
    world = LoadWorld(tmp_path, "append")
    world.load("b1", [{"k": 1, "doc": '{"a": [1]}'}], schema=schema)
    assert world.table("doc") == [('{"a": [1]}',)]
