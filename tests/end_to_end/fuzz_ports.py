"""Ports that fail, die, repeat and shuffle at random, around the real local adapters."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, BinaryIO

from shared.domain.errors import Conflict, ForeignFailure, ObjectsUnavailable, StoreUnavailable, WarehouseUnavailable
from shared.ports.event_bus import Delivery, Message
from shared.runtime.wiring import Process


class Died(BaseException):
    """The process is gone: nothing that it would still have done is done."""


class Trouble:
    """Decides at every call of a port whether something happens, and what; quiet when its strikes are used up."""

    def __init__(self, chance: random.Random, strikes: int, rate: float) -> None:
        self.chance = chance
        self.strikes = strikes
        self.rate = rate
        self.between: Callable[[], None] | None = None  # what another process does meanwhile
        self.told: list[str] = []

    def kind(self, where: str, kinds: Sequence[str]) -> str:
        """What happens now: "" mostly."""
        if self.strikes <= 0 or self.chance.random() >= self.rate:
            return ""
        self.strikes -= 1
        kind = self.chance.choice(list(kinds))
        self.told.append(f"{where}: {kind}")
        return kind


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
        found = getattr(self._inner, method)
        if not callable(found) or method in ("close", "uri", "subscribe", "next_due", "leased", "under_way"):
            return found

        def called(*given: Any, **named: Any) -> Any:
            kinds = ["before", "after", "dies before", "dies after", "bug"]
            if self._trouble.between is not None and method not in self._free:
                kinds += ["meanwhile", "meanwhile after"] * 3
            kind = self._trouble.kind(f"{self._name}.{method}", kinds)
            self._happen(kind, "before", method)
            result = found(*given, **named)
            self._happen(kind, "after", method)
            return result

        return called

    def _happen(self, kind: str, moment: str, method: str) -> None:
        if kind == moment:
            raise self._error()
        if kind == f"dies {moment}":
            raise Died
        if kind == "bug" and moment == "before":
            raise RuntimeError("planted")
        meanwhile = "meanwhile" if moment == "before" else "meanwhile after"
        if kind == meanwhile and self._trouble.between is not None:
            other, self._trouble.between = self._trouble.between, None
            try:
                other()
            finally:
                self._trouble.between = other


class FaultyObjects(Faulty):
    """An object store whose writes may also fail at their end."""

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


class ShuffledBus(Faulty):
    """A bus that hands out messages in any order, and publishes some twice."""

    def __init__(self, inner: Any, trouble: Trouble, chance: random.Random, ahead: int) -> None:
        super().__init__(inner, "bus", trouble, lambda: StoreUnavailable("planted"))
        self._chance = chance
        self._ahead = ahead  # messages pulled ahead, of which any is next; 0 = in the bus's own order
        self._waiting: list[Delivery] = []

    def pull(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        """One message out of those that are due."""
        if not self._ahead:
            return list(self._inner.pull(subscriptions, messages_max, lease_seconds))
        if len(self._waiting) < self._ahead:
            names = list(subscriptions)
            self._chance.shuffle(names)
            for name in names:
                self._waiting += self._inner.pull([name], self._chance.randrange(1, 4), lease_seconds)
                if len(self._waiting) >= self._ahead:
                    break
        if not self._waiting:
            return []
        return [self._waiting.pop(self._chance.randrange(len(self._waiting)))]

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


def _together(process: Process, trouble: Trouble) -> Callable[[], AbstractContextManager[None]]:
    """The one transaction of bus and state, which may be lost at its end; nobody else does anything during it."""

    @contextmanager
    def transaction() -> Iterator[None]:
        kind = trouble.kind("together", ["before", "after", "dies before", "dies after"])
        other, trouble.between = trouble.between, None
        try:
            with process.together():
                yield
                _end(kind, "before")
        finally:
            trouble.between = other
        _end(kind, "after")

    return transaction


def _end(kind: str, moment: str) -> None:
    if kind == moment:
        raise StoreUnavailable("planted")
    if kind == f"dies {moment}":
        raise Died


def troubled(process: Process, trouble: Trouble, chance: random.Random, ahead: int, *, apart: bool) -> Process:
    """The process with ports that fail; ``apart``: state and bus share no transaction, as in the cloud."""
    source = Faulty(
        process.source("files"),
        "source",
        trouble,
        lambda: ForeignFailure("planted", system="files", exception_type="TimeoutError", reason="ETIMEDOUT"),
    )
    return dataclasses.replace(
        process,
        store=FaultyStore(process.store, "store", trouble, lambda: StoreUnavailable("planted")),
        bus=ShuffledBus(process.bus, trouble, chance, ahead),
        objects=FaultyObjects(
            process.objects, "objects", trouble, lambda: ObjectsUnavailable("planted"), ("read", "stat", "list")
        ),
        warehouse=Faulty(
            process.warehouse,
            "warehouse",
            trouble,
            lambda: WarehouseUnavailable("planted"),
            ("dump", "rows_with_keys", "query"),
        ),
        source=lambda kind: source,
        together=nullcontext if apart else _together(process, trouble),
    )
