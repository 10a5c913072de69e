"""Goal: every broken rule on a whole delivery is named with its rows, in text, JSON and evidence."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from mend.commands.contract import show
from mend.contract_table import in_words_of
from mend.contract_trial import Tried
from mend.evidence_words import sentences
from mend.main import app
from shared.domain.errors import DefinitionMissing

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: t
version: 1.0.0
status: active
schema:
  - name: t
    quality:
      - {type: sql, name: one, query: "SELECT COUNT(*) FROM ${table}", mustBe: 1}
    properties:
      - name: a
        logicalType: string
        quality:
          - {name: mv, metric: missingValues, arguments: {missingValues: ["?"]}, mustBe: 0}
          - {name: mw, metric: missingValues, arguments: {missingValues: ["?", "-"]}, mustBe: 0}
      - {name: n, logicalType: integer}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.odcs.yaml").write_text(CONTRACT)
    rows = pl.DataFrame({"a": ["x", "?", "y", "-"], "n": ["1", "2", "x", "4"]})
    rows.write_csv("t.csv")
    rows.write_parquet("t.parquet")
    return tmp_path


@pytest.mark.parametrize("data", ["t.csv", "t.parquet"])
def test_every_broken_rule_is_named_with_its_rows(place: Path, data: str) -> None:
    result = CliRunner().invoke(app, ["contract", "test", data, "--json"])
    (delivery,) = json.loads(result.stdout)["deliveries"]
    assert [(each["name"], each.get("rows")) for each in delivery["broken"]] == [
        ("mv", [2]),
        ("mw", [2, 4]),
        ("one", None),
    ]
    assert delivery["held_for"] == "quality:missingValues, quality:sql"
    assert [row["row"] for row in delivery["rows"]] == [3], "only what fails by itself"
    shown = " ".join(CliRunner().invoke(app, ["contract", "test", data]).stdout.split())
    assert "quality:missingValues a, the rule mw: rows 2, 4" in shown
    assert "(mv); a: 2 rows are missing where the contract wants exactly 0 rows (mw)" in shown


def test_the_evidence_says_the_rows_of_each() -> None:
    rules = [{"name": "mw", "rows": [2, 4], "rows_concerned": 30}, {"name": "", "expected": "exactly 0", "rows": [7]}]
    evidence = {"metric": "missingValues", "row_first": 2, "row_last": 4, "rules": rules}
    assert sentences({"origin": "dataset", "message": ""}, evidence) == [
        "the rule mw: rows 2, 4 and 28 more",
        "the rule of exactly 0: row 7",
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_copy_is_told_to_be_one(place: Path, ending: str) -> None:
    (place / f"u.{ending}").write_bytes((place / f"t.{ending}").read_bytes())
    result = CliRunner().invoke(app, ["contract", "test", f"?.{ending}", "--json"])
    states = [each["state"] for each in json.loads(result.stdout)["deliveries"]]
    assert states == ["held", "held"]
    shown = CliRunner().invoke(app, ["contract", "test", f"?.{ending}"])
    assert f"u.{ending}: held, the same content as t.{ending}" in shown.stdout


@pytest.mark.parametrize(
    ("data", "engine", "code"),
    [
        ("t.csv", "warehouse", 2), ("t.csv", "memory", 2), ("t.csv", "streamed", 2), ("t.csv", "staged", 1),
        ("t.parquet", "warehouse", 2), ("t.parquet", "memory", 1), ("table:s.t", "staged", 2), ("t.*t", "memory", 1),
        ("t.[cp]*", "memory", 2),
    ],
)  # fmt: skip
def test_an_engine_that_does_not_judge_such_data_is_refused(place: Path, data: str, engine: str, code: int) -> None:
    result = CliRunner().invoke(app, ["contract", "test", data, "--engine", engine])
    refused = isinstance(result.exception, DefinitionMissing)  # which the command line ends with 2
    assert (2 if refused else result.exit_code) == code, result.output


def test_the_query_of_a_table_is_printed_whole_and_in_its_warehouses_words(capsys: pytest.CaptureFixture[str]) -> None:
    googlesql = (
        "SELECT IF(REGEXP_CONTAINS(a, 'token=[a-z]+|(?://[^@]*@)?\u00e9'), 'pattern a', NULL) AS reasons FROM s.t"
    )
    table = Tried("s.t", "failed", rows_read=2, rows_failed=1, query=in_words_of("local", googlesql))
    show(table)
    shown = capsys.readouterr().out
    assert "token=[a-z]+|(?://[^@]*@)?" in shown
    assert "***" not in shown
    assert "CASE WHEN REGEXP_MATCHES(a" in shown
    assert in_words_of("gcp", googlesql) == googlesql
