"""What waits in quarantine: listed by reason, shown without values, exported without formulas, released by a person."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from mend.main import app
from tests.unit.mend.small_project import HEADER, SmallProject, lines

SECRET = "Secretville"
BAD = f"=cmd(),{SECRET},-5,2024-01-01\n1,2,3,4,5,6\nx,+run(),+3,@never\n"


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = SmallProject(tmp_path)
    made.deliver("a.csv", HEADER + lines(1, 20))
    made.deliver("b.csv", HEADER + lines(21, 40) + BAD)
    made.run()
    return made


def mend(project: SmallProject, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--root", str(project.root)])


def as_json(project: SmallProject, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mend(project, *arguments, "--json").output)
    return found


def batch_of(project: SmallProject, name: str) -> str:
    return next(each.key for each in project.process().store.query("deliveries") if each.data["name"] == name)


def test_batches_are_listed_by_reason(project: SmallProject) -> None:
    found = as_json(project, "quarantine", "list")
    assert found["rows"] == 3
    (batch,) = found["batches"]
    assert (batch["input"], batch["rows"], batch["held"]) == ("landing/b.csv", 3, False)
    reasons = {(each["check"], each["column"]): each["rows"] for each in batch["reasons"]}
    assert reasons == {("type", "id"): 2, ("type", "day"): 1, ("well_formed", ""): 1}
    told = mend(project, "quarantine", "list")
    assert told.exit_code == 3
    assert "in quarantine: 3 rows of 1 batch" in told.output
    assert f"mend quarantine show {batch['batch_id']}" in told.output


def test_nothing_waits(tmp_path: Path) -> None:
    clean = SmallProject(tmp_path)
    clean.deliver("a.csv", HEADER + lines(1, 20))
    clean.run()
    told = mend(clean, "quarantine", "list")
    assert told.exit_code == 0
    assert "0 rows" in told.output
    assert as_json(clean, "quarantine", "list", "--pipeline", "orders") == {"rows": 0, "batches": []}


def test_rows_are_shown_with_reasons_and_without_values(project: SmallProject) -> None:
    batch = batch_of(project, "b.csv")
    for arguments in (["show", batch], ["show", batch, "--json"], ["list"]):
        told = mend(project, "quarantine", *arguments).output
        assert SECRET not in told
        assert "cmd()" not in told
    shown = as_json(project, "quarantine", "show", batch, "--limit", "2")
    assert shown["rows"] == 3
    assert [(each["row"], each["misfit"]) for each in shown["shown"]] == [(21, ""), (22, "too_many_fields")]
    assert shown["shown"][0]["reasons"][0]["check"] == "type"
    assert "and 1 more" in mend(project, "quarantine", "show", batch, "--limit", "2").output


def test_values_are_shown_when_asked_for(project: SmallProject) -> None:
    shown = as_json(project, "quarantine", "show", batch_of(project, "b.csv")[:8], "--values")["shown"]
    assert shown[0]["cells"] == {"id": "=cmd()", "city": SECRET, "amount": "-5", "day": "2024-01-01"}
    assert shown[0]["reasons"][0]["value"] == "=cmd()"
    assert shown[1]["raw"] == "1,2,3,4,5,6"


def test_an_export_has_every_row_and_no_formula(project: SmallProject, tmp_path: Path) -> None:
    file = tmp_path / "waiting.csv"
    told = as_json(project, "quarantine", "export", batch_of(project, "b.csv"), str(file))
    assert (told["rows"], told["cells_marked"]) == (3, 3)
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [each["_mend_row"] for each in rows] == ["21", "22", "23"]
    assert [each["id"] for each in rows] == ["'=cmd()", "", "x"]
    assert (rows[2]["city"], rows[2]["amount"], rows[2]["day"]) == ("'+run()", "+3", "'@never")
    assert rows[0]["amount"] == "-5"
    assert rows[1]["_mend_raw"] == "1,2,3,4,5,6"
    assert rows[1]["_mend_reasons"].startswith("well_formed: ")
    assert "type day: " in rows[2]["_mend_reasons"]


def test_an_export_to_parquet_keeps_cells_and_reasons_as_they_are(project: SmallProject, tmp_path: Path) -> None:
    file = tmp_path / "waiting.parquet"
    as_json(project, "quarantine", "export", batch_of(project, "b.csv"), str(file))
    found = pl.read_parquet(file)
    assert found.get_column("id").to_list() == ["=cmd()", None, "x"]
    assert found.get_column("_mend_violations").list.len().to_list() == [1, 1, 2]


@pytest.mark.parametrize(
    ("name", "says"),
    [("there.csv", "add --replace"), ("x.txt", ".csv or .parquet"), ("nowhere/x.csv", "choose another place")],
)
def test_an_export_that_cannot_be_written_says_why(project: SmallProject, tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "there.csv").write_text("mine", encoding="utf-8")
    told = mend(project, "quarantine", "export", batch_of(project, "b.csv"), str(tmp_path / name))
    assert told.exit_code != 0
    assert says in str(told.exception)
    assert (tmp_path / "there.csv").read_text(encoding="utf-8") == "mine"
    assert not list(tmp_path.glob(".*.unfinished"))


def test_an_export_of_parts_with_different_columns(project: SmallProject, tmp_path: Path) -> None:
    part = project.files("quarantine/*/a0001/*.parquet")[0]
    staged = project.files("staged/" + part.parent.parent.name + "/a0001/*.parquet")[0]
    more = pl.read_parquet(part).head(1).with_columns(pl.lit(99, pl.Int64).alias("_mend_row"), tags=pl.lit([1, 2]))
    more.write_parquet(part.with_name("part-00007.parquet"))
    rows = pl.read_parquet(staged)
    more.select(rows.columns).write_parquet(staged.with_name("part-00007.parquet"))
    batch = batch_of(project, "b.csv")
    for ending in ("csv", "parquet"):
        file = tmp_path / f"waiting.{ending}"
        assert as_json(project, "quarantine", "export", batch, str(file))["rows"] == 4
        found = pl.read_csv(file) if ending == "csv" else pl.read_parquet(file)
        assert found.height == 4
        assert str(found.filter(pl.col("_mend_row") == 99).get_column("tags")[0]).count("1") == 1


def test_a_held_batch_is_released_by_a_person(tmp_path: Path) -> None:
    held = SmallProject(tmp_path)
    pipeline = held.folder / "pipelines" / "orders.yaml"
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("score_below: 0", "score_below: 99"))
    held.deliver("a.csv", HEADER + lines(1, 20) + "x,Rome,1,2024-01-01\n" * 5)
    held.run()
    batch = batch_of(held, "a.csv")
    listed = as_json(held, "quarantine", "list")
    assert (listed["rows"], listed["batches"][0]["held"]) == (25, True)
    assert f"mend quarantine release {batch}" in mend(held, "quarantine", "list").output
    told = mend(held, "quarantine", "release", batch, "--by", "ana", "--reason", "known", "--json")
    account = json.loads(told.output.splitlines()[-1])
    assert (account["was_held"], account["held"]) == (True, False)
    assert (account["rows_loaded"], account["rows_quarantined"]) == (20, 5)
    assert told.exit_code == 3


def test_releasing_what_is_not_held_changes_nothing(project: SmallProject) -> None:
    told = mend(project, "quarantine", "release", batch_of(project, "a.csv"))
    assert told.exit_code == 0
    assert "nothing holds batch" in told.output


def test_an_unknown_batch_is_told_with_near_ones(project: SmallProject) -> None:
    batch = batch_of(project, "b.csv")
    told = mend(project, "quarantine", "show", batch[:-1] + "zz")
    assert told.exit_code != 0
    assert batch in str(told.exception)
    named = mend(project, "quarantine", "show", "b.csv")
    assert batch in str(named.exception)
