"""Events alone: how many a second the runtime handles durably, and a storm of reports of the same failures."""

from __future__ import annotations

import json
import os
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mend.services import every_service
from shared.ports.event_bus import SIGNALS_TOPIC, Message
from shared.runtime import settings, wiring
from shared.runtime.wiring import Process

FAILURES = 20  # different ones, each reported again and again
_AT_ONCE = 500


def syncs(folder: Path, seconds: float) -> dict[str, Any]:
    """What the disk gives: 4 KiB appended and synced, one after the other."""
    path = folder / "synced"
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    count, started = 0, time.perf_counter()
    while (took := time.perf_counter() - started) < seconds:
        os.write(file, b"x" * 4096)
        os.fdatasync(file)
        count += 1
    os.close(file)
    return {"per_second": round(count / took)}


def signal(number: int) -> Message:
    """One system's report of one of its failures, with a number in its text that is never the same."""
    job = number % FAILURES
    report = {
        "system": "etl",
        "job": f"job{job}",
        "exception_type": "TimeoutError",
        "message": f"Connection timed out after {number} ms to host db-{job}",
    }
    return Message(SIGNALS_TOPIC, json.dumps(report).encode(), {"kind": "generic"})


def _process(folder: Path) -> Process:
    """Every service in this process, told of nobody."""
    (folder / "pipelines").mkdir()
    return wiring.build(settings.load(root=str(folder / "store"), project=str(folder)))


def sustained(folder: Path, seconds: float) -> dict[str, Any]:
    """Handled and durably acknowledged events a second, over all services; every signal is handled three times."""
    process = _process(folder)
    handled: Counter[str] = Counter()
    process.log.listen(lambda line: handled.update([line.outcome]))
    worker = process.worker(every_service())
    number, took, processor = 0, 0.0, 0.0
    for warm in (True, False):
        handled.clear()
        started, processor = time.perf_counter(), _processor()
        while (took := time.perf_counter() - started) < (0.5 if warm else seconds):
            process.bus.publish([signal(number + each) for each in range(_AT_ONCE)])
            number += _AT_ONCE
            while worker.turn():
                pass
    process.close()
    events = handled["handled"]
    return {
        "events_per_second": round(events / took),
        "signals_per_second": round(events / 3 / took),
        "processor_ms_per_event": round((_processor() - processor) / events * 1_000, 3),
        "other_outcomes": sum(handled.values()) - events,
    }


def burst(folder: Path, count: int) -> dict[str, Any]:
    """A storm of signals, all there before the first is handled."""
    process = _process(folder)
    worker = process.worker(every_service())  # whoever is not there when a message is published does not get it
    started = time.perf_counter()
    for first in range(0, count, _AT_ONCE):
        process.bus.publish([signal(number) for number in range(first, min(count, first + _AT_ONCE))])
    published = time.perf_counter() - started
    worker.run_until_idle(0.0)
    took = time.perf_counter() - started
    found = [each.data for each in process.store.query("incidents", limit=100_000) if each.data["kind"] == "incident"]
    process.close()
    return {
        "signals": count,
        "seconds": round(took, 2),
        "published_seconds": round(published, 2),
        "incidents": len(found),
        "lost": count - sum(each["reports"] for each in found),
    }


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
