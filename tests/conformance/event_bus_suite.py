"""What every bus does: durable at least once, leases, ordering keys, dead letters."""

from collections.abc import Sequence
from typing import ClassVar

import pytest

from shared.domain.errors import LimitExceeded, MendError
from shared.ports.clock import Clock
from shared.ports.event_bus import DEAD_LETTER_TOPIC, Delivery, EventBus, Message, Subscription

A = Subscription("a.orders", "orders", "a", 30)
B = Subscription("b.orders", "orders", "b", 20)
OTHER = Subscription("a.other", "other", "a", 10)
DEAD = Subscription("ingest.dead", DEAD_LETTER_TOPIC, "ingest", 50)
LEASE = 10.0


class BusFixtures:
    """Subclasses supply the fixtures ``clock`` and ``bus``; a difference that is known is one of these flags."""

    knows_priorities: ClassVar[bool] = True
    knows_next_due: ClassVar[bool] = True
    keeps_order: ClassVar[bool] = True  # of messages without key
    forgets_late_acks: ClassVar[bool] = False  # an acknowledgement after the lease's end does not count
    keeps_keys_after_refusal: ClassVar[bool] = True  # nothing of a key goes past a refused message of it
    buries_with_keys: ClassVar[bool] = True  # a queue that keeps order has dead letters too

    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError

    @pytest.fixture
    def bus(self) -> EventBus:
        raise NotImplementedError

    def pull(self, bus: EventBus, names: Sequence[str], count: int = 100) -> list[Delivery]:
        """What is due; an adapter that needs a moment for it overrides this."""
        return bus.pull(names, count, LEASE)

    def contents(self, bus: EventBus, *names: str) -> list[bytes]:
        found = [delivery.data for delivery in self.pull(bus, names)]
        return found if self.keeps_order else sorted(found)


class OrderingKeysSuite(BusFixtures):
    """What a bus does with ordering keys."""

    def test_one_key_one_after_the_other(self, bus: EventBus) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", f"{key}{n}".encode(), {}, key) for n in range(3) for key in ("x", "y")])
        bus.publish([Message("orders", b"free", {})])
        seen: list[bytes] = []
        for _ in range(3):
            deliveries = self.pull(bus, [A.name])
            assert len({each.ordering_key for each in deliveries}) == len(deliveries), "two of one key at once"
            assert self.contents(bus, A.name) == []
            seen += [each.data for each in deliveries]
            for each in deliveries:
                bus.ack(each)
        for key in (b"x", b"y"):
            assert [each for each in seen if each.startswith(key)] == [key + n for n in (b"0", b"1", b"2")]
        assert b"free" in seen

    def test_a_refused_message_holds_its_key_back_and_no_other(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A, B])
        bus.publish([Message("orders", b"x0", {}, "x"), Message("orders", b"x1", {}, "x")])
        [delivery] = self.pull(bus, [A.name])
        bus.nack(delivery, 5.0)
        bus.publish([Message("orders", b"y0", {}, "y")])
        if not self.keeps_keys_after_refusal:
            return
        assert self.contents(bus, A.name) == [b"y0"]
        assert sorted(self.contents(bus, B.name)) == [b"x0", b"y0"]
        clock.sleep(6.0)
        assert self.contents(bus, A.name) == [b"x0"]

    def test_a_dead_message_lets_its_key_go_on(self, bus: EventBus) -> None:
        if not self.buries_with_keys:
            return
        bus.subscribe([A, DEAD])
        bus.publish([Message("orders", b"x0", {}, "x"), Message("orders", b"x1", {}, "x")])
        for _ in range(bus.limits.deliveries_max):
            [delivery] = self.pull(bus, [A.name])
            assert delivery.data == b"x0"
            bus.nack(delivery, 0.0)
        assert self.contents(bus, A.name) == [b"x1"]
        assert self.contents(bus, DEAD.name) == [b"x0"]


