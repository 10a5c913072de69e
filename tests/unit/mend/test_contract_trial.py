"""Goal: whatever the contract or the data, ``mend contract test`` comes to a verdict or says why there is none."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from mend.main import app

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: things
version: 1.0.0
status: active
schema:
"""
CONTRACT = (
    HEAD
    + """\
  - name: things
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: size, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: kind, logicalType: string}
"""
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/things.odcs.yaml").write_text(CONTRACT)
    return tmp_path


def mend(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contract", *arguments])


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_an_error_that_nobody_foresaw_is_a_reason(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("a number is too large")

    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    monkeypatch.setattr("services.validate.judgement.cast_frame", broken)
    (delivery,) = told(mend("test", "good.csv", "--json"))["deliveries"]
    assert delivery["state"] == "unreadable"
    assert delivery["whole"] == ["a number is too large"]
    assert "a number is too large" in mend("test", "good.csv").stdout


@pytest.mark.parametrize(
    "cells", [[b"ok", b"\xff"], [timedelta(days=1), timedelta(days=2)]], ids=["bytes", "durations"]
)
@pytest.mark.parametrize("engine", ["memory", "staged"])
def test_cells_of_other_types_fail_and_stop_nothing(place: Path, cells: list[Any], engine: str) -> None:
    frame = pl.DataFrame({"id": [1, 2], "size": [1.0, 2.0], "kind": cells})
    frame.write_parquet(place / "odd.parquet")
    (delivery,) = told(mend("test", "odd.parquet", "--json", "--engine", engine))["deliveries"]
    failing = {
        row["row"]
        for row in delivery["rows"]
        if ("type", "kind") in {(r["check"], r["column"]) for r in row["reasons"]}
    }
    assert (delivery["state"], failing) == ("failed", {2} if cells[0] == b"ok" else {1, 2})
