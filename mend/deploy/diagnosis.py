"""What is missing in a project on Google Cloud, each with the command that mends it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from mend.deploy import refusals
from mend.deploy.checks import ANYWHERE, CHECKS, FIRST, RUNNING, Check, Project, region_of
from mend.deploy.description import FUNCTIONS, SPANS_ENDPOINT
from mend.deploy.refusals import Finding
from mend.deploy.steps import DATASETS_GRANTED, SECRETS_GRANTED, SIGNALS, Target

_SECONDS_MAX: Final = 60
_AT_ONCE: Final = 4  # each is a process of gcloud's, which takes a second to start
_ENTRANCE: Final = "mend-ingest"
_OPTIONS: Final = (
    "  # and what else it was deployed with: --spans, --signals-secret, --signals-from, --secret, --dataset"
)


class Seen(NamedTuple):
    """What was found, and where, with the options by which it was deployed."""

    target: Target
    findings: list[Finding]

    @property
    def has_state(self) -> bool:
        """Whether there is a project with a database that can be looked at."""
        return not any(each.what.startswith(("project:", "state:", "gcloud is not")) for each in self.findings)


def diagnosed(target: Target, environment: Mapping[str, str] | None = None) -> Seen:
    """Everything that is missing; what cannot be asked without the thing before it is not asked.

    Without a region (``ANYWHERE``) it is looked at where ``mend-ingest`` runs; what needs one is not asked otherwise.
    """
    first = _asked(FIRST, target, environment)
    if isinstance(first, Finding):
        return Seen(target, [_unsure(first)])
    running = _asked(RUNNING, target, environment)
    if target.region == ANYWHERE:
        target = target._replace(region=_deployed_in(running))
    rest = [check for check in CHECKS if target.region != ANYWHERE or not check.regional]
    deployed = None if isinstance(running, Finding) else _as_deployed(running, target)
    target = deployed or target
    project = Project(target, str(first.get("projectNumber", "")))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda check: _asked(check, target, environment), rest))
    found: list[Finding] = []
    for check, answer in zip([*rest, RUNNING], [*answers, running], strict=True):
        if not isinstance(answer, Finding):
            found += check.judge(answer, project)
        elif not check.optional:
            found.append(answer)
    found = _told_to(found, environment)
    return Seen(target, list(dict.fromkeys(found if deployed else map(_unsure, found))))


def _deployed_in(running: Any) -> str:
    services = [] if isinstance(running, Finding) else running
    regions = [region_of(each) for each in services if each["metadata"].get("name") == _ENTRANCE]
    return regions[0] if regions and regions[0] else ANYWHERE


def _as_deployed(running: Any, target: Target) -> Target | None:
    """The target with the options by which it was deployed; None when they cannot be seen.

    A command without them would close the function that takes signals, and send no more spans.
    """
    ours = {function.name for function in FUNCTIONS}
    settings = {
        str(each["metadata"]["name"]): _settings_of(each)
        for each in running
        if each["metadata"].get("name") in ours and target.region in (ANYWHERE, region_of(each))
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


def _told_to(found: Sequence[Finding], environment: Mapping[str, str] | None) -> list[Finding]:
    """The same, naming who asks where a right is to be given to them: somebody else will give it."""
    if not any(refusals.CALLER in each.mend for each in found):
        return list(found)
    try:
        who = _run(("config", "get", "account"), environment).stdout.strip()
    except (FileNotFoundError, subprocess.TimeoutExpired):
        who = ""
    kind = "serviceAccount" if who.endswith(".gserviceaccount.com") else "user"
    named = f"{kind}:{who}" if "@" in who else refusals.CALLER
    return [each._replace(mend=each.mend.replace(refusals.CALLER, named)) for each in found]


def _asked(check: Check, target: Target, environment: Mapping[str, str] | None) -> Any:
    """gcloud's answer, or the finding that there was none."""
    place = {
        "project": target.project,
        "region": target.region,
        "objects": target.objects,
        "definitions": target.definitions,
    }
    asked = [word.format(**place) for word in check.words]
    try:
        ended = _run([*asked, f"--project={target.project}", "--format=json"], environment)
    except FileNotFoundError:
        return Finding("gcloud is not installed, or not on the PATH", "https://cloud.google.com/sdk/docs/install")
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode("utf-8", "replace")
        return refusals.of_question(check.what, said or f"no answer within {_SECONDS_MAX} seconds", target)
    if ended.returncode != 0:
        return refusals.of_question(check.what, ended.stderr, target)
    return json.loads(ended.stdout or "[]")


def _run(words: Sequence[str], environment: Mapping[str, str] | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["gcloud", *words],
        env=dict(environment) if environment is not None else None,
        stdin=subprocess.DEVNULL,  # a component that is missing is not asked for
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
