"""A project on Google Cloud in which everything is as deployed, told by a server on this machine to the real gcloud."""

import os
from pathlib import Path
from typing import Any

from mend.deploy import history, scheduled_jobs
from mend.deploy.description import (
    APIS,
    COMMON_ROLES,
    EVENTARC_ROLE,
    FUNCTIONS,
    INDEXES,
    PROJECT_ROLES,
    WRITES_OBJECTS,
)
from mend.deploy.steps import Target
from mend.deploy.topology import history_of, queues, recorded, topics
from shared.events.types import EVENT_TYPES
from tests.emulators.http_server import Answer, Asked

TARGET = Target("p-1", "europe-west1")
HOME = "projects/p-1"
NUMBER = "123"
VIEWER = "roles/storage.objectViewer"
UNHEARD = history_of(recorded()[0])
AGAIN = "mend deploy --project p-1 --region europe-west1"
SERVICES = (
    *("CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "RUN", "FIRESTORE", "PUBSUB", "LOGGING"),
    *("CLOUDSCHEDULER", "EVENTARC", "ARTIFACTREGISTRY", "CLOUDBILLING", "BIGQUERY"),
)
PROJECT, APIS_THERE = f"/cloudresourcemanager/v1/{HOME}", f"/serviceusage/v1/{HOME}/services"
DATABASE, REGIONS = f"/firestore/v1/{HOME}/databases/(default)", f"/run/v1/{HOME}/locations"
RUNNING, OBJECTS = f"/run/v1/{HOME}/locations/-/services", "/storage/v1/b/p-1-mend-objects/iam"
DEFINITIONS, TOPICS = "/storage/v1/b/p-1-mend-project/iam", f"/pubsub/v1/{HOME}/topics"
SCHEDULES = f"/cloudscheduler/v1/{HOME}/locations/europe-west1/jobs"
TRIGGERS = f"/eventarc/v1/{HOME}/locations/europe-west1/triggers"
JOBS = "/run/apis/run.googleapis.com/v1/namespaces/p-1/jobs"
TABLES, SINKS = f"/bigquery/{HOME}/datasets/mend_history/tables", f"/logging/v2/{HOME}/sinks"
INDEXES_THERE = f"{DATABASE}/collectionGroups/-/indexes"
REGIONAL = ("Cloud Run", "Cloud Scheduler", "Eventarc", "Artifact Registry")
BILLING = f"/cloudbilling/v1/{HOME}/billingInfo"
HERE = {"cloud.googleapis.com/location": TARGET.region}


def environment(url: str, folder: Path, path: str) -> dict[str, str]:
    """What leads gcloud to a server of ours, each of Google's services under a path of its own."""
    inherited = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return {
        **inherited,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}": f"{url}/{service.lower()}/" for service in SERVICES},
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{url}/",  # whose errors gcloud knows by their address
        "PATH": path,
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    }


def policy(*held: tuple[str, str]) -> dict[str, Any]:
    """A policy in which accounts of ours, or of Google's, hold roles."""
    members = [(role, name if "@" in name else TARGET.account(name)) for name, role in held]
    return {"bindings": [{"role": role, "members": [f"serviceAccount:{who}"]} for role, who in members]}


def granted() -> dict[str, Any]:
    """What the accounts may do in the project."""
    roles = [(service, role) for service, roles in PROJECT_ROLES.items() for role in (*COMMON_ROLES, *roles)]
    roles += [(scheduled_jobs.STAGED, role) for role in scheduled_jobs.ROLES]
    roles += [("push", EVENTARC_ROLE), ("build", "roles/logging.logWriter")]
    roles.append((f"service-{NUMBER}@gcp-sa-eventarc.iam.gserviceaccount.com", "roles/eventarc.serviceAgent"))
    return policy(*roles, (f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com", "roles/pubsub.publisher"))


def index(collection: str, fields: tuple[str, ...], order: str, way: str) -> dict[str, Any]:
    """An index as Firestore tells of it."""
    paths = [(f"f.{each}", "ASCENDING") for each in fields] + [(f"f.{order}", way.upper()), ("__name__", "ASCENDING")]
    shown = [{"fieldPath": path, "order": way} for path, way in paths]
    return {"name": f"{HOME}/databases/d/collectionGroups/{collection}/indexes/x", "fields": shown, "state": "READY"}


def whole(asked: Asked) -> Answer:
    """A project in which everything is as deployed."""
    path = asked.path.partition("?")[0]
    regions = {"locations": [{"locationId": "europe-west1"}, {"locationId": "us-central1"}]}
    publisher = "roles/pubsub.publisher"
    views = [f"events_{history.table_of(name)}" for name in EVENT_TYPES]
    tables = [*map(history.table_of, EVENT_TYPES), *views, *history.VIEWS]
    scheduled = ("mend-tick", "mend-measure", *(job.name for job in scheduled_jobs.JOBS))
    audit = scheduled_jobs.STAGED
    answers: dict[str, object] = {
        PROJECT: {"projectId": "p-1", "projectNumber": NUMBER},
        BILLING: {"billingEnabled": True},
        APIS_THERE: {"services": [{"config": {"name": f"{api}.googleapis.com"}} for api in APIS]},
        REGIONS: regions,
        f"/cloudscheduler/v1/{HOME}/locations": regions,
        f"/eventarc/v1/{HOME}/locations": regions,
        f"/artifactregistry/v1beta2/{HOME}/locations": regions,
        f"{PROJECT}:getIamPolicy": granted(),
        DATABASE: {"name": f"{HOME}/databases/(default)"},
        INDEXES_THERE: {"indexes": [index(*each) for each in INDEXES]},
        OBJECTS: policy(*((each, "roles/storage.objectUser") for each in WRITES_OBJECTS), (audit, VIEWER)),
        DEFINITIONS: policy(*((each, VIEWER) for each in (*PROJECT_ROLES, audit))),
        TOPICS: {"topics": [{"name": f"{HOME}/topics/{each.name}"} for each in topics()]},
        f"{TOPICS}/mend-dead-letters:getIamPolicy": policy(
            (f"service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com", publisher)
        ),
        f"{TOPICS}/mend-signals:getIamPolicy": policy(
            (f"service-{NUMBER}@gcp-sa-logging.iam.gserviceaccount.com", publisher)
        ),
        f"/pubsub/v1/{HOME}/subscriptions": {
            "subscriptions": [
                {"name": f"{HOME}/subscriptions/{name}"}
                for name in (*(each.name for each in queues()), *map(history_of, recorded()))
            ]
        },
        TABLES: {"tables": [{"tableReference": {"tableId": name}} for name in tables]},
        SCHEDULES: {"jobs": [{"name": f"{HOME}/locations/x/jobs/{name}", "state": "ENABLED"} for name in scheduled]},
        TRIGGERS: {"triggers": [{"name": f"{HOME}/locations/x/triggers/mend-landed"}]},
        SINKS: {"sinks": [{"name": "mend-failures"}]},
        RUNNING: {"items": [{"metadata": {"name": each.name, "labels": HERE}} for each in FUNCTIONS]},
        JOBS: {"items": [{"metadata": {"name": job.name, "labels": HERE}} for job in scheduled_jobs.JOBS]},
        "/logging/v2/entries:list": {"entries": []},
    }
    found = answers.get(path)
    return Answer(200, found) if found is not None else Answer(404, {"error": {"code": 404, "message": path}})
