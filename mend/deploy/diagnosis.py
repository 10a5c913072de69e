"""What is missing in a project on Google Cloud, each with the command that mends it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from mend.deploy import refusals
from mend.deploy.description import (
    APIS,
    EVENTARC_ROLE,
    FUNCTIONS,
    PROJECT_ROLES,
    READS_ROLE,
    SPANS_ENDPOINT,
    WRITES_OBJECTS,
    WRITES_ROLE,
)
from mend.deploy.refusals import Finding
from mend.deploy.rights import project_roles
from mend.deploy.steps import DATASETS_GRANTED, SECRETS_GRANTED, SIGNALS, Target
from mend.deploy.topology import history_of, queues, recorded, topics

_SECONDS_MAX: Final = 60
_AT_ONCE: Final = 4  # each is a process of gcloud's, which takes a second to start
_LINES_MAX: Final = 100  # of the log
ANYWHERE: Final = "REGION"  # as a command shows it that somebody has to complete
_FIRST: Final = "mend-ingest"
_OPTIONS: Final = (
    "  # and what else it was deployed with: --spans, --signals-secret, --signals-from, --secret, --dataset"
)
_REGION_LABEL: Final = "cloud.googleapis.com/location"


class _Check(NamedTuple):
    """A question to gcloud that answers in JSON, and what its answer shows to be missing."""

    what: str
    words: tuple[str, ...]
    judge: Callable[[Any, Target], list[Finding]]


def diagnosed(target: Target, environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Everything that is missing; what cannot be asked without the thing before it is not asked.

    Without a region (``ANYWHERE``) it is looked at where ``mend-ingest`` runs; what needs one is not asked otherwise.
    """
    first, *rest = _CHECKS
    refused = _asked(first, target, environment)
    if isinstance(refused, Finding):
        return [_unsure(refused)]
    running = _asked(_RUNNING, target, environment)
    if target.region == ANYWHERE:
        target = target._replace(region=_deployed_in(running))
    if target.region == ANYWHERE:
        rest = [check for check in rest if check.judge != _region]
    deployed = None if isinstance(running, Finding) else _as_deployed(running, target)
    target = deployed or target
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda check: _asked(check, target, environment), rest))
    found: list[Finding] = []
    for check, answer in zip([*rest, _RUNNING], [*answers, running], strict=True):
        found += [answer] if isinstance(answer, Finding) else check.judge(answer, target)
    return list(dict.fromkeys(found if deployed else map(_unsure, found)))


def _deployed_in(running: Any) -> str:
    services = [] if isinstance(running, Finding) else running
    regions = [_region_of(each) for each in services if each["metadata"].get("name") == _FIRST]
    return regions[0] if regions and regions[0] else ANYWHERE


def _region_of(service: Any) -> str:
    return str(service["metadata"].get("labels", {}).get(_REGION_LABEL, ""))


def _as_deployed(running: Any, target: Target) -> Target | None:
    """The target with the options by which it was deployed; None when they cannot be seen.

    A command without them would close the function that takes signals, and send no more spans.
    """
    ours = {function.name for function in FUNCTIONS}
    settings = {
        str(each["metadata"]["name"]): _settings_of(each)
        for each in running
        if each["metadata"].get("name") in ours and target.region in (ANYWHERE, _region_of(each))
    }
    if settings and SIGNALS not in settings:
        return None
    believed = settings.get(SIGNALS, {})

    def granted(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for each in settings.values() for word in each.get(name, "").split()))

    return target._replace(
        spans=any(each.get("MEND_OTLP_ENDPOINT") == SPANS_ENDPOINT for each in settings.values()),
        signals_secret=believed.get("MEND_SIGNALS_SECRET", ""),
        signals_accounts=tuple(believed.get("MEND_SIGNALS_ACCOUNTS", "").split()),
        secrets=granted(SECRETS_GRANTED),
        datasets=granted(DATASETS_GRANTED),
    )


def _settings_of(service: Any) -> dict[str, str]:
    containers = service.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return {str(each.get("name")): str(each.get("value", "")) for one in containers for each in one.get("env", [])}


def _unsure(finding: Finding) -> Finding:
    """A command of ours, where nobody can tell with which options it was given before."""
    return finding._replace(mend=f"{finding.mend}{_OPTIONS}") if finding.mend.startswith("mend deploy ") else finding


