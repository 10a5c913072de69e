"""What load does with each event: put released rows into the warehouse, take rows out again."""

from __future__ import annotations

from typing import NamedTuple

from services.load import before_images, jobs, manifest, recorded, together, transform, waiting, withdrawn
from services.load.manifest import Manifest
from services.load.table_rows import TableRows, Transform, table_rows
from services.load.taking_out import take_out
from services.load.withdrawn import LOADS, Withdrawn
from shared.domain import paths
from shared.domain.batch import LoadState, VerdictState
from shared.domain.contract import parse_contract
from shared.domain.errors import DefinitionError, ForeignFailure, WarehouseBusy
from shared.domain.incident import Origin
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.events.types import (
    BatchLoaded,
    BatchValidated,
    BatchWithdraw,
    BatchWithdrawn,
    ClockTicked,
    Event,
    LoadDue,
)
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
    key = recorded.key_of(event.batch_id, event.attempt)
    if ports.state.get(LOADS, key) is not None:
        return []
    if withdrawn.of_batch(ports.state, event.batch_id).covers(event.reading, event.attempt):
        return _ignore(event, target, key, ports)
    rows = table_rows(event, target.transform, target.keys, ports)
    written = _manifest(event, target, rows)
    try:
        result = _load(event, written, rows, target, ports)
    except (WarehouseBusy, ForeignFailure) as error:
        if not waiting.may_wait(error, written):
            raise
        waiting.put_by(event, written, rows, target.layout, ports)
        return []
    return [recorded.loaded(event, written, rows.rows_discarded, result.bytes, ports)]


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
            job_id=jobs.own_id(written.table, written.batch_id, written.attempt),
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
    except ForeignFailure as error:
        if not waiting.may_wait(error, written):
            manifest.remove(written, ports.objects)
        raise


def _ignore(event: BatchValidated, target: Target, key: str, ports: Ports) -> list[Event]:
    """The attempt was withdrawn before its load was recorded; a load that died half way may still have happened."""
    written = manifest.read(paths.manifest(target.table, event.batch_id, event.attempt), ports.objects)
    if written is not None:
        take_out([written], target.layout, f"ignored|{event.id}", ports)
    document = {"batch_id": event.batch_id, "pipeline": event.pipeline}
    attempt = {"attempt": event.attempt, "reading": event.reading}
    ports.state.put(LOADS, key, recorded.without_rows({**document, **attempt}, target.table, LoadState.IGNORED))
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
    unrecorded = _unrecorded(event, now_withdrawn, {each.key for each in loads}, target, ports)
    for table in sorted({target.table, *(each.data["table"] for each in gone), *(each.table for each in unrecorded)}):
        withdrawn.announce(table, event.batch_id, now_withdrawn.reading, event.attempt, ports.objects)
    halted = [_halt(each, event, ports) for each in unrecorded]
    out = [
        manifest.read(paths.manifest(each["table"], event.batch_id, each["attempt"]), ports.objects)
        for each in (*(stored.data for stored in gone), *halted)
    ]
    reason = "|".join([event.remedy_id or event.id, *(each.place for each in unrecorded if each.place)])
    rows = take_out([each for each in out if each is not None], target.layout, reason, ports)
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


class _Unrecorded(NamedTuple):
    """A released attempt whose load is not recorded, and where it is: with nobody, or waiting, alone or in a group.

    ``place`` keeps withdrawals apart. Between a handler's run and the next, when its documents have changed meanwhile,
    an attempt that may wait can have been loaded from another place: what was taken out before, then, was not this.
    """

    verdict: Document
    table: str
    layout: Layout
    group: str
    place: str


def _unrecorded(
    event: BatchWithdraw, now_withdrawn: Withdrawn, known: set[str], target: Target, ports: Ports
) -> list[_Unrecorded]:
    filters = [Where("batch_id", "==", event.batch_id), Where("state", "==", VerdictState.RELEASED)]
    open_ = []
    for stored in ports.state.query(_VERDICTS, filters):
        verdict, key = stored.data, recorded.key_of(event.batch_id, stored.data["attempt"])
        if key in known or not now_withdrawn.covers(verdict["reading"], verdict["attempt"]):
            continue
        waits = waiting.found(key, ports.state)
        if waits is not None:
            place = f"{key}@{waits.group or 'waits'}"
            open_.append(_Unrecorded(verdict, waits.written.table, waits.layout, waits.group, place))
            continue
        since = "recorded" if ports.state.get(LOADS, key) is not None else "nobody"
        place = f"{key}@{since}" if target.mode == "append" else ""
        open_.append(_Unrecorded(verdict, target.table, target.layout, "", place))
    return open_


def _halt(unrecorded: _Unrecorded, event: BatchWithdraw, ports: Ports) -> Document:
    """What loads of the attempt were doing, they shall not do any more: neither its own job nor that of its group.

    The others of the group see that its job was not done, and go on without this one.
    """
    verdict, table = unrecorded.verdict, unrecorded.table
    job_ids = [jobs.own_id(table, event.batch_id, verdict["attempt"])]
    if unrecorded.group:
        job_ids.append(jobs.shared_id(unrecorded.group))
    for job_id in job_ids:
        jobs.settled(job_id, table, unrecorded.layout, ports.warehouse)
    document = recorded.without_rows({**verdict, "pipeline": event.pipeline}, table, LoadState.IGNORED)
    ports.state.put(LOADS, recorded.key_of(event.batch_id, verdict["attempt"]), document)
    return document


def on_load_due(event: LoadDue, ports: Ports) -> list[Event]:
    """Load a group of attempts that waited, by one job."""
    return together.load(event, ports)


def on_clock_ticked(event: ClockTicked, ports: Ports) -> list[Event]:
    """Attempts that have waited are called, those of one table together."""
    return waiting.called_by_clock(event, ports)


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
    handlers={
        BatchValidated: on_batch_validated,
        LoadDue: on_load_due,
        BatchWithdraw: on_batch_withdraw,
        ClockTicked: on_clock_ticked,
    },
    emits=(BatchLoaded, BatchWithdrawn, LoadDue),
    collections=(LOADS,),
    foreign_origin=Origin.DESTINATION,
    priority=30,
    timers=(LOADS,),
)
