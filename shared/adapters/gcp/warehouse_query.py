"""Queries that people write: checked before they run, bounded in rows and in bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.adapters.gcp.warehouse_jobs import finished, patience
from shared.adapters.gcp.warehouse_schema import refused
from shared.adapters.read_only_sql import read_only, tables_of
from shared.domain.errors import LimitExceeded

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery

# In this order: a bool is an int to Python, a datetime a date.
_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (float, "FLOAT64"),
    (str, "STRING"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
    (time, "TIME"),
)


def bound(sql: str, own: Collection[str]) -> frozenset[str]:
    """The names of the query's parameters; ``ForeignFailure`` unless it is one SELECT over tables that are not ours."""
    from sqlglot import exp

    statement = read_only(sql, refused)
    for table in tables_of(statement, refused):
        if table.db.casefold() in own:
            raise refused("accessDenied", "a query does not read Mendline's own tables")
    return frozenset(found.name for found in statement.find_all(exp.Parameter))


class Parameters(NamedTuple):
    """Values for the parameters of a query, as the client takes them."""

    values: tuple[Any, ...]

    def run(self, client: bigquery.Client, sql: str, rows_max: int, bytes_max: int) -> pa.Table:
        """Ask what the query reads, then run it; ``LimitExceeded`` when it is too much."""
        from google.cloud import bigquery

        values = list(self.values)
        asked = bigquery.QueryJobConfig(query_parameters=values, dry_run=True, use_query_cache=False)
        trial = client.query(sql, job_config=asked, **patience(), job_retry=None)
        if trial.statement_type != "SELECT":
            raise refused("accessDenied", "a query only reads")
        if (trial.total_bytes_processed or 0) > bytes_max:
            read = f"{trial.total_bytes_processed:,}"
            raise LimitExceeded(f"the query reads {read} bytes; at most {bytes_max:,} are allowed")
        config = bigquery.QueryJobConfig(query_parameters=values, maximum_bytes_billed=bytes_max)
        begun = client.query(sql, job_config=config, **patience(), job_retry=None)
        rows = finished(begun, max_results=rows_max + 1, job_retry=None)
        found = rows.to_arrow(create_bqstorage_client=False)
        if found.num_rows > rows_max:
            raise LimitExceeded(f"the query has more than {rows_max} rows; add a LIMIT")
        return found


def parameters_of(given: Mapping[str, Any], names: Collection[str]) -> Parameters:
    """The values that the query has a name for."""
    return Parameters(tuple(_parameter(name, value) for name, value in given.items() if name in names))


def _parameter(name: str, value: Any) -> Any:
    from google.cloud import bigquery

    if isinstance(value, list | tuple):
        return bigquery.ArrayQueryParameter(name, _type_of(value[0]) if value else "STRING", list(value))
    return bigquery.ScalarQueryParameter(name, _type_of(value), value)


def _type_of(value: Any) -> str:
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    if value is None:
        return "STRING"
    raise refused("invalid", f"a parameter is text, a number, a bool or a moment, not {type(value).__name__}")
