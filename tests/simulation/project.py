"""A small project made from a seed: definitions, deliveries with planted faults, and what each row truly says."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.simulation.rules import Rules, draw

MARK = "zqx"  # every note holds it, followed by a number: it may stand in no event, notice, log or state document
ORPHAN = 982451653  # the customer that no parent has, and a number that may stand nowhere else either
STATUSES = ("planned", "shipped", "returned", "cancelled")
COUNTRIES = ("germany", "portugal", "norway")
ROWS_MAX, ROWS_MAX_PLAIN = 120, 60
COLUMNS = ("id", "customer", "status", "distance", "day", "note")

_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: 1.0.0
status: active
schema:
  - name: {name}
    properties:
"""
_CUSTOMERS = """\
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: country, logicalType: string, required: true, enum: [{value: germany}, {value: portugal}, \
{value: norway}]}
      - {name: note, logicalType: string, required: true}
"""
_ORDERS = """\
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: customer, logicalType: integer, REFERENCE}
      - {name: status, logicalType: string, required: true, enum: [{value: planned}, {value: shipped}, \
{value: returned}, {value: cancelled}]}
      - {name: distance, logicalType: number, logicalTypeOptions: {minimum: 0, maximum: 100000}}
      - {name: day, logicalType: date, required: true, synonyms: [{synonym: order_date}]}
      - {name: note, logicalType: string, required: true}
"""
_PIPELINE = """\
pipeline: {name}
source: {{kind: files, uri: "landing/{name}/*", order: {order}, format: {format}}}
contract: contracts/{name}.odcs.yaml
destination: {{table: lab.{name}, mode: {mode}}}
on_violation: {{rows: {rows}, score_below: {score}}}
healing: {{mode: {healing}, rows_share_max: {share}}}
alerts: {{channels: [jsonl]}}
{transform}"""
# With these, how many records there are depends on the reading.
_COUNT_DEPENDS = {"open_quote", "headless", "preamble", "delimiter", "encoding", "decimal_comma", "three_decimals"}
_COMMA = str.maketrans(".,", ",.")
LOW = 50  # the transform drops shorter distances
TRANSFORM = (
    "transform: SELECT id, UPPER(status) AS status, distance, day, note, customer FROM batch"
    " WHERE distance IS NULL OR distance >= 50\n"
)


@dataclass(slots=True)
class Row:
    """One delivered record: its cells as text, and the values that are right for each column (none: no value is)."""

    cells: dict[str, str]
    right: dict[str, tuple[Any, ...]]
    note: str
    loadable: bool = True


@dataclass(slots=True)
class Delivery:
    """One file, when it is put where (``step``), and what was done to it."""

    pipeline: str
    name: str
    step: int
    content: bytes
    rows: list[Row]
    faults: list[str] = field(default_factory=list)
    records: int | None = None  # None: depends on how it is read


@dataclass(slots=True)
class Plan:
    """How one pipeline is declared."""

    name: str
    mode: str
    order: str
    healing: str
    transform: bool = False
    parents: bool = False
    rows: str = "quarantine"
    score: int = 0
    share: float = 1.0  # of a batch's rows that one remedy may change by itself in mode guarded


@dataclass(slots=True)
class World:
    """The files of a project, and its deliveries in the order in which they are put down."""

    files: dict[str, str]
    plans: dict[str, Plan]
    deliveries: list[Delivery]
    rules: Rules = field(default_factory=Rules)


def make_world(seed: int, plane: str = "real", faults: Sequence[str] = ()) -> World:
    """Everything that is drawn before the first event.

    A plain world has no transform, fewer kinds of faults and fewer rows. ``faults``: the only ones that are planted.
    """
    from tests.simulation.planted import FAULTS, FAULTS_PLAIN

    plain = plane == "plain"
    some = faults or (FAULTS_PLAIN if plain else FAULTS)
    return _Maker(random.Random(f"world {seed}"), seed, some, plain=plain).world()


HISTORY_FAULTS = {2: "synonym", 5: "miles"}  # by place; the others have none
HISTORY_ROWS = 300  # of a delivery: enough to tell miles from chance


def make_history(seed: int) -> World:
    """Ten deliveries of one pipeline that land at once."""
    return _Maker(random.Random(f"history {seed}"), seed, (), plain=True).history()


