"""What is found in a store when it is looked at from outside, without a change to it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Stuck(NamedTuple):
    """A receipt that is not finished: emitted events not on the bus, or a handler that keeps failing."""

    service: str
    event_id: str
    event_type: str
    at: int  # microseconds
    failures: int = 0


class Queue(NamedTuple):
    """What waits in one subscription."""

    subscription: str
    waiting: int
    overdue: int  # due before the moment asked for, and in nobody's hands
    attempts: int  # the most deliveries that one of them has had
    oldest_due: int  # microseconds


class Timer(NamedTuple):
    """Something that was to be done at a time that has passed."""

    collection: str
    key: str
    wake_at: int  # microseconds


class DeadLetter(NamedTuple):
    """An event that used up its deliveries and was not handled since."""

    incident_id: str
    service: str
    event_id: str
    state: str


class Readable(NamedTuple):
    """What can still be read of one kind of row in a damaged store."""

    what: str
    rows: int


class StoreHealth(NamedTuple):
    """The store's file, and what is left undone in it. Lists are bounded; counts are not."""

    state: Literal["whole", "missing", "damaged", "newer", "stranger", "unreadable"]
    detail: str = ""
    bytes: int = 0
    format: int = 0
    problems: tuple[str, ...] = ()
    readable: tuple[Readable, ...] = ()  # of a damaged one; () when nothing can be read
    unpublished: tuple[Stuck, ...] = ()
    failing: tuple[Stuck, ...] = ()
    queues: tuple[Queue, ...] = ()
    holders: tuple[str, ...] = ()  # dead processes that still hold messages
    timers: tuple[Timer, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    pipelines: tuple[str, ...] = ()  # names of those that have deliveries


class KeptEvent(NamedTuple):
    """An event as the bus carried it."""

    type: str
    payload: str
