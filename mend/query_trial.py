"""Tries the queries of a contract's quality rules on no rows, before any row is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.domain.contract import Contract
from shared.domain.errors import DefinitionError

if TYPE_CHECKING:
    import pyarrow as pa

    from services.validate.sql_rules import OtherTable, SqlQuery
    from shared.domain.contract import Column
    from shared.ports.sql_engine import SqlEngine


def query_errors(
    contract: Contract, path: str, engine: SqlEngine, others: Mapping[str, Contract] | None = None, dataset: str = ""
) -> Iterator[DefinitionError]:
    """What is wrong with each query, with the contract's line.

    ``others`` are the contracts of tables besides the contract's own, each by ``dataset.table``; a query that reads yet
    another one is looked at, and not tried.
    """
    from services.validate.sql_rules import observed

    asked = _AskedOfNothing(engine, others or {})
    for rule in contract.quality:
        if rule.metric == "sql":
            try:
                observed([rule], contract, path, asked, dataset)
            except DefinitionError as error:
                yield error


class _AskedOfNothing:
    """Queries over no rows at all, in tables with the very columns that a batch is asked with."""

    def __init__(self, engine: SqlEngine, others: Mapping[str, Contract]) -> None:
        self._engine = engine
        self._others = others

    def value(self, query: SqlQuery, columns: list[Column]) -> Any:
        import polars as pl

        from services.validate.casting import TextRules, cast_frame
        from services.validate.sql_rules import Unanswered, check_names

        unknown = [each.table for each in query.others if each.table not in self._others]
        if unknown:
            raise Unanswered(f"the columns of {unknown[0]} are not known here")
        batch = cast_frame(pl.DataFrame(), columns, TextRules()).frame.to_arrow()
        beside = {each.name: self._empty(each) for each in query.others}
        check_names(query, [name for each in (batch, *beside.values()) for name in each.column_names])
        (value,) = self._engine.values([query.sql], [batch], beside)
        return value

    def _empty(self, other: OtherTable) -> pa.Table:
        from services.validate.other_tables import columns_read
        from shared.ports.warehouse import TableColumn, TableInfo

        contract = self._others[other.table]
        columns = tuple(TableColumn(each.name, each.logical_type) for each in contract.columns)
        return no_rows(contract).select(columns_read(other, TableInfo(other.table, columns, 0, "")))


def no_rows(contract: Contract) -> pa.Table:
    """A table without rows that has the columns validate hands to load."""
    import pyarrow as pa

    from shared.ports.warehouse import ROW_COLUMN

    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
        "time": pa.time64("ns"),
    }
    fields = [(column.name, types.get(column.logical_type, pa.string())) for column in contract.columns]
    return pa.schema([(ROW_COLUMN, pa.int64()), *fields]).empty_table()
