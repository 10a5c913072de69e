"""The state as a handler sees it: reads now, writes when the handler has ended well, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared.ports.state_store import Document, Stored, Where


class State(Protocol):
    """A unit of work over the state store.

    Writes are kept back and committed together with the event's receipt, provided that no document read by ``get``
    has changed since; otherwise the whole handler runs again. Writing a collection that another service owns raises
    ``OwnershipRefused``. A ``get`` after a ``put`` in the same handler shows the new document; a ``query`` does not.
    """

    def get(self, collection: str, key: str) -> Document | None:
        """A copy of the document, or None."""

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        """As ``StateStore.query``; what it returns is not protected against change until the commit."""

    def put(self, collection: str, key: str, data: Mapping[str, Any]) -> None:
        """Write the whole document."""

    def delete(self, collection: str, key: str) -> None:
        """Remove the document."""
