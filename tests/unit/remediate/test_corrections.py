"""Goal: a person's correction is reacted to as any diagnosis is; nothing is done twice or behind a back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.remediate.handlers import SERVICE
from shared.events.types import (
    IncidentClassified,
    IncidentClosed,
    RemedyApplied,
    RemedyDecided,
    RemedyProposed,
    RemedyVerified,
    RetryRequested,
)
from tests.support.local_ports import handle
from tests.unit.remediate.test_healing import trips
from tests.unit.remediate.test_lone import Outside, ring
from tests.unit.remediate.world import BATCH, World, fails_city, fails_day, fails_id


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path, [])


def say(world: Outside, cause: str, **changed: Any) -> None:
    """A person's word has changed the diagnosis, which classify tells."""
    world.clock.time += 1
    world.report(**{"repeated": True, "judged_by": "ada", "cause": cause, "confidence": 0.75, **changed})
    world.drain()


def correct(world: World, check: str, column: str, cause: str, batch: str = BATCH) -> None:
    """The same of a finding in rows."""
    finding = world.finding(check, column, batch)
    names = ("fingerprint", "origin", "pipeline", "batch_id", "attempt", "check", "column", "rows", "rows_failed",
             "evidence_json", "incident_id", "failure_class")  # fmt: skip
    world.count += 1
    world.clock.time += 1
    event = IncidentClassified.caused_by(
        world.cause, f"said{world.count}", world.clock.now(), cause=cause, confidence=0.75, repeated=True,
        judged_by="ada", **{name: getattr(finding, name) for name in names},
    )  # fmt: skip
    world.queue.append(event)


def shown(world: World) -> list[tuple[str, str, str]]:
    return [(each.remedy, each.cause, each.state) for each in world.remedies()]


def test_what_was_asked_for_another_cause_is_void_and_what_fits_is_done(outside: Outside) -> None:
    outside.report(cause="source_forbidden")
    outside.drain()
    (asked,) = outside.remedies()
    say(outside, "source_unavailable")
    assert shown(outside) == [
        ("hold_for_person", "source_forbidden", "expired"), ("retry_with_backoff", "source_unavailable", "applied"),
    ]  # fmt: skip
    expired = outside.remedies()[0]
    assert expired.explanation == "ada said that it is source_unavailable, not source_forbidden"
    outside.say(asked.remedy_id, "approve")
    assert shown(outside)[0][2] == "expired"
    outside.run()
    assert outside.found().state == "healed"
    assert len(outside.of(RetryRequested)) == 1


def test_without_a_remedy_for_the_new_cause_a_person_is_asked_anew(outside: Outside) -> None:
    outside.report(cause="source_forbidden")
    outside.drain()
    say(outside, "source_login_failed")
    assert shown(outside) == [
        ("hold_for_person", "source_forbidden", "expired"), ("hold_for_person", "source_login_failed", "proposed"),
    ]  # fmt: skip
    assert len({each.remedy_id for each in outside.of(RemedyProposed)}) == 2
    assert outside.found().state == "waiting"
    assert outside.of(IncidentClosed) == []


def test_the_same_word_or_the_same_cause_again_asks_nothing_again(outside: Outside) -> None:
    outside.report(cause="source_forbidden")
    outside.drain()
    say(outside, "source_forbidden", confidence=0.95)
    say(outside, "source_login_failed")
    say(outside, "source_login_failed")
    assert [each[2] for each in shown(outside)] == ["expired", "proposed"]
    assert outside.found().cause == "source_login_failed"


def test_a_retry_that_is_under_way_is_neither_doubled_nor_taken_for_failed(outside: Outside) -> None:
    outside.report()
    outside.drain()
    ring(outside)
    say(outside, "source_forbidden")
    assert shown(outside) == [("retry_with_backoff", "source_unavailable", "applied")]
    assert len(outside.of(RetryRequested)) == 1
    assert "is verified first" in outside.found().note
    for _ in range(5):
        outside.clock.time += 1
        outside.report(repeated=True, cause="source_forbidden")
        outside.drain()
        if outside.found().phase == "pause":
            ring(outside)
    assert shown(outside) == [
        ("retry_with_backoff", "source_unavailable", "failed"), ("hold_for_person", "source_forbidden", "proposed"),
    ]  # fmt: skip


