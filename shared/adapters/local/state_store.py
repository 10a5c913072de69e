"""The documents of the services in one SQLite file: atomic commits under preconditions, versions never used again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from shared.adapters.local.store_file import StoreFile, next_numbers
from shared.domain.checks import check
from shared.domain.errors import Conflict, InvariantBroken, LimitExceeded
from shared.ports.state_store import Delete, Expect, Put, Stored, StoreLimits, Where

INDEXES_MAX = 128  # the services ask for some fifty, and a store may have twenty-five that earlier versions asked for
NESTING_MAX = 20  # as Firestore

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_OPERATORS = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_UPSERT = """INSERT INTO documents VALUES (?, ?, ?, ?)
    ON CONFLICT (collection, key) DO UPDATE SET version = excluded.version, data = excluded.data"""


class SqliteStateStore:
    """A ``StateStore`` in a ``StoreFile``.

    A filter compares values of one type only (numbers with numbers, text with text by code point), as Firestore does.
    A query's fields get one index together when somebody asks so for the first time, as Firestore's composite indexes:
    first those that must equal something, then the one that orders. So the newest few of one kind are found without
    looking at the others, however many there are.
    """

    def __init__(self, store: StoreFile, limits: StoreLimits | None = None) -> None:
        self.limits = limits or StoreLimits()
        self._store = store
        self._indexed: set[tuple[str, tuple[str, ...]]] = set()

    def get(self, collection: str, key: str) -> Stored | None:
        """The document, or None."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT version, data FROM documents WHERE collection = ? AND key = ?", (collection, key)
            ).fetchone()
        return None if row is None else Stored(key, row[0], from_json(row[1]))

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        """Documents that match all filters, by ``order_by`` (a field; "" = by key), then key; at most ``limit``."""
        check(_NAME.fullmatch(collection) is not None, f"a collection is named with letters, not {collection!r}")
        check(limit >= 0, "a limit is not negative")
        for fields in _indexes(where, order_by):
            self._index(collection, fields)
        # The collection stands in the text, so that SQLite sees that the partial indexes fit.
        conditions, values = [f"collection = '{collection}'"], []
        for each in where:
            condition, bound = _compiled(each)
            conditions.append(condition)
            values += bound
        direction = "DESC" if descending else "ASC"
        order = f"key {direction}"
        if order_by:
            conditions.append(f"{_kind(order_by)} IS NOT NULL")
            order = f"{_value(order_by)} {direction}, {order}"
        statement = (
            f"SELECT key, version, data FROM documents WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
        )
        with self._store.reading() as connection:
            rows = connection.execute(statement, (*values, limit)).fetchall()
        return [Stored(key, version, from_json(data)) for key, version, data in rows]

    def commit(self, writes: Sequence[Put | Delete], expect: Sequence[Expect] = ()) -> None:
        """Write all or nothing, durably, if every precondition holds; else ``Conflict``."""
        texts = self._checked(writes)
        with self._store.writing() as connection:
            for expected in expect:
                row = connection.execute(
                    "SELECT version FROM documents WHERE collection = ? AND key = ?",
                    (expected.collection, expected.key),
                ).fetchone()
                found = 0 if row is None else row[0]
                if found != expected.version:
                    raise Conflict(
                        f"{expected.collection}/{expected.key} is at version {found}, not {expected.version}"
                    )
            if not writes:
                return
            version = next_numbers(connection, "version", 1)
            for write, text in zip(writes, texts, strict=True):
                if isinstance(write, Put):
                    connection.execute(_UPSERT, (write.collection, write.key, version, text))
                else:
                    connection.execute(
                        "DELETE FROM documents WHERE collection = ? AND key = ?", (write.collection, write.key)
                    )

    def _checked(self, writes: Sequence[Put | Delete]) -> list[str]:
        """The documents as JSON text ("" for a deletion), all within the limits."""
        limits = self.limits
        if len(writes) > limits.writes_per_commit_max:
            raise LimitExceeded(f"a commit has {len(writes)} writes; at most {limits.writes_per_commit_max}")
        texts, total = [], 0
        for write in writes:
            place = f"{write.collection}/{write.key}"[:200]
            check(_NAME.fullmatch(write.collection) is not None, f"{place}: a collection is named with letters")
            check(write.key != "", f"{place}: a document has a key")
            if len(write.key.encode()) > limits.key_bytes_max:
                raise LimitExceeded(f"{place}…: the key has more than {limits.key_bytes_max} bytes")
            text = _encoded(write.data, place) if isinstance(write, Put) else ""
            size = len(text.encode())
            if size > limits.document_bytes_max:
                raise LimitExceeded(f"{place}: the document has {size} bytes; at most {limits.document_bytes_max}")
            total += size
            texts.append(text)
        if total > limits.commit_bytes_max:
            raise LimitExceeded(f"a commit has {total} bytes; at most {limits.commit_bytes_max}")
        return texts

    def _index(self, collection: str, fields: tuple[str, ...]) -> None:
        """Index the fields together, unless that was done before or there are already too many."""
        for field in fields:
            check(_NAME.fullmatch(field) is not None, f"a field to filter or order by is a plain name, not {field!r}")
        if (collection, fields) in self._indexed:
            return
        name = f"documents_{collection}_" + ".".join(fields)
        with self._store.reading() as connection:
            present = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'documents'"
            ).fetchall()
        if (name,) not in present and len(present) < INDEXES_MAX:
            values = ", ".join(_value(field) for field in fields)
            with self._store.writing(durable=False) as connection:
                # The collection leads, although it is always the same: else SQLite takes the index of the keys.
                connection.execute(
                    f'CREATE INDEX IF NOT EXISTS "{name}" ON documents (collection, {values}, key)'
                    f" WHERE collection = '{collection}'"
                )
        self._indexed.add((collection, fields))


