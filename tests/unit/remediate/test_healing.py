"""Goal: a batch is healed round by round, whatever the order of events; method: fake surroundings, real handlers."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from shared.domain import paths
from shared.events.types import BatchStaged, RemedyApplied, RemedyProposed, RemedyVerified
from tests.unit.remediate.world import BATCH, World, fails_city, fails_day, fails_id, fails_price


def trips(**changed: list[str]) -> pl.DataFrame:
    rows = 20
    columns = {
        "id": [str(number) for number in range(rows)],
        "day": ["2013-01-02"] * rows,
        "city": ["Newark"] * rows,
        "price": ["1.5"] * rows,
    }
    for name, values in changed.items():
        columns[name] = [*values, *columns[name][len(values) :]]
    return pl.DataFrame(columns)


def test_a_typo_is_healed_verified_and_accounted_for(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    world.deliver(trips(city=["Newrak", "bostno", "KENNEDY "]))
    assert world.waiting_rows() == set()
    assert world.finding("enum", "city").state == "healed"
    world.places(20)
    assert {each.remedy for each in world.of(RemedyVerified)} == {"normalise_text", "snap_to_allowed"}
    assert all(each.state == "verified" for each in world.of(RemedyVerified))
    assert world.of(RemedyProposed) == []


def test_the_log_of_repairs_has_every_cell(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    world.deliver(trips(city=["Newrak", "Bostn"]))
    with world.process.objects.read(paths.repairs(BATCH, 2)) as stream:
        log = pl.read_parquet(stream)
    assert log.columns == ["_mend_row", "column", "old", "new", "remedy", "confidence"]
    assert log.select("_mend_row", "column", "old", "new").rows() == [
        (1, "city", "Newrak", "Newark"),
        (2, "city", "Bostn", "Boston"),
    ]


def test_no_event_and_no_document_holds_a_cell(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city(), fails_day()])
    world.deliver(trips(city=["Newrak"], day=["13/01/2013"]))
    said = " ".join(event.model_dump_json() for event in world.emitted)
    kept = " ".join(
        str(stored.data)
        for name in ("healings", "remedies", "decisions", "repairs", "posteriors")
        for stored in world.process.store.query(name)
    )
    for value in ("Newrak", "13/01/2013", "Newark"):
        assert value not in said
        assert value not in kept


def test_rows_with_two_problems_are_repaired_in_one_attempt(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city(), fails_day(), fails_price()])
    world.deliver(trips(city=["Newrak", "Bostn"], day=["13/01/2013", "14/01/2013"], price=["1,5", "2,25"]))
    assert world.waiting_rows() == set()
    assert len(world.healing().attempts) == 2
    assert {each.remedy for each in world.of(RemedyApplied)} == {"snap_to_allowed", "parse_dates", "parse_numbers"}
    world.places(20)


def test_what_cannot_be_healed_is_escalated_with_a_command(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    world.deliver(trips(city=["Atlantis", "Newrak"]))
    finding = world.finding("enum", "city")
    assert finding.state == "escalated"
    assert finding.rows_left == 1
    assert "mend quarantine show" in finding.note
    assert world.waiting_rows() == {1}
    world.places(20)


def test_a_row_with_a_second_fault_does_not_keep_the_next_candidate_from_the_others(tmp_path: Path) -> None:
    """The first candidate (normalise_text) finds only a row that cannot go on; the second mends the other row."""
    world = World(tmp_path, [fails_city(), fails_price()])
    world.deliver(trips(city=["NEWARK ", "Newrak"], price=["much"]))
    assert world.waiting_rows() == {1}
    assert {each.remedy for each in world.of(RemedyVerified)} == {"snap_to_allowed"}
    assert world.finding("enum", "city").state == "escalated"
    assert world.finding("enum", "city").rows_left == 1
    world.places(20)


def test_one_remedy_a_cell_in_an_attempt(tmp_path: Path) -> None:
    """When candidates join each other, the log has each cell once, with the first one's answer."""
    world = World(tmp_path, [fails_city(), fails_price()])
    world.deliver(trips(city=["NEWARK ", "Newrak", "boston"], price=["much", "1.5", "2,5"]))
    assert world.waiting_rows() == {1}
    logs = []
    for attempt in world.healing().attempts[1:]:
        with world.process.objects.read(paths.repairs(BATCH, attempt.number)) as stream:
            logs.append(pl.read_parquet(stream))
    cells = pl.concat(logs).select("_mend_row", "column").rows()
    assert len(cells) == len(set(cells)) == 3


def test_a_row_stays_when_one_of_its_problems_cannot_be_mended(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city(), fails_day()])
    world.deliver(trips(city=["Atlantis", "Newark"], day=["13/01/2013", "14/01/2013"]))
    assert world.waiting_rows() == {1}
    with world.process.objects.read(paths.part(paths.quarantine(BATCH, 1), 0)) as stream:
        assert pl.read_parquet(stream).filter(pl.col("_mend_row") == 1)["day"].to_list() == ["13/01/2013"]
    world.places(20)


