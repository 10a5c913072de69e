"""What cannot be reached says so within half a minute, long before Pub/Sub gives up a push."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.adapters.gcp import warehouse_jobs
from shared.adapters.gcp.event_bus import PubsubEventBus
from shared.adapters.gcp.object_store import GcsObjectStore, bucket_of
from shared.adapters.gcp.patience import CALL_SECONDS
from shared.adapters.gcp.secrets import SecretManagerSecrets
from shared.adapters.gcp.state_store import FirestoreStateStore
from shared.adapters.gcp.warehouse import BigQueryWarehouse, client_of
from shared.adapters.local.clock import SystemClock
from shared.domain.errors import ObjectsUnavailable, StoreUnavailable, WarehouseUnavailable
from shared.ports.event_bus import Delivery, Message, Subscription
from shared.ports.state_store import Expect, Put
from shared.ports.warehouse import Layout, LoadJob, TableColumn
from tests.emulators.http_server import Answer, Recorder

NOBODY = "127.0.0.1:9"  # where nobody listens
SUBSCRIPTION = Subscription("s.t", "t", "s")
DELIVERY = Delivery("a", "1", SUBSCRIPTION, b"x", {}, "", 1, 0)


def bus() -> PubsubEventBus:
    made = PubsubEventBus("p", emulator=NOBODY)
    made._known[SUBSCRIPTION.name] = SUBSCRIPTION
    return made


def store() -> FirestoreStateStore:
    return FirestoreStateStore("p", emulator=NOBODY)


CALLS: dict[str, Callable[[], object]] = {
    "publish": lambda: bus().publish([Message("t", b"x", {})]),
    "subscribe": lambda: bus().subscribe([SUBSCRIPTION]),
    "pull": lambda: bus().pull([SUBSCRIPTION.name], 1, 10),
    "ack": lambda: bus().ack(DELIVERY),
    "nack": lambda: bus().nack(DELIVERY, 1),
    "get": lambda: store().get("deliveries", "k"),
    "query": lambda: store().query("deliveries"),
    "commit": lambda: store().commit([Put("deliveries", "k", {})]),
    "transaction": lambda: store().commit([Put("deliveries", "k", {})], [Expect("deliveries", "other", 1)]),
    "secret": lambda: SecretManagerSecrets("p", SystemClock(), server=NOBODY).get("s"),
}


def refused_after(call: Callable[[], object], error: type[Exception] = StoreUnavailable) -> float:
    began = time.monotonic()
    with pytest.raises(error):
        call()
    return time.monotonic() - began


def test_nobody_waits_longer_than_half_a_minute() -> None:
    """All at once: each waits nearly as long as it may."""
    with ThreadPoolExecutor(len(CALLS)) as pool:
        waited = dict(zip(CALLS, pool.map(refused_after, CALLS.values()), strict=True))
    assert {name: seconds for name, seconds in waited.items() if seconds > CALL_SECONDS} == {}


JOB = LoadJob("j", "d.t", "append", ("passed/b/a1/0.parquet",), (TableColumn("k", "integer"),), (), "b", "1")
WAREHOUSE_CALLS: dict[str, Callable[[BigQueryWarehouse], object]] = {
    "describe": lambda to: to.describe("d.t"),
    "keys": lambda to: to.keys("d.t", ["k"]),
    "query": lambda to: to.query("SELECT k FROM d.t"),
    "ensure": lambda to: to.ensure("d.t", [TableColumn("k", "integer")], Layout()),
    "run": lambda to: to.run(JOB),
    "dump": lambda to: list(to.dump("d.t")),
}


@pytest.mark.parametrize("name", WAREHOUSE_CALLS)
def test_nobody_waits_for_bigquery_longer_than_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is tried again as long as one constant says (a minute); left to itself the client takes ten."""
    monkeypatch.setattr(warehouse_jobs, "_PATIENCE_SECONDS", 0.5)
    objects = GcsObjectStore(bucket_of("p", "b", f"http://{NOBODY}"), retry_seconds=0.5)
    warehouse = BigQueryWarehouse(client_of("p", "US", f"http://{NOBODY}"), objects)
    error = ObjectsUnavailable if name == "run" else WarehouseUnavailable
    assert refused_after(lambda: WAREHOUSE_CALLS[name](warehouse), error) < 20


def test_a_query_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse_jobs, "_WAIT_SECONDS_MAX", 1.0)
    reference = {"projectId": "p", "jobId": "j", "location": "US"}
    running = {"jobReference": reference, "jobComplete": False, "status": {"state": "RUNNING"}}

    with Recorder(lambda _: Answer(200, running)) as server:
        client = client_of("p", "US", server.url)
        began = time.monotonic()
        with pytest.raises(WarehouseUnavailable), warehouse_jobs.answering():
            warehouse_jobs.asked(client, "SELECT 1", 1_000)
    assert time.monotonic() - began < 30
