"""A store that refuses queries for which the deployment makes no index: Firestore's emulator would not tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mend.deploy.description import INDEXES
from shared.ports.state_store import Stored, Where

Shape = tuple[str, tuple[str, ...], str, str]

MADE: Final = frozenset((name, tuple(sorted(fields)), order, way) for name, fields, order, way in INDEXES)


class IndexedStore:
    """The store, and the queries that were asked of it and one field's index does not answer."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.shapes: set[Shape] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        asked = _shape(collection, where, order_by, descending)
        if asked is not None:
            self.shapes.add(asked)
            assert asked in MADE, f"add to mend/deploy/description.py: {asked}"
        return self._store.query(collection, where, order_by, descending, limit)  # type: ignore[no-any-return]


def _shape(collection: str, where: Sequence[Where], order_by: str, descending: bool) -> Shape | None:
    """The index of several fields that a query needs; None where it needs none."""
    equal = {each.field for each in where if each.op in ("==", "in")}
    ranged = {each.field for each in where if each.op not in ("==", "in")} | ({order_by} - {""})
    assert len(ranged) <= 1, f"{collection}: a range over one field in the order of another"
    ordered = ranged - equal
    if not equal or not ordered:
        return None
    return (collection, tuple(sorted(equal)), ordered.pop(), "descending" if descending else "ascending")
