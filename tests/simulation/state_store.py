"""The state store in memory: what the port promises, and nothing of a disk."""

from __future__ import annotations

import json
import marshal
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from shared.adapters.local.state_store import _encoded as as_json
from shared.domain.checks import check
from shared.domain.errors import Conflict, InvariantBroken, LimitExceeded
from shared.ports.state_store import Delete, Expect, Put, Stored, StoreLimits, Where

_NUMBER = (int, float)


class SimulatedStateStore:
    """Documents of all collections; ``checked`` refuses what is not like JSON, as a real store would."""

    def __init__(self, *, checked: bool = True) -> None:
        self.limits = StoreLimits()
        self.commits = 0
        self._checked = checked
        self._version = 0
        self._documents: dict[str, dict[str, tuple[int, bytes, Mapping[str, Any]]]] = {}
        self._lock = threading.Lock()

    def get(self, collection: str, key: str) -> Stored | None:
        """A copy of the document, or None."""
        found = self._documents.get(collection, {}).get(key)
        return None if found is None else Stored(key, found[0], marshal.loads(found[1]))

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        """Copies of the documents that match, in order."""
        check(limit >= 0, "a limit is not negative")
        found = [
            (key, version, blob, data)
            for key, (version, blob, data) in self._documents.get(collection, {}).items()
            if all(_matches(data, each) for each in where) and (not order_by or order_by in data)
        ]
        found.sort(key=lambda each: (_rank(each[3][order_by]) if order_by else (), each[0]), reverse=descending)
        return [Stored(key, version, marshal.loads(blob)) for key, version, blob, _ in found[:limit]]

    def commit(self, writes: Sequence[Put | Delete], expect: Sequence[Expect] = ()) -> None:
        """All or nothing."""
        if self._checked:
            self._refuse(writes)
        with self._lock:
            for each in expect:
                found = self._documents.get(each.collection, {}).get(each.key)
                if (0 if found is None else found[0]) != each.version:
                    raise Conflict(f"{each.collection}/{each.key} is not at version {each.version}")
            self.commits += 1
            self._version += 1
            for write in writes:
                collection = self._documents.setdefault(write.collection, {})
                if isinstance(write, Put):
                    collection[write.key] = (self._version, packed(write.data), write.data)
                else:
                    collection.pop(write.key, None)

    def packed(self, collection: str, key: str) -> bytes:
        """A document as it is kept."""
        return self._documents[collection][key][1]

    def documents(self, collection: str) -> Mapping[str, Mapping[str, Any]]:
        """What stands in a collection, not copied: to look at, not to change."""
        return {key: data for key, (_, _, data) in self._documents.get(collection, {}).items()}

    def _refuse(self, writes: Sequence[Put | Delete]) -> None:
        limits = self.limits
        if len(writes) > limits.writes_per_commit_max:
            raise LimitExceeded("too many writes in one commit")
        total = 0
        for write in writes:
            if len(write.key.encode()) > limits.key_bytes_max:
                raise LimitExceeded("the key is too long")
            size = len(as_json(write.data, write.collection).encode()) if isinstance(write, Put) else 0
            if size > limits.document_bytes_max:
                raise LimitExceeded("the document is too large")
            total += size
        if total > limits.commit_bytes_max:
            raise LimitExceeded("the commit is too large")


def packed(data: Mapping[str, Any]) -> bytes:
    """A document as bytes; what is only like text (an enumeration's member) becomes text."""
    try:
        return marshal.dumps(dict(data))
    except ValueError:
        return marshal.dumps(json.loads(json.dumps(dict(data))))


def _matches(data: Mapping[str, Any], where: Where) -> bool:
    """As Firestore: values of one type are compared with each other, and a missing field matches nothing."""
    if where.op == "in":
        return any(_matches(data, Where(where.field, "==", value)) for value in where.value)
    if where.field not in data:
        return False
    value, other = data[where.field], where.value
    if other is None or value is None:
        return value is other and where.op in ("==", "<=", ">=")
    if isinstance(other, bool) or isinstance(value, bool):
        comparable = isinstance(other, bool) and isinstance(value, bool)
    elif isinstance(other, _NUMBER):
        comparable = isinstance(value, _NUMBER)
    elif isinstance(other, str):
        comparable = isinstance(value, str)
    else:
        raise InvariantBroken("a filter compares with text, a number, a bool or None")
    return comparable and _compared(value, where.op, other)


def _compared(value: Any, operator: str, other: Any) -> bool:
    if operator == "==":
        return bool(value == other)
    if operator == "<":
        return bool(value < other)
    if operator == "<=":
        return bool(value <= other)
    return bool(value > other if operator == ">" else value >= other)


def _rank(value: Any) -> tuple[int, Any]:
    """Numbers before text before the rest, each among themselves."""
    if isinstance(value, _NUMBER):
        return (0, value)
    return (1, value) if isinstance(value, str) else (2, repr(value))
