"""The state a handler sees: reads go through, writes wait for the commit, ownership is enforced."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shared.domain.documents import copied
from shared.domain.errors import OwnershipRefused
from shared.ports.state_store import Delete, Document, Expect, Put, StateStore, Stored, Where


class UnitOfWork:
    """``State`` over a ``StateStore`` for the handling of one event; see ``shared.ports.state.State``."""

    def __init__(self, store: StateStore, owner: str, owned: Collection[str]) -> None:
        self._store = store
        self._owner = owner
        self._owned = frozenset(owned)
        self._seen: dict[tuple[str, str], int] = {}
        self._read: dict[tuple[str, str], Document | None] = {}
        self._written: dict[tuple[str, str], Document | None] = {}

    def get(self, collection: str, key: str) -> Document | None:
        """A copy of the document, or None; remembers the version that was seen."""
        place = (collection, key)
        if place in self._written:
            return copied(self._written[place])
        if place not in self._read:
            stored = self._store.get(collection, key)
            self._seen[place] = stored.version if stored else 0
            self._read[place] = stored.data if stored else None
        return copied(self._read[place])

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        """As the store answers now, without this handler's own writes."""
        return self._store.query(collection, where, order_by, descending, limit)

    def put(self, collection: str, key: str, data: Mapping[str, Any]) -> None:
        """Keep the whole document for the commit."""
        self._refuse_strangers(collection)
        self._written[(collection, key)] = copied(dict(data))

    def delete(self, collection: str, key: str) -> None:
        """Keep the removal for the commit."""
        self._refuse_strangers(collection)
        self._written[(collection, key)] = None

    def changes(self) -> tuple[list[Put | Delete], list[Expect]]:
        """What to commit, and the versions of everything that ``get`` read."""
        writes: list[Put | Delete] = [
            Delete(collection, key) if data is None else Put(collection, key, data)
            for (collection, key), data in self._written.items()
        ]
        expects = [Expect(collection, key, version) for (collection, key), version in self._seen.items()]
        return writes, expects

    def _refuse_strangers(self, collection: str) -> None:
        if collection not in self._owned:
            raise OwnershipRefused(f"{self._owner} may not write {collection}: it belongs to another service")
