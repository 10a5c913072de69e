"""Goal: deliveries are worked off by urgency, timers ring and keep nobody busy, and a dead worker's work goes on.

Method: small services on the real bus with a clock that the test turns; and real processes, one of them killed.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.errors import StoreUnavailable
from shared.events.codec import topic_of
from shared.events.types import (
    BatchHeld,
    ClockTicked,
    Event,
    IncidentOpened,
    RetryRequested,
    SourceDue,
    SourceReread,
)
from shared.ports.event_bus import Delivery, Message
from shared.ports.ports import Ports
from shared.ports.state_store import Put
from shared.runtime.handling import messages_of
from shared.runtime.service import Service
from shared.runtime.wiring import Process
from shared.runtime.worker import GROUP_MAX, Worker
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process, seen, watch
from tests.unit.runtime import worker_process

Body = Callable[[Any, Ports], Sequence[Event]]
SECOND = 1_000_000


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def process(tmp_path: Path, clock: TurnedClock) -> Process:
    return make_process(tmp_path, clock)


def due(uri: str = "u", pipeline: str = "p") -> SourceDue:
    return SourceDue(id=f"due {uri}", time=1, subject="s", correlation_id="c", pipeline=pipeline, uri=uri)


def publish(process: Process, *events: Event) -> None:
    process.bus.publish(messages_of("test", events))


def nothing(event: Event, ports: Ports) -> Sequence[Event]:
    return []


# ── order ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_is_finished_before_the_next_begins(process: Process) -> None:
    order: list[str] = []

    def told(name: str) -> Body:
        def body(event: Event, ports: Ports) -> Sequence[Event]:
            order.append(f"{name} {event.TYPE}")
            return []

        return body

    first = Service(
        name="first",
        handlers={SourceDue: told("first"), SourceReread: told("first")},
        collections=(),
        priority=50,
        urgent=(SourceReread,),
    )
    last = Service(name="last", handlers={BatchHeld: told("last")}, collections=(), priority=10)
    worker = process.worker([first, last])
    head: dict[str, Any] = {"time": 1, "subject": "s", "correlation_id": "c"}
    publish(
        process,
        due("1"),
        due("2"),
        BatchHeld(id="h", **head, batch_id="b", pipeline="p", attempt=1, reason="r", rows=0),
        SourceReread(id="r", **head, pipeline="p", remedy_id="r", batch_id="b"),
        RetryRequested(id="x", **head, remedy_id="r", service="nobody", event_id="e", event_topic="t"),
    )
    worker.run_until_idle(0.0)
    assert order == ["first source.reread.v1", "last batch.held.v1", "first source.due.v1", "first source.due.v1"]


# ── timers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Alarms:
    """A service with timers; ``cleared`` says which of those that rang it clears."""

    def __init__(self, process: Process, cleared: Callable[[str], bool] = lambda key: True) -> None:
        self.ticks: list[int] = []
        self.process = process
        self._cleared = cleared
        self.worker: Worker = process.worker(
            [Service(name="alarms", handlers={ClockTicked: self._ring}, collections=("alarms",), timers=("alarms",))]
        )

    def _ring(self, event: ClockTicked, ports: Ports) -> Sequence[Event]:
        self.ticks.append(ports.clock.now())
        for stored in ports.state.query("alarms"):
            if 0 < stored.data["wake_at"] <= ports.clock.now() and self._cleared(stored.key):
                ports.state.put("alarms", stored.key, {"wake_at": 0})
        return []

    def set(self, key: str, wake_at: int) -> None:
        self.process.store.commit([Put("alarms", key, {"wake_at": wake_at})])


def test_a_timer_rings_when_it_is_due(process: Process, clock: TurnedClock) -> None:
    alarms = Alarms(process)
    start = clock.now()
    alarms.set("a", start + 5 * SECOND)
    alarms.set("none", 0)
    assert alarms.worker.next_due() == start + 5 * SECOND
    alarms.worker.run_until_idle(1.0)
    assert (alarms.ticks, clock.now()) == ([], start)
    alarms.worker.run_until_idle(10.0)
    assert len(alarms.ticks) == 1
    assert alarms.ticks[0] >= start + 5 * SECOND
    assert alarms.worker.next_due() is None


def test_timers_that_ring_together_need_one_tick(process: Process, clock: TurnedClock) -> None:
    alarms = Alarms(process)
    for number in range(20):
        alarms.set(str(number), clock.now() + number)
    clock.time += SECOND
    alarms.worker.run_until_idle(0.0)
    assert len(alarms.ticks) == 1


def test_a_timer_that_is_set_anew_rings_again(process: Process, clock: TurnedClock) -> None:
    alarms = Alarms(process)
    for _ in range(3):
        alarms.set("a", clock.now() - 1)
        alarms.worker.run_until_idle(0.0)
        clock.time += 1_000
    assert len(alarms.ticks) == 3


def test_a_timer_that_is_not_cleared_keeps_nobody_busy(process: Process, clock: TurnedClock) -> None:
    alarms = Alarms(process, cleared=lambda key: key != "forgotten")
    start = clock.now()
    alarms.set("forgotten", start)
    alarms.set("later", start + 5 * SECOND)
    alarms.worker.run_until_idle(30.0, stopped=lambda: len(alarms.ticks) > 100)
    assert len(alarms.ticks) < 10
    assert any(start + 5 * SECOND <= tick < start + 6 * SECOND for tick in alarms.ticks), "the other one is not late"
    assert clock.now() - start < 120 * SECOND
    assert process.store.query("alarms")[1].data["wake_at"] == 0


def test_a_worker_that_runs_for_ever_is_idle_beside_a_forgotten_timer(process: Process, clock: TurnedClock) -> None:
    alarms = Alarms(process, cleared=lambda key: False)
    alarms.set("forgotten", clock.now())
    looks: list[int] = []
    alarms.worker.run(lambda: len(looks) >= 300 or len(alarms.ticks) > 100, lambda: looks.append(clock.now()))
    assert len(alarms.ticks) < 15
    assert looks[-1] - looks[0] >= 10 * SECOND, "a pause between two looks"


# ── waiting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def failing(times: int) -> tuple[Service, list[int]]:
    """A service whose handler fails for now a number of times."""
    calls: list[int] = []

    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        calls.append(ports.clock.now())
        if len(calls) <= times:
            raise StoreUnavailable("not now")
        return []

    return Service(name="box", handlers={SourceDue: body}, collections=()), calls


def test_a_backoff_that_is_near_is_waited_for(process: Process, clock: TurnedClock) -> None:
    service, calls = failing(3)
    worker = process.worker([service])
    publish(process, due())
    worker.run_until_idle(10.0)
    assert len(calls) == 4
    pauses = [later - earlier for earlier, later in itertools.pairwise(calls)]
    assert [round(pause / SECOND) for pause in pauses] == [1, 2, 4]
    assert worker.next_due() is None


def test_a_backoff_that_is_far_is_left_to_a_later_run(process: Process, clock: TurnedClock) -> None:
    service, calls = failing(99)
    worker = process.worker([service])
    publish(process, due())
    worker.run_until_idle(3.0)
    assert len(calls) == 3
    assert worker.next_due() is not None


def test_stopped_between_two_events(process: Process) -> None:
    service, calls = failing(0)
    worker = process.worker([service])
    publish(process, due("1"), due("2"))
    worker.run_until_idle(1.0, stopped=lambda: len(calls) == 1)
    assert len(calls) == 1


def test_bytes_that_are_no_event_while_the_store_says_no_come_again(process: Process) -> None:
    """Nothing that is sent may end a worker, whatever else goes wrong."""
    watch(process, [topic_of(IncidentOpened)])
    left = [2]

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(process.store, name)

        def commit(self, *arguments: Any) -> None:
            left[0] -= 1
            if left[0] >= 0:
                raise StoreUnavailable("the disk is full")
            process.store.commit(*arguments)

    worker = replace(process, store=Full()).worker([Service(name="box", handlers={SourceDue: nothing}, collections=())])
    process.bus.publish([Message(topic_of(SourceDue), b"junk", {"ce-type": "source.due.v1"})])
    worker.run_until_idle(10.0)
    assert left[0] < 0
    assert len(seen(process, [topic_of(IncidentOpened)])) == 1


# ── several processes ──────────────────────────────────────────────────────────────────────────────────────────────


def started(folder: Path) -> subprocess.Popen[str]:
    """Another process over the folder's store, ready to begin."""
    root = Path(__file__).resolve().parents[3]
    made = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.runtime.worker_process", str(folder)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


