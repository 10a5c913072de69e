"""Goal: each corruption is a real one, what notices it is told, and a suggested rule does notice it and holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from mend.contract_corruptions import Corrupted, Rule, _changed, corruptions
from mend.main import app
from shared.domain.contract import Contract, parse_contract

LAX = """\
apiVersion: v3.1.0
kind: DataContract
id: sales
version: 1.0.0
status: active
schema:
  - name: sales
    properties:
      - {name: id, logicalType: integer}
      - {name: code, logicalType: string}
      - {name: kind, logicalType: string}
      - {name: amount, logicalType: number}
      - {name: day, logicalType: date}
      - {name: note, logicalType: string}
"""
STRICT = """\
apiVersion: v3.1.0
kind: DataContract
id: sales
version: 1.0.0
status: active
schema:
  - name: sales
    quality:
      - {metric: rowCount, mustBeGreaterThan: 30}
    properties:
      - {name: id, logicalType: integer, required: true, unique: true, logicalTypeOptions: {minimum: 1}}
      - {name: code, logicalType: string, required: true, logicalTypeOptions: {pattern: '^AB-\\d+$'}, unique: true}
      - {name: kind, logicalType: string, required: true, enum: [{value: small}, {value: large}]}
      - {name: amount, logicalType: number, required: true, logicalTypeOptions: {minimum: 0, maximum: 100}}
      - name: day
        required: true
        logicalType: date
        logicalTypeOptions: {minimum: '2024-01-01', maximum: '2025-12-31'}
      - {name: note, logicalType: string, logicalTypeOptions: {maxLength: 10}}
