"""Goal: what waits for a table is loaded by one job, each row once, and what cannot be loaded so is loaded alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from services.load import waiting
from shared.domain.errors import ForeignFailure, WarehouseBusy
from shared.events.types import BatchLoaded, LoadDue
from tests.unit.load.waiters import Waiters, busy, over_quota, refused
from tests.unit.load.world import Row

ONE: list[Row] = [{"k": 1, "v": "a1"}, {"k": 2, "v": "a2"}]
TWO: list[Row] = [{"k": 1, "v": "b1"}]
THREE: list[Row] = [{"k": 3, "v": "c3"}]
ALL = [(1, "a1"), (1, "b1"), (2, "a2"), (3, "c3")]


@pytest.mark.parametrize("error", [busy, over_quota])
def test_those_that_wait_share_a_job(tmp_path: Path, error: Callable[[], Exception]) -> None:
    world = Waiters(tmp_path)
    for batch, rows in (("b1", ONE), ("b2", TWO), ("b3", THREE)):
        assert world.handle(world.validated(batch, rows), world.with_warehouse(error)) == []
        assert world.waits(batch)
    assert world.table() == []
    (event,) = world.handle(world.tick())
    assert isinstance(event, LoadDue)
    assert sorted(event.members) == ["b1:1", "b2:1", "b3:1"]
    process = world.with_warehouse()
    loaded = world.handle(event, process)
    assert world.table("k", "v") == ALL
    assert world.table("_mend_batch", "_mend_row", "_mend_seq") == [
        ("b1", 1, "sb1"),
        ("b1", 2, "sb1"),
        ("b2", 1, "sb2"),
        ("b3", 1, "sb3"),
    ]
    (job,) = process.warehouse.jobs  # type: ignore[attr-defined]
    assert (len(job.files), job.batch) == (3, "")
    assert {world.state(batch) for batch in ("b1", "b2", "b3")} == {"loaded"}
    assert [each.rows_loaded for each in loaded if isinstance(each, BatchLoaded)] == [2, 1, 1]
    assert world.handle(event) == []


def test_what_is_said_and_kept_is_what_a_load_alone_says_and_keeps(tmp_path: Path) -> None:
    world = Waiters(tmp_path)
    event = world.put_by("b1", ONE)
    world.put_by("b2", TWO)
    said = {each.subject: each for each in world.handle(world.called())}
    kept = world.process.store.get("loads", "b1:1")
    other = Waiters(tmp_path / "other")
    (expected,) = other.handle(event.model_copy(update={"passed_parts": other.validated("b1", ONE).passed_parts}))
    direct = other.process.store.get("loads", "b1:1")
    assert kept is not None
    assert direct is not None
    assert said["b1"].model_dump(exclude={"time"}) == expected.model_dump(exclude={"time"})
    assert {**kept.data, "loaded_at": 0} == {**direct.data, "loaded_at": 0}


@pytest.mark.parametrize("mode", ["upsert", "overwrite"])
def test_what_replaces_rows_comes_again_by_itself(tmp_path: Path, mode: str) -> None:
    world = Waiters(tmp_path, mode)
    with pytest.raises(WarehouseBusy):
        world.handle(world.validated("b1", ONE), world.with_warehouse(busy))
    with pytest.raises(ForeignFailure):
        world.handle(world.validated("b1", ONE), world.with_warehouse(over_quota))
    assert world.state("b1") == ""
    assert world.handle(world.tick()) == []


def test_what_is_refused_for_good_does_not_wait(tmp_path: Path) -> None:
    world = Waiters(tmp_path)
    assert world.deliver(world.validated("b1", ONE), world.with_warehouse(refused)).outcome == "foreign"
    assert not world.waits("b1")


def test_only_like_ones_share_a_job(tmp_path: Path) -> None:
    world = Waiters(tmp_path)
    world.put_by("b1", ONE)
    world.put_by("b2", [{"k": 1, "v": "b1", "extra": 1}])
    world.put_by("b3", THREE)
    events = world.handle(world.tick())
    assert sorted(sorted(each.members) for each in events if isinstance(each, LoadDue)) == [["b1:1", "b3:1"], ["b2:1"]]
    for event in events:
        world.handle(event)
    assert world.table("k", "extra") == [(1, None), (1, 1), (2, None), (3, None)]


def test_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MEMBERS_MAX", 2)
    world = Waiters(tmp_path)
    for number in range(5):
        world.put_by(f"b{number}", ONE)
    assert sorted(len(each.members) for each in world.handle(world.tick()) if isinstance(each, LoadDue)) == [1, 2, 2]
    monkeypatch.setattr(waiting, "BYTES_MAX", 1)
    world.anew(1)
    for number in range(3):
        world.put_by(f"b{number}", ONE)
    assert [len(each.members) for each in world.handle(world.tick()) if isinstance(each, LoadDue)] == [1, 1, 1]
    monkeypatch.setattr(waiting, "CALLED_MAX", 2)
    world.anew(2)
    for number in range(3):
        world.put_by(f"b{number}", ONE)
    assert len(world.handle(world.tick())) == 2
    assert len(world.handle(world.tick())) == 1, "who was left over is called by the next tick"
    monkeypatch.setattr(waiting, "CALLED_MAX", 9)
    monkeypatch.setattr(waiting, "CALLS_MAX", 2)
    world.anew(3)
    for number in range(3):
        world.put_by(f"b{number}", ONE)
    assert [len(world.handle(world.tick())) for _ in range(3)] == [2, 1, 0]


def test_one_that_is_at_fault_does_not_keep_the_others(tmp_path: Path) -> None:
    world = Waiters(tmp_path)
    for batch, rows in (("b1", ONE), ("b2", TWO), ("b3", THREE)):
        world.put_by(batch, rows)
    bad = world.with_warehouse(refused, "b2")
    group = world.called()
    assert (group.subject, group.batch_id) == (world.name, "")
    assert world.deliver(group, bad).outcome == "handled"
    outcomes = {each.batch_id: world.deliver(each, bad).outcome for each in world.due()}
    assert outcomes == {"b1": "handled", "b2": "foreign", "b3": "handled"}
    assert world.table("k", "v") == [(1, "a1"), (2, "a2"), (3, "c3")]
    assert world.waits("b2")
    world.come_to_rest()
    assert world.waits("b2"), "its incident has the event that is to be handled again"


def test_a_single_load_that_was_refused_is_handled_again(tmp_path: Path) -> None:
    """As `event.retry` has it: the same event under another id, after the job was halted by the refusal."""
    world = Waiters(tmp_path)
    world.put_by("b1", ONE)
    event = world.called()
    assert world.deliver(event, world.with_warehouse(refused)).outcome == "foreign"
    assert world.deliver(event.model_copy(update={"id": "again"})).outcome == "handled"
    world.come_to_rest()
    assert world.table("k") == [(1,), (2,)]
    assert world.state("b1") == "loaded"


def test_a_load_that_seemed_to_be_refused_is_not_done_again(tmp_path: Path) -> None:
    """The own job of b1 took effect, and its answer was lost."""
    world = Waiters(tmp_path)
    process = world.with_warehouse()
    warehouse = process.warehouse
    run = warehouse.run

    def lost(job: object) -> object:
        run(job)  # type: ignore[arg-type]
        raise WarehouseBusy("the answer was lost")

    warehouse.run = lost  # type: ignore[method-assign, assignment]
    assert world.deliver(world.validated("b1", ONE), process).outcome == "handled"
    world.put_by("b2", TWO)
    world.put_by("b3", THREE)
    assert world.table("k") == [(1,), (2,)]
    world.handle(world.called())
    assert world.table("k", "v") == ALL
    assert {world.state(batch) for batch in ("b1", "b2", "b3")} == {"loaded"}


def test_a_row_that_waits_is_withdrawn_before_it_is_called(tmp_path: Path) -> None:
    world = Waiters(tmp_path)
    event = world.put_by("b1", ONE)
    world.put_by("b2", TWO)
    world.deliver(world.withdraw("b1", reading=1))
    assert world.state("b1") == "ignored"
    assert world.called().members == ["b2:1"]
    assert world.handle(event) == []


def test_rows_of_a_shared_job_are_withdrawn_batch_by_batch(tmp_path: Path) -> None:
    world = Waiters(tmp_path)
    for batch, rows in (("b1", ONE), ("b2", TWO), ("b3", THREE)):
        world.put_by(batch, rows)
    world.handle(world.called())
    assert world.take_out("b2", reading=1).rows_withdrawn == 1
    assert world.table("k", "v") == [(1, "a1"), (2, "a2"), (3, "c3")]
    assert world.take_out("b1", attempt=1).rows_withdrawn == 2
    assert world.table("k", "v") == [(3, "c3")]


def test_a_transform_and_a_moved_table_hinder_nothing(tmp_path: Path) -> None:
    """Where it belongs was decided when it was to be loaded first; the files of the project are not read again."""
    world = Waiters(tmp_path, extra="transform: SELECT k, UPPER(v) AS v FROM batch WHERE k < 3")
    world.put_by("b1", ONE)
    world.put_by("b2", [*TWO, *THREE])
    group = world.called()
    (world.folder / "pipelines" / "things.yaml").write_text("pipeline: [broken")
    world.handle(group)
    assert world.table("k", "v") == [(1, "A1"), (1, "B1"), (2, "A2")]
    assert world.discarded("b2") == [(2, "the transform's WHERE dropped it")]


def test_a_column_that_became_wider_meanwhile_takes_the_narrower_rows(tmp_path: Path) -> None:
    world = Waiters(tmp_path)
    world.put_by("b1", [{"k": 1, "v": True}], schema=pa.schema([("_mend_row", pa.int64()), ("k", pa.int64()),
                                                                 ("v", pa.bool_())]))  # fmt: skip
    group = world.called()
    world.load("b0", [{"k": 1, "v": "text"}])
    world.handle(group)
    assert world.table("k", "v") == [(1, "text"), (1, "true")]
