"""Takes rows out of a table again and shows what each key had otherwise, whatever else happens to the table meanwhile.

Loads and withdrawals of several workers meet in a table only. Each announces itself in the object store before it
touches the table (a manifest, a withdrawal's file) and then looks who else did; whoever comes later sees the earlier
one. A withdrawal looks again after its job: it takes out what others announced to take out in between, so that no
withdrawal can bring back another's rows, and gives the table once more what was loaded in between, since those rows may
have yielded to the newer ones that have now left.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from services.load import foreign_rows, manifest, withdrawn
from services.load.manifest import Manifest
from services.load.table_rows import columns_of_file
from shared.domain import ids
from shared.ports.object_store import ObjectStore
from shared.ports.ports import Ports
from shared.ports.warehouse import Layout, LoadJob

_ROUNDS_MAX = 20


class _Seen(NamedTuple):
    """What was announced for a table: attempts that stand, and attempts that leave."""

    standing: tuple[Manifest, ...]
    leaving: tuple[Manifest, ...]


def take_out(gone: list[Manifest], layout: Layout, reason: str, ports: Ports) -> int:
    """Withdraw the manifests' rows, all of one batch and already announced; how many rows left the tables."""
    taken = 0
    for table, same in groupby(sorted(gone, key=lambda each: each.table), key=lambda each: each.table):
        taken += _from_table(table, list(same), layout, reason, ports)
    return taken


def _from_table(table: str, gone: list[Manifest], layout: Layout, reason: str, ports: Ports) -> int:
    known: dict[str, Manifest] = {}
    first = _look(table, known, ports.objects)
    seen, leaving, taken = first, gone, 0
    for _ in range(_ROUNDS_MAX):
        taken += sum(_withdraw(same, seen.standing, layout, reason, known, ports) for same in _groups(leaving))
        again = _look(table, known, ports.objects)
        if again == seen:
            break
        for each in again.standing:
            if each not in seen.standing:
                _offer(each, layout, reason, ports)
        leaving = [*gone, *(each for each in again.leaving if each not in first.leaving and each not in gone)]
        seen = again
    return taken


def _look(table: str, known: dict[str, Manifest], objects: ObjectStore) -> _Seen:
    away = withdrawn.of_table(table, objects)
    found: list[Manifest] = []
    for path in manifest.paths_of_table(table, objects):
        if path not in known:
            read = manifest.read(path, objects)
            if read is None:
                continue
            known[path] = read
        found.append(known[path])
    leaves = [away.get(each.batch_id, withdrawn.NOTHING).covers(each.reading, each.attempt) for each in found]
    standing = tuple(each for each, goes in zip(found, leaves, strict=True) if not goes)
    return _Seen(standing, tuple(each for each, goes in zip(found, leaves, strict=True) if goes))


def _groups(leaving: list[Manifest]) -> list[list[Manifest]]:
    """The manifests in groups that one job can withdraw: of a batch, a mode and a key."""

    def alike(each: Manifest) -> tuple[str, str, tuple[str, ...]]:
        return each.batch_id, each.mode, each.keys

    ordered = sorted(leaving, key=lambda each: (*alike(each), each.attempt))
    return [list(same) for _, same in groupby(ordered, key=alike)]


def _withdraw(
    gone: list[Manifest],
    standing: tuple[Manifest, ...],
    layout: Layout,
    reason: str,
    known: dict[str, Manifest],
    ports: Ports,
) -> int:
    first = gone[0]
    restore = _restorable(first.mode, standing, list(known.values()), ports.objects)
    about = ids.derive(reason, *(f"{each.batch_id}:{each.attempt}" for each in gone), *restore)
    job = LoadJob(
        job_id=f"withdraw-{about}",
        table=first.table,
        mode=first.mode,
        files=tuple(file for each in gone for file in each.files),
        columns=(),
        keys=first.keys,
        batch=first.batch_id,
        seq=first.seq,
        layout=layout,
    )
    return ports.warehouse.withdraw(job, restore).rows


def _offer(late: Manifest, layout: Layout, reason: str, ports: Ports) -> None:
    """Give the table an attempt's rows; those that it shows already, or newer ones, stay."""
    if late.mode == "append" or not late.files:
        return
    job = LoadJob(
        job_id=f"again-{ids.derive(reason, late.batch_id, late.attempt)}",
        table=late.table,
        mode=late.mode,
        files=late.files,
        columns=columns_of_file(late.files[0], ports.objects),
        keys=late.keys,
        batch=late.batch_id,
        seq=late.seq,
        layout=layout,
    )
    ports.warehouse.run(job)


def _restorable(
    mode: str, standing: tuple[Manifest, ...], every: list[Manifest], objects: ObjectStore
) -> tuple[str, ...]:
    """Files of rows that may come back: what other attempts gave to the table, and rows that were never ours."""
    if mode == "append":
        return ()
    kept = list(standing)
    if mode == "overwrite":
        newest = max(((each.seq, each.batch_id) for each in kept), default=None)
        kept = [each for each in kept if (each.seq, each.batch_id) == newest]
    files = tuple(file for each in kept for file in each.files)
    if mode == "overwrite" and kept:
        return files
    return files + foreign_rows.restorable(every, objects)
