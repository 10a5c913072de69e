"""What a data plane offers a simulation: its seams installed, a warehouse, and a look at files and tables."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from shared.ports.clock import Clock
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import Warehouse

_OURS = ("services.", "shared.")


class Plane(Protocol):
    """Where rows are. Everything else (handlers, events, manifests, documents, policy) is the product's in both."""

    name: str

    def installed(self) -> AbstractContextManager[None]:
        """While the context lasts, the services handle rows in the plane's way."""

    def objects(self, folder: Path) -> ObjectStore:
        """An empty object store."""

    def warehouse(self, objects: ObjectStore, clock: Clock, folder: Path) -> Warehouse:
        """An empty warehouse that reads ``objects``; the real plane's needs these in ``folder/objects``."""

    def rows(self, objects: ObjectStore, path: str) -> list[dict[str, Any]]:
        """The rows of any file of rows, our own columns included; values as Python has them."""

    def table(self, warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
        """All rows of a table, provenance included; [] when there is no such table."""


class Seam(NamedTuple):
    """One function (or ``Class.method``) of the product that touches rows, and what stands in its place."""

    module: str
    name: str
    replacement: Any


@contextmanager
def replaced(seams: Sequence[Seam]) -> Iterator[None]:
    """The seams' functions replaced wherever a module of ours has them; as they were when the context ends."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for seam in seams:
            owner: Any = importlib.import_module(seam.module)
            *path, last = seam.name.split(".")
            for part in path:
                owner = getattr(owner, part)
            original = owner.__dict__[last]
            holders = [owner] if path else _holders(last, original)
            for holder in holders:
                before.append((holder, last, original))
                setattr(holder, last, seam.replacement)
        yield
    finally:
        for holder, name, original in reversed(before):
            setattr(holder, name, original)


def _holders(name: str, original: Any) -> list[Any]:
    """The modules that have the function under its name: its own, and those that import it."""
    modules = [module for known, module in list(sys.modules.items()) if known.startswith(_OURS)]
    return [module for module in modules if module.__dict__.get(name) is original]
