"""Ports that fail, die, repeat and shuffle under a seed, around the simulated ones."""

from __future__ import annotations

import dataclasses
import io
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, BinaryIO

from shared.domain.errors import (
    Conflict,
    ForeignFailure,
    ObjectsUnavailable,
    StoreUnavailable,
    WarehouseBusy,
    WarehouseUnavailable,
)
from shared.ports.channel import Channel, Notice
from shared.ports.event_bus import Delivery, Message
from shared.ports.warehouse import JobResult, LoadJob, TableInfo
from shared.runtime.wiring import Process
from tests.simulation.project import MARK
from tests.simulation.refusals import Refusals

# Methods that only look, do nothing outside, or belong to the worker's own bookkeeping.
_QUIET = frozenset({"close", "uri", "subscribe", "next_due", "leased", "under_way", "limits"})


_BUGS_STAY = 0.3
_QUOTES = f"planted: cannot read '{MARK}0n0e'"  # as libraries do, it quotes a cell, which nobody may pass on


class Died(BaseException):
    """The process is gone: nothing that it would still have done is done."""


class Trouble:
    """Decides at every call of a port whether something happens, and what; quiet when its strikes are used up.

    ``script`` (a list of strike numbers) lets only those strikes happen: a failing seed is made smaller that way.
    """

    def __init__(self, chance: random.Random, strikes: int, rate: float, script: frozenset[int] | None = None) -> None:
        self.chance = chance
        self.strikes = strikes
        self.rate = rate
        self.between: Callable[[], None] | None = None  # what another process does meanwhile
        self.told: list[str] = []
        self.tell: Callable[[str], None] = _nobody_listens
        self.at_work = ""  # on what, as far as the bus knows
        self.struck = 0
        self.kinds: Counter[str] = Counter()
        self.crowd = 0.0  # how likely another process does something during a call, as long as strikes are left
        self.spoilt: set[tuple[str, str, str]] = set()  # calls that fail until somebody mends the bug
        self.refusals: Refusals | None = None  # of the warehouse, for a while
        self._script = script

    def kind(self, where: str, kinds: Sequence[str]) -> str:
        """What happens now: "" mostly."""
        if self.strikes <= 0 or self.chance.random() >= self.rate:
            return ""
        self.strikes -= 1
        self.struck += 1
        kind = self.chance.choice(list(kinds))
        if self._script is not None and self.struck not in self._script:
            return ""
        self.told.append(f"{where}: {kind}")
        self.tell(f"strike {self.struck}: {where}: {kind} (at {self.at_work or 'its bookkeeping'})")
        self.kinds[f"{where.partition('.')[0]} {kind}"] += 1
        return kind

    def meanwhile(self) -> None:
        """Let another process do something now, where there is one; what it does meanwhile is not interrupted."""
        other, self.between, at_work = self.between, None, self.at_work
        if other is not None:
            try:
                other()
            finally:
                self.between, self.at_work = other, at_work


def _nobody_listens(_: str) -> None:
    """Most worlds are lived through in silence."""


class Faulty:
    """A port whose methods fail before or after they took effect."""

    def __init__(
        self, inner: Any, name: str, trouble: Trouble, error: Callable[[], Exception], free: Sequence[str] = ()
    ) -> None:
        self._inner = inner
        self._name = name
        self._trouble = trouble
        self._error = error
        self._free = frozenset(free)  # calls during which nobody else does anything

    def __getattr__(self, method: str) -> Any:
        found = self._faulty(method)
        if callable(found) and method not in _QUIET:
            self.__dict__[method] = found
        return found

    def _faulty(self, method: str) -> Any:
        found = getattr(self._inner, method)
        if method in _QUIET or not callable(found):
            return found

        def called(*given: Any, **named: Any) -> Any:
            if self._trouble.strikes <= 0:
                return found(*given, **named)
            kinds = ["before", "after", "dies before", "dies after", "bug"]
            if self._trouble.between is not None and method not in self._free:
                kinds += ["meanwhile", "meanwhile after"] * 3
            call = (self._name, method, repr(given[:2])) if self._trouble.spoilt else None
            if call in self._trouble.spoilt:
                raise RuntimeError(_QUOTES)
            kind = self._trouble.kind(f"{self._name}.{method}", kinds)
            if kind == "bug" and self._trouble.chance.random() < _BUGS_STAY:
                self._trouble.spoilt.add((self._name, method, repr(given[:2])))
            if kinds[-1] != "bug" and self._trouble.crowd and self._trouble.chance.random() < self._trouble.crowd:
                self._trouble.meanwhile()
            self._happen(kind, "before", method)
            result = found(*given, **named)
            self._happen(kind, "after", method)
            return result

        return called

    def _happen(self, kind: str, moment: str, method: str) -> None:
        if not kind:
            return
        if kind == moment:
            raise self._error()
        if kind == f"dies {moment}":
            raise Died
        if kind == "bug" and moment == "before":
            raise RuntimeError(_QUOTES)
        if kind == ("meanwhile" if moment == "before" else "meanwhile after"):
            self._trouble.meanwhile()


