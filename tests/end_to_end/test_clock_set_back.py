"""The machine's clock is set back between two runs: the same tables as on a clock that goes on, and nothing lost."""

import os
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.end_to_end.command import Running, mend
from tests.end_to_end.shop import Shop, opened_shop

pytestmark = pytest.mark.slow

HOUR = 3_600
HERE = str(Path(__file__).with_name("clock_set_back"))  # its sitecustomize turns the clock
BACK = {
    "PYTHONPATH": os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH")))),
    "CLOCK_SET_BACK_SECONDS": str(HOUR),
}
LATER = ("orders/o4.csv", "orders/o5.csv", "orders/o6.csv", "orders/o7.csv")


def run_in_two(shop: Shop, later: dict[str, str], *, killed: bool = False) -> None:
    """Half of the orders, then the others in another environment; ``killed``: the first run dies at its work."""
    away = {path: shop.folder / "away" / Path(path).name for path in LATER}
    (shop.folder / "away").mkdir()
    for path, hidden in away.items():
        (shop.folder / "landing" / path).rename(hidden)
    if killed:
        running = Running(*shop.arguments("orders"), cwd=shop.folder)
        while not any((shop.root / "objects" / "passed").glob("*/a0001/*.parquet")) and not running.ended:
            pass
        running.kill()
        running.wait()
    else:
        assert mend(*shop.arguments("orders"), cwd=shop.folder).code == 0
    for path, hidden in away.items():
        hidden.rename(shop.folder / "landing" / path)
    ended = mend(*shop.arguments("orders"), cwd=shop.folder, environment=later)
    assert ended.code == 3, ended.said
    assert ended.json["totals"]["rows_in_flight"] == 0


def said_at(shop: Shop) -> list[int]:
    """When each event was published, in the order in which that happened; microseconds."""
    with closing(sqlite3.connect(shop.root / ".mend" / "store.db")) as connection:
        return [int(row[0]) for row in connection.execute("SELECT published_at FROM events ORDER BY position")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose parent table is loaded; each test copies it."""
    return opened_shop(tmp_path_factory.mktemp("clock") / "shop")


@pytest.fixture(scope="module")
def undisturbed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The two runs on a clock that goes on."""
    mine = shop.copy(tmp_path_factory.mktemp("undisturbed") / "shop")
    run_in_two(mine, {})
    return mine


@pytest.mark.parametrize("killed", [False, True], ids=["between two runs", "after a kill"])
def test_the_clock_is_set_back(shop: Shop, undisturbed: Shop, tmp_path: Path, killed: bool) -> None:
    """``account`` audits: what the second run did an hour "before" the first has lost and doubled nothing."""
    mine = shop.copy(tmp_path / "shop")
    run_in_two(mine, BACK, killed=killed)
    times = said_at(mine)
    leaps = [before - after for before, after in pairwise(times) if before - after > 60 * 1_000_000]
    assert len(leaps) == 1, "the clock that the product sees was set back once"
    assert 0 < HOUR * 1_000_000 - leaps[0] < 600 * 1_000_000
    assert mine.table("orders") == undisturbed.table("orders")
    assert mine.account("orders") == undisturbed.account("orders")
