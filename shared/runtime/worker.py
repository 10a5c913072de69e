"""Runs services against a bus that is pulled: one delivery at a time, until idle or stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from shared.domain.ids import derive
from shared.events.codec import topic_of
from shared.events.types import ClockTicked, RetryRequested
from shared.ports.clock import Clock
from shared.ports.event_bus import Delivery, EventBus, Subscription
from shared.ports.state_store import StateStore
from shared.runtime.handling import Outcome, Runtime, messages_of, subscriptions_of
from shared.runtime.service import Service
from shared.runtime.timers import Timers

URGENT = 0
PAUSE_SECONDS = 0.05  # without work, before it is looked for again
LOOK_SECONDS = 0.05  # how often another process's work is looked after
QUICK_SECONDS = 0.005  # what took no longer is taken in groups
GROUP_SECONDS = 0.02  # how long a group may take together, by what the last of its kind took
GROUP_MAX = 64


class Worker:
    """Hands each delivery to the runtime and acknowledges as it says.

    ``step`` handles at most one delivery, so that a simulation can drive everything under one seed.

    Reaching the disk costs as much as handling a small event. Where commits can be deferred (``deferring``), quick
    deliveries of one subscription are therefore handled in a group. One durable transaction (``together``) then
    acknowledges the group and leases the next: nothing is acknowledged before it is on the disk, and nothing is
    handled before the event itself is.
    """

    def __init__(
        self,
        *,
        services: Sequence[Service],
        runtime: Runtime,
        bus: EventBus,
        store: StateStore,
        clock: Clock,
        lease_seconds: float,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
        deferring: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._services = {service.name: service for service in services}
        self._runtime = runtime
        self._bus = bus
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._together = together
        self._deferring = deferring
        self._settled: list[tuple[Delivery, Outcome]] = []  # handled, not acknowledged yet
        self._took: dict[str, float] = {}  # by subscription: seconds of the last delivery
        self._subscriptions = [
            Subscription(f"{service.name}.{topic}", topic, service.name, _priority(service, topic))
            for service in services
            for topic in subscriptions_of(service)
        ]
        self.subscriptions = [subscription.name for subscription in self._subscriptions]
        self._timers = Timers(services, store, clock)
        bus.subscribe(self._subscriptions)

    def step(self) -> bool:
        """Handle one delivery if one is due; False when there was none."""
        deliveries = self._bus.pull(self.subscriptions, 1, self._lease_seconds)
        for delivery in deliveries:
            self._settle(delivery, self._deliver(delivery))
        return bool(deliveries)

    def turn(self) -> bool:
        """Handle what is due, in a group if that may be; False when there was nothing."""
        if self._deferring is None:
            return self.step()
        with self._together():
            for delivery, outcome in self._settled:
                self._settle(delivery, outcome)
            deliveries = self._pull()
        self._settled.clear()
        with self._deferring():
            for delivery in deliveries:
                began = self._clock.monotonic()
                self._settled.append((delivery, self._deliver(delivery)))
                self._took[delivery.subscription.name] = self._clock.monotonic() - began
        return bool(deliveries)

    def finish(self) -> None:
        """Acknowledge what was handled; whoever took turns and takes no more calls it."""
        if not self._settled:
            return
        with self._together():
            for delivery, outcome in self._settled:
                self._settle(delivery, outcome)
        self._settled.clear()

    def _pull(self) -> list[Delivery]:
        """The next delivery, and more of its subscription when those are quick.

        One that comes again may be what killed its process: it is handled alone, so that no other is counted with it.
        """
        deliveries = self._bus.pull(self.subscriptions, 1, self._lease_seconds)
        for first in deliveries[:1]:
            took = self._took.get(first.subscription.name, QUICK_SECONDS)
            if first.attempt == 1 and took < QUICK_SECONDS:
                more = min(GROUP_MAX, int(GROUP_SECONDS / max(took, 0.000_001))) - 1
                deliveries += self._bus.pull([first.subscription.name], more, self._lease_seconds)
        return deliveries

    def _deliver(self, delivery: Delivery) -> Outcome:
        return self._runtime.deliver(
            self._services[delivery.subscription.service],
            delivery.subscription.topic,
            delivery.data,
            delivery.attributes,
            attempt=delivery.attempt,
            message_id=delivery.message_id,
        )

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        if outcome.acknowledge:
            self._bus.ack(delivery)
        else:
            self._bus.nack(delivery, outcome.delay_seconds)

    def next_due(self) -> int | None:
        """When (microseconds) something is to be done next: a message or a timer; None when nothing is left."""
        times = [time for time in (self._bus.next_due(self.subscriptions), self.next_timer()) if time is not None]
        return min(times, default=None)

    def next_timer(self) -> int | None:
        """When the next timer of any service rings."""
        return self._timers.next()

    def tick(self) -> bool:
        """Publish ``clock.ticked`` if a timer has rung; False when none has."""
        ring = self._timers.take_due()
        if ring is None:
            return False
        now = self._clock.now()
        tick_id = derive("tick", ring, now // 1_000_000)
        tick = ClockTicked(id=tick_id, time=now, subject="clock", correlation_id=tick_id)
        self._bus.publish(messages_of("clock", [tick]))
        return True

    def run_until_idle(self, wait_seconds_max: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """Work until nothing is due within ``wait_seconds_max``; waits for timers and backoffs that are nearer.

        What another process is handling now is waited for too: what follows from it may be left to this one.
        """
        while not stopped():
            if self.turn() or self.tick():
                continue
            elsewhere = self._bus.under_way(self.subscriptions)
            due = self.next_due()
            wait = 0.0 if due is None else (due - self._clock.now()) / 1_000_000
            if not elsewhere and (due is None or wait > wait_seconds_max):
                break
            self._clock.sleep(min(max(wait, 0.005), LOOK_SECONDS if elsewhere else 1.0))
        self.finish()

    def run(self, stopped: Callable[[], bool], between: Callable[[], None]) -> None:
        """Work until ``stopped``; ``between`` is called after each turn, and every ``PAUSE_SECONDS`` without work."""
        while not stopped():
            worked = self.turn() or self.tick()
            between()
            if worked:
                continue
            due = self.next_due()
            wait = PAUSE_SECONDS if due is None else (due - self._clock.now()) / 1_000_000
            self._clock.sleep(min(max(wait, 0.01), PAUSE_SECONDS))
        self.finish()


def _priority(service: Service, topic: str) -> int:
    urgent = {topic_of(RetryRequested), *(topic_of(event_type) for event_type in service.urgent)}
    return URGENT if topic in urgent else service.priority
