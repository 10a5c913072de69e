"""The demonstration: real flights are delivered, broken, diagnosed, healed, verified and accounted for."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mend import audit, report
from mend import project as projects
from mend.demo import dataset as datasets
from mend.demo import deliveries, truth
from mend.demo.plan import Plan
from mend.demo.project import write_definitions
from mend.demo.source_server import SourceServer
from mend.narrator import Narrator, Told
from shared.domain.errors import DefinitionError, TerminalError
from shared.events.types import DeliveryRegistered, Event
from shared.runtime.wiring import Process

MARKER = "mendline-demonstration"
FLIGHTS = "flights"
WAIT_SECONDS_MAX = 300.0

Tell = Callable[[str, str, str, str], None]
"""``(who, about, what, style)``: one line for whoever watches."""


class Result(NamedTuple):
    """What the demonstration ended with."""

    root: Path
    plan: Plan
    batches: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    audit: dict[str, Any]
    comparison: truth.Comparison
    killed: bool
    seconds: float


def run(root: Path, environment: Mapping[str, str], tell: Tell, given: Path | None = None) -> Result:
    """Run it from nothing in ``root``, which may only be missing, empty or an earlier demonstration's."""
    started = time.monotonic()
    dataset = datasets.obtain(environment, given=given)
    folder = _fresh(root)
    plan = deliveries.make_deliveries(dataset, folder)
    write_definitions(folder)
    tell("demo", "", f"{sum(each.rows for each in plan.deliveries):,} flights in {len(plan.deliveries)} deliveries", "")
    process = projects.open_process(projects.remember(projects.Project(folder, root, {})))
    stage = _Stage(process, root, tell)
    with SourceServer(folder / "served") as server:
        killed = _act(stage, plan, folder, server)
    counted = audit.audit(process).as_json()
    comparison = truth.compare(_loaded(process), dataset)
    store = report.Store(process.store, process.objects)
    result = Result(
        root=root,
        plan=plan,
        batches=report.batches(store),
        incidents=report.incidents(store),
        audit=counted,
        comparison=comparison,
        killed=killed,
        seconds=time.monotonic() - started,
    )
    process.close()
    return result


def _act(stage: _Stage, plan: Plan, folder: Path, server: SourceServer) -> bool:
    """All scenes in order; True when the process was killed in the month that the plan names."""
    stage.scene("the reference tables arrive: airlines, airports, planes")
    stage.work(["airlines", "airports", "planes"])
    stage.scene("twelve months of flights arrive, one of them from a web server that is down; then the power fails")
    served = [f"{FLIGHTS}={server.url(Path(each.path).name)}" for each in plan.deliveries if each.arrival == "served"]
    last = next(each.name for each in plan.deliveries if each.month == plan.killed_month)
    killed = stage.work([FLIGHTS, *served], kill_at=lambda event: _registers(event, last))
    stage.scene("a new process goes on where the killed one stopped")
    stage.work([])
    for late in plan.late:
        stage.scene(late.why)
        shutil.copy2(folder / late.path, folder / late.target)
    stage.work([FLIGHTS, "airports"])
    stage.scene("elsewhere, an Airflow task reports a failure")
    stage.work([f"--signal={folder / name}" for name in plan.signals])
    return killed


class _Stage:
    """Starts working processes and tells what they do while they do it."""

    def __init__(self, process: Process, root: Path, tell: Tell) -> None:
        self._root = root
        self._tell = tell
        self._narrator = Narrator(process.bus, "demo")

    def scene(self, title: str) -> None:
        """The next thing happens."""
        self._tell("", "", title, "bold")

    def work(self, arguments: list[str], kill_at: Callable[[Event], bool] | None = None) -> bool:
        """Let one process work until nothing is left to do, or kill it when ``kill_at`` says so; True if killed."""
        command = [sys.executable, "-m", "mend.demo.worker", str(self._root), *arguments]
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        killed = False
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as worker:
            while worker.poll() is None and time.monotonic() < deadline:
                for told in self._narrator.lines():
                    self._show(told)
                    if kill_at is not None and not killed and kill_at(told.event):
                        worker.send_signal(signal.SIGKILL)
                        killed = True
                        self._tell(
                            "demo", told.about, f"kill -9 {worker.pid}: the process is gone in the middle of it", "red"
                        )
                time.sleep(0.02)
            if worker.poll() is None:
                worker.kill()
                raise TerminalError(f"the demonstration did not end within {WAIT_SECONDS_MAX:.0f} s")
            complaint = worker.stderr.read() if worker.stderr is not None else ""
        for told in self._narrator.lines():
            self._show(told)
        if worker.returncode and not killed:
            raise TerminalError(f"a working process ended with {worker.returncode}: {complaint.strip()[-2_000:]}")
        return killed

    def _show(self, told: Told) -> None:
        self._tell(told.service, told.about, told.what, told.style)


def _registers(event: Event, name: str) -> bool:
    return isinstance(event, DeliveryRegistered) and event.name == name


def _fresh(root: Path) -> Path:
    """An empty store with room for the project; what is there is removed only if it is an earlier demonstration's."""
    marker = root / MARKER
    if root.exists() and any(root.iterdir()) and not marker.exists():
        raise DefinitionError(str(root), 0, 0, "is not empty and no earlier demonstration's", "choose another --root")
    shutil.rmtree(root, ignore_errors=True)
    folder = root / "project"
    folder.mkdir(parents=True)
    marker.write_text("Made by mend demo; it is made anew each time.\n", encoding="utf-8")
    return folder


def _loaded(process: Process) -> Any:
    import polars as pl
    import pyarrow as pa

    return pl.from_arrow(pa.Table.from_batches(list(process.warehouse.dump("travel.flights"))))
