"""What load does with each event: put released rows into the warehouse, take rows out again."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from services.load import manifest, transform, withdrawn
from services.load.manifest import Manifest
from services.load.table_rows import TableRows, table_rows
from services.load.withdrawn import LOADS, Withdrawn
from shared.domain import ids, paths
from shared.domain.batch import LoadState, VerdictState
from shared.domain.contract import parse_contract
from shared.domain.incident import Origin
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.events.types import BatchLoaded, BatchValidated, BatchWithdraw, BatchWithdrawn, Event
from shared.ports.ports import Ports
from shared.ports.state_store import Where
from shared.ports.warehouse import BATCH_COLUMN, Layout, LoadJob, Mode
from shared.runtime.service import Service

_ROUNDS_MAX = 10


class Target(NamedTuple):
    """Where a pipeline's rows go, and how."""

    table: str
    mode: Mode
    keys: tuple[str, ...]
    layout: Layout
    sql: str


def on_batch_validated(event: BatchValidated, ports: Ports) -> list[Event]:
    """Load the rows that an attempt released, unless the attempt was withdrawn meanwhile."""
    if event.state != VerdictState.RELEASED:
        return []
    target = _target(event.pipeline, ports)
    if not event.rows_passed and target.mode != "overwrite":
        return []
    key = f"{event.batch_id}:{event.attempt}"
    if ports.state.get(LOADS, key) is not None:
        return []
    if withdrawn.of_batch(ports.state, event.batch_id).covers(event.reading, event.attempt):
        return _ignore(event, target, key, ports)
    rows = table_rows(event, target.sql, ports)
    written = _manifest(event, target, rows)
    manifest.write(written, ports.objects)
    if target.mode != "append":
        _write_before(event, target, rows, ports)
    if rows.columns:
        ports.warehouse.ensure(target.table, rows.columns, target.layout)
    result = ports.warehouse.run(_job(written, rows, target, _standing(event, target, ports)))
    document = {
        **written._asdict(),
        "kind": "load",
        "keys": list(written.keys),
        "files": list(written.files),
        "pipeline": event.pipeline,
        "state": LoadState.LOADED,
        "rows_passed": event.rows_passed,
        "rows_loaded": rows.rows,
        "rows_discarded": rows.rows_discarded,
        "remedy_id": event.remedy_id,
        "loaded_at": ports.clock.now(),
    }
    ports.state.put(LOADS, key, document)
    loaded = BatchLoaded.caused_by(
        event,
        f"{event.batch_id}|{event.attempt}",
        ports.clock.now(),
        subject=event.batch_id,
        batch_id=event.batch_id,
        pipeline=event.pipeline,
        attempt=event.attempt,
        reading=event.reading,
        table=target.table,
        mode=target.mode,
        rows_passed=event.rows_passed,
        rows_loaded=rows.rows,
        rows_discarded=rows.rows_discarded,
        bytes=result.bytes,
        remedy_id=event.remedy_id,
    )
    return [loaded]


def _ignore(event: BatchValidated, target: Target, key: str, ports: Ports) -> list[Event]:
    """The attempt was withdrawn before its load was recorded; a load that died half way may still have happened."""
    if ports.objects.stat(paths.manifest(target.table, event.batch_id, event.attempt)) is not None:
        written = manifest.read(paths.manifest(target.table, event.batch_id, event.attempt), ports.objects)
        _take_out([written], target, f"ignored|{event.id}", ports)
    document = {"kind": "load", "batch_id": event.batch_id, "pipeline": event.pipeline, "attempt": event.attempt}
    extra = {"reading": event.reading, "table": target.table, "state": LoadState.IGNORED, "rows_loaded": 0}
    ports.state.put(LOADS, key, {**document, **extra, "rows_discarded": 0, "files": []})
    return []


def on_batch_withdraw(event: BatchWithdraw, ports: Ports) -> list[Event]:
    """Take out every loaded row of the readings or the attempt, and show what each key had otherwise."""
    target = _target(event.pipeline, ports)
    before = withdrawn.of_batch(ports.state, event.batch_id)
    attempts = before.attempts | ({event.attempt} if event.attempt else set())
    now_withdrawn = Withdrawn(max(before.reading, event.reading), frozenset(attempts))
    withdrawn.remember(ports.state, event.batch_id, now_withdrawn)
    filters = [Where("kind", "==", "load"), Where("batch_id", "==", event.batch_id)]
    loads = [stored for stored in ports.state.query(LOADS, filters) if stored.data["state"] == LoadState.LOADED]
    gone = [each for each in loads if now_withdrawn.covers(each.data["reading"], each.data["attempt"])]
    rows = 0
    if gone:
        out = [
            manifest.read(paths.manifest(each.data["table"], event.batch_id, each.data["attempt"]), ports.objects)
            for each in gone
        ]
        rows = _take_out(out, target, event.remedy_id or event.id, ports)
        for each in gone:
            ports.state.put(LOADS, each.key, {**each.data, "state": LoadState.WITHDRAWN})
    about = f"{event.batch_id}|{event.reading}|{event.attempt}|{event.remedy_id}"
    done = BatchWithdrawn.caused_by(
        event,
        about,
        ports.clock.now(),
        subject=event.batch_id,
        batch_id=event.batch_id,
        pipeline=event.pipeline,
        remedy_id=event.remedy_id,
        reading=event.reading,
        attempt=event.attempt,
        rows_withdrawn=sum(each.data["rows_loaded"] for each in gone),
        keys_restored=rows,
    )
    return [done]