def _indexes(where: Sequence[Where], order_by: str) -> list[tuple[str, ...]]:
    """The fields that a query needs indexed together; each by itself what can be in no such index."""
    equal = sorted({each.field for each in where if each.op == "=="})
    others = list(dict.fromkeys(each.field for each in where if each.op != "=="))
    last = order_by or next(iter(others), "")
    together = (*equal, *([last] if last and last not in equal else []))
    alone = [(field,) for field in others if field not in together]
    return [*([together] if together else []), *alone]


def _value(field: str) -> str:
    return f"json_extract(data, '$.{field}')"


def _kind(field: str) -> str:
    return f"json_type(data, '$.{field}')"


def _compiled(where: Where) -> tuple[str, list[Any]]:
    """The filter as SQL with its bound values."""
    if where.op == "in":
        return _among(where)
    check(where.op in _OPERATORS, f"{where.op!r} is no operator of a filter")
    kind, value = _kind(where.field), where.value
    if value is None:
        return (f"{kind} = 'null'" if where.op in ("==", "<=", ">=") else "0"), []
    return f"({_value(where.field)} {_OPERATORS[where.op]} ? AND {kind} IN {_kinds(value)})", [value]


def _among(where: Where) -> tuple[str, list[Any]]:
    """One condition for each type of the values, which are one list: SQLite bounds how long a chain of OR is."""
    alike: dict[str, list[Any]] = {}
    for value in where.value:
        alike.setdefault("('null')" if value is None else _kinds(value), []).append(value)
    parts, bound = [], []
    for kinds, values in alike.items():
        condition = f"{_kind(where.field)} IN {kinds}"
        if values[0] is not None:
            condition += f" AND {_value(where.field)} IN (SELECT value FROM json_each(?))"
            bound.append(to_json(values).decode())
        parts.append(f"({condition})")
    return f"({' OR '.join(parts)})" if parts else "0", bound


def _kinds(value: Any) -> str:
    """The types of JSON, as a list of SQL, that a value is compared with."""
    if isinstance(value, bool):
        return "('true', 'false')"
    if isinstance(value, int | float):
        return "('integer', 'real')"
    if isinstance(value, str):
        check("\0" not in value, "SQLite cannot look for text with a NUL character")
        return "('text')"
    raise InvariantBroken(f"a filter compares with text, a number, a bool or None, not {type(value).__name__}")


def _encoded(document: Mapping[str, Any], place: str) -> str:
    """The document as JSON text that reads back as the same document."""
    _check_value(dict(document), place, 0)
    try:
        return to_json(dict(document)).decode()
    except PydanticSerializationError as error:  # the only text that UTF-8 cannot hold
        raise InvariantBroken(f"{place}: text with half a surrogate pair; clean it before it becomes state") from error


def _check_value(value: Any, place: str, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if isinstance(value, int):
        check(-(2**63) <= value < 2**63, f"{place}: a whole number has at most 64 bits")
    elif isinstance(value, float):
        check(value - value == 0.0, f"{place}: a number is finite")
    elif isinstance(value, dict):
        check(depth < NESTING_MAX, f"{place}: at most {NESTING_MAX} levels of nesting")
        for key, each in value.items():
            check(isinstance(key, str), f"{place}: a field's name is text")
            if type(each) is not str:
                _check_value(each, place, depth + 1)
    elif isinstance(value, list | tuple):
        check(depth < NESTING_MAX, f"{place}: at most {NESTING_MAX} levels of nesting")
        for each in value:
            if type(each) is not str:
                _check_value(each, place, depth + 1)
    else:
        cannot = f"{place}: {kind.__name__} cannot be stored; give text, a number, a list or a mapping"
        check(isinstance(value, str), cannot)
