"""Goal: a transform can do to a row what it likes, and nothing else. Method: the checked SQL, run for real."""

# ruff: noqa: E501 -- one case a line

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pyarrow as pa
import pytest

from services.load.transform import FUNCTIONS, SQL_CHARACTERS_MAX, prepare
from shared.adapters.local.sql_engine import DuckDbSqlEngine
from shared.domain.errors import DefinitionError, TerminalError

ROWS = pa.table(
    {
        "_mend_row": [1, 2, 3],
        "a": ["x,y", None, "Zé"],
        "n": [1, None, -3],
        "f": [1.5, None, -2.25],
        "b": [True, None, False],
        "d": pa.array([date(2024, 2, 29), None, date(1999, 12, 31)], pa.date32()),
        "ts": pa.array([datetime(2024, 2, 29, 12, tzinfo=UTC), None, None], pa.timestamp("us", tz="UTC")),
        "t": pa.array([time(1, 2, 3), None, None], pa.time64("us")),
        "j": ['{"x": {"y": 1}, "z": ["p"]}', None, "{}"],
    }
)


def run(sql: str) -> dict[str, list[object]]:
    made = DuckDbSqlEngine(200).select(prepare(sql, "pipelines/p.yaml"), ROWS).sort_by("_mend_row")
    found: dict[str, list[object]] = made.to_pydict()
    return found


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("", "one statement"),
        (";", "one statement"),
        ("SELECT a FROM batch; SELECT a FROM batch", "one statement"),
        ("SELECT a FROM batch; DROP TABLE batch", "one statement"),
        ("SELECT FROM WHERE", "no GoogleSQL"),
        ("ATTACH DATABASE x", "no GoogleSQL"),
        ("SELECT " + "(" * 3_000 + "n" + ")" * 3_000 + " FROM batch", "cannot be read"),
        ("SELECT " + "NOT " * 1_500 + "b AS x FROM batch", "cannot be read"),
        ("SELECT " + " + ".join(["n"] * 4_000) + " AS x FROM batch", "too large"),
        ("SELECT a FROM batch --" + "x" * SQL_CHARACTERS_MAX, "longer than"),
        *(
            (sql, "must be a SELECT")
            for sql in (
                "DELETE FROM batch WHERE TRUE",
                "INSERT INTO batch (a) VALUES ('x')",
                "UPDATE batch SET a = 'x' WHERE TRUE",
                "CREATE TABLE x AS SELECT a FROM batch",
                "DROP TABLE batch",
                "COPY batch TO '/tmp/x'",
                "SET x = 1",
                "LOAD httpfs",
                "CALL x()",
                "EXPORT DATA OPTIONS (uri='x') AS SELECT a FROM batch",
                "SELECT a FROM batch UNION ALL SELECT a FROM batch",
            )
        ),
        *(
            (sql, "must read from batch")
            for sql in (
                "SELECT 1 AS x",
                "SELECT a FROM other",
                "SELECT a FROM shop.batch",
                "SELECT a FROM p.shop.batch",
                "SELECT a FROM '/etc/passwd'",
                "SELECT a FROM read_csv('/etc/passwd')",
                "SELECT a FROM duckdb_settings()",
                "SELECT a FROM batch, other",
                "SELECT a FROM batch JOIN batch AS c ON TRUE",
                "SELECT a FROM (SELECT a FROM batch)",
                "SELECT a FROM batch WHERE a IN (SELECT a FROM other)",
                "SELECT a FROM UNNEST([1, 2]) AS a",
                "SELECT (SELECT MAX(a) FROM batch) AS x FROM batch",
                "SELECT a INTO x FROM batch",
            )
        ),
        *(
            (sql, "row-wise")
            for sql in (
                "SELECT a FROM batch GROUP BY a",
                "SELECT DISTINCT a FROM batch",
                "SELECT a FROM batch ORDER BY a",
                "SELECT a FROM batch LIMIT 1",
                "SELECT a FROM batch LIMIT 1 OFFSET 1",
                "SELECT a FROM batch QUALIFY TRUE",
                "SELECT a FROM batch HAVING TRUE",
                "SELECT a FROM batch CROSS JOIN UNNEST([1, 2]) AS x",
                "SELECT AS STRUCT a FROM batch",
                "SELECT AS VALUE a FROM batch",
                "WITH x AS (SELECT 1 AS y) SELECT a FROM batch",
            )
        ),
        *(
            (f"SELECT {expression} AS x FROM batch", "several rows")
            for expression in (
                *("COUNT(*)", "SUM(n)", "MAX(a)", "ARRAY_AGG(a)", "STRING_AGG(a)", "ANY_VALUE(a)"),
                *("ROW_NUMBER() OVER ()", "LAG(a) OVER (ORDER BY n)", "SUM(n) OVER ()"),
            )
        ),
        *(
            (f"SELECT {expression} AS x FROM batch", "not allowed")
            for expression in (
                *("RAND()", "CURRENT_DATE()", "CURRENT_TIMESTAMP()", "CURRENT_DATETIME()", "SESSION_USER()"),
                *(
                    "GENERATE_UUID()",
                    "getenv('HOME')",
                    "read_text('/etc/passwd')",
                    "current_setting('x')",
                    "ERROR('x')",
                ),
                *(
                    "EXTERNAL_QUERY('x', 'y')",
                    "GENERATE_ARRAY(1, 1000000000)",
                    "SAFE.LEFT(a, 1)",
                    "f.g(a)",
                    "@x",
                    "@@x",
                ),
                *(
                    "[a]",
                    "STRUCT(a)",
                    "EXISTS(SELECT 1)",
                    "ARRAY(SELECT 1)",
                    "pg_sleep(9)",
                    "nextval('x')",
                    "getvariable('x')",
                ),
            )
        ),
        ("SELECT REPEAT(a, 2) AS x FROM batch", "not allowed"),
        ("SELECT LPAD(a, n) AS x FROM batch", "length of LPAD"),
        ("SELECT RPAD(a, 2000000000, 'y') AS x FROM batch", "length of LPAD"),
        ("SELECT RPAD(a, 10000 * 10000) AS x FROM batch", "length of LPAD"),
        ("SELECT a FROM batch WHERE n IN UNNEST([1, 2])", "not allowed"),
        ("SELECT a FROM batch WHERE EXISTS(SELECT 1)", "not allowed"),
        ("SELECT a FROM batch TABLESAMPLE SYSTEM (10 PERCENT)", "not allowed"),
        *(
            (sql, "Mendline's own")
            for sql in (
                "SELECT a AS _mend_row FROM batch",
                "SELECT a AS _MEND_seq FROM batch",
                "SELECT *, n AS _mend_batch FROM batch",
                "SELECT * EXCEPT (_mend_row) FROM batch",
                "SELECT * REPLACE (1 AS _mend_row) FROM batch",
            )
        ),
    ],
)
def test_refused_with_the_reason(sql: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as caught:
        prepare(sql, "pipelines/p.yaml")
    assert str(caught.value).startswith("pipelines/p.yaml")
    assert caught.value.hint
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM batch", {"a": ["x,y", None, "Zé"]}),
        ("SELECT b.a FROM batch AS b", {"a": ["x,y", None, "Zé"]}),
        ("SELECT batch.a FROM `batch`", {"a": ["x,y", None, "Zé"]}),
        ("SELECT * EXCEPT (a, n, f, b, d, ts, t, j), n + 1 AS m FROM batch", {"m": [2, None, -2]}),
        ("SELECT * REPLACE (UPPER(a) AS a) FROM batch", {"a": ["X,Y", None, "ZÉ"]}),
        ("SELECT _mend_row AS line FROM batch", {"line": [1, 2, 3]}),
        ("SELECT a, _mend_row FROM batch WHERE n IS NOT NULL", {"a": ["x,y", "Zé"], "_mend_row": [1, 3]}),
        ("SELECT SPLIT(a, ',')[SAFE_OFFSET(1)] AS x FROM batch", {"x": ["y", None, None]}),
        ("SELECT CASE WHEN n < 0 THEN 'minus' ELSE 'plus' END AS x FROM batch", {"x": ["plus", "plus", "minus"]}),
        ("SELECT IFNULL(n, 0) AS x, IF(b, 1, 2) AS y FROM batch", {"x": [1, 0, -3], "y": [1, 2, 2]}),
        (
            "SELECT SAFE_CAST(a AS INT64) AS x, CAST(n AS STRING) AS y FROM batch",
            {"x": [None] * 3, "y": ["1", None, "-3"]},
        ),
        ("SELECT JSON_VALUE(j, '$.x.y') AS x, JSON_VALUE(j, '$.z[0]') AS y FROM batch", {"x": ["1", None, None]}),
        ("SELECT FORMAT_DATE('%Y/%m', d) AS x FROM batch", {"x": ["2024/02", None, "1999/12"]}),
        ("SELECT PARSE_DATE('%d.%m.%Y', '01.02.2024') AS x FROM batch", {"x": [date(2024, 2, 1)] * 3}),
        ("SELECT DATE_DIFF(d, DATE '2024-01-01', DAY) AS x FROM batch", {"x": [59, None, -8767]}),
        (
            "SELECT DIV(7, 2) AS x, MOD(-7, 2) AS y, 7 / 2 AS z FROM batch",
            {"x": [3] * 3, "y": [-1] * 3, "z": [3.5] * 3},
        ),
        ("SELECT SUBSTR(a, 2, 1) AS x, STRPOS(a, 'y') AS y FROM batch", {"x": [",", None, "é"], "y": [3, None, 0]}),
        ("SELECT REGEXP_EXTRACT(a, r'(\\w),') AS x FROM batch", {"x": ["x", None, None]}),
        ("SELECT TIMESTAMP_TRUNC(ts, DAY) AS x FROM batch", {"x": [datetime(2024, 2, 29, tzinfo=UTC), None, None]}),
        ("SELECT a FROM batch WHERE FALSE", {"a": []}),
    ],
)
def test_what_rows_become(sql: str, expected: dict[str, list[object]]) -> None:
    found = run(sql)
    assert {name: found[name] for name in expected} == expected
    assert "_mend_row" in found


