"""Goal: one decision for all that asks the same, for as long as it stands; a person's word is never stretched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shared.events.types import BatchStaged, ContractAmended, IncidentClosed, RemedyProposed
from shared.ports.state_store import Where
from tests.unit.remediate.test_healing import trips
from tests.unit.remediate.test_whole_batches import candidate, missing
from tests.unit.remediate.world import World, fails_day

BATCHES = [f"b{number:019}" for number in range(1, 31)]


def renamed(column: str = "cost") -> pl.DataFrame:
    return trips().rename({"price": column}).with_columns(fee=pl.lit("1"))


def feed(folder: Path, count: int, **options: Any) -> World:
    """Batches whose header changed in a way that leaves two answers."""
    world = World(folder, [], **options)
    missing(world, [candidate("cost"), candidate("fee")], ["cost", "fee"])
    for batch in BATCHES[:count]:
        world.deliver(renamed(), batch)
    return world


def states(world: World, count: int) -> list[str]:
    return [world.finding("missing_columns", batch=batch).state for batch in BATCHES[:count]]


def test_equal_questions_are_one_proposal_and_one_message(tmp_path: Path) -> None:
    world = feed(tmp_path, 5)
    (proposed,) = world.of(RemedyProposed)
    assert states(world, 5) == ["waiting"] * 5
    assert {world.finding("missing_columns", batch=batch).proposal for batch in BATCHES[:5]} == {proposed.remedy_id}
    note = world.finding("missing_columns", batch=BATCHES[4]).note
    assert note.startswith(f"waits for the decision on {proposed.remedy_id}")


def test_a_yes_is_carried_out_for_all_that_wait_some_at_each_tick_and_for_what_comes_later(tmp_path: Path) -> None:
    world = feed(tmp_path, 30)
    (proposed,) = world.of(RemedyProposed)
    said = world.count
    world.say(proposed.remedy_id, "approve")
    assert states(world, 30) == ["healed"] * 30
    assert world.count - said >= 3
    assert len(world.of(RemedyProposed)) == 1
    followers = [each for each in world.remedies() if each.remedy == "rename_columns" and each.precedent]
    assert {(each.precedent, each.decided_by, each.state) for each in followers} == {
        (proposed.remedy_id, "policy", "verified")
    }
    decision = world.process.store.get("decisions", followers[0].remedy_id)
    assert decision is not None
    assert decision.data["reason"] == f"by precedent of ada, {proposed.remedy_id}"
    (learned,) = [each for each in world.of(ContractAmended) if each.accept_renames_json]
    assert json.loads(learned.accept_renames_json) == {"cost": "price"}
    later = "b0000000000000000099"
    world.deliver(renamed(), later)
    assert world.finding("missing_columns", batch=later).state == "healed"


def test_a_no_holds_what_asks_the_same_and_the_next_answer_is_asked_once(tmp_path: Path) -> None:
    world = feed(tmp_path, 4)
    (first,) = world.of(RemedyProposed)
    world.say(first.remedy_id, "reject")
    first_again, second = world.of(RemedyProposed)
    assert first_again.remedy_id == first.remedy_id
    assert json.loads(first.plan_json)["rename"] != json.loads(second.plan_json)["rename"]
    world.say(second.remedy_id, "reject")
    assert states(world, 4) == ["escalated"] * 4
    world.deliver(renamed(), BATCHES[9])
    assert len(world.of(RemedyProposed)) == 2
    assert world.finding("missing_columns", batch=BATCHES[9]).state == "escalated"


def test_nobody_decides_in_time_then_all_are_handed_over_and_the_next_is_asked_anew(tmp_path: Path) -> None:
    world = feed(tmp_path, 3)
    world.clock.sleep(8 * 86_400)
    world.tick()
    world.run()
    assert states(world, 3) == ["escalated"] * 3
    told = {each.explanation for each in world.of(IncidentClosed)}
    assert any("nobody decided in time" in each for each in told)
    world.deliver(renamed(), BATCHES[9])
    assert len(world.of(RemedyProposed)) == 2


def test_undoing_the_first_withdraws_the_precedent_and_undoing_another_does_not(tmp_path: Path) -> None:
    world = feed(tmp_path, 3)
    (proposed,) = world.of(RemedyProposed)
    world.say(proposed.remedy_id, "approve")
    follower = next(
        each for each in world.remedies() if each.batch_id == BATCHES[1] and each.remedy == "rename_columns"
    )
    world.say(follower.remedy_id, "undo")
    world.deliver(renamed(), BATCHES[8])
    assert world.finding("missing_columns", batch=BATCHES[8]).state == "healed"
    assert len(world.of(RemedyProposed)) == 1
    world.say(proposed.remedy_id, "undo")
    assert any(each.remove_renames == ["cost"] for each in world.of(ContractAmended))
    world.deliver(renamed(), BATCHES[9])
    assert world.finding("missing_columns", batch=BATCHES[9]).state == "waiting"
    assert len(world.of(RemedyProposed)) == 2


def test_only_those_who_may_decide_make_precedents(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("approvals: {people: [ada]}\n")
    world = feed(tmp_path, 2)
    (proposed,) = world.of(RemedyProposed)
    world.say(proposed.remedy_id, "approve", by="mallory")
    assert states(world, 2) == ["waiting"] * 2
    world.say(proposed.remedy_id, "approve", by="ada")
    assert states(world, 2) == ["healed"] * 2
    (tmp_path / "policy.yaml").write_text("approvals: {people: [grace]}\n")
    world.deliver(renamed(), BATCHES[9])
    assert world.finding("missing_columns", batch=BATCHES[9]).state == "waiting"


def test_when_the_batch_that_asked_is_over_another_asks(tmp_path: Path) -> None:
    world = feed(tmp_path, 3)
    (proposed,) = world.of(RemedyProposed)
    world.say(f"dismiss:{proposed.incident_id}", "approve")
    assert states(world, 3) == ["dismissed", "waiting", "waiting"]
    first, second = world.of(RemedyProposed)
    assert (first.batch_id, second.batch_id) == (BATCHES[0], BATCHES[1])
    world.say(second.remedy_id, "approve")
    assert states(world, 3) == ["dismissed", "healed", "healed"]


def test_a_remedy_that_proved_itself_is_a_precedent_and_no_budget_is_spent_on_it(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("budget: {remedies_per_hour: 2}\n")
    world = World(tmp_path, [])
    missing(world, [candidate("prices")], ["prices"])
    for batch in BATCHES[:6]:
        world.deliver(trips().rename({"price": "prices"}), batch)
    assert states(world, 6) == ["healed"] * 6
    assert world.of(RemedyProposed) == []
    assert len(world.process.store.query("budgets", [Where("pipeline", "==", "trips")])) == 1


@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_and_with_lost_receipts(tmp_path: Path, seed: int) -> None:
    world = feed(tmp_path, 4, seed=seed)
    proposed = world.of(RemedyProposed)
    assert len({each.remedy_id for each in proposed}) == 1
    world.say(proposed[0].remedy_id, "approve")
    assert states(world, 4) == ["healed"] * 4
    attempts = [(each.batch_id, each.attempt) for each in world.of(BatchStaged)]
    assert len(attempts) == len(set(attempts)) == 4


def test_a_wider_type_is_accepted_and_its_rows_come_in(tmp_path: Path) -> None:
    wider = ("type", "id", "type_wider", pl.col("id") == "1.5")
    world = World(tmp_path, [wider])
    world.hypotheses = {"number_share": 1.0}

    def hold(rows: pl.DataFrame, event: BatchStaged) -> list[dict[str, Any]]:
        world.checks = [] if event.accept_columns else world.checks
        return []

    world.hold = hold
    world.deliver(trips().with_columns(id=pl.when(pl.col("id") == "1").then(pl.lit("1.5")).otherwise(pl.col("id"))))
    record = next(each for each in world.remedies() if each.remedy == "widen_type")
    assert (record.state, record.plan["accept"]) == ("verified", ["id:number"])
    assert world.finding("type", "id").state == "healed"
    world.places(20)
    world.say(record.remedy_id, "undo")
    assert [each.remove_columns for each in world.of(ContractAmended)] == [["id:number"]]
    assert world.waiting_rows() == {2}


def test_dates_of_one_format_follow_the_decision_about_them(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_day()], mode="propose")
    for batch in BATCHES[:3]:
        world.deliver(trips(day=["13/04/2013"]), batch)
    (proposed,) = world.of(RemedyProposed)
    world.say(proposed.remedy_id, "approve")
    assert [world.finding("type", "day", batch).state for batch in BATCHES[:3]] == ["healed"] * 3


@pytest.mark.parametrize("first_undone", [True, False])
def test_what_a_follower_accepts_stays_while_its_precedent_stands(tmp_path: Path, first_undone: bool) -> None:
    """A follower that came after its precedent was undone accepts the column again: undone, it takes it back itself."""
    world = World(tmp_path, [])
    new = [{"name": "note", "logical_type": "string"}]
    found = {"check": "unexpected_columns", "cause": "column_added", "unexpected": new, "unexpected_count": 1}
    world.hold = lambda rows, event: [] if event.accept_columns else [found]
    for batch in BATCHES[:2]:
        world.deliver(trips().with_columns(note=pl.lit("n")), batch)
    first, follower = sorted(
        (each for each in world.remedies() if each.remedy == "add_column"), key=lambda each: each.batch_id
    )
    assert follower.precedent == first.remedy_id
    if first_undone:
        world.say(first.remedy_id, "undo")
    before = len(world.of(ContractAmended))
    world.say(follower.remedy_id, "undo")
    taken_back = [each.remove_columns for each in world.of(ContractAmended)[before:]]
    assert taken_back == ([["note:string"]] if first_undone else [])
