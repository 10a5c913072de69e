"""Dashboards, alerts, metrics and the build are what the published protobuf types take, and name what is there."""

from __future__ import annotations

import io
import json
import re
import subprocess
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api import metric_pb2
from google.cloud.devtools.cloudbuild_v1.types import Build
from google.cloud.logging_v2.types import LogMetric
from google.cloud.monitoring_dashboard_v1.types import Dashboard
from google.cloud.monitoring_v3.types import AlertPolicy
from google.protobuf.json_format import ParseError

from mend.deploy import history, scheduled_jobs
from mend.deploy.description import FUNCTIONS
from mend.deploy.images import BUILD
from mend.deploy.plan import plan
from mend.deploy.rights import IMAGES
from mend.deploy.steps import Target
from mend.deploy.topology import history_of, queues, recorded
from mend.deploy.watching import MONITORING, ROOT
from mend.runner import run_events
from services.notify.overdue import overdue
from shared.adapters.gcp.log_lines import shaper
from shared.adapters.gcp.metrics import LogMetrics
from shared.events.types import EVENT_TYPES
from shared.ports.event_bus import SIGNALS_TOPIC, Message
from shared.ports.state_store import Put, StateStore
from shared.runtime.logs import EventLog
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import make_process

FILES = sorted((ROOT / MONITORING).rglob("*.json"))
TYPES = {"dashboards": Dashboard, "alerts": AlertPolicy, "metrics": LogMetric}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_it_is_what_the_service_takes(path: Path) -> None:
    kind = TYPES[path.parent.name]
    text = path.read_text(encoding="utf-8")
    made = kind.from_json(text)
    assert made
    with pytest.raises(ParseError):
        kind.from_json(json.dumps({**json.loads(text), "noSuchField": 1}))
    named = json.loads(text).get("displayName") or json.loads(text)["name"]
    assert named in (f"Mendline: {path.stem}", path.stem), "the deployment looks it up by this name"


def test_only_metrics_and_events_that_exist_are_shown() -> None:
    ours = {path.stem for path in (ROOT / MONITORING / "metrics").glob("*.json")}
    shown: set[str] = set()
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        shown |= set(re.findall(r"logging.googleapis.com/user/(\w+)", text))
        assert set(re.findall(r'metric.labels.event=\\"([\w.]+)\\"', text)) <= EVENT_TYPES.keys()
    assert shown == ours, "what is counted is looked at, and what is looked at is counted"
    assert metric_pb2.MetricDescriptor.DELTA


def test_metrics_are_counted_from_what_the_services_write(tmp_path: Path) -> None:
    """Every field that a log-based metric reads is in some line, as Cloud Logging gets it."""
    out = io.StringIO()
    log = EventLog(out, shaper("p", "validate", "v1"))
    process = replace(make_process(tmp_path, TurnedClock()), metrics=LogMetrics(out), log=log)
    run_events(process, [], messages=[Message(SIGNALS_TOPIC, b'{"system": "airflow", "message": "failed"}', {})])
    overdue(_late(tmp_path, process), process.definitions, process.metrics, process.clock.now())
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    for path in sorted((ROOT / MONITORING / "metrics").glob("*.json")):
        metric = json.loads(path.read_text(encoding="utf-8"))
        wanted = set(re.findall(r"jsonPayload\.([\w.]+)", json.dumps(metric)))
        told = dict(re.findall(r'jsonPayload\.(\w+)="(\w+)"', metric["filter"]))
        assert any(wanted <= _names(line) and told.items() <= line.items() for line in lines), path.name


