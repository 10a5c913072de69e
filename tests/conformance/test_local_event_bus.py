"""The SQLite bus under the suite, with processes that share it and processes that die."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shared.adapters.local.clock import SystemClock
from shared.adapters.local.event_bus import SqliteEventBus
from shared.adapters.local.store_file import StoreFile
from shared.ports.clock import Clock
from shared.ports.event_bus import EventBus, Message
from tests.conformance.event_bus_suite import A, EventBusSuite, OrderingKeysSuite
from tests.conformance.turned_clock import TurnedClock

ROOT = Path(__file__).resolve().parents[2]


class TestSqliteEventBus(EventBusSuite, OrderingKeysSuite):
    """No known differences."""

    @pytest.fixture
    def clock(self) -> Clock:
        return TurnedClock()

    @pytest.fixture
    def bus(self, tmp_path: Path, clock: Clock) -> EventBus:
        return SqliteEventBus(StoreFile(tmp_path), clock)

    def test_a_bus_opened_again_has_everything(self, bus: EventBus, clock: Clock, tmp_path: Path) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", b"1", {"k": "v"}, "key"), Message("orders", b"2", {}, "key")])
        [delivery] = bus.pull([A.name], 10, 5.0)
        again = SqliteEventBus(StoreFile(tmp_path), clock)
        assert again.pull([A.name], 10, 5.0) == []
        again.ack(delivery)
        [second] = again.pull([A.name], 10, 5.0)
        assert (second.data, second.ordering_key, second.subscription) == (b"2", "key", A)


def _take_all(root: Path, taken: "multiprocessing.Queue[list[str]]") -> None:
    bus = SqliteEventBus(StoreFile(root), SystemClock())
    mine: list[str] = []
    while deliveries := bus.pull([A.name], 7, 60.0):
        for delivery in deliveries:
            mine.append(delivery.message_id)
            bus.ack(delivery)
    taken.put(mine)


@pytest.mark.slow
def test_processes_share_the_work_without_taking_anything_twice(tmp_path: Path) -> None:
    bus = SqliteEventBus(StoreFile(tmp_path), SystemClock())
    bus.subscribe([A])
    ids = bus.publish([Message("orders", b"x", {}) for _ in range(600)])
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    processes = [context.Process(target=_take_all, args=(tmp_path, taken)) for _ in range(3)]
    for process in processes:
        process.start()
    parts = [taken.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert sorted(each for part in parts for each in part) == sorted(ids)


def test_threads_publish_and_take_at_once(tmp_path: Path) -> None:
    bus = SqliteEventBus(StoreFile(tmp_path), SystemClock())
    bus.subscribe([A])
    taken: list[bytes] = []

    def publish(name: int) -> None:
        for n in range(40):
            bus.publish([Message("orders", f"{name}-{n}".encode(), {})])

    def take() -> None:
        deadline = time.monotonic() + 30
        while len(taken) < 160 and time.monotonic() < deadline:
            for delivery in bus.pull([A.name], 5, 60.0):
                taken.append(delivery.data)
                bus.ack(delivery)

    threads = [threading.Thread(target=publish, args=(name,)) for name in range(4)]
    threads += [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == sorted(f"{name}-{n}".encode() for name in range(4) for n in range(40))


PUBLISHER = """
import sys
from pathlib import Path
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.event_bus import SqliteEventBus
from shared.adapters.local.store_file import StoreFile
from shared.ports.event_bus import Message

bus = SqliteEventBus(StoreFile(Path(sys.argv[1])), SystemClock())
for group in range(100_000):
    bus.publish([Message("orders", f"{group}-{n}".encode() + b"x" * 2_000, {}) for n in range(50)])
    print(group, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.003, 0.017])
def test_a_publisher_killed_in_the_middle_leaves_all_or_none(tmp_path: Path, delay: float) -> None:
    """Method: a real process, SIGKILL while it publishes groups of 50; what it was told is stored must be there."""
    bus = SqliteEventBus(StoreFile(tmp_path), SystemClock())
    bus.subscribe([A])
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert publisher.stdout is not None
    for _ in range(5):
        publisher.stdout.readline()
    time.sleep(delay)
    publisher.send_signal(signal.SIGKILL)
    told = [5 - 1, *map(int, publisher.stdout.read().split())][-1]
    publisher.wait(30)

    groups: dict[str, int] = {}
    while deliveries := bus.pull([A.name], 1_000, 60.0):
        for delivery in deliveries:
            group = delivery.data.rstrip(b"x").decode().split("-")[0]
            groups[group] = groups.get(group, 0) + 1
            bus.ack(delivery)
    assert set(groups.values()) == {50}
    assert told + 1 <= len(groups) <= told + 2
    assert StoreFile(tmp_path).problems() == []
