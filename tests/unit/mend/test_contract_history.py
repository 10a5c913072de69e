"""Goal: it is known which version of a contract judged which deliveries, and how they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from mend.main import app
from tests.unit.mend.small_project import HEADER, SmallProject, lines


def history(project: SmallProject, pipeline: str) -> tuple[int, list[dict[str, Any]]]:
    ended = CliRunner().invoke(app, ["contract", "history", pipeline, "--root", str(project.root), "--json"])
    return ended.exit_code, json.loads(ended.stdout)["versions"] if ended.exit_code == 0 else []


def test_each_version_with_what_it_judged(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="observe")
    project.deliver("a.csv", HEADER + lines(1, 20))
    project.deliver("b.csv", HEADER + lines(21, 30))
    project.run()
    name = "orders"
    code, (first,) = history(project, name)
    assert (code, first["batches"], first["rows"], first["rows_passed"], first["score"]) == (0, 2, 30, 30, 100.0)
    assert first["current"]
    assert 0 < first["since"] <= first["until"]
    (file,) = (project.folder / "contracts").glob("*.yaml")
    text = file.read_text(encoding="utf-8")
    assert "version: 1.0.0" in text
    file.write_text(text.replace("version: 1.0.0", "version: 2.0.0"), encoding="utf-8")
    code, (first, second) = history(project, name)
    assert (first["current"], second["current"]) == (False, True)
    assert (second["batches"], second["rows"], second["score"]) == (0, 0, None)
    assert (first["version"], second["version"]) == ("1.0.0", "2.0.0")
    project.clock.sleep(3_600)
    project.deliver("c.csv", HEADER + lines(31, 40) + "41,too,few\n")
    project.run()
    code, (first, second) = history(project, name)
    assert (first["batches"], second["batches"], second["rows"], second["rows_passed"]) == (2, 1, 11, 10)
    assert second["score"] < 100
    assert first["contract"].partition("@")[0] == second["contract"].partition("@")[0]
    assert second["since"] > first["until"]
    shown = CliRunner().invoke(app, ["contract", "history", name, "--root", str(project.root)]).output
    assert second["contract"] in shown


def test_a_pipeline_that_is_none(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="observe")
    project.deliver("a.csv", HEADER + lines(1, 5))
    project.run()
    ended = CliRunner().invoke(app, ["contract", "history", "nobody", "--root", str(project.root)])
    assert "there is no such pipeline" in str(ended.exception)