def _late(folder: Path, process: Process) -> StateStore:
    """A store in which a pipeline delivered long ago, and its file, which promises more."""
    (folder / "pipelines").mkdir()
    text = (ROOT / "examples" / "orders" / "pipelines" / "orders.yaml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("alerts")]
    (folder / "pipelines" / "orders.yaml").write_text("\n".join([*kept, "alerts: {freshness: 1h}"]))
    process.store.commit([Put("deliveries", "b", {"pipeline": "orders", "seq": "a", "registered_at": 1})])
    return process.store


def _names(line: dict[str, Any], before: str = "") -> set[str]:
    """The fields of a line, and ``field.inner`` of those that have some."""
    inner = [_names(value, f"{before}{name}.") for name, value in line.items() if isinstance(value, dict)]
    return {f"{before}{name}" for name in line}.union(*inner)


def test_alerts_look_at_every_subscription_and_function_of_ours() -> None:
    for name, ours in (
        ("backlog", [*(each.name for each in queues()), *(history_of(each) for each in recorded())]),
        ("dead-letters", [each.name for each in queues()]),
        ("errors", [each.name for each in FUNCTIONS]),
    ):
        text = json.loads((ROOT / MONITORING / "alerts" / f"{name}.json").read_text(encoding="utf-8"))
        asked = text["conditions"][0]["conditionThreshold"]["filter"]
        (pattern,) = re.findall(r'full_match\("(.+?)"\)', asked)
        assert all(re.fullmatch(pattern.replace("\\\\", "\\"), each) for each in ours), name
        assert not re.fullmatch(pattern.replace("\\\\", "\\"), "somebody.else"), name


def test_the_dashboard_shows_our_subscriptions_alone_and_money_beside_what_costs_it() -> None:
    text = (ROOT / MONITORING / "dashboards" / "loop.json").read_text(encoding="utf-8")
    widgets = [tile.widget for tile in Dashboard.from_json(text).mosaic_layout.tiles]
    charts = [each for widget in widgets for each in widget.xy_chart.data_sets]
    filters = [each.time_series_query.time_series_filter.filter for each in charts]
    of_queues = [each for each in filters if "pubsub_subscription" in each]
    assert len(of_queues) == 3
    for asked in of_queues:
        (pattern,) = re.findall(r'full_match\("(.+?)"\)', asked)
        shown = pattern.replace("\\\\", "\\")
        ours = [*(each.name for each in queues()), *(history_of(each) for each in recorded())]
        assert all(re.fullmatch(shown, each) for each in ours)
        assert not re.fullmatch(shown, "somebody.else")
    costs = [each.title for each in widgets if each.title.startswith("Cost: ")]
    assert [title.count(" $") for title in costs] == [1, 1, 0], (
        "two charts with their price, and the page that explains"
    )
    (told,) = [each.text.content for each in widgets if each.text.content]
    assert f"{history.PRICE_PER_TIB} $ a TiB" in told


def test_the_guide_says_where_a_schedule_is_that_it_changes() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").replace("\\\n", "")
    written = re.findall(r"gcloud scheduler [^`\n]+", guide)
    assert len(written) >= 3
    assert all("--location=" in each for each in written)


def test_an_audit_may_be_as_rare_as_the_guide_says() -> None:
    """Two audits that end well are never as far apart as the alert's silence, the second one's length included."""
    policy = AlertPolicy.from_json((ROOT / MONITORING / "alerts" / "audit.json").read_text(encoding="utf-8"))
    silence = policy.conditions[1].condition_absent.duration.total_seconds()
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (rarest,) = re.findall(r"mend-audit --schedule='\d+ \*/(\d+) ", guide)
    assert int(rarest) * 3_600 + int(scheduled_jobs.AUDIT.timeout.rstrip("h")) * 3_600 <= silence


def test_errors_are_alarming_by_their_share() -> None:
    """A few errors of a busy function are no alarm, nor is the only request of an idle one."""
    text = (ROOT / MONITORING / "alerts" / "errors.json").read_text(encoding="utf-8")
    policy = AlertPolicy.from_json(text)
    assert policy.combiner == AlertPolicy.ConditionCombinerType.AND_WITH_MATCHING_RESOURCE
    many, share = (each.condition_threshold for each in policy.conditions)
    assert many.filter == share.filter
    assert share.denominator_filter == share.filter.replace(' AND metric.labels.response_code_class="5xx"', "")
    assert share.denominator_aggregations == share.aggregations, "else the two are of different things"
    assert many.threshold_value > 1 > share.threshold_value > 0


def test_who_is_late_is_alarming_until_it_is_measured_otherwise() -> None:
    """Where one looks as rarely as the guide suggests, an alert must not close between two looks."""
    policy = AlertPolicy.from_json((ROOT / MONITORING / "alerts" / "freshness.json").read_text(encoding="utf-8"))
    (aggregation,) = policy.conditions[0].condition_threshold.aggregations
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (rarest,) = re.findall(r"mend-measure --schedule='\*/(\d+) ", guide)
    assert aggregation.alignment_period.total_seconds() >= 2 * int(rarest) * 60
    assert policy.alert_strategy.auto_close.total_seconds() >= 2 * int(rarest) * 60


def test_the_build_is_what_cloud_build_takes() -> None:
    written = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    build = Build.from_json(json.dumps(written))
    ids = [step.id for step in build.steps]
    assert ids == ["check", "changed", "stage", "build", "deploy"]
    assert all(wait in [*ids, "-"] for step in build.steps for wait in step.wait_for)
    with pytest.raises(ParseError):
        Build.from_json(json.dumps({**written, "noSuchField": 1}))


_BUILDS = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))["steps"]
_PLACES = {"$_REGION": "r", "$_REPOSITORY": "mend", "$PROJECT_ID": "p", "$_SINCE": "HEAD~1", "$$": "$"}
_SCRIPTS = {
    each["id"]: reduce(lambda text, at: text.replace(*at), _PLACES.items(), each["args"][-1]) for each in _BUILDS
}
# What an image brings, as its publisher describes it, and what a package adds.
_DEBIAN = {"apt-get", "bash", "cat", "cut", "grep", "ls", "rm", "sort"}
_IMAGES = {
    "python:3.12-bookworm": {*_DEBIAN, "curl", "git", "make", "python3", "gcc"},
    "gcr.io/cloud-builders/git": {*_DEBIAN, "git"},
    "gcr.io/google.com/cloudsdktool/cloud-sdk:528.0.0": {*_DEBIAN, "curl", "git", "python3", "gcloud", "bq"},
}
_PACKAGES = {
    "make": {"make"},
    "git": {"git"},
    "openjdk-17-jre-headless": {"java"},
    "google-cloud-cli": {"gcloud", "bq"},
    "google-cloud-cli-pubsub-emulator": {"the emulator of Pub/Sub"},
    "google-cloud-cli-firestore-emulator": {"the emulator of Firestore"},
}
# What a script starts that starts others: the tests ask for the emulators' programs, .ci/run being told to.
_STARTED = {
    ".ci/run": {"make", "git", "java", "gcloud", "bq", "the emulator of Pub/Sub", "the emulator of Firestore"},
    "make": {"python3", "bash"},
}
_WORDS_OF_BASH = set("set while for if then else fi do done echo read continue command true".split())  # noqa: SIM905