def test_the_first_diagnosis_that_comes_after_the_word_changes_nothing(outside: Outside) -> None:
    outside.clock.time += 10
    say(outside, "source_forbidden")
    assert shown(outside) == [("hold_for_person", "source_forbidden", "proposed")]
    outside.clock.time -= 5
    outside.report()
    outside.drain()
    assert outside.found().cause == "source_forbidden"
    assert shown(outside) == [("hold_for_person", "source_forbidden", "proposed")]


def test_an_incident_that_is_over_stays_over(outside: Outside) -> None:
    outside.report()
    outside.run()
    assert outside.found().state == "healed"
    before = len(outside.emitted)
    say(outside, "source_forbidden")
    assert outside.found().state == "healed"
    assert len(outside.emitted) == before


@pytest.mark.parametrize("seed", range(6))
def test_rows_go_on_with_the_remedy_of_the_cause_that_a_person_named(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, [fails_id()], mode="propose", seed=seed)
    world.deliver(trips(id=["1"]))
    asked = ("deduplicate", "duplicate_rows", "expired")
    correct(world, "primary_key", "id", "key_mismatch")
    world.run()
    assert shown(world) == [asked]
    assert world.finding("primary_key", "id").state == "escalated"
    (end,) = world.of(IncidentClosed)
    assert end.judged_at == world.finding("primary_key", "id").judged_at > 0
    correct(world, "primary_key", "id", "duplicate_rows")
    world.run()
    assert shown(world) == [asked, ("deduplicate", "duplicate_rows", "proposed")]
    assert len({each.remedy_id for each in world.remedies()}) == 2
    world.say(world.remedies()[-1].remedy_id, "approve")
    assert world.finding("primary_key", "id").state == "healed"
    world.places(20)


def test_rows_that_were_handed_to_a_person_are_taken_up_again(tmp_path: Path) -> None:
    world = World(tmp_path, [(*fails_day()[:2], "out_of_range", fails_day()[3])])
    world.deliver(trips(day=["13/01/2013", "14/01/2013"]))
    assert world.finding("type", "day").state == "escalated"
    correct(world, "type", "day", "date_format_changed")
    world.run()
    assert shown(world) == [("parse_dates", "date_format_changed", "verified")]  # the texts fit one format alone
    assert world.finding("type", "day").state == "healed"
    world.places(20)


def test_a_batch_whose_place_another_took_is_over(tmp_path: Path) -> None:
    world = World(tmp_path, [(*fails_day()[:2], "out_of_range", fails_day()[3])])
    world.deliver(trips(day=["13/01/2013"]))
    batch = world.healing()
    batch.superseded_by = "b2"
    unit = world.state
    batch.save(unit)
    world.process.store.commit(*unit.changes())
    correct(world, "type", "day", "date_format_changed")
    world.run()
    assert world.finding("type", "day").state == "healed"
    assert world.remedies() == []


def test_a_proposal_that_is_right_stands_when_the_diagnosis_is_confirmed(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()], mode="propose")
    world.deliver(trips(city=["Newrak", "Bostn"]))
    before = shown(world)
    correct(world, "enum", "city", "value_misspelled")
    world.run()
    assert shown(world) == before == [("snap_to_allowed", "value_misspelled", "proposed")]


def test_a_remedy_that_fits_the_new_cause_too_is_asked_under_it(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()], mode="propose")
    world.deliver(trips(city=["Newrak", "Bostn"]))
    correct(world, "enum", "city", "value_unknown")
    world.run()
    assert shown(world) == [
        ("snap_to_allowed", "value_misspelled", "expired"), ("snap_to_allowed", "value_unknown", "proposed"),
    ]  # fmt: skip
    world.say(world.remedies()[-1].remedy_id, "approve")
    assert world.finding("enum", "city").state == "healed"
    assert [each.cause for each in world.of(RemedyVerified)] == ["value_unknown"]
    world.places(20)


def test_what_a_person_approved_keeps_its_turn_and_runs_once(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()], mode="propose")
    world.deliver(trips(city=["Newrak", "Bostn"]))
    (asked,) = world.remedies()
    correct(world, "enum", "city", "value_unknown")
    word = world.queue.pop()
    told = {"remedy_id": asked.remedy_id, "decision": "approve", "by": "ada"}
    yes = RemedyDecided.caused_by(world.cause, "yes", world.clock.now(), **told)
    carried = handle(world.process, SERVICE, yes)
    world.emitted += carried
    world.emitted += handle(world.process, SERVICE, word)  # while the repaired rows are being judged
    world.queue += carried
    world.run()
    assert [each.remedy_id for each in world.of(RemedyApplied)] == [asked.remedy_id]
    assert world.finding("enum", "city").state == "healed"
    world.places(20)
