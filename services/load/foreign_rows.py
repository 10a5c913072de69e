"""Rows that were never ours, in tables that are overwritten: which kept ones come back when nothing of ours is left.

Each load keeps the foreign rows that it replaces. Once everything of ours has been withdrawn they are back in the
table, so that the next load replaces and keeps the same rows once more; its image then stands in the place of those
before it, or the rows would come back twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from services.load import manifest, withdrawn
from services.load.manifest import Manifest
from shared.domain import paths
from shared.ports.object_store import ObjectStore


def supersede(table: str, batch: str, attempt: int, objects: ObjectStore) -> None:
    """Say that an attempt's image of foreign rows stands for all before it, unless something of ours may be shown.

    To be called before the image is written, and only when the table holds foreign rows alone.
    """
    away = withdrawn.of_table(table, objects)
    earlier: list[str] = []
    for path in manifest.paths_of_table(table, objects):
        other = manifest.read(path, objects)
        if other is None or other.batch_id == batch:
            continue
        if not away.get(other.batch_id, withdrawn.NOTHING).covers(other.reading, other.attempt):
            return
        earlier.append(paths.before_foreign(other.batch_id, other.attempt))
    if earlier:
        with objects.write(paths.before_superseded(batch, attempt)) as stream:
            stream.write(json.dumps(sorted(earlier)).encode())


def restorable(manifests: Sequence[Manifest], objects: ObjectStore) -> tuple[str, ...]:
    """The images of foreign rows that no later one stands for."""
    found = [
        (each, path)
        for each in manifests
        if objects.stat(path := paths.before_foreign(each.batch_id, each.attempt)) is not None
    ]
    gone = {path for each, _ in found for path in _superseded(each, objects)}
    return tuple(path for _, path in found if path not in gone)


def _superseded(by: Manifest, objects: ObjectStore) -> list[str]:
    try:
        with objects.read(paths.before_superseded(by.batch_id, by.attempt)) as stream:
            return [str(path) for path in json.loads(stream.read())]
    except FileNotFoundError:
        return []
