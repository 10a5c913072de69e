"""What the real gcloud is told by a server on this machine, and what is made of it.

Method: each kind of trouble is one answer of that server, in the words in which Google's services give it.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mend.deploy import scheduled_jobs
from mend.deploy.description import (
    APIS,
    COMMON_ROLES,
    EVENTARC_ROLE,
    FUNCTIONS,
    PROJECT_ROLES,
    SPANS_ENDPOINT,
    WRITES_OBJECTS,
)
from mend.deploy.diagnosis import ANYWHERE, diagnosed
from mend.deploy.refusals import Finding
from mend.deploy.steps import Target
from mend.deploy.topology import history_of, queues, recorded, topics
from tests.emulators.http_server import Answer, Asked, Recorder
from tests.emulators.running import Emulators
from tests.end_to_end.command import mend

TARGET = Target("p-1", "europe-west1")
HOME = "projects/p-1"
VIEWER = "roles/storage.objectViewer"
UNHEARD = history_of(recorded()[0])
AGAIN = "mend deploy --project p-1 --region europe-west1"


def environment(url: str, folder: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    services = ("CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "RUN", "FIRESTORE", "PUBSUB", "STORAGE", "LOGGING")
    return {
        **inherited,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}": f"{url}/" for service in services},
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    }


def policy(*held: tuple[str, str]) -> dict[str, object]:
    """A policy in which accounts of ours hold roles."""
    return {"bindings": [{"role": role, "members": [f"serviceAccount:{TARGET.account(name)}"]} for name, role in held]}


def whole(asked: Asked) -> Answer:
    """A project in which everything is as deployed."""
    path = asked.path.partition("?")[0]
    roles = [(service, role) for service, roles in PROJECT_ROLES.items() for role in (*COMMON_ROLES, *roles)]
    roles += [(scheduled_jobs.STAGED, role) for role in scheduled_jobs.ROLES]
    roles.append(("push", EVENTARC_ROLE))
    running = [
        {"metadata": {"name": each.name, "labels": {"cloud.googleapis.com/location": TARGET.region}}}
        for each in FUNCTIONS
    ]
    answers: dict[str, object] = {
        "/v1/projects/p-1": {"projectId": "p-1", "projectNumber": "123"},
        "/v1/projects/p-1/services": {"services": [{"config": {"name": f"{api}.googleapis.com"}} for api in APIS]},
        "/v1/projects/p-1/locations": {"locations": [{"locationId": "europe-west1"}, {"locationId": "us-central1"}]},
        "/v1/projects/p-1:getIamPolicy": policy(*roles),
        "/v1/projects/p-1/databases/(default)": {"name": f"{HOME}/databases/(default)"},
        "/storage/v1/b/p-1-mend-objects/iam": policy(*((each, "roles/storage.objectUser") for each in WRITES_OBJECTS)),
        "/storage/v1/b/p-1-mend-project/iam": policy(*((each, "roles/storage.objectViewer") for each in PROJECT_ROLES)),
        "/v1/projects/p-1/topics": {"topics": [{"name": f"{HOME}/topics/{each.name}"} for each in topics()]},
        "/v1/projects/p-1/subscriptions": {
            "subscriptions": [
                {"name": f"{HOME}/subscriptions/{name}"}
                for name in (*(each.name for each in queues()), *map(history_of, recorded()))
            ]
        },
        "/v1/projects/p-1/locations/-/services": {"items": running},
        "/v2/entries:list": {"entries": []},
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
    text = text.replace(f'{{"name": "{HOME}/subscriptions/{UNHEARD}"}}, ', "")
    if "databases" in asked.path:
        error = {"code": 403, "status": "PERMISSION_DENIED", "message": "PERMISSION_DENIED: no"}
        return Answer(403, {"error": error})
    return Answer(answer.status, json.loads(text))


Answering = Callable[[Asked], Answer]


def look(answer: Answering, folder: Path, target: Target = TARGET) -> dict[str, str]:
    """What is found, each with the command that mends it."""
    with Recorder(answer) as server:
        return {each.what: each.mend for each in diagnosed(target, environment(server.url, folder))}


def refused(code: int, status: str, message: str, reason: str = "", **metadata: str) -> Answer:
    """An error as Google's APIs give it."""
    error: dict[str, Any] = {"code": code, "status": status, "message": message}
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": metadata}]
    return Answer(code, {"error": error})


def refusing(answers: dict[str, Answer]) -> Answering:
    """Everything is well but for what is asked at these addresses."""
    return lambda asked: answers.get(asked.path.partition("?")[0]) or whole(asked)


def test_nothing_is_missing(emulators: Emulators, tmp_path: Path) -> None:
    assert look(whole, tmp_path) == {}


def test_what_is_missing_is_named_with_what_mends_it(emulators: Emulators, tmp_path: Path) -> None:
    assert look(broken, tmp_path) == {
        "not enabled: eventarc.googleapis.com": "gcloud services enable eventarc.googleapis.com --project=p-1",
        "Cloud Run is not in europe-west1": "mend deploy --project p-1 --region europe-west4",
        "load lacks roles/bigquery.dataEditor": f"{AGAIN} --service load",
        "state: you may not look": "gcloud projects add-iam-policy-binding p-1"
        ' --member="user:$(gcloud config get account)" --role=roles/viewer',
        "there is no topic mend-requests": AGAIN,
        f"there is no subscription {UNHEARD}": AGAIN,
    }


