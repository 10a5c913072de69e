"""The SQLite state store under the suite, with several processes, and together with the bus."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.local.state_store import SqliteStateStore
from shared.adapters.local.store_file import StoreFile
from shared.domain.errors import Conflict, InvariantBroken
from shared.ports.state_store import Expect, Put, StateStore, Where
from tests.conformance.state_store_suite import StateStoreSuite


class TestSqliteStateStore(StateStoreSuite):
    """One file, opened several times."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], StateStore]:
        return lambda: SqliteStateStore(StoreFile(tmp_path))


class TestSharedSqliteStateStore(StateStoreSuite):
    """One file, opened once and used by all."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], StateStore]:
        store = SqliteStateStore(StoreFile(tmp_path))
        return lambda: store


def _count(root: Path, times: int) -> None:
    store = SqliteStateStore(StoreFile(root))
    for _ in range(times):
        while True:
            stored = store.get("things", "counter")
            n, version = (0, 0) if stored is None else (stored.data["n"], stored.version)
            try:
                store.commit([Put("things", "counter", {"n": n + 1})], [Expect("things", "counter", version)])
                break
            except Conflict:
                continue


@pytest.mark.slow
@pytest.mark.parametrize("forked", [False, True])
def test_processes_lose_no_update(tmp_path: Path, forked: bool) -> None:
    """They also race to create the file."""
    context = multiprocessing.get_context("fork") if forked else multiprocessing.get_context("spawn")
    if forked:  # the parent's open connection must not harm the children
        SqliteStateStore(StoreFile(tmp_path)).get("things", "counter")
    processes = [context.Process(target=_count, args=(tmp_path, 60)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    stored = SqliteStateStore(StoreFile(tmp_path)).get("things", "counter")
    assert stored is not None
    assert stored.data == {"n": 240}


def test_a_store_inherited_by_a_fork_works_in_parent_and_child(tmp_path: Path) -> None:
    store = SqliteStateStore(StoreFile(tmp_path))
    store.commit([Put("things", "parent", {})])
    process = multiprocessing.get_context("fork").Process(target=store.commit, args=([Put("things", "child", {})],))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    store.commit([Put("things", "after", {})])
    assert [each.key for each in store.query("things")] == ["after", "child", "parent"]


def test_a_field_asked_for_is_found_by_index(tmp_path: Path) -> None:
    file = StoreFile(tmp_path)
    store = SqliteStateStore(file)
    store.commit([Put("healings", f"k{n}", {"wake_at": n}) for n in range(100)])
    store.query("healings", [Where("wake_at", ">", 98)], order_by="wake_at")
    with file.reading() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT key FROM documents WHERE collection = 'healings'"
            " AND json_extract(data, '$.wake_at') > 98 ORDER BY json_extract(data, '$.wake_at'), key"
        ).fetchall()
    assert len(plan) == 1, "it sorts, or looks twice"
    assert "USING INDEX documents_healings_wake_at" in plan[0][3]


def test_the_newest_of_one_kind_are_found_without_looking_at_the_others(tmp_path: Path) -> None:
    file = StoreFile(tmp_path)
    store = SqliteStateStore(file)
    store.commit([Put("incidents", f"k{n}", {"cause": f"c{n % 3}", "pipeline": "p", "at": n}) for n in range(300)])
    where = [Where("pipeline", "==", "p"), Where("cause", "==", "c1"), Where("at", ">", 0)]
    found = store.query("incidents", where, order_by="at", descending=True, limit=2)
    assert [each.key for each in found] == ["k298", "k295"]
    with file.reading() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT key FROM documents WHERE collection = 'incidents'"
            " AND json_extract(data, '$.pipeline') = 'p' AND json_extract(data, '$.cause') = 'c1'"
            " AND json_extract(data, '$.at') > 0 ORDER BY json_extract(data, '$.at') DESC, key DESC"
        ).fetchall()
    assert len(plan) == 1, "it sorts, or looks twice"
    assert plan[0][3].count("<expr>=?") == 2
    assert "documents_incidents_cause.pipeline.at" in plan[0][3]


def test_what_earlier_versions_indexed_leaves_room_for_what_is_asked_now(tmp_path: Path) -> None:
    file = StoreFile(tmp_path)
    store = SqliteStateStore(file)
    for number in range(75):
        store.query(f"collection{number}", order_by="at")
    store.query("incidents", [Where("pipeline", "==", "p")], order_by="at")
    with file.reading() as connection:
        made = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert ("documents_incidents_pipeline.at",) in made


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "a.b", "", "1a"])
def test_names_that_could_be_sql_are_refused(tmp_path: Path, name: str) -> None:
    store = SqliteStateStore(StoreFile(tmp_path))
    with pytest.raises(InvariantBroken):
        store.query(name)
    with pytest.raises(InvariantBroken):
        store.query("things", [Where(name, "==", 1)])
    with pytest.raises(InvariantBroken):
        store.commit([Put(name, "k", {})])
