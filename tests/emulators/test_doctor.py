"""What the real gcloud is told by a server on this machine, and what is made of it.

Method: each kind of trouble is one answer of that server, in the words in which Google's services give it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mend.deploy import history, scheduled_jobs
from mend.deploy.checks import ANYWHERE
from mend.deploy.description import (
    FUNCTIONS,
    INDEXES,
    PROJECT_ROLES,
    SPANS_ENDPOINT,
)
from mend.deploy.diagnosis import diagnosed
from mend.deploy.refusals import Finding
from mend.deploy.steps import Target
from shared.events.types import EVENT_TYPES
from tests.emulators.http_server import Answer, Asked, Recorder
from tests.emulators.project_there import (
    AGAIN,
    APIS_THERE,
    BILLING,
    DATABASE,
    DEFINITIONS,
    HERE,
    HOME,
    INDEXES_THERE,
    JOBS,
    OBJECTS,
    PROJECT,
    REGIONAL,
    REGIONS,
    RUNNING,
    SCHEDULES,
    SINKS,
    TABLES,
    TARGET,
    TOPICS,
    TRIGGERS,
    UNHEARD,
    VIEWER,
    environment,
    granted,
    index,
    policy,
    whole,
)
from tests.end_to_end.command import mend


def broken(asked: Asked) -> Answer:
    """The same with one thing of each kind missing."""
    answer = whole(asked)
    text = json.dumps(answer.body)
    text = text.replace('{"config": {"name": "eventarc.googleapis.com"}}, ', "")
    text = text.replace('{"locationId": "europe-west1"}, ', '{"locationId": "europe-west4"}, ')
    text = text.replace("roles/bigquery.dataEditor", "roles/bigquery.dataViewer")
    text = text.replace(f'{{"name": "{HOME}/topics/mend-requests"}}, ', "")
    text = text.replace(f'{{"name": "{HOME}/subscriptions/{UNHEARD}"}}, ', "")
    if asked.path.startswith(f"{DATABASE}?"):
        error = {"code": 403, "status": "PERMISSION_DENIED", "message": "PERMISSION_DENIED: no"}
        return Answer(403, {"error": error})
    return Answer(answer.status, json.loads(text))


Answering = Callable[[Asked], Answer]
Look = Callable[..., dict[str, str]]


@pytest.fixture
def look(quick: str, tmp_path: Path) -> Look:
    """What is found, each with the command that mends it."""

    def looked(answer: Answering, target: Target = TARGET, **more: str) -> dict[str, str]:
        with Recorder(answer) as server:
            found = diagnosed(target, {**environment(server.url, tmp_path, quick), **more}).findings
            return {each.what: each.mend for each in found}

    return looked


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


def test_nothing_is_missing(look: Look) -> None:
    assert look(whole) == {}


def test_what_is_missing_is_named_with_what_mends_it(look: Look) -> None:
    assert look(broken) == {
        "not enabled: eventarc.googleapis.com": "gcloud services enable eventarc.googleapis.com --project=p-1",
        **{f"{name} is not in europe-west1": "mend deploy --project p-1 --region europe-west4" for name in REGIONAL},
        "load lacks roles/bigquery.dataEditor": f"{AGAIN} --service load",
        "state: you may not look": "gcloud projects add-iam-policy-binding p-1"
        ' --member="user:$(gcloud config get account)" --role=roles/datastore.viewer',
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


def running(elsewhere: str) -> Answer:
    """Every function, one of them in another region."""
    regions = {each.name: "us-central1" if each.name == elsewhere else TARGET.region for each in FUNCTIONS}
    (label,) = HERE
    return Answer(200, {"items": [{"metadata": {"name": name, "labels": {label: at}}} for name, at in regions.items()]})


# Nothing of what keeps time, tells and remembers is as it was made.
_PAUSED = {"name": f"{HOME}/locations/x/jobs/mend-tick", "state": "PAUSED"}
_BUILT = {**index(*INDEXES[0]), "state": "CREATING"}
MADE = {
    BILLING: Answer(200, {"billingEnabled": False}),
    INDEXES_THERE: Answer(200, {"indexes": [_BUILT, *(index(*each) for each in INDEXES[2:])]}),
    SCHEDULES: Answer(200, {"jobs": [_PAUSED, *({"name": f"x/{job.name}"} for job in scheduled_jobs.JOBS)]}),
    TRIGGERS: Answer(200, {}),
    SINKS: Answer(200, {"sinks": [{"name": "_Default"}]}),
    JOBS: Answer(200, {"items": [{"metadata": {"name": "mend-audit", "labels": HERE}}]}),
    TABLES: Answer(200, {"tables": [{"tableReference": {"tableId": name}} for name in history.VIEWS]}),
    f"{PROJECT}:getIamPolicy": Answer(200, {"bindings": granted()["bindings"][:-2]}),
    f"{TOPICS}/mend-dead-letters:getIamPolicy": Answer(200, policy(("load", "roles/pubsub.publisher"))),
    f"{TOPICS}/mend-signals:getIamPolicy": Answer(200, {}),
}
_ACCOUNTS = "$(gcloud billing accounts list --filter=open=true --format='value(name)' --limit=1)"
_FIRST_TABLE = history.table_of(min(EVENT_TYPES))
_LACKS = "lacks roles/pubsub.publisher"
NOT_MADE = {
    "billing is not enabled": f'gcloud billing projects link p-1 --billing-account="{_ACCOUNTS}"',
    "there is no index of deliveries by pipeline, seq descending": AGAIN,
    "the index of deliveries by pipeline, seq ascending is creating": "nothing: Firestore needs some minutes for it",
    "there is no schedule mend-measure": AGAIN,
    "the schedule mend-tick is paused": "gcloud scheduler jobs resume mend-tick --location=europe-west1 --project=p-1",
    "there is no trigger mend-landed": AGAIN,
    "there is no sink mend-failures": AGAIN,
    "there is no job mend-drift in europe-west1": f"{AGAIN} --service audit",
    f"mend_history has no table or view {_FIRST_TABLE} and {2 * len(EVENT_TYPES) - 1} more": AGAIN,
    "Google's service-123@gcp-sa-eventarc.iam.gserviceaccount.com lacks roles/eventarc.serviceAgent": AGAIN,
    f"Google's service-123@gs-project-accounts.iam.gserviceaccount.com {_LACKS}": AGAIN,
    f"Google's service-123@gcp-sa-pubsub.iam.gserviceaccount.com {_LACKS} on mend-dead-letters": AGAIN,
    f"Cloud Logging's account {_LACKS} on mend-signals": AGAIN,
}
CASES: dict[str, tuple[Answering, dict[str, str]]] = {
    "a project that there is not": (refusing({PROJECT: ABSENT}), WRONG),
    "a project that one may not see": (refusing({PROJECT: DENIED}), WRONG),
    "nobody is logged in": (lambda asked: NOBODY, {"project: nobody is logged in": "gcloud auth login"}),
    "one of each": (
        refusing(
            {
                DATABASE: DISABLED,
                REGIONS: EXHAUSTED,
                RUNNING: running("mend-load"),
                OBJECTS: ABSENT,
                DEFINITIONS: Answer(200, policy(*((each, VIEWER) for each in PROJECT_ROLES if each != "notify"))),
                **MADE,
            }
        ),
        {
            "region: a quota of run.googleapis.com is used up (ReadRequestsPerMinutePerProject)": MORE,
            "state: the API firestore.googleapis.com is not enabled": "gcloud services enable"
            " firestore.googleapis.com --project=p-1",
            "bucket of deliveries: it does not exist": AGAIN,
            "notify lacks roles/storage.objectViewer on gs://p-1-mend-project": f"{AGAIN} --service notify",
            "audit lacks roles/storage.objectViewer on gs://p-1-mend-project": f"{AGAIN} --service audit",
            "there is no function mend-load in europe-west1": f"{AGAIN} --service load",
            **NOT_MADE,
        },
    ),
    "what gcloud asks again and again, and a database that there is not": (
        refusing({APIS_THERE: EXHAUSTED, DATABASE: ABSENT}),
        {
            "APIs: a quota of run.googleapis.com is used up (ReadRequestsPerMinutePerProject)": MORE,
            "state: it does not exist": AGAIN,
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_trouble(look: Look, case: str) -> None:
    answer, expected = CASES[case]
    assert look(answer) == expected


def deployed_with(settings: dict[str, dict[str, str]], without: str = "") -> Answer:
    """Every function but one, and the settings that some of them have."""
    items = []
    for each in [function for function in FUNCTIONS if function.name != without]:
        env = [{"name": name, "value": value} for name, value in settings.get(each.name, {}).items()]
        spec = {"template": {"spec": {"containers": [{"image": "i", "env": env}]}}}
        items.append({"metadata": {"name": each.name, "labels": HERE}, "spec": spec})
    return Answer(200, {"items": items})


def test_a_command_keeps_what_was_asked_for_at_the_last_deployment(look: Look) -> None:
    """Without its options it would close mend-signals to those who are believed now."""
    believed = {"MEND_SIGNALS_SECRET": "mend-signals", "MEND_SIGNALS_ACCOUNTS": "a@b.example c@d.example"}
    spans = {"MEND_OTLP_ENDPOINT": SPANS_ENDPOINT}
    answers = {
        TOPICS: Answer(200, {"topics": []}),
        OBJECTS: Answer(200, policy()),
        RUNNING: deployed_with({"mend-signals": {**believed, **spans}, "mend-load": spans}),
    }
    found = look(refusing(answers))
    options = "--signals-secret=mend-signals --signals-from=a@b.example --signals-from=c@d.example"
    assert found["there is no topic mend-requests"] == f"{AGAIN} --spans {options}"
    lacks = "lacks roles/storage.objectUser on gs://p-1-mend-objects"
    assert found[f"ingest {lacks}"] == f"{AGAIN} --service ingest --spans {options}"
    assert found[f"load {lacks}"] == f"{AGAIN} --service load --spans"


@pytest.mark.parametrize("running", ["refused", "without signals"])
def test_a_command_says_so_where_its_options_are_unknown(look: Look, running: str) -> None:
    answers = {
        TOPICS: Answer(200, {"topics": []}),
        RUNNING: DENIED if running == "refused" else deployed_with({}, without="mend-signals"),
    }
    found = look(refusing(answers))
    unsure = "  # and what else it was deployed with: --spans, --signals-secret, --signals-from, --secret, --dataset"
    assert found["there is no topic mend-requests"] == f"{AGAIN}{unsure}"


@pytest.mark.parametrize(
    ("account", "member"),
    [("a@b.example", "user:a@b.example"), ("x@p-1.iam.gserviceaccount.com", None), ("", None)],
)
def test_who_may_not_look_is_named_as_what_they_are(look: Look, account: str, member: str | None) -> None:
    """Whoever gives the right is somebody else, so that the command names who asked, and gives no more than looking."""
    known = {"CLOUDSDK_CORE_ACCOUNT": account} if account else {}
    found = look(refusing({TOPICS: DENIED, "/logging/v2/entries:list": DENIED, BILLING: DENIED}), **known)
    named = member or (f"serviceAccount:{account}" if account else "user:$(gcloud config get account)")
    may = f'gcloud projects add-iam-policy-binding p-1 --member="{named}" --role='
    assert found == {
        "topics: you may not look": f"{may}roles/iam.securityReviewer",
        "log: you may not look": f"{may}roles/logging.viewer",
    }


def test_spans_need_an_api_and_a_role(look: Look) -> None:
    sent = deployed_with({"mend-load": {"MEND_OTLP_ENDPOINT": SPANS_ENDPOINT}})
    found = look(refusing({RUNNING: sent}))
    assert found["not enabled: telemetry.googleapis.com"].startswith("gcloud services enable telemetry.")
    assert found["load lacks roles/telemetry.tracesWriter"] == f"{AGAIN} --service load --spans"
    assert len(found) == 1 + len(PROJECT_ROLES)


def entry(name: str, said: str, *, plain: bool = False, job: bool = False) -> dict[str, object]:
    told: dict[str, object] = {"textPayload": said} if plain else {"jsonPayload": {"message": said}}
    kind, label = ("cloud_run_job", "job_name") if job else ("cloud_run_revision", "service_name")
    return {"resource": {"type": kind, "labels": {label: name}}, **told}


def test_what_the_services_met(look: Look) -> None:
    """Rights and quotas that are missing only while something runs are in the services' own log."""
    lines = [
        entry("mend-load", "Firestore: PermissionDenied: 403 Missing or insufficient permissions."),
        entry("mend-load", "Firestore: PermissionDenied: 403 Missing or insufficient permissions. (again)"),
        entry("mend-validate", "Cloud Storage: TooManyRequests: 429 The rate of change requests is too high"),
        entry("mend-classify", "Firestore: FailedPrecondition: 400 The query requires an index."),
        entry("mend-notify", "Cloud Monitoring: Forbidden: 403 SERVICE_DISABLED monitoring.googleapis.com"),
        entry("mend-ingest", "The request was aborted because there was no available instance.", plain=True),
        entry("mend-tick", "The request was not authorized to invoke this service. Read more at https://x", plain=True),
        entry("mend-audit", "google.api_core.exceptions.Forbidden: 403 PERMISSION_DENIED", plain=True, job=True),
        entry("mend-of-somebody-else", "PermissionDenied"),
        entry("mend-remediate", "something else"),
    ]
    asked: list[Asked] = []

    def answer(request: Asked) -> Answer:
        asked.append(request)
        return (
            Answer(200, {"entries": lines}) if request.path.startswith("/logging/v2/entries:list") else whole(request)
        )

    assert look(answer) == {
        "mend-load met: it lacks a right": f"{AGAIN} --service load",
        "mend-validate met: a quota of storage.googleapis.com is used up": "gcloud beta quotas info list"
        " --service=storage.googleapis.com --project=p-1",
        "mend-classify met: an index is missing or still being built": AGAIN,
        "mend-notify met: the API monitoring.googleapis.com is not enabled": "gcloud services enable"
        " monitoring.googleapis.com --project=p-1",
        "mend-audit met: it lacks a right": f"{AGAIN} --service audit",
        "mend-tick met: a caller that lacks roles/run.invoker": f"{AGAIN} --service ingest",
        "mend-ingest met: it has as many instances as it may": "gcloud run services update mend-ingest"
        " --max-instances=MORE --region=europe-west1 --project=p-1",
    }
    (query,) = [json.loads(each.body) for each in asked if each.path.startswith("/logging/v2/entries:list")]
    assert query["resourceNames"] == ["projects/p-1"]
    assert 'resource.labels.service_name:"mend-"' in query["filter"]
    assert 'resource.labels.job_name:"mend-"' in query["filter"]
    assert "timestamp>=" in query["filter"]


