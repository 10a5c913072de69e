"""What every warehouse's tables are: typed, widened and never narrowed, safely named, read without being changed."""

from datetime import UTC, date, datetime, time
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from shared.domain.errors import ForeignFailure, InvariantBroken, LimitExceeded
from shared.ports.warehouse import Layout, SchemaChange, TableColumn, Warehouse
from tests.conformance.warehouse_rows import (
    ARROW,
    COLUMNS,
    TABLE,
    Files,
    Put,
    content,
)


class WarehouseTablesSuite:
    """Subclasses supply ``warehouse`` and ``put``, which writes a Parquet file into its object store.

    What a warehouse does not take as a name it refuses; which names these are is a known difference.
    """

    rows_read_meanwhile: ClassVar[int] = 200_000  # more than what is read comes in one piece

    tables_refused: ClassVar[tuple[str, ...]] = ()
    characters_refused: ClassVar[str] = ""  # in the names of columns

    @pytest.fixture
    def warehouse(self) -> Warehouse:
        raise NotImplementedError

    @pytest.fixture
    def put(self) -> Put:
        raise NotImplementedError

    @pytest.fixture
    def files(self, put: Put) -> Files:
        return Files(put)

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
        job = files.job("append", "b1", [{"k": 1, "v": "x"}], table=table)
        if table in self.tables_refused:
            with pytest.raises(ForeignFailure, match="is named"):
                warehouse.run(job)
            return
        warehouse.run(job)
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
        for name in [name for name in names if set(name) & set(self.characters_refused)]:
            with pytest.raises(ForeignFailure, match="rename"):
                warehouse.ensure(TABLE, [TableColumn(name, "integer")], Layout())
            names.remove(name)
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
        warehouse.run(files.job("append", "b1", [{"k": n, "v": "x"} for n in range(self.rows_read_meanwhile)]))
        reading = warehouse.dump(TABLE)
        rows = next(reading).num_rows
        assert rows < self.rows_read_meanwhile
        warehouse.run(files.job("append", "b2", [{"k": 1, "v": "x"}]))
        assert rows + sum(batch.num_rows for batch in reading) == self.rows_read_meanwhile
        unfinished = warehouse.dump(TABLE)
        next(unfinished)
        del unfinished
        assert warehouse.describe(TABLE).rows == self.rows_read_meanwhile + 1  # type: ignore[union-attr]

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
