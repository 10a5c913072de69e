"""What load does with each event: put released rows into the warehouse, take rows out again."""

from __future__ import annotations

from typing import NamedTuple

from services.load import before_images, manifest, transform, withdrawn
from services.load.manifest import Manifest
from services.load.table_rows import TableRows, Transform, table_rows
from services.load.taking_out import take_out
from services.load.withdrawn import LOADS, Withdrawn
from shared.domain import ids, paths
from shared.domain.batch import LoadState, VerdictState
from shared.domain.contract import parse_contract
from shared.domain.errors import DefinitionError, ForeignFailure
from shared.domain.incident import Origin
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.events.types import BatchLoaded, BatchValidated, BatchWithdraw, BatchWithdrawn, Event
from shared.ports.ports import Ports
from shared.ports.state_store import Document, Where
from shared.ports.warehouse import JobResult, Layout, LoadJob, Mode
from shared.runtime.service import Service

_VERDICTS = "verdicts"


class Target(NamedTuple):
    """Where a pipeline's rows go, and how."""

    table: str
    mode: Mode
    keys: tuple[str, ...]  # of an upsert
    layout: Layout
    transform: Transform


def on_batch_validated(event: BatchValidated, ports: Ports) -> list[Event]:
    """Load the rows that an attempt released, unless the attempt was withdrawn meanwhile."""
    if event.state != VerdictState.RELEASED:
        return []
    target = _target(event.pipeline, ports)
    if not event.rows_passed and (target.mode != "overwrite" or event.attempt > 1):
        return []
    key = f"{event.batch_id}:{event.attempt}"
    if ports.state.get(LOADS, key) is not None:
        return []
    if withdrawn.of_batch(ports.state, event.batch_id).covers(event.reading, event.attempt):
        return _ignore(event, target, key, ports)
    rows = table_rows(event, target.transform, target.keys, ports)
    written = _manifest(event, target, rows)
    result = _load(event, written, rows, target, ports)
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


def _load(event: BatchValidated, written: Manifest, rows: TableRows, target: Target, ports: Ports) -> JobResult:
    """Intent, schema, before-images, job. What the warehouse refuses leaves no intent behind.

    The schema comes first, since keys of a wider type are not found in a table of the narrower one.
    """
    if rows.columns:
        ports.warehouse.plan_schema(target.table, rows.columns, target.layout)
    manifest.write(written, ports.objects)
    try:
        if rows.columns:
            ports.warehouse.ensure(target.table, rows.columns, target.layout)
        before_images.write(event, target.table, target.mode, rows.files, target.keys, ports)
        job = LoadJob(
            job_id=_job_id(written.table, written.batch_id, written.attempt),
            table=written.table,
            mode=target.mode,
            files=written.files,
            columns=rows.columns,
            keys=written.keys,
            batch=written.batch_id,
            seq=written.seq,
            layout=target.layout,
        )
        return ports.warehouse.run(job)
    except ForeignFailure:
        manifest.remove(written, ports.objects)
        raise


def _ignore(event: BatchValidated, target: Target, key: str, ports: Ports) -> list[Event]:
    """The attempt was withdrawn before its load was recorded; a load that died half way may still have happened."""
    written = manifest.read(paths.manifest(target.table, event.batch_id, event.attempt), ports.objects)
    if written is not None:
        take_out([written], target.layout, f"ignored|{event.id}", ports)
    document = {"batch_id": event.batch_id, "pipeline": event.pipeline}
    attempt = {"attempt": event.attempt, "reading": event.reading}
    ports.state.put(LOADS, key, _without_rows({**document, **attempt}, target.table, LoadState.IGNORED))
    return []