"""
ROWS = 40


def sample() -> pl.DataFrame:
    rows = range(1, ROWS + 1)
    return pl.DataFrame(
        {
            "id": [str(row) for row in rows],
            "code": [f"AB-{row + 100}" for row in rows],
            "kind": ["small" if row % 3 else "large" for row in rows],
            "amount": [f"{row}.5" for row in rows],
            "day": [f"2024-02-{row % 28 + 1:02d}" for row in rows],
            "note": [None if row % 2 else "fine" for row in rows],
        }
    )


def contract(text: str = LAX) -> Contract:
    return parse_contract(text, "sales.odcs.yaml")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lax.odcs.yaml").write_text(LAX)
    (tmp_path / "strict.odcs.yaml").write_text(STRICT)
    sample().write_csv(tmp_path / "sales.csv")
    return tmp_path


def mutate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contract", "mutate", "sales.csv", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mutate(*arguments, "--json").stdout)
    return found


# ── corruptions ──


def made() -> dict[tuple[str, str], Corrupted]:
    return {(each.column, each.corruption): each for each in corruptions(sample(), contract(), ".")}


def test_every_corruption_changes_the_sample_and_nothing_else() -> None:
    before = sample()
    for (column, corruption), each in made().items():
        if corruption in ("column missing", "swapped", "rows twice", "half of the rows", "no rows"):
            continue
        others = [name for name in before.columns if name != column]
        assert each.frame.select(others).equals(before.select(others)), corruption
        changed = (each.frame.get_column(column).eq_missing(before.get_column(column))).not_().sum()
        assert changed >= (ROWS if corruption == "unit" else ROWS // 10 - 2), (column, corruption)


@pytest.mark.parametrize(
    ("column", "corruption", "values"),
    [
        ("id", "nulls", [None]),
        ("id", "duplicates", ["1"]),
        ("id", "sign", ["-6", "-16", "-26", "-36"]),
        ("kind", "unknown category", ["unheard-of"]),
        ("code", "format", ["77-qqq"]),
        ("code", "truncated", ["AB-"]),
        ("amount", "unreadable", ["?!"]),
        ("amount", "too large", ["445.5"]),
        ("day", "far future", ["2124-02-07", "2124-02-17", "2124-02-27", "2124-02-09"]),
    ],
)
def test_what_is_put_in(column: str, corruption: str, values: list[str | None]) -> None:
    found = made()[column, corruption].frame.get_column(column)
    changed = found.filter(found.eq_missing(sample().get_column(column)).not_())
    assert set(changed.to_list()) == set(values)


def test_nothing_is_made_that_the_sample_has_already() -> None:
    names = made().keys()
    assert ("note", "nulls") not in names
    assert ("kind", "duplicates") not in names
    assert ("amount", "duplicates") not in names, "measures may be equal"
    assert ("id", "too large") not in names, "a key grows"
    assert ("day", "format") not in names


def test_a_format_that_all_texts_have_is_broken_and_suggested(place: Path) -> None:
    frame = sample().with_columns(pl.Series("code", [f"10.0.0.{row}" for row in range(ROWS)]))
    frame.write_csv(place / "sales.csv")
    found = {(each["column"], each["corruption"]): each for each in told("--contract", "lax.odcs.yaml")["outcomes"]}
    assert found["code", "other format"]["rule"] == "logicalTypeOptions: {format: ipv4}"
    assert ("note", "other format") not in found
    text = LAX.replace("code, logicalType: string", "code, logicalType: string, logicalTypeOptions: {format: ipv4}")
    (place / "lax.odcs.yaml").write_text(text)
    found = {(each["column"], each["corruption"]): each for each in told("--contract", "lax.odcs.yaml")["outcomes"]}
    for corruption in ("other format", "truncated", "padded"):
        assert found["code", corruption]["noticed_by"] == ["format code"]


def test_a_decimal_comma_stays_one() -> None:
    frame = pl.DataFrame({"amount": [f"{row},5" for row in range(30)]})
    found = {each.corruption: each.frame for each in corruptions(frame, contract(), ",")}
    assert found["unit"].get_column("amount")[1] == "1500,0"


# ── the score ──


def test_a_strict_contract_notices_more_than_a_lax_one(place: Path) -> None:
    lax, strict = told("--contract", "lax.odcs.yaml"), told("--contract", "strict.odcs.yaml")
    assert lax["corruptions"] == strict["corruptions"] == len(strict["outcomes"])
    assert lax["percent"] < 35 < 90 < strict["percent"]
    by = {(each["column"], each["corruption"]): each for each in strict["outcomes"]}
    assert by["amount", "too large"]["noticed_by"] == ["range amount"]
    assert by["code", "duplicates"]["noticed_by"] == ["unique code"]
    assert by["kind", "unknown category"]["noticed_by"] == ["enum kind"]
    assert by["", "half of the rows"]["noticed_by"]
    assert not by["code, kind", "swapped"]["rule"]
    # Types alone notice this.
    assert all(each["noticed_by"] for each in lax["outcomes"] if each["corruption"] == "unreadable")


def test_suggested_rules_notice_what_they_are_suggested_for_and_hold_for_the_sample(place: Path) -> None:
    before = told("--contract", "lax.odcs.yaml", "--out", "better.odcs.yaml")
    suggested = [each for each in before["outcomes"] if each["rule"]]
    assert len(suggested) > 15
    assert all(not each["noticed_by"] for each in suggested)
    after = told("--contract", "better.odcs.yaml")
    assert after["percent"] == before["percent_with_rules"] > 90
    now = {(each["column"], each["corruption"]): each["noticed_by"] for each in after["outcomes"]}
    assert all(now[each["column"], each["corruption"]] for each in suggested)
    tested = CliRunner().invoke(app, ["contract", "test", "sales.csv", "--contract", "better.odcs.yaml"])
    assert tested.exit_code == 0, tested.output


def test_a_pattern_is_never_replaced_by_another(place: Path) -> None:
    """One that lets the corruption pass may still forbid what the suggested one allows."""
    (place / "lax.odcs.yaml").write_text(
        LAX.replace("code, logicalType: string", "code, logicalType: string, logicalTypeOptions: {pattern: '^.+$'}")
    )
    found = told("--contract", "lax.odcs.yaml", "--out", "better.odcs.yaml")
    missed = [each for each in found["outcomes"] if each["column"] == "code" and not each["noticed_by"]]
    assert {each["corruption"] for each in missed} >= {"format", "padded"}
    assert not any("pattern" in each["rule"] for each in missed)
    improved = parse_contract((place / "better.odcs.yaml").read_text(), "better").column("code")
    assert improved is not None
    assert improved.pattern == "^.+$"


def test_a_rule_that_the_sample_breaks_is_not_suggested(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a suggestion wrong (here: all of amount below 3), it is dropped, and those of other columns stay."""

    def wrong(frame: pl.DataFrame, known: Contract, decimal: str) -> Iterator[Corrupted]:
        for each in corruptions(frame, known, decimal):
            below = Rule("logicalTypeOptions: {maximum: 3}", _changed("amount", maximum=3))
            yield each._replace(rule=below) if each.column == "amount" and each.rule else each

    monkeypatch.setattr("mend.contract_mutation.corruptions", wrong)
    found = told("--contract", "lax.odcs.yaml", "--out", "better.odcs.yaml")
    assert not any(each["rule"] for each in found["outcomes"] if each["column"] == "amount")
    assert any(each["rule"] for each in found["outcomes"] if each["column"] == "day")
    tested = CliRunner().invoke(app, ["contract", "test", "sales.csv", "--contract", "better.odcs.yaml"])
    assert tested.exit_code == 0, tested.output


def test_a_file_is_not_overwritten_unasked(place: Path) -> None:
    before = (place / "strict.odcs.yaml").read_text()
    ended = mutate("--contract", "lax.odcs.yaml", "--out", "strict.odcs.yaml")
    assert "--force" in str(ended.exception)
    assert (place / "strict.odcs.yaml").read_text() == before


def test_it_can_be_a_test(place: Path) -> None:
    assert mutate("--contract", "lax.odcs.yaml", "--at-least", "90").exit_code == 1
    assert mutate("--contract", "strict.odcs.yaml", "--at-least", "90").exit_code == 0
    assert sorted(each.name for each in place.iterdir()) == ["lax.odcs.yaml", "sales.csv", "strict.odcs.yaml"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("id,code\n1,a\n", "too few"),
        ("x,y\n" + "1,2\n" * 30, "no column of the contract"),
        ("", "too few"),
    ],
)
def test_data_that_cannot_be_used(place: Path, data: str, said: str) -> None:
    (place / "sales.csv").write_text(data)
    ended = mutate("--contract", "lax.odcs.yaml")
    assert ended.exit_code != 0
    assert said in str(ended.exception) + ended.output


def test_a_contract_that_holds_the_sample(place: Path) -> None:
    (place / "strict.odcs.yaml").write_text(STRICT.replace("mustBeGreaterThan: 30", "mustBeGreaterThan: 300"))
    ended = mutate("--contract", "strict.odcs.yaml")
    assert "holds the sample itself" in str(ended.exception)