def test_ambiguous_dates_are_proposed_and_approved_once(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_day()])
    world.deliver(trips(day=["03/04/2013", "05/06/2013"]))
    (proposed,) = world.of(RemedyProposed)
    assert world.finding("type", "day").state == "waiting"
    assert world.waiting_rows() == {1, 2}
    world.say(proposed.remedy_id, "approve")
    world.say(proposed.remedy_id, "approve", by="grace")
    assert world.waiting_rows() == set()
    assert len(world.of(RemedyApplied)) == 1
    assert len(world.of(BatchStaged)) == 1
    (record,) = world.remedies()
    assert (record.state, record.decided_by) == ("verified", "ada")
    world.places(20)


def test_a_rejected_proposal_goes_to_the_next_candidate_and_then_to_a_person(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_day()])
    world.deliver(trips(day=["03/04/2013"]))
    (proposed,) = world.of(RemedyProposed)
    world.say(proposed.remedy_id, "reject")
    assert world.finding("type", "day").state == "escalated"
    world.say(proposed.remedy_id, "approve")
    assert world.waiting_rows() == {1}


def test_a_proposal_expires(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_day()])
    world.deliver(trips(day=["03/04/2013"]))
    (proposed,) = world.of(RemedyProposed)
    world.clock.sleep(8 * 86_400)
    world.tick()
    world.run()
    assert world.remedies()[0].state == "expired"
    assert world.finding("type", "day").state == "escalated"
    world.say(proposed.remedy_id, "approve")
    assert world.waiting_rows() == {1}


@pytest.mark.parametrize("mode", ["observe", "propose"])
def test_careful_modes_change_nothing(tmp_path: Path, mode: str) -> None:
    world = World(tmp_path, [fails_city()], mode=mode)
    world.deliver(trips(city=["Newrak"]))
    assert world.of(BatchStaged) == []
    assert len(world.of(RemedyProposed)) == (1 if mode == "propose" else 0)
    assert world.finding("enum", "city").state == ("waiting" if mode == "propose" else "escalated")


def test_too_many_rows_are_proposed(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_day()], share=0.25)
    world.deliver(trips(day=["13/01/2013"] * 10))
    (proposed,) = world.of(RemedyProposed)
    assert "50%" in proposed.reason


def test_equal_rows_are_deduplicated(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_id()])
    rows = trips(id=["7", "7", "7", "9", "9"])
    rows = rows.with_columns(price=pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("8")).otherwise("price"))
    world.deliver(
        rows.with_columns(id=pl.when(pl.int_range(pl.len()) < 5).then("id").otherwise(pl.concat_str(pl.lit("x"), "id")))
    )
    assert world.waiting_rows() == {4, 5}
    assert world.discarded_rows() == {2, 3}
    assert world.finding("primary_key", "id").state == "escalated"
    world.places(20)


def test_an_undo_puts_every_row_back(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city(), fails_day()])
    world.deliver(trips(city=["Newrak", "Bostn"], day=["2013-01-02", "2013-01-02", "13/01/2013"]))
    assert world.waiting_rows() == set()
    snapped = next(each for each in world.remedies() if each.remedy == "snap_to_allowed")
    world.say(snapped.remedy_id, "undo")
    assert world.waiting_rows() == {1, 2}
    assert next(each for each in world.remedies() if each.remedy_id == snapped.remedy_id).state == "undone"
    assert world.finding("enum", "city").state == "escalated"
    assert world.finding("type", "day").state == "healed"
    world.places(20)


@pytest.mark.parametrize("seed", range(25))
def test_any_order_and_repetition_ends_the_same(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, [fails_city(), fails_day(), fails_price(), fails_id()], seed=seed)
    rows = trips(
        city=["Newrak", "Bostn", "Atlantis", " newark"],
        day=["13/01/2013", "2013-01-02", "14/01/2013", "15/01/2013", "16/01/2013"],
        price=["1,5", "x", "2,5", "3,75"],
    )
    world.deliver(rows)
    assert world.waiting_rows() == {2, 3}
    assert {world.finding("enum", "city").state, world.finding("type", "price").state} == {"escalated"}
    assert world.healing().flight is None
    world.places(20)


def test_a_remedy_that_has_just_failed_too_often_rests_at_once(tmp_path: Path) -> None:
    """Its failure and its next use are decided on in one step, in which no store tells of the failure yet."""
    only_newark = ("enum", "city", "value_not_normalised", pl.col("city") != "Newark")
    price = ("type", "price", "value_not_normalised", fails_price()[3])
    world = World(tmp_path, [only_newark, price])
    (tmp_path / "policy.yaml").write_text("circuit_breaker: {failures: 1}\n")
    # The second row goes on only with the next remedy of its city, after the first row's was in vain.
    world.deliver(trips(city=["boston", "Bosten"], price=["1.5", " 2.5"]))
    states = {(each.remedy, *each.columns): each.state for each in world.remedies()}
    assert states["normalise_text", "city"] == "failed"
    assert states["normalise_text", "price"] == "proposed"
    assert "rests" in next(each.reason for each in world.remedies() if each.columns == ["price"])
