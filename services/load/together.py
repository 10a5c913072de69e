"""One job for a group of attempts that waited; each of them is loaded once, whoever dies when.

An attempt's rows may come by its own job, which was refused or seemed to be, or by that of a group. Before the group's
job is run each member's own is settled: it was done, and the member stays out of the shared one, or it never will be.
Both are so for good, so that the files of a group's job are the same whenever and by whomever it is run. A group is
left for another one only after its own job was settled in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.load import jobs, manifest, recorded, waiting
from services.load.waiting import Waiting
from shared.domain.errors import ForeignFailure
from shared.events.types import Event, LoadDue
from shared.ports.ports import Ports
from shared.ports.warehouse import LoadJob


def load(event: LoadDue, ports: Ports) -> list[Event]:
    """Load the group. One that is refused is loaded one by one, so that only what is at fault fails."""
    members = [each for key in event.members if (each := waiting.found(key, ports.state)) and each.group == event.group]
    if not members:
        return []
    if len(members) < len(event.members):
        # The others were withdrawn, and the job with them unless it had been done.
        return _ended(members, event, _settled(members, event, ports), ports)
    try:
        done = _run(members, event, ports)
    except ForeignFailure:
        # Another delivery of this event may be doing the job at this moment, or have done it.
        done = _settled(members, event, ports)
        if not done and len(members) == 1:
            raise
        if not done:
            return [waiting.claim([each], event.group, event, ports) for each in members]
    return _ended(members, event, done, ports)


def _run(members: Sequence[Waiting], event: LoadDue, ports: Ports) -> bool:
    """Do the group's job; False when a withdrawal has made sure that nobody does.

    The manifests stay whatever happens: rows that are only added come back from none, and one that lacked here could
    be that of rows which the member's own job has brought.
    """
    first = members[0]
    ports.warehouse.plan_schema(first.written.table, first.columns, first.layout)
    for each in members:
        manifest.write(each.written, ports.objects)
    joint = [each for each in members if not _came_alone(each, ports)]
    if not joint:
        return True
    job = LoadJob(
        job_id=jobs.shared_id(event.group),
        table=first.written.table,
        mode="append",
        files=tuple(file for each in joint for file in each.written.files),
        columns=first.columns,
        keys=(),
        batch="",
        seq="",
        layout=first.layout,
    )
    return ports.warehouse.run(job).rows > 0


def _came_alone(member: Waiting, ports: Ports) -> bool:
    own = jobs.own_id(member.written.table, member.event.batch_id, member.event.attempt)
    return jobs.settled(own, member.written.table, member.layout, ports.warehouse) > 0


def _settled(members: Sequence[Waiting], event: LoadDue, ports: Ports) -> bool:
    """Whether the group's job was done; it never will be if it was not."""
    return jobs.settled(jobs.shared_id(event.group), event.table, members[0].layout, ports.warehouse) > 0


def _ended(members: Sequence[Waiting], event: LoadDue, done: bool, ports: Ports) -> list[Event]:
    """Those that are left are loaded, or are another group."""
    if not done:
        return [waiting.claim(members, event.group, event, ports)]
    return [recorded.loaded(each.event, each.written, each.rows_discarded, each.bytes, ports) for each in members]
