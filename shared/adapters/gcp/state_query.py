"""Filters of the port as Firestore's structured queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from shared.adapters.gcp.documents import FIELDS, INDEXED_BYTES_MAX, NAME, value_of
from shared.domain.checks import check
from shared.ports.state_store import Where

VALUES_MAX: Final = 30  # of one IN
DOCUMENTS_MAX: Final = 10_000  # looked at where the order is made here
_OPERATORS: Final = {
    "==": "EQUAL",
    "<": "LESS_THAN",
    "<=": "LESS_THAN_OR_EQUAL",
    ">": "GREATER_THAN",
    ">=": "GREATER_THAN_OR_EQUAL",
    "in": "IN",
}


class Asked(NamedTuple):
    """A query, and whether its answers come in the order that was asked for."""

    query: dict[str, Any]
    in_order: bool


def in_parts(where: Sequence[Where]) -> Iterator[list[Where]]:
    """The filters as queries that Firestore takes, whose answers together are the answer: no list of values too long,
    none empty, and no None in one."""
    for index, each in enumerate(where):
        if each.op != "in":
            continue
        rest = [*where[:index], *where[index + 1 :]]
        values = [value for value in each.value if value is not None]
        parts = [Where(each.field, "in", values[at : at + VALUES_MAX]) for at in range(0, len(values), VALUES_MAX)]
        if len(values) < len(each.value):
            parts.append(Where(each.field, "==", None))
        for part in parts:
            yield from (
                in_parts([part._replace(op="==", value=part.value[0]), *rest]) if _single(part) else [[part, *rest]]
            )
        return
    yield list(where)


def _single(part: Where) -> bool:
    return part.op == "in" and len(part.value) == 1


def structured(collection: str, where: Sequence[Where], order_by: str, descending: bool, limit: int) -> Asked:
    """The query. One with a range and no order would come by that field, so it is put in order by whoever asked."""
    ranged = [each for each in where if each.op not in ("==", "in")]
    direction = "DESCENDING" if descending else "ASCENDING"
    # Firestore has no descending scan of keys either.
    by_key_here = not order_by and (descending or bool(ranged or any(each.op == "in" for each in where)))
    query: dict[str, Any] = {
        "from_": [{"collection_id": collection}],
        "limit": {"value": DOCUMENTS_MAX if by_key_here else limit},
    }
    if where:
        filters = [_filter(each) for each in where]
        query["where"] = filters[0] if len(filters) == 1 else {"composite_filter": {"op": "AND", "filters": filters}}
    if order_by:
        query["order_by"] = [{"field": {"field_path": _path(order_by)}, "direction": direction}]
    return Asked(query, not by_key_here)


def _filter(where: Where) -> dict[str, Any]:
    check(where.op in _OPERATORS, f"{where.op!r} is no operator of a filter")
    field = {"field_path": _path(where.field)}
    if where.value is None:
        # Nothing is less or greater than nothing: only the equal one is left of an order among one value.
        return {"unary_filter": {"op": "IS_NULL" if where.op in ("==", "<=", ">=") else "IS_NAN", "field": field}}
    if where.op == "in":
        value: Any = {"array_value": {"values": [_value(each) for each in where.value]}}
    else:
        value = _value(where.value)
    return {"field_filter": {"field": field, "op": _OPERATORS[where.op], "value": value}}


def _value(value: Any) -> Any:
    plain = isinstance(value, str | int | float | bool)
    check(plain, f"a filter compares with text, a number, a bool or None, not {type(value).__name__}")
    short = not isinstance(value, str) or len(value.encode()) <= INDEXED_BYTES_MAX
    check(short, f"a filter compares with a text of at most {INDEXED_BYTES_MAX} bytes")
    return value_of(value)


def _path(field: str) -> str:
    check(NAME.fullmatch(field) is not None, f"a field to filter or order by is a plain name, not {field!r}")
    return f"{FIELDS}.{field}"
