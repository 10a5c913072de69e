"""The same project here and on Google Cloud's emulators ends with the same table and a green audit.

Here it runs in one process over SQLite, DuckDB and files. There each service is a process of its own behind
functions-framework, pushed to by Pub/Sub, over Firestore, Cloud Storage and BigQuery; files reach BigQuery by load jobs
from gs://. The project is examples/orders: a parent table, values to be trimmed and snapped, a file in another dialect;
at last a person takes a heal back. (All of `mend demo` there: test_whole_demo.py.)
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from mend import report
from mend.deploy import scheduled_jobs
from mend.deploy.stage import stage
from mend.runner import run_pipeline
from mend.services import every_service
from shared.adapters.gcp import channels
from shared.ports.event_bus import REQUESTS_TOPIC, Message
from shared.ports.state_store import Where
from shared.runtime import wiring
from shared.runtime.settings import load
from shared.runtime.wiring import Process
from tests.emulators.functions import deployed
from tests.emulators.place import Place
from tests.emulators.running import Emulators
from tests.emulators.spans import Collector, Sent
from tests.emulators.standing import account, audited, ends
from tests.end_to_end.command import mend
from tests.tidy.tree import ROOT

EXAMPLE = ROOT / "examples" / "orders"
PIPELINES = ("customers", "orders")
QUIET_SECONDS = 4.0
DONE_SECONDS_MAX = 240.0


def here(folder: Path) -> Process:
    shutil.copytree(EXAMPLE, folder / "project")
    settings = load({}, root=str(folder / "store"), project=str(folder / "project"))
    for pipeline in PIPELINES:
        process = wiring.build(settings)
        run_pipeline(process, pipeline, wait_seconds_max=1.0)
    return wiring.build(settings)


def there(emulators: Emulators, folder: Path, local: Process, collector: Collector) -> Process:
    place = Place(emulators, "demo")
    for path in EXAMPLE.rglob("*"):
        if path.is_file():
            place.put(path, str(path.relative_to(EXAMPLE)))
    process = wiring.build(load(place.environment))
    sending = {**place.environment, "MEND_OTLP_ENDPOINT": collector.address}
    with deployed(place.project, emulators.pubsub, folder, sending):
        for pipeline in PIPELINES:
            request = json.dumps({"pipeline": pipeline}).encode()
            process.bus.publish([Message(REQUESTS_TOPIC, request, {})])
            wait_until_quiet(process, pipeline, local)
        take_back(local, Path(local.settings.project), "--root", local.settings.root)
        take_back(process, folder, environment=place.environment)
        wait_until_quiet(process, "orders", local)
        report_a_failure(emulators, place, local, folder)
    return process


def report_a_failure(emulators: Emulators, place: Place, local: Process, folder: Path) -> None:
    """A report by hand goes to the users' topic, and the command waits for what the services make of it."""
    signal = {"system": "workflows", "resource": "nightly-load", "message": "403 Permission denied on dataset"}
    (folder / "signal.json").write_text(json.dumps(signal))
    before = subscriptions(emulators, place.project)
    told = ("signal", "signal.json", "--kind", "generic", "--json")
    here = mend(*told, "--root", local.settings.root, cwd=folder)
    for again in range(2):
        there = mend(*told, cwd=folder, environment=place.environment)
        assert there.code == here.code == 3, there.said
        (incident,), (expected,) = there.json["incidents"], here.json["incidents"]
        names = ("class", "cause", "confidence", "state", "origin")
        assert {name: incident[name] for name in names} == {name: expected[name] for name in names}
        assert again or incident["state"] not in ("open", "classified"), "it was waited for"
    (folder / "deployed.json").write_text('{"kind": "deployment", "system": "workflows", "version": "2.4.1"}')
    deployed = mend("signal", "deployed.json", "--json", cwd=folder, environment=place.environment)
    assert deployed.code == 0, deployed.said
    assert [each["version"] for each in deployed.json["deployments"]] == ["2.4.1"]
    assert subscriptions(emulators, place.project) == before, "nothing is made beside what was deployed"


