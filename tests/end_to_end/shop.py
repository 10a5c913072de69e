"""A small shop whose deliveries are broken in many ways: the same bytes and times wherever it is made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb

from mend import audit, project, report
from tests.end_to_end.command import mend

CUSTOMERS = 40
STATUSES = ("new", "paid", "shipped", "returned")
ORDERS_HEADER = "id,customer,status,amount,ordered"
VISITS_HEADER = "visit,page,at,seconds"
FIRST_ARRIVAL = 1_700_000_000  # seconds since 1970; each file arrives a minute after the one before

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
{properties}"""

_PROPERTIES = {
    "customers": """\
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: city, logicalType: string, required: true}
""",
    "orders": """\
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - name: customer
        logicalType: integer
        required: true
        relationships: [{type: foreignKey, to: customers.id}]
      - name: status
        logicalType: string
        required: true
        enum: [{value: new}, {value: paid}, {value: shipped}, {value: returned}]
      - {name: amount, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: ordered, logicalType: date, required: true, synonyms: [{synonym: order_date}]}
""",
    "visits": """\
      - {name: visit, logicalType: integer, required: true, unique: true}
      - {name: page, logicalType: string, required: true, enum: [{value: home}, {value: basket}, {value: payment}]}
      - {name: at, logicalType: timestamp, required: true}
      - {name: seconds, logicalType: number, logicalTypeOptions: {minimum: 0}}
""",
    "stock": """\
      - {name: article, logicalType: string, required: true}
      - {name: pieces, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}}
""",
}
MODES = {"customers": "upsert", "orders": "upsert", "visits": "append", "stock": "overwrite"}

_PIPELINE = """\
pipeline: {name}
source:
  kind: files
  uri: landing/{name}/*.csv
  order: name
  format: {{format: csv, encoding: utf-8, delimiter: ",", header: true, decimal: "."}}
contract: contracts/{name}.odcs.yaml
destination: {{table: shop.{name}, mode: {mode}}}
on_violation: {{rows: quarantine, score_below: 40}}
healing: {{mode: guarded, rows_share_max: 1.0}}
alerts: {{channels: [jsonl]}}
"""


def make_shop(folder: Path) -> Path:
    """Write the project with all its deliveries."""
    for name, mode in MODES.items():
        _write(folder / f"pipelines/{name}.yaml", _PIPELINE.format(name=name, mode=mode))
        contract = _CONTRACT.format(name=name, properties=_PROPERTIES[name])
        _write(folder / f"contracts/{name}.odcs.yaml", contract)
    for number, (path, content) in enumerate(_deliveries().items()):
        _write(folder / "landing" / path, content)
        arrived = (FIRST_ARRIVAL + 60 * number) * 1_000_000_000
        os.utime(folder / "landing" / path, ns=(arrived, arrived))
    return folder


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _deliveries() -> dict[str, str | bytes]:
    customers = "id,city\n" + "".join(f"{number},City {number % 7}\n" for number in range(1, CUSTOMERS + 1))
    return {"customers/c1.csv": customers, **_orders(), **_visits(), **_stock()}


def order(number: int, version: int = 0) -> list[str]:
    """One right order; versions of one id differ."""
    day = (number + version) % 28 + 1
    status = STATUSES[(number + version) % len(STATUSES)]
    return [str(number), str(number % CUSTOMERS + 1), status, f"{number * 7 % 1000}.{version}5", f"2024-03-{day:02d}"]


def _csv(header: str, rows: list[list[str]], delimiter: str = ",") -> str:
    return "\n".join([header.replace(",", delimiter), *(delimiter.join(row) for row in rows)]) + "\n"


def _orders() -> dict[str, str | bytes]:
    """Seven deliveries; keys overlap, so that the order in which they count shows in the table."""
    first = _csv(ORDERS_HEADER, [order(number) for number in range(1, 401)])
    typos = [order(number, 1) for number in range(201, 601)]
    for row in typos[::20]:
        row[2] = f" {row[2].upper()} "
    for row in typos[7::50]:
        row[2] = row[2][:-1] + "x"
    days = [order(number, 2) for number in range(501, 901)]
    for row in days[::5]:
        year, month, day = row[4].split("-")
        row[4] = f"{day}/{month}/{year}"
    european = [order(number, 3) for number in range(801, 1101)]
    for row in european:
        row[3] = row[3].replace(".", ",")
    broken = [order(number, 4) for number in range(1001, 1301)]
    for row in broken[::60]:
        row[1] = "9999"  # no such customer
    for row in broken[3::70]:
        row[3] = "-5"
    broken[11] = broken[11][:3]
    broken[22] = [*broken[22], "more"]
    return {
        "orders/o1.csv": first,
        "orders/o2.csv": _csv(ORDERS_HEADER, typos),
        "orders/o3.csv": _csv("id,customer,status,amount,order_date", [order(n, 2) for n in range(301, 701)]),
        "orders/o4.csv": _csv(ORDERS_HEADER, days),
        "orders/o5.csv": _csv(ORDERS_HEADER, european, ";").encode("latin-1"),
        "orders/o6.csv": _csv(ORDERS_HEADER, broken),
        "orders/o7.csv": first,  # delivered twice
    }


