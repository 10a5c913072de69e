"""What cannot be reached says so within half a minute, long before Pub/Sub gives up a push."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.adapters.gcp.event_bus import PubsubEventBus
from shared.adapters.gcp.patience import CALL_SECONDS
from shared.adapters.gcp.secrets import SecretManagerSecrets
from shared.adapters.gcp.state_store import FirestoreStateStore
from shared.adapters.local.clock import SystemClock
from shared.domain.errors import StoreUnavailable
from shared.ports.event_bus import Delivery, Message, Subscription
from shared.ports.state_store import Expect, Put

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


def refused_after(call: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        call()
    return time.monotonic() - began


def test_nobody_waits_longer_than_half_a_minute() -> None:
    """All at once: each waits nearly as long as it may."""
    with ThreadPoolExecutor(len(CALLS)) as pool:
        waited = dict(zip(CALLS, pool.map(refused_after, CALLS.values()), strict=True))
    assert {name: seconds for name, seconds in waited.items() if seconds > CALL_SECONDS} == {}
