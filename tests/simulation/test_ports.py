"""The simulated ports under the suites that the real ones pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.ports.clock import Clock
from shared.ports.event_bus import EventBus
from shared.ports.object_store import ObjectStore
from shared.ports.state_store import StateStore
from tests.conformance.event_bus_suite import EventBusSuite, OrderingKeysSuite
from tests.conformance.object_store_suite import ObjectStoreSuite
from tests.conformance.state_store_suite import StateStoreSuite
from tests.conformance.turned_clock import TurnedClock
from tests.simulation.event_bus import SimulatedEventBus
from tests.simulation.object_store import SimulatedObjectStore
from tests.simulation.state_store import SimulatedStateStore


class TestSimulatedEventBus(EventBusSuite, OrderingKeysSuite):
    """No known differences."""

    @pytest.fixture
    def clock(self) -> Clock:
        return TurnedClock()

    @pytest.fixture
    def bus(self, clock: Clock) -> EventBus:
        return SimulatedEventBus(clock)


class TestSimulatedStateStore(StateStoreSuite):
    """No known differences."""

    @pytest.fixture
    def open_store(self) -> Callable[[], StateStore]:
        store = SimulatedStateStore()
        return lambda: store


class TestSimulatedObjectStore(ObjectStoreSuite):
    """No known differences."""

    @pytest.fixture
    def open_store(self) -> Callable[[], ObjectStore]:
        store = SimulatedObjectStore()
        return lambda: store