def test_where_nothing_runs_no_region_is_judged(look: Look) -> None:
    nothing = {TOPICS: Answer(200, {"topics": []}), RUNNING: Answer(200, {"items": []})}
    found = look(refusing({**nothing, JOBS: Answer(200, {})}), Target("p-1", ANYWHERE))
    assert found["there is no topic mend-requests"] == "mend deploy --project p-1 --region REGION"
    assert {what.partition(" mend-")[0] for what in found} == {"there is no topic"}


def test_the_command_looks_where_it_is_deployed(quick: str, tmp_path: Path) -> None:
    with Recorder(broken) as server:
        there = environment(server.url, tmp_path, quick)
        ended = mend("doctor", "--project", "p-1", "--json", cwd=tmp_path, environment=there)
    assert ended.code == 1
    assert {"what": "there is no topic mend-requests", "mend": AGAIN} in ended.json["findings"]
    misspelt = mend("doctor", "--project", "No Such_Folder", cwd=tmp_path)
    assert misspelt.code == 2
    assert "neither a folder nor a project" in misspelt.said


def test_without_gcloud(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    seen = diagnosed(TARGET, {"PATH": str(tmp_path / "bin")})
    assert not seen.has_state
    assert seen.findings == [
        Finding("gcloud is not installed, or not on the PATH", "https://cloud.google.com/sdk/docs/install")
    ]