class EventBusSuite(BusFixtures):
    """Everything else that a bus does."""

    # ── publish and pull ──

    def test_every_subscription_of_a_topic_gets_the_message(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A, B, OTHER])
        before = clock.now()
        [message_id] = bus.publish([Message("orders", b"\x00\xff", {"ce-x": "é", "empty": ""})])
        for subscription in (A, B):
            [delivery] = self.pull(bus, [subscription.name])
            assert delivery.data == b"\x00\xff"
            assert dict(delivery.attributes) == {"ce-x": "é", "empty": ""}
            assert delivery.message_id == message_id
            assert delivery.subscription == subscription
            assert (delivery.attempt, delivery.ordering_key) == (1, "")
            assert before - 1_000 <= delivery.published_at <= clock.now()  # some write it in whole milliseconds
        assert self.contents(bus, OTHER.name) == []

    def test_messages_before_the_subscription_do_not_reach_it(self, bus: EventBus) -> None:
        bus.publish([Message("orders", b"early", {})])
        bus.subscribe([A])
        bus.publish([Message("orders", b"late", {})])
        assert self.contents(bus, A.name) == [b"late"]

    def test_subscribing_again_keeps_what_waits(self, bus: EventBus) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", b"1", {})])
        bus.subscribe([A, B])
        assert self.contents(bus, A.name) == [b"1"]
        assert self.contents(bus, B.name) == []

    def test_ids_are_in_order_and_differ(self, bus: EventBus) -> None:
        bus.subscribe([A])
        ids = bus.publish([Message("orders", str(n).encode(), {}) for n in range(10)])
        assert len(set(ids)) == 10
        assert {delivery.message_id: delivery.data for delivery in self.pull(bus, [A.name])} == {
            each: str(n).encode() for n, each in enumerate(ids)
        }

    def test_nothing_published_is_nothing(self, bus: EventBus) -> None:
        bus.subscribe([A])
        assert bus.publish([]) == []
        assert self.contents(bus, A.name) == []

    def test_pull_takes_no_more_than_asked(self, bus: EventBus) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", str(n).encode(), {}) for n in range(5)])
        first = self.pull(bus, [A.name], 2)
        second = self.pull(bus, [A.name], 10)
        assert len(first) == 2
        assert sorted(each.data for each in first + second) == [b"0", b"1", b"2", b"3", b"4"]

    def test_publication_order_without_keys(self, bus: EventBus) -> None:
        bus.subscribe([A])
        for n in range(5):
            bus.publish([Message("orders", str(n).encode(), {})])
        assert self.contents(bus, A.name) == [b"0", b"1", b"2", b"3", b"4"]

    def test_lower_priority_first_then_publication(self, bus: EventBus) -> None:
        bus.subscribe([A, B, OTHER])
        bus.publish([Message("orders", b"1", {}), Message("other", b"2", {}), Message("orders", b"3", {})])
        found = [(each.subscription.name, each.data) for each in self.pull(bus, [A.name, B.name, OTHER.name])]
        expected = [
            (OTHER.name, b"2"),
            (B.name, b"1"),
            (B.name, b"3"),
            (A.name, b"1"),
            (A.name, b"3"),
        ]
        assert found == expected if self.knows_priorities else sorted(found) == sorted(expected)

    def test_equal_priorities_share_publication_order(self, bus: EventBus) -> None:
        bus.subscribe([A, Subscription("z.other", "other", "z", A.priority)])
        for n in range(6):
            bus.publish([Message("orders" if n % 2 else "other", str(n).encode(), {})])
        assert self.contents(bus, A.name, "z.other") == [b"0", b"1", b"2", b"3", b"4", b"5"]

    def test_an_unknown_subscription_is_refused(self, bus: EventBus) -> None:
        with pytest.raises(MendError):
            bus.pull(["nobody"], 1, LEASE)

    # ── leases ──

    def test_a_leased_message_is_nobody_elses_until_the_lease_ends(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", b"1", {})])
        [first] = self.pull(bus, [A.name])
        clock.sleep(LEASE * 0.5)
        assert self.contents(bus, A.name) == []
        clock.sleep(LEASE * 0.6)
        [second] = self.pull(bus, [A.name])
        assert (first.attempt, second.attempt) == (1, 2)
        assert (second.message_id, second.data) == (first.message_id, b"1")

    def test_acknowledged_is_gone(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A, B])
        bus.publish([Message("orders", b"1", {})])
        [delivery] = self.pull(bus, [A.name])
        bus.ack(delivery)
        bus.ack(delivery)
        clock.sleep(LEASE * 3)
        assert self.contents(bus, A.name) == []
        assert self.contents(bus, B.name) == [b"1"]

    def test_a_late_acknowledgement_does_no_harm(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", b"1", {})])
        [first] = self.pull(bus, [A.name])
        clock.sleep(LEASE * 1.1)
        bus.ack(first)
        assert self.contents(bus, A.name) == ([b"1"] if self.forgets_late_acks else [])

    def test_the_second_receiver_decides(self, bus: EventBus, clock: Clock) -> None:
        """Goal: whoever holds the message last cannot lose it through the one whose lease ended."""
        bus.subscribe([A])
        bus.publish([Message("orders", b"1", {})])
        [first] = self.pull(bus, [A.name])
        clock.sleep(LEASE * 1.1)
        [second] = self.pull(bus, [A.name])
        bus.nack(first, 0.0)
        assert self.contents(bus, A.name) == []
        bus.ack(second)
        bus.nack(second, 0.0)
        clock.sleep(LEASE * 3)
        assert self.contents(bus, A.name) == []

    # ── refusals and dead letters ──

    def test_refused_comes_back_after_the_delay(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", b"1", {"k": "v"})])
        [delivery] = self.pull(bus, [A.name])
        bus.nack(delivery, 5.0)
        clock.sleep(4.0)
        assert self.contents(bus, A.name) == []
        clock.sleep(1.5)
        [again] = self.pull(bus, [A.name])
        assert again.attempt == 2
        assert dict(again.attributes) == {"k": "v"}

    def test_refused_without_delay_comes_back_at_once(self, bus: EventBus) -> None:
        bus.subscribe([A])
        bus.publish([Message("orders", b"1", {})])
        [delivery] = self.pull(bus, [A.name])
        bus.nack(delivery, 0.0)
        assert self.contents(bus, A.name) == [b"1"]

    @pytest.mark.parametrize("by", ["nack", "lease"])
    def test_a_message_nobody_can_take_becomes_a_dead_letter(self, bus: EventBus, clock: Clock, by: str) -> None:
        bus.subscribe([A, B, DEAD])
        bus.publish([Message("orders", b"bad", {"ce-id": "e1"})])
        for attempt in range(1, bus.limits.deliveries_max + 1):
            [delivery] = self.pull(bus, [A.name])
            assert delivery.attempt == attempt
            assert self.contents(bus, DEAD.name) == []
            if by == "nack":
                bus.nack(delivery, 0.0)
            else:
                clock.sleep(LEASE * 1.1)
        assert self.contents(bus, A.name) == []
        [dead] = self.pull(bus, [DEAD.name])
        assert dead.data == b"bad"
        assert dict(dead.attributes) == {
            "ce-id": "e1",
            "mend-dead-subscription": A.name,
            "mend-dead-topic": "orders",
            "mend-dead-attempts": str(bus.limits.deliveries_max),
        }
        assert self.contents(bus, B.name) == [b"bad"]

    def test_a_dead_letter_is_never_lost(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([DEAD])
        bus.publish([Message(DEAD_LETTER_TOPIC, b"bad", {})])
        for _ in range(bus.limits.deliveries_max + 3):
            [delivery] = self.pull(bus, [DEAD.name])
            bus.nack(delivery, 0.0)
        assert self.contents(bus, DEAD.name) == [b"bad"]

    # ── next_due ──

    def test_next_due(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A, OTHER])
        names = [A.name, OTHER.name]
        assert bus.next_due(names) is None
        if not self.knows_next_due:
            return
        start = clock.now()
        bus.publish([Message("orders", b"1", {}, "k"), Message("orders", b"2", {}, "k")])
        assert bus.next_due(names) == start
        [delivery] = self.pull(bus, [A.name])
        assert bus.next_due(names) == start + int(LEASE * 1_000_000), "the second of the key cannot be pulled now"
        bus.nack(delivery, 3.0)
        assert bus.next_due(names) == start + 3_000_000
        assert bus.next_due([OTHER.name]) is None
        clock.sleep(3.0)
        for _ in range(2):
            [delivery] = self.pull(bus, [A.name])
            bus.ack(delivery)
        assert bus.next_due(names) is None

    def test_what_is_under_way(self, bus: EventBus, clock: Clock) -> None:
        bus.subscribe([A, OTHER])
        names = [A.name, OTHER.name]
        assert bus.under_way(names) == 0
        if not self.knows_next_due:
            return
        bus.publish([Message("orders", b"1", {}, "k"), Message("orders", b"2", {}, "k")])
        assert bus.under_way(names) == 1, "the second of the key waits for the first"
        assert bus.under_way([OTHER.name]) == 0
        [delivery] = self.pull(bus, [A.name])
        assert bus.under_way(names) == 1, "somebody handles it"
        bus.nack(delivery, 3.0)
        assert bus.under_way(names) == 0, "it comes again later"
        clock.sleep(3.0)
        for left in (1, 0):
            [delivery] = self.pull(bus, [A.name])
            bus.ack(delivery)
            assert bus.under_way(names) == left

    # ── limits ──

    @pytest.mark.parametrize("what", ["bytes", "attributes", "key", "value"])
    def test_beyond_the_limits_nothing_is_published(self, bus: EventBus, what: str) -> None:
        limits = bus.limits
        largest, beyond = {
            "bytes": (
                Message("orders", b"x" * limits.message_bytes_max, {}),
                Message("orders", b"x" * (limits.message_bytes_max + 1), {}),
            ),
            "attributes": (
                Message("orders", b"x", {f"k{n}": "" for n in range(limits.attributes_max)}),
                Message("orders", b"x", {f"k{n}": "" for n in range(limits.attributes_max + 1)}),
            ),
            "key": (
                Message("orders", b"x", {"k" * limits.attribute_key_bytes_max: ""}),
                Message("orders", b"x", {"é" * (limits.attribute_key_bytes_max // 2) + "k": ""}),
            ),
            "value": (
                Message("orders", b"x", {"k": "v" * limits.attribute_value_bytes_max}),
                Message("orders", b"x", {"k": "é" * (limits.attribute_value_bytes_max // 2) + "v"}),
            ),
        }[what]
        bus.subscribe([A])
        with pytest.raises(LimitExceeded):
            bus.publish([Message("orders", b"fine", {}), beyond])
        assert self.contents(bus, A.name) == []
        if what != "bytes" or limits.message_bytes_max <= 10_000_000:
            bus.publish([largest])
            assert len(self.pull(bus, [A.name])) == 1
