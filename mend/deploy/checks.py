"""What is asked of a project on Google Cloud, and what each answer shows to be missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mend.deploy import history, refusals, scheduled_jobs
from mend.deploy.description import (
    APIS,
    EVENTARC_ROLE,
    FUNCTIONS,
    INDEXES,
    PROJECT_ROLES,
    READS_ROLE,
    SINK,
    SIZES,
    SPANS_ROLE,
    WRITES_OBJECTS,
    WRITES_ROLE,
)
from mend.deploy.refusals import Finding
from mend.deploy.rights import BUILDER, EVENTARC, PUBSUB, project_roles
from mend.deploy.steps import NUMBER, Target
from mend.deploy.topology import history_of, queues, recorded, topics
from shared.events.types import EVENT_TYPES
from shared.ports.event_bus import DEAD_LETTER_TOPIC, SIGNALS_TOPIC

ANYWHERE: Final = "REGION"  # as a command shows it that somebody has to complete
_LINES_MAX: Final = 100  # of the log
_REGION_LABEL: Final = "cloud.googleapis.com/location"
_KEEPS_TIME: Final = ("tick", "measure")  # entry points that a schedule of their own calls
_TRIGGER: Final = "mend-landed"
_PUBLISHER: Final = "roles/pubsub.publisher"
# Google's own accounts, by the project's number, and what each has to be allowed in the whole project.
_AGENTS: Final = (
    (EVENTARC, "roles/eventarc.serviceAgent"),
    (f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com", _PUBLISHER),
)
_OF_LOGGING: Final = ("gcp-sa-logging", "cloud-logs@")  # Cloud Logging has several by which it writes


class Project(NamedTuple):
    """Where it is looked."""

    target: Target
    number: str  # by which Google's own accounts are named


class Check(NamedTuple):
    """A question to gcloud that answers in JSON, and what its answer shows to be missing.

    ``optional``: whoever may not ask this learns nothing from being told so.
    """

    what: str
    words: tuple[str, ...]
    judge: Callable[[Any, Project], list[Finding]]
    optional: bool = False

    @property
    def regional(self) -> bool:
        """Whether it cannot be asked without a region."""
        return self.what.startswith("region") or any("{region}" in word for word in self.words)


def region_of(service: Any) -> str:
    """Where a function or a job is, as Cloud Run tells it."""
    return str(service["metadata"].get("labels", {}).get(_REGION_LABEL, ""))


# ── the project ──


def _nothing(answer: Any, project: Project) -> list[Finding]:
    return []


def _billing(answer: Any, project: Project) -> list[Finding]:
    if answer.get("billingEnabled"):
        return []
    account = "$(gcloud billing accounts list --filter=open=true --format='value(name)' --limit=1)"
    command = f'gcloud billing projects link {project.target.project} --billing-account="{account}"'
    return [Finding("billing is not enabled", command)]


def _apis(answer: Any, project: Project) -> list[Finding]:
    target = project.target
    enabled = {str(each.get("config", {}).get("name", "")) for each in answer}
    wanted = (*APIS, *(("telemetry",) if target.spans else ()))
    missing = [name for name in (f"{api}.googleapis.com" for api in wanted) if name not in enabled]
    command = f"gcloud services enable {' '.join(missing)} --project={target.project}"
    return [Finding(f"not enabled: {', '.join(missing)}", command)] if missing else []


def _region(name: str) -> Callable[[Any, Project], list[Finding]]:
    def judge(answer: Any, project: Project) -> list[Finding]:
        target = project.target
        regions = {str(each.get("locationId") or each.get("name", "")).rpartition("/")[2] for each in answer}
        if target.region in regions:
            return []
        near = sorted(each for each in regions if each[:4] == target.region[:4]) or sorted(regions)
        elsewhere = target._replace(region=near[0] if near else "europe-west1")
        return [Finding(f"{name} is not in {target.region}", elsewhere.command())]

    return judge


# ── rights ──


def _held(answer: Any) -> set[tuple[str, str]]:
    """(role, member) of a policy."""
    return {
        (str(binding.get("role")), str(member))
        for binding in answer.get("bindings", [])
        for member in binding.get("members", [])
    }


def _roles(answer: Any, project: Project) -> list[Finding]:
    held, target = _held(answer), project.target
    wanted = [*project_roles(target), *((service, SPANS_ROLE) for service in SIZES if target.spans)]
    wanted += [("push", EVENTARC_ROLE), (BUILDER, "roles/logging.logWriter")]
    found = [
        Finding(f"{account} lacks {role}", target.command(_alone(account)))
        for account, role in wanted
        if (role, f"serviceAccount:{target.account(account)}") not in held
    ]
    agents = [(address.replace(NUMBER, project.number), role) for address, role in _AGENTS]
    lacking = [(address, role) for address, role in agents if (role, f"serviceAccount:{address}") not in held]
    return [*found, *(Finding(f"Google's {address} lacks {role}", target.command()) for address, role in lacking)]


def _bucket(name: str, wanted: tuple[tuple[str, str], ...]) -> Callable[[Any, Project], list[Finding]]:
    def judge(answer: Any, project: Project) -> list[Finding]:
        held, target = _held(answer), project.target
        return [
            Finding(f"{account} lacks {role} on {getattr(target, name)}", target.command(_alone(account)))
            for account, role in wanted
            if (role, f"serviceAccount:{target.account(account)}") not in held
        ]

    return judge


def _alone(account: str) -> str:
    """The service that is deployed alone to mend it; "" for an account that is of none."""
    return account if account in (*SIZES, scheduled_jobs.STAGED) else ""


def _buries(answer: Any, project: Project) -> list[Finding]:
    address = PUBSUB.replace(NUMBER, project.number)
    if (_PUBLISHER, f"serviceAccount:{address}") in _held(answer):
        return []
    return [Finding(f"Google's {address} lacks {_PUBLISHER} on {DEAD_LETTER_TOPIC}", project.target.command())]


def _signals(answer: Any, project: Project) -> list[Finding]:
    told = any(role == _PUBLISHER and any(mark in who for mark in _OF_LOGGING) for role, who in _held(answer))
    what = f"Cloud Logging's account lacks {_PUBLISHER} on {SIGNALS_TOPIC}"
    return [] if told else [Finding(what, project.target.command())]


# ── what was made ──


def _named(kind: str, wanted: set[str]) -> Callable[[Any, Project], list[Finding]]:
    def judge(answer: Any, project: Project) -> list[Finding]:
        there = {str(each.get("name", "")).rpartition("/")[2] for each in answer}
        return [Finding(f"there is no {kind} {name}", project.target.command()) for name in sorted(wanted - there)]

    return judge


def _schedules(answer: Any, project: Project) -> list[Finding]:
    target = project.target
    there = {str(each.get("name", "")).rpartition("/")[2]: str(each.get("state", "")) for each in answer}
    place = f"--location={target.region} --project={target.project}"
    return _named("schedule", _SCHEDULED)(answer, project) + [
        Finding(f"the schedule {name} is {there[name].lower()}", f"gcloud scheduler jobs resume {name} {place}")
        for name in sorted(_SCHEDULED & there.keys())
        if there[name] in ("PAUSED", "DISABLED")
    ]


def _functions(answer: Any, project: Project) -> list[Finding]:
    return _run("function", {each.name: each.service for each in FUNCTIONS}, answer, project)


def _jobs(answer: Any, project: Project) -> list[Finding]:
    return _run("job", _JOBS, answer, project)


def _run(kind: str, wanted: dict[str, str], answer: Any, project: Project) -> list[Finding]:
    """What Cloud Run lacks of ours, each with the service that brings it."""
    target = project.target
    if target.region == ANYWHERE:
        return []
    there = {str(each["metadata"].get("name", "")) for each in answer if region_of(each) == target.region}
    return [
        Finding(f"there is no {kind} {name} in {target.region}", target.command(service))
        for name, service in wanted.items()
        if name not in there
    ]


def _history(answer: Any, project: Project) -> list[Finding]:
    there = {str(each.get("tableReference", {}).get("tableId", "")) for each in answer}
    missing = [name for name in _TABLES if name not in there]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    what = f"{history.DATASET} has no table or view {missing[0]}{more}" if missing else ""
    return [Finding(what, project.target.command())] if missing else []


def _indexes(answer: Any, project: Project) -> list[Finding]:
    states = {_shape(each): str(each.get("state", "")) for each in answer}
    found = []
    for collection, fields, order, way in INDEXES:
        paths = [(f"f.{field}", "ASCENDING") for field in fields]
        state = states.get((collection, (*paths, (f"f.{order}", way.upper()))))
        shown = f"index of {collection} by {', '.join(fields)}, {order} {way}"
        if state is None:
            found.append(Finding(f"there is no {shown}", project.target.command()))
        elif state != "READY":
            found.append(Finding(f"the {shown} is {state.lower()}", "nothing: Firestore needs some minutes for it"))
    return found


def _shape(index: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    """An index by its collection and fields, the document's name aside, which Firestore adds."""
    collection = str(index.get("name", "")).partition("/collectionGroups/")[2].partition("/")[0]
    fields = [(str(each.get("fieldPath", "")), str(each.get("order", ""))) for each in index.get("fields", [])]
    return collection, tuple(field for field in fields if field[0] != "__name__")


