"""`mend history` shows what happened, for people and for programs, and changes nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mend.commands.history import VIEWS
from mend.main import app
from shared.adapters.local.history import VIEWS as KNOWN
from tests.unit.mend.small_project import HEADER, SmallProject, lines


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Nothing here changes a store, so one serves all."""
    made = SmallProject(tmp_path_factory.mktemp("history"))
    made.deliver("a.csv", HEADER + lines(1, 9))
    made.deliver("b.csv", HEADER + lines(10, 12) + "no number,Rome,1.5,2024-01-01\n")
    made.run().close()
    return made


def history(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["history", *arguments])


def told(project: SmallProject, *arguments: str) -> dict[str, Any]:
    answer = history(*arguments, "--root", str(project.root), "--json")
    assert answer.exit_code == 0, answer.output
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_the_views_are_those_of_the_store() -> None:
    assert set(VIEWS) == set(KNOWN)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_for_people_and_for_programs(project: SmallProject, view: str) -> None:
    found = told(project, view)
    assert found["view"] == view
    assert found["columns"]
    answer = history(view, "--root", str(project.root))
    assert (answer.exit_code, view in answer.stdout) == (0, True)


def test_what_happened(project: SmallProject) -> None:
    batches = {str(row["name"]): row for row in told(project, "batches")["rows"]}
    assert {name: row["rows_loaded"] for name, row in batches.items()} == {"a.csv": 9, "b.csv": 3}
    (incident,) = told(project, "incidents")["rows"]
    assert (incident["check"], incident["column"], incident["rows_failed"]) == ("type", "id", 1)
    assert len(told(project, "quality")["rows"]) == 2


@pytest.mark.parametrize("view", VIEWS)
def test_one_pipeline(project: SmallProject, view: str) -> None:
    assert told(project, view, "--pipeline", "orders")["rows"] == told(project, view)["rows"]
    assert told(project, view, "--pipeline", "nobody")["rows"] == []


def test_it_changes_nothing(project: SmallProject) -> None:
    def digest() -> dict[str, str]:
        kept = [path for path in project.root.rglob("*") if path.is_file() and path.suffix not in (".wal", ".shm")]
        plain = [path for path in kept if not path.name.endswith(("-wal", "-shm"))]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in plain}

    before = digest()
    for view in VIEWS:
        told(project, view)
    assert digest() == before


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["batches; DROP TABLE x"], ["events_batch_staged_v1"]])
def test_wrong_usage(project: SmallProject, arguments: list[str]) -> None:
    assert history(*arguments, "--root", str(project.root)).exit_code == 2


def test_without_a_store(tmp_path: Path) -> None:
    answer = history("batches", "--root", str(tmp_path / "none"))
    assert answer.exit_code != 0
    assert not (tmp_path / "none").exists()
