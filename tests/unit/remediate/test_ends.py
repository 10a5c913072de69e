"""Goal: nothing that waits is forgotten, and nothing that is over goes on waiting."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from services.remediate import closing
from services.remediate.handlers import SERVICE
from services.remediate.records import load_finding, load_remedy
from services.remediate.work import Work
from shared.domain import paths
from shared.domain.ids import incident_id
from shared.domain.incident import IncidentState
from shared.events.types import BatchLoaded, BatchStaged, Event, RemedyDecided, RemedyProposed, SourceReread
from shared.ports.state_store import Put
from shared.runtime.unit_of_work import UnitOfWork
from tests.unit.remediate.test_healing import trips
from tests.unit.remediate.world import BATCH, World, fails_city, fails_day

OTHER = "b0000000000000000009"


def test_a_parent_that_was_loaded_before_anybody_waited_for_it_is_noticed(tmp_path: Path) -> None:
    world = World(tmp_path, [("relationship", "city", "orphan_rows", pl.col("city") == "Boston")])
    plain = world.report

    def report(event: BatchStaged, check: str, column: str, *rest: object) -> Event:
        cause, failed, rows, _ = rest
        world.checks = []  # the parents are there as soon as the verdict is out
        told = plain(event, check, column, cause, failed, rows, {"parent_table": "travel.cities"})  # type: ignore[arg-type]
        return told.model_copy(update={"origin": "violation"})

    world.report = report  # type: ignore[method-assign,assignment]
    load = {
        "kind": "load",
        "batch_id": OTHER,
        "table": "travel.cities",
        "loaded_at": world.clock.now(),
    }
    world.process.store.commit([Put("loads", f"{OTHER}:1", load)])
    world.deliver(trips(city=["Boston"]))
    assert world.waiting_rows() == set()
    assert world.finding("relationship", "city").state == "healed"
    world.places(20)


def test_a_parent_that_did_not_come_is_not_looked_for_again_and_again(tmp_path: Path) -> None:
    world = World(tmp_path, [("relationship", "city", "orphan_rows", pl.col("city") == "Boston")])
    plain = world.report

    def report(event: BatchStaged, check: str, column: str, *rest: object) -> Event:
        cause, failed, rows, _ = rest
        told = plain(event, check, column, cause, failed, rows, {"parent_table": "travel.cities"})  # type: ignore[arg-type]
        return told.model_copy(update={"origin": "violation"})

    world.report = report  # type: ignore[method-assign,assignment]
    load = {
        "kind": "load",
        "batch_id": OTHER,
        "table": "travel.cities",
        "loaded_at": world.clock.now(),
    }
    world.process.store.commit([Put("loads", f"{OTHER}:1", load)])
    world.deliver(trips(city=["Boston"]))
    assert len(world.of(BatchStaged)) == 1
    assert world.finding("relationship", "city").state == "waiting"
    world.places(20)


def test_what_was_approved_ends_with_its_incident(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()], mode="propose")
    world.deliver(trips(city=["Newrak"]))
    (proposed,) = world.of(RemedyProposed)
    state = UnitOfWork(world.process.store, SERVICE.name, SERVICE.collections)
    work = Work(cause=world.cause, ports=world.process.ports(SERVICE, state))
    record = load_remedy(state, proposed.remedy_id)
    finding = load_finding(state, proposed.incident_id)
    assert record is not None
    assert finding is not None
    record.state = "approved"
    record.save(state)
    closing.close(work, finding, IncidentState.DISMISSED, "the test says so")
    ended = load_remedy(state, proposed.remedy_id)
    assert ended is not None
    assert ended.state == "failed"


def test_a_release_that_is_said_twice_is_one_release(tmp_path: Path) -> None:
    world = World(tmp_path, [], mode="observe")
    world.hold = lambda rows, event: [] if "score" in event.waive else [{"check": "score", "cause": "score_low"}]
    world.deliver(trips())
    world.say(f"release:{BATCH}", "approve")
    world.say(f"release:{BATCH}", "approve")
    assert [each.state for each in world.remedies()] == ["verified"]
    world.places(20)


def other_reading(world: World, cause: str, column: str = "city", good: pl.DataFrame | None = None) -> None:
    """A check with a cause that suggests another reading, and an ingest that makes one in which every row fails."""
    first = trips(city=["Nowhere"]) if good is None else good
    plain = world.report

    def report(event: BatchStaged, check: str, about: str, *rest: object) -> Event:
        if about != column:
            told = plain(event, check, about, *rest)  # type: ignore[arg-type]
            over = told.incident_id in world.closed()  # type: ignore[attr-defined]
            return told.model_copy(update={"incident_id": incident_id("again", 2)}) if over else told
        failed, rows = rest[1:3]
        evidence = {"alternatives": [{"format": "csv", "header": False}]}
        told = plain(event, check, about, cause, failed, rows, evidence)  # type: ignore[arg-type]
        return told.model_copy(update={"origin": "violation"})

    def reread(event: SourceReread) -> list[Event]:
        world.loaded.clear()
        made = world.process.store.get("deliveries", BATCH)
        assert made is not None
        readings = [*made.data["readings"], {"options": event.reading_options_json}]
        world.process.store.commit([Put("deliveries", BATCH, {**made.data, "readings": readings})])
        worse = "header" in event.reading_options_json
        rows = (trips(city=["Nowhere"] * 20) if worse else first).with_columns(
            _mend_row=pl.int_range(1, 21, dtype=pl.Int64),
            _mend_raw=pl.lit(None, dtype=pl.String),
            _mend_misfit=pl.lit(None, dtype=pl.String),
        )
        path = paths.part(paths.staged(BATCH, event.attempt), 0)
        world.write(path, rows)
        staged = {"batch_id": BATCH, "pipeline": "trips", "attempt": event.attempt, "seq": "s1", "parts": [path]}
        return [BatchStaged.caused_by(event, "staged", 1, reading=len(readings), rows=20, **staged)]

    world.report, world.on_reread = report, reread  # type: ignore[method-assign,assignment]


def test_a_reading_that_releases_fewer_rows_is_taken_back(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    other_reading(world, "wrong_dialect")
    world.deliver(trips(city=["Nowhere"]))
    assert [each.state for each in world.remedies() if each.remedy == "other_reading"] == ["undone"]
    assert world.healing().reading == 3
    assert world.waiting_rows() == {1}
    world.places(20)


@pytest.mark.parametrize("cause", ["ragged_rows", "unknown"])
def test_a_few_bad_lines_are_no_reason_to_read_the_good_ones_otherwise(tmp_path: Path, cause: str) -> None:
    world = World(tmp_path, [fails_city()])
    other_reading(world, cause)
    world.deliver(trips(city=["Nowhere"]))
    assert world.healing().reading == 1
    assert world.waiting_rows() == {1}
    world.places(20)


def test_two_undos_of_one_attempt_leave_nothing_open_and_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city(), fails_day()])
    world.deliver(trips(city=["Newrak"], day=["2013-01-01", "13/01/2013"]))
    assert sorted(each.state for each in world.remedies()) == ["verified", "verified"]
    for number, record in enumerate(world.remedies()):
        about = {"remedy_id": record.remedy_id, "decision": "undo", "by": "ada"}
        world.queue.append(RemedyDecided.caused_by(world.cause, f"undo {number}", world.clock.now(), **about))
    world.run()
    assert {each.state for each in world.remedies() if each.undone_by} == {"undone"}
    found = [world.finding("enum", "city"), world.finding("type", "day")]
    assert not [each.state for each in found if each.state == "classified"]
    world.places(20)


def test_of_what_came_back_under_one_fingerprint_the_latest_incident_stays_open(tmp_path: Path) -> None:
    """An undo opened the first again; before that was heard of, its rows were reported as another."""
    world = World(tmp_path, [fails_city()], mode="propose")
    world.deliver(trips(city=["Newrak"]))
    (first,) = world.of(RemedyProposed)
    fingerprint = f"trips|{BATCH}|enum|city"
    report = world.report(staged_again(world), *fails_city()[:3], 1, 20, {})
    later = incident_id(fingerprint, 2)
    world.queue.append(report.model_copy(update={"incident_id": later, "id": "again"}))
    world.run()
    assert world.closed() == {incident_id(fingerprint, 1): "dismissed"}
    assert later in world.finding("enum", "city").note
    assert {each.incident_id: each.state for each in world.remedies()} == {
        first.incident_id: "expired", later: "proposed",
    }  # fmt: skip
    world.places(20)


def staged_again(world: World) -> BatchStaged:
    about = {"batch_id": BATCH, "pipeline": "trips", "attempt": 1, "reading": 1, "seq": "s1", "rows": 20}
    return BatchStaged.caused_by(world.cause, f"{BATCH}|again", world.clock.now(), **about, parts=[])


def test_what_a_person_refused_is_not_tried_on_the_incident_that_stays_open(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()], mode="propose")
    world.deliver(trips(city=["Newrak"]))
    earlier = world.finding("enum", "city")
    document = world.process.store.get("healings", earlier.incident_id)
    assert document is not None
    refused = {**document.data, "refused": ["snap_to_allowed"]}
    world.process.store.commit([Put("healings", earlier.incident_id, refused)])
    told = world.report(staged_again(world), *fails_city()[:3], 1, 20, {})
    later = incident_id(earlier.fingerprint, 2)
    world.queue.append(told.model_copy(update={"incident_id": later, "id": "again"}))
    world.run()
    assert [each.remedy for each in world.remedies() if each.incident_id == later] == []
    assert world.closed()[later] == "escalated"


def test_who_waited_for_the_answer_to_anothers_question_asks_when_that_is_closed(tmp_path: Path) -> None:
    """Two incidents want the same of one column, and one asks for both; then it is closed, and its question with it."""
    world = World(tmp_path, [fails_city(), ("pattern", *fails_city()[1:])], mode="propose")
    world.deliver(trips(city=["Newrak"]))
    (asked,) = world.of(RemedyProposed)
    findings = {each.incident_id: each for each in (world.finding("enum", "city"), world.finding("pattern", "city"))}
    (other,) = (each for key, each in findings.items() if key != asked.incident_id)
    assert other.proposal == asked.remedy_id
    for key, changed in (
        (asked.incident_id, {"refused": ["snap_to_allowed"], "proposal": ""}),
        (BATCH, {"wake_at": 1}),
    ):
        document = world.process.store.get("healings", key)
        assert document is not None
        world.process.store.commit([Put("healings", key, {**document.data, **changed})])
    world.run()
    assert world.closed() == {asked.incident_id: "escalated"}
    states = {each.incident_id: each.state for each in world.remedies() if each.remedy == "snap_to_allowed"}
    assert states == {asked.incident_id: "expired", other.incident_id: "proposed"}


def test_a_dead_question_is_dropped_once_also_by_one_whose_turn_has_not_come(tmp_path: Path) -> None:
    """Rows are not looked at while the delivery cannot be read; what was asked about them is not asked any more."""
    world = World(tmp_path, [fails_city()], mode="propose")
    world.deliver(trips(city=["Newrak"] * 20))
    (asked,) = world.remedies()
    document = world.process.store.get("remedies", asked.remedy_id)
    assert document is not None
    dead = {**document.data, "state": "expired", "wake_at": 0}
    world.process.store.commit([Put("remedies", asked.remedy_id, dead)])
    evidence = {"alternatives": [{"format": "csv", "header": False}]}
    told = world.report(staged_again(world), "well_formed", "", "wrong_dialect", 20, 20, evidence)
    world.queue.append(told.model_copy(update={"origin": "violation"}))
    world.run()
    assert world.finding("well_formed").state == "waiting"
    assert world.finding("enum", "city").proposal == ""
    wake_at = world.healing().wake_at
    assert wake_at == 0 or wake_at > world.clock.now() + 60_000_000


def test_rows_that_waited_for_parents_and_for_a_person_are_loaded_when_both_came(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_day(), ("relationship", "city", "orphan_rows", pl.col("city") == "Boston")])
    plain = world.report

    def report(event: BatchStaged, check: str, *rest: object) -> Event:
        evidence = {"parent_table": "travel.cities"} if check == "relationship" else {}
        told = plain(event, check, *rest[:-1], evidence)  # type: ignore[arg-type,call-arg]
        return told.model_copy(update={"origin": "violation"})

    world.report = report  # type: ignore[method-assign,assignment]
    world.deliver(trips(city=["Boston"], day=["03/04/2013"]))
    (proposed,) = world.of(RemedyProposed)
    world.checks = [fails_day()]  # the parents are there from now on
    counts = {"rows_passed": 1, "rows_loaded": 1, "rows_discarded": 0}
    about = {"batch_id": OTHER, "pipeline": "cities", "attempt": 1, "reading": 1, "table": "travel.cities"}
    world.queue.append(BatchLoaded.caused_by(world.cause, "parent", 1, mode="append", **about, **counts))
    world.run()
    assert world.waiting_rows() == {1}
    world.say(proposed.remedy_id, "approve")
    assert world.waiting_rows() == set()
    world.places(20)


def test_what_a_release_leaves_does_not_wait_for_it_for_ever(tmp_path: Path) -> None:
    """The batch was released, and every row still fails: the release is done, so what is left is handed on."""
    world = World(tmp_path, [("relationship", "city", "parent_missing", pl.lit(value=True)), fails_day()])
    world.deliver(trips(day=["soon"] * 20))
    (proposed,) = world.of(RemedyProposed)
    assert world.finding("type", "day").proposal == proposed.remedy_id
    del world.checks[0]  # the cities have come
    world.say(proposed.remedy_id, "approve")
    assert world.finding("relationship", "city").state == "healed"
    day = world.finding("type", "day")
    assert (day.state, day.proposal) == ("escalated", "")
    world.places(20)


def test_what_a_person_approved_holds_when_the_reading_before_comes_back(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city(), ("type", "day", "", pl.col("day") == "soon")], mode="propose")
    rows = trips(city=["Newrak", "Boston"], day=["2013-01-01", "soon"])
    other_reading(world, "wrong_dialect", "day", rows)
    world.deliver(rows)
    snap, reading = sorted(world.remedies(), key=lambda each: each.remedy, reverse=True)
    world.say(snap.remedy_id, "approve")
    assert world.waiting_rows() == {2}
    world.say(reading.remedy_id, "approve")
    assert (world.healing().reading, world.waiting_rows()) == (3, {2})
    again = [each for each in world.remedies() if each.precedent]
    assert [(each.remedy, each.state, each.precedent) for each in again] == [(snap.remedy, "verified", snap.remedy_id)]
    world.say(again[0].remedy_id, "undo")
    assert world.waiting_rows() == {1, 2}
    world.places(20)
