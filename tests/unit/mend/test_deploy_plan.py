"""The plan follows the code: every event and every handler is in it, once, and each service can be taken alone."""

from __future__ import annotations

import subprocess

from typer.testing import CliRunner

from mend.deploy import history
from mend.deploy.description import FUNCTIONS, PROJECT_ROLES, SIZES
from mend.deploy.plan import ROOT, Target, destroyed, plan
from mend.deploy.topology import queues, topics
from mend.main import app
from mend.services import every_service
from shared.adapters.local import history as local_history
from shared.events.codec import topic_of
from shared.events.types import EVENT_TYPES
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
        if "create" in step.make and step.make[0] == "gcloud":
            assert step.exists, f"{step.what} fails when it runs again"


def test_one_service_alone() -> None:
    steps = plan(TARGET, "validate")
    assert {step.service for step in steps} == {"validate"}
    assert sum("deploy" in step.make for step in steps) == 1
    assert not any("load" in step.what.split(".")[0] for step in steps)


def test_what_is_private_stays_private() -> None:
    for step in plan(TARGET):
        if "deploy" in step.make:
            assert "--no-allow-unauthenticated" in step.make
            assert any(word.startswith("--service-account=mend-") for word in step.make)
        assert "allUsers" not in step.make
        assert not any("roles/owner" in word or "roles/editor" in word for word in step.make)


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
    assert any(word.startswith("--exclusion=name=own,") for word in words)
    assert SIGNALS_TOPIC in made["the logs may send signals"].shell()


def test_spans_are_sent_only_where_they_are_asked_for() -> None:
    sending = Target(TARGET.project, TARGET.region, spans=True)
    for target, count in ((TARGET, 0), (sending, len(FUNCTIONS))):
        words = [word for step in plan(target) for word in step.make]
        assert sum("MEND_OTLP_ENDPOINT=https://telemetry.googleapis.com/v1/traces" in word for word in words) == count
        assert sum("roles/telemetry.tracesWriter" in word for word in words) == (len(SIZES) if count else 0)
        assert ("telemetry.googleapis.com" in words) is bool(count)


def test_destroying_leaves_the_data() -> None:
    words = [word for step in destroyed(TARGET) for word in step.make]
    for kept in ("storage", "buckets", "bq", "firestore", "secrets"):
        assert kept not in words


def test_the_printed_plan_is_a_shell_script() -> None:
    ended = CliRunner().invoke(app, ["deploy", "--project", "p-1", "--region", "europe-west1", "--plan"])
    assert ended.exit_code == 0
    checked = subprocess.run(["bash", "-n"], input=ended.output, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "mend-ingest-${NUMBER}.europe-west1.run.app" in ended.output
    wrong = CliRunner().invoke(app, ["deploy", "--project", "p", "--region", "r", "--plan", "--service", "nobody"])
    assert wrong.exit_code == 2


def test_pubsub_may_write_history_and_no_other_table() -> None:
    (step,) = [step for step in plan(TARGET) if step.what == "Pub/Sub may write history"]
    said = subprocess.run(
        ["sh", "-c", f"bq() {{ printf '%s\n' \"$@\"; }}; {step.shell()}"],
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
