"""The whole loop under one seed: a random project, ports that fail, processes that die, people who decide.

``python -m tests.end_to_end.fuzz_world --seeds 0:200`` runs seeds and says which fail; ``--seeds 17 --loud`` tells what
happened under one.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mend import report
from mend.project import Project, remember
from mend.services import every_service
from shared.events.types import Event, RemedyDecided, SourceDue
from shared.runtime.handling import messages_of
from shared.runtime.wiring import Process
from shared.runtime.worker import Worker
from tests.conformance.turned_clock import TurnedClock
from tests.end_to_end.fuzz_checks import Judge
from tests.end_to_end.fuzz_ports import Died, Trouble, troubled
from tests.end_to_end.fuzz_project import Delivery, World, make_world
from tests.support.local_ports import make_process

STEPS_MAX = 6_000  # deliveries handled until a world must be at rest
FAR_MICROSECONDS = 86_400_000_000  # timers further away than a day are not waited for
_EXPIRED = 8 * FAR_MICROSECONDS


class Restless(AssertionError):
    """The world does not come to rest."""


class FuzzWorld:
    """One seed's folder, processes and dice."""

    def __init__(self, seed: int, folder: Path, loud: bool = False) -> None:
        self.seed = seed
        self.folder = folder
        self.loud = loud
        self.chance = random.Random(f"run {seed}")
        self.world: World = make_world(seed)
        self.clock = TurnedClock()
        self.touched: set[str] = set()
        self.meddled: set[str] = set()
        self.steps = 0
        self.asked = 0
        calm = self.chance.random() < 0.25
        self.trouble = Trouble(
            self.chance, 0 if calm else self.chance.randrange(1, 25), self.chance.choice([0.01, 0.05])
        )
        self.ahead = self.chance.choice([0, 0, 3, 8])
        self.count = self.chance.choice([1, 1, 2])
        self.apart = self.chance.random() < 0.5
        self.workers: list[tuple[Process, Worker]] = []
        self._write()

    def _write(self) -> None:
        for path, text in self.world.files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text, encoding="utf-8")
        for name in self.world.plans:
            (self.folder / "landing" / name).mkdir(parents=True, exist_ok=True)
        remember(Project(self.folder, self.folder / "store", {}))

    def tell(self, what: str) -> None:
        """Say what happens, to whoever looks for the cause of a failure."""
        if self.loud:
            print(f"    {what}")

    # ── processes ──

    def start(self, *, quiet: bool) -> None:
        """New processes over the same folder; those before are abandoned."""
        for process, _ in self.workers:
            process.close()
        self.workers = []
        for _ in range(1 if quiet else self.count):
            process = make_process(self.folder, self.clock, lock_wait_seconds=5.0)
            if not quiet:
                process = troubled(process, self.trouble, self.chance, self.ahead, apart=self.apart)
            self.workers.append((process, process.worker(every_service())))

    def plain(self) -> Process:
        """A process that nothing happens to, to look and speak with."""
        return make_process(self.folder, self.clock)

    def publish(self, *events: Event) -> None:
        """Say something from outside."""
        self.plain().bus.publish(messages_of("fuzz", events))

    def step(self) -> bool:
        """One delivery by one of the processes; a process that dies is replaced by a new one."""
        self.steps += 1
        number = self.chance.randrange(len(self.workers))
        process, worker = self.workers[number]
        other = self.workers[1 - number][1] if len(self.workers) == 2 else None
        self.trouble.between = (lambda: _ignore(other.step())) if other is not None else None
        try:
            done = worker.step() or worker.tick()
        except Died:
            self.tell(f"died: {self.trouble.told[-1]}")
            self._replace()
            return True
        except Exception as error:
            if not self.trouble.told or "planted" not in str(error):
                raise
            self.tell(f"the bus failed under the worker: {self.trouble.told[-1]}")
            self._replace()
            return True
        if len(self.workers) == 2:
            process.close()
        return bool(done)

    def _replace(self) -> None:
        self.start(quiet=False)
        if self.chance.random() < 0.5:  # the leases of a process that is seen to be dead end at once
            self.clock.sleep(601.0)

    def work(self, steps: int) -> None:
        """Some deliveries; fewer when there is nothing to do."""
        idle = 0
        for _ in range(steps):
            idle = 0 if self.step() else idle + 1
            if idle >= 2 * len(self.workers):
                return

    def rest(self) -> None:
        """Without faults, until nothing is due within a day."""
        self.trouble.strikes = 0
        self.start(quiet=True)
        process, worker = self.workers[0]
        for _ in range(STEPS_MAX):
            if self.step():
                continue
            due = worker.next_due()
            if due is None or due > self.clock.now() + FAR_MICROSECONDS:
                process.close()
                return
            self.clock.time = max(due, self.clock.time + 1_000)
        raise Restless(f"{STEPS_MAX} steps, and something is due in {(worker.next_due() or 0) - self.clock.now()} us")

    # ── what happens ──

    def put(self, delivery: Delivery, number: int) -> None:
        """A file arrives."""
        path = self.folder / "landing" / delivery.pipeline / delivery.name
        hidden = path.with_name("." + path.name)
        hidden.write_bytes(delivery.content)
        arrived = (1_690_000_000 + number * 60) * 1_000_000_000
        os.utime(hidden, ns=(arrived, arrived))
        hidden.rename(path)
        self.tell(f"{delivery.pipeline}/{delivery.name}: {len(delivery.rows)} rows {delivery.faults}")

    def look(self) -> None:
        """Every pipeline is told to look at its source."""
        for name in self.world.plans:
            self.asked += 1
            about = f"look {self.seed} {self.asked}"
            self.publish(SourceDue(id=about, time=self.clock.now(), subject=name, correlation_id=about, pipeline=name))

    def decide(self) -> None:
        """A person says something about a remedy, or about a held batch."""
        chance = self.chance
        process = self.plain()
        remedies = dict(report.documents(process.store, "remedies"))
        choices: list[tuple[str, str, str]] = []
        for key, data in remedies.items():
            weight = {"proposed": 4, "applied": 1, "verified": 1}.get(data["state"], 0)
            said = chance.choice(["approve", "approve", "reject"]) if data["state"] == "proposed" else "undo"
            choices += [(key, said, data.get("batch_id", ""))] * weight
            if data["state"] in ("expired", "rejected", "undone", "failed"):
                choices.append((key, chance.choice(["approve", "undo"]), data.get("batch_id", "")))
        for key, data in report.documents(process.store, "healings"):
            attempts = data.get("attempts") or []
            if attempts and attempts[-1]["verdict"] == "held" and chance.random() < 0.3:
                choices.append((f"release:{key}", "approve", key))
        if choices:
            self.say(*chance.choice(choices))

    def say(self, remedy: str, decision: str, batch: str, by: str = "ada") -> None:
        """Publish a decision, now and then twice."""
        self.meddled.add(batch)
        if batch and decision == "approve":
            self.touched.add(batch)
        self.tell(f"{by}: {decision} {remedy}")
        for _ in range(self.chance.choice([1, 1, 2])):
            self.asked += 1
            about = f"say {self.seed} {self.asked}"
            self.publish(
                RemedyDecided(
                    id=about,
                    time=self.clock.now(),
                    subject=remedy,
                    correlation_id=about,
                    remedy_id=remedy,
                    decision=decision,
                    by=by,
                )
            )

    # ── the course of a seed ──

    def run(self) -> list[str]:
        """Live through the seed; every sentence about what is wrong at the end."""
        self.start(quiet=False)
        meddling = self.chance.random() < 0.5
        last = max((each.step for each in self.world.deliveries), default=0)
        number = 0
        for moment in range(last + 1):
            for delivery in self.world.deliveries:
                if delivery.step == moment:
                    number += 1
                    self.put(delivery, number)
            self.look()
            for _ in range(self.chance.randrange(1, 4)):
                self.work(self.chance.choice([5, 40, 400]))
                if meddling and self.chance.random() < 0.5:
                    self.decide()
            self.clock.sleep(self.chance.choice([0.0, 1.0, 60.0, 700.0, 7_200.0]))
            if meddling and self.chance.random() < 0.05:
                self.clock.sleep(8 * 86_400.0)
        self.look()
        self.rest()
        self.look()
        self.rest()
        problems = self.judged("at rest")
        if meddling and not problems:
            problems = self.back_and_forth()
        if not problems and self.chance.random() < 0.5:
            self.clock.time += _EXPIRED
            self.rest()
            problems = self.judged("after all proposals expired")
        return problems

    def back_and_forth(self) -> list[str]:
        """What a person approves and then takes back leaves the table as it was; twice."""
        for _ in range(2):
            process = self.plain()
            known = sorted(report.documents(process.store, "remedies"))
            asked = [(key, data) for key, data in known if data["state"] == "proposed" and data.get("batch_id")]
            if not asked:
                return []
            key, data = self.chance.choice(asked)
            before = self.shown(data["pipeline"])
            self.say(key, "approve", data["batch_id"])
            self.rest()
            problems = self.judged(f"after {data['remedy']} was approved")
            ran = {name for name, each in report.documents(self.plain().store, "remedies") if each["applied_at"]}
            self.say(key, "undo", data["batch_id"])
            self.rest()
            problems += self.judged(f"after {data['remedy']} was undone")
            again = {name for name, each in report.documents(self.plain().store, "remedies") if each["applied_at"]}
            only = again == {name for name, each in known if each["applied_at"]} | {key} and ran == again
            if not problems and only and self.shown(data["pipeline"]) != before:
                problems.append(f"the undo of {data['remedy']} {key} left another table than there was before")
            if problems:
                return problems
        return []

    def shown(self, pipeline: str) -> dict[Any, dict[str, Any]]:
        """A pipeline's table without columns that are null everywhere."""
        process = self.plain()
        rows = Judge(self.world, process, set(), set()).table(pipeline)
        process.close()
        return {key: {name: value for name, value in row.items() if value is not None} for key, row in rows.items()}

    def judged(self, when: str) -> list[str]:
        """What is wrong now."""
        process = self.plain()
        judge = Judge(self.world, process, self.touched, self.meddled)
        problems = [f"{when}: {each}" for each in judge.judge()]
        process.close()
        remedies = judge.remedies.values()
        states = sorted({f"{each['remedy']} {each['state']}" for each in remedies})
        self.tell(f"{when}: {judge.rows_read} rows read, {judge.rows_loaded} loaded; {', '.join(states)}")
        return problems


