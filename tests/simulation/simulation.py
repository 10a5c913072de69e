"""One seed's world: a random project, services on simulated ports that fail, processes that die, people who decide."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mend.services import every_service
from shared.events.types import Event, SourceDue
from shared.runtime.handling import messages_of
from shared.runtime.logs import EventLog, LogLine
from shared.runtime.settings import load
from shared.runtime.wiring import Process, callers_of, sql_engine_of
from shared.runtime.worker import Worker
from tests.conformance.turned_clock import TurnedClock
from tests.simulation.event_bus import SimulatedEventBus
from tests.simulation.faults import Died, Trouble, troubled
from tests.simulation.judge import Judge
from tests.simulation.outside import (
    File,
    NoMetrics,
    NoSecrets,
    SeededIds,
    SimulatedChannel,
    SimulatedDefinitions,
    SimulatedSource,
)
from tests.simulation.people import People
from tests.simulation.planes.real import RealPlane
from tests.simulation.project import Delivery, World, make_world
from tests.simulation.refusals import Refusals
from tests.simulation.state_store import SimulatedStateStore
from tests.simulation.watch import Watch

STEPS_MAX = 6_000  # deliveries handled until a world must be at rest
FAR_MICROSECONDS = 86_400_000_000  # timers further away than a day are not waited for
_EXPIRED = 8 * FAR_MICROSECONDS
_BURIED_TWICE = 0.3
_IN_PARTS = 0.5
_SETTINGS = load({}, root="simulated", project="simulated")
_SERVICES = every_service()


class Restless(AssertionError):
    """The world does not come to rest."""


@dataclass(slots=True)
class Lived:
    """What a seed came to."""

    seed: int
    problems: list[str] = field(default_factory=list)
    steps: int = 0
    batches: int = 0
    strikes: int = 0
    faults: Counter[str] = field(default_factory=Counter)  # of ports
    events: Counter[str] = field(default_factory=Counter)  # whatever else happened


class Simulation:
    """One seed's stores, processes and dice."""

    def __init__(
        self,
        seed: int,
        plane: Any,
        folder: Path,
        *,
        loud: bool = False,
        script: frozenset[int] | None = None,
        without: frozenset[str] = frozenset(),
        world: World | None = None,
    ) -> None:
        self.seed = seed
        self.plane = plane
        self.loud = loud
        self.chance = random.Random(f"run {seed}")
        self.world = world or make_world(seed, plane.name)
        self.world.deliveries = [each for each in self.world.deliveries if each.name not in without]
        self.files = {
            (each.pipeline, each.name, hashlib.sha256(each.content).hexdigest()): each for each in self.world.deliveries
        }
        self.clock = TurnedClock()
        self.store = SimulatedStateStore(checked=plane.name == "real")
        self.bus = SimulatedEventBus(self.clock)
        self.objects = plane.objects(folder)
        self.warehouse = plane.warehouse(self.objects, self.clock, folder)
        self.source = SimulatedSource()
        self.channels = {name: SimulatedChannel(name) for name in ("console", "jsonl")}
        self.definitions = SimulatedDefinitions(self.world.files)
        self.sql = sql_engine_of(_SETTINGS)
        self.log = EventLog()
        # A world that is given is compared with another one, whose files must be the same.
        self.rows_per_part = _rows_per_part(seed) if plane.name == "real" and world is None else 0
        self.watch = Watch(self)
        self.log.listen(self.watch.logged)
        if loud:
            self.log.listen(self._tell_line)
        self.ids = SeededIds(random.Random(f"ids {seed}"))
        self._read: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.touched: set[str] = set()
        self.foreign: Counter[str] = Counter()  # failures of others, by the service that met them
        self.meddled: set[str] = set()
        self.steps = 0
        self.asked = 0
        self._draw_trouble(script)
        self.workers: list[tuple[Process, Worker]] = []
        self.people = People(self)
        self._happened: Counter[str] = Counter()

    def _draw_trouble(self, script: frozenset[int] | None) -> None:
        """What goes wrong in this world, and how often."""
        chance, seed = self.chance, self.seed
        strikes = 0 if chance.random() < 0.25 else chance.randrange(1, 25)
        self.trouble = Trouble(chance, strikes, chance.choice([0.01, 0.05]), script)
        self.trouble.tell = self.tell
        self.trouble.crowd = chance.choice([0.0, 0.0, 0.0, 0.1])
        self.trouble.refusals = self.refusals = Refusals(random.Random(f"refusals {seed}"))
        self.ahead = chance.choice([0, 0, 3, 8])
        self.count = chance.choice([1, 1, 2])
        self.apart = chance.random() < 0.5
        self.grouped = not self.apart and chance.random() < 0.4  # small events are acknowledged in groups
        self.meddling = chance.random() < 0.5
        if chance.random() < 0.15:  # a bus that gives up soon
            self.bus.limits = self.bus.limits._replace(deliveries_max=3)
        graves = random.Random(f"graves {seed}")
        self.bus.twice = lambda: graves.random() < _BURIED_TWICE

    def tell(self, what: str) -> None:
        """Say what happens, to whoever looks for the cause of a failure."""
        if self.loud:
            print(f"    {self.steps:5} {what}")

    def _tell_line(self, line: LogLine) -> None:
        again = f" (delivery {line.attempt})" if line.attempt > 1 else ""
        self.tell(f"{line.service}: {line.event} {line.outcome}{again} {line.about}")

    @property
    def happened(self) -> Counter[str]:
        """What the world brought beside failing ports, by kind."""
        return self._happened + self.bus.buried + self.people.said

    def rows(self, path: str) -> list[dict[str, Any]]:
        """The rows of a file, read once while it stays the same."""
        info = self.objects.stat(path)
        place = (path, info.generation if info is not None else "")
        if place not in self._read:
            self._read[place] = self.plane.rows(self.objects, path)
        return self._read[place]

    # ── processes ──

    def plain(self) -> Process:
        """A process that nothing happens to."""
        settings = _SETTINGS
        if self.rows_per_part:
            settings = settings.model_copy(update={"rows_per_part": self.rows_per_part})
        return Process(
            settings=settings,
            store=self.watch.store,
            bus=self.watch.bus,
            objects=self.objects,
            warehouse=self.watch.warehouse,
            sql=self.sql,
            definitions=self.definitions,
            source=lambda kind: self.source,
            secrets=NoSecrets(),
            callers=callers_of(_SETTINGS, NoSecrets(), self.clock),
            channels=self.channels,
            metrics=NoMetrics(),
            clock=self.clock,
            ids=self.ids,
            log=self.log,
            progress=_silent,
            deferring=nullcontext,
        )

    def start(self, *, quiet: bool) -> None:
        """New processes over the same stores; those before are abandoned."""
        self.workers = []
        for _ in range(1 if quiet else self.count):
            process = self.plain()
            if not quiet:
                process = troubled(process, self.trouble, self.chance, self.ahead, apart=self.apart)
            self.workers.append((process, process.worker(_SERVICES)))

    def publish(self, *events: Event) -> None:
        """Say something from outside."""
        self.bus.publish(messages_of("outside", events))

    def step(self) -> bool:
        """One delivery by one of the processes; a process that dies is replaced by a new one."""
        self.steps += 1
        number = self.chance.randrange(len(self.workers))
        worker = self.workers[number][1]
        other = self.workers[1 - number][1] if len(self.workers) == 2 else None
        self.trouble.between = (lambda: _ignore(other.step())) if other is not None else None
        try:
            done = (worker.turn() if self.grouped else worker.step()) or worker.tick()
        except Died:
            self.tell(f"died: {self.trouble.told[-1]}")
            self._happened["process: died"] += 1
            self._replace()
            return True
        except Exception as error:
            if not self.trouble.told or "planted" not in str(error):
                raise
            self.tell(f"the bus failed under the worker: {self.trouble.told[-1]}")
            self._happened["process: the bus failed under it"] += 1
            self._replace()
            return True
        self.watch.after_step()
        return bool(done)

    def _replace(self) -> None:
        self.start(quiet=False)
        chance = self.chance.random()
        if chance < 0.4:  # a process that is seen to be dead holds nothing any more
            self.bus.abandon()
        elif chance < 0.7:
            self._turn_clock(601.0)

    def work(self, steps: int) -> None:
        """Some deliveries; fewer when there is nothing to do."""
        idle = 0
        for _ in range(steps):
            idle = 0 if self.step() else idle + 1
            if idle >= 2 * len(self.workers):
                return

    def rest(self) -> None:
        """Without faults, until nothing is due within a day; people replay what used up its deliveries."""
        self.trouble.strikes = 0
        self.trouble.spoilt.clear()
        self.trouble.refusals = None
        self.bus.twice = lambda: False
        self.start(quiet=True)
        self._until_idle()
        while self.people.replayed() or self.people.retried():
            self._until_idle()

    def _until_idle(self) -> None:
        worker = self.workers[0][1]
        for _ in range(STEPS_MAX):
            if self.step():
                continue
            due = worker.next_due()
            if due is None or due > self.clock.now() + FAR_MICROSECONDS:
                return
            self.clock.time = max(due, self.clock.time + 1_000)
        raise Restless(f"{STEPS_MAX} steps, and something is due in {(worker.next_due() or 0) - self.clock.now()} us")

    # ── what happens ──

    def put(self, delivery: Delivery, number: int) -> None:
        """A file arrives."""
        arrived = (1_690_000_000 + number * 60) * 1_000_000_000
        self._happened.update(f"delivery: {fault}" for fault in delivery.faults or ["clean"])
        self.source.files[f"landing/{delivery.pipeline}/{delivery.name}"] = File(delivery.content, arrived)
        self.tell(f"{delivery.pipeline}/{delivery.name}: {len(delivery.rows)} rows {delivery.faults}")

    def look(self) -> None:
        """Every pipeline is told to look at its source."""
        for name in self.world.plans:
            self.asked += 1
            about = f"look {self.seed} {self.asked}"
            self.publish(SourceDue(id=about, time=self.clock.now(), subject=name, correlation_id=about, pipeline=name))

    # ── the course of a seed ──

    def run(self) -> list[str]:
        """Live through the seed; every sentence about what is wrong, the first moment that shows any."""
        self.start(quiet=False)
        last = max((each.step for each in self.world.deliveries), default=0)
        number = 0
        for moment in range(last + 1):
            for delivery in self.world.deliveries:
                if delivery.step == moment:
                    number += 1
                    self.put(delivery, number)
            self.look()
            self._live_on()
        self.look()
        self.rest()
        self.look()
        self.rest()
        problems = self.judged("at rest")
        if self.meddling and not problems:
            problems = self.people.back_and_forth()
        if not problems and self.chance.random() < 0.5:
            self._turn_clock(_EXPIRED / 1_000_000)
            self.rest()
            problems = self.judged("after all proposals expired")
        return problems

    def _live_on(self) -> None:
        chance = self.chance
        for _ in range(chance.randrange(1, 4)):
            self.work(chance.choice([5, 40, 400]))
            if self.meddling and chance.random() < 0.5:
                self.people.decide()
            self.people.replay_at_once()
        self._turn_clock(chance.choice([0.0, 1.0, 60.0, 700.0, 7_200.0]))
        if self.meddling and chance.random() < 0.05:
            self._turn_clock(8 * 86_400.0)
        if chance.random() < 0.03:  # somebody sets the clock back
            self._turn_clock(-90.0)

    def _turn_clock(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        if abs(seconds) > 1:
            self.tell(f"the clock goes {seconds:+,.0f} s")
            self._happened[f"clock: {seconds:+,.0f} s"] += 1

    def shown(self, pipeline: str) -> dict[Any, dict[str, Any]]:
        """A pipeline's table without columns that are null everywhere."""
        rows = Judge(self).table(pipeline)
        return {key: {name: value for name, value in row.items() if value is not None} for key, row in rows.items()}

    def judged(self, when: str) -> list[str]:
        """What is wrong now, and what was seen on the way."""
        judge = Judge(self)
        problems = [f"{each} ({when})" for each in [*self.watch.problems, *judge.judge()]]
        states = sorted({f"{each['remedy']} {each['state']}" for each in judge.remedies.values()})
        self.tell(f"{when}: {judge.rows_read} rows read, {judge.rows_loaded} loaded; {', '.join(states)}")
        return problems


def _rows_per_part(seed: int) -> int:
    """In every second world so few rows that a delivery takes several files and rounds; 0: what the product takes."""
    chance = random.Random(f"parts {seed}")
    return chance.randrange(7, 41) if chance.random() < _IN_PARTS else 0


def _silent(step: str, done: int, total: int) -> None:
    """Nobody watches."""


def _ignore(_: object) -> None:
    """What another process did is its own affair."""


@contextmanager
def _folder(plane: Any) -> Iterator[Path]:
    """Room for the planes that need files; in memory where the system has such a place."""
    if plane.name != "real":
        yield Path("nowhere")
        return
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="simulated-") as name:
        yield Path(name)


def run_seed(
    seed: int,
    plane: Any | None = None,
    *,
    loud: bool = False,
    script: frozenset[int] | None = None,
    without: frozenset[str] = frozenset(),
) -> Lived:
    """Run one seed; what it came to. An exception of the services themselves is a problem like any other."""
    plane = plane or RealPlane()
    lived = Lived(seed)
    with _folder(plane) as folder, plane.installed():
        simulation = Simulation(seed, plane, folder, loud=loud, script=script, without=without)
        try:
            with plane.in_parts(simulation.rows_per_part) if simulation.rows_per_part else nullcontext():
                lived.problems = simulation.run()
        except Restless as error:
            lived.problems = [f"rest: {error}"]
        finally:
            simulation.warehouse.close()
    lived.steps = simulation.steps
    lived.batches = len(simulation.store.documents("deliveries"))
    lived.strikes = simulation.trouble.struck
    lived.faults = simulation.trouble.kinds + simulation.refusals.kinds
    lived.events = simulation.happened
    return lived