# ── the log ──


def _met(answer: Any, project: Project) -> list[Finding]:
    """What the services and jobs met of late that somebody has to mend."""
    known = {each.name: each.service for each in FUNCTIONS} | {
        job.name: scheduled_jobs.STAGED for job in scheduled_jobs.JOBS
    }
    found = []
    for entry in answer:
        labels = entry.get("resource", {}).get("labels", {})
        name = str(labels.get("service_name") or labels.get("job_name") or "")
        said = json.dumps([entry.get("textPayload", ""), entry.get("jsonPayload", {})], ensure_ascii=False)
        finding = refusals.of_service(name, known.get(name, ""), said, project.target)
        found += [finding] if finding is not None and name in known else []
    return found


_JOBS: Final = {job.name: scheduled_jobs.STAGED for job in scheduled_jobs.JOBS}  # and what brings them
_SCHEDULED: Final = {
    *(each.name for each in FUNCTIONS if each.target in _KEEPS_TIME),
    *(job.name for job in scheduled_jobs.JOBS),
}
_TABLES: Final = (
    *(history.table_of(name) for name in sorted(EVENT_TYPES)),
    *(f"events_{history.table_of(name)}" for name in sorted(EVENT_TYPES)),
    *history.VIEWS,
)
_OURS: Final = (
    '((resource.type="cloud_run_revision" AND resource.labels.service_name:"mend-")'
    ' OR (resource.type="cloud_run_job" AND resource.labels.job_name:"mend-"))'
)
_LOG: Final = f"{_OURS} AND severity>=WARNING AND ({' OR '.join(json.dumps(mark) for mark in refusals.MET)})"
_SUBSCRIPTIONS: Final = {*(each.name for each in queues()), *map(history_of, recorded())}
_IN_OBJECTS: Final = (
    *((each, WRITES_ROLE) for each in WRITES_OBJECTS),
    (scheduled_jobs.STAGED, READS_ROLE),
)
_IN_DEFINITIONS: Final = tuple((each, READS_ROLE) for each in (*PROJECT_ROLES, scheduled_jobs.STAGED))
FIRST: Final = Check("project", ("projects", "describe", "{project}"), _nothing)
RUNNING: Final = Check("functions", ("run", "services", "list"), _functions)
CHECKS: Final = (
    Check("billing", ("billing", "projects", "describe", "{project}"), _billing, optional=True),
    Check("APIs", ("services", "list", "--enabled"), _apis),
    Check("region", ("run", "regions", "list"), _region("Cloud Run")),
    Check("region of schedules", ("scheduler", "locations", "list"), _region("Cloud Scheduler")),
    Check("region of triggers", ("eventarc", "locations", "list"), _region("Eventarc")),
    Check("region of images", ("artifacts", "locations", "list"), _region("Artifact Registry")),
    Check("roles", ("projects", "get-iam-policy", "{project}"), _roles),
    Check("state", ("firestore", "databases", "describe", "--database=(default)"), _nothing),
    Check("indexes", ("firestore", "indexes", "composite", "list", "--database=(default)"), _indexes),
    Check(
        "bucket of deliveries",
        ("storage", "buckets", "get-iam-policy", "{objects}"),
        _bucket("objects", _IN_OBJECTS),
    ),
    Check(
        "bucket of the project",
        ("storage", "buckets", "get-iam-policy", "{definitions}"),
        _bucket("definitions", _IN_DEFINITIONS),
    ),
    Check("topics", ("pubsub", "topics", "list"), _named("topic", {topic.name for topic in topics()})),
    Check("subscriptions", ("pubsub", "subscriptions", "list"), _named("subscription", _SUBSCRIPTIONS)),
    Check("dead letters", ("pubsub", "topics", "get-iam-policy", DEAD_LETTER_TOPIC), _buries),
    Check("signals", ("pubsub", "topics", "get-iam-policy", SIGNALS_TOPIC), _signals),
    Check("history", ("alpha", "bq", "tables", "list", f"--dataset={history.DATASET}"), _history),
    Check("schedules", ("scheduler", "jobs", "list", "--location={region}"), _schedules),
    Check("trigger", ("eventarc", "triggers", "list", "--location={region}"), _named("trigger", {_TRIGGER})),
    Check("sink", ("logging", "sinks", "list"), _named("sink", {SINK})),
    Check("jobs", ("run", "jobs", "list"), _jobs),
    Check("log", ("logging", "read", _LOG, "--freshness=1d", f"--limit={_LINES_MAX}"), _met),
)
