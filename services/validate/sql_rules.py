"""Quality rules in SQL: checked to be harmless queries over the batch's typed rows, and asked once a batch.

A query sees one table, ``batch``, with the contract's columns, and gives one number. It may call what a transform may,
and the aggregates.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from shared.domain.errors import DefinitionError, TerminalError
from shared.domain.masking import clean
from shared.domain.sql_functions import FUNCTIONS, function_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa
    from sqlglot import exp

    from shared.domain.contract import Column, Contract, QualityRule

SQL_CHARACTERS_MAX = 20_000
NODES_MAX = 5_000

AGGREGATES = frozenset(
    "count countif count_if sum avg min max stddev variance any_value logical_and logical_or".split()  # noqa: SIM905
)
_STRUCTURE = frozenset(
    """
    Select From Where Table Identifier Column Alias Star Paren Literal Boolean Null Neg Not And Or EQ NEQ GT GTE LT LTE
    Is In Between Like Add Sub Mul Div IntDiv Mod Case If Cast TryCast DataType DataTypeParam Interval Var Extract
    Bracket Tuple DPipe Concat Coalesce TableAlias Escape RawString TimeUnit IntervalSpan Subquery CTE With Group
    Having Order Ordered Limit Offset Distinct Join Union Except Intersect Exists JSONPath JSONPathRoot JSONPathKey
    JSONPathSubscript
    """.split()  # noqa: SIM905
)
_PLACE = re.compile(r"`?\$?\{(\w+)\}`?")
_TABLE_WORDS = ("object", "table", "model", "schema")
_COLUMN_WORDS = ("property", "column", "field")


class Asked(Protocol):
    """What answers queries: an SQL engine over rows, or a warehouse that has them."""

    def values(self, queries: Sequence[str], rows: Iterable[pa.Table]) -> list[Any]:
        """The single value of each query; see ``SqlEngine.values``."""
        ...


class SqlQuery(NamedTuple):
    """A checked query; ``counts``: its value is made of counts alone, so that it cannot be a cell."""

    sql: str
    counts: bool
    columns: frozenset[str] | None  # lower case; None: all


@lru_cache(maxsize=256)
def prepare(rule: QualityRule, table: str, path: str) -> SqlQuery:
    """The rule's query over ``batch``; ``table`` is the name that it may use for it.

    ``DefinitionError`` with the contract's line, the reason and what to do.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    def refused(message: str, hint: str) -> DefinitionError:
        return DefinitionError(path, rule.line, 0, message, hint)

    if len(rule.query) > SQL_CHARACTERS_MAX:
        raise refused(f"the query is longer than {SQL_CHARACTERS_MAX:,} characters", "shorten it")
    try:
        statements = sqlglot.parse(_filled(rule, refused), read="bigquery")
    except (SqlglotError, RecursionError) as error:
        place = (getattr(error, "errors", None) or [{}])[0]
        what = clean(str(place.get("description") or "it cannot be read"), 200)
        within = f" (line {place['line']} of the query)" if place.get("line") else ""
        raise refused(f"the query is no GoogleSQL: {what}{within}", "correct it") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise refused("the query must be one SELECT", "write SELECT COUNT(*) FROM ${table} WHERE …")
    tree = statements[0]
    _check_nodes(tree, refused)
    _name_tables(tree, table, refused)
    stars = [each for each in tree.find_all(exp.Star) if not isinstance(each.parent, exp.Count)]
    columns = None if stars else frozenset(each.name.casefold() for each in tree.find_all(exp.Column))
    return SqlQuery(tree.sql(dialect="bigquery"), _is_count(tree), columns)


def _filled(rule: QualityRule, refused: Callable[[str, str], DefinitionError]) -> str:
    """The query with its placeholders replaced by the table and the column."""

    def put(found: re.Match[str]) -> str:
        word = found[1].lower()
        if word in _TABLE_WORDS:
            return "batch"
        if word in _COLUMN_WORDS and len(rule.columns) == 1 and "`" not in rule.column and "\\" not in rule.column:
            return f"`{rule.column}`"
        hint = "write ${table}, and ${column} in a rule that stands at a column"
        raise refused(f"the query has a placeholder that is not known here: {clean(found[0], 60)}", hint)

    return _PLACE.sub(put, rule.query)


def _check_nodes(tree: exp.Query, refused: Callable[[str, str], DefinitionError]) -> None:
    from sqlglot import exp

    for number, node in enumerate(tree.walk()):
        if number >= NODES_MAX:
            raise refused("the query is too large", "shorten it")
        kind = type(node).__name__
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise refused("a recursive query may never end", "write it without RECURSIVE")
        if isinstance(node, exp.Pad):
            raise refused("LPAD and RPAD are not allowed in a query", "see docs/contracts.md for what is")
        if kind in _STRUCTURE:
            continue
        name = kind
        if isinstance(node, exp.Func):
            name = str(node.this) if isinstance(node, exp.Anonymous) else _called(node)
            if name.lower() in FUNCTIONS | AGGREGATES:
                continue
        raise refused(f"{clean(name, 60)} is not allowed in a query", "see docs/contracts.md for what is")


def _called(node: exp.Func) -> str:
    names = {name.lower() for name in node.sql_names()}
    aggregate = next(iter(sorted(names & AGGREGATES)), "")
    return aggregate or function_name(node.sql(dialect="bigquery"), names)


def _name_tables(tree: exp.Query, table: str, refused: Callable[[str, str], DefinitionError]) -> None:
    """Every table is the batch, by whatever name, or one that the query makes itself."""
    from sqlglot import exp

    local = {each.alias for each in tree.find_all(exp.CTE)}
    own = {"batch", table.rpartition(".")[2].casefold()}
    for node in tree.find_all(exp.Table):
        if not node.db and node.name in local:
            continue
        if not isinstance(node.this, exp.Identifier) or node.name.casefold() not in own:
            raise refused("the query reads something else than its table", "write FROM ${table}")
        alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name))
        node.replace(exp.Table(this=exp.to_identifier("batch"), alias=alias))


def _is_count(tree: exp.Query) -> bool:
    """True when nothing but counts, constants and operators stand in what is selected."""
    from sqlglot import exp

    if not isinstance(tree, exp.Select):
        return False
    pending: list[Any] = list(tree.expressions)
    while pending:
        node = pending.pop()
        if isinstance(node, exp.Count | exp.CountIf):
            continue
        if isinstance(node, exp.Column | exp.Star | exp.AggFunc | exp.Query | exp.Subquery):
            return False
        pending += list(node.iter_expressions())
    return True


def observed(
    rules: list[QualityRule],
    contract: Contract,
    path: str,
    engine: Asked,
    rows: Callable[[list[Column]], Iterable[pa.Table]],
) -> list[tuple[float | None, bool]]:
    """What each rule's query gives (None: null), and whether it may be told. ``rows`` gives some of the columns.

    ``DefinitionError`` with the contract's line when a query is wrong or fails.
    """
    found = []
    for rule in rules:
        made = prepare(rule, contract.logical_table or contract.table, path)
        wanted = [each for each in contract.columns if made.columns is None or each.name.casefold() in made.columns]
        try:
            (value,) = engine.values([made.sql], rows(wanted or list(contract.columns[:1])))
        except TerminalError as error:
            hint = "its table has the contract's columns: " + ", ".join(contract.column_names[:20])
            raise DefinitionError(path, rule.line, 0, str(error), hint) from error
        found.append((_number(value, rule, path), made.counts))
    return found


def _number(value: Any, rule: QualityRule, path: str) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise DefinitionError(path, rule.line, 0, "the query gives no number", "select a number or a Boolean") from None
