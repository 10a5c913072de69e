"""From starting a service's process to its first event handled, and its memory: ``python -m benchmarks.coldstart``.

Each service runs as deployed: its staged folder, an environment with its own dependencies alone, functions-framework,
the cloud adapters. Pub/Sub, Firestore, Cloud Storage and BigQuery are emulators on this machine, so that what is
measured is ours: no network. The events are real: what one service emits is what the next one gets. Every round
starts a new process and gives it an event that it has not seen.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

from benchmarks.measuring import machine
from mend.deploy.stage import ROOT, stage
from mend.deploy.topology import topics
from mend.services import every_service
from shared.domain.ids import derive
from shared.events.codec import decode, encode, topic_of
from shared.events.types import (
    BatchStaged,
    BatchValidated,
    DeliveryArrived,
    Event,
    IncidentClassified,
    IncidentOpened,
    RemedyProposed,
    SourceDue,
)
from shared.ports.event_bus import Subscription
from shared.runtime import wiring
from shared.runtime.settings import load
from shared.runtime.wiring import Process
from tests.emulators.running import Emulators, free_ports, running
from tests.packaging.environments import find_uv
from tests.packaging.samples import CONTRACT, DELIVERY, PIPELINE

FOLDER = ROOT / "build" / "coldstart"
# What each service hears first; ingest hears of a source before, without being measured by it.
HEARS: dict[str, type[Event]] = {
    "ingest": DeliveryArrived,
    "validate": BatchStaged,
    "load": BatchValidated,
    "classify": IncidentOpened,
    "remediate": IncidentClassified,
    "notify": RemedyProposed,
}
TARGETS = {service: (2.5, 300) if service == "classify" else (1.5, 200) for service in HEARS}
WAIT_SECONDS_MAX = 60.0


class Start(NamedTuple):
    """One process: seconds to the port open, to the answer, and the most memory of it and its children, MB."""

    listening: float
    handled: float
    peak_mb: float


def environment_of(service: str) -> Path:
    """The interpreter of an environment that has what a deployment of the service has."""
    place = FOLDER / "environments" / service
    words = [find_uv(), "sync", "--quiet", "--frozen", "--compile-bytecode", "--no-install-project"]
    extras = ["--no-default-groups", "--extra", service, "--extra", "gcp", "--python", sys.executable]
    unwanted = {"VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    inherited = {name: value for name, value in os.environ.items() if name not in unwanted}
    subprocess.run([*words, *extras], cwd=ROOT, env={**inherited, "UV_PROJECT_ENVIRONMENT": str(place)}, check=True)
    return place / "bin" / "python"


def prepared(emulators: Emulators, rounds: int) -> tuple[Process, dict[str, str]]:
    """The cloud's side: buckets with a project and a delivery for each round, and bystanders on every topic."""
    from shared.adapters.gcp.object_store import bucket_of

    environment = {
        **emulators.environment(),
        "MEND_BACKEND": "gcp",
        "MEND_ROOT": "gs://cold-objects",
        "MEND_PROJECT": "gs://cold-project",
    }
    buckets = {
        name: bucket_of("cold", name, f"http://{emulators.storage}") for name in ("cold-objects", "cold-project")
    }
    for bucket in buckets.values():
        bucket.create()
    files = {"pipelines/flights.yaml": PIPELINE, "contracts/flights.odcs.yaml": CONTRACT}
    # One more than the rounds, for the start that warms the disk's cache.
    files |= {f"landing/f{number}.csv": DELIVERY.replace("MX", f"M{number}X") for number in range(rounds + 1)}
    for name, text in files.items():
        buckets["cold-project"].blob(name).upload_from_string(text)
    with contextlib.redirect_stdout(io.StringIO()):  # what it logs is for Cloud Logging
        process = wiring.build(load(environment))
    for who in ("bench", "again"):
        process.bus.subscribe([Subscription(f"{who}.{topic.name}", topic.name, who) for topic in topics()])
    return process, environment


def measure(rounds: int) -> dict[str, list[Start]]:
    """Every service's starts, the first of which is not counted."""
    found: dict[str, list[Start]] = {}
    with running() as emulators:
        process, environment = prepared(emulators, rounds)
        due = SourceDue(id="due", time=process.clock.now(), subject="flights", correlation_id="due", pipeline="flights")
        events: list[Event] = []
        for service, heard in HEARS.items():
            python = environment_of(service)
            folder = stage(service, FOLDER / "stage" / service, requirements=False)
            if service == "ingest":
                one_start(python, folder, service, due, environment)
            if service == "notify":
                propose(process)
            events = taken(process, heard, rounds + 1)
            starts = [one_start(python, folder, service, event, environment) for event in events]
            found[service] = starts[1:]
    return found


