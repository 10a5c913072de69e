"""The only place that names an adapter: one process's ports, built lazily from its settings."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared.domain.masking import mask
from shared.ports.channel import Channel
from shared.ports.clock import Clock
from shared.ports.definitions import Definitions
from shared.ports.event_bus import EventBus
from shared.ports.gauges import Gauges
from shared.ports.ids import Ids
from shared.ports.log_reader import LogReader
from shared.ports.metrics import Metrics
from shared.ports.object_store import ObjectStore
from shared.ports.ports import Limits, Ports
from shared.ports.secrets import Secrets
from shared.ports.source import Source
from shared.ports.sql_engine import SqlEngine
from shared.ports.state_store import StateStore
from shared.ports.warehouse import Warehouse
from shared.runtime import plugins
from shared.runtime.callers import Callers
from shared.runtime.handling import Runtime
from shared.runtime.logs import EventLog, file_log, stdout_log
from shared.runtime.service import Service
from shared.runtime.settings import Settings, calm_libraries, environment, load
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.worker import Worker

if TYPE_CHECKING:
    from shared.adapters.local.store_inspection import StoreInspection
    from shared.domain.store_health import KeptEvent

if TYPE_CHECKING:
    from shared.adapters.local.history import LocalHistory

Progress = Callable[[str, int, int], None]
LOG_NAME = "log.jsonl"  # in the root of a local store


def _silent(step: str, done: int, total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Everything one process works with."""

    settings: Settings
    store: StateStore
    bus: EventBus
    objects: ObjectStore
    warehouse: Warehouse
    sql: SqlEngine
    definitions: Definitions
    source: Callable[[str], Source]
    secrets: Secrets
    callers: Callers
    channels: Mapping[str, Channel]
    metrics: Metrics
    clock: Clock
    ids: Ids
    log: EventLog
    progress: Progress
    together: Callable[[], AbstractContextManager[None]] = nullcontext  # bus and state in one transaction, if they can
    deferring: Callable[[], AbstractContextManager[None]] | None = None  # commits wait for the next ``together``

    def ports(self, service: Service, state: UnitOfWork) -> Ports:
        """The ports a handler of ``service`` gets for one event."""
        return Ports(
            state=state,
            objects=self.objects,
            warehouse=self.warehouse,
            sql=self.sql,
            definitions=self.definitions,
            source=self.source,
            secrets=self.secrets,
            channels=self.channels,
            metrics=self.metrics,
            clock=self.clock,
            ids=self.ids,
            limits=Limits(
                rows_per_part=self.settings.rows_per_part,
                wait_seconds=self.settings.wait_seconds,
                settle_seconds=self.settings.settle_seconds,
            ),
            progress=self.progress,
            note=lambda kind, message: self.log.note(kind, service.name, mask(message)),
        )

    def runtime(self) -> Runtime:
        """What handles deliveries."""
        return Runtime(
            store=self.store,
            bus=self.bus,
            ports=self.ports,
            log=self.log,
            metrics=self.metrics,
            clock_now=self.clock.now,
            monotonic=self.clock.monotonic,
            together=self.together,
        )

    def worker(self, services: Sequence[Service]) -> Worker:
        """What pulls deliveries for ``services`` from the bus."""
        return Worker(
            services=services,
            runtime=self.runtime(),
            bus=self.bus,
            store=self.store,
            clock=self.clock,
            lease_seconds=self.settings.lease_seconds,
            together=self.together,
            deferring=None if self.together is nullcontext else self.deferring,
        )

    def carried(self, event_id: str) -> KeptEvent | None:
        """The event of that id, if the bus has carried it."""
        if self.settings.backend == "gcp":
            from shared.runtime import cloud

            return cloud.carried(self.settings, event_id)
        return inspection_of(self.settings).event(event_id)

    def log_reader(self) -> LogReader:
        """What the services wrote down."""
        return log_reader_of(self.settings)

    def gauges(self) -> Gauges:
        """Where it is written how things stand."""
        if self.settings.backend == "gcp":
            from shared.runtime import cloud

            return cloud.gauges_of(self.settings)
        from shared.adapters.local.gauges import RecordedGauges

        return RecordedGauges(self.metrics)

    def close(self) -> None:
        """Give up locks and connections."""
        self.warehouse.close()


