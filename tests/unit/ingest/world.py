"""One pipeline's ingest over real local adapters, driven event by event as the bus would."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from services.ingest.handlers import SERVICE
from shared.adapters.local.object_store import FolderObjectStore
from shared.events.codec import encode, topic_of
from shared.events.types import DeliveryArrived, Event, IncidentOpened, SourceDue, SourceReread
from shared.ports.event_bus import DEAD_LETTER_TOPIC, REQUESTS_TOPIC, SIGNALS_TOPIC
from shared.ports.state_store import Document
from shared.runtime.handling import Outcome
from shared.runtime.service import Service
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import handle, make_process, seen, watch

EMITTED = ("delivery.arrived.v1", "delivery.registered.v1", "batch.staged.v1", "batch.held.v1", "source.due.v1",
           "source.reread_failed.v1", "incident.opened.v1")  # fmt: skip
TOPICS = [topic_of(each) for each in EMITTED]


class IngestWorld:
    """Put files into the landing folder, look at the source, see what comes of it."""

    def __init__(
        self, folder: Path, mode: str = "append", *, source: str = "", uri: str = "landing/*", kind: str = "files"
    ):
        self.folder = folder
        (folder / "pipelines").mkdir(parents=True)
        (folder / "landing").mkdir()
        self.define(mode, source=source, uri=uri, kind=kind)
        made = make_process(folder, TurnedClock())
        self.process: Process = replace(made, objects=FolderObjectStore(folder / "store" / "objects", durable=False))
        watch(self.process, TOPICS)
        self.count = 0

    def define(self, mode: str, *, source: str = "", uri: str = "landing/*", kind: str = "files") -> None:
        located = f", uri: '{uri}'" if uri else ""
        text = (
            f"pipeline: things\nsource: {{kind: {kind}{located}{source}}}\ncontract: contracts/things.odcs.yaml\n"
            f"destination: {{table: shop.things, mode: {mode}}}\n"
        )
        (self.folder / "pipelines" / "things.yaml").write_text(text)

    def put(self, name: str, content: bytes, arrived: int = 0) -> Path:
        """A file that arrived at ``arrived`` (nanoseconds; 0: later than those before)."""
        self.count += 1
        path = self.folder / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        moment = arrived or self.count * 1_000_000_000
        os.utime(path, ns=(moment, moment))
        return path

    def due(self, about: str = "", **fields: Any) -> SourceDue:
        self.count += 1
        return SourceDue(
            id=about or f"due{self.count}", time=1, subject="things", correlation_id="c", pipeline="things", **fields
        )

    def handle(self, event: Event, service: Service = SERVICE) -> list[Event]:
        return handle(self.process, service, event)

    def deliver(self, event: Event, process: Process | None = None) -> Outcome:
        """Through the runtime."""
        sent = encode(event, "/test")
        return (process or self.process).runtime().deliver(SERVICE, sent.topic, sent.data, sent.attributes)

    def announced(self, **fields: Any) -> list[DeliveryArrived]:
        """What a look at the source announces."""
        return [each for each in self.handle(self.due(**fields)) if isinstance(each, DeliveryArrived)]

    def take_in(self, order: Callable[[list[Event]], list[Event]] = list) -> list[Event]:
        """Look at the source and handle everything that follows of it; all that was emitted."""
        queue: list[Event] = [self.due()]
        emitted: list[Event] = []
        for _ in range(10_000):
            if not queue:
                return emitted
            event = queue.pop(0)
            if type(event) in SERVICE.handlers:
                made = self.handle(event)
                emitted += made
                queue = order([*queue, *made])
        raise AssertionError("it never ends")

    def deliveries(self) -> dict[str, Document]:
        """By name of the file."""
        return {str(stored.data["name"]): stored.data for stored in self.process.store.query("deliveries")}

    def news(self) -> list[str]:
        """Names of the deliveries that were read, in order."""
        found = [each for each in self.deliveries().values() if each["readings"]]
        return [str(each["name"]) for each in sorted(found, key=lambda each: str(each["seq"]))]

    def raw(self, document: Document) -> bytes:
        with self.process.objects.read(document["raw_path"]) as stream:
            return stream.read()

    def staged_rows(self, parts: Sequence[str]) -> int:
        rows = 0
        for path in parts:
            with self.process.objects.read(path) as stream:
                rows += pq.ParquetFile(stream).metadata.num_rows
        return rows

    def reread(self, batch: str, attempt: int = 2, options: object = None, **fields: Any) -> SourceReread:
        text = options if isinstance(options, str) else json.dumps(options or {"format": "csv", "delimiter": ";"})
        return SourceReread(
            id=f"reread {batch} {attempt} {text} {fields}", time=1, subject=batch, correlation_id="c",
            pipeline="things", remedy_id="r1", batch_id=batch, attempt=attempt, reading_options_json=text, **fields,
        )  # fmt: skip

    def send(self, topic: str, data: bytes, attributes: dict[str, str] | None = None, message_id: str = "") -> Outcome:
        """A message of a topic without schema."""
        self.count += 1
        given = message_id or f"m{self.count}"
        return self.process.runtime().deliver(SERVICE, topic, data, attributes or {}, message_id=given)

    def request(self, data: bytes) -> Outcome:
        return self.send(REQUESTS_TOPIC, data)

    def signal(self, data: bytes, kind: str = "") -> Outcome:
        return self.send(SIGNALS_TOPIC, data, {"kind": kind} if kind else {})

    def dead_letter(self, data: bytes, attributes: dict[str, str]) -> Outcome:
        return self.send(DEAD_LETTER_TOPIC, data, attributes)

    def seen(self) -> list[Event]:
        return seen(self.process, TOPICS)

    def incidents(self) -> list[IncidentOpened]:
        return [each for each in self.seen() if isinstance(each, IncidentOpened)]
