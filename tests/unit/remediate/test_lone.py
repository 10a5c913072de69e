"""Goal: incidents without rows are retried, verified by what is seen to succeed, or handed to a person who decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.remediate.handlers import SERVICE
from services.remediate.records import Finding, load_finding
from shared.events.types import (
    BatchLoaded,
    DeliveryRegistered,
    IncidentClassified,
    IncidentClosed,
    RemedyProposed,
    RetryRequested,
)
from tests.unit.remediate.world import World


class Outside(World):
    """A world with incidents that concern no rows."""

    def report(self, **changed: Any) -> None:  # type: ignore[override]
        self.count += 1
        told: dict[str, Any] = {
            "incident_id": "i1", "fingerprint": "f", "origin": "source", "pipeline": "trips", "uri": "landing/x.csv",
            "failure_class": "network_timeout", "cause": "source_unavailable", "confidence": 0.9, "service": "ingest",
            "event_id": "e1", "event_topic": "delivery.arrived.v1",
        }  # fmt: skip
        self.queue.append(
            IncidentClassified.caused_by(self.cause, f"report{self.count}", self.clock.now(), **{**told, **changed})
        )

    def settle(self) -> None:
        """Until the next timer, without ringing it."""
        self.drain()

    def found(self) -> Finding:
        finding = load_finding(self.state, "i1")
        assert finding is not None
        return finding


@pytest.fixture
def world(tmp_path: Path) -> Outside:
    return Outside(tmp_path, [])


def ring(world: Outside) -> None:
    world.clock.time = max(world.clock.time, world.found().wake_at)
    world.tick()
    world.drain()


def test_a_source_that_answers_the_third_time(world: Outside) -> None:
    pauses = []
    world.report()
    world.drain()
    for _ in range(3):
        pauses.append(world.found().wake_at - world.clock.now())
        ring(world)
        if len(world.of(RetryRequested)) < 3:
            world.report(repeated=True)
            world.drain()
    assert pauses == [1_000_000, 2_000_000, 4_000_000]
    assert [(each.service, each.event_id) for each in world.of(RetryRequested)] == [("ingest", "e1")] * 3
    world.queue.append(
        DeliveryRegistered.caused_by(
            world.cause,
            "d",
            1,
            batch_id="b1",
            pipeline="trips",
            uri="landing/x.csv",
            name="x",
            generation="1",
            sha256="0",
            bytes=1,
            seq="s",
            raw_path="raw",
        )
    )
    world.drain()
    assert world.found().state == "healed"
    assert [each.state for each in world.remedies()] == ["verified"]


def test_a_source_that_never_answers_is_handed_to_a_person(world: Outside) -> None:
    world.report()
    world.drain()
    for _ in range(5):
        ring(world)
        world.report(repeated=True)
        world.drain()
    assert len(world.of(RetryRequested)) == 5
    assert [(each.remedy, each.state) for each in world.remedies()] == [
        ("retry_with_backoff", "failed"), ("hold_for_person", "proposed"),
    ]  # fmt: skip
    assert world.found().state == "waiting"


def test_a_retry_without_further_report_succeeded(world: Outside) -> None:
    world.report(service="notify", uri="", cause="source_unavailable")
    world.run()
    assert world.found().state == "healed"
    assert len(world.of(RetryRequested)) == 1


def test_a_load_that_is_seen_heals_its_incident(world: Outside) -> None:
    world.report(
        service="load", origin="destination", cause="destination_unavailable", batch_id="b1", attempt=1, uri=""
    )
    world.drain()
    loaded = BatchLoaded.caused_by(
        world.cause, "l", 1, batch_id="b1", pipeline="trips", attempt=1, reading=1, table="travel.trips", mode="append",
        rows_passed=1, rows_loaded=1, rows_discarded=0,
    )  # fmt: skip
    world.queue.append(loaded)
    world.drain()
    assert world.found().state == "healed"


@pytest.mark.parametrize(("decision", "state"), [("approve", "healed"), ("reject", "dismissed")])
def test_a_signal_waits_for_a_person(world: Outside, decision: str, state: str) -> None:
    signal = {"origin": "signal", "cause": "external_permission", "service": "", "event_id": "", "uri": ""}
    world.report(**signal)
    world.report(**signal, repeated=True)
    world.drain()
    (proposed,) = world.of(RemedyProposed)
    assert proposed.remedy == "hold_for_person"
    world.say(proposed.remedy_id, decision)
    world.say(proposed.remedy_id, decision)
    assert world.found().state == state
    assert len(world.of(IncidentClosed)) == 1


def test_a_person_who_mended_something_has_the_event_handled_again(world: Outside) -> None:
    world.report(cause="source_forbidden", failure_class="permission_denied")
    world.drain()
    (proposed,) = world.of(RemedyProposed)
    world.say(proposed.remedy_id, "approve")
    assert len(world.of(RetryRequested)) == 1
    assert world.found().state == "healed"


def test_a_broken_pipeline_file_does_not_stop_the_handling_of_its_own_incident(world: Outside) -> None:
    (world.folder / "pipelines/trips.yaml").write_text("pipeline: [")
    (world.folder / "policy.yaml").write_text("nonsense: 1")
    world.report(origin="internal", cause="definition_wrong")
    world.drain()
    assert [each.remedy for each in world.remedies()] == ["hold_for_person"]


def test_timers_are_found_by_the_runtime() -> None:
    assert set(SERVICE.timers) == {"healings", "remedies"}
