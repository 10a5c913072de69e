"""What must hold at every moment, looked at as it happens: at each commit, message, load and after each step."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mend.services import every_service
from shared.ports.event_bus import DEAD_LETTER_TOPIC, REQUESTS_TOPIC, SIGNALS_TOPIC, Message
from shared.ports.state_store import Delete, Put
from shared.ports.warehouse import LoadJob
from shared.runtime.handling import FAILURES_MAX
from shared.runtime.logs import LogLine
from tests.simulation.caps import beyond
from tests.simulation.project import MARK, ORPHAN

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

UNTYPED = (DEAD_LETTER_TOPIC, REQUESTS_TOPIC, SIGNALS_TOPIC)
_MARKS = (MARK, str(ORPHAN))
_TEXTS = tuple(each.encode() for each in _MARKS)
_PACKED = (*_TEXTS, struct.pack("<i", ORPHAN))  # as a document may hold them
_OWNER = {collection: service.name for service in every_service() for collection in service.collections}
_PROBLEMS_MAX = 20
_SAME = ("time", "id", "traceparent")


def shows_a_cell(text: str) -> bool:
    """Whether a text has a marked cell's value in it."""
    return any(each in text for each in _MARKS)


def _holds(content: bytes, marks: tuple[bytes, ...]) -> bool:
    return any(each in content for each in marks)


class Watch:
    """The ports as everybody uses them, with an eye on each of their effects."""

    def __init__(self, simulation: Simulation) -> None:
        self.problems: list[str] = []
        self.store = _WatchedStore(simulation, self)
        self.bus = _WatchedBus(simulation, self)
        self.warehouse = _WatchedWarehouse(simulation, self)
        self._simulation = simulation
        self._touched: set[str] = set()
        self._failures: Counter[tuple[str, str]] = Counter()
        simulation.log.note = self.noted  # type: ignore[method-assign]

    def say(self, problem: str) -> None:
        """Something is wrong, now."""
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(problem)

    def logged(self, line: LogLine) -> None:
        """No log line holds a cell's value, and nothing is tried for ever."""
        if shows_a_cell(line.about) or shows_a_cell(line.event):
            self.say(f"values: a cell's value in a log line of {line.service}")
        if line.outcome == "foreign":
            self._simulation.foreign[line.service] += 1
        if line.outcome in ("unforeseen", "terminal"):
            self._failures[line.service, line.event_id] += 1
            if self._failures[line.service, line.event_id] > FAILURES_MAX:
                self.say(f"patience: {line.service} failed too often at {line.event} {line.event_id}")

    def changed(self, write: Put | Delete) -> None:
        """Remember what a step has changed."""
        if isinstance(write, Put) and write.collection in ("loads", "verdicts", "healings"):
            batch = write.data.get("batch_id")
            if batch:
                self._touched.add(str(batch))

    def after_step(self) -> None:
        """No row of a batch that this step touched is in two places."""
        from tests.simulation.judge import Judge

        if not self._touched:
            return
        judge = Judge(self._simulation)
        for batch in sorted(self._touched & set(judge.deliveries)):
            judge.places_of(batch)
        for problem in judge.problems:
            self.say(f"conservation: {problem}")
        self._touched.clear()

    def decided(self, key: str, remedy: Mapping[str, Any]) -> None:
        """The policy holds for what it let run."""
        for problem in beyond(self._simulation, key, remedy):
            self.say(problem)

    def noted(self, kind: str, service: str, message: str) -> None:
        """Nor does a note in the log hold a cell's value."""
        if shows_a_cell(message):
            self.say(f"values: a cell's value in a note ({kind}) of {service}")


