"""One process's ports on Google Cloud, the second half of wiring: nothing here is imported on a laptop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.domain.errors import DefinitionError
from shared.domain.store_health import KeptEvent
from shared.ports.clock import Clock
from shared.ports.definitions import Definitions
from shared.ports.gauges import Gauges
from shared.ports.log_reader import LogReader
from shared.ports.secrets import Secrets
from shared.ports.source import Source
from shared.ports.state_store import StateStore
from shared.ports.warehouse import Warehouse
from shared.runtime import receipts, wiring
from shared.runtime.logs import EventLog
from shared.runtime.settings import Settings

if TYPE_CHECKING:
    from shared.adapters.gcp.object_store import GcsObjectStore


def build(
    settings: Settings, *, log: EventLog | None, progress: Callable[[str, int, int], None], clock: Clock | None
) -> wiring.Process:
    """A process's ports. Clients are made at first use; what a service does not use it never imports."""
    from shared.adapters.gcp.event_bus import PubsubEventBus
    from shared.adapters.gcp.metrics import LogMetrics
    from shared.adapters.local.clock import SystemClock
    from shared.adapters.local.ids import SystemIds

    check_settings(settings)
    clock = clock or SystemClock()
    secrets = secrets_of(settings, clock)
    channels = wiring.channels_of(settings, secrets)
    built_in = source_of(settings)
    project = settings.project_id
    return wiring.Process(
        settings=settings,
        store=state_of(settings, clock.now),
        bus=PubsubEventBus(project, emulator=settings.pubsub_emulator),
        objects=objects_of(settings),
        warehouse=warehouse_of(settings),
        sql=wiring.sql_engine_of(settings),
        definitions=definitions_of(settings, clock),
        source=lambda kind: wiring.source_named(kind, built_in, settings, secrets),
        secrets=secrets,
        callers=wiring.callers_of(settings, secrets, clock),
        channels=channels,
        metrics=LogMetrics(sys.stdout),
        clock=clock,
        ids=SystemIds(),
        log=log or log_of(settings),
        progress=progress,
    )


def check_settings(settings: Settings) -> None:
    """``DefinitionError`` unless the settings say which project, and buckets for what is kept and what is defined."""
    hint = "see docs/settings.md"
    if not settings.project_id:
        raise DefinitionError("environment", 0, 0, "MEND_PROJECT_ID: is needed with the backend gcp", hint)
    for name in ("root", "project"):
        if not getattr(settings, name).startswith("gs://"):
            what = f"MEND_{name.upper()}: is gs://bucket with the backend gcp"
            raise DefinitionError("environment", 0, 0, what, hint)


def state_of(settings: Settings, now: Callable[[], int]) -> StateStore:
    """The services' documents."""
    from shared.adapters.gcp.state_store import FirestoreStateStore

    return FirestoreStateStore(
        settings.project_id,
        database=settings.database,
        emulator=settings.firestore_emulator,
        lives_seconds=receipts.lives_seconds,
        now=now,
    )


def log_of(settings: Settings) -> EventLog:
    """Lines on standard output, as Cloud Logging reads them."""
    from shared.adapters.gcp.log_lines import shaper

    return EventLog(sys.stdout, shaper(settings.project_id, "mendline", settings.version))


def log_reader_of(settings: Settings) -> LogReader:
    """The same lines, read back."""
    from shared.adapters.gcp.log_reader import CloudLogReader

    return CloudLogReader(settings.project_id)


def gauges_of(settings: Settings) -> Gauges:
    """Where it is written how things stand."""
    from shared.adapters.gcp.gauges import MonitoringGauges

    return MonitoringGauges(settings.project_id, settings.location)


def carried(settings: Settings, event_id: str) -> KeptEvent | None:
    """The event of that id, if the bus has carried it."""
    from shared.adapters.gcp import carried_events

    return carried_events.carried(event_id, warehouse_of(settings))


def bucket_in(settings: Settings) -> Callable[[str], Any]:
    """Buckets by name."""
    from shared.adapters.gcp.object_store import bucket_of

    return cache(lambda name: bucket_of(settings.project_id, name, settings.storage_emulator))


def objects_of(settings: Settings) -> GcsObjectStore:
    """Where deliveries and what is made of them are kept."""
    from shared.adapters.gcp.object_store import GcsObjectStore

    return GcsObjectStore(bucket_in(settings)(settings.root.removeprefix("gs://").partition("/")[0]))


def definitions_of(settings: Settings, clock: Clock) -> Definitions:
    """The project folder's files, in a bucket."""
    from shared.adapters.gcp.definitions import BucketDefinitions

    bucket, _, folder = settings.project.removeprefix("gs://").partition("/")
    return BucketDefinitions(bucket_in(settings)(bucket), clock, prefix=folder)


def source_of(settings: Settings) -> Source:
    """Where deliveries come from: objects, or the web."""
    from shared.adapters.gcp.source import GcsSource
    from shared.adapters.local.source import UriSource

    return UriSource(GcsSource(bucket_in(settings), settings.project), wiring.web_source_of(settings))


def secrets_of(settings: Settings, clock: Clock) -> Secrets:
    """Secrets by name."""
    from shared.adapters.gcp.secrets import SecretManagerSecrets

    return SecretManagerSecrets(settings.project_id, clock)


def warehouse_of(settings: Settings) -> Warehouse:
    """The tables that people query."""
    from shared.adapters.gcp.lazy import Lazily

    def make() -> Warehouse:
        from shared.adapters.gcp.warehouse import BigQueryWarehouse, client_of

        client = client_of(settings.project_id, settings.location, settings.bigquery_emulator)
        return BigQueryWarehouse(client, objects_of(settings), bytes_billed_max=settings.bytes_billed_max)

    made: Warehouse = Lazily(make)
    return made
