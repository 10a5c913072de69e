"""A process of its own that handles what is on a store's bus, for tests that have two of them, or kill one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from shared.events.types import ClockTicked, Event, SourceDue
from shared.ports.ports import Ports
from shared.runtime.service import Service
from shared.runtime.settings import load
from shared.runtime.wiring import Process, build

HANGS = "hangs"


def process_of(folder: Path) -> Process:
    """A process over the folder's store, with the system's clock."""
    return build(load({}, root=str(folder / "store"), project=str(folder)))


def on_due(event: SourceDue, ports: Ports) -> Sequence[Event]:
    """Count the event; one of them never ends in the first process that gets it."""
    folder = Path(event.pipeline)
    if event.uri == HANGS and not (folder / "hanging").exists():
        (folder / "hanging").write_text(str(os.getpid()))
        time.sleep(600)
    time.sleep(0.005)  # so that one process does not do it all
    known = ports.state.get("things", event.uri) or {"n": 0, "by": ""}
    ports.state.put("things", event.uri, {"n": known["n"] + 1, "by": str(os.getpid())})
    return [ClockTicked.caused_by(event, event.uri, ports.clock.now())]


SERVICE = Service(name="box", handlers={SourceDue: on_due}, collections=("things",), emits=(ClockTicked,))


def main(folder: Path) -> None:
    """Say that the worker is there, wait for the start, work until nothing is left."""
    process = process_of(folder)
    worker = process.worker([SERVICE])
    print("ready", flush=True)
    sys.stdin.readline()
    worker.run_until_idle(0.0)
    process.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
