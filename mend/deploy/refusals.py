"""What Google Cloud says when it refuses something, what that means to who reads it, and the command that mends it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mend.deploy.steps import Target


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    what: str
    mend: str


class _Refusal(NamedTuple):
    """Words by which it is known, the first that fit counting, what it means, and the command."""

    marks: tuple[str, ...]
    meaning: str
    command: str


_API: Final = re.compile(r"\b([a-z]+\.googleapis\.com)\b")
_QUOTA: Final = re.compile(r"quota_limit\W+([A-Za-z][\w-]+)")
CALLER: Final = "user:$(gcloud config get account)"  # who asks, as long as the account is not known
_LOOK: Final = 'gcloud projects add-iam-policy-binding {project} --member="{caller}" --role={look}'
# What lets somebody look, and read no more than that: it lists everything and shows who may do what.
LOOKS: Final = "roles/iam.securityReviewer"
_LOOKS_AT: Final = {"log": "roles/logging.viewer", "state": "roles/datastore.viewer"}
_QUOTAS: Final = "gcloud beta quotas info list --service={api} --project={project}"
_MORE: Final = (
    "gcloud beta quotas preferences create --service={api} --quota-id={quota} --preferred-value=MORE"
    " --project={project}"
)
_AGAIN: Final = "{again}"
_DENIED: Final = ("PERMISSION_DENIED", "PermissionDenied", "does not have permission", "accessDenied")
_DISABLED: Final = ("SERVICE_DISABLED", "has not been used in project")
_EXHAUSTED: Final = ("RESOURCE_EXHAUSTED", "ResourceExhausted", "quotaExceeded", "TooManyRequests", "Quota exceeded")
_ABSENT: Final = ("NOT_FOUND", "NotFound", "not found")
_GONE: Final = (*_ABSENT, "could not be found", "does not exist", "Cannot find")
_UNINVITED: Final = ("was not authorized to invoke this service",)  # Cloud Run's words of who has an identity
_NOBODY: Final = ("UNAUTHENTICATED", "active account", "gcloud auth login", "Reauthentication")

_UNEQUIPPED: Final = ("command group installed",)
_CREDENTIALS: Final = ("DefaultCredentialsError", "RefreshError", "Reauthentication")

# What gcloud says to a person who asks.
_TO_US: Final = (
    _Refusal(_UNEQUIPPED, "gcloud lacks its components alpha and beta", "gcloud components install alpha beta"),
    _Refusal(_NOBODY, "nobody is logged in", "gcloud auth login"),
    _Refusal(_DISABLED, "the API {api} is not enabled", "gcloud services enable {api} --project={project}"),
    _Refusal(_EXHAUSTED, "a quota of {api} is used up{quota_said}", "{more}"),
    _Refusal(_DENIED, "you may not look", _LOOK),
    _Refusal(_ABSENT, "it does not exist", _AGAIN),
)
# Who asks for a project that does not exist hears the same as who may not see it.
_OF_THE_PROJECT: Final = (
    *_TO_US[:4],
    _Refusal((*_DENIED, *_ABSENT), "there is none of that name, or you may not see it", "gcloud projects list"),
)
# What Google's libraries say to a command of ours.
_TO_OURS: Final = (
    _Refusal(_CREDENTIALS, "mend itself has no credentials here", "gcloud auth application-default login"),
    *_TO_US[1:],
)
# What our services write into their log when they meet it.
_TO_A_SERVICE: Final = (
    _Refusal(_DISABLED, "the API {api} is not enabled", "gcloud services enable {api} --project={project}"),
    _Refusal(_EXHAUSTED, "a quota of {api} is used up{quota_said}", "{more}"),
    _Refusal(_UNINVITED, "a caller that lacks roles/run.invoker", "{again_alone}"),
    _Refusal(_DENIED, "it lacks a right", "{again_alone}"),
    _Refusal(("requires an index",), "an index is missing or still being built", _AGAIN),
    _Refusal(
        ("no available instance",),
        "it has as many instances as it may",
        "gcloud run services update {function} --max-instances=MORE --region={region} --project={project}",
    ),
    _Refusal(_ABSENT, "something that was deployed is gone", _AGAIN),
)
MET: Final = tuple(mark for refusal in _TO_A_SERVICE[:-1] for mark in refusal.marks)  # absence is often no trouble
_APIS: Final = (  # by the names that our adapters give what they speak to
    ("Firestore", "firestore.googleapis.com"),
    ("Pub/Sub", "pubsub.googleapis.com"),
    ("Cloud Storage", "storage.googleapis.com"),
    ("Cloud Monitoring", "monitoring.googleapis.com"),
    ("Secret Manager", "secretmanager.googleapis.com"),
    ("quotaExceeded", "bigquery.googleapis.com"),
)


def is_absent(said: str) -> bool:
    """Whether gcloud says that what it was to take away is not there."""
    return any(mark in said for mark in _GONE) and not any(mark in said for mark in (*_NOBODY, *_DISABLED, *_DENIED))


def of_question(what: str, said: str, target: Target) -> Finding:
    """Why gcloud could not answer; ``what`` was asked about."""
    known = _OF_THE_PROJECT if what == "project" else _TO_US
    found = _found(known, what, said, target)
    if found is not None:
        return found
    last = said.strip().splitlines()[-1][:300] if said.strip() else "gcloud said nothing"
    return Finding(f"{what}: {last}", target.command())


def of_library(what: str, said: str, target: Target) -> Finding:
    """Why Google's libraries could not answer a command of ours, which gcloud's login does not help."""
    return _found(_TO_OURS, what, said, target) or Finding(f"{what}: {said[:300]}", target.command())


def of_service(function: str, service: str, said: str, target: Target) -> Finding | None:
    """What a function of ours met; None when its words are of something else."""
    return _found(_TO_A_SERVICE, f"{function} met", said, target, service, function=function)


def _found(
    known: tuple[_Refusal, ...], what: str, said: str, target: Target, service: str = "", **names: str
) -> Finding | None:
    for refusal in known:
        if not any(mark in said for mark in refusal.marks):
            continue
        place = {"project": target.project, "region": target.region, "api": _api_of(said)}
        place |= {"caller": CALLER, "look": _LOOKS_AT.get(what, LOOKS)}
        place |= {"again": target.command(), "again_alone": target.command(service)}
        quota = _QUOTA.search(said)
        more = (_MORE if quota else _QUOTAS).format(**place, quota=quota[1] if quota else "")
        words = {**place, **names, "more": more, "quota_said": f" ({quota[1]})" if quota else ""}
        return Finding(f"{what}: {refusal.meaning.format(**words)}", refusal.command.format(**words))
    return None


def _api_of(said: str) -> str:
    named = [each for each in _API.findall(said) if each != "type.googleapis.com"]
    by_name = [api for name, api in _APIS if name in said]
    return (named or by_name or ["run.googleapis.com"])[0]