DENIED = refused(403, "PERMISSION_DENIED", "The caller does not have permission")
DISABLED = refused(
    403, "PERMISSION_DENIED",
    "Cloud Firestore API has not been used in project 123 before or it is disabled. Enable it and retry.",
    "SERVICE_DISABLED", service="firestore.googleapis.com", consumer="projects/123",
)  # fmt: skip
EXHAUSTED = refused(
    429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Read requests' of service 'run.googleapis.com'.",
    "RATE_LIMIT_EXCEEDED", service="run.googleapis.com", quota_limit="ReadRequestsPerMinutePerProject",
)  # fmt: skip
NOBODY = refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
ABSENT = refused(404, "NOT_FOUND", "The database (default) does not exist for project p-1")
WRONG = {"project: there is none of that name, or you may not see it": "gcloud projects list"}
MORE = (
    "gcloud beta quotas preferences create --service=run.googleapis.com --quota-id=ReadRequestsPerMinutePerProject"
    " --preferred-value=MORE --project=p-1"
)
DATABASE, REGIONS = "/v1/projects/p-1/databases/(default)", "/v1/projects/p-1/locations"
RUNNING, OBJECTS = "/v1/projects/p-1/locations/-/services", "/storage/v1/b/p-1-mend-objects/iam"
DEFINITIONS = "/storage/v1/b/p-1-mend-project/iam"


def running(elsewhere: str) -> Answer:
    """Every function, one of them in another region."""
    regions = {each.name: "us-central1" if each.name == elsewhere else TARGET.region for each in FUNCTIONS}
    label = "cloud.googleapis.com/location"
    return Answer(200, {"items": [{"metadata": {"name": name, "labels": {label: at}}} for name, at in regions.items()]})


