"""``mend deploy`` with a stand-in for gcloud: what is refused, what is asked for before the first step, how it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mend.deploy.plan import destroyed, plan
from mend.deploy.running import ROOT, done, missing
from mend.deploy.steps import Target
from mend.main import app

TARGET = Target("my-project", "europe-west1")
ASKED = ("deploy", "--project", TARGET.project, "--region", TARGET.region)
DENIED = "ERROR: PERMISSION_DENIED: Permission denied on resource project my-project (or it may not exist)."
GONE = "ERROR: (gcloud.x.delete) NOT_FOUND: Resource not found (resource=x)."
Gcloud = Callable[[str], Path]


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gcloud:
    """Makes a gcloud of some lines of shell, and says where it notes what it was asked; there is no other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def made(lines: str) -> Path:
        program = folder / "gcloud"
        program.write_text(f'#!/bin/sh\necho "$PWD $*" >> {folder}/asked\n{lines}\n')
        program.chmod(0o755)
        return folder / "asked"

    return made


def refusing(said: str) -> str:
    """A gcloud that knows the project and nothing else."""
    return f"case $2 in describe) echo 123 ;; *) echo '{said}' >&2; exit 1 ;; esac"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*ASKED, *words])


def test_destroying_takes_no_service() -> None:
    ended = run("--destroy", "--service", "validate", "--plan")
    assert ended.exit_code == 2
    assert "leave out --service" in ended.stderr


@pytest.mark.parametrize(
    ("project", "region"),
    [("p; rm -rf x", "europe-west1"), ("Mine", "europe-west1"), ("my-project-", "europe-west1"), ("my-project", "eu")],
)
def test_what_is_no_project_or_region_is_refused(project: str, region: str) -> None:
    ended = CliRunner().invoke(app, ["deploy", "--project", project, "--region", region, "--plan"])
    assert ended.exit_code == 2
    assert ended.stdout == ""


def test_a_destruction_that_took_nothing_away_has_failed(gcloud: Gcloud) -> None:
    asked = gcloud(refusing(DENIED))
    ended = run("--destroy", "--yes")
    assert ended.exit_code == 1
    assert f"these {len(destroyed(TARGET))} steps failed" in ended.stderr, "every one is tried"
    beforehand = 2  # gcloud's components, the project's number
    assert len(asked.read_text().splitlines()) == beforehand + len(destroyed(TARGET))


def test_what_is_not_there_is_taken_away(gcloud: Gcloud) -> None:
    gcloud(f"case $* in *list*) exit 0 ;; esac\n{refusing(GONE)}")
    assert run("--destroy", "--yes").exit_code == 0


def test_without_gcloud_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = run("--service", "validate")
    assert ended.exit_code == 1
    assert "gcloud is not installed" in ended.stderr


def test_a_project_that_gcloud_does_not_know(gcloud: Gcloud) -> None:
    gcloud("echo no such project >&2; exit 1")
    ended = run("--destroy", "--yes")
    assert ended.exit_code == 1
    assert "gcloud does not know my-project: no such project" in ended.stderr


def test_what_a_deployment_needs_is_looked_for_before_its_first_step(
    gcloud: Gcloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcloud("exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    alone, whole = plan(TARGET, "validate"), plan(TARGET)
    assert "bq is not installed" in missing(whole, tmp_path)
    (tmp_path / "bin" / "bq").symlink_to("gcloud")
    assert "mend deploy works in a copy of the repository" in missing(whole, tmp_path)
    for name in ("schemas", "infra"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert "make stage SERVICE=validate" in missing(alone, tmp_path)
    (tmp_path / "build" / "stage" / "validate").mkdir(parents=True)
    assert "make stage SERVICE=validate" in missing(alone, tmp_path), "as an interrupted staging leaves it"
    (tmp_path / "build" / "stage" / "validate" / ".tag").write_text("abc")
    assert missing(alone, tmp_path) == ""
    assert missing(whole, tmp_path).startswith("nothing is staged for ingest, ")
    assert missing(destroyed(TARGET), tmp_path) == ""


@pytest.mark.parametrize(
    ("told", "lacks"),
    [
        ('{"alpha": "1", "core": "1"}', ""),
        ('{"core": "1"}', "gcloud lacks its components alpha: gcloud components install alpha"),
        ("no JSON", ""),
    ],
)
def test_a_component_that_a_step_needs_is_looked_for(gcloud: Gcloud, told: str, lacks: str) -> None:
    gcloud(f"echo '{told}'")
    alerts = [step for step in plan(TARGET) if step.what == "alert backlog"]
    assert missing(alerts) == lacks


def test_a_step_finds_its_files_wherever_one_is(
    gcloud: Gcloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = gcloud("exit 0")
    monkeypatch.chdir(tmp_path)
    step = plan(TARGET, "validate")[0]
    assert done(step, {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, gone_is_fine=False)
    assert asked.read_text().startswith(f"{ROOT} ")


@pytest.mark.parametrize(
    ("said", "code", "fails"),
    [("Create request issued", 0, False), ("ALREADY_EXISTS: index already exists", 1, False), (DENIED, 1, True)],
)
def test_an_index_that_cannot_be_made_is_told_in_gclouds_words(
    gcloud: Gcloud, tmp_path: Path, said: str, code: int, fails: bool
) -> None:
    gcloud(f"echo '{said}' >&2; exit {code}")
    step = next(step for step in plan(TARGET) if step.what.startswith("index "))
    ended = subprocess.run(
        ["sh", "-c", step.shell()], env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (ended.returncode != 0, said in ended.stderr) == (fails, fails)
