"""Goal: JSON documents and Avro files are read by every command as other files are, and every row is accounted for."""

from __future__ import annotations

import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mend.audit import audit
from mend.main import app
from tests.unit.mend.small_project import SmallProject

PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
ADDRESS = {"type": "record", "name": "A", "fields": [{"name": "zip", "type": "string"}]}
LINE = {"type": "record", "name": "L", "fields": [{"name": "qty", "type": "int"}]}
SCHEMA = {
    "type": "record",
    "name": "sales",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "city", "type": ["null", "string"]},
        {"name": "price", "type": PRICE},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "address", "type": ADDRESS},
        {"name": "lines", "type": {"type": "array", "items": LINE}},
        {"name": "marks", "type": {"type": "map", "values": "int"}},
    ],
}
TYPES = {
    "id": "integer", "city": "string", "price": "number", "day": "date", "address": "object", "lines": "array",
    "marks": "object",
}  # fmt: skip


def rows(count: int = 120) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "city": ("Rome", "Oslo", None)[number % 3],
            "price": Decimal(number) / 4,
            "day": date(2024, 1, 1 + number % 28),
            "address": {"zip": f"{10000 + number}"},
            "lines": [{"qty": number % 5 + 1}],
            "marks": {"a": number},
        }
        for number in range(count)
    ]


def avro(data: list[dict[str, Any]], **options: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(SCHEMA), data, **options)
    return stream.getvalue()


def document(data: list[dict[str, Any]]) -> bytes:
    def spoken(value: Any) -> Any:
        return float(value) if isinstance(value, Decimal) else value.isoformat()

    return json.dumps(data, indent=1, default=spoken).encode()


WRITERS = {"json": document, "avro": avro}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for ending, write in WRITERS.items():
        (tmp_path / f"sales.{ending}").write_bytes(write(rows()))
    return tmp_path


def mend(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def told(*arguments: str) -> Any:
    return json.loads(mend(*arguments, "--json").stdout)


@pytest.mark.parametrize("ending", WRITERS)
def test_a_contract_is_inferred_tested_and_mutated(place: Path, ending: str) -> None:
    data, file = f"sales.{ending}", "sales.odcs.yaml"
    assert mend("contract", "infer", data, "--out", file).exit_code == 0
    text = (place / file).read_text()
    assert {
        name: kind for name, kind in TYPES.items() if f"- name: {name}\n        logicalType: {kind}" in text
    } == TYPES
    (delivery,) = told("contract", "test", data, "--contract", file)["deliveries"]
    assert (delivery["state"], delivery["rows_read"], delivery["rows_failed"]) == ("passed", 120, 0)
    other = next(each for each in WRITERS if each != ending)
    (delivery,) = told("contract", "test", f"sales.{other}", "--contract", file)["deliveries"]
    assert delivery["state"] == "passed"
    assert told("contract", "mutate", data, "--contract", file)["outcomes"]
    broken = rows()
    broken[7]["address"] = {"zip": "none"}
    broken[8]["lines"] = [{"qty": 1}, {"qty": -1}]
    (place / data).write_bytes(WRITERS[ending](broken))
    (place / file).write_text(
        text.replace("- name: qty\n", "- name: qty\n              logicalTypeOptions: {minimum: 0}\n")
    )
    (delivery,) = told("contract", "test", data, "--contract", file)["deliveries"]
    assert [row["row"] for row in delivery["rows"]] == [8, 9]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_pipeline_loads_and_the_audit_counts_again(place: Path, ending: str) -> None:
    (place / "landing").mkdir()
    content = WRITERS[ending](rows())
    (place / "landing" / f"a.{ending}").write_bytes(content)
    made = mend("init", f"landing/*.{ending}", "--name", "sales", "--table", "shop.sales", "--yes")
    assert made.exit_code == 0, made.output
    checked = mend("check")
    assert (checked.exit_code, "0 errors" in checked.output) == (0, True)
    (place / "landing" / f"b.{ending}").write_bytes(content[: len(content) // 2])
    assert mend("run", "pipelines/sales.yaml", "--wait", "0").exit_code == 3
    audit = told("audit")
    assert audit["problems"] == []
    assert audit["rows_loaded"] == 120
    assert audit["rows_read"] == audit["rows_loaded"] + audit["rows_quarantined"]


DAMAGED = {
    "elements": (b'[{"id": 1, "city": "Rome", "amount": 1, "day": "2024-01-02"}, 7, [], {"id": "x"}, {"id" 2}]', 5),
    "cut off": (b'[{"id": 1, "city": "Rome", "amount": 1, "day": "2024-01-02"}, {"id": 2, "ci', 2),
    "followed": (b'[{"id": 1, "city": "Rome", "amount": 1, "day": "2024-01-02"}]\n[{"id": 2}]', 2),
    "empty": (b"[]", 0),
    "text": (b"not JSON at all", 0),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_document_is_accounted_for(tmp_path: Path, kind: str) -> None:
    content, records = DAMAGED[kind]
    project = SmallProject(tmp_path)
    file = project.folder / "pipelines" / "orders.yaml"
    file.write_text(file.read_text().replace("*.csv", "*.json").replace("{format: csv}", "{format: json}"))
    project.deliver("a.json", content)
    process = project.run()
    (batch,) = process.store.query("deliveries", limit=9)
    found = audit(process)
    process.close()
    assert (batch.data["readings"][0]["rows"], found.counts["rows_read"], found.problems) == (records, records, [])


def lying() -> bytes:
    content = bytearray(avro(rows(600), sync_interval=500))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "records", "held"),
    [
        (lying(), 600, "corrupt (block 16 of the Avro file cannot be read to its end)"),
        (
            avro(rows(600), sync_interval=500)[:-40],
            592,
            "truncated (the delivery ends within block 32 of the Avro file)",
        ),
        (b"a,b\n1,2\n", 0, "cannot be read: not an Avro file"),
    ],
    ids=["lying", "cut off", "text"],
)
def test_a_damaged_avro_file_is_accounted_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, records: int, held: str
) -> None:
    project = SmallProject(tmp_path)
    file = project.folder / "pipelines" / "orders.yaml"
    file.write_text(file.read_text().replace("*.csv", "*.avro").replace("{format: csv}", "{format: avro}"))
    project.deliver("a.avro", content)
    process = project.run()
    found = audit(process)
    process.close()
    assert (found.counts["rows_read"], found.problems) == (records, [])
    assert held in capfd.readouterr().err


def test_parquet_with_nested_columns_is_mutated_too(place: Path) -> None:
    pl.DataFrame({"id": list(range(60)), "o": [{"z": "1"}] * 60, "b": [b"\xff"] * 60}).write_parquet("sales.parquet")
    assert mend("contract", "infer", "sales.parquet", "--out", "p.odcs.yaml").exit_code == 0
    assert told("contract", "mutate", "sales.parquet", "--contract", "p.odcs.yaml")["outcomes"]
