"""A run says what its contract asks for and nothing checks: what is passed over is never passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mend.main import app

PIPELINE = """
pipeline: orders
source: {uri: "landing/*.csv"}
contract: contracts/orders.odcs.yaml
destination: {table: shop.orders, mode: append}
"""
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer}
"""
COLUMN = "      - {{name: c{number}, logicalType: string, logicalTypeOptions: {{pattern: '{pattern}'}}}}\n"


@pytest.mark.parametrize(("pattern", "columns", "said"), [("^a$", 1, 0), ("^([", 1, 1), ("^([", 8, 6)])
def test_unreadable_patterns_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, columns: int, said: int
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("pipelines", "contracts", "landing"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pipelines" / "orders.yaml").write_text(PIPELINE)
    rules = "".join(COLUMN.format(number=number, pattern=pattern) for number in range(columns))
    (tmp_path / "contracts" / "orders.odcs.yaml").write_text(CONTRACT + rules)
    names = ",".join(f"c{number}" for number in range(columns))
    (tmp_path / "landing" / "a.csv").write_text(f"id,{names}\n1,{','.join('a' * columns)}\n")
    ended = CliRunner().invoke(app, ["run", "pipelines/orders.yaml"])
    assert ended.exit_code == 0, ended.output
    lines = ended.stderr.splitlines()
    assert len(lines) == said
    assert all("contracts/orders.odcs.yaml" in line and "is not checked" in line for line in lines[:5])
    assert not lines[5:] or "3 more" in lines[5]


def test_a_query_about_a_column_that_is_not_there_is_said_and_the_rows_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("pipelines", "contracts", "landing"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pipelines" / "orders.yaml").write_text(PIPELINE)
    rule = '    quality:\n      - {type: sql, query: "SELECT COUNTIF(totl > 1) FROM ${table}", mustBe: 0}\n'
    (tmp_path / "contracts" / "orders.odcs.yaml").write_text(CONTRACT + rule)
    (tmp_path / "landing" / "a.csv").write_text("id\n1\n2\n")
    ended = CliRunner().invoke(app, ["run", "pipelines/orders.yaml"])
    assert ended.exit_code == 0, ended.output
    (line,) = ended.stderr.splitlines()
    assert "contracts/orders.odcs.yaml:12" in line
    assert 'the contract has no column "totl"' in line
    assert "2 loaded" in ended.stdout