def called(script: str) -> set[str]:
    """The programs that a script calls, as bash reads it: each first word of a command."""
    joined = re.sub(r"'[^']*'", "''", re.sub(r"\\\n\s*", " ", script))
    lines = [line for line in joined.splitlines() if not line.strip().startswith("#")]
    words = set()
    for part in re.split(r"\n|;|\|\||&&|\||\$\(|\{ |\bdo\b|\bthen\b|\bif\b|\belse\b", "\n".join(lines)):
        first = next(iter(part.replace("command -v", "").split()), "")
        words |= {first} if re.fullmatch(r"[a-z.][a-z./-]*", first) else set()
    return words - _WORDS_OF_BASH


@pytest.mark.parametrize("step", _BUILDS, ids=lambda step: step["id"])
def test_a_step_of_the_build_has_every_program_that_it_calls(step: dict[str, Any]) -> None:
    script = _SCRIPTS[step["id"]]
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).stderr == ""
    installed = re.findall(
        r"apt-get install -qq --no-install-recommends ([^;&|]+?)(?:;|\n)", re.sub(r"\\\n", " ", script)
    )
    packages = {word.partition("=")[0] for line in installed for word in line.split()}
    assert packages <= _PACKAGES.keys()
    there = _IMAGES[step["name"]].union(*(_PACKAGES[each] for each in packages))
    needed = called(script)
    needed |= set().union(*(_STARTED.get(each, set()) for each in needed)) - {".ci/run"}
    assert needed - {".ci/run"} <= there
    assert needed & {"make", "git", "gcloud", ".ci/run"}, "the programs are found in the script"


