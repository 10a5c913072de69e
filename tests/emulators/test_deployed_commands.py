"""What the real gcloud sends for commands of the plan that no emulator takes: a server on this machine records it.

Method: the server keeps what is made and gives it back, so that a second run finds everything there. Cloud Run's
regional addresses cannot be led to a local server: gcloud's own parser judges those commands (test_deploy.py).
"""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mend.deploy.description import SINK_EXCLUDED, SINK_FILTER
from mend.deploy.plan import plan
from mend.deploy.stage import stage
from mend.deploy.steps import PRELUDE, STAGED, Step, Target, shell
from mend.deploy.watching import MONITORING
from shared.ports.event_bus import SIGNALS_TOPIC
from tests.emulators.http_server import Answer, Asked, Recorder
from tests.tidy.tree import ROOT

TARGET = Target("p-1", "europe-west1")
SERVICES = (
    "CLOUDSCHEDULER", "LOGGING", "IAM", "CLOUDRESOURCEMANAGER", "MONITORING", "ARTIFACTREGISTRY", "SECRETMANAGER",
)  # fmt: skip
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
        if asked.method in ("PATCH", "PUT") and path in self.made:
            self.made[path] = {**self.made[path], **body}
            self.writes.append((f"{asked.method} {asked.path}", body))
            return Answer(200, self.made[path])
        if asked.method == "POST":
            made = dict(body)
            name = str(made.get("name") or made.get("accountId") or f"{len(self.made)}").rpartition("/")[2]
            if path.endswith("serviceAccounts"):
                name = f"{name}@{TARGET.project}.iam.gserviceaccount.com"
            made["etag"] = "BwY="
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
def gcloud(quick: str, cloud: Cloud, tmp_path: Path) -> Iterator[dict[str, str]]:
    inherited = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    with Recorder(cloud.answer) as server:
        yield {
            **inherited,
            "PATH": quick,
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}": f"{server.url}/" for service in SERVICES},
            "NUMBER": "123",
            "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        }


