"""Each service, in a clean environment with only its own extra and only its own folder, does its part of the work.

The services run one after the other on one store, each behind its real entry point; what one emits the next hears.
Each also gets one of its events again, in Pub/Sub's other wrapping, and one that is malformed.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from shared.events.codec import encode, topic_of
from shared.events.types import EVENT_TYPES, BatchLoaded, BatchValidated, Event, IncidentOpened, RemedyProposed
from shared.ports.event_bus import EventBus, Subscription
from tests.packaging.environments import SERVICES, ask, build_environment, stage
from tests.packaging.samples import CHAIN, FIRST_EVENT, SIGNAL, write_project

# One worker runs them all: they share a store, and the environments are built one after the other.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packaging")]

ACKNOWLEDGED = (200, 204)
IN_ORDER = [part.service for part in CHAIN if part.service in SERVICES]


class World:
    """One store, the events told so far, and what each service did with its part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = {"MEND_ROOT": str(folder / "store"), "MEND_PROJECT": str(write_project(folder / "project"))}
        self.told: list[Event] = [FIRST_EVENT]
        self.done: dict[str, dict[str, Any]] = {}
        self.broken = ""
        self.bus = _bus(self.settings)
        topics = [topic_of(event_type) for event_type in EVENT_TYPES]
        self.subscriptions = [Subscription(f"witness.{topic}", topic, "witness") for topic in topics]
        self.bus.subscribe(self.subscriptions)

    def emitted(self) -> list[Event]:
        """What was published since the last look."""
        from shared.events.codec import decode

        events = []
        names = [subscription.name for subscription in self.subscriptions]
        while deliveries := self.bus.pull(names, 100, 600.0):
            for delivery in deliveries:
                events.append(decode(delivery.data, delivery.attributes))
                self.bus.ack(delivery)
        self.told += events
        return events

    def notices(self) -> list[str]:
        """What people were told."""
        path = self.folder / "store" / "notices.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def run_until(self, service: str) -> dict[str, Any]:
        """What ``service`` did, after all before it did their part."""
        for part in CHAIN:
            if part.service not in self.done:
                assert not self.broken, f"{self.broken} could not do its part before"
                self.broken = part.service
                self.done[part.service] = self._run(part.service, part.hears)
                self.broken = ""
            if part.service == service:
                break
        return self.done[service]

    def _run(self, service: str, hears: tuple[type[Event], ...]) -> dict[str, Any]:
        python = build_environment(service)
        staged = stage(service, self.folder / service)
        report: dict[str, Any] = {
            "python": python,
            "staged": staged,
            "answers": [],
            "emitted": [],
            "heard": [],
            "log": "",
        }
        for kind in hears:
            heard = [event for event in self.told if isinstance(event, kind)]
            if not heard:
                continue
            report["heard"] += heard
            answered = ask(python, staged, service, [_unwrapped(event) for event in heard], self.settings)
            report["answers"] += answered["answers"]
            report["log"] += answered["log"]
            report |= {name: answered[name] for name in ("files", "strangers", "missing")}
            report["emitted"] += self.emitted()
        return report


def _bus(settings: dict[str, str]) -> EventBus:
    from shared.runtime.settings import load
    from shared.runtime.wiring import build

    return build(load(settings)).bus


def _unwrapped(event: Event) -> dict[str, Any]:
    """A push of Pub/Sub without its wrapper: CloudEvents in binary mode."""
    encoded = encode(event, "/mendline/sample")
    return {"path": "/", "headers": dict(encoded.attributes), "body": encoded.data.decode()}


def _wrapped(event: Event, service: str) -> dict[str, Any]:
    """A push of Pub/Sub in its own JSON."""
    encoded = encode(event, "/mendline/sample")
    message = {
        "data": base64.b64encode(encoded.data).decode(),
        "attributes": dict(encoded.attributes),
        "messageId": "1",
    }
    push = {"message": message, "subscription": f"projects/p/subscriptions/{service}.{encoded.topic}"}
    return {"path": "/", "headers": {"content-type": "application/json"}, "body": json.dumps(push)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("alone"))