class _Maker:
    def __init__(self, chance: random.Random, seed: int, faults: Sequence[str], *, plain: bool) -> None:
        self.chance = chance
        self.plain = plain
        self.faults = faults
        self.seed = seed
        self.notes = 0

    def world(self) -> World:
        chance = self.chance
        parents = chance.random() < 0.55
        healing = chance.choices(["guarded", "autonomous", "propose", "observe"], [60, 18, 15, 7])[0]
        orders = Plan(
            "orders",
            chance.choice(["append", "upsert", "upsert", "overwrite"]),
            chance.choice(["name", "name", "arrival"]),
            healing,
            transform=chance.random() < 0.3 and not self.plain,
            parents=parents,
        )
        plans = {"orders": orders}
        if parents:
            plans["customers"] = Plan("customers", "upsert", "name", healing)
        files: dict[str, str] = {}
        for plan in plans.values():
            files |= self._definitions(plan)
        deliveries = self._orders(orders)
        if parents:
            deliveries += self._customers()
        chance.shuffle(deliveries)
        rules = draw(self.seed, chance.choice([200, 200, 200, 1]), sorted(plans))
        if rules.text():
            files["policy.yaml"] = rules.text()
        return World(files, plans, sorted(deliveries, key=lambda each: each.step), rules)

    def history(self) -> World:
        plan = Plan("orders", "append", "name", "guarded")
        made = []
        for number in range(10):
            start = number * HISTORY_ROWS + 1
            rows = [self._order(key, self.chance.randrange(1, 41)) for key in range(start, start + HISTORY_ROWS)]
            draft = _Draft(self, "orders", rows, list(COLUMNS))
            if number in HISTORY_FAULTS:
                draft.spoil(HISTORY_FAULTS[number])
            made.append(draft.deliver(f"d{number:02d}.csv", 0))
        return World(self._definitions(plan), {"orders": plan}, made)

    def _definitions(self, plan: Plan) -> dict[str, str]:
        chance = self.chance
        reference = "relationships: [{type: foreignKey, to: customers.id}]" if plan.parents else "required: false"
        body = _CUSTOMERS if plan.name == "customers" else _ORDERS.replace("REFERENCE", reference)
        declared = '{format: csv, encoding: utf-8, delimiter: ",", decimal: "."}'
        plan.rows = chance.choices(["quarantine", "reject_batch"], [9, 1])[0]
        plan.score = chance.choice([0, 0, 40, 80])
        written = chance.choice([declared, declared, "auto"])
        plan.share = chance.choice([1.0, 0.25])
        pipeline = _PIPELINE.format(
            name=plan.name,
            order=plan.order,
            format=written,
            mode=plan.mode,
            rows=plan.rows,
            score=plan.score,
            healing=plan.healing,
            share=plan.share,
            transform=TRANSFORM if plan.transform else "",
        )
        return {
            f"pipelines/{plan.name}.yaml": pipeline,
            f"contracts/{plan.name}.odcs.yaml": _CONTRACT.format(name=plan.name) + body,
        }

    # ── rows ──

    def _note(self) -> str:
        self.notes += 1
        text = f"{MARK}{self.seed}n{self.notes}e"
        extra = self.chance.choices(["", " süß", ', "so"', "\nnext", " \\ '"], [20, 3, 1, 1, 1])[0]
        return text + extra

    def _order(self, key: int, customer: int) -> Row:
        chance = self.chance
        distance = None if chance.random() < 0.05 else round(chance.lognormvariate(6, 0.5), 2)
        day = date(2024, 1, 1) + timedelta(days=chance.randrange(360))
        status, note = chance.choice(STATUSES), self._note()
        cells = {
            "id": str(key),
            "customer": str(customer),
            "status": status,
            "distance": "" if distance is None else f"{distance:.2f}",
            "day": day.isoformat(),
            "note": note,
        }
        values: dict[str, Any] = {"id": key, "customer": customer, "status": status, "distance": distance, "day": day}
        return Row(cells, {name: (value,) for name, value in {**values, "note": note}.items()}, note)

    def _customer(self, key: int) -> Row:
        country, note = self.chance.choice(COUNTRIES), self._note()
        cells = {"id": str(key), "country": country, "note": note}
        return Row(cells, {"id": (key,), "country": (country,), "note": (note,)}, note)

    # ── deliveries ──

    def _customers(self) -> list[Delivery]:
        """Customers 1 to 40, in one file or in two of which the second comes late."""
        chance = self.chance
        rows = [self._customer(key) for key in range(1, 41)]
        cut = 40 if chance.random() < 0.4 else 25
        parts = [rows[:cut], rows[cut:]] if cut < 40 else [rows]
        made = []
        for number, part in enumerate(parts):
            step = chance.choice([0, 0, 1]) if number == 0 else chance.randrange(1, 7)
            draft = _Draft(self, "customers", part, ["id", "country", "note"])
            if chance.random() < 0.15:
                draft.spoil(chance.choice(["delimiter", "encoding", "twice", "typo_country"]))
            made.append(draft.deliver(f"c{number}.csv", step))
        return made

    def _orders(self, plan: Plan) -> list[Delivery]:
        chance = self.chance
        count = chance.randrange(3, 9)
        made: list[Delivery] = []
        ratio = chance.choice([0.0, 0.3, 0.7])
        for number in range(count):
            start = number * 300 + 1 if plan.mode == "append" else chance.randrange(1, 120)
            many = chance.randrange(20, ROWS_MAX_PLAIN if self.plain else ROWS_MAX)
            rows = [self._order(key, chance.randrange(1, 41)) for key in range(start, start + many)]
            draft = _Draft(self, "orders", rows, list(COLUMNS))
            if chance.random() >= ratio or number == 0:
                for _ in range(chance.choice([1, 1, 2]) if number else chance.choice([0, 0, 1])):
                    draft.spoil(chance.choice(self.faults))
            step = number if chance.random() < 0.75 else chance.randrange(count)
            made.append(draft.deliver(f"d{number:02d}.csv", step))
            made += draft.extra
        for _ in range(chance.choice([0, 0, 1, 2])):
            twin = chance.choice(made)
            name = f"d{chance.randrange(count + 1):02d}r{len(made)}{'.csv.gz' if 'gz' in twin.name else '.csv'}"
            again = Delivery("orders", name, chance.randrange(count + 1), twin.content, twin.rows, ["again"])
            again.faults += twin.faults
            again.records = twin.records
            made.append(again)
        return made


