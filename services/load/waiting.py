"""Attempts that wait because the warehouse took no load of theirs for now, and the groups that share a job.

An attempt that waits has a document, which is the load's own: whoever hears of the attempt again leaves it alone. When
its time has come it is claimed together with the others that wait for the table. A group never changes: who belongs to
it stands in the event that calls it, its id is made of its members, and the id of its job of that. A member leaves it
by being loaded or withdrawn, or with all the others for another group, once the group's job can never be done any more.

Only rows that are added share a job. They replace nothing, so that a member's withdrawal is the removal of its rows;
and the rows themselves say whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from services.load.manifest import Manifest
from services.load.recorded import key_of
from services.load.table_rows import TableRows
from services.load.withdrawn import LOADS
from shared.domain import ids
from shared.domain.errors import ForeignFailure, MendError, WarehouseBusy
from shared.events.types import BatchValidated, Event, LoadDue
from shared.ports.ports import Ports
from shared.ports.state import State
from shared.ports.state_store import Document, Where
from shared.ports.warehouse import OVER_QUOTA, Layout, TableColumn

KIND: Final = "waiting"
TOGETHER_MICROSECONDS: Final = 20_000_000  # those that begin to wait within so long are called together
CALLED_MAX: Final = 300  # members that one tick calls, each a document to write; in the cloud it ticks once a minute
CALLS_MAX: Final = 80  # groups, each an event
MEMBERS_MAX: Final = 40  # of a group; each may cost its job a second
BYTES_MAX: Final = 2_000_000_000  # of a group's files


class Waiting(NamedTuple):
    """An attempt that waits, with all that its load needs; no pipeline's file is read again for it."""

    event: BatchValidated
    written: Manifest
    columns: tuple[TableColumn, ...]
    layout: Layout
    rows_discarded: int
    bytes: int
    group: str  # "" = not claimed yet

    @property
    def key(self) -> str:
        """Of its document."""
        return key_of(self.event.batch_id, self.event.attempt)

    @property
    def alike(self) -> str:
        """Equal for those that one job can bring: of one table, with the same columns."""
        layout = (self.layout.partition_by, *self.layout.cluster_by)
        return ids.derive(self.written.table, *(f"{each}" for each in (*self.columns, *layout)))


def may_wait(error: MendError, written: Manifest) -> bool:
    """Whether a load that failed so waits for others: the warehouse has had its number of jobs, for now or today.

    One that is out of reach is told again by the bus: no number of jobs is what it lacks.
    """
    for_now = isinstance(error, WarehouseBusy)
    for_now = for_now or (isinstance(error, ForeignFailure) and error.reason == OVER_QUOTA)
    return for_now and written.mode == "append" and written.rows > 0


def put_by(event: BatchValidated, written: Manifest, rows: TableRows, layout: Layout, ports: Ports) -> None:
    """Let the attempt wait. Its own job may have been done, or be under way: who loads it looks."""
    found = [ports.objects.stat(file) for file in rows.files]
    size = sum(info.bytes for info in found if info is not None)
    begun = ports.clock.now()
    document = {
        "kind": KIND,
        "batch_id": event.batch_id,
        "pipeline": event.pipeline,
        "attempt": event.attempt,
        "reading": event.reading,
        "table": written.table,
        "event_json": event.model_dump_json(),
        "manifest": {**written._asdict(), "keys": list(written.keys), "files": list(written.files)},
        "columns": [list(each) for each in rows.columns],
        "layout": [layout.partition_by, *layout.cluster_by],
        "rows_discarded": rows.rows_discarded,
        "bytes": size,
        "group": "",
        # A moment that all who wait in these seconds share.
        "wake_at": (begun // TOGETHER_MICROSECONDS + 1) * TOGETHER_MICROSECONDS,
    }
    ports.state.put(LOADS, key_of(event.batch_id, event.attempt), document)


def found(key: str, state: State) -> Waiting | None:
    """The attempt if it waits; protected against change until the handler's commit."""
    document = state.get(LOADS, key)
    return _waiting(document) if document is not None and document["kind"] == KIND else None


def called_by_clock(tick: Event, ports: Ports) -> list[Event]:
    """Those whose time has come are claimed, in groups that can share a job."""
    due = (Where("wake_at", ">", 0), Where("wake_at", "<=", ports.clock.now()))
    keys = [each.key for each in ports.state.query(LOADS, due, order_by="wake_at", limit=CALLED_MAX)]
    alike: dict[str, list[Waiting]] = {}
    for key in keys:
        waits = found(key, ports.state)  # not as the query saw it: so nobody else claims it meanwhile
        if waits is not None and not waits.group:
            alike.setdefault(waits.alike, []).append(waits)
    groups = [(members, each) for each in alike for members in _bounded(alike[each])]
    return [claim(members, each, tick, ports) for members, each in groups[:CALLS_MAX]]


def group_id(after: str, members: Sequence[Waiting]) -> str:
    """Of these members and no others."""
    return ids.derive(after, *(each.key for each in members))


def claim(members: Sequence[Waiting], after: str, cause: Event, ports: Ports) -> LoadDue:
    """A group of these members. ``after``: the group that they were in, whose job is never done, so that it is new."""
    group = group_id(after, members)
    for each in members:
        document = ports.state.get(LOADS, each.key) or {}
        ports.state.put(LOADS, each.key, {**document, "group": group, "wake_at": 0})
    first = members[0].event
    about: dict[str, Any] = {"subject": members[0].written.table}
    if len(members) == 1:
        about = {
            "subject": first.batch_id,
            "batch_id": first.batch_id,
            "attempt": first.attempt,
            "reading": first.reading,
        }
    return LoadDue.caused_by(
        cause,
        group,
        ports.clock.now(),
        **about,
        pipeline=first.pipeline,
        table=members[0].written.table,
        group=group,
        members=[each.key for each in members],
    )


def _bounded(members: Sequence[Waiting]) -> list[list[Waiting]]:
    groups: list[list[Waiting]] = [[]]
    size = 0
    for each in members:
        if groups[-1] and (len(groups[-1]) == MEMBERS_MAX or size + each.bytes > BYTES_MAX):
            groups.append([])
            size = 0
        groups[-1].append(each)
        size += each.bytes
    return groups


def _waiting(document: Document) -> Waiting:
    fields = document["manifest"]
    partition_by, *cluster_by = document["layout"]
    return Waiting(
        event=BatchValidated.model_validate_json(document["event_json"]),
        written=Manifest(**{**fields, "keys": tuple(fields["keys"]), "files": tuple(fields["files"])}),
        columns=tuple(TableColumn(*each) for each in document["columns"]),
        layout=Layout(partition_by, tuple(cluster_by)),
        rows_discarded=int(document["rows_discarded"]),
        bytes=int(document["bytes"]),
        group=str(document["group"]),
    )