def test_regexp_extract_without_a_match_is_null() -> None:
    assert run("SELECT REGEXP_EXTRACT(a, r'nothing') AS x FROM batch")["x"] == [None, None, None]


_DATE, _TS = "DATE '2024-02-29'", "TIMESTAMP '2024-02-29 12:00:00+00'"
_DT = "DATETIME '2024-02-29 12:00:00'"
CALLS = {
    "and": "b AND b", "or": "b OR b", "xor": "b XOR b", "between": "n BETWEEN 1 AND 2", "like": "a LIKE 'x%'",
    "array_length": "ARRAY_LENGTH(SPLIT(a, ','))", "cast": "CAST(n AS STRING)", "safe_cast": "SAFE_CAST(a AS INT64)",
    "chr": "CHR(65)", "coalesce": "COALESCE(n, 1)", "concat": "CONCAT(a, 'x')", "contains_substr": "CONTAINS_SUBSTR(a, 'x')",
    "date": f"DATE({_TS})", "date_add": f"DATE_ADD({_DATE}, INTERVAL 1 DAY)", "date_sub": f"DATE_SUB({_DATE}, INTERVAL 1 DAY)",
    "date_diff": f"DATE_DIFF({_DATE}, {_DATE}, MONTH)", "date_trunc": f"DATE_TRUNC({_DATE}, MONTH)",
    "datetime": f"DATETIME({_TS})", "datetime_add": f"DATETIME_ADD({_DT}, INTERVAL 1 HOUR)",
    "datetime_sub": f"DATETIME_SUB({_DT}, INTERVAL 1 HOUR)", "datetime_diff": f"DATETIME_DIFF({_DT}, {_DT}, HOUR)",
    "datetime_trunc": f"DATETIME_TRUNC({_DT}, DAY)", "div": "DIV(n, 2)", "ends_with": "ENDS_WITH(a, 'y')",
    "extract": f"EXTRACT(YEAR FROM {_DATE})", "format_date": f"FORMAT_DATE('%Y', {_DATE})",
    "format_timestamp": f"FORMAT_TIMESTAMP('%Y', {_TS})", "greatest": "GREATEST(n, 2)", "least": "LEAST(n, 2)",
    "if": "IF(b, 1, 2)", "ifnull": "IFNULL(n, 1)", "instr": "INSTR(a, 'y')", "json_extract_scalar": "JSON_EXTRACT_SCALAR(j, '$.x')",
    "json_value": "JSON_VALUE(j, '$.x')", "left": "LEFT(a, 1)", "right": "RIGHT(a, 1)", "log": "LOG(8, 2)", "ln": "LN(2.5)",
    "lpad": "LPAD(a, 5, '0')", "rpad": "RPAD(a, 5, '0')", "mod": "MOD(n, 2)", "nullif": "NULLIF(n, 1)",
    "parse_date": "PARSE_DATE('%Y', '2024')", "parse_datetime": "PARSE_DATETIME('%Y', '2024')",
    "parse_timestamp": "PARSE_TIMESTAMP('%Y', '2024')", "pow": "POW(n, 2)", "power": "POWER(n, 2)",
    "regexp_contains": "REGEXP_CONTAINS(a, r'x')", "regexp_extract": "REGEXP_EXTRACT(a, r'x')",
    "regexp_replace": "REGEXP_REPLACE(a, r'x', 'y')", "replace": "REPLACE(a, 'x', 'y')",
    "safe_divide": "SAFE_DIVIDE(n, 0)", "split": "SPLIT(a, ',')[SAFE_OFFSET(0)]", "sqrt": "SQRT(4.0)",
    "starts_with": "STARTS_WITH(a, 'x')", "strpos": "STRPOS(a, 'x')", "substr": "SUBSTR(a, 1)", "substring": "SUBSTRING(a, 1)",
    "time": f"TIME({_DT})", "time_add": "TIME_ADD(TIME '01:00:00', INTERVAL 1 HOUR)",
    "time_sub": "TIME_SUB(TIME '01:00:00', INTERVAL 1 HOUR)", "time_diff": "TIME_DIFF(TIME '02:00:00', TIME '01:00:00', HOUR)",
    "time_trunc": "TIME_TRUNC(TIME '01:02:03', HOUR)", "timestamp": f"TIMESTAMP({_DATE})",
    "timestamp_add": f"TIMESTAMP_ADD({_TS}, INTERVAL 1 HOUR)", "timestamp_sub": f"TIMESTAMP_SUB({_TS}, INTERVAL 1 HOUR)",
    "timestamp_diff": f"TIMESTAMP_DIFF({_TS}, {_TS}, HOUR)", "timestamp_trunc": f"TIMESTAMP_TRUNC({_TS}, DAY)",
    "translate": "TRANSLATE(a, 'x', 'y')", "trunc": "TRUNC(f)", "unix_date": f"UNIX_DATE({_DATE})", "exp": "EXP(1)",
    **{name: f"{name.upper()}({_TS})" for name in ("unix_micros", "unix_millis", "unix_seconds")},
    **{name: f"{name.upper()}(1)" for name in ("timestamp_micros", "timestamp_millis", "timestamp_seconds")},
    **{name: f"TO_HEX({name.upper()}(a))" for name in ("md5", "sha256", "sha512")},
    "to_hex": "TO_HEX(MD5(a))", "to_base64": "TO_BASE64(MD5(a))",
    **{name: f"{name.upper()}(f)" for name in ("abs", "ceil", "ceiling", "floor", "round", "sign", "is_inf", "is_nan")},
    "log10": "LOG10(10.0)",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_listed_function_can_be_called(name: str) -> None:
    call = CALLS.get(name, f"{name.upper()}(a)")
    assert len(run(f"SELECT {call} AS x FROM batch")["x"]) == 3


@pytest.mark.parametrize(
    "sql",
    ["SELECT CAST(a AS INT64) AS x FROM batch", "SELECT nothing AS x FROM batch", "SELECT ABS(a) AS x FROM batch"],
)
def test_a_row_that_makes_it_fail_stops_it_without_telling_cells(sql: str) -> None:
    with pytest.raises(TerminalError) as caught:
        run(sql)
    assert "x,y" not in str(caught.value)
    assert "Zé" not in str(caught.value)
