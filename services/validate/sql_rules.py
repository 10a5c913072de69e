"""Quality rules in SQL: checked to be harmless queries over the batch's typed rows, and asked once a batch.

A query sees the table ``batch``, with the contract's columns, and the tables of the warehouse that it names; it gives
one number. It may call what a transform may, and the aggregates.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from services.validate.query_columns import own_columns
from shared.domain.errors import DefinitionError, TerminalError
from shared.domain.masking import clean
from shared.domain.sql_functions import FUNCTIONS, function_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
BATCH, OTHER = "batch", "other_table_"
OTHERS_MAX = 5
_TABLE_NAME = re.compile(r"[A-Za-z_]\w{0,199}", re.ASCII)
_PLACE = re.compile(r"`?\$?\{(\w+)\}`?")
_TABLE_WORDS = ("object", "table", "model", "schema")
_COLUMN_WORDS = ("property", "column", "field")


class OtherTable(NamedTuple):
    """A table of the warehouse that a query reads besides the batch."""

    name: str  # under which the query knows it
    table: str  # dataset.table, without the dataset where none is known
    columns: frozenset[str] | None  # names in lower case that may be its columns; None: all it has


class SqlQuery(NamedTuple):
    """A checked query; ``counts``: its value is made of counts alone, so that it cannot be a cell."""

    sql: str
    counts: bool
    columns: frozenset[str] | None  # lower case; None: all
    others: tuple[OtherTable, ...] = ()
    rows_as_values: frozenset[str] = frozenset()  # names of its tables that stand where a column is meant; lower case
    own: frozenset[str] = frozenset()  # lower case: columns that can only be the batch's


class Unanswered(Exception):
    """The query cannot be asked of what is there now: a sentence says why."""


class Asked(Protocol):
    """What answers queries: an SQL engine over rows and snapshots, or a warehouse that has them."""

    def value(self, query: SqlQuery, columns: list[Column]) -> Any:
        """The single value that the query gives, of the batch's ``columns`` and its other tables.

        ``Unanswered`` when one of these cannot be read, ``TerminalError`` (masked) when the query is wrong or fails.
        """
        ...


class Answer(NamedTuple):
    """What a rule's query gives (None: null, or none), whether it may be told, and why there is none."""

    observed: float | None
    told: bool
    why: str = ""
    tables: tuple[str, ...] = ()  # that it reads besides the batch


@lru_cache(maxsize=256)
def prepare(rule: QualityRule, table: str | tuple[str, ...], path: str, dataset: str = "") -> SqlQuery:
    """The rule's query over ``batch``; ``table`` is the name that it may use for it, or several of them.

    Every other name is a table of the warehouse, in ``dataset`` unless the query says in which.

    ``DefinitionError`` with the contract's line, the reason and what to do.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    refused = partial(_refused, rule, path)
    if len(rule.query) > SQL_CHARACTERS_MAX:
        raise refused(f"the query is longer than {SQL_CHARACTERS_MAX:,} characters", "shorten it")
    try:
        statements = sqlglot.parse(filled(rule, path), read="bigquery")
    except (SqlglotError, RecursionError) as error:
        place = (getattr(error, "errors", None) or [{}])[0]
        what = str(place.get("description") or "it cannot be read").replace(" / Unexpected token", "")
        within = f" (line {place['line']} of the query)" if place.get("line") else ""
        raise refused(f"the query is no GoogleSQL: {clean(what, 200)}{within}", "correct it") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise refused("the query must be one SELECT", "write SELECT COUNT(*) FROM ${table} WHERE …")
    tree = statements[0]
    _check_nodes(tree, refused)
    others = _name_tables(tree, (table,) if isinstance(table, str) else table, dataset, refused)
    stars = [each for each in tree.find_all(exp.Star) if not isinstance(each.parent, exp.Count)]
    columns = None if stars else _columns(tree)
    read = tuple(OtherTable(name, other, columns) for other, name in others.items())
    own = own_columns(tree, BATCH, others)
    return SqlQuery(tree.sql(dialect="bigquery"), _is_count(tree), columns, read, _rows_as_values(tree), own)


def check_names(query: SqlQuery, columns: Iterable[str]) -> None:
    """``TerminalError`` when a table's name stands for a whole row: engines differ in when such a row is null.

    ``columns`` are those that the query sees; a column may be named like a table.
    """
    for name in sorted(query.rows_as_values - {each.casefold() for each in columns}):
        raise TerminalError(
            f"{clean(name, 60)} is a table and no value: name a column of it, as in {clean(name, 60)}.id"
        )


def other_tables(contract: Contract, path: str, dataset: str = "") -> dict[QualityRule, tuple[str, ...]]:
    """The tables that each query reads besides the batch, of those that read any."""
    rules = [rule for rule in contract.quality if rule.metric == "sql"]
    made = zip(rules, prepared(rules, contract, path, dataset), strict=True)
    return {rule: tuple(each.table for each in query.others) for rule, query in made if query.others}


def prepared(rules: list[QualityRule], contract: Contract, path: str, dataset: str = "") -> list[SqlQuery]:
    """The rules' queries; see ``prepare``."""
    names = (contract.logical_table or contract.table, contract.table)
    return [prepare(rule, names, path, dataset) for rule in rules]


