"""Documents with atomic commits under preconditions: the state of the services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

Document = dict[str, Any]
"""JSON-like: str, int (64 bit), float, bool, None, lists and dicts of these."""


class StoreLimits(NamedTuple):
    """What one commit and one document may hold."""

    document_bytes_max: int = 1_000_000
    writes_per_commit_max: int = 400
    commit_bytes_max: int = 9_000_000
    key_bytes_max: int = 1_400


class Stored(NamedTuple):
    """A document as it was read; ``version`` changes with every write and is never reused."""

    key: str
    version: int
    data: Document


class Where(NamedTuple):
    """A filter on a top-level field."""

    field: str
    op: Literal["==", "<", "<=", ">", ">=", "in"]
    value: Any


class Put(NamedTuple):
    """Write a whole document."""

    collection: str
    key: str
    data: Mapping[str, Any]


class Delete(NamedTuple):
    """Remove a document; harmless when it is not there."""

    collection: str
    key: str


class Expect(NamedTuple):
    """Precondition of a commit: the document has this version; 0 = it does not exist."""

    collection: str
    key: str
    version: int


class StateStore(Protocol):
    """All methods raise ``StoreUnavailable`` when the store says no for now."""

    limits: StoreLimits

    def get(self, collection: str, key: str) -> Stored | None:
        """The document, or None."""

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        """Documents that match all filters, by ``order_by`` (a field; "" = by key), then key; at most ``limit``.

        A document without the ``order_by`` field is left out, as Firestore does.
        """

    def commit(self, writes: Sequence[Put | Delete], expect: Sequence[Expect] = ()) -> None:
        """Write all or nothing, durably, if every precondition holds; else ``Conflict``.

        ``LimitExceeded`` beyond the limits. The caller may not assume that a commit that raised
        ``StoreUnavailable`` did not happen.
        """
