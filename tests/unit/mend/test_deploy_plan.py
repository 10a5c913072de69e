"""The plan follows the code: every event and every handler is in it, once, and each service can be taken alone."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import functions_framework
import pytest
from sqlglot import exp, parse_one
from typer.testing import CliRunner

from mend.deploy import history, scheduled_jobs
from mend.deploy.description import FUNCTIONS, PROJECT_ROLES, SIZES
from mend.deploy.images import image_of
from mend.deploy.plan import destroyed, plan
from mend.deploy.stage import requirements_of, stage
from mend.deploy.steps import Target, shell
from mend.deploy.topology import queues, recorded, topics
from mend.deploy.watching import ROOT
from mend.main import app
from mend.services import every_service
from services.ingest import deployments
from services.ingest.signals import kind_of, parse
from shared.adapters.local import history as local_history
from shared.events.codec import topic_of
from shared.events.types import EVENT_TYPES, ClockTicked, IncidentOpened
from shared.ports.event_bus import SIGNALS_TOPIC
from shared.runtime.handling import subscriptions_of

TARGET = Target("p-1", "europe-west1")


def test_every_event_has_a_topic_with_its_schema() -> None:
    made = {step.what: step for step in plan(TARGET)}
    for name in EVENT_TYPES:
        assert f"--definition-file=schemas/events/{name}.avsc" in made[f"schema {topic_of(name)}"].make
        assert (ROOT / "schemas" / "events" / f"{name}.avsc").is_file()
        assert f"--schema={topic_of(name)}" in made[f"topic {topic_of(name)}"].make


def test_every_handler_has_its_subscription() -> None:
    wanted = {f"{each.name}.{topic}" for each in every_service() for topic in subscriptions_of(each)}
    assert {queue.name for queue in queues()} == wanted
    assert {queue.topic for queue in queues()} <= {topic.name for topic in topics()}


def test_every_service_is_described() -> None:
    names = {each.name for each in every_service()}
    assert names == SIZES.keys() == PROJECT_ROLES.keys() == {function.service for function in FUNCTIONS}
    for function in FUNCTIONS:
        source = (ROOT / "services" / function.service / "main.py").read_text(encoding="utf-8")
        assert f"def {function.target}(" in source


def test_nothing_is_done_twice_and_each_step_may_run_again() -> None:
    steps = plan(TARGET)
    assert len({step.what for step in steps}) == len(steps)
    for step in steps:
        if "create" in step.make and step.make[0] == "gcloud" and "identity" not in step.make:
            assert step.exists, f"{step.what} fails when it runs again"


def test_what_google_does_for_us_it_may_do() -> None:
    """Its own accounts are there and may tell of objects that land, before that is asked."""
    order = [step.what for step in plan(TARGET)]
    made = {step.what: step.shell() for step in plan(TARGET)}
    for what, before, words in (
        ("Google's own account for pubsub", "Pub/Sub may write history", ("identity create", "pubsub.googleapis.com")),
        ("Google's own account for eventarc", "Eventarc may watch", ("identity create", "eventarc.googleapis.com")),
        ("Eventarc may watch", "an object that lands is told", ("gcp-sa-eventarc", "roles/eventarc.serviceAgent")),
        (
            "Cloud Storage may tell Eventarc",
            "an object that lands is told",
            ("service-agent", "roles/pubsub.publisher"),
        ),
    ):
        assert order.index(what) < order.index(before)
        assert all(word in made[what] for word in words)


def test_one_service_alone() -> None:
    steps = plan(TARGET, "validate")
    assert all("validate" in step.services for step in steps)
    assert sum("deploy" in step.make for step in steps) == 1
    assert not [step.what for step in steps if step.what.startswith(("function mend-load", "load: ", "image of load"))]
    assert not [step.what for step in steps if step.what.startswith("subscription load.")]


@pytest.mark.parametrize("service", ["", "validate", "ingest"])
def test_a_deployment_is_told_before_what_it_may_break(service: str) -> None:
    """Heard when there is somebody to hear it: the subscription is there first, also where nothing was yet."""
    order = [step.what for step in plan(TARGET, service)]
    told = order.index("the deployment is told to mend-signals")
    assert told < min(place for place, what in enumerate(order) if what.startswith("function "))
    if service != "validate":
        assert order.index(f"subscription ingest.{SIGNALS_TOPIC}") < told
    if not service:
        assert order.index(f"topic {SIGNALS_TOPIC}") < told


@pytest.mark.parametrize("service", ["", "validate"])
def test_a_deployment_is_told_in_a_form_that_ingest_keeps(service: str, tmp_path: Path) -> None:
    """With the moment at which the step runs, whenever the word of it is heard."""
    (step,) = [step for step in plan(TARGET, service) if step.what == "the deployment is told to mend-signals"]
    gcloud = tmp_path / "gcloud"
    gcloud.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n')
    gcloud.chmod(0o755)
    since = time.time_ns() // 1_000_000_000 * 1_000_000
    found = subprocess.run(
        ["sh", "-c", step.shell()],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert found[:3] == ["pubsub", "topics", "publish"]
    assert found[3:-1] == [SIGNALS_TOPIC, f"--project={TARGET.project}"]
    said = parse(found[-1].removeprefix("--message=").encode())
    assert kind_of(said) == "deployment"
    heard = ClockTicked(id="e", time=since + 3_600_000_000, subject="", correlation_id="e")
    kept = deployments.read(said, heard)[1]
    assert (kept["system"], kept["resource"]) == ("mendline", service)
    assert since <= kept["at"] <= time.time_ns() // 1_000


def test_what_is_private_stays_private() -> None:
    for step in plan(TARGET):
        if "deploy" in step.make and "jobs" not in step.make:  # nobody sends a job anything
            assert "--no-allow-unauthenticated" in step.make
            assert any(word.startswith("--service-account=mend-") for word in step.make)
        assert "allUsers" not in step.make
        assert not any("roles/owner" in word or "roles/editor" in word for word in step.make)


def variables(words: tuple[str, ...]) -> dict[str, str]:
    """The settings that a function is deployed with, as gcloud splits them."""
    (flag,) = [word for word in words if word.startswith("--set-env-vars=")]
    return dict(pair.partition("=")[::2] for pair in flag.removeprefix("--set-env-vars=").split(","))


def test_every_request_that_an_instance_takes_has_a_thread() -> None:
    """functions-framework starts as many threads as THREADS says; left to itself four for each processor."""
    made = {step.what: step.make for step in plan(TARGET)}
    for function in FUNCTIONS:
        words = made[f"function {function.name}"]
        assert f"--concurrency={variables(words)['THREADS']}" in words
    framework = (Path(functions_framework.__file__).parent / "_http" / "gunicorn.py").read_text(encoding="utf-8")
    assert "THREADS" in framework


def test_what_is_opened_believes_whom_it_is_told_to() -> None:
    accounts = ("reports@other.iam.gserviceaccount.com", "flows@p-1.iam.gserviceaccount.com")
    for target in (TARGET, TARGET._replace(signals_secret="s"), TARGET._replace(signals_accounts=accounts)):
        steps = plan(target)
        opened = {step.what for step in steps if "--allow-unauthenticated" in step.make}
        asked = bool(target.signals_secret or target.signals_accounts)
        assert opened == ({"function mend-signals"} if asked else set())
        assert ("mend-signals may be called by push alone" in {step.what for step in steps}) is not asked
        for step in steps:
            if step.what.startswith("function "):
                told = {name: value for name, value in variables(step.make).items() if "SIGNALS" in name}
                assert bool(told) is (step.what in opened), "opened and told whom to believe in one command, or neither"
                assert ("--ingress=all" in step.make) is (step.what in opened)
    made = {step.what: step for step in steps}["function mend-signals"]
    told = variables(made.make)
    assert told["MEND_SIGNALS_ACCOUNTS"].split() == list(accounts)
    assert "MEND_SIGNALS_SECRET" not in told
    said = subprocess.run(
        ["sh", "-c", f"gcloud() {{ printf '%s\n' \"$@\"; }}; {shell(made.make)}"],
        env={"NUMBER": "123", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert variables(tuple(said))["MEND_SIGNALS_AUDIENCE"] == "https://mend-signals-123.europe-west1.run.app"
    assert variables(tuple(said))["MEND_SIGNALS_ACCOUNTS"].split() == list(accounts)


def test_a_caller_that_is_misspelt_is_refused() -> None:
    asked = ["deploy", "--project", "my-project", "--region", "europe-west1", "--plan"]
    for wrong in ("--signals-secret=a/b", "--signals-from=a@b.example,c@d.example", "--signals-from=allUsers"):
        assert CliRunner().invoke(app, [*asked, wrong]).exit_code == 2
    right = CliRunner().invoke(
        app, [*asked, "--signals-secret=a", "--signals-from=a@b.example", "--signals-from=c@d.ex"]
    )
    assert right.exit_code == 0
    assert "MEND_SIGNALS_ACCOUNTS=a@b.example c@d.ex" in right.output


def test_failures_in_the_logs_come_in_as_signals_and_our_own_do_not() -> None:
    made = {step.what: step for step in plan(TARGET)}
    words = made["failures in the logs are told"].make
    assert f"pubsub.googleapis.com/projects/{TARGET.project}/topics/{SIGNALS_TOPIC}" in words
    (sent,) = [word for word in words if word.startswith("--log-filter=")]
    for kind in (
        "cloud_composer_environment",
        "dataflow_step",
        "workflows.googleapis.com/Workflow",
        "bigquery_project",
    ):
        assert f'resource.type="{kind}"' in sent
    assert all(function.name.startswith("mend-") for function in FUNCTIONS)
    assert 'NOT resource.labels.service_name:"mend-"' in sent
    assert 'NOT resource.labels.job_name:"mend-"' in sent
    assert any(word.startswith("--exclusion=name=own,") for word in words)
    assert SIGNALS_TOPIC in made["the logs may send signals"].shell()


def test_spans_are_sent_only_where_they_are_asked_for() -> None:
    sending = Target(TARGET.project, TARGET.region, spans=True)
    for target, count in ((TARGET, 0), (sending, len(FUNCTIONS))):
        words = [word for step in plan(target) for word in step.make]
        assert sum("MEND_OTLP_ENDPOINT=https://telemetry.googleapis.com/v1/traces" in word for word in words) == count
        assert sum("roles/telemetry.tracesWriter" in word for word in words) == (len(SIZES) if count else 0)
        assert ("telemetry.googleapis.com" in words) is bool(count)


def test_a_service_may_publish_what_it_emits_and_nothing_else() -> None:
    steps = plan(TARGET)
    rights = [step.make for step in steps if "--role=roles/pubsub.publisher" in step.make]
    for service in every_service():
        member = f"--member=serviceAccount:{TARGET.account(service.name)}"
        topics_of = {words[words.index("add-iam-policy-binding") + 1] for words in rights if member in words}
        emitted = {topic_of(each) for each in service.emits} | {topic_of(IncidentOpened)}
        assert topics_of == emitted | ({topic_of(ClockTicked)} if service.name == "ingest" else set())
        made = [step.what for step in plan(TARGET, service.name)]
        assert {f"{service.name} may publish {each}" for each in topics_of} <= set(made)
    assert not [words for words in rights if "projects" in words], "no right to every topic of the project"
    where = [step.what for step in steps]
    assert where.index(f"topic {topic_of(IncidentOpened)}") < where.index(
        f"load may publish {topic_of(IncidentOpened)}"
    )


def test_what_a_service_says_it_emits_is_made_somewhere_in_it() -> None:
    for service in every_service():
        folder = ROOT / "services" / service.name
        code = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
        for each in service.emits:
            assert re.search(rf"\b{each.__name__}\.caused_by|emit\(\s*{each.__name__}\b", code), each


def test_the_scheduled_commands_read_and_nothing_else() -> None:
    made = {step.what: step.make for step in plan(TARGET)}
    account = f"--member=serviceAccount:{TARGET.account('audit')}"
    roles = {word for words in made.values() if account in words for word in words if word.startswith("--role=")}
    assert roles == {
        f"--role=roles/{name}"
        for name in ("datastore.viewer", "bigquery.dataViewer", "bigquery.jobUser", "storage.objectViewer")
    }


@pytest.mark.parametrize("job", scheduled_jobs.JOBS, ids=[job.name for job in scheduled_jobs.JOBS])
def test_a_scheduled_command_is_started_by_the_scheduler_alone_and_watched(job: scheduled_jobs.Job) -> None:
    made = {step.what: step.make for step in plan(TARGET)}
    deployed = made[f"job {job.name}"]
    assert f"--image={image_of(TARGET, scheduled_jobs.STAGED)}" in deployed
    assert f"--service-account={TARGET.account('audit')}" in deployed
    assert (f"--command={job.process}" in deployed) == (job.process != "web")
    every = [words for words in made.values() if "jobs" in words and "--role=roles/run.invoker" in words]
    (invoked,) = [words for words in every if job.name in words]
    assert f"--member=serviceAccount:{TARGET.account('scheduler')}" in invoked
    address = f"https://run.googleapis.com/v2/projects/p-1/locations/europe-west1/jobs/{job.name}:run"
    assert f"--uri={address}" in made[job.purpose]
    assert f"--schedule={job.every}" in made[job.purpose]
    text = (ROOT / f"infra/monitoring/alerts/{job.name.removeprefix('mend-')}.json").read_text(encoding="utf-8")
    assert text.count(f'job_name=\\"{job.name}\\"') == 2
    gone = [step.make for step in destroyed(TARGET)]
    assert len([words for words in gone if job.name in words]) == 2


@pytest.mark.parametrize("job", scheduled_jobs.JOBS, ids=[job.name for job in scheduled_jobs.JOBS])
def test_the_staged_commands_are_the_command_line_alone(tmp_path: Path, job: scheduled_jobs.Job) -> None:
    staged = stage(scheduled_jobs.STAGED, tmp_path / "audit", requirements=False)
    processes = dict(line.split(": ", 1) for line in (staged / "Procfile").read_text(encoding="utf-8").splitlines())
    assert list(processes) == [each.process for each in scheduled_jobs.JOBS]
    assert processes["web"].endswith(" audit --json"), "what an image starts that is asked for nothing"
    words = processes[job.process].split()
    assert words[:3] == ["python", "-m", "mend"]
    ended = subprocess.run(
        [sys.executable, *words[1:], "--root", str(tmp_path)],
        cwd=staged, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ended.returncode == 2
    assert "there is no store here" in ended.stderr


@pytest.mark.parametrize("name", ["notify", scheduled_jobs.STAGED])
def test_what_is_staged_is_built_with_the_python_that_compiled_it(tmp_path: Path, name: str) -> None:
    staged = stage(name, tmp_path / name, requirements=False)
    wanted = (staged / ".python-version").read_text().strip().replace(".", "")
    compiled = {path.suffixes[-2] for path in staged.rglob("*.pyc")}
    assert compiled == {f".cpython-{wanted}"}


def test_what_the_scheduled_commands_import_is_installed_with_them() -> None:
    names = {line.split("==")[0] for line in requirements_of(scheduled_jobs.STAGED).splitlines() if "==" in line}
    assert {"typer", "polars", "numpy", "scipy", "google-cloud-firestore"} <= names


def test_destroying_leaves_the_data() -> None:
    words = [word for step in destroyed(TARGET) for word in step.make]
    for kept in ("storage", "buckets", "bq", "firestore", "secrets"):
        assert kept not in words


def test_destroying_leaves_nothing_that_goes_on_by_itself() -> None:
    """Made and made again after a destruction, everything that is looked for by its name is made anew."""
    kinds = ("subscriptions", "topics", "sinks", "jobs", "triggers", "services", "policies", "dashboards", "metrics")
    said = [" ".join(step.make) for step in destroyed(TARGET)]
    kept = [f"topic {topic.name}" for topic in recorded()]
    for step in plan(TARGET):
        words = " ".join(step.make).split()
        kind = next((each for each in kinds if each in words[:4] and {"create", "deploy"} & set(words[:6])), "")
        # What history has not taken yet stays, and with it the topics of events.
        if kind and not step.what.startswith(("subscription history.", *kept)) and "identity" not in step.make:
            name = step.what.split()[-1] if kind in ("policies", "dashboards") else _name_of(step.make)
            assert any(kind in each and "delete" in each and re.search(rf"\b{name}\b", each) for each in said), (
                step.what
            )


def _name_of(words: tuple[str, ...]) -> str:
    """What a command makes: the first word that is no flag after those of the command."""
    after = max(words.index(each) for each in ("create", "deploy") if each in words) + 1
    return words[after + 1] if words[after] == "http" else words[after]


def test_the_printed_plan_is_a_shell_script() -> None:
    asked = ["deploy", "--project", "my-project", "--region", "europe-west1", "--plan"]
    ended = CliRunner().invoke(app, asked)
    assert ended.exit_code == 0
    checked = subprocess.run(["bash", "-n"], input=ended.output, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "mend-ingest-${NUMBER}.europe-west1.run.app" in ended.output
    assert CliRunner().invoke(app, [*asked, "--service", "nobody"]).exit_code == 2


def test_the_printed_script_ends_at_the_first_step_that_fails(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["deploy", "--project", "my-project", "--region", "europe-west1", "--plan"])
    gcloud = tmp_path / "gcloud"
    gcloud.write_text('#!/bin/sh\necho "$*" >> "$0.asked"\ncase "$*" in *describe*) echo 123 ;; *) exit 1 ;; esac\n')
    gcloud.chmod(0o755)
    ran = subprocess.run(["bash"], input=ended.output, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert ran.returncode == 1
    asked = Path(f"{gcloud}.asked").read_text().splitlines()
    assert [line.split()[1] for line in asked] == ["describe", "enable"]


def test_a_field_that_an_event_has_since_is_a_column_of_its_table() -> None:
    """The emulator takes such a statement and does not show what it did: GoogleSQL's grammar is asked instead."""
    for made, grown in zip(history.tables(), history.new_columns(), strict=True):
        whole, added = (parse_one(each.sql, read="bigquery") for each in (made, grown))
        assert isinstance(added, exp.Alter)
        assert added.this == whole.this.this, "the same table"
        assert all(each.args["exists"] for each in added.args["actions"])
        told = [(each.this.name, each.kind.sql()) for each in added.args["actions"]]
        columns = [(each.this.name, each.kind.sql()) for each in whole.this.expressions]
        assert told == columns[:-4], "all but what Pub/Sub adds"
    steps = [step.what for step in plan(TARGET)]
    first_view = steps.index(f"history: {next(history.views()).name}")
    assert all(steps.index(f"history: {each.name}") < first_view for each in history.new_columns())


def test_pubsub_may_write_history_and_no_other_table() -> None:
    (step,) = [step for step in plan(TARGET) if step.what == "Pub/Sub may write history"]
    said = subprocess.run(
        ["sh", "-c", f"bq() {{ printf '%s\n' \"$@\"; }}; {shell(step.make)}"],
        env={"NUMBER": "123", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    agent = "serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com"
    granted = f'GRANT `roles/bigquery.dataEditor` ON SCHEMA `mend_history` TO "{agent}"'
    assert said.stdout.splitlines()[-1] == granted
    assert said.stderr == ""


def test_history_is_that_of_a_laptop() -> None:
    assert history.VIEWS == local_history.VIEWS
    named = {statement.name for statement in history.views()}
    assert named == {*history.VIEWS, *(f"events_{history.table_of(name)}" for name in EVENT_TYPES)}
    assert not any("${" in statement.sql for statement in history.views())
    made = {step.what for step in plan(TARGET)}
    assert {f"subscription history.{topic_of(name)}" for name in EVENT_TYPES} <= made
