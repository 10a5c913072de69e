"""Nobody may do more than is needed, and less where one says what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mend.deploy import scheduled_jobs
from mend.deploy.description import ACCESSOR_ROLE, COMMON_ROLES, OWN_DATASETS, TABLE_ROLES, WRITES_OBJECTS
from mend.deploy.history import DATASET
from mend.deploy.plan import plan
from mend.deploy.steps import Target
from mend.main import app
from tests.support.heard_commands import ALL_IS_THERE, heard

TARGET = Target("p-1", "europe-west1")
NARROW = TARGET._replace(secrets=("hook", "db"), datasets=("shop",), signals_secret="signed")
WIDE = (ACCESSOR_ROLE, *TABLE_ROLES)


def of_project(target: Target, folder: Path) -> set[tuple[str, str]]:
    """(account, role) of what is given in the whole project."""
    run = heard(plan(target), folder, ALL_IS_THERE)
    words = [" ".join(each) for each in run.having("projects add-iam-policy-binding")]
    found = [re.search(r"serviceAccount:mend-(\w+)@.* --role=(\S+)", each) for each in words]
    return {(each[1], each[2]) for each in found if each}


def test_what_is_named_is_all_that_may_be_read_and_written(tmp_path: Path) -> None:
    assert {role for _, role in of_project(TARGET, tmp_path)} >= set(WIDE)
    narrow = of_project(NARROW, tmp_path)
    assert not {role for _, role in narrow} & set(WIDE)
    assert ("load", "roles/bigquery.jobUser") in narrow, "jobs are the project's"
    run = heard(plan(NARROW), tmp_path, ALL_IS_THERE)
    secrets = {(each[3], each[4].partition("@")[0].rpartition("-")[2]) for each in run.having("secrets add-iam-policy")}
    assert secrets == {(name, who) for name in ("hook", "db", "signed") for who in ("ingest", "notify")}
    said = [each[-1] for each in run.having("GRANT `") if "mend-" in each[-1]]
    grants = {re.search(r"GRANT `(.+?)` ON SCHEMA `(\w+)` TO .*mend-(\w+)@", each).groups() for each in said}  # type: ignore[union-attr]
    reads, writes = TABLE_ROLES
    datasets = ("shop", *OWN_DATASETS)
    assert {each for each in grants if each[0] == writes} == {(writes, name, "load") for name in datasets}
    readers = ("validate", "remediate", scheduled_jobs.STAGED)
    assert {each for each in grants if each[0] == reads} == {(reads, name, who) for name in datasets for who in readers}
    assert DATASET not in {each[1] for each in grants}, "nobody of ours may rewrite what happened"
    order = [step.what for step in plan(NARROW)]
    assert order.index("dataset shop") < order.index(f"load: {writes} on shop")


def test_what_was_given_before_anything_was_named_is_taken_back(tmp_path: Path) -> None:
    steps = [step for step in plan(NARROW) if step.what.endswith("no longer in the whole project")]
    taken = {(" ".join(step.make).partition("mend-")[2].partition("@")[0], step.what.split()[1]) for step in steps}
    wide, narrow = (of_project(target, tmp_path) for target in (TARGET, NARROW))
    assert taken == wide - narrow
    gone = "ERROR: Policy binding with the specified principal, role, and condition not found!"
    assert heard(steps, tmp_path, f"echo '{gone}' >&2; exit 1").code == 0, "it was not there: so it should be"
    assert heard(steps[:1], tmp_path, "echo PERMISSION_DENIED >&2; exit 1").code == 1


def test_the_plan_says_what_is_wide() -> None:
    said = {step.what for step in plan(TARGET)}
    assert (
        "load: roles/bigquery.dataEditor (every table of the project, mend_history too; --dataset names fewer)" in said
    )
    assert f"ingest: {ACCESSOR_ROLE} (every secret of the project; --secret names fewer)" in said
    assert not any("--dataset" in step.what or "--secret" in step.what for step in plan(NARROW))


def test_who_builds_may_build(tmp_path: Path) -> None:
    """Under an account of its own, which may neither read what was delivered nor change what runs."""
    run = heard(plan(TARGET), tmp_path, "case $* in *tags*|*run*describe*) exit 1 ;; *list*|*describe*) echo x ;; esac")
    builder = "mend-build@p-1.iam.gserviceaccount.com"
    rights = {(each[2], each[4] if each[1] != "projects" else "") for each in run.having(f"serviceAccount:{builder}")}
    words = [" ".join(each) for each in run.having(f"serviceAccount:{builder}")]
    assert sorted(re.findall(r"--role=(\S+)", " ".join(words))) == [
        "roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer",
    ]  # fmt: skip
    assert ("buckets", "gs://p-1-mend-builds") in rights
    builds = run.having("builds submit")
    assert builds
    assert all(f"--service-account=projects/p-1/serviceAccounts/{builder}" in each for each in builds)
    assert not run.having("-compute@developer")


def test_files_are_written_and_their_rights_are_not() -> None:
    words = [step.make for step in plan(TARGET)]
    assert not [each for each in words if "--role=roles/storage.objectAdmin" in each]
    writers = [each for each in words if "--role=roles/storage.objectUser" in each]
    assert len(writers) == len(WRITES_OBJECTS)
    assert all("gs://p-1-mend-objects" in each for each in writers)


def test_one_service_alone_has_all_that_it_newly_needs() -> None:
    for service in ("validate", "ingest", "load", scheduled_jobs.STAGED):
        steps = plan(TARGET, service)
        assert all(service in step.services for step in steps)
        made = {step.what for step in steps}
        assert f"image of {service}" in made
        assert {what for what in made if what.startswith("index ")} == {
            step.what for step in plan(TARGET) if step.what.startswith("index ")
        }
        for step in steps:
            topic = step.what.partition(" may publish ")[2]
            if topic:
                order = [each.what for each in steps]
                assert order.index(f"schema {topic}") < order.index(f"topic {topic}") < order.index(step.what)
                assert f"subscription history.{topic}" in made
                table = topic.removeprefix("mend-").replace("-", "_")
                assert {f"history: {table}", f"history: {table}, new columns", f"history: events_{table}"} <= made


def test_the_scheduled_commands_can_be_deployed_alone() -> None:
    asked = ["deploy", "--project", "my-project", "--region", "europe-west1", "--plan", "--service", "audit"]
    ended = CliRunner().invoke(app, asked)
    assert ended.exit_code == 0
    for job in scheduled_jobs.JOBS:
        assert f"gcloud run jobs deploy {job.name} " in ended.stdout
    assert "run deploy" not in ended.stdout
    assert "mend-audit: roles/" not in ended.stdout
    assert "audit: roles/datastore.viewer" in ended.stdout
    assert all(role not in ended.stdout for role in COMMON_ROLES)


@pytest.mark.parametrize("wrong", ["--secret=a/b", "--dataset=a-b", "--dataset=mend_history"])
def test_what_cannot_be_named_is_refused(wrong: str) -> None:
    asked = ["deploy", "--project", "my-project", "--region", "europe-west1", "--plan", wrong]
    assert CliRunner().invoke(app, asked).exit_code == 2


def test_a_command_names_what_was_named() -> None:
    assert NARROW.command("load").endswith("--secret=hook --secret=db --dataset=shop")
    assert "MEND_GRANTED_SECRETS=hook db,MEND_GRANTED_DATASETS=shop" in NARROW.settings
    assert "MEND_GRANTED" not in TARGET.settings