class _WatchedStore:
    """One collection, one writer; no cell's value in a document."""

    def __init__(self, simulation: Simulation, watch: Watch) -> None:
        self._inner = simulation.store
        self._watch = watch
        self.limits = simulation.store.limits
        self.get = simulation.store.get
        self.query = simulation.store.query

    def commit(self, writes: Sequence[Put | Delete], expect: Sequence[Any] = ()) -> None:
        self._inner.commit(writes, expect)
        service = next((each.key.partition(":")[0] for each in writes if each.collection == "receipts"), "")
        if not service:
            self._watch.say(f"receipt: {sorted({each.collection for each in writes})} committed without a receipt")
        for write in writes:
            if write.collection != "receipts" and _OWNER.get(write.collection) != service:
                self._watch.say(f"owner: {service or 'somebody'} wrote {write.collection}")
            told = isinstance(write, Put) and _holds(self._inner.packed(write.collection, write.key), _PACKED)
            if told and shows_a_cell(repr(write.data)):  # and not by chance, in the bytes of a number
                self._watch.say(f"values: a cell's value in document {write.collection}/{write.key[:40]}")
            self._watch.changed(write)
            if isinstance(write, Put) and write.collection == "remedies":
                self._watch.decided(write.key, write.data)


class _WatchedBus:
    """No cell's value in a message; an event that says the same of the same cause has the same id."""

    def __init__(self, simulation: Simulation, watch: Watch) -> None:
        self._inner = simulation.bus
        self._watch = watch
        self._said: dict[tuple[str, str, str], str] = {}
        for name in ("subscribe", "pull", "busy", "ack", "nack", "next_due", "under_way"):
            setattr(self, name, getattr(simulation.bus, name))

    @property
    def limits(self) -> Any:
        return self._inner.limits

    def publish(self, messages: Sequence[Message]) -> list[str]:
        for message in messages:
            if _holds(message.data, _TEXTS) or any(map(shows_a_cell, message.attributes.values())):
                self._watch.say(f"values: a cell's value in a message of {message.topic}")
            self._check_id(message)
        return self._inner.publish(messages)

    def _check_id(self, message: Message) -> None:
        if "ce-id" not in message.attributes or message.topic in UNTYPED:
            return
        fields = json.loads(message.data)
        if not fields["causation_id"]:
            return
        text = repr([value for name, value in fields.items() if name not in _SAME])
        place = (message.topic, fields["causation_id"], text)
        known = self._said.setdefault(place, fields["id"])
        if known != fields["id"]:
            self._watch.say(f"ids: {message.topic} says the same of the same cause under two ids")


class _WatchedWarehouse:
    """No row is visible before its quarantine is written; no job has an effect twice, and none brings other files the
    next time; where rows are only added, one job brings an attempt."""

    def __init__(self, simulation: Simulation, watch: Watch) -> None:
        self._inner = simulation.warehouse
        self._simulation = simulation
        self._watch = watch
        self._done: dict[str, LoadJob] = {}
        self._asked: dict[str, frozenset[str]] = {}  # by job: its files
        self._brought: dict[str, str] = {}  # by file of rows to add: the job that brought it

    def __getattr__(self, method: str) -> Any:
        return getattr(self._inner, method)

    def run(self, job: LoadJob) -> Any:
        for file in job.files:
            self._check_quarantine(file)
        before = self._inner.describe(job.table)
        result = self._inner.run(job)
        known = self._done.get(job.job_id)
        if known is not None and before is not None:
            after = self._inner.describe(job.table)
            if after is not None and after.rows != before.rows:
                self._watch.say(f"twice: job {job.job_id} changed {job.table} again")
        self._done[job.job_id] = job
        self._check_files(job, repeated=result.repeated)
        return result

    def _check_files(self, job: LoadJob, *, repeated: bool) -> None:
        if not job.files:
            return
        if self._asked.setdefault(job.job_id, frozenset(job.files)) != frozenset(job.files):
            self._watch.say(f"fixed: job {job.job_id} brings other files than before")
        for file in job.files if job.mode == "append" and not repeated else ():
            known = self._brought.setdefault(file, job.job_id)
            if known != job.job_id:
                self._watch.say(f"alone: {file} was brought by {known} and {job.job_id}")

    def _check_quarantine(self, file: str) -> None:
        parts = file.split("/")
        if len(parts) < 3 or parts[0] not in ("passed", "loaded"):
            return
        verdict = self._simulation.store.documents("verdicts").get(f"{parts[1]}:{int(parts[2][1:])}")
        if verdict is None:
            self._watch.say(f"release: {file} is loaded without a verdict")
            return
        for path in verdict["quarantine_parts"]:
            if self._simulation.objects.stat(path) is None:
                self._watch.say(f"release: {file} is loaded, and {path} is not written")
