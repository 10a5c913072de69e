"""Carries out one kill: kills, notes what stood, finishes, compares with the undisturbed run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.end_to_end.command import Running, mend, until
from tests.end_to_end.shop import Shop
from tests.kills import doomed
from tests.kills.plan import Kill
from tests.kills.standing import Standing, standing
from tests.kills.world import ALL, Undisturbed, World, assert_ended, differences

UP_LOOKS_SECONDS = 2.5


class Done(NamedTuple):
    """How a case went: "" when all is as in the undisturbed run."""

    kill: Kill
    killed: bool  # False: it had ended before its moment came
    stood: Standing
    wrong: str


def carry_out(world: World, kill: Kill) -> Done:
    """One case from its start to the comparison."""
    mine = world.copy(_start(world, kill))
    try:
        killed = _WAYS[kill.way](world, mine, kill)
        stood = standing(mine.root)
        wrong = _finished(world, mine, kill)
    finally:
        shutil.rmtree(mine.folder.parent, ignore_errors=True)
    return Done(kill, killed, stood, wrong)


def _start(world: World, kill: Kill) -> Shop:
    if kill.way == "start":
        return world.bare
    return world.after(kill.pipelines[0]) if kill.way == "command" else world.opened


def _doom(kill: Kill, effects: int, share: float) -> dict[str, str]:
    if doomed.library() is None:
        return {}
    return doomed.at(1 + int(share * effects), half=kill.half)


def _ends(running: Running, kill: Kill, share: float, undisturbed: Undisturbed, *codes: int) -> bool:
    """Wait for the end; without a C compiler the kill comes at the same share of the time. Whether it was killed."""
    if doomed.library() is None:
        time.sleep(share * undisturbed.seconds)
        running.kill()
    ended = running.wait()
    assert_ended(ended, -signal.SIGKILL, *codes)
    return ended.code == -signal.SIGKILL


def _by_effect(world: World, mine: Shop, kill: Kill) -> bool:
    pipeline = kill.pipelines[0]
    undisturbed = world.run(pipeline)
    killed = False
    for share in kill.effects:
        doom = _doom(kill, undisturbed.effects, share)
        running = Running(*mine.arguments(pipeline), cwd=mine.folder, environment=doom)
        killed |= _ends(running, kill, share, undisturbed, 0, 3)
        mine.account(pipeline)  # what a kill leaves passes the audit as it is
    return killed


def _by_time(world: World, mine: Shop, kill: Kill) -> bool:
    running = Running(*mine.arguments(kill.pipelines[0]), cwd=mine.folder)
    time.sleep(kill.seconds * world.run(kill.pipelines[0]).seconds)
    running.kill()
    return running.wait().code == -signal.SIGKILL


def _one_of_two(world: World, mine: Shop, kill: Kill) -> bool:
    victim = kill.pipelines[kill.victim]
    undisturbed = world.run(victim)
    doom = _doom(kill, undisturbed.effects, kill.effects[0])
    both = [
        Running(*mine.arguments(each), cwd=mine.folder, environment=doom if place == kill.victim else {})
        for place, each in enumerate(kill.pipelines)
    ]
    killed = _ends(both[kill.victim], kill, kill.effects[0], undisturbed, 3)
    assert_ended(both[1 - kill.victim].wait(), 3)
    return killed


def _group(world: World, mine: Shop, kill: Kill) -> bool:
    """Both processes of a group, at the same moment."""
    together = subprocess.Popen(
        [sys.executable, "-m", "tests.kills.together", *kill.pipelines],
        cwd=mine.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(kill.seconds * world.run(kill.pipelines[0]).seconds)
    os.killpg(together.pid, signal.SIGKILL)
    return together.wait() == -signal.SIGKILL


def _beside_up(world: World, mine: Shop, kill: Kill) -> bool:
    pipeline = kill.pipelines[1]
    undisturbed = world.run(pipeline)
    doom = _doom(kill, undisturbed.effects, kill.effects[0])
    up = Running("up", "--root", "store", cwd=mine.folder, environment=doom if kill.victim == 0 else {})
    run = Running(*mine.arguments(pipeline), cwd=mine.folder, environment=doom if kill.victim == 1 else {})
    killed = False
    if kill.victim == 1:
        killed = _ends(run, kill, kill.effects[0], undisturbed, 3)
    else:
        until(lambda: up.ended, UP_LOOKS_SECONDS + kill.effects[0])
        assert_ended(run.wait(), 3)
    if not up.ended:
        # One that is to die and was left nothing to do is killed where it is.
        os.kill(up.pid, signal.SIGKILL if kill.victim == 0 else signal.SIGTERM)
    ended = up.wait()
    assert_ended(ended, -signal.SIGKILL, *([0, -signal.SIGTERM] if kill.victim == 1 else [0]))
    return killed or ended.code == -signal.SIGKILL


def _at_a_lock(world: World, mine: Shop, kill: Kill) -> bool:
    """Somebody holds what the run needs; then the run is killed, or the holder and the run goes on by itself."""
    pipeline = kill.pipelines[0]
    world.run(pipeline)
    with _held(mine.root, kill.lock) as holder:
        running = Running(*mine.arguments(pipeline), cwd=mine.folder)
        time.sleep(0.8 + kill.seconds)
        if kill.holder_dies:
            holder.kill()
            holder.wait()
            assert_ended(running.wait(), 3)
        else:
            running.kill()
            assert running.wait().code == -signal.SIGKILL
    return True


@contextmanager
def _held(root: Path, lock: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that holds the lock until the context ends."""
    command = [sys.executable, "-c", _HOLDERS[lock], str(root)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.wait()


_HOLDERS = {
    "store": """if True:
        import sqlite3, sys
        held = sqlite3.connect(sys.argv[1] + "/.mend/store.db", isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        print("held", flush=True)
        sys.stdin.read()
    """,
    "warehouse": """if True:
        import fcntl, sys
        held = open(sys.argv[1] + "/warehouse.duckdb.lock", "a+")
        fcntl.flock(held, fcntl.LOCK_EX)
        print("held", flush=True)
        sys.stdin.read()
    """,
}


def _by_command(world: World, mine: Shop, kill: Kill) -> bool:
    arguments = _arguments(world, kill)
    undisturbed = world.command(kill.pipelines[0], arguments)
    running = Running(*arguments, cwd=mine.folder, environment=_doom(kill, undisturbed.effects, kill.effects[0]))
    killed = _ends(running, kill, kill.effects[0], undisturbed, 0, 3)
    mine.account(kill.pipelines[0])
    return killed


def _arguments(world: World, kill: Kill) -> tuple[str, ...]:
    """The command; which remedy is a matter of the draw."""
    if kill.command in {"audit", "status"}:
        return (kill.command, "--root", "store")
    state = "verified" if kill.command == "undo" else "proposed"
    found = world.remedies(kill.pipelines[0], state)
    return (kill.command, found[int(kill.pick * len(found))], "--root", "store", "--by", "kim")


def _finished(world: World, mine: Shop, kill: Kill) -> str:
    """Finish what was begun; what differs from the undisturbed run, or ""."""
    if kill.way == "command":
        arguments = _arguments(world, kill)
        expected = world.command(kill.pipelines[0], arguments)
        if kill.command in {"undo", "approve"}:
            # A decision that was taken in before the kill is carried out by whoever comes next.
            assert_ended(mend(*arguments, cwd=mine.folder), 0, 1, 3)
        return "; ".join(differences(mine, kill.pipelines, expected, drift=True))
    pipelines = ALL if kill.way == "up" else tuple(dict.fromkeys(kill.pipelines))
    for each in pipelines:
        ended = mend(*mine.arguments(each), cwd=mine.folder)
        assert_ended(ended, 0 if each == "customers" else 3)
    if len(pipelines) == 1:
        return "; ".join(differences(mine, pipelines, world.run(pipelines[0]), drift=len(kill.pipelines) == 1))
    return "; ".join(differences(mine, pipelines, world.every(), drift=False))


_WAYS = {
    "effect": _by_effect,
    "row": _by_effect,
    "start": _by_effect,
    "time": _by_time,
    "pair": _one_of_two,
    "group": _group,
    "up": _beside_up,
    "lock": _at_a_lock,
    "command": _by_command,
}
