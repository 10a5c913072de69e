"""Goal: what ingest answers to each event and each message of a stranger, once and clearly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.ingest.handlers import SERVICE
from shared.events.types import (
    BatchStaged,
    DeliveryArrived,
    DeliveryRegistered,
    Event,
    IncidentOpened,
    RereadFailed,
    SourceDue,
)
from tests.unit.ingest.world import IngestWorld

CONTENT = b"a;b\n1;2\n3;4\n"


# ── listings ───────────────────────────────────────────────────────────────────────────────────────────────────────


def pages(world: IngestWorld, event: Event, between: bool) -> list[list[str]]:
    """Names announced per event; ``between`` handles what is announced before the next page."""
    found: list[list[str]] = []
    while True:
        emitted = world.handle(event)
        arrived = [each for each in emitted if isinstance(each, DeliveryArrived)]
        found.append([each.name for each in arrived])
        for each in arrived if between else []:
            world.handle(each)
        rest = [each for each in emitted if isinstance(each, SourceDue)]
        assert len(emitted) <= 91
        if not rest:
            return found
        event = rest[0]


@pytest.mark.parametrize("between", [False, True])
def test_many_objects_are_announced_once_each_a_page_at_a_time(tmp_path: Path, between: bool) -> None:
    """Also when the next page is looked at before anything of this one was taken in."""
    world = IngestWorld(tmp_path, "append", source=", duplicates: load")
    names = [f"{number:03}.csv" for number in range(200)]
    for name in names:
        world.put(name, name.encode())
    found = pages(world, world.due("due"), between)
    assert [len(page) for page in found] == [90, 90, 20]
    assert [name for page in found for name in page] == names


@pytest.mark.parametrize("count", [0, 1, 90, 91])
def test_the_last_page(tmp_path: Path, count: int) -> None:
    world = IngestWorld(tmp_path)
    for number in range(count):
        world.put(f"{number:03}.csv", b"x")
    assert [len(page) for page in pages(world, world.due(), False)] == ([90, 1] if count == 91 else [count])


def test_the_object_that_a_page_ended_with_is_gone(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    for number in range(95):
        world.put(f"{number:03}.csv", b"x")
    *_, further = world.handle(world.due())
    assert isinstance(further, SourceDue)
    assert (further.page, further.after) == (1, "landing/089.csv")
    (tmp_path / "landing" / "089.csv").unlink()
    announced = [each for each in world.handle(further) if isinstance(each, DeliveryArrived)]
    assert {"090.csv", "094.csv"} <= {each.name for each in announced} or len(announced) == 90


def test_handling_twice_gives_the_same_events(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    for number in range(95):
        world.put(f"{number:03}.csv", b"x")
    event = world.due("due")
    assert [each.id for each in world.handle(event)] == [each.id for each in world.handle(event)]


def test_only_the_object_that_was_asked_for(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.put("a.csv", b"1")
    world.put("b.csv", b"2")
    assert [each.name for each in world.announced(uri="landing/b.csv")] == ["b.csv"]


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path, uri="absent/*.csv")
    assert world.deliver(world.due()).outcome == "foreign"
    (incident,) = world.incidents()
    assert (incident.origin, incident.reason, incident.pipeline) == ("source", "ENOENT", "things")


# ── definitions that are wrong ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("kind: sql", ["pipelines/things.yaml", "sql", "files"]),
        ("kind: push", ["pipelines/things.yaml", "no uri of its own"]),
    ],
)
def test_a_kind_of_source_that_cannot_be_looked_at(tmp_path: Path, change: str, words: list[str]) -> None:
    world = IngestWorld(tmp_path, uri="", kind=change.removeprefix("kind: "))
    assert world.deliver(world.due()).outcome == "terminal"
    (incident,) = world.incidents()
    assert all(word in incident.message for word in words), incident.message
    assert (incident.pipeline, incident.exception_type) == ("things", "DefinitionError")
    assert json.loads(incident.evidence_json)["hint"]


def test_what_is_pushed_comes_by_its_address(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path, uri="", kind="push")
    world.put("a.csv", CONTENT)
    assert world.request(b'{"pipeline": "things", "uri": "landing/a.csv"}').outcome == "handled"
    (due,) = world.seen()
    (arrived,) = world.handle(due)
    assert [type(each) for each in world.handle(arrived)] == [DeliveryRegistered, BatchStaged]


def test_an_unknown_pipeline_is_said_and_can_be_retried(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    assert world.request(b'{"pipeline": "thingz"}').outcome == "handled"
    (due,) = world.seen()
    assert world.deliver(due).outcome == "terminal"
    (incident,) = world.incidents()
    assert (incident.pipeline, incident.exception_type, incident.event_id) == ("thingz", "DefinitionMissing", due.id)
    assert "pipelines/thingz.yaml" in incident.message


def test_a_file_that_is_named_otherwise_than_its_pipeline(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    (tmp_path / "pipelines" / "things.yaml").rename(tmp_path / "pipelines" / "copy.yaml")
    event = world.due().model_copy(update={"pipeline": "copy"})
    assert world.deliver(event).outcome == "terminal"
    (incident,) = world.incidents()
    assert "named copy, its pipeline things" in incident.message


# ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_is_a_look_at_the_source(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.request('{"pipeline": "things", "uri": "landing/ü.csv", "by": "ada\\u0000"}'.encode())
    (due,) = world.seen()
    assert isinstance(due, SourceDue)
    assert (due.pipeline, due.uri, due.requested_by) == ("things", "landing/ü.csv", "ada ")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b'"things"', b"null", b"\xff\xfe", b"{}", b'{"pipeline": 5}', b'{"pipeline": ""}'),
        *(b'{"pipeline": "../../etc/passwd"}', b'{"pipeline": "a/b"}', b'{"pipeline": "Things"}'),
        *(b'{"pipeline": "things", "uri": 5}', b'{"pipeline": "things", "uri": null}'),
        b'{"pipeline": "things", "uri": "a\\u0000b"}',
        b'{"pipeline": "things", "uri": "\\ud800"}',
        b'{"pipeline": "things", "uri": "' + b"x" * 3_000 + b'"}',
        b'{"pipeline": "things", "x": "' + b"x" * 20_000 + b'"}',
        b"[" * 100_000,
        b'{"pipeline": ' * 2_000,
    ],
)
def test_a_malformed_request_is_an_incident_that_does_not_quote_it(tmp_path: Path, data: bytes) -> None:
    world = IngestWorld(tmp_path)
    assert world.request(data).acknowledge
    (incident,) = world.seen()
    assert isinstance(incident, IncidentOpened)
    assert incident.exception_type == "MalformedEvent"
    assert "request" in incident.message
    assert "passwd" not in incident.model_dump_json()


# ── another reading, another fetch ─────────────────────────────────────────────────────────────────────────────────


def with_batch(folder: Path) -> tuple[IngestWorld, str]:
    world = IngestWorld(folder, source=", format: {format: csv}")
    world.put("a.csv", CONTENT)
    world.take_in()
    world.seen()
    return world, str(world.deliveries()["a.csv"]["batch_id"])


def test_another_reading_is_the_attempt_that_was_asked_for(tmp_path: Path) -> None:
    world, batch = with_batch(tmp_path)
    event = world.reread(batch, attempt=4)
    (staged,) = world.handle(event)
    assert isinstance(staged, BatchStaged)
    assert (staged.attempt, staged.reading, staged.remedy_id, staged.rows) == (4, 2, "r1", 2)
    assert json.loads(staged.reading_options_json)["delimiter"] == ";"
    assert world.staged_rows(staged.parts) == 2
    assert world.deliveries()["a.csv"]["reading"] == 2
    assert world.handle(event) == []
    assert world.handle(world.reread(batch, attempt=4, options={"format": "csv"})) == []
    assert [each["attempt"] for each in world.deliveries()["a.csv"]["readings"]] == [1, 4]


@pytest.mark.parametrize(
    "options",
    ["", "{", "[]", "null", '{"delimiter": "secret"}', '{"encoding": "secret"}', '{"secret": 1}', '{"format": "xls"}'],
)
def test_options_that_describe_no_reading(tmp_path: Path, options: str) -> None:
    world, batch = with_batch(tmp_path)
    (failed,) = world.handle(world.reread(batch, options=options or "nothing"))
    assert isinstance(failed, RereadFailed)
    assert (failed.batch_id, failed.remedy_id, bool(failed.reason)) == (batch, "r1", True)
    assert "'secret'" not in failed.reason
    assert world.deliveries()["a.csv"]["reading"] == 1


def test_a_reading_of_an_unknown_batch(tmp_path: Path) -> None:
    world, _ = with_batch(tmp_path)
    (failed,) = world.handle(world.reread("b0"))
    assert isinstance(failed, RereadFailed)
    assert "no such batch" in failed.reason


def test_a_reading_of_bytes_that_are_gone(tmp_path: Path) -> None:
    world, batch = with_batch(tmp_path)
    world.process.objects.delete(world.deliveries()["a.csv"]["raw_path"])
    (failed,) = world.handle(world.reread(batch))
    assert isinstance(failed, RereadFailed)
    assert "gone" in failed.reason


def test_a_reading_with_more_rows_than_the_limit(tmp_path: Path) -> None:
    world, batch = with_batch(tmp_path)
    world.define("append", source=", batch_rows_max: 1")
    (failed,) = world.handle(world.reread(batch))
    assert isinstance(failed, RereadFailed)
    assert "more than 1 rows" in failed.reason
    assert len(world.deliveries()["a.csv"]["readings"]) == 1
    assert world.staged_rows([f"staged/{batch}/a0001/part-00000.parquet"]) == 2


def test_a_refetch(tmp_path: Path) -> None:
    world, batch = with_batch(tmp_path)
    (failed,) = world.handle(world.reread(batch, refetch=True))
    assert isinstance(failed, RereadFailed)
    assert "nothing newer" in failed.reason
    world.put("a.csv", CONTENT + b"5;6\n")
    (arrived,) = world.handle(world.reread(batch, refetch=True))
    assert isinstance(arrived, DeliveryArrived)
    assert (arrived.remedy_id, arrived.uri) == ("r1", "landing/a.csv")
    assert [type(each) for each in world.handle(arrived)] == [DeliveryRegistered, BatchStaged]
    (tmp_path / "landing" / "a.csv").unlink()
    (failed,) = world.handle(world.reread(batch, refetch=True))
    assert isinstance(failed, RereadFailed)
    assert "the source failed" in failed.reason


def test_a_refetch_of_what_never_became_a_batch(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.put("a.csv", CONTENT)
    (arrived,) = world.handle(world.reread("", refetch=True, uri="landing/a.csv"))
    assert isinstance(arrived, DeliveryArrived)


# ── dead letters ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "attributes",
    [
        {"mend-dead-subscription": "load.mend-batch-validated-v1", "mend-dead-attempts": "20"},
        {"CloudPubSubDeadLetterSourceSubscription": "load.mend-batch-validated-v1"},
    ],
)
def test_a_dead_letter_names_the_service_and_the_event(tmp_path: Path, attributes: dict[str, str]) -> None:
    world = IngestWorld(tmp_path)
    assert world.dead_letter(b"{}", {**attributes, "ce-id": "e1", "ce-type": "batch.validated.v1"}).acknowledge
    (incident,) = world.incidents()
    assert (incident.origin, incident.service, incident.event_id) == ("dead_letter", "load", "e1")
    assert incident.event_topic == "mend-batch-validated-v1"
    assert json.loads(incident.evidence_json)["replayable"]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"mend-dead-subscription": ""},
        {"ce-id": "\x00" * 900},
        {"mend-dead-subscription": "x" * 1_000 + "." + "y" * 1_000},
    ],
)
def test_a_dead_letter_from_nowhere(tmp_path: Path, attributes: dict[str, str]) -> None:
    world = IngestWorld(tmp_path)
    for _ in range(2):
        assert world.dead_letter(b"\xff" * 1_000, attributes).outcome == "handled"
    incidents = world.incidents()
    assert len(incidents) == 2
    assert all("secret" not in each.model_dump_json() for each in incidents)


def test_collections_are_ingests_own() -> None:
    assert set(SERVICE.collections) == {"deliveries", "positions", "deployments"}