def go(made: subprocess.Popen[str]) -> None:
    assert made.stdin is not None
    made.stdin.write("\n")
    made.stdin.flush()


def test_two_processes_handle_every_event_once(tmp_path: Path) -> None:
    process = worker_process.process_of(tmp_path)
    watch(process, [topic_of(ClockTicked)])
    workers = [started(tmp_path) for _ in range(2)]
    publish(process, *(due(f"{number:03}", str(tmp_path)) for number in range(80)))
    for each in workers:
        go(each)
    assert [each.wait(timeout=60) for each in workers] == [0, 0]
    counted = [stored.data for stored in process.store.query("things")]
    assert [each["n"] for each in counted] == [1] * 80
    assert len({each["by"] for each in counted}) == 2, "both had their share"
    assert len({event.id for event in seen(process, [topic_of(ClockTicked)])}) == 80


def test_a_killed_process_holds_nothing_up(tmp_path: Path) -> None:
    """Its lease would last ten minutes; another process takes the event over at once."""
    process = worker_process.process_of(tmp_path)
    worker = process.worker([worker_process.SERVICE])
    publish(process, due(worker_process.HANGS, str(tmp_path)))
    victim = started(tmp_path)
    go(victim)
    deadline = time.monotonic() + 30
    while not (tmp_path / "hanging").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not worker.step(), "its holder is alive"
    victim.send_signal(signal.SIGKILL)
    victim.wait(timeout=10)
    before = time.monotonic()
    worker.run_until_idle(0.0)
    assert time.monotonic() - before < 5
    (counted,) = process.store.query("things")
    assert counted.data == {"n": 1, "by": str(os.getpid())}


