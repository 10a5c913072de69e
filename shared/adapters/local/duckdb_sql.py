"""GoogleSQL as DuckDB's SQL, where a plain transpilation would mean something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def duckdb_sql(statement: exp.Expr) -> str:
    """The statement in DuckDB's SQL. COUNTIF of no true row is 0; DuckDB's own gives null where no row is known."""
    from sqlglot import exp

    def counted(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.CountIf):
            return node
        return exp.Count(this=exp.Case(ifs=[exp.If(this=node.this, true=exp.Literal.number(1))]))

    return statement.transform(counted).sql(dialect="duckdb", comments=False)
