"""What every warehouse does: jobs that happen once, rows in the order of deliveries, and undo that is exact.

The properties compare the table with a model in plain Python after random jobs in random order.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.errors import ForeignFailure, InvariantBroken, LimitExceeded
from shared.ports.warehouse import Layout, LoadJob, Mode, SchemaChange, TableColumn, Warehouse

Row = dict[str, Any]
Put = Callable[[str, pa.Table], None]

COLUMNS = (TableColumn("k", "integer"), TableColumn("v", "string"))
ARROW = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "time": pa.time64("us"),
    "object": pa.string(),
    "array": pa.string(),
}
TABLE = "travel.flights"
numbers = itertools.count(1)

relaxed = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def arrow(rows: Iterable[Row], columns: Sequence[TableColumn] = COLUMNS) -> pa.Table:
    """Rows as load writes them: the table's columns and the three of provenance."""
    schema = pa.schema(
        [(column.name, ARROW[column.logical_type]) for column in columns]
        + [("_mend_batch", pa.string()), ("_mend_row", pa.int64()), ("_mend_seq", pa.string())]
    )
    return pa.Table.from_pylist(list(rows), schema=schema)


class Files:
    """Writes a batch's rows to the object store and makes jobs of them."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def job(
        self,
        mode: Mode,
        batch: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        seq: str = "",
        table: str = TABLE,
        job_id: str = "",
        columns: Sequence[TableColumn] = COLUMNS,
        keys: tuple[str, ...] = ("k",),
    ) -> LoadJob:
        """A job; rows get their number by position unless they have one."""
        number = next(numbers)
        path = f"loaded/{batch}/n{number}/part-00000.parquet"
        full = [
            {"_mend_batch": batch, "_mend_row": n, "_mend_seq": seq or batch, **row} for n, row in enumerate(rows, 1)
        ]
        self._put(path, arrow(full, columns))
        return LoadJob(
            job_id or f"job{number}", table, mode, (path,), tuple(columns), keys, batch, seq or batch, Layout()
        )


def content(warehouse: Warehouse, table: str = TABLE, *names: str) -> list[tuple[Any, ...]]:
    """The table's rows in a comparable order."""
    rows = [row for batch in warehouse.dump(table) for row in batch.to_pylist()]
    wanted = names or ("k", "v", "_mend_batch", "_mend_row", "_mend_seq")
    return sorted((tuple(row.get(name) for name in wanted) for row in rows), key=repr)


def placed(rows: Iterable[Row]) -> list[tuple[Any, ...]]:
    """Rows of the model as ``content`` gives those of a table."""
    names = ("k", "v", "_mend_batch", "_mend_row", "_mend_seq")
    return sorted((tuple(row.get(name) for name in names) for row in rows), key=repr)


def newest(rows: Iterable[Row]) -> list[Row]:
    """The model of upsert: per key the row with the greatest (seq, row)."""
    best: dict[Any, Row] = {}
    for row in rows:
        known = best.get(row["k"])
        if known is None or (row["_mend_seq"], row["_mend_row"]) > (known["_mend_seq"], known["_mend_row"]):
            best[row["k"]] = row
    return list(best.values())


batches = st.lists(
    st.lists(st.fixed_dictionaries({"k": st.integers(0, 5), "v": st.text("abc", max_size=2)}), max_size=6),
    min_size=1,
    max_size=5,
)


def rows_of(contents: Sequence[Sequence[Row]]) -> dict[str, list[Row]]:
    """Batches b0, b1 …, each later in order than the one before it."""
    return {
        f"b{index}": [
            {**row, "_mend_batch": f"b{index}", "_mend_row": number, "_mend_seq": f"s{index}"}
            for number, row in enumerate(rows, 1)
        ]
        for index, rows in enumerate(contents)
    }


