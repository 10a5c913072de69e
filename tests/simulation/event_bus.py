"""The bus in memory: leases, ordering keys and dead letters as the port promises them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.domain.checks import check
from shared.domain.errors import LimitExceeded
from shared.ports.clock import Clock
from shared.ports.event_bus import DEAD_LETTER_TOPIC, BusLimits, Delivery, Message, Subscription


@dataclass(slots=True)
class _Waiting:
    """A message in one subscription."""

    number: int
    message: Message
    published_at: int
    due_at: int
    attempts: int = 0
    held: bool = False


class SimulatedEventBus:
    """Every message ever published stays in ``published``, in order."""

    def __init__(self, clock: Clock) -> None:
        self.limits = BusLimits()
        self.published: list[Message] = []
        self.twice: Callable[[], bool] = lambda: False  # whether the next dead letter is published twice
        self.buried: Counter[str] = Counter()
        self._dead: set[tuple[str, str]] = set()  # by subscription: events that died there
        self._clock = clock
        self._subscriptions: dict[str, Subscription] = {}
        self._topics: dict[str, list[str]] = {}
        self._queues: dict[str, dict[int, _Waiting]] = {}

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Create those that do not exist yet."""
        for each in subscriptions:
            if each.name not in self._subscriptions:
                self._topics.setdefault(each.topic, []).append(each.name)
                self._queues[each.name] = {}
            self._subscriptions[each.name] = each

    def publish(self, messages: Sequence[Message]) -> list[str]:
        """All or none."""
        for message in messages:
            self._refuse(message)
        now = self._clock.now()
        ids = []
        for message in messages:
            number = len(self.published) + 1
            self.published.append(message)
            ids.append(str(number))
            for name in self._topics.get(message.topic, ()):
                self._queues[name][number] = _Waiting(number, message, now, now)
        return ids

    def busy(self, subscriptions: Sequence[str]) -> list[str]:
        """Those that hold any message."""
        return [name for name in subscriptions if self._queues[name]]

    def pull(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        """By priority, then in the order of publication."""
        now = self._clock.now()
        due: list[tuple[int, int, str]] = []
        for name in dict.fromkeys(subscriptions):
            check(name in self._subscriptions, f"there is no subscription {name}; subscribe first")
            queue = self._queues[name]
            if not queue:
                continue
            self._bury_spent(name, now)
            priority = self._subscriptions[name].priority
            due += [
                (priority, each.number, name) for each in queue.values() if each.due_at <= now and _free(each, queue)
            ]
        due.sort()
        lease_end = now + int(lease_seconds * 1_000_000)
        return [self._lease(name, number, lease_end) for _, number, name in due[:messages_max]]

    def ack(self, delivery: Delivery) -> None:
        """Gone, unless somebody else holds it by now."""
        queue = self._queues[delivery.subscription.name]
        waiting = queue.get(int(delivery.message_id))
        if waiting is not None and waiting.attempts == delivery.attempt:
            del queue[waiting.number]

    def nack(self, delivery: Delivery, delay_seconds: float) -> None:
        """Back into the queue, or to the dead letters."""
        name = delivery.subscription.name
        waiting = self._queues[name].get(int(delivery.message_id))
        if waiting is None or waiting.attempts != delivery.attempt:
            return
        if self._spent(name, waiting):
            self._bury(name, waiting)
            return
        waiting.due_at = self._clock.now() + int(max(0.0, delay_seconds) * 1_000_000)
        waiting.held = False

    def next_due(self, subscriptions: Sequence[str]) -> int | None:
        """The earliest, those held by somebody counting with the end of their lease."""
        times = [
            each.due_at
            for name in set(subscriptions)
            if (queue := self._queues[name])
            for each in queue.values()
            if _free(each, queue)
        ]
        return min(times, default=None)

    def under_way(self, subscriptions: Sequence[str]) -> int:
        """Due now, or held by somebody."""
        now = self._clock.now()
        return sum(
            (each.held and each.due_at > now) or (each.due_at <= now and _free(each, queue))
            for name in set(subscriptions)
            if (queue := self._queues[name])
            for each in queue.values()
        )

    def abandon(self) -> None:
        """Whoever held messages is seen to be dead: they are due at once."""
        now = self._clock.now()
        for queue in self._queues.values():
            for each in queue.values():
                if each.held:
                    each.due_at, each.held = min(each.due_at, now), False

    def _lease(self, name: str, number: int, lease_end: int) -> Delivery:
        waiting = self._queues[name][number]
        waiting.attempts += 1
        waiting.due_at, waiting.held = lease_end, True
        message = waiting.message
        return Delivery(
            ack_id=f"{name}:{number}:{waiting.attempts}",
            message_id=str(number),
            subscription=self._subscriptions[name],
            data=message.data,
            attributes=dict(message.attributes),
            ordering_key=message.ordering_key,
            attempt=waiting.attempts,
            published_at=waiting.published_at,
        )

    def _spent(self, name: str, waiting: _Waiting) -> bool:
        mine = self._subscriptions[name]
        return waiting.attempts >= self.limits.deliveries_max and mine.topic != DEAD_LETTER_TOPIC

    def _bury_spent(self, name: str, now: int) -> None:
        for each in [each for each in self._queues[name].values() if each.due_at <= now and self._spent(name, each)]:
            self._bury(name, each)

    def _bury(self, name: str, waiting: _Waiting) -> None:
        del self._queues[name][waiting.number]
        told = {
            "mend-dead-subscription": name,
            "mend-dead-topic": self._subscriptions[name].topic,
            "mend-dead-attempts": str(waiting.attempts),
        }
        letter = Message(DEAD_LETTER_TOPIC, waiting.message.data, {**waiting.message.attributes, **told})
        twice = self.twice()
        dead = (name, waiting.message.attributes.get("ce-id", ""))
        self.buried["bus: a dead letter"] += 1
        self.buried["bus: a dead letter that is published twice"] += twice
        self.buried["bus: a dead letter of an event that had died before"] += dead in self._dead
        self._dead.add(dead)
        self.publish([letter] * (2 if twice else 1))

    def _refuse(self, message: Message) -> None:
        limits = self.limits
        beyond = (
            len(message.data) > limits.message_bytes_max
            or len(message.attributes) > limits.attributes_max
            or any(len(key.encode()) > limits.attribute_key_bytes_max for key in message.attributes)
            or any(len(value.encode()) > limits.attribute_value_bytes_max for value in message.attributes.values())
        )
        if beyond:
            raise LimitExceeded(f"a message to {message.topic} is beyond the limits")


def _free(waiting: _Waiting, queue: dict[int, _Waiting]) -> bool:
    """True unless an earlier message of its ordering key is not done with."""
    key = waiting.message.ordering_key
    if not key:
        return True
    return not any(each.number < waiting.number and each.message.ordering_key == key for each in queue.values())