def build(
    settings: Settings,
    *,
    log: EventLog | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
    definition_files: Mapping[str, Path] | None = None,
) -> Process:
    """A process's ports from its settings. ``definition_files`` puts single files in the place of named ones."""
    calm_libraries()
    progress = progress or _silent
    if settings.backend == "gcp":
        from shared.runtime import cloud

        process = cloud.build(settings, log=log, progress=progress, clock=clock)
    else:
        process = _build_local(settings, log, progress, clock, definition_files)
    if settings.otlp_endpoint:
        _send_spans(process)
    return process


def _send_spans(process: Process) -> None:
    """Every handled event becomes a span; those that wait to be sent are sent before the process ends."""
    from shared.adapters.otlp.spans import OtlpSpans

    settings = process.settings

    def complain(message: str) -> None:
        process.log.note("spans", "", mask(message))

    spans = OtlpSpans(settings.otlp_endpoint, settings.project_id, settings.version, complain)
    process.log.listen(lambda line: spans.record(line, process.clock.now() * 1_000))
    atexit.register(spans.close)


def _build_local(
    settings: Settings,
    log: EventLog | None,
    progress: Progress,
    clock: Clock | None,
    definition_files: Mapping[str, Path] | None,
) -> Process:
    from shared.adapters.local.clock import SystemClock
    from shared.adapters.local.event_bus import SqliteEventBus
    from shared.adapters.local.ids import SystemIds
    from shared.adapters.local.metrics import JsonLinesMetrics
    from shared.adapters.local.object_store import FolderObjectStore
    from shared.adapters.local.state_store import SqliteStateStore
    from shared.adapters.local.store_file import StoreFile
    from shared.adapters.local.warehouse import DuckDbWarehouse
    from shared.adapters.local.warehouse_connection import WarehouseSettings

    clock = clock or SystemClock()
    root = Path(settings.root)
    store_file = StoreFile(root)
    objects = FolderObjectStore(root / "objects")
    secrets = secrets_of(settings)
    channels = channels_of(settings, secrets)
    built_in = source_of(settings)
    warehouse_settings = WarehouseSettings(
        memory_limit=f"{settings.warehouse_memory_mb}MB", wait_seconds=settings.lock_wait_seconds
    )
    return Process(
        settings=settings,
        store=SqliteStateStore(store_file),
        bus=SqliteEventBus(store_file, clock),
        objects=objects,
        warehouse=DuckDbWarehouse(root / "warehouse.duckdb", root / "objects", clock, warehouse_settings),
        sql=sql_engine_of(settings),
        definitions=definitions_of(settings, definition_files),
        source=lambda kind: source_named(kind, built_in, settings, secrets),
        secrets=secrets,
        callers=callers_of(settings, secrets, clock),
        channels=channels,
        metrics=JsonLinesMetrics(root / "metrics.jsonl", clock),
        clock=clock,
        ids=SystemIds(),
        log=log or file_log(root / LOG_NAME, clock.now),
        progress=progress,
        together=store_file.together,
        deferring=store_file.deferring,
    )


# ── single ports, for commands that need no store (building a process makes one) ──


def source_of(settings: Settings) -> Source:
    """Where deliveries come from."""
    from shared.adapters.local.source import FilesSource, UriSource

    return UriSource(FilesSource(Path(settings.project)), web_source_of(settings))


def web_source_of(settings: Settings) -> Source:
    """What is fetched over HTTP."""
    from shared.adapters.http.source import HttpSource

    return HttpSource(settings.source_timeout_seconds, settings.source_bytes_max)


def at_rest_of(settings: Settings) -> Callable[[str], bool]:
    """Tells of a file, by its URI, whether nobody has it open for writing; False where that cannot be told."""
    from shared.adapters.local.source import FilesSource

    return FilesSource(Path(settings.project)).at_rest


BUILT_IN_SOURCES = ("files", "push")