def test_an_environment_is_used_where_it_was_built() -> None:
    """A .venv is of the Python of its image: another image would not find that."""
    names = {each["name"] for each in _BUILDS if {"make", ".ci/run"} & called(_SCRIPTS[each["id"]])}
    assert len(names) == 1
    assert "rm -rf .venv" in _SCRIPTS["check"], "also of what lay in the folder that was sent"


def test_an_image_is_built_as_cloud_build_takes_it() -> None:
    written = yaml.safe_load((ROOT / BUILD).read_text(encoding="utf-8"))
    build = Build.from_json(json.dumps(written))
    assert list(build.images) == ["$_IMAGE"]
    assert "$_IMAGE" in build.steps[0].args
    assert build.options.logging == type(build.options).LoggingMode.CLOUD_LOGGING_ONLY, (
        "an account of ours may not write"
    )
    assert BUILD in _SCRIPTS["build"]


def built(folder: Path, step: str, stubs: str) -> subprocess.CompletedProcess[str]:
    """What a step of the build does for two services, with stand-ins for the programs that it calls."""
    script = _SCRIPTS[step]
    (folder / "services.txt").write_text("load\nnotify\n")
    for each in ("load", "notify"):
        (folder / "build" / "stage" / each).mkdir(parents=True, exist_ok=True)
        (folder / "build" / "stage" / each / ".tag").write_text(f"tag-of-{each}\n")
    script = script.replace("/workspace", str(folder))
    return subprocess.run(["bash", "-c", f"{stubs}\n{script}"], cwd=folder, capture_output=True, text=True)


_STUB = 'echo "$*" >> done; case "$*" in %s) return 3 ;; *list*) echo mend-x ;; esac'
_STUBS = "".join(f"{name}() {{ {_STUB}; }}\n" for name in ("make", "pack", "gcloud"))


@pytest.mark.parametrize(
    ("step", "calls", "broken"),
    [
        ("stage", 2, "*SERVICE=load"),
        ("build", 4, "*submit*/load:tag-of-load*"),
        ("deploy", 8, "*jobs\\ update*/load:tag-of-load*"),
        ("deploy", 8, "*services\\ list*=load*"),
        ("deploy", 8, "*jobs\\ list*=load*"),
    ],
)
def test_a_service_that_fails_ends_the_build(tmp_path: Path, step: str, calls: int, broken: str) -> None:
    """Also when it is not the last one."""
    whole = built(tmp_path, step, _STUBS.replace("%s", "nothing"))
    assert whole.returncode == 0, whole.stderr
    assert len((tmp_path / "done").read_text().splitlines()) == calls
    assert built(tmp_path, step, _STUBS.replace("%s", broken)).returncode == 3
    assert "notify" not in "".join((tmp_path / "done").read_text().splitlines(keepends=True)[calls:])


def test_images_are_put_where_the_deployment_made_room_for_them() -> None:
    written = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    assert written["substitutions"]["_REPOSITORY"] == IMAGES
    assert any(IMAGES in step.make and "artifacts" in step.make for step in plan(Target("my-project", "europe-west1")))


def test_an_image_that_is_there_is_not_built_again(tmp_path: Path) -> None:
    stub = 'gcloud() { echo "$*" >> done; case "$*" in *list*/load*) printf "other\\ntag-of-load\\n" ;; esac; }'
    assert built(tmp_path, "build", stub).returncode == 0
    asked = (tmp_path / "done").read_text().splitlines()
    assert [line for line in asked if "submit" in line and "/load" in line] == []
    (submitted,) = [line for line in asked if "submit" in line]
    assert "--substitutions=_IMAGE=r-docker.pkg.dev/p/mend/notify:tag-of-notify" in submitted
