"""Several processes on one store at once: no row twice, none lost, the same tables as one process makes."""

from pathlib import Path

import pytest

from tests.end_to_end.command import Ended, Running, mend
from tests.end_to_end.shop import Shop, opened_shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose parent table is loaded; each test copies it."""
    return opened_shop(tmp_path_factory.mktemp("together") / "shop")


@pytest.fixture(scope="module")
def alone(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same shop after one process ran one pipeline after the other."""
    mine = shop.copy(tmp_path_factory.mktemp("alone") / "shop")
    for pipeline in ("orders", "visits", "stock"):
        assert mend(*mine.arguments(pipeline), cwd=mine.folder).code == 3
    return mine


def together(shop: Shop, pipelines: list[str]) -> list[Ended]:
    """Start a process for each pipeline at once, and wait for all."""
    running = [Running(*shop.arguments(pipeline), cwd=shop.folder) for pipeline in pipelines]
    return [each.wait() for each in running]


def assert_as_alone(mine: Shop, alone: Shop, pipelines: set[str]) -> None:
    """Tables, places of rows and incidents are those that one process leaves."""
    for pipeline in sorted(pipelines):
        assert mine.table(pipeline) == alone.table(pipeline)
        found, expected = mine.account(pipeline), alone.account(pipeline)
        assert found["batches"] == expected["batches"]
        assert _without_drift(found["incidents"]) == _without_drift(expected["incidents"])


def _without_drift(incidents: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """A shift is measured against the batches judged so far, and who comes first differs between processes."""
    return [each for each in incidents if each[1] != "shift"]


@pytest.mark.parametrize(
    "pipelines",
    [
        ["orders", "orders"],
        ["visits", "visits", "visits"],
        ["stock", "stock"],
        ["orders", "visits", "orders"],
        ["visits", "stock"],
    ],
    ids=" ".join,
)
def test_processes_share_a_store(shop: Shop, alone: Shop, tmp_path: Path, pipelines: list[str]) -> None:
    mine = shop.copy(tmp_path / "shop")
    for ended in together(mine, pipelines):
        assert ended.code == 3, ended.said
        assert ended.json["totals"]["rows_in_flight"] == 0
    assert_as_alone(mine, alone, set(pipelines))


def test_one_is_killed_while_another_works(shop: Shop, alone: Shop, tmp_path: Path) -> None:
    mine = shop.copy(tmp_path / "shop")
    first, second = (Running(*mine.arguments("orders"), cwd=mine.folder) for _ in range(2))
    seen = mine.root / "objects" / "passed"
    while not any(seen.glob("*/a0001/*.parquet")) and not first.ended:
        pass
    first.kill()
    first.wait()
    ended = second.wait()
    assert ended.code == 3, ended.said
    assert_as_alone(mine, alone, {"orders"})


def test_looking_while_a_run_is_under_way(shop: Shop, alone: Shop, tmp_path: Path) -> None:
    """Commands that only look neither fail nor disturb, and an audit counts rows in flight as such."""
    mine = shop.copy(tmp_path / "shop")
    running = Running(*mine.arguments("orders"), cwd=mine.folder)
    looks = 0
    while not running.ended:
        for command in ("status", "incidents", "audit"):
            looked = mend(command, "--root", "store", "--json", cwd=mine.folder)
            assert looked.code in {0, 3}, looked.said  # an audit: never 1
            assert looked.json
            looks += 1
    assert running.wait().code == 3
    assert looks
    assert_as_alone(mine, alone, {"orders"})


def test_two_first_runs_make_one_store(shop: Shop, tmp_path: Path) -> None:
    mine = shop.copy(tmp_path / "shop")
    for path in sorted(mine.root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    mine.root.rmdir()
    for ended in together(mine, ["customers", "customers", "customers"]):
        assert ended.code == 0, ended.said
    assert mine.table("customers") == shop.table("customers")
