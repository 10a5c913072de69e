"""History on one machine: the store's events in DuckDB's memory, under the views that the cloud's history has."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_origin

from shared.adapters.local.duckdb_sql import duckdb_sql
from shared.adapters.local.store_file import StoreFile
from shared.adapters.local.warehouse_errors import refused, translating
from shared.adapters.local.warehouse_query import limited, to_duckdb
from shared.adapters.local.warehouse_rows import literal
from shared.adapters.local.warehouse_schema import quoted
from shared.events.types import EVENT_TYPES, Event

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DATASET: Final = "history"
# Each may read those before it, so this is also the order in which they are deployed.
VIEWS: Final = ("batches", "remedies", "incidents", "repairs", "quality", "time_to_repair", "metrics")
_FOLDER: Final = Path(__file__).resolve().parents[3] / "schemas" / "bigquery"
_SQL_TYPES: Final[dict[type, str]] = {
    str: "VARCHAR",
    int: "BIGINT",
    float: "DOUBLE",
    bool: "BOOLEAN",
    list: "VARCHAR[]",
}
_PLACEHOLDER: Final = re.compile(r"\$\{(\w+)\}")
_EVENTS_AT_ONCE: Final = 5_000
_PRICE_PER_TIB: Final = 6.25
_ROWS_MAX: Final = 1_000_000


class LocalHistory:
    """Asks the events of a store. Each question first takes in what happened since the last one."""

    def __init__(self, store: StoreFile, price_per_tib: float = _PRICE_PER_TIB, folder: Path = _FOLDER) -> None:
        self._store = store
        self._price_per_tib = price_per_tib
        self._folder = folder
        self._database: duckdb.DuckDBPyConnection | None = None
        self._position = 0
        self._asking = threading.Lock()

    def view(self, name: str, /, **where: str | int) -> pa.Table:
        """A view's rows, or those whose columns equal the values given."""
        if name not in VIEWS and name not in {f"events_{table_of(event)}" for event in EVENT_TYPES}:
            raise refused("notFound", f"history has no view {name}; it has {', '.join(VIEWS)}")
        conditions = " AND ".join(f"{quoted(column)} = ${position}" for position, column in enumerate(where, 1))
        sql = f"SELECT * FROM {DATASET}.{quoted(name)}" + (f" WHERE {conditions}" if conditions else "")
        return self._ask(sql, list(where.values()), _ROWS_MAX)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, rows_max: int = 10_000) -> pa.Table:
        """Rows of a GoogleSQL SELECT over views and event tables, with or without the dataset ``history``."""
        query = to_duckdb(sql, "memory", DATASET)
        values = {name: value for name, value in (parameters or {}).items() if name in query.parameters}
        return self._ask(query.sql, values, rows_max)

    def close(self) -> None:
        """Forget what was read."""
        with self._asking:
            if self._database is not None:
                self._database.close()
            self._database = None
            self._position = 0

    def _ask(self, sql: str, parameters: object, rows_max: int) -> pa.Table:
        with self._asking, translating():
            if self._database is None:
                self._database = _opened(self._folder, self._price_per_tib)
            self._take_in(self._database)
            answer = self._database.sql(sql, params=parameters or None)
            return _in_utc(limited(answer.to_arrow_reader(_EVENTS_AT_ONCE), rows_max))

    def _take_in(self, database: duckdb.DuckDBPyConnection) -> None:
        """Add the events that were published since the last time."""
        import pyarrow as pa

        with self._store.reading() as connection:
            cursor = connection.execute(
                "SELECT position, type, payload, published_at, message_id FROM events WHERE position > ? "
                "ORDER BY position",
                (self._position,),
            )
            while rows := cursor.fetchmany(_EVENTS_AT_ONCE):
                columns = dict(
                    zip(
                        ("position", "type", "payload", "published_at", "message_id"),
                        zip(*rows, strict=True),
                        strict=True,
                    )
                )
                database.register("arrived", pa.table({name: list(values) for name, values in columns.items()}))
                for event_type in sorted(set(columns["type"]) & EVENT_TYPES.keys()):
                    database.execute(_insert(EVENT_TYPES[event_type]))
                database.unregister("arrived")
                self._position = rows[-1][0]


def table_of(event_type: str) -> str:
    """The table of an event type: its name with underscores for dots."""
    return event_type.replace(".", "_")


def view_texts(dataset: str, price_per_tib: float, folder: Path = _FOLDER) -> Iterator[tuple[str, str]]:
    """Every view's name and its GoogleSQL, in the order in which they can be made."""
    for event_type in EVENT_TYPES:
        table = table_of(event_type)
        yield f"events_{table}", _filled(folder / "events.sql", dataset=dataset, event=table)
    for name in VIEWS:
        yield name, _filled(folder / f"{name}.sql", dataset=dataset, price_per_tib=repr(float(price_per_tib)))


def _filled(file: Path, **values: str) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], file.read_text(encoding="utf-8"))


def _opened(folder: Path, price_per_tib: float) -> duckdb.DuckDBPyConnection:
    """A database in memory that reaches nothing outside, with the tables and views of history."""
    import duckdb
    import sqlglot

    database = duckdb.connect(":memory:", config={"threads": 2, "python_enable_replacements": False})
    database.execute(f"SET GLOBAL TimeZone = 'UTC'; SET enable_external_access = false; CREATE SCHEMA {DATASET}")
    for event_type, model in EVENT_TYPES.items():
        columns = [f"{quoted(name)} {sql_type}" for name, sql_type in _fields(model).items()]
        columns += ["subscription_name VARCHAR", "message_id VARCHAR", "publish_time TIMESTAMPTZ", "attributes VARCHAR"]
        database.execute(f"CREATE TABLE {DATASET}.{table_of(event_type)} ({', '.join(columns)})")
    for name, text in view_texts(DATASET, price_per_tib, folder):
        select = duckdb_sql(sqlglot.parse_one(text, read="bigquery"))
        database.execute(f"CREATE VIEW {DATASET}.{name} AS {select}")
    database.execute("SET lock_configuration = true")
    return database


def _fields(model: type[Event]) -> dict[str, str]:
    """The fields of an event with their SQL types."""
    found = {}
    for name, field in model.model_fields.items():
        plain = get_origin(field.annotation) or field.annotation
        found[name] = _SQL_TYPES[plain if isinstance(plain, type) else str]
    return found


def _insert(model: type[Event]) -> str:
    """SQL that takes one type's events out of the arrived ones; an absent field is the model's default."""
    columns = []
    for name, sql_type in _fields(model).items():
        path = literal(f'$."{name}"')
        value = f"json_extract_string(payload, {path})"
        if sql_type == "VARCHAR[]":
            value = f"from_json(json_extract(payload, {path}), '[\"VARCHAR\"]')"
        empty = {"VARCHAR": "''", "VARCHAR[]": "[]", "BOOLEAN": "false"}.get(sql_type, "0")
        columns.append(f"coalesce(TRY_CAST({value} AS {sql_type}), {empty}) AS {quoted(name)}")
    return (
        f"INSERT INTO {DATASET}.{table_of(model.TYPE)} BY NAME SELECT {', '.join(columns)}, '' AS subscription_name, "
        "message_id, make_timestamptz(published_at) AS publish_time, '{}' AS attributes "
        f"FROM arrived WHERE type = {literal(model.TYPE)}"
    )


def _in_utc(table: pa.Table) -> pa.Table:
    """Times without a zone, which GoogleSQL does not know, as the UTC they are."""
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is None:
            cast = table.column(index).cast(pa.timestamp("us", tz="UTC"))
            table = table.set_column(index, field.name, cast)
    return table
