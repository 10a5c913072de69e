"""What every warehouse does with a contract that is judged by queries: it comes to the verdict of the other engines."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mend.contract_trial import Engine, Tried, table_trial
from shared.domain.contract import parse_contract
from shared.ports.warehouse import TableColumn, Warehouse
from tests.conformance.warehouse_rows import Files, Put

CONTRACT = r"""
apiVersion: v3.1.0
kind: DataContract
id: things
version: 1.0.0
status: active
schema:
  - name: things
    quality:
      - {metric: rowCount, mustBeGreaterThan: 2}
      - {type: sql, query: "SELECT COUNTIF(size > 5) FROM ${table}", mustBeLessThan: 9, name: unused}
      - {metric: duplicateValues, arguments: {properties: [kind, flag]}, mustBeLessThan: 2, severity: warning}
    customProperties:
      - {property: functionalDependencies, value: [{from: [kind], to: [flag]}]}
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - name: size
        logicalType: number
        logicalTypeOptions: {minimum: 0, multipleOf: 0.5}
        quality: [{metric: nullValues, mustBeLessThan: 10, unit: percent, severity: warning}]
      - {name: kind, logicalType: string, required: true, enum: [{value: a}, {value: "it's"}]}
      - name: code
        logicalType: string
        logicalTypeOptions: {pattern: '^[A-Z]\d+[^\s]$', maxLength: 4}
        quality:
          - {metric: missingValues, arguments: {missingValues: ["?"]}, mustBe: 0, severity: warning}
          - {metric: invalidValues, arguments: {validValues: [A1x]}, mustBeLessThan: 2, severity: warning}
      - {name: day, logicalType: date, logicalTypeOptions: {minimum: '2020-01-01'}}
      - {name: at, logicalType: timestamp, logicalTypeOptions: {maximum: '2021-01-01T00:00:00Z'}}
      - {name: flag, logicalType: boolean}
      - {name: parent, logicalType: integer, relationships: [{type: foreignKey, to: parents.id}]}
"""
COLUMNS = tuple(
    TableColumn(name, kind)
    for name, kind in {
        "id": "integer", "size": "number", "kind": "string", "code": "string",
        "day": "date", "at": "timestamp", "flag": "boolean", "parent": "integer",
    }.items()
)  # type: ignore[arg-type]  # fmt: skip
DAY, MOMENT = dt.date(2020, 2, 2), dt.datetime(2020, 2, 2, tzinfo=dt.UTC)
GOOD: dict[str, Any] = {
    "id": 1, "size": 1.5, "kind": "a", "code": "A1x", "day": DAY, "at": MOMENT, "flag": True, "parent": 1,
}  # fmt: skip
ROWS = [
    GOOD,
    GOOD | {"id": 2, "kind": "it's", "flag": False},
    GOOD | {"id": 3, "size": float("nan"), "code": "?"},
    GOOD | {"id": 3, "size": -0.3, "kind": "it's", "flag": True},
    GOOD | {"id": None, "size": None, "kind": "", "code": "A12\u00a0", "parent": None},
    GOOD | {"id": 6, "kind": "b", "code": "ABCDE", "day": dt.date(2019, 12, 31), "parent": 7},
    GOOD | {"id": 7, "at": dt.datetime(2021, 1, 1, 0, 0, 1, tzinfo=dt.UTC), "code": "B\u0663x"},
]


def comparable(told: Tried) -> dict[str, Any]:
    """Without the query, and the numbers of rows, which a table has none of: those of a copy are its own."""
    found = told.document()
    return {**found, "query": "", "broken": [{**each, "rows": []} for each in found["broken"]]}


class WarehouseJudgingSuite:
    """Subclasses supply ``warehouse`` and ``put``, which writes a Parquet file into its object store."""

    @pytest.fixture
    def warehouse(self) -> Warehouse:
        raise NotImplementedError

    @pytest.fixture
    def put(self) -> Put:
        raise NotImplementedError

    def test_queries_come_to_the_verdict_of_memory(self, warehouse: Warehouse, put: Put, tmp_path: Path) -> None:
        files = Files(put)
        ids = (TableColumn("id", "integer"),)
        warehouse.run(files.job("append", "p", [{"id": 1}, {"id": 2}], table="shop.parents", columns=ids))
        warehouse.run(files.job("append", "b", ROWS, table="shop.things", columns=COLUMNS))
        file = tmp_path / "things.odcs.yaml"
        file.write_text(CONTRACT)

        def judged(engine: Engine) -> Tried:
            (only,) = table_trial(file, parse_contract(CONTRACT, str(file)), "shop.things", warehouse, engine=engine)
            return only

        asked, here = judged("warehouse"), judged("memory")
        assert asked.query
        assert comparable(asked) == comparable(here)
        assert (here.state, here.rows_read, here.rows_failed) == ("failed", 7, 6)
        assert len(here.checks) >= 10
        assert len(here.whole) == 4
        assert len(warehouse.query(asked.query)) == 6