def propose(process: Process) -> None:
    """Let remediate hear of the batches too, so that it has something to propose; in this process, unmeasured."""
    remediate = next(each for each in every_service() if each.name == "remediate")
    for kind in (BatchStaged, BatchValidated, IncidentClassified):
        name = f"again.{topic_of(kind)}"
        if kind not in remediate.handlers:
            continue
        for delivery in process.bus.pull([name], 100, 600.0):
            process.runtime().deliver(remediate, topic_of(kind), delivery.data, delivery.attributes)


def taken(process: Process, kind: type[Event], count: int) -> list[Event]:
    """What was published of a type, at most ``count``."""
    name = f"bench.{topic_of(kind)}"
    deliveries = process.bus.pull([name], count, 600.0)
    if not deliveries:
        raise SystemExit(f"nothing was published of {kind.TYPE}: the service before it did not do its work")
    events = [decode(each.data, each.attributes) for each in deliveries]
    # Where the batches came to one thing to say, it is said again under another id.
    again = [events[0].model_copy(update={"id": derive("again", n)}) for n in range(count - len(events))]
    return [*events, *again]


def one_start(python: Path, folder: Path, service: str, event: Event, environment: Mapping[str, str]) -> Start:
    """Start the function, push the event as soon as it listens, and end it."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    words = [str(python), "-m", "functions_framework", f"--source={folder / 'main.py'}", f"--target={service}"]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    given = {**inherited, **environment, "PORT": str(port), "HOST": "127.0.0.1"}
    began = time.perf_counter()
    with (FOLDER / f"{service}.log").open("ab") as log:
        server = subprocess.Popen([*words, "--host=127.0.0.1"], env=given, cwd=folder, stdout=log, stderr=log)
    try:
        listening = _until_listening(url, began)
        _push(url, event)
        return Start(listening, time.perf_counter() - began, _peak_mb(server.pid))
    finally:
        server.terminate()
        server.wait(20)


def _until_listening(url: str, began: float) -> float:
    while time.perf_counter() - began < WAIT_SECONDS_MAX:
        with contextlib.suppress(ConnectionError, urllib.error.URLError):
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except urllib.error.HTTPError:
                return time.perf_counter() - began
        time.sleep(0.005)
    raise SystemExit("a service did not listen")


def _push(url: str, event: Event) -> None:
    encoded = encode(event, "/mendline/bench")
    request = urllib.request.Request(url, encoded.data, encoded.attributes, method="POST")
    with urllib.request.urlopen(request, timeout=WAIT_SECONDS_MAX) as answer:
        if answer.status != 204:
            raise SystemExit(f"{event.TYPE} was answered with {answer.status}")


def _peak_mb(pid: int) -> float:
    """What the largest process held at most, and what the others hold for themselves: shared pages count once."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    peaks = {each: _high_water_kb(each.pid) for each in tree}
    largest = max(peaks, key=lambda each: peaks[each])
    return peaks[largest] / 1024 + sum(each.memory_full_info().uss for each in tree if each != largest) / 2**20


def _high_water_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def result(found: Mapping[str, list[Start]]) -> dict[str, Any]:
    """Figures and targets for programs."""
    services = {}
    for service, starts in found.items():
        seconds, memory = median(each.handled for each in starts), max(each.peak_mb for each in starts)
        most_seconds, most_mb = TARGETS[service]
        services[service] = {
            "seconds": round(seconds, 3),
            "listening_seconds": round(median(each.listening for each in starts), 3),
            "peak_mb": round(memory),
            "all_seconds": [round(each.handled, 3) for each in starts],
            "target_seconds": most_seconds,
            "target_mb": most_mb,
            "met": seconds <= most_seconds and memory <= most_mb,
        }
    return {"machine": machine(), "services": services, "met": all(each["met"] for each in services.values())}


def _rows(services: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"{'service':<10}{'first event':>13}{'target':>9}{'listening':>11}{'peak':>9}{'target':>9}"
    for name, each in services.items():
        met = "" if each["met"] else "  NOT MET"
        yield (
            f"{name:<10}{each['seconds']:>11.2f} s{each['target_seconds']:>7.1f} s{each['listening_seconds']:>9.2f} s"
            f"{each['peak_mb']:>6} MB{each['target_mb']:>6} MB{met}"
        )


def main() -> None:
    """Measure, and print text or JSON; the exit code says whether the targets were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(FOLDER / "stage", ignore_errors=True)
    found = result(measure(given.rounds))
    print(json.dumps(found, indent=1) if given.json else "\n".join(_rows(found["services"])))
    raise SystemExit(0 if found["met"] else 1)


if __name__ == "__main__":
    main()
