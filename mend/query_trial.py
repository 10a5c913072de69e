"""Tries the queries of a contract's quality rules on no rows, before any row is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.domain.contract import Contract
from shared.domain.errors import DefinitionError

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.ports.sql_engine import SqlEngine


def query_errors(contract: Contract, path: str, engine: SqlEngine) -> Iterator[DefinitionError]:
    """What is wrong with each query, with the contract's line."""
    for rule in contract.quality:
        if rule.metric == "sql":
            from services.validate.sql_rules import observed

            try:
                observed([rule], contract, path, engine, lambda _: [no_rows(contract)])
            except DefinitionError as error:
                yield error


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