def source_named(kind: str, built_in: Source, settings: Settings, secrets: Secrets) -> Source:
    """The source of a kind: our own, or one that a package announces (called with the project folder and secrets)."""
    if kind in BUILT_IN_SOURCES:
        return built_in
    made: Source = plugins.load(plugins.SOURCES, kind, known=BUILT_IN_SOURCES)(Path(settings.project), secrets)
    return made


def definitions_of(settings: Settings, files: Mapping[str, Path] | None = None) -> Definitions:
    """The project folder's files; ``files`` puts single ones in the place of named ones."""
    from shared.adapters.local.definitions import FolderDefinitions

    return FolderDefinitions(Path(settings.project), files or {})


def sql_engine_of(settings: Settings) -> SqlEngine:
    """What transforms are run in."""
    from shared.adapters.local.sql_engine import DuckDbSqlEngine

    return DuckDbSqlEngine(settings.warehouse_memory_mb)


def secrets_of(settings: Settings) -> Secrets:
    """Secrets by name."""
    from shared.adapters.local.secrets import LocalSecrets

    return LocalSecrets(Path(settings.root), environment())


def callers_of(settings: Settings, secrets: Secrets, clock: Clock) -> Callers:
    """Whom a function that anybody can reach believes."""
    from shared.adapters.gcp.id_tokens import GoogleIdTokens

    tokens = GoogleIdTokens(settings.signals_certificates_url, clock.monotonic)
    return Callers(settings, secrets, tokens, clock.now)


def inspection_of(settings: Settings) -> StoreInspection:
    """A look at the store from outside, which neither makes nor changes anything."""
    from shared.adapters.local.store_inspection import StoreInspection

    return StoreInspection(Path(settings.root))


def channels_of(settings: Settings, secrets: Secrets) -> Mapping[str, Channel]:
    """Every channel that a pipeline can name."""
    from shared.adapters.http.channel import TeamsChannel
    from shared.adapters.local.channel import ConsoleChannel, JsonLinesChannel

    teams = TeamsChannel(lambda: secrets.get(settings.teams_webhook_secret))
    known: list[Channel] = [ConsoleChannel(), JsonLinesChannel(Path(settings.root) / "notices.jsonl"), teams]
    return Channels({channel.name: channel for channel in known}, secrets, settings.root)


class Channels(Mapping[str, Channel]):
    """Our own channels by name, and those that packages announce, which are looked for when a name is not ours.

    What they tell people to type names the store.
    """

    def __init__(self, known: dict[str, Channel], secrets: Secrets, root: str) -> None:
        self._known = {name: self._rooted(channel, root) for name, channel in known.items()}
        self._secrets = secrets
        self._root = root

    @staticmethod
    def _rooted(channel: Channel, root: str) -> Channel:
        from shared.adapters.rooted_channel import RootedChannel

        return RootedChannel(channel, root)

    def __getitem__(self, name: str) -> Channel:
        """The channel of that name, a package's one made at its first use."""
        if name not in self._known:
            if name not in plugins.announced(plugins.CHANNELS):
                raise KeyError(name)
            self._known[name] = self._rooted(plugins.load(plugins.CHANNELS, name)(self._secrets), self._root)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Every name, packages' included."""
        return iter(dict.fromkeys([*self._known, *plugins.announced(plugins.CHANNELS)]))

    def __len__(self) -> int:
        """How many there are."""
        return len(list(iter(self)))


def log_reader_of(settings: Settings) -> LogReader:
    """What the services wrote down."""
    if settings.backend == "gcp":
        from shared.runtime import cloud

        return cloud.log_reader_of(settings)
    from shared.adapters.local.log_reader import FileLogReader

    return FileLogReader(Path(settings.root) / LOG_NAME)


def history(settings: Settings) -> LocalHistory:
    """The store's history: events, and the views over them."""
    from shared.adapters.local.history import LocalHistory
    from shared.adapters.local.store_file import StoreFile

    return LocalHistory(StoreFile(Path(settings.root)))


@cache
def process() -> Process:
    """The process behind a function's entry point, built at its first request."""
    settings = load()
    return build(settings, log=None if settings.backend == "gcp" else stdout_log())