def on_batch_withdraw(event: BatchWithdraw, ports: Ports) -> list[Event]:
    """Take out every loaded row of the readings or the attempt, and show what each key had otherwise."""
    target = _target(event.pipeline, ports)
    before = withdrawn.of_batch(ports.state, event.batch_id)
    now_withdrawn = before.joined(event.reading, event.attempt)
    withdrawn.remember(ports.state, event.batch_id, now_withdrawn)
    filters = [Where("kind", "==", "load"), Where("batch_id", "==", event.batch_id)]
    loads = ports.state.query(LOADS, filters)
    gone = [
        each
        for each in loads
        if each.data["state"] == LoadState.LOADED and now_withdrawn.covers(each.data["reading"], each.data["attempt"])
    ]
    for table in sorted({target.table, *(each.data["table"] for each in gone)}):
        withdrawn.announce(table, event.batch_id, now_withdrawn.reading, event.attempt, ports.objects)
    halted = _halt(event, now_withdrawn, {each.key for each in loads}, target, ports)
    out = [
        manifest.read(paths.manifest(each["table"], event.batch_id, each["attempt"]), ports.objects)
        for each in (*(stored.data for stored in gone), *halted)
    ]
    rows = take_out([each for each in out if each is not None], target.layout, event.remedy_id or event.id, ports)
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


def _halt(
    event: BatchWithdraw, now_withdrawn: Withdrawn, recorded: set[str], target: Target, ports: Ports
) -> list[Document]:
    """Released attempts whose load is not recorded: what their loads were doing, they shall not do any more.

    A job under a load's id that brings no rows makes the load's own a job that was done before.
    """
    filters = [Where("batch_id", "==", event.batch_id), Where("state", "==", VerdictState.RELEASED)]
    halted: list[Document] = []
    for stored in ports.state.query(_VERDICTS, filters):
        verdict, key = stored.data, f"{event.batch_id}:{stored.data['attempt']}"
        if key in recorded or not now_withdrawn.covers(verdict["reading"], verdict["attempt"]):
            continue
        job = LoadJob(
            job_id=_job_id(target.table, event.batch_id, verdict["attempt"]),
            table=target.table,
            mode="append",
            files=(),
            columns=(),
            keys=(),
            batch=event.batch_id,
            seq=verdict["seq"],
            layout=target.layout,
        )
        ports.warehouse.run(job)
        document = _without_rows({**verdict, "pipeline": event.pipeline}, target.table, LoadState.IGNORED)
        ports.state.put(LOADS, key, document)
        halted.append(document)
    return halted


def _without_rows(about: Document, table: str, state: LoadState) -> Document:
    names = ("batch_id", "pipeline", "attempt", "reading")
    counts = {"rows_loaded": 0, "rows_discarded": 0}
    return {
        "kind": "load",
        **{name: about[name] for name in names},
        "table": table,
        "state": state,
        **counts,
        "files": [],
    }


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


def _job_id(table: str, batch_id: str, attempt: int) -> str:
    return f"load-{ids.derive(table, batch_id, attempt)}"


def _target(name: str, ports: Ports) -> Target:
    found = ports.definitions.read(f"pipelines/{name}.yaml")
    pipeline = parse_pipeline(found.text, found.path)
    destination = pipeline.destination
    keys: tuple[str, ...] = ()
    if destination.mode == "upsert":
        keys = tuple(destination.key) or _primary_key(pipeline, ports)
        if not keys:
            hint = 'name it in the pipeline ("key:" under "destination") or mark it in the contract (primaryKey: true)'
            raise DefinitionError(found.path, 0, 0, "an upsert needs a key, and there is none", hint)
    layout = Layout(destination.partition_by, tuple(destination.cluster_by))
    return Target(destination.table, destination.mode, keys, layout, _transform(pipeline, found.path, ports))


def _primary_key(pipeline: PipelineDefinition, ports: Ports) -> tuple[str, ...]:
    contract = ports.definitions.read(pipeline.contract)
    return parse_contract(contract.text, contract.path, pipeline.destination.table).primary_key


def _transform(pipeline: PipelineDefinition, path: str, ports: Ports) -> Transform:
    if not pipeline.transform:
        return Transform("", path)
    file = pipeline.transform_path
    if file:
        return Transform(transform.prepare(ports.definitions.read(file).text, file), file)
    return Transform(transform.prepare(pipeline.transform, path), path)


SERVICE = Service(
    name="load",
    handlers={BatchValidated: on_batch_validated, BatchWithdraw: on_batch_withdraw},
    emits=(BatchLoaded, BatchWithdrawn),
    collections=(LOADS,),
    foreign_origin=Origin.DESTINATION,
    priority=30,
)
