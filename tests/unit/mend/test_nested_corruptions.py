"""What is put into JSON cells is one thing each, and the rule suggested for it notices it and holds for the sample."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from mend.contract_corruptions import corruptions
from mend.main import app
from mend.nested_corruptions import PLACES_MAX, inside_corruptions
from shared.domain.contract import Column, Contract, parse_contract

ROWS = 200
BARE = """\
apiVersion: v3.1.0
kind: DataContract
id: sales
version: 1.0.0
status: active
schema:
  - name: sales
    properties:
      - {name: id, logicalType: integer, required: true, unique: true}
      - {name: to, logicalType: object, required: true}
      - {name: lines, logicalType: array, required: true}
"""


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": row,
            "to": {"zip": f"{row}0", "at": {"lat": row / 7}, **({"note": "x"} if row % 2 else {})},
            "lines": [{"qty": 1 + row % 3}] * (1 + row % 2),
        }
        for row in range(ROWS)
    ]


def sample() -> pl.DataFrame:
    return pl.DataFrame(
        {name: [value if name == "id" else json.dumps(value) for value in found] for name, found in by_column().items()}
    ).cast(pl.String)


def by_column() -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows()] for name in ("id", "to", "lines")}


def contract() -> Contract:
    return parse_contract(BARE, "sales.odcs.yaml")


def inside() -> dict[str, pl.Series]:
    found = corruptions(sample(), contract(), ".")
    return {each.what: each.frame.get_column(each.column) for each in found if each.corruption.endswith("inside")}


def test_each_place_that_the_sample_has() -> None:
    assert list(inside()) == [
        "to.zip is absent in every tenth row",
        "to.zip is no string in every tenth row",
        "to.at is absent in every tenth row",
        "to.at is no object in every tenth row",
        "to.at.lat is absent in every tenth row",
        "to.at.lat is no number in every tenth row",
        "to.note is no string in every tenth row",  # where it is
        "lines[] is no object in every tenth row",
        "lines[].qty is absent in every tenth row",
        "lines[].qty is no integer in every tenth row",
    ]


def test_one_thing_is_changed_in_every_tenth_row() -> None:
    before = by_column()
    for what, cells in inside().items():
        column = "lines" if what.startswith("lines") else "to"
        values = [json.loads(cell) for cell in cells]
        changed = [at for at, (one, other) in enumerate(zip(before[column], values, strict=True)) if one != other]
        assert changed == list(range(5, ROWS, 10)), what
    told = inside()
    assert json.loads(told["to.zip is absent in every tenth row"][5]) == {"at": {"lat": 5 / 7}, "note": "x"}
    assert json.loads(told["lines[].qty is no integer in every tenth row"][5]) == [{"qty": "?!"}] * 2
    assert json.loads(told["to.zip is no string in every tenth row"][5])["zip"] == 7


def test_maps_and_texts_that_are_no_json_are_left_alone() -> None:
    chosen = pl.Series([True])
    column = Column(name="x", logical_type="object")
    assert list(inside_corruptions(column, pl.Series("x", ["{a}"]), chosen)) == []
    a_map = Column(name="x", logical_type="object", nested='{"logicalType": "map"}')
    assert list(inside_corruptions(a_map, pl.Series("x", ['{"a": 1}']), chosen)) == []


def test_other_columns_have_no_inside() -> None:
    told = contract()
    typed = "object", "array", "boolean", "time"
    columns = (Column(name=kind, logical_type=kind) for kind in typed)  # type: ignore[arg-type]
    cells = {"object": '{"a": 1}', "array": "[1]", "boolean": "true", "time": "10:00:00"}
    frame = pl.DataFrame({kind: [cells[kind]] * 40 for kind in typed})
    found = corruptions(frame, replace(told, columns=tuple(columns)), ".")
    assert {each.column for each in found if each.corruption.endswith("inside")} == {"object", "array"}


def test_a_large_object_does_not_make_it_endless() -> None:
    cell = json.dumps({f"n{number}": {"a": 1, "b": 2} for number in range(40)})
    found = inside_corruptions(Column(name="x", logical_type="object"), pl.Series("x", [cell]), pl.Series([True]))
    assert len(list(found)) == PLACES_MAX
    long = json.dumps({"a": 1, "b": "x" * 15_000_000})
    found = inside_corruptions(
        Column(name="x", logical_type="object"), pl.Series("x", [long] * 10), pl.Series([True] * 10)
    )
    assert list(found) == []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.odcs.yaml").write_text(BARE)
    (tmp_path / "sales.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return tmp_path


def mutated(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        CliRunner().invoke(app, ["contract", "mutate", "sales.jsonl", "--json", *arguments]).stdout
    )
    return found


def test_suggested_rules_notice_what_they_are_suggested_for_and_hold(place: Path) -> None:
    found = mutated("--contract", "bare.odcs.yaml", "--out", "better.odcs.yaml")
    within = [each for each in found["outcomes"] if each["corruption"].endswith("inside")]
    assert len(within) == len(inside())
    assert all(each["rule"] and not each["noticed_by"] for each in within), within
    again = mutated("--contract", "better.odcs.yaml")
    left = [each["what"] for each in again["outcomes"] if not each["noticed_by"]]
    assert not [what for what in left if what in inside()]
    tested = CliRunner().invoke(app, ["contract", "test", "sales.jsonl", "--contract", "better.odcs.yaml"])
    assert tested.exit_code == 0, tested.output


def test_what_the_contract_says_of_the_inside_stays(place: Path) -> None:
    zip_code = "{name: zip, logicalType: string, logicalTypeOptions: {maxLength: 9}}"
    said = f"{{name: to, logicalType: object, required: true, properties: [{zip_code}]}}"
    (place / "bare.odcs.yaml").write_text(BARE.replace("{name: to, logicalType: object, required: true}", said))
    mutated("--contract", "bare.odcs.yaml", "--out", "better.odcs.yaml")
    column = parse_contract((place / "better.odcs.yaml").read_text(), "better.odcs.yaml").columns[1]
    assert column.inside is not None
    zips = column.inside.properties[0]
    assert (zips.name, zips.logical_type, zips.required, zips.max_length) == ("zip", "string", True, 9)
