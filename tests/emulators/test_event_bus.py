"""Pub/Sub as a bus under the suite of the local one, with Google's emulator."""

import itertools
import time
from collections.abc import Sequence
from typing import ClassVar

import pytest

from shared.adapters.gcp.event_bus import LIMITS, PubsubEventBus
from shared.ports.clock import Clock
from shared.ports.event_bus import DEAD_LETTER_TOPIC, Delivery, EventBus, Subscription
from tests.conformance.event_bus_suite import LEASE, BusFixtures, EventBusSuite, OrderingKeysSuite
from tests.emulators.running import Emulators

HASTE = 5.0  # Pub/Sub's deadlines are real seconds: the suite's are made shorter by so much
SETTLING_SECONDS = 0.1  # the emulator hands out again a little after the deadline
projects = itertools.count(1)


class HastyClock:
    """Real time in which a second of the suite is a fifth of one."""

    def now(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / HASTE)


class HastyBus(PubsubEventBus):
    """The adapter, with leases and delays made shorter."""

    def pull(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        return super().pull(subscriptions, messages_max, lease_seconds / HASTE)

    def nack(self, delivery: Delivery, delay_seconds: float) -> None:
        super().nack(delivery, delay_seconds / HASTE)


class HastyFixtures(BusFixtures):
    """A project of its own for each test; five attempts instead of twenty, the fewest that Pub/Sub takes."""

    ordered: ClassVar[bool] = False
    knows_next_due: ClassVar[bool] = False
    keeps_order: ClassVar[bool] = False

    @pytest.fixture
    def clock(self) -> Clock:
        return HastyClock()

    @pytest.fixture
    def bus(self, emulators: Emulators) -> EventBus:
        limits = LIMITS._replace(deliveries_max=5)
        project = f"bus-{next(projects)}"
        bus = HastyBus(project, emulator=emulators.pubsub, limits=limits, ordered=self.ordered)
        topics = ("orders", "other", DEAD_LETTER_TOPIC)  # as a deployment makes them
        bus.subscribe([Subscription(f"ops.{topic}", topic, "ops") for topic in topics])
        return bus

    def pull(self, bus: EventBus, names: Sequence[str], count: int = 100) -> list[Delivery]:
        found = bus.pull(names, count, LEASE)
        if not found:
            time.sleep(SETTLING_SECONDS)
            found = bus.pull(names, count, LEASE)
        return found


class TestPubsubEventBus(HastyFixtures, EventBusSuite):
    """Without ordering: the emulator's queues that keep order fail when a message becomes a dead letter."""


class TestOrderedPubsubEventBus(HastyFixtures, OrderingKeysSuite):
    """The service promises both of what the emulator lacks."""

    ordered: ClassVar[bool] = True
    keeps_keys_after_refusal: ClassVar[bool] = False
    buries_with_keys: ClassVar[bool] = False