def subscriptions(emulators: Emulators, project: str) -> set[str]:
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channels.insecure(emulators.pubsub)))
    return {each.name for each in subscriber.list_subscriptions(project=f"projects/{project}")}


def take_back(process: Process, folder: Path, *where: str, environment: dict[str, str] | None = None) -> None:
    """What a person does who thinks otherwise: a heal is undone by the command, which says what came of it."""
    found = process.store.query("remedies", [Where("remedy", "==", "snap_to_allowed")])
    (remedy,) = [each.key for each in found if each.data["state"] == "verified"]
    ended = mend("undo", remedy, *where, "--json", cwd=folder, environment=environment)
    assert (ended.code, ended.json["state"]) == (0, "undone"), ended.said


def wait_until_quiet(process: Process, pipeline: str, local: Process) -> None:
    """Until the pipeline stands as it does here and no receipt but those of ticks has been written for a while.

    What is never the same is compared when time is up: a busy machine may be quiet for long before it is done.
    """
    wanted = table(local, f"shop.{pipeline}")
    started = quiet_since = time.monotonic()
    last = -1
    while time.monotonic() - started < DONE_SECONDS_MAX:
        receipts = process.store.query("receipts", limit=10_000)
        handled = sum(each.data.get("event_type") != "clock.ticked.v1" for each in receipts)
        waiting = any(not each.data.get("published", True) for each in receipts)
        if handled != last or waiting:
            last, quiet_since = handled, time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_SECONDS and (
            table(process, f"shop.{pipeline}") == wanted and ends(process, [pipeline]) == ends(local, [pipeline])
        ):
            return
        time.sleep(0.3)


def table(process: Process, name: str) -> list[dict[str, Any]]:
    """The table's rows without the marks of which batch brought them, which name where files lay."""
    rows = [row for batch in process.warehouse.dump(name) for row in batch.to_pylist()]
    shown = [{key: value for key, value in row.items() if not key.startswith("_mend_")} for row in rows]
    return sorted(shown, key=repr)


def is_one_trace(cloud: Process, sent: list[Sent]) -> None:
    """What the processes did with a batch, heals and a person's undo included, is one trace that begins once."""
    every = {service.name for service in every_service()}
    batches = {each.key for each in cloud.store.query("deliveries")}
    alone = {batch: {each.service for each in sent if each.about == batch} for batch in batches}
    for batch in batches:
        (trace,) = {each.trace for each in sent if each.about == batch}
        path = [each for each in sent if each.trace == trace]
        known = {each.span for each in path}
        # Who asked for the pipeline made no span of their own: what ingest did with the request is the first.
        assert [(each.service, each.about) for each in path if each.parent not in known] == [("ingest", REQUESTS_TOPIC)]
        assert {"validate", "load", "remediate"} <= alone[batch]
    assert len(batches) == 4
    assert every - {"ingest"} in alone.values(), "one that was broken went through all"


def test_here_and_there(emulators: Emulators, tmp_path: Path) -> None:
    local = here(tmp_path)
    (tmp_path / "there").mkdir()
    with Collector() as collector:
        cloud = there(emulators, tmp_path / "there", local, collector)
    try:
        is_one_trace(cloud, collector.spans())
        for name in PIPELINES:
            rows = table(local, f"shop.{name}")
            assert rows
            assert table(cloud, f"shop.{name}") == rows
        assert account(cloud) == account(local)
        assert account(cloud)["rows_in_flight"] == 0
        assert ends(cloud, PIPELINES) == ends(local, PIPELINES)
        staged = stage(scheduled_jobs.STAGED, tmp_path / "audit", requirements=False)
        told = audited(staged, Place(emulators, "demo").environment)
        assert told["ok"] is True
        assert {name: told[name] for name in report.COUNTS} == {name: account(local)[name] for name in report.COUNTS}
    finally:
        local.close()
        cloud.close()
