"""Dashboards, alerts, metrics and the build are what the published protobuf types take, and name what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from google.api import metric_pb2
from google.cloud.devtools.cloudbuild_v1.types import Build
from google.cloud.logging_v2.types import LogMetric
from google.cloud.monitoring_dashboard_v1.types import Dashboard
from google.cloud.monitoring_v3.types import AlertPolicy
from google.protobuf.json_format import ParseError

from mend.deploy.plan import MONITORING, ROOT
from shared.events.types import EVENT_TYPES

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
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"logging.googleapis.com/user/(\w+)", text)) <= ours
        assert set(re.findall(r'metric.labels.event=\\"([\w.]+)\\"', text)) <= EVENT_TYPES.keys()
    assert metric_pb2.MetricDescriptor.DELTA


def test_the_build_is_what_cloud_build_takes() -> None:
    written = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    build = Build.from_json(json.dumps(written))
    ids = [step.id for step in build.steps]
    assert ids == ["check", "changed", "stage", "build", "deploy"]
    assert all(wait in [*ids, "-"] for step in build.steps for wait in step.wait_for)
    with pytest.raises(ParseError):
        Build.from_json(json.dumps({**written, "noSuchField": 1}))
