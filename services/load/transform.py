"""A pipeline's optional SQL: checked to be row-wise and harmless before it is run.

One output row per input row: a WHERE may drop rows, nothing may merge or multiply them. The SQL sees one table,
``batch``; it may use the operators and functions listed here and nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from shared.domain.errors import DefinitionError
from shared.domain.masking import clean
from shared.domain.sql_functions import FUNCTIONS, function_name
from shared.ports.warehouse import ROW_COLUMN

if TYPE_CHECKING:
    from sqlglot import exp

SQL_CHARACTERS_MAX = 20_000
NODES_MAX = 5_000

PAD_CHARACTERS_MAX = 10_000

_NODE_NAMES = """
    Select From Where Table Identifier Column Alias Star Paren Literal Boolean Null Neg Not And Or EQ NEQ GT GTE LT
    LTE Is In Between Like ILike Add Sub Mul Div IntDiv Mod Case If Cast TryCast DataType DataTypeParam Interval Var
    Except Extract Bracket Tuple DPipe Concat Coalesce BitwiseAnd BitwiseOr BitwiseXor TableAlias Escape RawString
    ByteString TimeUnit Anonymous IntervalSpan JSONPath JSONPathRoot JSONPathKey JSONPathSubscript
"""
_STRUCTURE = frozenset(_NODE_NAMES.split())
_CLAUSES = {"kind": "SELECT AS", "hint": "a hint", "operation_modifiers": "a modifier"}
_OWN = "_mend_"


@lru_cache(maxsize=64)
def prepare(sql: str, path: str) -> str:
    """The SQL, checked, with the row number added to what it selects.

    Raises ``DefinitionError`` with the reason and what to do.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(sql) > SQL_CHARACTERS_MAX:
        raise _refused(path, f"the transform is longer than {SQL_CHARACTERS_MAX:,} characters", "shorten it")
    try:
        statements = sqlglot.parse(sql, read="bigquery")
    except (SqlglotError, RecursionError) as error:
        place = getattr(error, "errors", [{}])[:1] or [{}]
        line, column = int(place[0].get("line") or 0), int(place[0].get("col") or 0)
        what = clean(str(place[0].get("description") or "it cannot be read"), 200)
        raise DefinitionError(path, line, column, f"the transform is no GoogleSQL: {what}", "correct it") from error
    if len(statements) != 1 or statements[0] is None:
        raise _refused(path, "the transform must be one statement", "write SELECT … FROM batch [WHERE …]")
    tree = statements[0]
    _check_shape(tree, path)
    _check_nodes(tree, path)
    _check_names(tree, path)
    return _with_row_number(tree)


def _check_shape(tree: exp.Expr, path: str) -> None:
    from sqlglot import exp

    if not isinstance(tree, exp.Select):
        raise _refused(path, "the transform must be a SELECT", "write SELECT … FROM batch [WHERE …]")
    tables = list(tree.find_all(exp.Table))
    source = tree.args.get("from_") or tree.args.get("from")
    only = source.this if source is not None else None
    if len(tables) != 1 or tables[0] is not only or tables[0].name != "batch" or tables[0].db or tables[0].catalog:
        raise _refused(path, "the transform must read from batch, and from nothing else", "write FROM batch")
    allowed = {"expressions", "from", "from_", "where"}
    extra = sorted(name for name, value in tree.args.items() if value and name not in allowed)
    if extra:
        words = ", ".join(_CLAUSES.get(name, name.rstrip("s_").upper()) for name in extra)
        raise _refused(path, f"the transform must be row-wise; it uses {words}", "keep to SELECT, FROM and WHERE")


def _check_nodes(tree: exp.Expr, path: str) -> None:
    from sqlglot import exp

    for number, node in enumerate(tree.walk()):
        if number >= NODES_MAX:
            raise _refused(path, "the transform is too large", "shorten it")
        kind = type(node).__name__
        if isinstance(node, exp.Select) and node is not tree:
            raise _refused(path, "the transform has a subquery", "use columns of batch only")
        if isinstance(node, exp.AggFunc | exp.Window):
            raise _refused(path, f"{kind} looks at several rows", "a transform sees one row at a time")
        if isinstance(node, exp.Pad) and not _short(node.expression):
            hint = f"write it as a number, at most {PAD_CHARACTERS_MAX:,}"
            raise _refused(path, "the length of LPAD and RPAD must be known", hint)
        if kind in _STRUCTURE and not isinstance(node, exp.Anonymous):
            continue
        if isinstance(node, exp.Func) and _name_of(node) in FUNCTIONS:
            continue
        name = _name_of(node) if isinstance(node, exp.Func) else kind
        raise _refused(path, f"{clean(name, 60)} is not allowed in a transform", "see docs/transforms.md for what is")


def _short(length: exp.Expr | None) -> bool:
    from sqlglot import exp

    return isinstance(length, exp.Literal) and length.is_int and int(length.this) <= PAD_CHARACTERS_MAX


def _check_names(tree: exp.Expr, path: str) -> None:
    """Row numbers are how rows stay accounted for: they may be read, and neither made nor left out."""
    from sqlglot import exp

    made = [each for each in tree.expressions if isinstance(each, exp.Alias)]
    for star in tree.find_all(exp.Star):
        made += [each for name in ("except", "except_", "replace", "rename") for each in star.args.get(name) or ()]
    if any(each.alias_or_name.casefold().startswith(_OWN) for each in made):
        raise _refused(path, f"columns that start with {_OWN} are Mendline's own", "choose another name")


def _name_of(node: exp.Func) -> str:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    return function_name(node.sql(dialect="bigquery"), node.sql_names())


def _with_row_number(tree: exp.Expr) -> str:
    from sqlglot import exp

    selected = [each for each in tree.expressions if each.alias_or_name != ROW_COLUMN and not each.is_star]
    stars = [each for each in tree.expressions if each.is_star]
    if not stars:
        selected.append(exp.column(ROW_COLUMN))
    tree.set("expressions", [*stars, *selected])
    return tree.sql(dialect="bigquery")


def _refused(path: str, message: str, hint: str) -> DefinitionError:
    return DefinitionError(path, 0, 0, message, hint)
