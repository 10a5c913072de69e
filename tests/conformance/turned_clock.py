"""A clock that stands still until it is turned."""

START = 1_700_000_000_000_000


class TurnedClock:
    """Time passes by ``sleep`` alone."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START) / 1_000_000

    def sleep(self, seconds: float) -> None:
        self.time += int(seconds * 1_000_000)