@dataclass(slots=True)
class _Draft:
    """A file that is being spoiled before it is written."""

    maker: _Maker
    pipeline: str
    rows: list[Row]
    header: list[str]
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    headless: bool = False
    preamble: int = 0
    lines: dict[int, str] = field(default_factory=dict)  # replaced record lines, by index
    faults: list[str] = field(default_factory=list)
    extra: list[Delivery] = field(default_factory=list)
    tail: str = ""  # what is done to the bytes

    @property
    def chance(self) -> random.Random:
        return self.maker.chance

    def spoil(self, fault: str) -> None:
        """Plant one fault."""
        from tests.simulation.planted import plant

        self.faults.append(fault)
        plant(self, fault)

    def text(self) -> str:
        """The file's text."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator="\n")
        for number in range(self.preamble):
            out.write(f"Report {number} of the week\n")
        if not self.headless:
            writer.writerow(self.header)
        for index, row in enumerate(self.rows):
            if index in self.lines:
                out.write(self.lines[index] + "\n")
            else:
                cells = dict(row.cells)
                if self.decimal == "," and "distance" in cells:
                    cells["distance"] = cells["distance"].translate(_COMMA)
                writer.writerow([cells.get(self.source_of(name), "") for name in self.header])
        return out.getvalue()

    def source_of(self, name: str) -> str:
        """The column of our rows under a header's name."""
        return self.names.get(name, name)

    names: dict[str, str] = field(default_factory=dict)

    def deliver(self, name: str, step: int) -> Delivery:
        """The file, and the one that follows it when it came truncated."""
        content = self.text().encode(self.encoding, "strict")
        records: int | None = len(self.rows)
        if not _COUNT_DEPENDS.isdisjoint(self.faults):
            records = None
        if self.tail == "empty":
            content, records, self.rows = b"", 0, []
        elif self.tail == "header_only":
            self.rows, self.lines = [], {}
            content = self.text().encode(self.encoding)
            records = None if records is None else 0  # a preamble becomes the header's records
        elif self.tail == "truncated":
            name += ".gz"
            whole = gzip.compress(content, mtime=0)
            later = Delivery(self.pipeline, name, step + self.chance.randrange(1, 3), whole, self.rows, ["whole"])
            later.records = records
            self.extra.append(later)
            content, records = whole[: max(len(whole) * 2 // 3, 20)], None
        elif self.tail == "nul":
            middle = content.index(b"\n", len(content) // 2) + 2
            content = content[:middle] + b"\0" + content[middle:]
        elif self.tail == "gzip":
            name += ".gz"
            content = gzip.compress(content, mtime=0)
        return Delivery(self.pipeline, name, step, content, self.rows, list(self.faults), records)
