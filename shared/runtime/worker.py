"""Runs services against a bus that is pulled: one delivery at a time, until idle or stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.domain.ids import derive
from shared.events.codec import topic_of
from shared.events.types import ClockTicked, RetryRequested
from shared.ports.clock import Clock
from shared.ports.event_bus import EventBus, Subscription
from shared.ports.state_store import StateStore
from shared.runtime.handling import Runtime, messages_of, subscriptions_of
from shared.runtime.service import Service
from shared.runtime.timers import Timers

URGENT = 0
LOOK_SECONDS = 0.05  # how often another process's work is looked after


class Worker:
    """Hands each delivery to the runtime and acknowledges as it says.

    ``step`` handles at most one delivery, so that a simulation can drive everything under one seed.
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
    ) -> None:
        self._services = {service.name: service for service in services}
        self._runtime = runtime
        self._bus = bus
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._subscriptions = [
            Subscription(f"{service.name}.{topic}", topic, service.name, _priority(service, topic))
            for service in services
            for topic in subscriptions_of(service)
        ]
        self._names = [subscription.name for subscription in self._subscriptions]
        self._timers = Timers(services, store, clock)
        bus.subscribe(self._subscriptions)

    def step(self) -> bool:
        """Handle one delivery if one is due; False when there was none."""
        deliveries = self._bus.pull(self._names, 1, self._lease_seconds)
        for delivery in deliveries:
            outcome = self._runtime.deliver(
                self._services[delivery.subscription.service],
                delivery.subscription.topic,
                delivery.data,
                delivery.attributes,
                attempt=delivery.attempt,
                message_id=delivery.message_id,
            )
            if outcome.acknowledge:
                self._bus.ack(delivery)
            else:
                self._bus.nack(delivery, outcome.delay_seconds)
        return bool(deliveries)

    def next_due(self) -> int | None:
        """When (microseconds) something is to be done next: a message or a timer; None when nothing is left."""
        times = [time for time in (self._bus.next_due(self._names), self.next_timer()) if time is not None]
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
            if self.step() or self.tick():
                continue
            elsewhere = self._bus.under_way(self._names)
            due = self.next_due()
            wait = 0.0 if due is None else (due - self._clock.now()) / 1_000_000
            if not elsewhere and (due is None or wait > wait_seconds_max):
                return
            self._clock.sleep(min(max(wait, 0.005), LOOK_SECONDS if elsewhere else 1.0))

    def run(self, stopped: Callable[[], bool], idle: Callable[[], None]) -> None:
        """Work until ``stopped``; ``idle`` is called, at most about once a second, when nothing is due."""
        while not stopped():
            if self.step() or self.tick():
                continue
            idle()
            due = self.next_due()
            wait = 1.0 if due is None else (due - self._clock.now()) / 1_000_000
            self._clock.sleep(min(max(wait, 0.01), 1.0))


def _priority(service: Service, topic: str) -> int:
    urgent = {topic_of(RetryRequested), *(topic_of(event_type) for event_type in service.urgent)}
    return URGENT if topic in urgent else service.priority
