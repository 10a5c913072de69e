"""Twenty of the kills that `make kill` draws, two or more of each way, and that the drawing is what it says."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.command import Running, mend
from tests.end_to_end.shop import make_shop
from tests.kills import doomed
from tests.kills.case import carry_out
from tests.kills.plan import SHARES, Kill, drawn
from tests.kills.world import World

SEED = 20130101
OF_EACH = {"effect": 4}
OF_OTHERS = 2


def chosen() -> list[Kill]:
    """The first of each way."""
    wanted = {way: OF_EACH.get(way, OF_OTHERS) for way in SHARES}
    found: list[Kill] = []
    number = 0
    while any(wanted.values()):
        number += 1
        kill = drawn(SEED, number)
        if wanted[kill.way]:
            wanted[kill.way] -= 1
            found.append(kill)
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all cases; each copies what it starts from."""
    folder = tmp_path_factory.mktemp("kills")
    yield World(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("kill", chosen(), ids=lambda kill: f"{kill.way}-{kill.number}")
def test_killed_and_finished_is_as_undisturbed(world: World, kill: Kill) -> None:
    done = carry_out(world, kill)
    assert not done.wrong, f"{done.wrong}\n{done.stood.what}\n{kill.again}"


def test_seed_and_number_repeat_a_kill() -> None:
    assert [drawn(7, number) for number in range(50)] == [drawn(7, number) for number in range(50)]
    assert {drawn(7, number).way for number in range(200)} == set(SHARES)
    assert drawn(7, 1) != drawn(8, 1)


@pytest.mark.slow
@pytest.mark.skipif(doomed.library() is None, reason="needs a C compiler")
def test_a_doomed_process_dies_at_its_effect_and_no_later(world: World) -> None:
    """The same effect twice: the same files, of the same size, stand on the disk."""
    undisturbed = world.run("stock")
    assert undisturbed.effects > 300
    left = []
    for _ in range(2):
        mine = world.copy(world.opened)
        doom = doomed.at(undisturbed.effects // 3)
        assert mend(*mine.arguments("stock"), cwd=mine.folder, environment=doom).code == -9
        objects = mine.root / "objects"
        kinds = [path.relative_to(objects).parts[0] for path in sorted(objects.rglob("*")) if path.is_file()]
        left.append([kind for kind in kinds if kind != ".unfinished"])
    assert left[0] == left[1]


@pytest.mark.slow
def test_one_that_takes_too_long_says_where_it_was(tmp_path: Path) -> None:
    """So that a case that hung on a machine that one cannot get back to can be understood."""
    up = Running("up", "--root", "store", cwd=make_shop(tmp_path / "shop"))
    with pytest.raises(
        AssertionError, match=r"still running after \d+ s, of which a processor was its own for"
    ) as late:
        up.wait(3.0)
    assert "most recent call first" in str(late.value)
