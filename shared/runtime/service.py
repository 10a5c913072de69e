"""What a service is to the runtime: a name, the collections it owns, and plain handlers by event type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.domain.incident import Origin
from shared.events.types import Event
from shared.ports.ports import Ports

Handler = Callable[[Any, Ports], Sequence[Event]]
"""``(event, ports) -> events``; the event is of the type it is registered for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMessage:
    """A message of a topic without schema (requests, signals, dead letters), as bytes from a stranger."""

    event: Event  # a bare envelope to derive emitted events from
    topic: str
    data: bytes
    attributes: Mapping[str, str]


RawHandler = Callable[[RawMessage, Ports], Sequence[Event]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service; the runtime does everything that is not in its handlers.

    ``emits`` are the types that its handlers may return: another one is a bug, and nothing of that delivery is kept.
    The deployment lets a service publish to the topics of these types and of ``incident.opened`` alone, with which the
    runtime reports what a handler could not do.
    ``foreign_origin`` is the origin of incidents made from a ``ForeignFailure`` that a handler raises.
    ``timers`` are owned collections whose documents have a ``wake_at`` (microseconds, 0 = none): the runtime sends
    ``clock.ticked`` when one is due. ``priority`` orders the local bus: lower is pulled first, so that a batch is
    finished before the next one starts; ``urgent`` types are pulled before everything else, since they belong to a
    batch that is under way.
    """

    name: str
    handlers: Mapping[type[Event], Handler]
    collections: Sequence[str]
    emits: Sequence[type[Event]] = ()
    raw_handlers: Mapping[str, RawHandler] = field(default_factory=dict)
    foreign_origin: Origin = Origin.INTERNAL
    priority: int = 100
    urgent: Sequence[type[Event]] = ()
    timers: Sequence[str] = ()