def _ignore(_: object) -> None:
    """What another process did is its own affair."""


def run_seed(seed: int, loud: bool = False, keep: Path | None = None) -> list[str]:
    """Run one seed in a folder of its own; what is wrong."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix=f"fuzz{seed}-") as name:
        folder = keep or Path(name)
        world = FuzzWorld(seed, folder, loud)
        try:
            return world.run()
        except Restless as error:
            return [str(error)]


def _seeds(text: str) -> Iterable[int]:
    first, _, last = text.partition(":")
    return range(int(first), int(last)) if last else [int(first)]


def main() -> int:
    """Run seeds until all are done; the exit code says whether any failed."""
    parser = argparse.ArgumentParser(description="Run random worlds and say which of them break a promise.")
    parser.add_argument("--seeds", type=_seeds, default=range(40), help="one seed, or FIRST:LAST+1")
    parser.add_argument("--loud", action="store_true", help="tell what happens")
    parser.add_argument("--keep", type=Path, help="folder to leave the (last) world in")
    given = parser.parse_args()
    failed = []
    started = time.monotonic()
    for seed in given.seeds:
        problems = run_seed(seed, given.loud, given.keep)
        if problems:
            failed.append(seed)
            print(f"seed {seed}: {len(problems)} problems")
            for problem in problems[:8]:
                print(f"  {problem}")
        sys.stdout.flush()
    print(f"{len(list(given.seeds))} seeds, {len(failed)} failed {failed}, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