# ── groups ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def grouping(process: Process, body: Body = nothing) -> tuple[Worker, list[int]]:
    """A worker, and how many deliveries lay handled but not acknowledged after each."""
    waiting: list[int] = []

    def counted(event: Event, ports: Ports) -> Sequence[Event]:
        found = body(event, ports)
        waiting.append(process.bus.under_way(["quick.mend-source-due-v1"]))
        return found

    return process.worker([Service(name="quick", handlers={SourceDue: counted}, collections=("seen",))]), waiting


def test_quick_deliveries_are_acknowledged_in_groups(process: Process) -> None:
    worker, waiting = grouping(process)
    publish(process, *(due(str(number)) for number in range(200)))
    turns = 0
    while worker.turn():
        turns += 1
    assert len(waiting) == 200
    assert turns <= 1 + 200 // GROUP_MAX + 1, "the first alone, until it is known to be quick"
    assert process.bus.under_way(worker.subscriptions) == 0


def test_nothing_is_acknowledged_before_it_is_on_the_disk(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit of a group is deferred; the transaction that acknowledges it is not."""
    told: list[str] = []
    worker, _ = grouping(process)
    acknowledge = process.bus.ack

    def ack(delivery: Delivery) -> None:
        told.append(f"ack {_synchronous(process)}")
        acknowledge(delivery)

    monkeypatch.setattr(process.bus, "ack", ack)
    publish(process, due("1"), due("2"))
    while worker.turn():
        told.append(f"handled {_synchronous(process)}")
    assert told == ["handled 1", "ack 2", "handled 1", "ack 2"]


def _synchronous(process: Process) -> int:
    """This thread's ``PRAGMA synchronous``: 1 NORMAL, 2 FULL."""
    with process.bus._store.reading() as connection:  # type: ignore[attr-defined]
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])


def test_one_that_comes_again_is_handled_alone(process: Process) -> None:
    worker, _ = grouping(process)
    publish(process, due("0"))
    assert worker.turn()
    publish(process, *(due(str(number)) for number in range(1, 5)))
    (first,) = process.bus.pull(worker.subscriptions, 1, 60)
    process.bus.nack(first, 0)
    assert worker.turn()
    assert process.bus.under_way(worker.subscriptions) == 4, "one of them handled, and its acknowledgement to come"
    while worker.turn():
        pass
    assert process.bus.under_way(worker.subscriptions) == 0


def test_a_group_whose_process_dies_is_handled_once(process: Process, clock: TurnedClock) -> None:
    counts: list[str] = []

    def body(event: SourceDue, ports: Ports) -> Sequence[Event]:
        counts.append(event.uri)
        return []

    first, _ = grouping(process, body)
    publish(process, *(due(str(number)) for number in range(10)))
    assert first.turn()
    assert first.turn()  # and no further turn: nothing of it is acknowledged
    clock.time += 3_600 * SECOND
    second, _ = grouping(process, body)
    while second.turn():
        pass
    assert sorted(counts) == sorted(str(number) for number in range(10))
    assert process.bus.under_way(second.subscriptions) == 0


def test_a_worker_that_stops_leaves_nothing_unacknowledged(process: Process) -> None:
    worker, waiting = grouping(process)
    publish(process, *(due(str(number)) for number in range(3)))
    worker.run(lambda: len(waiting) == 3, lambda: None)
    assert process.bus.under_way(worker.subscriptions) == 0
    assert process.bus.next_due(worker.subscriptions) is None