class WarehouseSuite:
    """Subclasses supply ``warehouse`` and ``put``, which writes a Parquet file into its object store."""

    @pytest.fixture
    def warehouse(self) -> Warehouse:
        raise NotImplementedError

    @pytest.fixture
    def put(self) -> Put:
        raise NotImplementedError

    @pytest.fixture
    def files(self, put: Put) -> Files:
        return Files(put)

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_append_adds_rows_and_makes_the_table(self, warehouse: Warehouse, files: Files) -> None:
        first = warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}, {"k": 1, "v": "x"}]))
        assert (first.rows, first.repeated) == (2, False)
        assert first.bytes > 0
        warehouse.run(files.job("append", "b2", [{"k": None, "v": None}]))
        assert content(warehouse) == [
            (1, "x", "b1", 1, "b1"),
            (1, "x", "b1", 2, "b1"),
            (None, None, "b2", 1, "b2"),
        ]

    @pytest.mark.parametrize("mode", ["append", "upsert", "overwrite"])
    def test_a_job_is_done_once(self, warehouse: Warehouse, files: Files, mode: Mode) -> None:
        job = files.job(mode, "b1", [{"k": 1, "v": "x"}, {"k": 2, "v": "y"}])
        first = warehouse.run(job)
        again = warehouse.run(job)
        assert again == first._replace(repeated=True)
        assert len(content(warehouse)) == 2
        withdrawn = warehouse.withdraw(job._replace(job_id="undo"), [])
        assert withdrawn.rows == 2
        assert warehouse.withdraw(job._replace(job_id="undo"), []) == withdrawn._replace(repeated=True)
        assert warehouse.run(job).repeated, "a job that was done is not done again, even when it was undone since"
        assert content(warehouse) == []

    def test_upsert_keeps_the_greatest(self, warehouse: Warehouse, files: Files) -> None:
        assert warehouse.run(files.job("upsert", "b2", [{"k": 1, "v": "new"}])).rows == 1
        assert warehouse.run(files.job("upsert", "b1", [{"k": 1, "v": "old"}, {"k": 2, "v": "only"}])).rows == 2
        assert content(warehouse) == [(1, "new", "b2", 1, "b2"), (2, "only", "b1", 2, "b1")]
        late = {"k": 1, "v": "later row", "_mend_row": 7}
        warehouse.run(files.job("upsert", "b2", [late]))
        same = {"k": 1, "v": "equal: not greater", "_mend_row": 7}
        warehouse.run(files.job("upsert", "b2", [same]))
        assert content(warehouse)[0] == (1, "later row", "b2", 7, "b2")

    def test_upsert_within_one_file(self, warehouse: Warehouse, files: Files) -> None:
        rows = [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}, {"k": 1, "v": "c"}]
        assert warehouse.run(files.job("upsert", "b1", rows)).rows == 3
        assert content(warehouse, TABLE, "k", "v") == [(1, "c"), (2, "b")]
        assert warehouse.run(files.job("upsert", "b2", list(reversed(rows)))).rows == 3
        assert content(warehouse, TABLE, "k", "v") == [(1, "a"), (2, "b")]

    def test_upsert_by_several_columns_and_null_keys(self, warehouse: Warehouse, files: Files) -> None:
        for batch in ("b1", "b2"):
            rows = [{"k": 1, "v": None}, {"k": 1, "v": "x"}, {"k": None, "v": None}]
            warehouse.run(files.job("upsert", batch, rows, keys=("k", "v")))
        assert content(warehouse, TABLE, "k", "v", "_mend_batch") == [
            (1, "x", "b2"),
            (1, None, "b2"),
            (None, None, "b2"),
        ]

    @relaxed
    @given(contents=batches, chance=st.randoms(use_true_random=False))
    def test_upserts_in_any_order(
        self, warehouse: Warehouse, files: Files, contents: list[list[Row]], chance: random.Random
    ) -> None:
        rows = rows_of(contents)
        table = f"travel.t{next(numbers)}"
        order = list(rows)
        chance.shuffle(order)
        for batch in order:
            warehouse.run(files.job("upsert", batch, rows[batch], seq="s" + batch[1:], table=table))
        assert content(warehouse, table) == placed(newest(itertools.chain(*rows.values())))

    def test_overwrite_shows_the_newest(self, warehouse: Warehouse, files: Files) -> None:
        assert warehouse.run(files.job("overwrite", "b2", [{"k": 2, "v": "b"}])).rows == 1
        assert warehouse.run(files.job("overwrite", "b1", [{"k": 1, "v": "a"}])).rows == 0
        assert content(warehouse, TABLE, "k") == [(2,)]
        assert warehouse.run(files.job("overwrite", "b2", [{"k": 2, "v": "b"}, {"k": 3, "v": "c"}])).rows == 2
        assert content(warehouse, TABLE, "k") == [(2,), (3,)]
        assert warehouse.run(files.job("overwrite", "b3", [])).rows == 0
        assert content(warehouse) == []
        assert warehouse.run(files.job("overwrite", "b2", [{"k": 2, "v": "b"}])).rows == 0
        assert content(warehouse) == [], "the empty delivery is the newest"

    @relaxed
    @given(contents=batches, chance=st.randoms(use_true_random=False))
    def test_overwrites_in_any_order(
        self, warehouse: Warehouse, files: Files, contents: list[list[Row]], chance: random.Random
    ) -> None:
        rows = rows_of(contents)
        table = f"travel.t{next(numbers)}"
        order = list(rows)
        chance.shuffle(order)
        for batch in order:
            warehouse.run(files.job("overwrite", batch, rows[batch], seq="s" + batch[1:], table=table))
        assert content(warehouse, table) == placed(rows[max(rows)])

    def test_several_files_are_one_job(self, warehouse: Warehouse, files: Files) -> None:
        first = files.job("append", "b1", [{"k": 1, "v": "x"}])
        second = files.job("append", "b1", [{"k": 2, "v": "y", "_mend_row": 2}])
        assert warehouse.run(first._replace(files=first.files + second.files)).rows == 2
        assert warehouse.run(first._replace(job_id="none", files=())).rows == 0
        assert content(warehouse, TABLE, "k") == [(1,), (2,)]

    def test_a_job_that_fails_changes_nothing(self, warehouse: Warehouse, files: Files) -> None:
        warehouse.run(files.job("upsert", "b1", [{"k": 1, "v": "x"}]))
        before = warehouse.describe(TABLE)
        wide = (*COLUMNS, TableColumn("extra", "date"))
        job = files.job("upsert", "b2", [{"k": 1, "v": "y"}], columns=wide)
        with pytest.raises(ForeignFailure, match="no file") as caught:
            warehouse.run(job._replace(files=(*job.files, "loaded/none.parquet")))
        assert caught.value.reason == "notFound"
        with pytest.raises(ForeignFailure):
            warehouse.run(job._replace(keys=("k", "absent")))
        assert warehouse.describe(TABLE) == before
        assert content(warehouse, TABLE, "v") == [("x",)]
        assert not warehouse.run(job).repeated

    def test_cells_stay_out_of_errors(self, warehouse: Warehouse, files: Files) -> None:
        text = (TableColumn("k", "string"), TableColumn("v", "string"))
        job = files.job("append", "b1", [{"k": "jane.doe's secret", "v": ""}], columns=text)
        with pytest.raises(ForeignFailure) as caught:
            warehouse.run(job._replace(columns=COLUMNS))
        assert "secret" not in str(caught.value)
        assert caught.value.exception_type

    # ── undo ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @relaxed
    @given(contents=batches, chance=st.randoms(use_true_random=False))
    def test_withdrawn_appends_leave_no_trace(
        self, warehouse: Warehouse, files: Files, contents: list[list[Row]], chance: random.Random
    ) -> None:
        rows = rows_of(contents)
        table = f"travel.t{next(numbers)}"
        jobs = {batch: files.job("append", batch, rows[batch], seq="s" + batch[1:], table=table) for batch in rows}
        for job in jobs.values():
            warehouse.run(job)
        gone = chance.sample(sorted(rows), chance.randint(0, len(rows)))
        for batch in gone:
            done = warehouse.withdraw(jobs[batch]._replace(job_id=f"undo {table} {batch}"), [])
            assert done.rows == len(rows[batch])
        assert content(warehouse, table) == placed(row for batch in rows if batch not in gone for row in rows[batch])

    @relaxed
    @given(contents=batches, chance=st.randoms(use_true_random=False))
    def test_withdrawn_upserts_leave_no_trace(
        self, warehouse: Warehouse, files: Files, contents: list[list[Row]], chance: random.Random
    ) -> None:
        rows = rows_of(contents)
        table = f"travel.t{next(numbers)}"
        jobs = {batch: files.job("upsert", batch, rows[batch], seq="s" + batch[1:], table=table) for batch in rows}
        loads = list(rows)
        chance.shuffle(loads)
        for batch in loads:
            warehouse.run(jobs[batch])
        kept = set(rows)
        for batch in chance.sample(sorted(rows), chance.randint(0, len(rows))):
            kept.discard(batch)
            restore = [path for other in sorted(kept) for path in jobs[other].files]
            warehouse.withdraw(jobs[batch]._replace(job_id=f"undo {table} {batch}"), restore)
            assert content(warehouse, table) == placed(newest(row for other in kept for row in rows[other]))

    def test_withdrawal_puts_back_rows_that_were_there_before(
        self, warehouse: Warehouse, files: Files, put: Put
    ) -> None:
        """Rows without provenance, as of a table that existed already, and an image with fewer columns."""
        foreign = arrow([{"k": 1, "v": "theirs"}, {"k": 2, "v": "theirs too"}])
        put("seed.parquet", foreign)
        warehouse.run(LoadJob("seed", TABLE, "append", ("seed.parquet",), COLUMNS, (), "", ""))
        wide = (*COLUMNS, TableColumn("n", "number"))
        job = files.job("upsert", "b1", [{"k": 1, "v": "ours", "n": 1.5}, {"k": 3, "v": "new", "n": 2.5}], columns=wide)
        before = list(warehouse.rows_with_keys(TABLE, job.files, ("k",)))
        put("before.parquet", pa.Table.from_batches(before))
        assert sum(batch.num_rows for batch in before) == 1
        warehouse.run(job)
        assert content(warehouse, TABLE, "k", "v", "n") == [(1, "ours", 1.5), (2, "theirs too", None), (3, "new", 2.5)]
        assert warehouse.withdraw(job._replace(job_id="undo"), ["before.parquet"]).rows == 2
        assert content(warehouse) == placed(foreign.to_pylist())

    def test_withdrawal_of_what_was_replaced_since_changes_nothing(self, warehouse: Warehouse, files: Files) -> None:
        old = files.job("upsert", "b1", [{"k": 1, "v": "old"}])
        new = files.job("upsert", "b2", [{"k": 1, "v": "new"}])
        warehouse.run(old)
        warehouse.run(new)
        assert warehouse.withdraw(old._replace(job_id="undo"), new.files).rows == 0
        assert content(warehouse, TABLE, "v") == [("new",)]

    def test_withdrawn_overwrite_shows_the_one_before(self, warehouse: Warehouse, files: Files) -> None:
        jobs = {batch: files.job("overwrite", batch, [{"k": 1, "v": batch}] * 2) for batch in ("b1", "b2", "b3")}
        warehouse.run(jobs["b1"])
        warehouse.run(jobs["b3"])
        assert warehouse.withdraw(jobs["b1"]._replace(job_id="u1"), []).rows == 0
        assert warehouse.withdraw(jobs["b3"]._replace(job_id="u3"), jobs["b1"].files).rows == 2
        assert content(warehouse, TABLE, "v") == [("b1",), ("b1",)]
        assert warehouse.run(jobs["b2"]).rows == 2
        assert warehouse.withdraw(jobs["b2"]._replace(job_id="u2"), []).rows == 2
        assert content(warehouse) == []
        assert warehouse.run(jobs["b1"]._replace(job_id="b1 again")).rows == 2

    def test_withdrawal_from_no_table(self, warehouse: Warehouse, files: Files) -> None:
        for mode in ("append", "upsert", "overwrite"):
            job = files.job(mode, "b1", [{"k": 1, "v": "x"}])
            assert warehouse.withdraw(job, []).rows == 0
        assert warehouse.describe(TABLE) is None

    # ── schema ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_every_type_comes_back(self, warehouse: Warehouse, files: Files) -> None:
        columns = tuple(TableColumn(f"c_{logical}", logical) for logical in ARROW)  # type: ignore[arg-type]
        row = {
            "c_string": 'é"\n',
            "c_integer": 2**62,
            "c_number": 0.1,
            "c_boolean": True,
            "c_date": date(1, 2, 3),
            "c_timestamp": datetime(2013, 1, 1, 5, 15, 0, 123456, UTC),
            "c_time": time(23, 59, 59, 999999),
            "c_object": '{"a": 1}',
            "c_array": "[1]",
        }
        warehouse.run(files.job("append", "b1", [row, dict.fromkeys(row)], columns=columns))
        info = warehouse.describe(TABLE)
        assert info is not None
        assert info.columns == columns
        assert info.rows == 2
        names = tuple(row)
        assert content(warehouse, TABLE, *names) == sorted([tuple(row.values()), (None,) * len(row)], key=repr)
        schema = next(warehouse.dump(TABLE)).schema
        assert schema.field("c_timestamp").type == pa.timestamp("us", tz="UTC")

    def test_missing_table(self, warehouse: Warehouse, files: Files) -> None:
        job = files.job("append", "b1", [{"k": 1, "v": "x"}])
        for _ in range(2):  # before anything exists, and beside another table
            assert warehouse.describe("travel.none") is None
            assert warehouse.keys("travel.none", ["k"]) is None
            assert list(warehouse.dump("travel.none")) == []
            assert list(warehouse.rows_with_keys("travel.none", job.files, ["k"])) == []
            assert warehouse.plan_schema("travel.none", COLUMNS, Layout()) == [SchemaChange("create", "", "", "")]
            warehouse.run(job)

    def test_version_changes_with_rows_and_columns(self, warehouse: Warehouse, files: Files) -> None:
        seen = []
        for action in (
            lambda: warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}])),
            lambda: warehouse.run(files.job("append", "b2", [{"k": 1, "v": "x"}])),
            lambda: warehouse.ensure(TABLE, [TableColumn("new", "date")], Layout()),
            lambda: warehouse.ensure(TABLE, [TableColumn("k", "number")], Layout()),
        ):
            action()
            info = warehouse.describe(TABLE)
            assert info is not None
            assert info == warehouse.describe(TABLE)
            seen.append(info.version)
        assert len(set(seen)) == 4

    def test_columns_are_added_and_widened(self, warehouse: Warehouse, files: Files) -> None:
        columns = (TableColumn("k", "integer"), TableColumn("d", "date"), TableColumn("b", "boolean"))
        warehouse.run(files.job("append", "b1", [{"k": 1, "d": date(2020, 2, 29), "b": True}], columns=columns))
        wider = (
            TableColumn("K", "number"),
            TableColumn("d", "timestamp"),
            TableColumn("b", "string"),
            TableColumn("o", "object"),
        )
        expected = [
            SchemaChange("widen", "k", "integer", "number"),
            SchemaChange("widen", "d", "date", "timestamp"),
            SchemaChange("widen", "b", "boolean", "string"),
            SchemaChange("add", "o", "", "object"),
        ]
        assert warehouse.plan_schema(TABLE, wider, Layout()) == expected
        assert warehouse.ensure(TABLE, wider, Layout()) == expected
        assert warehouse.ensure(TABLE, wider, Layout()) == []
        assert warehouse.ensure(TABLE, columns, Layout()) == [], "what is narrower fits"
        warehouse.run(files.job("append", "b2", [{"k": 2, "d": date(2020, 3, 1), "b": False}], columns=columns))
        assert content(warehouse, TABLE, "k", "d", "b", "o") == [
            (1.0, datetime(2020, 2, 29, tzinfo=UTC), "true", None),
            (2.0, datetime(2020, 3, 1, tzinfo=UTC), "false", None),
        ]

    @pytest.mark.parametrize(
        ("old", "new"), [("integer", "date"), ("timestamp", "integer"), ("boolean", "number"), ("time", "timestamp")]
    )
    def test_narrowing_is_refused(self, warehouse: Warehouse, old: Any, new: Any) -> None:
        warehouse.ensure(TABLE, [TableColumn("a", "string"), TableColumn("x", old)], Layout())
        before = warehouse.describe(TABLE)
        for refusing in (warehouse.plan_schema, warehouse.ensure):
            with pytest.raises(ForeignFailure) as caught:
                refusing(TABLE, [TableColumn("added", "date"), TableColumn("x", new)], Layout())
            assert caught.value.reason == "incompatible"
        assert warehouse.describe(TABLE) == before

    @pytest.mark.parametrize(
        "table",
        [
            "flights",
            "",
            ".",
            "a.",
            ".b",
            "a.b.c",
            'a."b',
            "a.b;drop table x",
            "a.b' --",
            "_mend.jobs",
            "information_schema.tables",
            "../a.b",
            "a.b/c",
            "a.b\n",
            "a.b\x00",
            "a." + "b" * 300,
            "-a.b",
        ],
    )
    def test_hostile_table_names(self, warehouse: Warehouse, files: Files, table: str) -> None:
        job = files.job("append", "b1", [{"k": 1, "v": "x"}], table=table)
        for use in (
            lambda: warehouse.describe(table),
            lambda: warehouse.ensure(table, COLUMNS, Layout()),
            lambda: warehouse.run(job),
            lambda: warehouse.withdraw(job, []),
            lambda: warehouse.keys(table, ["k"]),
            lambda: list(warehouse.dump(table)),
            lambda: list(warehouse.rows_with_keys(table, job.files, ["k"])),
        ):
            with pytest.raises(ForeignFailure):
                use()

    @pytest.mark.parametrize("table", ["warehouse.warehouse", "main.t", "temp.select", "Ünï.côde_1", "a-b.c-d"])
    def test_unusual_table_names(self, warehouse: Warehouse, files: Files, table: str) -> None:
        warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}], table=table))
        assert content(warehouse, table, "k") == [(1,)]

    def test_unusual_column_names(self, warehouse: Warehouse, files: Files) -> None:
        names = [
            "select",
            'a"b',
            "a'; DROP TABLE x; --",
            "with space",
            "ñ",
            "order",
            "`t`",
            "t.x",
            "$1",
            "?",
            "%s",
            "{}",
        ]
        columns = tuple(TableColumn(name, "integer") for name in names)
        rows = [{name: number for number, name in enumerate(names)}]
        for batch in ("b1", "b2"):
            warehouse.run(files.job("upsert", batch, rows, columns=columns, keys=tuple(names)))
        job = files.job("upsert", "b3", rows, columns=columns, keys=tuple(names))
        assert [batch.num_rows for batch in warehouse.rows_with_keys(TABLE, job.files, names)] == [1]
        keys = warehouse.keys(TABLE, names)
        assert keys is not None
        assert keys.to_pylist() == rows
        assert warehouse.ensure(TABLE, [TableColumn(name, "string") for name in names], Layout())

    @pytest.mark.parametrize("names", [[""], ["a\nb"], ["a\x00"], ["_mend_row"], ["_MEND_x"], ["a", "A"], ["x" * 301]])
    def test_hostile_column_names(self, warehouse: Warehouse, names: list[str]) -> None:
        with pytest.raises(ForeignFailure):
            warehouse.ensure(TABLE, [TableColumn(name, "string") for name in names], Layout())
        assert warehouse.describe(TABLE) is None

    @pytest.mark.parametrize("path", ["/etc/passwd", "../x.parquet", "a/../../x", "", "a*.parquet", "a?.parquet"])
    def test_files_outside_the_store(self, warehouse: Warehouse, files: Files, path: str) -> None:
        job = files.job("append", "b1", [{"k": 1, "v": "x"}])._replace(files=(path,))
        with pytest.raises(InvariantBroken):
            warehouse.run(job)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_rows_with_keys(self, warehouse: Warehouse, files: Files) -> None:
        warehouse.run(files.job("upsert", "b1", [{"k": n, "v": str(n)} for n in range(10)]))
        job = files.job("upsert", "b2", [{"k": 3, "v": "x"}, {"k": 3, "v": "y"}, {"k": 99, "v": "z"}])
        rows = [row for batch in warehouse.rows_with_keys(TABLE, job.files, ("k",)) for row in batch.to_pylist()]
        assert rows == [{"k": 3, "v": "3", "_mend_batch": "b1", "_mend_row": 4, "_mend_seq": "b1"}]

    def test_writing_while_reading(self, warehouse: Warehouse, files: Files) -> None:
        warehouse.run(files.job("append", "b1", [{"k": n, "v": "x"} for n in range(200_000)]))
        reading = warehouse.dump(TABLE)
        rows = next(reading).num_rows
        warehouse.run(files.job("append", "b2", [{"k": 1, "v": "x"}]))
        assert rows + sum(batch.num_rows for batch in reading) == 200_000
        unfinished = warehouse.dump(TABLE)
        next(unfinished)
        del unfinished
        assert warehouse.describe(TABLE).rows == 200_001  # type: ignore[union-attr]

    def test_keys(self, warehouse: Warehouse, files: Files) -> None:
        rows = [{"k": 2, "v": "b"}, {"k": 1, "v": "z"}, {"k": 2, "v": "b"}, {"k": None, "v": "n"}, {"k": 1, "v": "a"}]
        warehouse.run(files.job("append", "b1", rows))
        both = warehouse.keys(TABLE, ["k", "v"])
        one = warehouse.keys(TABLE, ["k"])
        assert both is not None
        assert one is not None
        assert both.to_pylist() == [{"k": 1, "v": "a"}, {"k": 1, "v": "z"}, {"k": 2, "v": "b"}]
        assert one.to_pylist() == [{"k": 1}, {"k": 2}]
        with pytest.raises(ForeignFailure):
            warehouse.keys(TABLE, ["absent"])

    def test_query_speaks_googlesql(self, warehouse: Warehouse, files: Files) -> None:
        warehouse.run(files.job("append", "b1", [{"k": n, "v": f"v{n % 3}"} for n in range(30)]))
        answer = warehouse.query(
            "WITH t AS (SELECT k, v FROM `travel.flights` WHERE k >= @low) "
            "SELECT v, COUNTIF(MOD(k, 2) = 0) AS even, SUM(k) AS total, SAFE_CAST(v AS INT64) AS none "
            "FROM t WHERE v IN UNNEST(@wanted) GROUP BY v ORDER BY v LIMIT 5",
            {"low": 10, "wanted": ["v1", "v2"], "unused": 1},
        )
        assert answer.to_pylist() == [
            {"v": "v1", "even": 4, "total": sum(range(10, 30, 3)), "none": None},
            {"v": "v2", "even": 3, "total": sum(range(11, 30, 3)), "none": None},
        ]

    def test_query_is_bounded(self, warehouse: Warehouse, files: Files) -> None:
        warehouse.run(files.job("append", "b1", [{"k": n, "v": "x"} for n in range(30)]))
        assert warehouse.query(f"SELECT k FROM {TABLE}", rows_max=30).num_rows == 30
        with pytest.raises(LimitExceeded):
            warehouse.query(f"SELECT k FROM {TABLE}", rows_max=29)

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM travel.flights WHERE TRUE",
            "DROP TABLE travel.flights",
            "CREATE TABLE travel.other AS SELECT 1 AS x",
            "SELECT 1; DROP TABLE travel.flights",
            "INSERT INTO travel.flights (k) VALUES (1)",
            "EXPORT DATA OPTIONS(uri='x') AS SELECT 1",
            "CALL x.y()",
            "SELECT * FROM read_parquet('loaded/x.parquet')",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM read_text('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM `/etc/passwd`",
            "SELECT * FROM `x.parquet`",
            "SELECT * FROM `_mend.jobs`",
            "SELECT * FROM _MEND.jobs",
            "SELECT * FROM glob('*')",
            "SELECT getenv('HOME')",
            "SELECT * FROM EXTERNAL_QUERY('a', 'b')",
            "SELECT * FROM flights",
            "SELECT * FROM other.travel.flights",
            "SELECT * FROM travel.absent",
            "SELECT absent FROM travel.flights",
            "SELECT (SELECT 1 FROM read_csv('/etc/passwd'))",
            "WITH `/etc/passwd` AS (SELECT 1 AS x) SELECT * FROM `/etc/passwd`",
            "SELEKT 1",
            "",
        ],
    )
    def test_query_only_reads_tables(self, warehouse: Warehouse, files: Files, sql: str) -> None:
        warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
        with pytest.raises(ForeignFailure):
            warehouse.query(sql)
        assert content(warehouse, TABLE, "k") == [(1,)]

    def test_close_is_not_the_end(self, warehouse: Warehouse, files: Files) -> None:
        warehouse.close()
        warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
        warehouse.close()
        warehouse.close()
        assert content(warehouse, TABLE, "k") == [(1,)]