def run(step: Step, environment: dict[str, str]) -> None:
    ended = subprocess.run(
        ["sh", "-c", PRELUDE + step.shell()], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, f"{step.what}: {ended.stderr}"


def sent(cloud: Cloud, environment: dict[str, str], what: str) -> tuple[str, Any]:
    """Where the only write of a step goes, and what it says; done again, nothing is made that is there."""
    cloud.writes.clear()
    run(STEPS[what], environment)
    (write,) = cloud.writes
    if STEPS[what].exists:
        run(STEPS[what], environment)
        assert all(path.startswith(("PATCH ", "PUT ")) for path, _ in cloud.writes[1:])
    return write


def brought_back(cloud: Cloud, environment: dict[str, str], what: str, since: dict[str, Any]) -> tuple[str, Any]:
    """What a step sends when what it has made was changed ``since``; and once more nothing else."""
    run(STEPS[what], environment)
    (place,) = cloud.made
    cloud.made[place] |= since
    cloud.writes.clear()
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
        (what,) = [each for each in STEPS if each.startswith(f"load: {role}")]
        path, policy = sent(cloud, gcloud, what)
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


def test_what_has_changed_is_brought_back(cloud: Cloud, gcloud: dict[str, str]) -> None:
    """The clock's address and account; when it ticks is whose who has set it."""
    elsewhere = {"schedule": "*/30 * * * *", "httpTarget": {"uri": "https://elsewhere.example", "httpMethod": "GET"}}
    path, body = brought_back(cloud, gcloud, "the minute", elsewhere)
    assert path.startswith("PATCH /v1/projects/p-1/locations/europe-west1/jobs/mend-tick?")
    assert "updateMask=" in path
    assert "schedule" not in path.partition("updateMask=")[2].split("&")[0].replace("%2C", ",").split(",")
    url = "https://mend-tick-123.europe-west1.run.app"
    assert (body["httpTarget"]["uri"], body["httpTarget"]["httpMethod"]) == (f"{url}/tick", "POST")
    assert body["httpTarget"]["oidcToken"] == {"audience": url, "serviceAccountEmail": TARGET.account("scheduler")}


@pytest.mark.parametrize("there", [True, False], ids=["ours changed", "ours taken out"])
def test_another_filter_of_the_sink_is_brought_back(cloud: Cloud, gcloud: dict[str, str], there: bool) -> None:
    ours, yours = {"name": "own", "filter": "x"}, {"name": "yours", "filter": "y"}
    older = {"filter": "severity>=ERROR", "exclusions": [ours, yours] if there else [yours]}
    path, body = brought_back(cloud, gcloud, "failures in the logs are told", older)
    assert path.startswith("PATCH /v2/projects/p-1/sinks/mend-failures?")
    assert body["filter"] == SINK_FILTER
    kept = {each["name"]: each["filter"] for each in body["exclusions"]}
    assert kept == {"own": SINK_EXCLUDED, "yours": "y"}


@pytest.mark.parametrize(
    ("what", "path", "since"),
    [
        ("metric mend_overdue", "PUT /v2/projects/p-1/metrics/mend_overdue", {"filter": "older"}),
        ("dashboard loop", "PATCH /v1/projects/p-1/dashboards/0", {"mosaicLayout": {"columns": 1}}),
        (
            "alert freshness",
            "PATCH /v3/projects/p-1/alertPolicies/0",
            {"userLabels": {"mend": "older"}, "combiner": "OR"},
        ),
    ],
)
def test_what_watches_is_brought_back(
    cloud: Cloud, gcloud: dict[str, str], what: str, path: str, since: dict[str, Any]
) -> None:
    channel = f"projects/{TARGET.project}/notificationChannels/7"
    told = {"notificationChannels": [channel]} if what.startswith("alert") else {}
    place, body = brought_back(cloud, gcloud, what, {**since, **told})
    kind, _, name = what.partition(" ")
    written = json.loads((ROOT / MONITORING / f"{kind}s" / f"{name}.json").read_text(encoding="utf-8"))
    assert place.startswith(path)
    assert len(json.dumps(body)) > 0.8 * len(json.dumps(written)), "all that is in the file"
    assert body.get("filter", "") != "older"
    if kind == "dashboard":
        assert body["etag"] == "BwY=", "who changed it meanwhile is not overwritten unseen"
    if kind == "alert":
        assert body["notificationChannels"] == [channel]
        assert body["userLabels"]["mend"] != "older"


def test_an_alert_of_the_same_file_is_left_as_it_is(cloud: Cloud, gcloud: dict[str, str]) -> None:
    run(STEPS["alert freshness"], gcloud)
    cloud.writes.clear()
    run(STEPS["alert freshness"], gcloud)
    assert cloud.writes == []


def test_an_account_that_builds_puts_images_where_they_are(cloud: Cloud, gcloud: dict[str, str]) -> None:
    path, policy = sent(cloud, gcloud, "build: roles/artifactregistry.writer on mend")
    assert path == "/v1/projects/p-1/locations/europe-west1/repositories/mend:setIamPolicy"
    member = f"serviceAccount:{TARGET.account('build')}"
    assert policy["bindings"] == [{"role": "roles/artifactregistry.writer", "members": [member]}]


def test_a_named_secret_is_read_by_who_needs_it(cloud: Cloud, gcloud: dict[str, str]) -> None:
    steps = {step.what: step for step in plan(TARGET._replace(secrets=("hook",)))}
    run(steps["notify: roles/secretmanager.secretAccessor on hook"], gcloud)
    ((path, policy),) = cloud.writes
    assert path == "/v1/projects/p-1/secrets/hook:setIamPolicy"
    assert policy["bindings"][0]["members"] == [f"serviceAccount:{TARGET.account('notify')}"]


def test_what_is_no_longer_given_in_the_whole_project_is_taken_away(cloud: Cloud, gcloud: dict[str, str]) -> None:
    """And where it was not there, in gcloud's own words, nothing is wrong."""
    run(STEPS["load: roles/bigquery.jobUser"], gcloud)
    wide = next(step for what, step in STEPS.items() if what.startswith("load: roles/bigquery.dataEditor"))
    run(wide, gcloud)
    narrow = {step.what: step for step in plan(TARGET._replace(datasets=("shop",)))}
    for _ in range(2):
        run(narrow["load: roles/bigquery.dataEditor no longer in the whole project"], gcloud)
    assert [each["role"] for each in cloud.writes[-1][1]["bindings"]] == ["roles/bigquery.jobUser"]
    assert len(cloud.writes) == 3


def test_an_image_is_asked_for_before_it_is_built(cloud: Cloud, gcloud: dict[str, str]) -> None:
    tag = "0123456789abcdef0123"
    repository = "/v1/projects/p-1/locations/europe-west1/repositories/mend"
    tags = f"{repository}/packages/load/tags"
    cloud.made[repository] = {"name": repository.removeprefix("/v1/"), "format": "DOCKER"}
    cloud.made[f"{tags}/{tag}"] = {"name": f"{tags}/{tag}".removeprefix("/v1/"), "version": "sha256:1"}
    asked = [word.replace("$(cat build/stage/load/.tag)", tag) for word in STEPS["image of load"].exists]
    assert subprocess.run(["sh", "-c", shell(tuple(asked))], env=gcloud, timeout=60).returncode == 0
    other = [word.replace(tag, "fedcba") for word in asked]
    assert subprocess.run(["sh", "-c", shell(tuple(other))], env=gcloud, timeout=60).returncode == 1


def test_what_is_staged_is_built_under_its_own_account(gcloud: dict[str, str], tmp_path: Path) -> None:
    """The folder is put into the bucket of builds, and Cloud Build is told what ``infra/image.yaml`` says."""
    stage("notify", tmp_path / STAGED / "notify", requirements=False)
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    tag = (tmp_path / STAGED / "notify" / ".tag").read_text().strip()
    told: list[Any] = []
    kept: list[set[str]] = []
    name = "projects/p-1/locations/global/builds/b1"
    made = {"id": "b1", "status": "SUCCESS", "name": name, "projectId": "p-1", "logUrl": "https://x.example"}

    def answer(asked: Asked) -> Answer:
        place = asked.path.partition("?")[0]
        if asked.method == "POST" and place.endswith("/builds"):
            told.append(json.loads(asked.body))
            build = told[0] | made
            return Answer(200, {"name": "operations/build/p-1/b1", "done": True, "metadata": {"build": build}})
        if place.endswith("/builds/b1"):
            return Answer(200, told[0] | made)
        if "/upload/" not in asked.path:
            return Answer(200, {"name": "p-1-mend-builds"})
        content = asked.body[asked.body.index(b"\x1f\x8b") :].rpartition(b"\n--")[0]
        with tarfile.open(fileobj=io.BytesIO(content)) as folder:
            kept.append(set(folder.getnames()))
        return Answer(
            200, {"bucket": "p-1-mend-builds", "name": "source/x.tgz", "generation": "7", "size": len(content)}
        )

    with Recorder(answer) as server:
        addresses = ("CLOUDBUILD", "STORAGE")
        known = gcloud | {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{each}": f"{server.url}/" for each in addresses}
        step = STEPS["image of notify"]._replace(exists=())
        ended = subprocess.run(
            ["sh", "-c", step.shell()], cwd=tmp_path, env=known, capture_output=True, text=True, timeout=120
        )
    assert ended.returncode == 0, ended.stderr
    (build,), (files,) = told, kept
    assert {"main.py", "Procfile", ".python-version", "services/notify/handlers.py"} <= files
    assert any(each.endswith(".pyc") for each in files)
    image = f"europe-west1-docker.pkg.dev/p-1/mend/notify:{tag}"
    assert (build["images"], build["substitutions"]) == (["$_IMAGE"], {"_IMAGE": image}), "Cloud Build puts it in"
    assert build["steps"][0]["args"][:2] == ["build", "$_IMAGE"]
    assert build["serviceAccount"] == f"projects/p-1/serviceAccounts/{TARGET.account('build')}"
    assert build["options"]["logging"] == "CLOUD_LOGGING_ONLY"
    assert build["source"]["storageSource"]["bucket"] == "p-1-mend-builds"
