"""``mend deploy``: the whole system on Google Cloud, from the code."""

from __future__ import annotations

import re
import shlex
import sys
from typing import Annotated, Final, NoReturn

import typer

from mend.deploy.steps import PRELUDE, Step, Target
from mend.output import Exit, console

Project = Annotated[str, typer.Option("--project", help="Project on Google Cloud.")]
Region = Annotated[str, typer.Option("--region", help="Region of everything.")]
Plan = Annotated[bool, typer.Option("--plan", help="Print the commands; run none.")]
Service = Annotated[
    str, typer.Option("--service", help="Deploy one service alone (audit: the scheduled commands), and what it needs.")
]
Destroy = Annotated[bool, typer.Option("--destroy", help="Take the system away; data stays.")]
Spans = Annotated[bool, typer.Option("--spans", help="Send every handled event to Cloud Trace as a span.")]
Secret = Annotated[
    str, typer.Option("--signals-secret", help="Open mend-signals to who signs with this secret of Secret Manager.")
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--signals-from", help="Open mend-signals to this service account's tokens; may be given again."),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option("--secret", help="Let services read this secret, and no others; may be given again."),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="Let services write and read this dataset, and no others; may be given again."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before destroying.")]

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_DATASET: Final = re.compile(r"[A-Za-z0-9_]{1,1024}")
_ACCOUNT: Final = re.compile(r"[a-z0-9._-]+@[a-z0-9.-]+\.[a-z]+")
# As Google gives them. Of a project named by a domain (example.com:name) buckets and accounts are named otherwise.
_PROJECT: Final = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z]+-[a-z]+[0-9]+")

_ASKED: Final = (
    "Take Mendline away from {project}? Its buckets, tables and documents stay, and so do events that are not in its"
    " tables yet (the topics of events, and the subscriptions history.…, which cost nothing). Requests, reports and"
    " dead letters that no service has taken up yet are lost (mend-requests, mend-signals, mend-dead-letters)."
)


def deploy(
    project: Project,
    region: Region,
    plan: Plan = False,
    service: Service = "",
    destroy: Destroy = False,
    yes: Yes = False,
    spans: Spans = False,
    signals_secret: Secret = "",
    signals_from: Accounts = None,
    secret: Secrets = None,
    dataset: Datasets = None,
) -> None:
    """Deploy to Google Cloud, or print what that takes; what is there already is made as it should be now."""
    from mend.deploy import plan as planning

    accounts, secrets, datasets = tuple(signals_from or ()), tuple(secret or ()), tuple(dataset or ())
    target = Target(project, region, spans, signals_secret, accounts, secrets, datasets)
    _refuse_misspelt(target)
    _refuse_service(service, destroy)
    steps = planning.destroyed(target) if destroy else planning.plan(target, service)
    if plan:
        sys.stdout.write(_script(project, steps))
        return
    if destroy and not yes:
        typer.confirm(_ASKED.format(project=project), abort=True)
    _run(project, steps, destroy)


def _refuse_misspelt(target: Target) -> None:
    """What is no name of a secret or no address would be deployed and believe nobody."""
    if not _PROJECT.fullmatch(target.project):
        _refuse(f"{target.project!r} is no project's id: 6 to 30 small letters, digits and hyphens, such as my-project")
    if not _REGION.fullmatch(target.region):
        _refuse(f"{target.region!r} is no region: europe-west1 is one (gcloud run regions list)")
    wrong = [each for each in (target.signals_secret, *target.secrets) if each and not _SECRET.fullmatch(each)]
    wrong += [each for each in target.signals_accounts if not _ACCOUNT.fullmatch(each)]
    if wrong:
        told = "is neither a secret's name nor an account's address (NAME@PROJECT.iam.gserviceaccount.com)"
        _refuse(f"{wrong[0]!r} {told}")
    for each in target.datasets:
        if not _DATASET.fullmatch(each) or each.startswith("mend_"):
            _refuse(f"{each!r} is no dataset that pipelines load: letters, digits and _, and none of ours (mend_…)")


def _refuse_service(service: str, destroy: bool) -> None:
    from mend.deploy.scheduled_jobs import STAGED
    from mend.services import every_service

    if service and service not in (known := [*(each.name for each in every_service()), STAGED]):
        _refuse(f"there is no service {service}: {', '.join(known)}")
    if service and destroy:
        _refuse("--destroy takes everything away, never one service alone: leave out --service")


def _refuse(what: str) -> NoReturn:
    console(stderr=True).print(f"mend: {what}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.USAGE)


def _script(project: str, steps: list[Step]) -> str:
    head = "#!/usr/bin/env bash\n# Run it in the repository's folder, after make stage.\nset -euo pipefail\n"
    number = f"NUMBER=$(gcloud projects describe {shlex.quote(project)} --format='value(projectNumber)')\n"
    return head + number + PRELUDE + "".join(f"\n# {step.what}\n{step.shell()}\n" for step in steps)


def _run(project: str, steps: list[Step], destroy: bool) -> None:
    """Step by step: what fails ends a deployment, which can be run again, and is told at the end of a destruction."""
    from mend.deploy import running
    from shared.runtime.settings import environment

    if missing := running.missing(steps):
        _fail(missing)
    failed: list[str] = []
    try:
        known = {**environment(), "NUMBER": running.number_of(project)}
        for count, step in enumerate(steps, 1):
            console().print(f"[{count}/{len(steps)}] {step.what}", markup=False)
            if running.done(step, known, gone_is_fine=destroy):
                continue
            failed.append(step.what)
            if not destroy:
                break
    except running.ProjectUnknown as error:
        _fail(f"gcloud does not know {project}: {error}")
    again = "Mend its cause and run the same command again; what is done is not done twice."
    if failed:
        these = "this step" if len(failed) == 1 else f"these {len(failed)} steps"
        _fail(f"{these} failed: {'; '.join(failed)}. {again} mend doctor --project may know why.")


def _fail(what: str) -> NoReturn:
    console(stderr=True).print(f"mend: {what}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.FAILED)
