"""What must hold of a world at rest, counted and modelled in plain Python, apart from what the product says itself."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from math import isclose
from typing import TYPE_CHECKING, Any

from mend.audit import audit
from shared.domain import paths
from tests.simulation.decided import problems_of
from tests.simulation.project import LOW, ORPHAN, Delivery, Row
from tests.simulation.set_aside import ALIASES, not_loaded
from tests.simulation.set_aside import problems_of as set_aside
from tests.simulation.shown import same_row

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

Key = tuple[str, int]
_EMPTY = hashlib.sha256(b"").hexdigest()
_MISREAD = {"ragged", "open_quote", "nul", "headless", "null_key", "preamble", "delimiter", "encoding"}


class Judge:
    """Looks at one world's stores from outside."""

    def __init__(self, simulation: Simulation) -> None:
        self.world = simulation.world
        self.plane = simulation.plane
        self.objects = simulation.objects
        self.warehouse = simulation.warehouse
        self.problems: list[str] = []
        self._simulation = simulation
        documents = simulation.store.documents
        self.deliveries = documents("deliveries")
        self.healings = documents("healings")
        self.remedies = documents("remedies")
        self.incidents = documents("incidents")
        self.verdicts = documents("verdicts")
        self.loads = [data for data in documents("loads").values() if data.get("kind") == "load"]
        by_precedent = {each["batch_id"] for each in self.remedies.values() if each.get("precedent")}
        # Of which a person approved something; a person's yes to an earlier batch holds for later ones, name by name.
        self.touched = simulation.touched | by_precedent | self._renamed(simulation.touched)
        self.meddled = simulation.meddled  # batches about which a person said anything
        self.files = simulation.files
        self.rows_read = 0
        self.rows_loaded = 0

    def _renamed(self, touched: set[str]) -> set[str]:
        """Batches read with a name that a remedy gave a column of a batch about which a person was asked."""
        plans = [each["plan"].get("rename") or {} for each in self.remedies.values() if each["batch_id"] in touched]
        said = {pair for plan in plans for pair in plan.items()}
        renames = [(each["batch_id"], json.loads(each["rename_json"] or "{}")) for each in self.verdicts.values()]
        return {batch for batch, rename in renames if said & set(rename.items())}

    def judge(self) -> list[str]:
        """Every sentence about what is wrong."""
        self._audit()
        loaded = self._places()
        self._tables(loaded)
        if not self._simulation.people.misled:  # what people call by a wrong name may be healed as if it were that
            self._values(loaded)
            self.problems += not_loaded(self, loaded)
        self.problems += set_aside(self)
        self._duplicates()
        self._incidents()
        self._repairs()
        self.problems += problems_of(self._simulation)
        return self.problems

    def say(self, problem: str) -> None:
        self.problems.append(problem)

    def _audit(self) -> None:
        if self.plane.name == "real":  # the product's own audit reads Parquet
            self.problems += [f"audit: {each}" for each in audit(self._simulation.plain()).problems]

    # ── where each record is ──

    def rows(self, *paths: str) -> Iterator[dict[str, Any]]:
        """The rows of some files."""
        for path in paths:
            yield from self._simulation.rows(path)

    def _numbers(self, folder: str) -> set[int]:
        found: list[int] = []
        for info in list(self.objects.list(folder)):
            found += [row["_mend_row"] for row in self._simulation.rows(info.path)]
        if len(set(found)) != len(found):
            self.say(f"places: {folder}: a row is there twice")
        return set(found)

    def _places(self) -> dict[Key, dict[str, Any]]:
        """The rows that are loaded, by batch and number, after every record of each batch was found once."""
        loaded: dict[Key, dict[str, Any]] = {}
        for batch, document in self.deliveries.items():
            delivery = self.delivery(document)
            if delivery is None:
                self.say(f"bytes: {batch}: registered bytes that nobody delivered ({document['name']})")
                continue
            if not document["readings"]:
                if not document["duplicate_of"]:
                    self.say(f"accounts: {batch}: neither read nor a duplicate ({document['name']})")
                continue
            mine, places = self.places_of(batch)
            loaded |= {(batch, number): row for number, row in mine.items()}
            records = max(places, default=0) if delivery.records is None else delivery.records
            if sorted(places) != list(range(1, records + 1)):
                self.say(f"accounts: {batch} ({document['name']}): {records} records, but places for {_spans(places)}")
            lost = [number for number, place in places.items() if place == "in flight"]
            if lost:
                self.say(f"accounts: {batch} ({document['name']}): in flight at rest: {_spans(lost)}")
            if self.healings.get(batch, {}).get("superseded_by") and "quarantined" in places.values():
                self.say(f"superseded: {batch} ({document['name']}): a newer one took its place, but its rows stand")
            self.rows_read += records
            self.rows_loaded += len(mine)
        return loaded

    def places_of(self, batch: str) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """The loaded rows of a batch, and the one place of each of its rows, by the attempts that stand."""
        healing = self.healings.get(batch, {})
        attempts = healing.get("attempts") or [{"number": 1, "kind": "reading", "state": "done"}]
        loads = {each["attempt"]: each for each in self.loads if each["batch_id"] == batch}
        rows: dict[int, dict[str, Any]] = {}
        places: dict[int, str] = {}
        staged: set[int] = set()
        for attempt in sorted(attempts, key=lambda each: -int(each["number"])):
            number = int(attempt["number"])
            load = loads.get(number)
            shown = load is not None and load["state"] == "loaded"
            if attempt["state"] == "withdrawn":
                if shown:
                    self.say(f"places: {batch}: attempt {number} is withdrawn but loaded")
                continue
            folder = f"{batch}/a{number:04d}/"
            staged = self._numbers(f"staged/{folder}")
            gone = {
                info.path.rpartition("/")[2].partition(".")[0]: {row["_mend_row"] for row in self.rows(info.path)}
                for info in list(self.objects.list(f"discarded/{folder}"))
            }
            dropped = set().union(*gone.values()) if gone else set()
            given = {row["_mend_row"]: row for row in self.rows(*load["files"])} if shown and load else {}
            if set(given) & dropped:
                self.say(f"places: {batch}: rows both loaded and discarded in attempt {number}")
            failed = self._numbers(f"quarantine/{folder}")
            shadowed = set(given) & set(places)
            if shadowed:
                self.say(f"places: {batch}: rows loaded by attempt {number} are elsewhere too: {_spans(shadowed)}")
            for row in (staged | gone.get("remediate", set())) - set(places):
                if row in dropped:
                    places[row] = "discarded"
                elif row in given:
                    places[row], rows[row] = "loaded", given[row]
                elif row in failed and attempt.get("kind") == "rows":
                    continue
                else:
                    places[row] = "quarantined" if row in failed else "in flight"
        for row in staged - set(places):
            places[row] = "in flight"
        return rows, places

    def delivery(self, document: dict[str, Any]) -> Delivery | None:
        """What we put down."""
        return self.files.get((document["pipeline"], document["name"], document["sha256"]))

    # ── what the tables show ──

    def table(self, name: str) -> dict[Key, dict[str, Any]]:
        """The rows of a pipeline's table."""
        found: dict[Key, dict[str, Any]] = {}
        for row in self.plane.table(self.warehouse, f"lab.{name}"):
            key = (row["_mend_batch"], row["_mend_row"])
            if key in found:
                self.say(f"table: lab.{name}: {key} is there twice")
            found[key] = row
        return found

    def _tables(self, loaded: dict[Key, dict[str, Any]]) -> None:
        for plan in self.world.plans.values():
            mine = {key: row for key, row in loaded.items() if self.deliveries[key[0]]["pipeline"] == plan.name}
            wanted = _model(plan.mode, mine, self._newest(plan.name))
            table = self.table(plan.name)
            if set(table) != set(wanted):
                missing, extra = sorted(set(wanted) - set(table)), sorted(set(table) - set(wanted))
                self.say(f"model: lab.{plan.name} ({plan.mode}): lacks {missing[:5]} ({len(missing)})"
                         f" and has {extra[:5]} ({len(extra)}) beyond")  # fmt: skip
            for key in set(table) & set(wanted):
                if not same_row(wanted[key], table[key]):
                    self.say(f"model: lab.{plan.name}: {key} shows other values than were loaded")

    def _newest(self, pipeline: str) -> str:
        """The order key of the newest delivery of which a load stands, were it one of no rows."""
        shown = [each for each in self.loads if each["pipeline"] == pipeline and each["state"] == "loaded"]
        return max((str(each["seq"]) for each in shown), default="")

    # ── whether what was loaded is true ──

    def _values(self, loaded: dict[Key, dict[str, Any]]) -> None:
        told: dict[str, dict[str, list[Row]]] = {}
        for (batch, number), row in sorted(loaded.items(), key=lambda each: each[0]):
            document = self.deliveries[batch]
            delivery = self.delivery(document)
            if delivery is None or batch in self.touched:
                continue
            if batch not in told:
                told[batch] = {}
                for each in delivery.rows:
                    told[batch].setdefault(each.note, []).append(each)
            same = told[batch].get(row["note"], [])
            wrong = [self._wrong(each, row, delivery) for each in same]
            if not same:
                self.say(f"truth: {document['name']} row {number}: a note that was not delivered")
            elif all(wrong):
                self.say(
                    f"truth: {document['name']} {delivery.faults} row {number}: wrongly loaded: {min(wrong, key=len)}"
                )

    def _wrong(self, truth: Row, row: dict[str, Any], delivery: Delivery) -> str:
        plan = self.world.plans[delivery.pipeline]
        found = []
        if not truth.loadable and not (_MISREAD & set(delivery.faults)):
            found.append("it may not be loaded")
        if plan.parents and plan.name == "orders" and truth.right["customer"] == (ORPHAN,):
            found.append("it has no parent")
        for name, right in truth.right.items():
            if name not in row:
                continue
            value = row[name]
            wanted = tuple(each.upper() for each in right) if plan.transform and name == "status" else right
            if not any(_same(value, each) for each in wanted):
                found.append(f"{name} = {value!r}, not {wanted}")
        if plan.transform and row.get("distance") is not None and row["distance"] < LOW:
            found.append("the transform drops it")
        return "; ".join(found)

    def _duplicates(self) -> None:
        """X, Y, X must end at X: only the repetition of the one just before counts as one, but in append mode."""
        for name, plan in self.world.plans.items():
            mine = sorted(
                (each for each in self.deliveries.values() if each["pipeline"] == name), key=lambda e: e["seq"]
            )
            counted = Counter(each["sha256"] for each in mine if each["readings"])
            if plan.mode == "append" and any(times > 1 for sha, times in counted.items() if sha != _EMPTY):
                self.say(f"duplicates: {name}: one content was read twice in append mode")
            for before, each in zip([None, *mine], mine, strict=False):
                if each["readings"]:
                    continue
                if plan.mode != "append" and (before is None or before["sha256"] != each["sha256"]):
                    self.say(f"duplicates: {each['name']}: a duplicate, but the delivery before it is another")
                if not counted[each["sha256"]]:
                    self.say(f"duplicates: {each['name']}: discarded as a duplicate, but nothing like it was read")

    def _repairs(self) -> None:
        """No remedy is tried twice on a cell of a reading, and no cell is changed without being logged."""
        for batch, healing in self.healings.items():
            if healing.get("kind") != "batch":
                continue
            tried: Counter[tuple[int, int, str, str]] = Counter()
            logged: set[tuple[int, str]] = set()
            for attempt in healing["attempts"]:
                path = paths.repairs(batch, int(attempt["number"]))
                for row in self.rows(path) if self.objects.stat(path) is not None else ():
                    logged.add((row["_mend_row"], row["column"]))
                    if not attempt["undone"]:
                        tried[int(attempt["reading"]), row["_mend_row"], row["column"], row["remedy"]] += 1
            again = [place for place, times in tried.items() if times > 1]
            if again:
                self.say(f"tries: {batch}: {again[0][3]} was tried twice on {len(again)} cells")
            self._logged(batch, healing, logged)

    def _logged(self, batch: str, healing: Mapping[str, Any], logged: set[tuple[int, str]]) -> None:
        """Staged cells of later attempts are those of the reading, or they stand in the log."""
        first: dict[int, dict[int, dict[str, Any]]] = {}
        others = dict(ALIASES)
        for each in self.verdicts.values():
            if each["batch_id"] == batch and each["rename_json"]:
                others |= json.loads(each["rename_json"])
        for attempt in healing["attempts"]:
            rows = {}
            for info in list(self.objects.list(f"staged/{batch}/a{int(attempt['number']):04d}/")):
                rows |= {row["_mend_row"]: row for row in self.rows(info.path)}
            known = first.setdefault(int(attempt["reading"]), rows if attempt["kind"] == "reading" else {})
            for number, row in rows.items():
                before = known.get(number, row)
                for name, value in row.items() if before != row else ():
                    changed = name in before and not name.startswith("_mend") and before[name] != value
                    if changed and not any((number, column) in logged for column in (name, others.get(name, name))):
                        self.say(f"log: {batch}: a cell of {name} was changed without being logged")
                        return

    # ── whether anything is left hanging ──

    def _incidents(self) -> None:
        for key, document in self.incidents.items():
            if "failure_class" not in document:
                continue
            finding = self.healings.get(key)
            told = f"hanging: incident {key} ({document.get('cause')}, {document.get('check')})"
            if finding is None:
                if not self._given_up("remediate", key):
                    self.say(f"{told}: remediate does not know it")
                continue
            state = finding["state"]
            if state in ("healed", "dismissed", "escalated"):
                continue
            proposal = self.remedies.get(finding["proposal"], {})
            asked = proposal.get("state") == "proposed"
            parent = bool(finding["awaits_table"]) and state == "waiting"
            if state != "waiting" or not (asked or parent):
                note = f"{finding['note']!r}, proposal {proposal.get('remedy')} {proposal.get('state')}"
                told_more = "" if state != "waiting" else " for nothing"
                if not self._waits_with_others(finding):
                    self.say(f"{told}: {state}{told_more} at rest ({note})")
        for key, document in self.healings.items():
            if document.get("kind") == "batch" and document["flight"]:
                self.say(f"hanging: batch {key}: still in flight at rest: {document['flight']}")
        for key, document in self.remedies.items():
            finding = self.healings.get(document["incident_id"], {})
            if document["state"] == "approved" and not self._waits_with_others(finding):
                self.say(f"hanging: remedy {key} ({document['remedy']}): approved but never applied")
            waits = document["state"] == "applied" and document["plan"].get("action") in ("await", "refetch")
            if waits and finding.get("state") in ("healed", "dismissed", "escalated"):
                self.say(f"hanging: remedy {key} ({document['remedy']}): applied, its incident is {finding['state']}")
            if document["state"] == "proposed" and finding.get("state") in ("healed", "dismissed", "escalated"):
                self.say(f"hanging: remedy {key} ({document['remedy']}): proposed for a closed incident")

    def _given_up(self, service: str, subject: str) -> bool:
        """True when the service failed for good at the event about it, which is an incident of its own."""
        known = self._simulation.store.documents("receipts").values()
        mine = [
            each for each in known if each["service"] == service and each["state"] == "failed" and each.get("event")
        ]
        failed = [each for each in mine if f'"{subject}"' in each["event"]["payload"]]
        reported = {each.get("event_id") for each in self.incidents.values()}
        return any(each["event_id"] in reported for each in failed)

    def _waits_with_others(self, finding: dict[str, Any]) -> bool:
        """True when another incident of its batch waits: what is below it has its turn afterwards."""
        if not finding.get("batch_id"):
            return False
        batch = self.healings.get(finding["batch_id"], {})
        others = [self.healings.get(each, {}) for each in batch.get("incidents", [])]
        asked = [self.remedies.get(each.get("proposal", ""), {}).get("state") for each in others]
        parents = [each.get("awaits_table") for each in others]
        return "proposed" in asked or any(parents)


def _model(mode: str, loaded: dict[Key, dict[str, Any]], newest: str) -> dict[Key, dict[str, Any]]:
    """What a table must show of the rows that were loaded."""
    if mode == "append" or not loaded:
        return loaded
    if mode == "overwrite":
        return {key: row for key, row in loaded.items() if row["_mend_seq"] == newest}
    by_key: dict[Any, list[Key]] = defaultdict(list)
    for key, row in loaded.items():
        by_key[row["id"]].append(key)
    winners = [max(keys, key=lambda key: (loaded[key]["_mend_seq"], key[1])) for keys in by_key.values()]
    return {key: loaded[key] for key in winners}


def _same(value: Any, right: Any) -> bool:
    if isinstance(value, float) and isinstance(right, float):
        return isclose(value, right, rel_tol=1e-4)
    return bool(value == right)


def _spans(numbers: Any) -> str:
    ordered = sorted(numbers)
    return f"{len(ordered)} rows {ordered[:4]}…{ordered[-2:]}" if len(ordered) > 6 else str(ordered)
