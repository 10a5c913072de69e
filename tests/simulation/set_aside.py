"""No good row is set aside: one that no fault touched, and that fits, is loaded whatever its neighbours are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from shared.domain import paths
from tests.simulation.project import COUNTRIES, LOW, STATUSES, Delivery, Row
from tests.simulation.rules import Rules

if TYPE_CHECKING:
    from tests.simulation.judge import Judge, Key

ALIASES = {"order_date": "day", "order_status": "status"}  # delivered: in the contract
_DISTANCE = re.compile(r"(\d{1,5}(\.\d+)?)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SHOWN_MAX = 5
Document = Mapping[str, Any]


def problems_of(judge: Judge) -> Iterator[str]:
    """Every verdict that released rows and set aside some that are as good; every good row that was dropped."""
    fine: dict[str, dict[str, Row]] = {}
    for key, verdict in judge.verdicts.items():
        if verdict["state"] != "released" or not verdict["quarantine_parts"]:
            continue
        batch = str(verdict["batch_id"])
        delivery = judge.delivery(judge.deliveries[batch]) if batch in judge.deliveries else None
        if delivery is None:
            continue
        good = fine.setdefault(batch, good_rows(delivery))
        wrongly = list(_set_aside(judge, verdict, good))
        if wrongly:
            shown = ", ".join(map(str, wrongly[:_SHOWN_MAX]))
            yield f"neighbour: {key} ({delivery.name} {delivery.faults}): {len(wrongly)} good rows set aside: {shown}"
    for load in judge.loads:
        if load["state"] == "loaded" and load["rows_discarded"]:
            yield from _dropped(judge, f"{load['batch_id']}:{load['attempt']}")


def good_rows(delivery: Delivery) -> dict[str, Row]:
    """By note the rows whose cells are as the contract wants them, under a key that no other row has."""
    keys = Counter(row.cells.get("id", "") for row in delivery.rows)
    return {
        row.note: row
        for row in delivery.rows
        if row.loadable and keys[row.cells.get("id", "")] == 1 and _fits(row.cells, delivery.pipeline)
    }


def _fits(cells: Mapping[str, str], pipeline: str) -> bool:
    """What the contract says, said once more."""
    if not cells["id"].isdigit() or not cells["note"]:
        return False
    if pipeline == "customers":
        return cells["country"] in COUNTRIES
    if cells["status"] not in STATUSES or not cells["customer"].isdigit() or not _DISTANCE.fullmatch(cells["distance"]):
        return False
    try:
        return bool(_DAY.fullmatch(cells["day"]) and date.fromisoformat(cells["day"]))
    except ValueError:
        return False


def _set_aside(judge: Judge, verdict: Document, good: Mapping[str, Row]) -> Iterator[int]:
    """Rows that the verdict set aside although they were read as they are, are good, and have a parent if they need it.

    Parents are those that the verdict saw: its snapshot says which.
    """
    parents: set[Any] | None = None
    if judge.world.plans[verdict["pipeline"]].parents:
        parents = {row["id"] for row in judge.rows(*verdict["snapshots"])}
    names = {wanted: name for name, wanted in (ALIASES | json.loads(verdict["rename_json"] or "{}")).items()}
    # One that was announced and is not there is another promise's affair.
    written = [path for path in verdict["quarantine_parts"] if judge.objects.stat(path) is not None]
    for row in judge.rows(*written):
        truth = good.get(row.get("note") or "")
        if truth is None or (parents is not None and int(truth.cells["customer"]) not in parents):
            continue
        read = {name: row.get(name, row.get(names.get(name, name))) for name in truth.cells}
        if all((read[name] or "") == cell for name, cell in truth.cells.items() if name in truth.right):
            yield row["_mend_row"]


def _dropped(judge: Judge, key: str) -> Iterator[str]:
    """Rows that a load dropped although the transform lets them pass."""
    batch, _, number = key.rpartition(":")
    gone = {row["_mend_row"] for row in judge.rows(paths.discarded(batch, int(number), "load"))}
    for row in judge.rows(*judge.verdicts[key]["passed_parts"]):
        if row["_mend_row"] in gone and not _short(row["distance"]):
            yield f"neighbour: {key}: row {row['_mend_row']} was dropped, and the transform lets it pass"


def not_loaded(judge: Judge, loaded: Mapping[Key, Any]) -> Iterator[str]:
    """A delivery without any fault is loaded, but for rows whose parents are missing or which the transform drops."""
    parents = {row["id"] for row in judge.table("customers").values()} if "customers" in judge.world.plans else set()
    shown: dict[str, set[str]] = {}
    for (batch, _), row in loaded.items():
        shown.setdefault(batch, set()).add(row["note"])
    doubted = {each.get("batch_id") for each in judge.incidents.values() if each.get("check") == "shift"}
    asked = _asked_whether_to_wait(judge)
    for batch, document in judge.deliveries.items():
        delivery = judge.delivery(document)
        if delivery is None or delivery.faults or batch in judge.meddled or document["duplicate_of"]:
            continue
        if batch in doubted:
            continue  # by chance these rows look unlike those before; held, and a person is asked
        plan = judge.world.plans[delivery.pipeline]
        orphans = {row.note for row in delivery.rows if plan.parents and row.right["customer"][0] not in parents}
        whole = plan.mode == "overwrite" or plan.rows == "reject_batch" or plan.score > 0
        # Where nothing runs by itself, nobody has rows judged again when their parents come.
        acts = not plan.parents or (plan.healing in ("guarded", "autonomous") and batch not in asked)
        if (orphans and whole) or not acts:
            continue
        spared = {row.note for row in delivery.rows if plan.transform and _short(row.right["distance"][0])}
        missing = {row.note for row in delivery.rows} - orphans - spared - shown.get(batch, set())
        if missing:
            yield f"clean: {document['name']}: clean, but {len(missing)} of its rows are not loaded"


def _asked_whether_to_wait(judge: Judge) -> set[str]:
    """Batches for whose parents nobody waits by himself: a stricter policy than usual has a person asked even that."""
    rules = judge.world.rules
    if rules.safe_least == 0 and rules.failures == Rules().failures:
        return set()
    return {str(each["batch_id"]) for each in judge.remedies.values() if each["remedy"] == "await_parent"}


def _short(distance: float | None) -> bool:
    """Whether the transform drops a row of that distance."""
    return distance is not None and distance < LOW
