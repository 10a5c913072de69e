"""The system's clock and the tests' own under the suite."""

import time

import pytest

from shared.adapters.local.clock import SystemClock
from shared.ports.clock import Clock
from tests.conformance.clock_suite import ClockSuite
from tests.conformance.turned_clock import TurnedClock


class TestSystemClock(ClockSuite):
    """Real time."""

    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    def test_it_is_the_systems(self, clock: Clock) -> None:
        assert abs(clock.now() - time.time() * 1_000_000) < 2_000_000
        clock.sleep(-1.0)


class TestTurnedClock(ClockSuite):
    """A fake is an adapter under the same suite."""

    @pytest.fixture
    def clock(self) -> Clock:
        return TurnedClock()
