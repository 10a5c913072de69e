"""``make kill N=500 [SEED=n]``: many kills one after the other, with progress and a summary."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.kills import doomed
from tests.kills.case import Done, carry_out
from tests.kills.plan import SHARES, Kill, drawn
from tests.kills.standing import Standing
from tests.kills.world import World

BROKEN = Standing("unknown: the case itself failed", False)


def main() -> int:
    """The exit code: 0 when every kill ended as the undisturbed run."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--number", type=int, default=500, help="how many kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="the number of the first")
    parser.add_argument("--only", type=int, default=0, help="repeat this one")
    parser.add_argument("--ways", default="", help="only these, with commas: " + ", ".join(SHARES))
    given = parser.parse_args()
    numbers = [given.only] if given.only else _numbers(given.seed, given.first, given.number, given.ways)
    if doomed.library() is None:
        print("no C compiler: kills come at moments of time, not at exact effects", flush=True)
    done: list[Done] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills") as folder:
        world = World(Path(folder))
        for number in numbers:
            done.append(_one(world, drawn(given.seed, number)))
            _tell(done, len(numbers), time.monotonic() - started, every=bool(given.only))
    print(summary(done), flush=True)
    return 1 if any(each.wrong for each in done) else 0


def _numbers(seed: int, first: int, count: int, ways: str) -> list[int]:
    wanted = set(ways.split(",")) if ways else set(SHARES)
    assert wanted <= set(SHARES), f"there are {', '.join(SHARES)}"
    return list(
        itertools.islice((number for number in itertools.count(first) if drawn(seed, number).way in wanted), count)
    )


def _one(world: World, kill: Kill) -> Done:
    try:
        return carry_out(world, kill)
    except (AssertionError, OSError, KeyError, ValueError, RuntimeError):
        return Done(kill, False, BROKEN, traceback.format_exc(limit=-4))


def _tell(done: list[Done], total: int, seconds: float, *, every: bool) -> None:
    last = done[-1]
    if last.wrong:
        print(f"FAILED {last.kill.title}\n  {last.stood.what}\n  {last.wrong}\n  → {last.kill.again}", flush=True)
    elif every or len(done) % 10 == 0:
        wrong = sum(bool(each.wrong) for each in done)
        print(f"{len(done):>5} of {total}, {wrong} failed, {seconds:.0f} s; {last.kill.title}", flush=True)


def summary(done: list[Done]) -> str:
    """How many of what, and what failed."""
    killed = [each for each in done if each.killed]
    lines = [f"{len(done)} cases, {len(killed)} killed in time, {sum(bool(each.wrong) for each in done)} failed"]
    lines += _table("by way", Counter(each.kill.way for each in done))
    lines += _table("by side of the commit", Counter(each.stood.side for each in killed))
    lines += _table("by what stood on the disk", Counter(each.stood.what for each in killed))
    lines += _table("by the warehouse's log", Counter("left" if each.stood.log_left else "none" for each in killed))
    lines += [f"failed: {each.kill.again}" for each in done if each.wrong]
    return "\n".join(lines)


def _table(title: str, counted: Counter[str]) -> list[str]:
    return [title, *(f"  {number:>5}  {what}" for what, number in counted.most_common())]


if __name__ == "__main__":
    sys.exit(main())
