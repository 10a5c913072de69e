"""What an attempt gives to a table, written down before the warehouse is touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from shared.domain import paths
from shared.ports.object_store import ObjectStore
from shared.ports.warehouse import Mode


class Manifest(NamedTuple):
    """One attempt's rows for one table: an intent until its load is recorded, kept for undo and audit after."""

    table: str
    mode: Mode
    batch_id: str
    attempt: int
    reading: int
    seq: str
    keys: tuple[str, ...]
    files: tuple[str, ...]
    rows: int


def write(manifest: Manifest, objects: ObjectStore) -> None:
    """Store the manifest under its derived name."""
    with objects.write(paths.manifest(manifest.table, manifest.batch_id, manifest.attempt)) as stream:
        stream.write(json.dumps(manifest._asdict(), sort_keys=True).encode())


def remove(manifest: Manifest, objects: ObjectStore) -> None:
    """The warehouse refused the rows: they are not the table's."""
    objects.delete(paths.manifest(manifest.table, manifest.batch_id, manifest.attempt))


def read(path: str, objects: ObjectStore) -> Manifest | None:
    """The manifest under ``path``; None when it is not there (any more)."""
    try:
        with objects.read(path) as stream:
            fields = json.loads(stream.read())
    except FileNotFoundError:
        return None
    return Manifest(**{**fields, "keys": tuple(fields["keys"]), "files": tuple(fields["files"])})


def paths_of_table(table: str, objects: ObjectStore) -> Iterator[str]:
    """Where the manifests of a table lie, by batch and attempt."""
    for info in objects.list(paths.manifests(table)):
        yield info.path
