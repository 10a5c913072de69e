"""A history that lands at once on Google Cloud's emulators is judged as one process judges it here, in order.

Ten months, of which the third names a column otherwise and the sixth is in another unit, land with the last first, each
told by the platform on its own. What is first said of each month, beside which earlier ones, must be the same as here.
"""

import json
import random
import time
from pathlib import Path
from typing import Any

from mend.runner import run_pipeline
from shared.ports.event_bus import REQUESTS_TOPIC, Message
from shared.runtime import wiring
from shared.runtime.settings import load
from shared.runtime.wiring import Process
from tests.emulators.functions import deployed
from tests.emulators.place import Place
from tests.emulators.running import Emulators

MONTHS = range(1, 11)
RENAMED, KILOMETRES = 3, 6
ROWS = 300
SETTLE_SECONDS = 30
DONE_SECONDS_MAX = 240.0
PIPELINE = """\
pipeline: trips
source: {kind: files, uri: landing/*.csv, order: name, format: {format: csv}}
contract: contracts/trips.odcs.yaml
destination: {table: shop.trips, mode: append}
on_violation: {rows: quarantine, score_below: 0}
healing: {mode: guarded}
"""
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: trips
name: trips
version: 1.0.0
status: active
schema:
  - name: trips
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: distance, logicalType: number, required: true}
      - {name: seats, logicalType: integer, synonyms: [{synonym: places}]}
"""


def month(number: int) -> str:
    """A month's file."""
    chance = random.Random(number)
    factor = 1.609344 if number == KILOMETRES else 1.0
    lines = [f"id,distance,{'places' if number == RENAMED else 'seats'}"]
    for row in range(ROWS):
        distance = chance.lognormvariate(6, 0.5) * factor
        lines.append(f"{number * 1_000 + row},{distance:.3f},{chance.randrange(1, 9)}")
    return "\n".join(lines) + "\n"


def project(folder: Path) -> list[Path]:
    """The project's files, those that land last, in the order of the year."""
    texts = {"pipelines/trips.yaml": PIPELINE, "contracts/trips.odcs.yaml": CONTRACT}
    texts |= {f"landing/trips_{number:02}.csv": month(number) for number in MONTHS}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def first_verdicts(process: Process) -> dict[str, Any]:
    """By file: what was first said of it, and beside which others."""
    names = {each.key: each.data["name"].rpartition("/")[2] for each in process.store.query("deliveries")}
    found = {}
    for each in process.store.query("verdicts"):
        said = each.data
        if said["attempt"] == 1:
            findings = sorted((finding["check"], finding["column"]) for finding in said["findings"])
            beside = [names[key.partition(":")[2]] for key in said["baseline"]]
            found[names[said["batch_id"]]] = (said["state"], said["reason"], findings, beside)
    return found


def test_a_history_that_lands_at_once(emulators: Emulators, tmp_path: Path) -> None:
    files = project(tmp_path / "project")
    local = wiring.build(load({}, root=str(tmp_path / "store"), project=str(tmp_path / "project")))
    run_pipeline(local, "trips", wait_seconds_max=1.0)
    local = wiring.build(local.settings)
    expected = first_verdicts(local)
    local.close()
    assert expected[f"trips_{KILOMETRES:02}.csv"][:3] == ("held", "shift", [("shift", "distance")])
    place = Place(emulators, "history")
    settled = place.environment | {"MEND_SETTLE_SECONDS": str(SETTLE_SECONDS)}
    cloud = wiring.build(load(place.environment))
    (tmp_path / "there").mkdir()
    with deployed(place.project, emulators.pubsub, tmp_path / "there", settled):
        for path in files:
            place.put(path, str(path.relative_to(tmp_path / "project")))
        for path in files[: -len(MONTHS) - 1 : -1]:
            told = json.dumps({"uri": place.uri(f"landing/{path.name}"), "by": "storage"})
            cloud.bus.publish([Message(REQUESTS_TOPIC, told.encode(), {})])
        ends = time.monotonic() + DONE_SECONDS_MAX
        while len(first_verdicts(cloud)) < len(MONTHS) and time.monotonic() < ends:
            time.sleep(0.5)
        assert first_verdicts(cloud) == expected
    cloud.close()
