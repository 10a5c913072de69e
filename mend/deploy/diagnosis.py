"""What is missing in a project on Google Cloud, each with the command that mends it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from mend.deploy.description import APIS, COMMON_ROLES, PROJECT_ROLES
from mend.deploy.steps import Target
from mend.deploy.topology import queues, topics

_SECONDS_MAX: Final = 60
# How the platform says it, in the words of its status codes, and what that means to who reads it.
_SAID: Final = (
    ("SERVICE_DISABLED", "an API is not enabled", "gcloud services enable {apis} --project={project}"),
    ("has not been used in project", "an API is not enabled", "gcloud services enable {apis} --project={project}"),
    (
        "RESOURCE_EXHAUSTED",
        "a quota is used up",
        "gcloud alpha services quota list --service=run.googleapis.com --consumer=projects/{project}",
    ),
    (
        "PERMISSION_DENIED",
        "you may not look",
        "gcloud projects add-iam-policy-binding {project} --member=user:YOU --role=roles/viewer",
    ),
    (
        "does not have permission",
        "you may not look",
        "gcloud projects add-iam-policy-binding {project} --member=user:YOU --role=roles/viewer",
    ),
    ("NOT_FOUND", "it does not exist", "gcloud projects list"),
)


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    what: str
    mend: str


class _Check(NamedTuple):
    """A question to gcloud that answers in JSON, and what its answer shows to be missing."""

    what: str
    words: tuple[str, ...]
    judge: Callable[[Any, Target], list[Finding]]


def diagnosed(target: Target, environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Everything that is missing; what cannot be asked without the thing before it is not asked."""
    found: list[Finding] = []
    for check in _CHECKS:
        asked = [word.format(project=target.project, region=target.region) for word in check.words]
        ended = subprocess.run(
            ["gcloud", *asked, f"--project={target.project}", "--format=json"],
            env=dict(environment) if environment is not None else None,
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
        if ended.returncode != 0:
            found.append(_refused(check.what, ended.stderr, target))
            if check.what == "project":
                break
            continue
        found += check.judge(json.loads(ended.stdout or "[]"), target)
    return found


def _refused(what: str, said: str, target: Target) -> Finding:
    for mark, meaning, command in _SAID:
        if mark in said:
            apis = " ".join(f"{api}.googleapis.com" for api in APIS)
            return Finding(f"{what}: {meaning}", command.format(project=target.project, apis=apis))
    last = said.strip().splitlines()[-1][:300] if said.strip() else "gcloud said nothing"
    return Finding(f"{what}: {last}", _again(target))


def _again(target: Target) -> str:
    return f"mend deploy --project {target.project} --region {target.region}"


def _apis(answer: Any, target: Target) -> list[Finding]:
    enabled = {str(each.get("config", {}).get("name", "")) for each in answer}
    missing = [name for name in (f"{api}.googleapis.com" for api in APIS) if name not in enabled]
    command = f"gcloud services enable {' '.join(missing)} --project={target.project}"
    return [Finding(f"not enabled: {', '.join(missing)}", command)] if missing else []


def _region(answer: Any, target: Target) -> list[Finding]:
    regions = {str(each.get("locationId", "")) for each in answer}
    if target.region in regions:
        return []
    near = sorted(each for each in regions if each[:4] == target.region[:4]) or sorted(regions)
    again = f"mend deploy --project {target.project} --region {near[0] if near else 'europe-west1'}"
    return [Finding(f"Cloud Run is not in {target.region}", again)]


def _roles(answer: Any, target: Target) -> list[Finding]:
    held = {
        (str(binding.get("role")), str(member))
        for binding in answer.get("bindings", [])
        for member in binding.get("members", [])
    }
    return [
        Finding(f"{service} lacks {role}", f"{_again(target)} --service {service}")
        for service, roles in PROJECT_ROLES.items()
        for role in (*COMMON_ROLES, *roles)
        if (role, f"serviceAccount:{target.account(service)}") not in held
    ]


def _named(kind: str, wanted: set[str]) -> Callable[[Any, Target], list[Finding]]:
    def judge(answer: Any, target: Target) -> list[Finding]:
        there = {str(each.get("name", "")).rpartition("/")[2] for each in answer}
        return [Finding(f"there is no {kind} {name}", _again(target)) for name in sorted(wanted - there)]

    return judge


def _nothing(answer: Any, target: Target) -> list[Finding]:
    return []


_CHECKS: Final = (
    _Check("project", ("projects", "describe", "{project}"), _nothing),
    _Check("APIs", ("services", "list", "--enabled"), _apis),
    _Check("region", ("run", "regions", "list"), _region),
    _Check("roles", ("projects", "get-iam-policy", "{project}"), _roles),
    _Check("state", ("firestore", "databases", "describe", "--database=(default)"), _nothing),
    _Check("topics", ("pubsub", "topics", "list"), _named("topic", {topic.name for topic in topics()})),
    _Check(
        "subscriptions", ("pubsub", "subscriptions", "list"), _named("subscription", {each.name for each in queues()})
    ),
)
