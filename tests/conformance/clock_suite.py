"""What every clock does."""

import pytest

from shared.ports.clock import Clock


class ClockSuite:
    """Subclasses supply ``clock``."""

    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError

    def test_now_is_microseconds_of_this_age(self, clock: Clock) -> None:
        assert isinstance(clock.now(), int)
        assert 1_600_000_000_000_000 < clock.now() < 4_000_000_000_000_000

    def test_sleep_lets_both_times_pass(self, clock: Clock) -> None:
        now, monotonic = clock.now(), clock.monotonic()
        clock.sleep(0.05)
        assert clock.monotonic() - monotonic >= 0.05
        assert clock.now() - now >= 49_000

    def test_no_time_is_no_error(self, clock: Clock) -> None:
        monotonic = clock.monotonic()
        clock.sleep(0.0)
        assert clock.monotonic() >= monotonic