def _asked(check: _Check, target: Target, environment: Mapping[str, str] | None) -> Any:
    """gcloud's answer, or the finding that there was none."""
    place = {
        "project": target.project,
        "region": target.region,
        "objects": target.objects,
        "definitions": target.definitions,
    }
    asked = [word.format(**place) for word in check.words]
    try:
        ended = subprocess.run(
            ["gcloud", *asked, f"--project={target.project}", "--format=json"],
            env=dict(environment) if environment is not None else None,
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except FileNotFoundError:
        return Finding("gcloud is not installed, or not on the PATH", "https://cloud.google.com/sdk/docs/install")
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode("utf-8", "replace")
        return refusals.of_question(check.what, said or f"no answer within {_SECONDS_MAX} seconds", target)
    if ended.returncode != 0:
        return refusals.of_question(check.what, ended.stderr, target)
    return json.loads(ended.stdout or "[]")


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
    elsewhere = target._replace(region=near[0] if near else "europe-west1")
    return [Finding(f"Cloud Run is not in {target.region}", elsewhere.command())]


def _held(answer: Any) -> set[tuple[str, str]]:
    """(role, member) of a policy."""
    return {
        (str(binding.get("role")), str(member))
        for binding in answer.get("bindings", [])
        for member in binding.get("members", [])
    }


def _roles(answer: Any, target: Target) -> list[Finding]:
    held = _held(answer)
    wanted = [(account, role, account) for account, role in project_roles(target)]
    wanted.append(("push", EVENTARC_ROLE, ""))
    return [
        Finding(f"{account} lacks {role}", target.command(alone))
        for account, role, alone in wanted
        if (role, f"serviceAccount:{target.account(account)}") not in held
    ]


def _bucket(name: str, role: str, services: tuple[str, ...]) -> Callable[[Any, Target], list[Finding]]:
    def judge(answer: Any, target: Target) -> list[Finding]:
        held = _held(answer)
        return [
            Finding(f"{service} lacks {role} on {getattr(target, name)}", target.command(service))
            for service in services
            if (role, f"serviceAccount:{target.account(service)}") not in held
        ]

    return judge


def _functions(answer: Any, target: Target) -> list[Finding]:
    if target.region == ANYWHERE:
        return []
    there = {str(each["metadata"].get("name", "")) for each in answer if _region_of(each) == target.region}
    return [
        Finding(f"there is no function {each.name} in {target.region}", target.command(each.service))
        for each in FUNCTIONS
        if each.name not in there
    ]


def _met(answer: Any, target: Target) -> list[Finding]:
    """What the services met of late that somebody has to mend."""
    services = {each.name: each.service for each in FUNCTIONS}
    found = []
    for entry in answer:
        function = str(entry.get("resource", {}).get("labels", {}).get("service_name", ""))
        said = json.dumps([entry.get("textPayload", ""), entry.get("jsonPayload", {})], ensure_ascii=False)
        finding = refusals.of_service(function, services.get(function, ""), said, target)
        found += [finding] if finding is not None and function in services else []
    return found


def _named(kind: str, wanted: set[str]) -> Callable[[Any, Target], list[Finding]]:
    def judge(answer: Any, target: Target) -> list[Finding]:
        there = {str(each.get("name", "")).rpartition("/")[2] for each in answer}
        return [Finding(f"there is no {kind} {name}", target.command()) for name in sorted(wanted - there)]

    return judge


def _nothing(answer: Any, target: Target) -> list[Finding]:
    return []


_LOG: Final = " AND ".join(
    (
        'resource.type="cloud_run_revision"',
        'resource.labels.service_name:"mend-"',
        "severity>=WARNING",
        f"({' OR '.join(json.dumps(mark) for mark in refusals.MET)})",
    )
)
_SUBSCRIPTIONS: Final = {*(each.name for each in queues()), *map(history_of, recorded())}
_RUNNING: Final = _Check("functions", ("run", "services", "list"), _functions)
_CHECKS: Final = (
    _Check("project", ("projects", "describe", "{project}"), _nothing),
    _Check("APIs", ("services", "list", "--enabled"), _apis),
    _Check("region", ("run", "regions", "list"), _region),
    _Check("roles", ("projects", "get-iam-policy", "{project}"), _roles),
    _Check("state", ("firestore", "databases", "describe", "--database=(default)"), _nothing),
    _Check(
        "bucket of deliveries",
        ("storage", "buckets", "get-iam-policy", "{objects}"),
        _bucket("objects", WRITES_ROLE, WRITES_OBJECTS),
    ),
    _Check(
        "bucket of the project",
        ("storage", "buckets", "get-iam-policy", "{definitions}"),
        _bucket("definitions", READS_ROLE, tuple(PROJECT_ROLES)),
    ),
    _Check("topics", ("pubsub", "topics", "list"), _named("topic", {topic.name for topic in topics()})),
    _Check("subscriptions", ("pubsub", "subscriptions", "list"), _named("subscription", _SUBSCRIPTIONS)),
    _Check("log", ("logging", "read", _LOG, "--freshness=1d", f"--limit={_LINES_MAX}"), _met),
)
