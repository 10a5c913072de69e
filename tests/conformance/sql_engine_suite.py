"""What every SQL engine does for a transform: rows in, rows out, and nothing else within reach."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pytest

from shared.domain.errors import TerminalError
from shared.ports.sql_engine import SqlEngine

ROWS = pa.table({"_mend_row": [1, 2, 3], "a": ["x", None, "secret cell"], "n": [1, 2, None]})


class SqlEngineSuite:
    """Subclasses supply ``engine`` and ``small``, an engine that may use about a hundred megabytes."""

    @pytest.fixture
    def engine(self) -> SqlEngine:
        raise NotImplementedError

    @pytest.fixture
    def small(self) -> SqlEngine:
        raise NotImplementedError

    def test_rows_in_rows_out(self, engine: SqlEngine) -> None:
        found = engine.select("SELECT UPPER(a) AS a, n + 1 AS m, _mend_row FROM batch WHERE n IS NOT NULL", ROWS)
        assert found.sort_by("_mend_row").to_pydict() == {"a": ["X", None], "m": [2, 3], "_mend_row": [1, 2]}

    def test_values_are_of_all_rows_together(self, engine: SqlEngine) -> None:
        queries = ["SELECT COUNT(*) FROM batch", "SELECT SUM(n) FROM batch", "SELECT MAX(a) FROM batch WHERE n > 9"]
        assert engine.values(queries, [ROWS.slice(0, 0), ROWS, ROWS]) == [6, 6, None]

    def test_other_tables_stand_beside_the_batch(self, engine: SqlEngine) -> None:
        other = pa.table({"n": [2, 5], "w": [1.5, None]})
        queries = ["SELECT SUM(o.n) FROM other AS o", "SELECT COUNT(*) FROM batch JOIN other ON other.n = batch.n"]
        assert engine.values(queries, [ROWS], {"other": other}) == [7, 1]
        with pytest.raises(TerminalError):
            engine.values(["SELECT COUNT(*) FROM more"], [ROWS], {"other": other})
        with pytest.raises(TerminalError):
            engine.values(["SELECT COUNT(*) FROM other"], [ROWS])

    def test_nothing_that_is_known_to_be_true_counts_as_none(self, engine: SqlEngine) -> None:
        queries = ["SELECT COUNTIF(n > 9) FROM batch", "SELECT COUNTIF(n > 0) FROM batch WHERE n IS NULL"]
        assert engine.values(queries, [ROWS]) == [0, 0]
        assert engine.values(queries, [ROWS.slice(0, 0)]) == [0, 0]

    def test_a_value_that_fails_tells_no_cell(self, engine: SqlEngine) -> None:
        for query in ("SELECT SUM(CAST(a AS INT64)) FROM batch", "SELECT a FROM batch", "SELECT a FROM other"):
            with pytest.raises(TerminalError) as error:
                engine.values([query], [ROWS])
            assert "secret" not in str(error.value)

    def test_no_rows_keep_their_columns(self, engine: SqlEngine) -> None:
        found = engine.select("SELECT a, n FROM batch", ROWS.slice(0, 0))
        assert (found.num_rows, found.column_names) == (0, ["a", "n"])

    def test_times_are_in_utc(self, engine: SqlEngine) -> None:
        sql = "SELECT TIMESTAMP_TRUNC(TIMESTAMP '2024-01-01 23:30:00-02', DAY) AS day FROM batch"
        assert str(engine.select(sql, ROWS).column("day")[0].as_py())[:19] == "2024-01-02 00:00:00"

    def test_calls_know_nothing_of_each_other(self, engine: SqlEngine) -> None:
        engine.select("SELECT a FROM batch", ROWS)
        with pytest.raises(TerminalError):
            engine.select("SELECT a FROM batch", pa.table({"b": [1]}))

    def test_several_threads_at_once(self, engine: SqlEngine) -> None:
        found: list[int] = []

        def work(number: int) -> None:
            rows = pa.table({"n": [number] * 1_000})
            for _ in range(5):
                found.append(
                    int(engine.select("SELECT n FROM batch WHERE n >= 0", rows).column("n")[999].as_py()) - number
                )

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert found == [0] * 20

    @pytest.mark.parametrize(
        "sql",
        [
            *(
                "",
                ";",
                "SELECT",
                "SELECT a FROM batch; SELECT a FROM batch",
                "no sql at all",
                "SELECT nothing FROM batch",
            ),
            *("SELECT a FROM other", "SELECT a FROM shop.batch", "SELECT a FROM main.batch", "SELECT * FROM rows"),
            *(
                "SELECT * FROM information_schema.tables",
                "SELECT * FROM sqlite_master",
                "SELECT * FROM duckdb_settings()",
            ),
            *("SELECT * FROM duckdb_secrets()", "SELECT * FROM pragma_database_list", "SELECT * FROM range(10)"),
            *(
                "CREATE TABLE x (a INT64)",
                "CREATE VIEW x AS SELECT 1 AS a",
                "DROP VIEW batch",
                "DELETE FROM batch WHERE TRUE",
            ),
            *("INSERT INTO batch (a) VALUES ('x')", "UPDATE batch SET a = 'x' WHERE TRUE", "TRUNCATE TABLE batch"),
            *("SET memory_limit = '10GB'", "RESET ALL", "PRAGMA version", "CALL x()", "EXPLAIN SELECT a FROM batch"),
            *(
                "INSTALL httpfs",
                "LOAD httpfs",
                "FORCE INSTALL spatial",
                "ATTACH ':memory:' AS x",
                "USE x",
                "CHECKPOINT",
            ),
            *("SELECT current_setting('memory_limit') AS x FROM batch", "SELECT getenv('HOME') AS x FROM batch"),
            *(
                "SELECT getvariable('x') AS x FROM batch",
                "SELECT nextval('x') AS x FROM batch",
                "SELECT query('x') FROM batch",
            ),
            *("SELECT CAST(a AS INT64) AS x FROM batch", "SELECT " + "(" * 4_000 + "n" + ")" * 4_000 + " FROM batch"),
            "SELECT " + " + ".join(["n"] * 4_000) + " AS x FROM batch",
        ],
    )
    def test_refused(self, engine: SqlEngine, sql: str) -> None:
        with pytest.raises(TerminalError) as caught:
            engine.select(sql, ROWS)
        assert "secret cell" not in str(caught.value)
        assert len(str(caught.value)) < 1_000

    def test_no_files(self, engine: SqlEngine, tmp_path: Path) -> None:
        kept = tmp_path / "kept.csv"
        kept.write_text("a\nsecret cell\n")
        made = tmp_path / "made"
        for sql in (
            *(f"SELECT * FROM '{kept}'", f"SELECT * FROM `{kept}`", f"SELECT * FROM read_csv('{kept}')"),
            *(
                f"SELECT read_text('{kept}') AS x FROM batch",
                f"SELECT * FROM read_text('{kept}')",
                f"SELECT * FROM glob('{tmp_path}/*')",
            ),
            *(f"COPY (SELECT a FROM batch) TO '{made}'", f"COPY batch FROM '{kept}'", f"ATTACH '{made}' AS x"),
            *(
                f"EXPORT DATABASE '{made}'",
                f"IMPORT DATABASE '{tmp_path}'",
                f"SELECT a FROM batch INTO OUTFILE '{made}'",
            ),
            f"EXPORT DATA OPTIONS (uri = '{made}', format = 'CSV') AS SELECT a FROM batch",
        ):
            with pytest.raises(TerminalError) as caught:
                engine.select(sql, ROWS)
            assert "secret cell" not in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]

    def test_no_network(self, engine: SqlEngine) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_error(404)

            def do_HEAD(self) -> None:
                self.do_GET()

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/x.csv"
        try:
            for sql in (f"SELECT * FROM '{url}'", f"SELECT * FROM read_csv('{url}')", f"COPY (SELECT 1) TO '{url}'"):
                with pytest.raises(TerminalError):
                    engine.select(sql, ROWS)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        assert asked == []

    def test_no_variables_of_ours(self, engine: SqlEngine) -> None:
        frame = pa.table({"a": ["secret cell"]})
        for name in ("frame", "sql", "ROWS", "self", "connection"):
            with pytest.raises(TerminalError):
                engine.select(f"SELECT * FROM {name}", ROWS)
        assert frame.num_rows == 1

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT REPEAT(a, 150000000) AS x FROM batch",
            "SELECT REPEAT(REPEAT(REPEAT('x', 10000), 10000), 10000) AS x FROM batch",
        ],
    )
    def test_memory_is_bounded(self, small: SqlEngine, sql: str, memory: Callable[[], int]) -> None:
        before, started = memory(), time.monotonic()
        with pytest.raises(TerminalError):
            small.select(sql, ROWS)
        assert memory() - before < 300 << 20
        assert time.monotonic() - started < 20

    @pytest.fixture
    def memory(self) -> Callable[[], int]:
        """Bytes that this process uses at most so far."""
        import resource

        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT CAST(a AS INT64) AS x FROM batch",
            "SELECT CAST(a AS DATE) AS x FROM batch",
            "SELECT PARSE_DATE('%Y', a) AS x FROM batch",
            "SELECT CAST(a AS BOOL) AS x FROM batch",
            "SELECT PARSE_TIMESTAMP('%Y', a) AS x FROM batch",
            "SELECT CHR(n * 2000000000) AS x FROM batch",
        ],
    )
    def test_a_row_that_fails_is_not_quoted(self, engine: SqlEngine, sql: str) -> None:
        rows = pa.table({"a": ["secret cell"], "n": [7_777_777]})
        with pytest.raises(TerminalError) as caught:
            engine.select(sql, rows)
        assert "secret" not in str(caught.value)
        assert "7777777" not in str(caught.value)
        assert caught.value.__cause__ is None
