"""The simulated ports under the suites that the real ones pass."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from shared.ports.channel import Channel
from shared.ports.clock import Clock
from shared.ports.definitions import Definitions
from shared.ports.event_bus import EventBus
from shared.ports.ids import Ids
from shared.ports.object_store import ObjectStore
from shared.ports.source import Source
from shared.ports.state_store import StateStore
from tests.conformance.channel_suite import ChannelSuite
from tests.conformance.clock_suite import ClockSuite
from tests.conformance.definitions_suite import DefinitionsSuite
from tests.conformance.event_bus_suite import EventBusSuite, OrderingKeysSuite
from tests.conformance.ids_suite import IdsSuite
from tests.conformance.object_store_suite import ObjectStoreSuite
from tests.conformance.source_suite import SourceSuite
from tests.conformance.state_store_suite import StateStoreSuite
from tests.conformance.turned_clock import TurnedClock
from tests.simulation.event_bus import SimulatedEventBus
from tests.simulation.object_store import SimulatedObjectStore
from tests.simulation.outside import File, SeededIds, SimulatedChannel, SimulatedDefinitions, SimulatedSource
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


class TestTurnedClock(ClockSuite):
    """The clock of every simulated world; no known differences."""

    @pytest.fixture
    def clock(self) -> Clock:
        return TurnedClock()


class TestSimulatedSource(SourceSuite):
    """No known differences."""

    system = "files"

    @pytest.fixture
    def source(self) -> Source:
        return SimulatedSource()

    @pytest.fixture
    def deliver(self, source: Source) -> Callable[[str, bytes], str]:
        assert isinstance(source, SimulatedSource)

        def put(name: str, content: bytes) -> str:
            source.files[f"landing/{name}"] = File(content, 1_700_000_000_000_000_000)
            return f"landing/{name}"

        return put


class TestSimulatedChannel(ChannelSuite):
    """No known differences."""

    @pytest.fixture
    def channel(self) -> Channel:
        return SimulatedChannel("jsonl")

    @pytest.fixture
    def broken_channel(self) -> Channel:
        return SimulatedChannel("jsonl", takes=False)

    def shown(self, channel: Channel) -> str:
        assert isinstance(channel, SimulatedChannel)
        notice = channel.notices[-1]._asdict()
        return "\n".join([*map(str, notice.values()), *(f"{name} {value}" for name, value in notice["facts"])])


class TestSimulatedDefinitions(DefinitionsSuite):
    """No known differences."""

    @pytest.fixture
    def definitions(self) -> Definitions:
        return SimulatedDefinitions({})

    @pytest.fixture
    def place(self, definitions: Definitions) -> Callable[[str, bytes], None]:
        assert isinstance(definitions, SimulatedDefinitions)
        return definitions.put


class TestSeededIds(IdsSuite):
    """No known differences."""

    @pytest.fixture
    def ids(self) -> Ids:
        return SeededIds(random.Random(7))
