"""Which columns a query can only have from the batch: where the contract lacks one, no data will ever answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlglot import exp


def own_columns(tree: exp.Query, batch: str, others: Collection[str]) -> frozenset[str]:
    """Their names in lower case. ``batch`` is what the tree calls the batch, ``others`` the tables besides it.

    What the query makes itself is no column of the batch. A name without a table may be another table's, where there
    is one: then only the engine can tell.
    """
    from sqlglot import exp

    tables = list(tree.find_all(exp.Table))
    of_batch = {each.alias_or_name.casefold() for each in tables if each.name == batch}
    elsewhere = {each.alias_or_name.casefold() for each in tables if each.name != batch}
    elsewhere |= {each.alias.casefold() for each in tree.find_all(exp.Subquery, exp.CTE)}
    made = {each.alias.casefold() for each in tree.find_all(exp.Alias)}
    made |= {name.name.casefold() for each in tree.find_all(exp.TableAlias) for name in each.columns}
    found = set()
    for qualifier, name in _named(tree):
        if qualifier in elsewhere:
            continue
        if qualifier in of_batch:
            found.add(name)
        elif not others:
            found.add(qualifier or name)  # what no table is called is a column with something inside
    return frozenset(found - made - of_batch - elsewhere)


def _named(tree: exp.Query) -> Iterator[tuple[str, str]]:
    """Every column, with the first of the names before it or ""."""
    from sqlglot import exp

    for column in tree.find_all(exp.Column):
        if not isinstance(column.this, exp.Star):
            first, *_ = names = [each.name.casefold() for each in column.parts]
            yield ("" if len(names) == 1 else first), names[min(1, len(names) - 1)]
    for join in tree.find_all(exp.Join):
        yield from (("", name.name.casefold()) for name in join.args.get("using") or ())
