"""Attempts that wait for one table: a warehouse that takes nothing for a while, the clock that calls, what follows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.domain.errors import ForeignFailure, WarehouseBusy
from shared.events.codec import decode, topic_of
from shared.events.types import BatchValidated, ClockTicked, LoadDue
from shared.ports.event_bus import Subscription
from shared.ports.warehouse import OVER_QUOTA, JobResult, LoadJob
from shared.runtime.handling import Outcome
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.unit.load.world import LoadWorld, Row

DUE = topic_of(LoadDue)


def busy() -> Exception:
    return WarehouseBusy("not now")


def over_quota() -> Exception:
    return ForeignFailure("too many jobs", system="bigquery", reason=OVER_QUOTA)


def refused() -> Exception:
    return ForeignFailure("no", system="bigquery", reason="invalid")


class Warehouse:
    """The warehouse, which refuses jobs that bring rows (of these batches; of all when none is named)."""

    def __init__(self, inner: Any, error: Callable[[], Exception] | None = None, batches: Collection[str] = ()) -> None:
        self._inner, self._error, self._batches = inner, error, batches
        self.jobs: list[LoadJob] = []  # that brought rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, job: LoadJob) -> JobResult:
        of_these = not self._batches or any(file.split("/")[1] in self._batches for file in job.files)
        if self._error is not None and job.files and of_these:
            raise self._error()
        result: JobResult = self._inner.run(job)
        if job.files and not result.repeated:
            self.jobs.append(job)
        return result


class Waiters(LoadWorld):
    """A world in which loads wait."""

    def __init__(self, folder: Path, mode: str = "append", **about: Any) -> None:
        super().__init__(folder, mode, **about)
        self.clock: Any = self.process.clock
        assert isinstance(self.clock, TurnedClock)
        self.process.bus.subscribe([Subscription("due", DUE, "watch")])
        self.ticks = 0
        self._again: list[LoadDue] = []

    def with_warehouse(self, error: Callable[[], Exception] | None = None, *batches: str) -> Process:
        named = [f"{self.prefix}{batch}" for batch in batches]
        return replace(self.process, warehouse=Warehouse(self.process.warehouse, error, named))

    def put_by(self, batch: str, rows: list[Row], **about: Any) -> BatchValidated:
        """The attempt's load was refused for now."""
        event = self.validated(batch, rows, **about)
        assert self.deliver(event, self.with_warehouse(busy)).outcome == "handled"
        return event

    def tick(self) -> ClockTicked:
        """A minute later."""
        self.clock.sleep(60.0)
        self.ticks += 1
        return ClockTicked(id=f"tick {self.ticks}", time=self.clock.now(), subject="clock", correlation_id="t")

    def load_due(self, process: Process | None = None) -> None:
        """The groups that were called are loaded; one whose worker dies comes again later."""
        for event in self.due():
            if not self.deliver(event, process).acknowledge:
                self._again.append(event)

    def due(self) -> list[LoadDue]:
        """The groups that were called and that nobody has been handed yet."""
        found = self.process.bus.pull(["due"], 100, 60)
        for each in found:
            self.process.bus.ack(each)
        events = [decode(each.data, each.attributes) for each in found]
        return [each for each in events if isinstance(each, LoadDue)]

    def called(self) -> LoadDue:
        """The one group that the clock calls."""
        self.deliver(self.tick())
        (event,) = self.due()
        return event

    def retried(self, event: Any, process: Process | None = None) -> Outcome:
        """Delivered until it is acknowledged."""
        for _ in range(20):
            outcome = self.deliver(event, process)
            if outcome.acknowledge:
                return outcome
        raise AssertionError(f"{event.TYPE} is not acknowledged")

    def come_to_rest(self) -> None:
        """Whatever is called is done, and the clock goes on."""
        for _ in range(6):
            again, self._again = self._again, []
            for event in (*again, *self.due()):
                self.retried(event)
            self.deliver(self.tick())
        assert self.due() == []

    def waits(self, batch: str, attempt: int = 1) -> bool:
        stored = self.process.store.get("loads", f"{self.prefix}{batch}:{attempt}")
        return stored is not None and stored.data["kind"] == "waiting"