def _visits() -> dict[str, str | bytes]:
    """Rows that are only ever added."""

    def visit(number: int) -> list[str]:
        page = ("home", "basket", "payment")[number % 3]
        return [str(number), page, f"2024-03-{number % 28 + 1:02d}T08:{number % 60:02d}:00Z", f"{number % 90}.5"]

    first = [visit(number) for number in range(1, 301)]
    typos = [visit(number) for number in range(301, 601)]
    for row in typos[::30]:
        row[1] = row[1].title() + " "
    twice = [visit(number) for number in range(601, 801)]
    twice[50] = twice[49]  # the same row again
    wider = [[*visit(number), "web" if number % 2 else "app"] for number in range(801, 1001)]
    broken = [visit(number) for number in range(1001, 1201)]
    broken[5] = broken[5][:2]
    broken[9][1] = '"home'  # the quote never closes
    return {
        "visits/v1.csv": _csv(VISITS_HEADER, first),
        "visits/v2.csv": _csv(VISITS_HEADER, typos),
        "visits/v3.csv": _csv(VISITS_HEADER, twice),
        "visits/v4.csv": _csv(VISITS_HEADER + ",device", wider),
        "visits/v5.csv": _csv(VISITS_HEADER, broken),
        "visits/v6.csv": _csv(VISITS_HEADER, first),  # delivered twice
    }


def _stock() -> dict[str, str | bytes]:
    """Each delivery replaces the table, but the last, which has a row that fails."""

    def count(day: int) -> list[list[str]]:
        return [[f"A{number:04d}", str(number * day % 50)] for number in range(150 + 10 * day)]

    wrong = count(4)
    wrong[17][1] = "-1"
    header = "article,pieces"
    days = {f"stock/s{day}.csv": _csv(header, count(day)) for day in (1, 2, 3)}
    return {**days, "stock/s4.csv": _csv(header, wrong)}


class Shop:
    """A project folder and its store, looked at from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"

    def arguments(self, pipeline: str) -> tuple[object, ...]:
        """What runs a pipeline of this shop."""
        return ("run", f"pipelines/{pipeline}.yaml", "--root", "store", "--json")

    def copy(self, folder: Path) -> Shop:
        """The same shop elsewhere, with the times at which its files arrived."""
        shutil.copytree(self.folder, folder)
        return Shop(folder)

    def table(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table with all their columns, provenance included."""
        with duckdb.connect(str(self.root / "warehouse.duckdb"), read_only=True) as connection:
            found = connection.sql(f'SELECT * FROM shop."{name}" ORDER BY ALL').to_arrow_table()
        return list(found.to_pylist())

    def account(self, pipeline: str) -> Any:
        """Where all rows are and what was diagnosed, without ids, counts of tries and times; an audit must agree."""
        if not (self.root / ".mend").is_dir():
            return {}  # killed before there was a store
        process = project.open_process(project.of_root(self.root))
        try:
            counted = audit.audit(process)
            assert counted.ok, counted.problems
            store = report.Store(process.store, process.objects)
            names = ("batch_id", "input", "state", *report.COUNTS)
            batches = [[entry[name] for name in names] for entry in report.batches(store, pipeline)]
            incidents = sorted(
                (entry["batch_id"], entry["check"], entry["column"], entry["cause"], entry["state"])
                for entry in report.incidents(store, pipeline)
            )
        finally:
            process.close()
        return {"batches": batches, "incidents": incidents}


def opened_shop(folder: Path) -> Shop:
    """A shop whose parent table is loaded."""
    shop = Shop(make_shop(folder))
    ended = mend(*shop.arguments("customers"), cwd=shop.folder)
    assert ended.code == 0, ended.said
    return shop
