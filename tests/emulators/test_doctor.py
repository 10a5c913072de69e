"""What the real gcloud is told by a server on this machine, and what is made of it."""

import json
import os
from pathlib import Path

import pytest

from mend.deploy.description import APIS, COMMON_ROLES, PROJECT_ROLES
from mend.deploy.diagnosis import diagnosed
from mend.deploy.steps import Target
from mend.deploy.topology import queues, topics
from tests.emulators.http_server import Answer, Asked, Recorder
from tests.emulators.running import Emulators

TARGET = Target("p-1", "europe-west1")
HOME = "projects/p-1"


def environment(url: str, folder: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    services = ("CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "RUN", "FIRESTORE", "PUBSUB")
    return {
        **inherited,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}": f"{url}/" for service in services},
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    }


def whole(asked: Asked) -> Answer:
    """A project in which everything is as deployed."""
    path = asked.path.partition("?")[0]
    bindings = [
        {"role": role, "members": [f"serviceAccount:{TARGET.account(service)}"]}
        for service, roles in PROJECT_ROLES.items()
        for role in (*COMMON_ROLES, *roles)
    ]
    answers: dict[str, object] = {
        "/v1/projects/p-1": {"projectId": "p-1", "projectNumber": "123"},
        "/v1/projects/p-1/services": {"services": [{"config": {"name": f"{api}.googleapis.com"}} for api in APIS]},
        "/v1/projects/p-1/locations": {"locations": [{"locationId": "europe-west1"}, {"locationId": "us-central1"}]},
        "/v1/projects/p-1:getIamPolicy": {"bindings": bindings},
        "/v1/projects/p-1/databases/(default)": {"name": f"{HOME}/databases/(default)"},
        "/v1/projects/p-1/topics": {"topics": [{"name": f"{HOME}/topics/{each.name}"} for each in topics()]},
        "/v1/projects/p-1/subscriptions": {
            "subscriptions": [{"name": f"{HOME}/subscriptions/{each.name}"} for each in queues()]
        },
    }
    found = answers.get(path)
    return Answer(200, found) if found is not None else Answer(404, {"error": {"code": 404, "message": path}})


def broken(asked: Asked) -> Answer:
    """The same with one thing of each kind missing."""
    answer = whole(asked)
    text = json.dumps(answer.body)
    text = text.replace('{"config": {"name": "eventarc.googleapis.com"}}, ', "")
    text = text.replace('{"locationId": "europe-west1"}, ', '{"locationId": "europe-west4"}, ')
    text = text.replace("roles/bigquery.dataEditor", "roles/bigquery.dataViewer")
    text = text.replace(f'{{"name": "{HOME}/topics/mend-requests"}}, ', "")
    if "databases" in asked.path:
        error = {"code": 403, "status": "PERMISSION_DENIED", "message": "PERMISSION_DENIED: no"}
        return Answer(403, {"error": error})
    return Answer(answer.status, json.loads(text))


@pytest.mark.parametrize("state", ["whole", "broken", "none"])
def test_what_is_missing_is_named_with_what_mends_it(emulators: Emulators, tmp_path: Path, state: str) -> None:
    nothing = Answer(404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "NOT_FOUND: p-1"}})
    answer = {"whole": whole, "broken": broken, "none": lambda asked: nothing}[state]
    with Recorder(answer) as server:
        found = diagnosed(TARGET, environment(server.url, tmp_path))
    shown = {finding.what: finding.mend for finding in found}
    if state == "whole":
        assert shown == {}
    elif state == "none":
        assert [finding.what for finding in found] == ["project: it does not exist"]
    else:
        assert shown == {
            "not enabled: eventarc.googleapis.com": "gcloud services enable eventarc.googleapis.com --project=p-1",
            "Cloud Run is not in europe-west1": "mend deploy --project p-1 --region europe-west4",
            "load lacks roles/bigquery.dataEditor": "mend deploy --project p-1 --region europe-west1 --service load",
            "state: you may not look": shown.get("state: you may not look"),
            "there is no topic mend-requests": "mend deploy --project p-1 --region europe-west1",
        }
        assert "roles/viewer" in str(shown["state: you may not look"])
