"""What Google Cloud sends beside plain events: storage events, dead letters, ordering keys, a scheduler's minutes."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Request
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from services.ingest.handlers import SERVICE
from shared.domain.errors import StoreUnavailable
from shared.events.codec import encode, topic_of
from shared.events.types import ClockTicked, SourceDue
from shared.ports.event_bus import DEAD_LETTER_TOPIC, REQUESTS_TOPIC
from shared.ports.gauges import Gauge
from shared.ports.state_store import StateStore
from shared.runtime import http
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process, seen, watch

EVENT = SourceDue(id="e1", time=1, subject="s", correlation_id="c", pipeline="p")
DUE, TICKED = topic_of(SourceDue), topic_of(ClockTicked)


def request(data: bytes = b"", headers: dict[str, str] | None = None, method: str = "POST") -> Request:
    return Request(EnvironBuilder(path="/", method=method, data=data, headers=Headers(headers or {})).get_environ())


def wrapped(data: bytes, attributes: dict[str, str], subscription: str, **message: Any) -> bytes:
    whole = {"data": base64.b64encode(data).decode(), "attributes": attributes, "messageId": "7", **message}
    return json.dumps({"message": whole, "subscription": f"projects/p/subscriptions/{subscription}"}).encode()


def test_an_ordering_key_is_not_lost() -> None:
    sent = encode(EVENT, "/test")
    told = http.unwrap(wrapped(sent.data, sent.attributes, f"box.{sent.topic}", orderingKey="k1"), {})
    assert told.attributes[http.ORDERING_KEY] == "k1"
    told = http.unwrap(sent.data, {**sent.attributes, "x-goog-pubsub-ordering-key": "k2"})
    assert told.attributes[http.ORDERING_KEY] == "k2"
    assert http.ORDERING_KEY not in http.unwrap(sent.data, sent.attributes).attributes


def test_a_dead_letter_is_one_whatever_its_type() -> None:
    sent = encode(EVENT, "/test")
    buried = {
        **sent.attributes,
        "CloudPubSubDeadLetterSourceDeliveryCount": "20",
        "CloudPubSubDeadLetterSourceSubscription": f"load.{DUE}",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-01-01T00:00:00Z",
    }
    told = http.unwrap(wrapped(sent.data, buried, f"ingest.{DEAD_LETTER_TOPIC}"), {})
    assert told.topic == DEAD_LETTER_TOPIC
    assert told.attributes == {
        **sent.attributes,
        "mend-dead-subscription": f"load.{DUE}",
        "mend-dead-topic": DUE,
        "mend-dead-attempts": "20",
    }


STORED = {
    "ce-type": http.STORED,
    "ce-id": "1",
    "ce-source": "//storage.googleapis.com/projects/_/buckets/landing",
    "ce-subject": "objects/shop/landing/orders%201.csv",
    "ce-specversion": "1.0",
    "content-type": "application/json",
}


@pytest.mark.parametrize(
    "body", [b'{"bucket": "landing", "name": "shop/landing/orders 1.csv", "generation": "5"}', b"no json", b"[]"]
)
def test_an_object_that_has_landed_is_a_request(body: bytes) -> None:
    told = http.unwrap(body, STORED)
    assert told.topic == REQUESTS_TOPIC
    assert json.loads(told.data) == {"uri": "gs://landing/shop/landing/orders 1.csv", "by": "storage"}
    assert told.message_id


def put_pipeline(folder: Path, name: str, uri: str) -> None:
    (folder / "pipelines").mkdir(exist_ok=True)
    text = f"pipeline: {name}\nsource: {{kind: files, uri: {uri}}}\ncontract: contracts/c.yaml\n"
    (folder / "pipelines" / f"{name}.yaml").write_text(f"{text}destination: {{table: shop.{name}, mode: append}}\n")


def test_the_request_goes_to_the_pipelines_whose_source_it_is(tmp_path: Path) -> None:
    put_pipeline(tmp_path, "relative", "landing/*.csv")
    put_pipeline(tmp_path, "whole", "gs://landing/shop/landing/orders*")
    put_pipeline(tmp_path, "other", "gs://landing/shop/customers/*.csv")
    process = make_process(tmp_path, TurnedClock())
    watch(process, [DUE])
    body = b'{"bucket": "landing", "name": "shop/landing/orders 1.csv", "generation": "5"}'
    for _ in range(2):  # told twice
        assert http.answer(SERVICE, process.runtime(), request(body, STORED))[1] == http.ACKNOWLEDGED
    events = [event for event in seen(process, [DUE]) if isinstance(event, SourceDue)]
    assert sorted((event.pipeline, event.uri) for event in events) == [
        ("relative", "gs://landing/shop/landing/orders 1.csv"),
        ("whole", "gs://landing/shop/landing/orders 1.csv"),
    ]
    ours = b'{"bucket": "objects", "name": "raw/relative/b1/x.csv", "generation": "6"}'
    assert http.answer(SERVICE, process.runtime(), request(ours, STORED))[1] == http.ACKNOWLEDGED
    assert seen(process, [DUE]) == []


@pytest.fixture
def process(tmp_path: Path) -> Process:
    made = make_process(tmp_path, TurnedClock())
    watch(made, [TICKED])
    return made


def test_a_minute_told_twice_is_one_tick(process: Process) -> None:
    headers = {"X-CloudScheduler-ScheduleTime": "2026-01-01T00:01:00Z"}
    for _ in range(2):
        assert http.ticked(process.bus, process.clock.now(), request(headers=headers))[1] == http.ACKNOWLEDGED
        process.clock.sleep(3)
    assert len({event.id for event in seen(process, [TICKED])}) == 1
    assert http.ticked(process.bus, 1, request(method="GET"))[1] == 405


def test_how_things_stand_is_written_when_a_scheduler_asks(process: Process) -> None:
    written: list[tuple[Sequence[Gauge], int]] = []

    class Kept:
        def write(self, gauges: Sequence[Gauge], now: int) -> None:
            if written:
                raise StoreUnavailable("Cloud Monitoring: no")
            written.append((gauges, now))

    def found(store: StateStore, now: int) -> list[Gauge]:
        assert store is process.store
        return [Gauge("n", 1.0, {})]

    asked = request(b"")
    assert http.measured(process.store, Kept(), 7, found, asked)[1] == http.ACKNOWLEDGED
    assert written == [([Gauge("n", 1.0, {})], 7)]
    assert http.measured(process.store, Kept(), 8, found, asked)[1] == http.DELIVER_AGAIN
    assert http.measured(process.store, Kept(), 9, found, request(method="GET"))[1] == 405


def test_a_probe_is_no_event(process: Process) -> None:
    for method in ("GET", "HEAD", "PUT"):
        assert http.answer(SERVICE, process.runtime(), request(method=method))[1] == 405
