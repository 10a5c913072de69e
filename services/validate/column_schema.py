"""The contract's cell checks as a pandera schema: one fast answer for a chunk, yes or no.

Nearly every chunk of nearly every delivery is clean, and then this is all that is done. When it says no, the masks of
``column_checks`` name the rows; pandera's own list of failure cases is never asked for, since it quotes cells.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from services.validate.casting import polars_type
from services.validate.column_checks import bounds_of, enum_values, pattern_supported

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from shared.domain.contract import Column, Contract

COLUMNS_MAX = 300  # pandera spends about a millisecond per column; wider tables go to the masks at once
SCHEMAS_KEPT = 32

_schemas: OrderedDict[tuple[str, tuple[str, ...]], Any] = OrderedDict()


def keeps_contract(typed: pl.DataFrame, contract: Contract, never_null: Sequence[str]) -> bool:
    """True when every cell of the frame keeps its column's checks; False means look closer (it may still be clean)."""
    import pandera.errors
    from pandera.config import ValidationDepth, config_context

    schema = _schema(contract, tuple(sorted(never_null)))
    if schema is None:
        return False
    # Without the depth, or on a LazyFrame, pandera skips checks on cells and says nothing.
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            schema.validate(typed)
        except (pandera.errors.SchemaError, pandera.errors.SchemaErrors):
            return False
    return True


def _schema(contract: Contract, never_null: tuple[str, ...]) -> Any:
    """The schema of a contract's digest, built once; None when pandera cannot do all of it."""
    key = (contract.digest or repr(contract), never_null)
    if key not in _schemas:
        _schemas[key] = _built(contract, never_null)
        while len(_schemas) > SCHEMAS_KEPT:
            _schemas.popitem(last=False)
    return _schemas[key]


def _built(contract: Contract, never_null: tuple[str, ...]) -> Any:
    import pandera.polars as pa

    columns: dict[str, Any] = {}
    for column in contract.columns:
        checks = _checks(column)
        if checks is None:
            return None
        nullable = column.nullable and column.name not in never_null
        if checks or not nullable:
            columns[column.name] = pa.Column(polars_type(column.logical_type), checks=checks, nullable=nullable)
    return pa.DataFrameSchema(columns) if len(columns) <= COLUMNS_MAX else None


def _checks(column: Column) -> list[Any] | None:
    """The column's checks; None when one of them is not for pandera."""
    import pandera.polars as pa

    checks: list[Any] = []
    if column.enum:
        checks.append(pa.Check.isin(enum_values(column)))
    if column.pattern:
        if not pattern_supported(column.pattern):
            return None
        checks.append(pa.Check.str_contains(column.pattern))
    if column.min_length is not None or column.max_length is not None:
        checks.append(pa.Check.str_length(column.min_length or 0, column.max_length))
    compare: dict[str, Any] = {
        ">=": pa.Check.greater_than_or_equal_to,
        ">": pa.Check.greater_than,
        "<=": pa.Check.less_than_or_equal_to,
        "<": pa.Check.less_than,
    }
    checks += [compare[sign](bound) for sign, bound in bounds_of(column) if bound is not None]
    return None if column.multiple_of else checks
