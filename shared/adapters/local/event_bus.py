"""The bus on one SQLite file: durable, at least once, with leases, ordering keys and dead letters; and the history."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby

from shared.adapters.local import lease_holder
from shared.adapters.local.store_file import StoreFile, next_numbers
from shared.domain.checks import check
from shared.domain.errors import LimitExceeded
from shared.ports.clock import Clock
from shared.ports.event_bus import DEAD_LETTER_TOPIC, BusLimits, Delivery, Message, Subscription

PULL_MAX = 1_000

# Due, and not behind an earlier message of its ordering key.
_FREE = """(d.ordering_key = '' OR NOT EXISTS (
    SELECT 1 FROM deliveries e WHERE e.subscription = d.subscription AND e.ordering_key = d.ordering_key
    AND e.ordering_key <> '' AND e.number < d.number))"""
_DUE = f"""SELECT d.number, d.attempts FROM deliveries d
    WHERE d.subscription = ? AND d.due_at <= ? AND {_FREE} ORDER BY d.number LIMIT ?"""
# The subscriptions that have anything at all: one step in the index for each, however much waits.
_WAITING = """WITH RECURSIVE found (name) AS (
    SELECT min(subscription) FROM deliveries
    UNION ALL SELECT (SELECT min(subscription) FROM deliveries WHERE subscription > name) FROM found
    WHERE name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL"""
_EARLIEST = f"SELECT min(d.due_at) FROM deliveries d WHERE d.subscription = ? AND {_FREE}"

_UNDER_WAY = f"""SELECT count(*) FROM deliveries d WHERE d.subscription IN ({{}})
    AND ((d.holder <> '' AND d.due_at > ?) OR (d.due_at <= ? AND {_FREE}))"""


class SqliteEventBus:
    """An ``EventBus`` in a ``StoreFile``.

    Publishing is durable before it returns. Leases, acknowledgements and refusals reach the disk with the next durable
    write: losing one to a power failure means one more delivery, which every receiver must bear anyway.
    An acknowledgement that comes late still counts unless the message was handed out again meanwhile. A dead letter
    that nobody can take is not buried a second time: it is handed out until somebody can.
    """

    def __init__(self, store: StoreFile, clock: Clock, limits: BusLimits | None = None) -> None:
        self.limits = limits or BusLimits()
        self._store = store
        self._clock = clock
        self._known: dict[str, Subscription] = {}

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Create the subscriptions that do not exist yet; service and priority of the others are brought up to date."""
        with self._store.writing() as connection:
            for each in subscriptions:
                row = connection.execute("SELECT topic FROM subscriptions WHERE name = ?", (each.name,)).fetchone()
                check(row is None or row[0] == each.topic, f"subscription {each.name} belongs to another topic")
                connection.execute(
                    "INSERT INTO subscriptions VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                    " service = excluded.service, priority = excluded.priority",
                    each,
                )
        self._known.update({each.name: each for each in subscriptions})

    def publish(self, messages: Sequence[Message]) -> list[str]:
        """Store the messages durably, all or none, before returning their ids."""
        for message in messages:
            self._check_limits(message)
        if not messages:
            return []
        with self._store.writing() as connection:
            return self._publish(connection, messages)

    def pull(self, subscriptions: Sequence[str], messages_max: int, lease_seconds: float) -> list[Delivery]:
        """Lease up to ``messages_max`` due messages, by priority, then in the order of publication."""
        check(messages_max > 0, "at least one message is pulled")
        deliveries: list[Delivery] = []
        with self._store.writing(durable=False) as connection:
            now = self._clock.now()
            self._free_leases_of_the_dead(connection, now)
            lease_end = now + int(lease_seconds * 1_000_000)
            asked = {name: self._subscription(connection, name) for name in subscriptions}
            waiting = {row[0] for row in connection.execute(_WAITING)}
            ordered = sorted((asked[name] for name in waiting.intersection(asked)), key=_priority)
            for _, group in groupby(ordered, key=_priority):
                free = min(messages_max, PULL_MAX) - len(deliveries)
                if free <= 0:
                    break
                due = self._due(connection, list(group), now, free)
                deliveries += self._lease(connection, due, lease_end)
        return deliveries

    def ack(self, delivery: Delivery) -> None:
        """The delivery is done with."""
        with self._store.writing(durable=False) as connection:
            self._remove(connection, delivery.subscription.name, int(delivery.message_id), delivery.attempt)

    def nack(self, delivery: Delivery, delay_seconds: float) -> None:
        """Hand it out again after ``delay_seconds``, or bury it after ``limits.deliveries_max`` attempts."""
        number = int(delivery.message_id)
        with self._store.writing(durable=False) as connection:
            now = self._clock.now()
            if self._exhausted(delivery.subscription, delivery.attempt):
                self._bury(connection, delivery.subscription, number, delivery.attempt, now)
                return
            connection.execute(
                "UPDATE deliveries SET due_at = ?, holder = '' WHERE subscription = ? AND number = ? AND attempts = ?",
                (now + int(max(0.0, delay_seconds) * 1_000_000), delivery.subscription.name, number, delivery.attempt),
            )

    def next_due(self, subscriptions: Sequence[str]) -> int | None:
        """When the earliest message not acknowledged can be pulled; None when there is none."""
        with self._store.reading() as connection:
            found = [connection.execute(_EARLIEST, (name,)).fetchone()[0] for name in set(subscriptions)]
        times = [int(time) for time in found if time is not None]
        return min(times) if times else None

    def under_way(self, subscriptions: Sequence[str]) -> int:
        """How many messages can be pulled now or are being handled by somebody, at one moment."""
        names = sorted(set(subscriptions))
        now = self._clock.now()
        with self._store.reading() as connection:
            found = connection.execute(_UNDER_WAY.format(", ".join("?" * len(names))), (*names, now, now)).fetchone()
        return int(found[0])

    def _check_limits(self, message: Message) -> None:
        limits = self.limits
        if len(message.data) > limits.message_bytes_max:
            raise LimitExceeded(
                f"a message to {message.topic} has {len(message.data)} bytes; at most {limits.message_bytes_max}"
            )
        if len(message.attributes) > limits.attributes_max:
            raise LimitExceeded(
                f"a message to {message.topic} has {len(message.attributes)} attributes; "
                f"at most {limits.attributes_max}"
            )
        for key, value in message.attributes.items():
            if len(key.encode()) > limits.attribute_key_bytes_max:
                raise LimitExceeded(f"an attribute's name has more than {limits.attribute_key_bytes_max} bytes")
            if len(value.encode()) > limits.attribute_value_bytes_max:
                raise LimitExceeded(f"attribute {key} has more than {limits.attribute_value_bytes_max} bytes")

    def _subscription(self, connection: sqlite3.Connection, name: str) -> Subscription:
        known = self._known.get(name)
        if known is None:
            row = connection.execute("SELECT * FROM subscriptions WHERE name = ?", (name,)).fetchone()
            check(row is not None, f"there is no subscription {name}; subscribe first")
            known = self._known[name] = Subscription(*row)
        return known

    def _publish(self, connection: sqlite3.Connection, messages: Sequence[Message]) -> list[str]:
        now = self._clock.now()
        first = next_numbers(connection, "message", len(messages))
        queues: dict[str, list[str]] = {}
        kept, deliveries, events = [], [], []
        for number, message in enumerate(messages, first):
            names = queues.get(message.topic)
            if names is None:
                rows = connection.execute("SELECT name FROM subscriptions WHERE topic = ?", (message.topic,))
                names = queues[message.topic] = [row[0] for row in rows]
            if names:
                attributes = json.dumps(dict(message.attributes))
                key = message.ordering_key
                kept.append((number, message.topic, message.data, attributes, key, now, len(names)))
                deliveries += [(name, number, now, 0, key) for name in names]
            event = _event_row(message, now, number)
            if event is not None:
                events.append(event)
        connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)", kept)
        connection.executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, '')", deliveries)
        connection.executemany("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", events)
        return [str(number) for number in range(first, first + len(messages))]

    def _due(
        self, connection: sqlite3.Connection, group: list[Subscription], now: int, free: int
    ) -> list[tuple[int, int, Subscription]]:
        """(number, attempts, subscription) of due messages in publication order; exhausted ones are buried first."""
        found: list[tuple[int, int, Subscription]] = []
        for subscription in group:
            while True:
                rows = connection.execute(_DUE, (subscription.name, now, free)).fetchall()
                spent = [row for row in rows if self._exhausted(subscription, row[1])]
                for number, attempts in spent:
                    self._bury(connection, subscription, number, attempts, now)
                if not spent:  # each round buries at least one, so that the loop ends
                    break
            found += [(number, attempts, subscription) for number, attempts in rows]
        found.sort(key=lambda each: (each[0], each[2].name))
        return found[:free]

    def _free_leases_of_the_dead(self, connection: sqlite3.Connection, now: int) -> None:
        """A process that died gives nothing back; what it held is due at once, not when its leases end."""
        held = connection.execute("SELECT DISTINCT holder FROM deliveries WHERE holder <> ''").fetchall()
        for (holder,) in held:
            if lease_holder.is_dead(holder):
                connection.execute(
                    "UPDATE deliveries SET due_at = min(due_at, ?), holder = '' WHERE holder = ?", (now, holder)
                )

    def _lease(
        self, connection: sqlite3.Connection, due: list[tuple[int, int, Subscription]], lease_end: int
    ) -> list[Delivery]:
        deliveries = []
        for number, attempts, subscription in due:
            connection.execute(
                "UPDATE deliveries SET due_at = ?, attempts = attempts + 1, holder = ?"
                " WHERE subscription = ? AND number = ?",
                (lease_end, lease_holder.this_process(), subscription.name, number),
            )
            data, attributes, key, published_at = connection.execute(
                "SELECT data, attributes, ordering_key, published_at FROM messages WHERE number = ?", (number,)
            ).fetchone()
            attempt = attempts + 1
            deliveries.append(
                Delivery(
                    ack_id=f"{subscription.name}:{number}:{attempt}",
                    message_id=str(number),
                    subscription=subscription,
                    data=data,
                    attributes=json.loads(attributes),
                    ordering_key=key,
                    attempt=attempt,
                    published_at=published_at,
                )
            )
        return deliveries

    def _remove(self, connection: sqlite3.Connection, subscription: str, number: int, attempts: int) -> bool:
        removed = connection.execute(
            "DELETE FROM deliveries WHERE subscription = ? AND number = ? AND attempts = ?",
            (subscription, number, attempts),
        ).rowcount
        if not removed:
            return False
        left = connection.execute(
            "UPDATE messages SET waiting = waiting - 1 WHERE number = ? RETURNING waiting", (number,)
        ).fetchone()[0]
        if left == 0:
            connection.execute("DELETE FROM messages WHERE number = ?", (number,))
        return True

    def _exhausted(self, subscription: Subscription, attempts: int) -> bool:
        return attempts >= self.limits.deliveries_max and subscription.topic != DEAD_LETTER_TOPIC

    def _bury(
        self, connection: sqlite3.Connection, subscription: Subscription, number: int, attempts: int, now: int
    ) -> None:
        row = connection.execute("SELECT data, attributes FROM messages WHERE number = ?", (number,)).fetchone()
        if row is None or not self._remove(connection, subscription.name, number, attempts):
            return
        attributes: dict[str, str] = json.loads(row[1])
        attributes |= {
            "mend-dead-subscription": subscription.name,
            "mend-dead-topic": subscription.topic,
            "mend-dead-attempts": str(attempts),
        }
        self._publish(connection, [Message(DEAD_LETTER_TOPIC, row[0], attributes)])


def _priority(subscription: Subscription) -> int:
    return subscription.priority


def _event_row(message: Message, now: int, number: int) -> tuple[str, str, int, str, str, str, int, str] | None:
    """The history's row of a message that is an event of ours; None for requests, signals and dead letters."""
    attributes: Mapping[str, str] = message.attributes
    if "ce-id" not in attributes or message.topic == DEAD_LETTER_TOPIC:
        return None
    try:
        text = message.data.decode("utf-8")
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return None  # carried all the same: whoever receives it makes an incident of it
    if not isinstance(payload, dict):
        return None
    time_us = payload.get("time")
    return (
        attributes["ce-id"],
        attributes.get("ce-type", ""),
        time_us if isinstance(time_us, int) and 0 <= time_us < 2**63 else now,
        _storable(payload.get("subject", "")),
        _storable(payload.get("correlation_id", "")),
        text,
        now,
        str(number),
    )


def _storable(value: object) -> str:
    """Text without the halves of surrogate pairs that JSON can hold and SQLite cannot."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