def test_every_service_is_in_the_chain() -> None:
    assert sorted(part.service for part in CHAIN) == SERVICES, (
        "give the service its samples in tests/packaging/samples.py"
    )


@pytest.mark.parametrize("service", IN_ORDER)
def test_it_does_its_part(world: World, service: str) -> None:
    report = world.run_until(service)
    [part] = [part for part in CHAIN if part.service == service]
    assert report["heard"], f"nothing before {service} emitted any of {[kind.TYPE for kind in part.hears]}"
    assert {answer["status"] for answer in report["answers"]} <= set(ACKNOWLEDGED), report["log"]
    missing = [kind.TYPE for kind in part.emits if not any(isinstance(event, kind) for event in report["emitted"])]
    assert not missing, f"{service} emitted {[event.TYPE for event in report['emitted']]}"


@pytest.mark.parametrize("service", IN_ORDER)
def test_it_needs_only_its_own_folder_and_extra(world: World, service: str) -> None:
    report = world.run_until(service)
    elsewhere = [path for path in report["files"] if not Path(path).is_relative_to(report["staged"])]
    assert not elsewhere, f"imported from somewhere else: {elsewhere}"
    assert not report["missing"], f"services/{service} imports what its extra does not bring: {report['missing']}"
    assert not report["strangers"], "the environment is not clean, so it proves nothing"


@pytest.mark.parametrize("service", IN_ORDER)
def test_a_duplicate_changes_nothing(world: World, service: str) -> None:
    report = world.run_until(service)
    told = world.notices()
    again = [request for event in report["heard"] for request in (_unwrapped(event), _wrapped(event, service))]
    answered = ask(report["python"], report["staged"], service, again, world.settings)
    assert {answer["status"] for answer in answered["answers"]} <= set(ACKNOWLEDGED), answered["log"]
    assert not world.emitted(), "a duplicate was handled again"
    assert world.notices() == told, "a person was told twice"


@pytest.mark.parametrize("service", IN_ORDER)
def test_a_malformed_event_is_an_incident_and_not_retried(world: World, service: str) -> None:
    report = world.run_until(service)
    sample = _unwrapped(report["heard"][0])
    malformed = [{**sample, "body": '{"id": 1}'}, {**sample, "body": "\x00 no JSON"}]
    answered = ask(report["python"], report["staged"], service, malformed, world.settings)
    assert {answer["status"] for answer in answered["answers"]} <= set(ACKNOWLEDGED), answered["log"]
    incidents = [event for event in world.emitted() if isinstance(event, IncidentOpened)]
    assert len(incidents) == len(malformed), "what is malformed must be seen by a person"
    assert {incident.service for incident in incidents} == {service}


def test_together_they_moved_the_rows_and_told_a_person(world: World) -> None:
    world.run_until(IN_ORDER[-1])
    [validated] = [event for event in world.told if isinstance(event, BatchValidated)]
    [loaded] = [event for event in world.told if isinstance(event, BatchLoaded)]
    [proposed] = [event for event in world.told if isinstance(event, RemedyProposed)]
    assert (validated.rows_passed, validated.rows_quarantined, loaded.rows_loaded) == (3, 1, 3)
    assert any(proposed.remedy_id in notice for notice in world.notices())


@pytest.mark.skipif("ingest" not in SERVICES, reason="no ingest yet")
def test_ingest_takes_signals_over_http(world: World) -> None:
    report = world.run_until("ingest")
    signal = {"path": "/signals/generic", "headers": {"content-type": "application/json"}, "body": json.dumps(SIGNAL)}
    answered = ask(report["python"], report["staged"], "signals", [signal], world.settings)
    assert answered["answers"][0]["status"] // 100 == 2, answered["answers"]
    opened = world.emitted()
    assert [type(event) for event in opened] == [IncidentOpened]
    refused = {**signal, "body": "{not JSON"}
    answered = ask(report["python"], report["staged"], "signals", [refused, signal], world.settings)
    assert all(answer["status"] < 500 for answer in answered["answers"]), answered["answers"]
    assert not [event for event in world.emitted() if event.id == opened[0].id], "the same signal was told twice"
