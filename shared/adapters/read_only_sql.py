"""GoogleSQL that people write: one SELECT over tables, and nothing that reaches elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from shared.adapters.table_shape import Refused

if TYPE_CHECKING:
    from sqlglot import exp

# Functions that sqlglot passes on unread, and that touch nothing but their arguments.
_PLAIN_FUNCTIONS: Final = frozenset(
    """
    abs acos asin atan atan2 ceiling char_length contains ends_with exp greatest ieee_divide isfinite isinf is_inf isnan
    is_nan json_value ltrim median mod octet_length pi power quantile_cont radians range_bucket repeat reverse rtrim
    safe_divide sign sin cos tan soundex strpos to_hex translate trunc typeof
    """.split()  # noqa: SIM905 -- one word a line is a page of words
)
_NAME: Final = re.compile(r"\w+")


def read_only(sql: str, refused: Refused) -> exp.Query:
    """The statement; ``ForeignFailure`` (invalidQuery, accessDenied) unless it is one harmless SELECT."""
    import sqlglot
    from sqlglot import errors, exp

    try:
        statements = [statement for statement in sqlglot.parse(sql, read="bigquery") if statement is not None]
    except errors.SqlglotError as error:
        raise refused("invalidQuery", str(error)) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise refused("invalidQuery", "a query is one SELECT statement")
    _harmless(statements[0], refused)
    return statements[0]


def tables_of(statement: exp.Query, refused: Refused, dataset: str = "") -> Iterator[exp.Table]:
    """Every table that is read, each named ``dataset.table`` or, where ``dataset`` stands for it, by its name alone.

    ``ForeignFailure`` (accessDenied, notFound, invalidQuery) for a name that could mean something else: DuckDB takes an
    unknown one for a file.
    """
    from sqlglot import exp

    local = {cte.alias.casefold() for cte in statement.find_all(exp.CTE)}
    if not all(_NAME.fullmatch(name) for name in local):
        raise refused("invalidQuery", "a name in WITH has letters, digits and _ only")
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise refused("accessDenied", "a query reads tables, not functions")
        if table.catalog or table.db.casefold() == "_mend":
            raise refused("accessDenied", "a query names tables as dataset.table")
        if not table.db and table.name.casefold() in local:
            continue
        if not table.db and not dataset:
            raise refused("notFound", f"a query names tables as dataset.table, not {table.name}")
        yield table


def _harmless(statement: exp.Expr, refused: Refused) -> None:
    """Refuse statements inside statements, and functions that are not known to be plain."""
    from sqlglot import exp

    for node in statement.walk():
        if isinstance(node, exp.DML | exp.DDL | exp.Command | exp.Into | exp.Pragma | exp.Attach) and not isinstance(
            node, exp.Query
        ):
            raise refused("accessDenied", "a query only reads")
        if isinstance(node, exp.ReadCSV | exp.ReadParquet):
            raise refused("accessDenied", "a query reads tables, not files")
        if isinstance(node, exp.Anonymous) and node.name.lower() not in _PLAIN_FUNCTIONS:
            raise refused("accessDenied", f"function {node.name.lower()} is not allowed in a query")