class FaultyObjects(Faulty):
    """An object store whose writes may also fail at their end, and whose reads may break off."""

    def write(self, path: str) -> AbstractContextManager[BinaryIO]:
        """As the real one, but it may fail before, or after the object is there."""
        return self._written(path)

    @contextmanager
    def _written(self, path: str) -> Any:
        kind = self._trouble.kind("objects.write", ["before", "after", "dies before", "dies after"])
        self._happen(kind, "before", "write")
        with self._inner.write(path) as stream:
            yield stream
        self._happen(kind, "after", "write")

    def read(self, path: str) -> BinaryIO:
        """As the real one, but it may fail at once or in the middle."""
        kind = self._trouble.kind("objects.read", ["before", "dies before", "half"])
        self._happen(kind, "before", "read")
        stream: BinaryIO = self._inner.read(path)
        return stream if kind != "half" else _BreaksOff(stream.read(), lambda: ObjectsUnavailable("planted"))


class _BreaksOff(io.BytesIO):
    """A stream that gives half of its bytes and then fails."""

    def __init__(self, content: bytes, error: Callable[[], Exception]) -> None:
        super().__init__(content)
        self._half = len(content) // 2
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        """Bytes of the first half; beyond it the error."""
        if size is None or size < 0 or self.tell() + size > self._half:
            raise self._error()
        return super().read(size)

    def readinto(self, buffer: Any) -> int:
        """As ``read``."""
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class FaultySource(Faulty):
    """A source that fails, and whose streams may end early or break off."""

    def open(self, uri: str) -> BinaryIO:
        """As the real one, or half of it: with an error, or as if that were all."""
        kind = self._trouble.kind("source.open", ["before", "dies before", "half", "short"])
        self._happen(kind, "before", "open")
        stream: BinaryIO = self._inner.open(uri)
        if kind == "half":
            return _BreaksOff(stream.read(), self._error)
        if kind == "short":
            content = stream.read()
            return io.BytesIO(content[: len(content) // 2])
        return stream


class ShuffledBus(Faulty):
    """A bus that hands out messages in any order, publishes some twice, and loses acknowledgements."""

    def __init__(self, inner: Any, trouble: Trouble, chance: random.Random, ahead: int) -> None:
        super().__init__(inner, "bus", trouble, lambda: StoreUnavailable("planted"))
        self._chance = chance
        self._ahead = ahead  # messages pulled ahead, of which any is next; 0 = in the bus's own order
        self._waiting: list[Delivery] = []

    def pull(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        """One message out of those that are due."""
        self._trouble.at_work = ""
        pulled = self._pulled(subscriptions, messages_max, lease_seconds)
        self._trouble.at_work = ", ".join(f"{each.subscription.name} #{each.message_id}" for each in pulled[:3])
        return pulled

    def _pulled(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        if not self._ahead:
            return list(self._inner.pull(subscriptions, messages_max, lease_seconds))
        if len(self._waiting) < self._ahead:
            names = self._inner.busy(subscriptions)
            self._chance.shuffle(names)
            for name in names:
                self._waiting += self._inner.pull([name], self._chance.randrange(1, 4), lease_seconds)
                if len(self._waiting) >= self._ahead:
                    break
        if not self._waiting:
            return []
        return [self._waiting.pop(self._chance.randrange(len(self._waiting)))]

    def ack(self, delivery: Delivery) -> None:
        """As the real one, or nobody hears of it."""
        kind = self._trouble.kind("bus.ack", ["lost", "lost", "before", "dies before", "dies after"])
        self._happen(kind, "before", "ack")
        if kind != "lost":
            self._inner.ack(delivery)
        self._happen(kind, "after", "ack")

    def publish(self, messages: Sequence[Message]) -> list[str]:
        """All of them, and some again."""
        kind = self._trouble.kind("bus.publish", ["before", "after", "dies before", "dies after", "twice", "twice"])
        self._happen(kind, "before", "publish")
        twice = [each for each in messages if self._chance.random() < 0.5] if kind == "twice" else []
        found: list[str] = self._inner.publish([*messages, *twice])
        self._happen(kind, "after", "publish")
        return found[: len(messages)]


class FaultyStore(Faulty):
    """A state store whose commits may also conflict."""

    def commit(self, writes: Any, expect: Any = ()) -> None:
        """As the real one, or a conflict that was none."""
        if self._trouble.crowd and self._trouble.strikes > 0 and self._trouble.chance.random() < self._trouble.crowd:
            self._trouble.meanwhile()
        kind = self._trouble.kind(
            "store.commit",
            ["before", "after", "dies before", "dies after", "conflict"]
            + ["meanwhile"] * (3 if self._trouble.between is not None else 0),
        )
        if kind == "conflict":
            raise Conflict("planted")
        self._happen(kind, "before", "commit")
        self._inner.commit(writes, expect)
        self._happen(kind, "after", "commit")


class FaultyWarehouse(Faulty):
    """A warehouse that also takes nothing for a while, and describes tables as they were before the last change."""

    def __init__(self, inner: Any, trouble: Trouble) -> None:
        free = ("dump", "rows_with_keys", "query")
        # Also who was told that there are too many at once may find the job done: the question after it was refused.
        kinds = (WarehouseUnavailable, WarehouseBusy)
        super().__init__(inner, "warehouse", trouble, lambda: kinds[trouble.struck % 2]("planted"), free)
        self._described: dict[str, TableInfo | None] = {}
        self._run = self._faulty("run")

    def run(self, job: LoadJob) -> JobResult:
        """As the real one, unless it refuses for a while."""
        if self._trouble.refusals is not None:
            self._trouble.refusals.look(job)
        done: JobResult = self._run(job)
        return done

    def describe(self, table: str) -> TableInfo | None:
        """As the real one, or late: a change of columns is not seen at once everywhere."""
        kind = self._trouble.kind("warehouse.describe", ["before", "dies before", "late", "late"])
        self._happen(kind, "before", "describe")
        if kind == "late" and table in self._described:
            return self._described[table]
        found: TableInfo | None = self._inner.describe(table)
        self._described[table] = found
        return found


class FaultyChannel:
    """A channel that now and then takes no notice, or takes it and says that it did not."""

    def __init__(self, inner: Channel, trouble: Trouble) -> None:
        self.name = inner.name
        self._inner = inner
        self._trouble = trouble

    def send(self, notice: Notice) -> None:
        """As the real one, unless something happens."""
        kind = self._trouble.kind("channel.send", ["before", "after", "dies before", "dies after"])
        if kind == "dies before":
            raise Died
        if kind != "before":
            self._inner.send(notice)
        if kind == "dies after":
            raise Died
        if kind:
            raise ForeignFailure(_QUOTES, system=self.name, exception_type="TimeoutError")


def _together(process: Process, trouble: Trouble) -> Callable[[], AbstractContextManager[None]]:
    """The one transaction of bus and state: all of it, or it dies around it; nobody else does anything during it."""

    @contextmanager
    def transaction() -> Iterator[None]:
        kind = trouble.kind("together", ["before", "dies before", "dies after"])
        if kind == "before":
            raise StoreUnavailable("planted")
        if kind == "dies before":
            raise Died
        other, trouble.between = trouble.between, None
        strikes, trouble.strikes = trouble.strikes, 0  # in memory nothing can be taken back half way
        try:
            with process.together():
                yield
        finally:
            trouble.between, trouble.strikes = other, strikes
        if kind == "dies after":
            raise Died

    return transaction


def troubled(process: Process, trouble: Trouble, chance: random.Random, ahead: int, *, apart: bool) -> Process:
    """The process with ports that fail; ``apart``: state and bus share no transaction, as in the cloud."""
    timed_out = {"system": "files", "exception_type": "TimeoutError", "reason": "ETIMEDOUT"}
    source = FaultySource(process.source("files"), "source", trouble, lambda: ForeignFailure(_QUOTES, **timed_out))
    channels: Mapping[str, Channel] = {
        name: FaultyChannel(channel, trouble) for name, channel in process.channels.items()
    }
    return dataclasses.replace(
        process,
        store=FaultyStore(process.store, "store", trouble, lambda: StoreUnavailable("planted")),
        bus=ShuffledBus(process.bus, trouble, chance, ahead),
        objects=FaultyObjects(
            process.objects, "objects", trouble, lambda: ObjectsUnavailable("planted"), ("read", "stat", "list")
        ),
        warehouse=FaultyWarehouse(process.warehouse, trouble),
        source=lambda kind: source,
        channels=channels,
        together=nullcontext if apart else _together(process, trouble),
    )