def _take_out(gone: list[Manifest], target: Target, reason: str, ports: Ports) -> int:
    """Withdraw the manifests' rows; again as long as other loads were announced meanwhile. Rows taken out."""
    taken = 0
    seen: tuple[str, ...] | None = None
    for _ in range(_ROUNDS_MAX):
        restore = _restorable(gone, target, ports)
        if restore == seen:
            return taken
        seen = restore
        first = gone[0]
        about = ids.derive(reason, *(f"{each.batch_id}:{each.attempt}" for each in gone), *restore)
        job = LoadJob(
            job_id=f"withdraw-{about}",
            table=first.table,
            mode=target.mode,
            files=tuple(file for each in gone for file in each.files),
            columns=(),
            keys=first.keys,
            batch=first.batch_id,
            seq=first.seq,
            layout=target.layout,
        )
        taken += ports.warehouse.withdraw(job, restore).rows
    return taken


def _restorable(gone: list[Manifest], target: Target, ports: Ports) -> tuple[str, ...]:
    """Files of rows that may come back: what other attempts gave to the table, and rows that were never ours."""
    if target.mode == "append":
        return ()
    away = withdrawn.everything(ports.state)
    leaving = {(each.batch_id, each.attempt) for each in gone}
    kept = [
        each
        for each in manifest.of_table(gone[0].table, ports.objects)
        if (each.batch_id, each.attempt) not in leaving
        and not away.get(each.batch_id, Withdrawn()).covers(each.reading, each.attempt)
    ]
    foreign = [
        paths.before_foreign(each.batch_id, each.attempt) for each in manifest.of_table(gone[0].table, ports.objects)
    ]
    if target.mode == "overwrite":
        newest = max((each.seq for each in kept), default="")
        kept = [each for each in kept if each.seq == newest]
        foreign = foreign if not kept else []
    present = [path for path in foreign if ports.objects.stat(path) is not None]
    return tuple(file for each in kept for file in each.files) + tuple(present)


def _write_before(event: BatchValidated, target: Target, rows: TableRows, ports: Ports) -> None:
    """Keep the rows that this load replaces, once: a repeated load would find its own rows."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = paths.before(event.batch_id, event.attempt)
    if ports.objects.stat(path) is not None:
        return
    if target.mode == "upsert":
        replaced = ports.warehouse.rows_with_keys(target.table, rows.files, target.keys)
    else:
        replaced = ports.warehouse.dump(target.table)
    first = next(replaced, None)
    if first is None:
        return
    foreign_path = paths.before_foreign(event.batch_id, event.attempt)
    # The file that says "done" is closed last: after a crash between the two, both are written again.
    with (
        ports.objects.write(path) as stream,
        pq.ParquetWriter(stream, first.schema) as writer,
        ports.objects.write(foreign_path) as foreign_stream,
        pq.ParquetWriter(foreign_stream, first.schema) as foreign,
    ):
        for batch in itertools.chain([first], replaced):
            writer.write_batch(batch)
            foreign.write_batch(batch.filter(pc.is_null(batch.column(BATCH_COLUMN))))


def _manifest(event: BatchValidated, target: Target, rows: TableRows) -> Manifest:
    return Manifest(
        table=target.table,
        mode=target.mode,
        batch_id=event.batch_id,
        attempt=event.attempt,
        reading=event.reading,
        seq=event.seq,
        keys=target.keys,
        files=rows.files,
        rows=rows.rows,
    )


def _job(written: Manifest, rows: TableRows, target: Target, standing: tuple[str, ...]) -> LoadJob:
    return LoadJob(
        job_id=f"load-{ids.derive(written.table, written.batch_id, written.attempt)}",
        table=written.table,
        mode=target.mode,
        files=(*standing, *written.files),
        columns=rows.columns,
        keys=written.keys,
        batch=written.batch_id,
        seq=written.seq,
        layout=target.layout,
    )


def _standing(event: BatchValidated, target: Target, ports: Ports) -> tuple[str, ...]:
    """What an overwrite must show besides this attempt: rows of the batch that earlier attempts released."""
    if target.mode != "overwrite":
        return ()
    away = withdrawn.of_batch(ports.state, event.batch_id)
    earlier = [
        each
        for each in manifest.of_table(target.table, ports.objects)
        if each.batch_id == event.batch_id
        and each.attempt < event.attempt
        and not away.covers(each.reading, each.attempt)
    ]
    return tuple(file for each in earlier for file in each.files)


def _target(name: str, ports: Ports) -> Target:
    found = ports.definitions.read(f"pipelines/{name}.yaml")
    pipeline = parse_pipeline(found.text, found.path)
    destination = pipeline.destination
    keys = tuple(destination.key)
    if destination.mode == "upsert" and not keys:
        contract = ports.definitions.read(pipeline.contract)
        keys = parse_contract(contract.text, contract.path, destination.table).primary_key
    layout = Layout(destination.partition_by, tuple(destination.cluster_by))
    return Target(destination.table, destination.mode, keys, layout, _transform(pipeline, ports))


def _transform(pipeline: PipelineDefinition, ports: Ports) -> str:
    if not pipeline.transform:
        return ""
    path = pipeline.transform_path
    if path:
        return transform.prepare(ports.definitions.read(path).text, path)
    return transform.prepare(pipeline.transform, f"pipelines/{pipeline.pipeline}.yaml")


SERVICE = Service(
    name="load",
    handlers={BatchValidated: on_batch_validated, BatchWithdraw: on_batch_withdraw},
    collections=(LOADS,),
    foreign_origin=Origin.DESTINATION,
    priority=30,
)
