"""What the real gcloud sends for commands of the plan that no emulator takes: a server on this machine records it.

Method: the server keeps what is made and gives it back, so that a second run finds everything there. Cloud Run's
regional addresses cannot be led to a local server: gcloud's own parser judges those commands (test_deploy.py).
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mend.deploy.description import SINK_FILTER
from mend.deploy.plan import MONITORING, plan
from mend.deploy.steps import Step, Target
from shared.ports.event_bus import SIGNALS_TOPIC
from tests.emulators.http_server import Answer, Asked, Recorder
from tests.emulators.running import Emulators
from tests.tidy.tree import ROOT

TARGET = Target("p-1", "europe-west1")
SERVICES = ("CLOUDSCHEDULER", "LOGGING", "IAM", "CLOUDRESOURCEMANAGER", "MONITORING")
STEPS = {step.what: step for step in plan(TARGET)}


class Cloud:
    """Resources by address. A list is what was made below it; a policy is kept as it was set."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.writes: list[tuple[str, Any]] = []

    def answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0].replace("/projects/-/", f"/projects/{TARGET.project}/")
        body = json.loads(asked.body) if asked.body else {}
        if path.endswith(":getIamPolicy"):
            return Answer(200, self.made.get(path.partition(":")[0], {"etag": "BwY=", "version": 1}))
        if path.endswith(":setIamPolicy"):
            self.made[path.partition(":")[0]] = body["policy"]
            self.writes.append((path, body["policy"]))
            return Answer(200, body["policy"])
        if asked.method == "POST":
            made = dict(body)
            name = str(made.get("name") or made.get("accountId") or f"{len(self.made)}").rpartition("/")[2]
            if path.endswith("serviceAccounts"):
                name = f"{name}@{TARGET.project}.iam.gserviceaccount.com"
            made["name"] = f"{path.lstrip('/').partition('/')[2]}/{name}"
            self.made[f"{path}/{name}"] = made
            self.writes.append((path, body))
            return Answer(200, made)
        below = [made for place, made in self.made.items() if place.rpartition("/")[0] == path]
        if path in self.made:
            return Answer(200, self.made[path])
        if below or path.endswith(("dashboards", "alertPolicies")):
            return Answer(200, {path.rpartition("/")[2]: below})
        return Answer(404, {"error": {"code": 404, "status": "NOT_FOUND", "message": path}})


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def gcloud(emulators: Emulators, cloud: Cloud, tmp_path: Path) -> Iterator[dict[str, str]]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with Recorder(cloud.answer) as server:
        yield {
            **inherited,
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}": f"{server.url}/" for service in SERVICES},
            "NUMBER": "123",
            "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        }


def run(step: Step, environment: dict[str, str]) -> None:
    ended = subprocess.run(
        ["sh", "-c", step.shell()], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, f"{step.what}: {ended.stderr}"


def sent(cloud: Cloud, environment: dict[str, str], what: str) -> tuple[str, Any]:
    """Where the only write of a step goes, and what it says; done again, the step writes nothing."""
    cloud.writes.clear()
    run(STEPS[what], environment)
    if STEPS[what].exists:
        run(STEPS[what], environment)
    (write,) = cloud.writes
    return write


def test_the_minute(cloud: Cloud, gcloud: dict[str, str]) -> None:
    path, body = sent(cloud, gcloud, "the minute")
    assert path == "/v1/projects/p-1/locations/europe-west1/jobs"
    assert (body["schedule"], body["name"].rpartition("/")[2]) == ("* * * * *", "mend-tick")
    http = body["httpTarget"]
    url = "https://mend-tick-123.europe-west1.run.app"
    assert (http["uri"], http["httpMethod"]) == (f"{url}/tick", "POST")
    assert http["oidcToken"] == {"audience": url, "serviceAccountEmail": TARGET.account("scheduler")}


def test_failures_in_the_logs(cloud: Cloud, gcloud: dict[str, str]) -> None:
    path, body = sent(cloud, gcloud, "failures in the logs are told")
    assert path == "/v2/projects/p-1/sinks"
    assert body["destination"] == f"pubsub.googleapis.com/projects/p-1/topics/{SIGNALS_TOPIC}"
    assert body["filter"] == SINK_FILTER
    assert [each["name"] for each in body["exclusions"]] == ["own"]


def test_accounts_and_their_rights(cloud: Cloud, gcloud: dict[str, str]) -> None:
    path, body = sent(cloud, gcloud, "account mend-load")
    assert (path, body["accountId"]) == ("/v1/projects/p-1/serviceAccounts", "mend-load")
    for role in ("roles/bigquery.dataEditor", "roles/bigquery.jobUser"):
        path, policy = sent(cloud, gcloud, f"load: {role}")
        assert path == "/v1/projects/p-1:setIamPolicy"
        member = f"serviceAccount:{TARGET.account('load')}"
        assert {"role": role, "members": [member]} in policy["bindings"]
    assert len(policy["bindings"]) == 2, "what was granted before stays"


@pytest.mark.parametrize(
    ("what", "path", "file"),
    [
        ("metric mend_overdue", "/v2/projects/p-1/metrics", "metrics/mend_overdue.json"),
        ("dashboard loop", "/v1/projects/p-1/dashboards", "dashboards/loop.json"),
        ("alert freshness", "/v3/projects/p-1/alertPolicies", "alerts/freshness.json"),
    ],
)
def test_what_watches(cloud: Cloud, gcloud: dict[str, str], what: str, path: str, file: str) -> None:
    place, body = sent(cloud, gcloud, what)
    written = json.loads((ROOT / MONITORING / file).read_text(encoding="utf-8"))
    assert place == path
    named = written.get("displayName") or written["name"]
    assert body.get("displayName", body.get("name")) == named
    assert len(json.dumps(body)) > 0.8 * len(json.dumps(written)), "and all that is in the file"
