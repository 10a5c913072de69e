"""Goal: what holds a whole batch (columns, dialect, units, cut-off files, missing parents) heals or waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from shared.domain import paths
from shared.events.types import (
    BatchLoaded,
    BatchStaged,
    ContractAmended,
    DeliveryRegistered,
    Event,
    RemedyProposed,
    RemedyUndone,
    RemedyVerified,
    RereadFailed,
    SourceReread,
)
from shared.ports.state_store import Put
from tests.unit.remediate.test_healing import trips
from tests.unit.remediate.world import BATCH, World, fails_city, fails_day

NEWER = "b0000000000000000002"


def missing(world: World, candidates: list[dict[str, Any]], unexpected: list[str] | None = None) -> None:
    """validate: `price` is missing as long as nothing was renamed to it; unexpected columns until accepted."""

    accepted: set[str] = set()

    def hold(rows: pl.DataFrame, event: BatchStaged) -> list[dict[str, Any]]:
        renamed = json.loads(event.rename_json) if event.rename_json else {}
        names = {renamed.get(name, name) for name in rows.columns}
        accepted.update(each.rpartition(":")[0] for each in event.accept_columns)
        new = [each for each in unexpected or [] if each not in renamed and each not in accepted]
        found: list[dict[str, Any]] = []
        if "price" not in names:
            found.append(
                {"check": "missing_columns", "cause": "column_renamed", "missing": ["price"], "missing_count": 1,
                 "candidates": candidates}
            )  # fmt: skip
        if new:
            listed = [{"name": each, "logical_type": "string"} for each in new]
            found.append(
                {"check": "unexpected_columns", "cause": "column_added", "unexpected": listed,
                 "unexpected_count": len(new)}
            )  # fmt: skip
        return found

    world.hold = hold


def candidate(delivered: str, **changed: Any) -> dict[str, Any]:
    told = {"missing": "price", "delivered": delivered, "synonym": False, "name_similarity": 0.9, "fits_share": 1.0}
    return {**told, **changed}


def test_a_renamed_and_a_new_column_are_put_right_in_one_attempt(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    missing(world, [candidate("prices")], ["prices", "note"])
    world.deliver(trips(city=["Newrak"]).rename({"price": "prices"}).with_columns(note=pl.lit("n")))
    assert {each.remedy for each in world.of(RemedyVerified)} == {"rename_columns", "add_column", "snap_to_allowed"}
    assert all(each.state == "verified" for each in world.of(RemedyVerified))
    staged = world.of(BatchStaged)
    assert [json.loads(each.rename_json) for each in staged] == [{"prices": "price"}] * 2
    assert staged[0].accept_columns == ["note:string"]
    assert world.waiting_rows() == set()
    world.places(20)


def test_a_doubtful_rename_is_proposed_and_the_new_column_waits_for_it(tmp_path: Path) -> None:
    world = World(tmp_path, [])
    missing(world, [candidate("cost"), candidate("fee")], ["cost", "fee"])
    world.deliver(trips().rename({"price": "cost"}).with_columns(fee=pl.lit("1")))
    (proposed,) = world.of(RemedyProposed)
    assert proposed.remedy == "rename_columns"
    assert world.of(BatchStaged) == []
    world.say(proposed.remedy_id, "approve")
    assert world.waiting_rows() == set()
    assert world.of(BatchStaged)[0].accept_columns == ["fee:string"]


def test_an_undone_rename_names_the_deliveries_that_were_read_with_it(tmp_path: Path) -> None:
    """They were loaded by the names that the remedy made general, by no remedy of their own: nothing else tells."""
    world = World(tmp_path, [])
    missing(world, [candidate("cost"), candidate("fee")])
    world.deliver(trips().rename({"price": "cost"}))
    (proposed,) = world.of(RemedyProposed)
    world.say(proposed.remedy_id, "approve")
    told = {"pipeline": "trips", "state": "released", "remedy_id": "", "rename_json": '{"cost": "price"}'}
    others = {"b2": told, "b3": {**told, "rename_json": '{"fee": "price"}'}, "b4": {**told, "state": "held"}}
    writes = [Put("verdicts", f"{each}:1", {**document, "batch_id": each}) for each, document in others.items()]
    world.process.store.commit(writes)
    world.say(proposed.remedy_id, "undo")
    assert [each.alike for each in world.of(RemedyUndone)] == [["b2"]]
    assert "b2" in world.remedies()[0].explanation


def test_an_accepted_column_can_be_taken_back(tmp_path: Path) -> None:
    world = World(tmp_path, [])
    missing(world, [], ["note"])
    world.deliver(trips().with_columns(note=pl.lit("n")))
    assert world.waiting_rows() == set()
    (record,) = world.remedies()
    world.say(record.remedy_id, "undo")
    assert world.of(ContractAmended)[0].remove_columns == ["note:string"]
    assert world.waiting_rows() == set(range(1, 21))
    assert world.finding("unexpected_columns").state == "escalated"
    world.places(20)


def test_a_missing_column_that_nothing_resembles_is_escalated(tmp_path: Path) -> None:
    world = World(tmp_path, [])
    missing(world, [], ["note"])
    world.deliver(trips().drop("price").with_columns(note=pl.lit("n")))
    assert world.finding("missing_columns").state == "escalated"
    assert world.finding("unexpected_columns").state == "escalated"
    assert world.of(BatchStaged) == []


def test_a_unit_is_only_proposed_and_converts_the_column_when_approved(tmp_path: Path) -> None:
    world = World(tmp_path, [])

    def hold(rows: pl.DataFrame, event: BatchStaged) -> list[dict[str, Any]]:
        shifted = rows["price"].cast(pl.Float64).mean() > 2
        ratio = [{"factor": 1.609344, "from": "mi", "to": "km", "mean_error": 0.0, "spread_error": 0.0}]
        told = {"check": "shift", "column": "price", "cause": "unit_changed", "hold": True, "unit_ratio": ratio}
        return [told] if shifted else []

    world.hold = hold
    world.deliver(trips(price=["16.09344"] * 20).with_columns(price=pl.lit("2.414016")))
    (proposed,) = world.of(RemedyProposed)
    assert (proposed.remedy, proposed.tier) == ("convert_unit", "guarded")
    world.say(proposed.remedy_id, "approve")
    with world.process.objects.read(paths.part(paths.staged(BATCH, 2), 0)) as stream:
        assert set(pl.read_parquet(stream)["price"].to_list()) == {"1.5"}
    assert world.finding("shift", "price").state == "healed"
    world.places(20)


def test_a_low_score_is_released_by_a_person(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    world.hold = lambda rows, event: [] if "score" in event.waive else [{"check": "score", "cause": "score_low"}]
    world.deliver(trips(city=["Atlantis"]))
    (proposed,) = world.of(RemedyProposed)
    assert proposed.remedy == "release"
    world.say(proposed.remedy_id, "approve")
    assert world.waiting_rows() == {1}
    assert world.finding("score").state == "healed"
    world.places(20)


def test_a_batch_can_be_released_without_a_proposal(tmp_path: Path) -> None:
    world = World(tmp_path, [], mode="observe")
    world.hold = lambda rows, event: [] if "score" in event.waive else [{"check": "score", "cause": "score_low"}]
    world.deliver(trips())
    assert world.finding("score").state == "escalated"
    world.say(f"release:{BATCH}", "approve")
    assert world.waiting_rows() == set()
    world.places(20)


def truncated(world: World) -> None:
    world.hold = lambda rows, event: (
        [] if event.batch_id == NEWER or "delivery_complete" in event.waive
        else [{"check": "delivery_complete", "cause": "truncated_delivery", "problem": "truncated"}]
    )  # fmt: skip


def test_a_cut_off_delivery_is_fetched_again_and_superseded(tmp_path: Path) -> None:
    world = World(tmp_path, [])
    truncated(world)
    asked: list[SourceReread] = []

    def reread(event: SourceReread) -> list[Event]:
        asked.append(event)
        if len(asked) < 3:
            return [RereadFailed.caused_by(event, event.id, 1, pipeline="trips", remedy_id=event.remedy_id,
                                           batch_id=event.batch_id, reason="nothing newer")]  # fmt: skip
        registered = DeliveryRegistered.caused_by(
            event, "new", 1, batch_id=NEWER, pipeline="trips", uri=f"landing/{BATCH}.csv", name="x", generation="2",
            sha256="0", bytes=1, seq="s1", raw_path="raw",
        )  # fmt: skip
        loaded = BatchLoaded.caused_by(
            event, "loaded", 1, batch_id=NEWER, pipeline="trips", attempt=1, reading=1, table="travel.trips",
            mode="append", rows_passed=30, rows_loaded=30, rows_discarded=0,
        )  # fmt: skip
        return [registered, loaded]

    world.on_reread = reread
    world.deliver(trips())
    assert len(asked) == 3
    assert all(each.refetch and each.uri == f"landing/{BATCH}.csv" for each in asked)
    assert world.healing().superseded_by == NEWER
    assert world.finding("delivery_complete").state == "healed"
    assert world.discarded_rows() == set(range(1, 21))
    world.places(20)
    late = BatchStaged.caused_by(
        asked[0], "late", 1, batch_id=BATCH, pipeline="trips", attempt=1, reading=1, seq="s0", parts=[], rows=20
    )
    world.queue.append(world.report(late, "well_formed", "", "ragged_rows", 1, 20, {}))
    world.run()
    assert world.finding("well_formed").state == "healed", "a diagnosis that comes late is about rows that are gone"


def test_a_refetch_that_finds_nothing_ends_in_a_question(tmp_path: Path) -> None:
    world = World(tmp_path, [])
    truncated(world)
    world.on_reread = lambda event: [
        RereadFailed.caused_by(event, event.id, 1, pipeline="trips", remedy_id=event.remedy_id,
                               batch_id=event.batch_id, reason="nothing newer")
    ]  # fmt: skip
    world.deliver(trips())
    assert [each.state for each in world.remedies()] == ["failed", "proposed"]
    assert world.of(RemedyProposed)[0].remedy == "release"
    registered = DeliveryRegistered.caused_by(
        world.cause, "late", 1, batch_id=NEWER, pipeline="trips", uri=f"landing/{BATCH}.csv", name="x", generation="2",
        sha256="0", bytes=1, seq="s1", raw_path="raw",
    )  # fmt: skip
    loaded = BatchLoaded.caused_by(
        world.cause, "late", 1, batch_id=NEWER, pipeline="trips", attempt=1, reading=1, table="travel.trips",
        mode="append", rows_passed=30, rows_loaded=30, rows_discarded=0,
    )  # fmt: skip
    world.queue += [registered, loaded]
    world.run()
    assert world.finding("delivery_complete").state == "healed"
    assert "expired" in [each.state for each in world.remedies()]


def test_orphans_are_judged_again_when_their_parent_is_loaded(tmp_path: Path) -> None:
    parents = {"Newark"}
    fails = pl.col("city").is_in(["Boston", "Kennedy"])
    world = World(tmp_path, [])
    known = {"relationship": fails}

    def checks() -> None:
        world.checks = [("relationship", "city", "orphan_rows", known["relationship"])]

    checks()
    plain = world.report

    def report(event: BatchStaged, check: str, column: str, *rest: Any) -> Event:
        cause, failed, rows, _ = rest
        told = plain(event, check, column, cause, failed, rows, {"parent_table": "travel.cities"})
        return told.model_copy(update={"origin": "violation"})

    world.report = report  # type: ignore[method-assign,assignment]
    world.deliver(trips(city=["Boston", "Kennedy"]))
    assert world.finding("relationship", "city").state == "waiting"
    assert world.of(BatchStaged) == []

    def parent_loaded(number: int) -> None:
        world.queue.append(
            BatchLoaded.caused_by(
                world.cause,
                f"parent{number}",
                1,
                batch_id=NEWER,
                pipeline="cities",
                attempt=number,
                reading=1,
                table="travel.cities",
                mode="append",
                rows_passed=1,
                rows_loaded=1,
                rows_discarded=0,
            )
        )
        world.run()

    parent_loaded(1)
    assert world.waiting_rows() == {1, 2}
    assert [each.state for each in world.remedies()] == ["applied"]
    assert world.finding("relationship", "city").state == "waiting"
    known["relationship"] = pl.col("city").is_in(["Kennedy"])
    checks()
    parent_loaded(2)
    assert world.waiting_rows() == {2}
    assert sorted(each.state for each in world.remedies()) == ["applied", "verified"]
    known["relationship"] = pl.col("city").is_in([])
    checks()
    parent_loaded(3)
    assert world.waiting_rows() == set()
    assert world.finding("relationship", "city").state == "healed"
    assert parents == {"Newark"}
    world.places(20)


def test_a_parent_that_comes_frees_rows_with_another_problem_as_well(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_day()])
    orphan = ("relationship", "city", "orphan_rows", pl.col("city") == "Boston")
    world.checks = [*world.checks, orphan]
    plain = world.report

    def report(event: BatchStaged, check: str, *rest: Any) -> Event:
        evidence = {"parent_table": "travel.cities"} if check == "relationship" else {}
        return plain(event, check, *rest[:-1], evidence).model_copy(update={"origin": "violation"})

    world.report = report  # type: ignore[method-assign,assignment]
    world.deliver(trips(city=["Boston", "Boston"], day=["13/01/2013", "2013-01-02", "14/01/2013"]))
    assert world.waiting_rows() == {1, 2}
    assert world.finding("type", "day").state == "waiting"
    world.checks = [fails_day()]
    world.queue.append(
        BatchLoaded.caused_by(
            world.cause,
            "parent",
            1,
            batch_id=NEWER,
            pipeline="cities",
            attempt=1,
            reading=1,
            table="travel.cities",
            mode="append",
            rows_passed=1,
            rows_loaded=1,
            rows_discarded=0,
        )
    )
    world.run()
    assert world.waiting_rows() == set()
    assert {world.finding("type", "day").state, world.finding("relationship", "city").state} == {"healed"}
    world.places(20)


def test_a_warning_holds_no_repair_back(tmp_path: Path) -> None:
    world = World(tmp_path, [fails_city()])
    warned = ("relationship", "price", "orphan_rows", pl.col("city") == "Newrak")
    world.checks = [*world.checks, warned]
    plain = world.report

    def report(event: BatchStaged, check: str, *rest: Any) -> Event:
        evidence = {"severity": "warning"} if check == "relationship" else {}
        return plain(event, check, *rest[:-1], evidence).model_copy(update={"origin": "violation"})

    world.report = report  # type: ignore[method-assign,assignment]
    world.deliver(trips(city=["Newrak"]))
    assert world.waiting_rows() == set()
    assert world.finding("relationship", "price").state == "dismissed"