def _refused(rule: QualityRule, path: str, message: str, hint: str) -> DefinitionError:
    return DefinitionError(path, rule.line, 0, message, hint)


def filled(rule: QualityRule, path: str) -> str:
    """The query with its placeholders replaced by the table and the column; ``DefinitionError`` for an unknown one."""

    def put(found: re.Match[str]) -> str:
        word = found[1].lower()
        if word in _TABLE_WORDS:
            return "batch"
        if word in _COLUMN_WORDS and len(rule.columns) == 1 and "`" not in rule.column and "\\" not in rule.column:
            return f"`{rule.column}`"
        hint = "write ${table}, and ${column} in a rule that stands at a column"
        raise _refused(rule, path, f"the query has a placeholder that is not known here: {clean(found[0], 60)}", hint)

    return _PLACE.sub(put, rule.query)


def _check_nodes(tree: exp.Query, refused: Callable[[str, str], DefinitionError]) -> None:
    from sqlglot import exp

    for number, node in enumerate(tree.walk()):
        if number >= NODES_MAX:
            raise refused("the query is too large", "shorten it")
        kind = type(node).__name__
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise refused("a recursive query may never end", "write it without RECURSIVE")
        if isinstance(node, exp.Join) and node.method == "NATURAL":
            raise refused("a NATURAL JOIN goes by columns that nobody names", "write JOIN … USING (…)")
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


def _name_tables(
    tree: exp.Query, names: tuple[str, ...], dataset: str, refused: Callable[[str, str], DefinitionError]
) -> dict[str, str]:
    """The other tables, each with the name that it gets; those that the query makes itself keep theirs."""
    from sqlglot import exp

    local = {each.alias.casefold() for each in tree.find_all(exp.CTE)}
    if local & {BATCH, *(f"{OTHER}{number}" for number in range(OTHERS_MAX))}:
        raise refused("a name in WITH is one that is used here", "give it another name")
    own = {BATCH, *(name.rpartition(".")[2].casefold() for name in names)}
    qualified = {name.casefold() for name in names if "." in name}
    others: dict[str, str] = {}
    for node in tree.find_all(exp.Table):
        if not node.db and node.name.casefold() in local:
            continue
        known = isinstance(node.this, exp.Identifier) and not node.catalog
        here = node.db.casefold() in ("", dataset.casefold() or node.db.casefold())
        here = here or f"{node.db}.{node.name}".casefold() in qualified
        if known and node.name.casefold() in own and here:
            name = BATCH
        elif known and _TABLE_NAME.fullmatch(node.name) and (not node.db or _is_dataset(node.db)):
            within = node.db or dataset
            written = f"{within}.{node.name}" if within else node.name
            name = others.setdefault(written, f"{OTHER}{len(others)}")
        else:
            raise refused("the query reads something that is no table", "write FROM ${table}, or FROM dataset.table")
        if not node.args.get("alias"):
            node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
        # In place: the joins of ``FROM (a JOIN b …)`` hang at the table, and must stay there.
        node.set("this", exp.to_identifier(name))
        node.set("db", None)
    if len(others) > OTHERS_MAX:
        raise refused(f"the query reads more than {OTHERS_MAX} other tables", "make it several rules")
    return others


def _columns(tree: exp.Query) -> frozenset[str]:
    """All columns that are named anywhere, in lower case."""
    from sqlglot import exp

    joined = [name for each in tree.find_all(exp.Join) for name in each.args.get("using") or ()]
    return frozenset(each.name.casefold() for each in [*tree.find_all(exp.Column), *joined])


def _rows_as_values(tree: exp.Query) -> frozenset[str]:
    from sqlglot import exp

    sources = {each.alias_or_name.casefold() for each in tree.find_all(exp.Table, exp.Subquery, exp.CTE)}
    bare = {each.name.casefold() for each in tree.find_all(exp.Column) if not each.table}
    return frozenset(sources & bare - {each.alias.casefold() for each in tree.find_all(exp.Alias)})


def _is_dataset(name: str) -> bool:
    return bool(_TABLE_NAME.fullmatch(name)) and not name.startswith("_") and name.casefold() != "information_schema"


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


def observed(rules: list[QualityRule], contract: Contract, path: str, asked: Asked, dataset: str = "") -> list[Answer]:
    """What each rule's query gives; a rule whose other tables cannot be read has no value, and says why.

    ``DefinitionError`` with the contract's line when a query is wrong or fails.
    """
    found = []
    for rule, made in zip(rules, prepared(rules, contract, path, dataset), strict=True):
        wanted = [each for each in contract.columns if made.columns is None or each.name.casefold() in made.columns]
        tables = tuple(each.table for each in made.others)
        try:
            value = asked.value(made, wanted or list(contract.columns[:1]))
        except Unanswered as error:
            found.append(Answer(None, told=True, why=str(error), tables=tables))
            continue
        except TerminalError as error:
            hint = "its table has the contract's columns: " + ", ".join(contract.column_names[:20])
            hint += f"; it reads {', '.join(tables)} as well" if tables else ""
            raise DefinitionError(path, rule.line, 0, str(error), hint) from error
        found.append(Answer(_number(value, rule, path), made.counts, tables=tables))
    return found


def _number(value: Any, rule: QualityRule, path: str) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise DefinitionError(path, rule.line, 0, "the query gives no number", "select a number or a Boolean") from None
