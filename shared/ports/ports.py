"""Everything a handler may touch, handed to it as one argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.ports.channel import Channel
from shared.ports.clock import Clock
from shared.ports.definitions import Definitions
from shared.ports.ids import Ids
from shared.ports.metrics import Metrics
from shared.ports.object_store import ObjectStore
from shared.ports.secrets import Secrets
from shared.ports.source import Source
from shared.ports.sql_engine import SqlEngine
from shared.ports.state import State
from shared.ports.warehouse import Warehouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one deployment, from settings."""

    rows_per_part: int = 131_072  # rows of a staged, passed, quarantined or loaded file
    listing_page: int = 90  # deliveries announced per event
    wait_seconds: float = 300.0  # how long a batch of a young pipeline waits for verdicts on earlier deliveries
    settle_seconds: float = 0.0  # how old a delivery of a young pipeline must be before it is judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """One handler's ports; ``state`` belongs to the event being handled, the others to the process.

    ``warehouse`` opens its connection at first use. ``progress`` shows long work to whoever watches (name of the
    step, units done, units in all or 0); it does nothing in the cloud. ``note`` (kind, message) writes a line
    of the process's log, for what is no failure of an event.
    """

    state: State
    objects: ObjectStore
    warehouse: Warehouse
    sql: SqlEngine
    definitions: Definitions
    source: Callable[[str], Source]  # by source kind: "files", …
    secrets: Secrets
    channels: Mapping[str, Channel]
    metrics: Metrics
    clock: Clock
    ids: Ids
    limits: Limits
    progress: Callable[[str, int, int], None]
    note: Callable[[str, str], None]