CASES: dict[str, tuple[Answering, dict[str, str]]] = {
    "a project that there is not": (refusing({"/v1/projects/p-1": ABSENT}), WRONG),
    "a project that one may not see": (refusing({"/v1/projects/p-1": DENIED}), WRONG),
    "nobody is logged in": (lambda asked: NOBODY, {"project: nobody is logged in": "gcloud auth login"}),
    "one of each": (
        refusing(
            {
                DATABASE: DISABLED,
                REGIONS: EXHAUSTED,
                RUNNING: running("mend-load"),
                OBJECTS: ABSENT,
                DEFINITIONS: Answer(200, policy(*((each, VIEWER) for each in PROJECT_ROLES if each != "notify"))),
            }
        ),
        {
            "region: a quota of run.googleapis.com is used up (ReadRequestsPerMinutePerProject)": MORE,
            "state: the API firestore.googleapis.com is not enabled": "gcloud services enable"
            " firestore.googleapis.com --project=p-1",
            "bucket of deliveries: it does not exist": AGAIN,
            "notify lacks roles/storage.objectViewer on gs://p-1-mend-project": f"{AGAIN} --service notify",
            "there is no function mend-load in europe-west1": f"{AGAIN} --service load",
        },
    ),
    "what gcloud asks again and again, and a database that there is not": (
        refusing({"/v1/projects/p-1/services": EXHAUSTED, DATABASE: ABSENT}),
        {
            "APIs: a quota of run.googleapis.com is used up (ReadRequestsPerMinutePerProject)": MORE,
            "state: it does not exist": AGAIN,
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_trouble(emulators: Emulators, tmp_path: Path, case: str) -> None:
    answer, expected = CASES[case]
    assert look(answer, tmp_path) == expected


def deployed_with(settings: dict[str, dict[str, str]], without: str = "") -> Answer:
    """Every function but one, and the settings that some of them have."""
    items = []
    for each in [function for function in FUNCTIONS if function.name != without]:
        env = [{"name": name, "value": value} for name, value in settings.get(each.name, {}).items()]
        labels = {"cloud.googleapis.com/location": TARGET.region}
        spec = {"template": {"spec": {"containers": [{"image": "i", "env": env}]}}}
        items.append({"metadata": {"name": each.name, "labels": labels}, "spec": spec})
    return Answer(200, {"items": items})


def test_a_command_keeps_what_was_asked_for_at_the_last_deployment(emulators: Emulators, tmp_path: Path) -> None:
    """Without its options it would close mend-signals to those who are believed now."""
    believed = {"MEND_SIGNALS_SECRET": "mend-signals", "MEND_SIGNALS_ACCOUNTS": "a@b.example c@d.example"}
    spans = {"MEND_OTLP_ENDPOINT": SPANS_ENDPOINT}
    answers = {
        "/v1/projects/p-1/topics": Answer(200, {"topics": []}),
        OBJECTS: Answer(200, policy()),
        RUNNING: deployed_with({"mend-signals": {**believed, **spans}, "mend-load": spans}),
    }
    found = look(refusing(answers), tmp_path)
    options = "--signals-secret=mend-signals --signals-from=a@b.example --signals-from=c@d.example"
    assert found["there is no topic mend-requests"] == f"{AGAIN} --spans {options}"
    lacks = "lacks roles/storage.objectUser on gs://p-1-mend-objects"
    assert found[f"ingest {lacks}"] == f"{AGAIN} --service ingest --spans {options}"
    assert found[f"load {lacks}"] == f"{AGAIN} --service load --spans"


@pytest.mark.parametrize("running", ["refused", "without signals"])
def test_a_command_says_so_where_its_options_are_unknown(emulators: Emulators, tmp_path: Path, running: str) -> None:
    answers = {
        "/v1/projects/p-1/topics": Answer(200, {"topics": []}),
        RUNNING: DENIED if running == "refused" else deployed_with({}, without="mend-signals"),
    }
    found = look(refusing(answers), tmp_path)
    unsure = "  # and what else it was deployed with: --spans, --signals-secret, --signals-from, --secret, --dataset"
    assert found["there is no topic mend-requests"] == f"{AGAIN}{unsure}"


def entry(function: str, said: str, *, plain: bool = False) -> dict[str, object]:
    told: dict[str, object] = {"textPayload": said} if plain else {"jsonPayload": {"message": said}}
    return {"resource": {"type": "cloud_run_revision", "labels": {"service_name": function}}, **told}


def test_what_the_services_met(emulators: Emulators, tmp_path: Path) -> None:
    """Rights and quotas that are missing only while something runs are in the services' own log."""
    lines = [
        entry("mend-load", "Firestore: PermissionDenied: 403 Missing or insufficient permissions."),
        entry("mend-load", "Firestore: PermissionDenied: 403 Missing or insufficient permissions. (again)"),
        entry("mend-validate", "Cloud Storage: TooManyRequests: 429 The rate of change requests is too high"),
        entry("mend-classify", "Firestore: FailedPrecondition: 400 The query requires an index."),
        entry("mend-notify", "Cloud Monitoring: Forbidden: 403 SERVICE_DISABLED monitoring.googleapis.com"),
        entry("mend-ingest", "The request was aborted because there was no available instance.", plain=True),
        entry("mend-tick", "The request was not authorized to invoke this service. Read more at https://x", plain=True),
        entry("mend-of-somebody-else", "PermissionDenied"),
        entry("mend-remediate", "something else"),
    ]
    asked: list[Asked] = []

    def answer(request: Asked) -> Answer:
        asked.append(request)
        return Answer(200, {"entries": lines}) if request.path.startswith("/v2/entries:list") else whole(request)

    assert look(answer, tmp_path) == {
        "mend-load met: it lacks a right": f"{AGAIN} --service load",
        "mend-validate met: a quota of storage.googleapis.com is used up": "gcloud beta quotas info list"
        " --service=storage.googleapis.com --project=p-1",
        "mend-classify met: an index is missing or still being built": AGAIN,
        "mend-notify met: the API monitoring.googleapis.com is not enabled": "gcloud services enable"
        " monitoring.googleapis.com --project=p-1",
        "mend-tick met: a caller that lacks roles/run.invoker": f"{AGAIN} --service ingest",
        "mend-ingest met: it has as many instances as it may": "gcloud run services update mend-ingest"
        " --max-instances=MORE --region=europe-west1 --project=p-1",
    }
    (query,) = [json.loads(each.body) for each in asked if each.path.startswith("/v2/entries:list")]
    assert query["resourceNames"] == ["projects/p-1"]
    assert 'resource.labels.service_name:"mend-"' in query["filter"]
    assert "timestamp>=" in query["filter"]


def test_where_nothing_runs_no_region_is_judged(emulators: Emulators, tmp_path: Path) -> None:
    nothing = {"/v1/projects/p-1/topics": Answer(200, {"topics": []}), RUNNING: Answer(200, {"items": []})}
    found = look(refusing(nothing), tmp_path, Target("p-1", ANYWHERE))
    assert found["there is no topic mend-requests"] == "mend deploy --project p-1 --region REGION"
    assert {what.partition(" mend-")[0] for what in found} == {"there is no topic"}


def test_the_command_looks_where_it_is_deployed(emulators: Emulators, tmp_path: Path) -> None:
    with Recorder(broken) as server:
        ended = mend(
            "doctor", "--project", "p-1", "--json", cwd=tmp_path, environment=environment(server.url, tmp_path)
        )
    assert ended.code == 1
    assert {"what": "there is no topic mend-requests", "mend": AGAIN} in ended.json["findings"]
    misspelt = mend("doctor", "--project", "No Such_Folder", cwd=tmp_path)
    assert misspelt.code == 2
    assert "neither a folder nor a project" in misspelt.said


def test_without_gcloud(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    found = diagnosed(TARGET, {"PATH": str(tmp_path / "bin")})
    assert found == [
        Finding("gcloud is not installed, or not on the PATH", "https://cloud.google.com/sdk/docs/install")
    ]
