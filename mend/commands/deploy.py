"""``mend deploy``: the whole system on Google Cloud, from the code."""

from __future__ import annotations

import re
import shlex
import sys
from typing import Annotated, Final, NoReturn

import typer

from mend.deploy.steps import Step
from mend.output import Exit, console

Project = Annotated[str, typer.Option("--project", help="Project on Google Cloud.")]
Region = Annotated[str, typer.Option("--region", help="Region of everything.")]
Plan = Annotated[bool, typer.Option("--plan", help="Print the commands; run none.")]
Service = Annotated[str, typer.Option("--service", help="Deploy one service alone.")]
Destroy = Annotated[bool, typer.Option("--destroy", help="Take the system away; data stays.")]
Spans = Annotated[bool, typer.Option("--spans", help="Send every handled event to Cloud Trace as a span.")]
Secret = Annotated[
    str, typer.Option("--signals-secret", help="Open mend-signals to who signs with this secret of Secret Manager.")
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--signals-from", help="Open mend-signals to this service account's tokens; may be given again."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before destroying.")]

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ACCOUNT: Final = re.compile(r"[a-z0-9._-]+@[a-z0-9.-]+\.[a-z]+")
# As Google gives them. Of a project named by a domain (example.com:name) buckets and accounts are named otherwise.
_PROJECT: Final = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z]+-[a-z]+[0-9]+")


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
) -> None:
    """Deploy to Google Cloud, or print what that takes; what is there already is left as it is."""
    from mend.deploy import plan as planning
    from mend.deploy.steps import Target

    accounts = tuple(signals_from or ())
    _refuse_misspelt(project, region, signals_secret, accounts)
    _refuse_service(service, destroy)
    target = Target(project, region, spans, signals_secret, accounts)
    steps = planning.destroyed(target) if destroy else planning.plan(target, service)
    if plan:
        sys.stdout.write(_script(project, steps))
        return
    if destroy and not yes:
        typer.confirm(f"Take Mendline away from {project}? Its buckets, tables and documents stay.", abort=True)
    _run(project, steps, destroy)


def _refuse_misspelt(project: str, region: str, secret: str, accounts: tuple[str, ...]) -> None:
    """What is no name of a secret or no address would be deployed and believe nobody."""
    if not _PROJECT.fullmatch(project):
        _refuse(f"{project!r} is no project's id: 6 to 30 small letters, digits and hyphens, such as my-project")
    if not _REGION.fullmatch(region):
        _refuse(f"{region!r} is no region: europe-west1 is one (gcloud run regions list)")
    wrong = [secret] if secret and not _SECRET.fullmatch(secret) else []
    wrong += [each for each in accounts if not _ACCOUNT.fullmatch(each)]
    if wrong:
        told = "is neither a secret's name nor an account's address (NAME@PROJECT.iam.gserviceaccount.com)"
        _refuse(f"{wrong[0]!r} {told}")


def _refuse_service(service: str, destroy: bool) -> None:
    from mend.services import every_service

    if service and service not in (known := [each.name for each in every_service()]):
        _refuse(f"there is no service {service}: {', '.join(known)}")
    if service and destroy:
        _refuse("--destroy takes everything away, never one service alone: leave out --service")


def _refuse(what: str) -> NoReturn:
    console(stderr=True).print(f"mend: {what}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.USAGE)


def _script(project: str, steps: list[Step]) -> str:
    head = "#!/usr/bin/env bash\n# Run it in the repository's folder, after make stage.\nset -euo pipefail\n"
    number = f"NUMBER=$(gcloud projects describe {shlex.quote(project)} --format='value(projectNumber)')\n"
    return head + number + "".join(f"\n# {step.what}\n{step.shell()}\n" for step in steps)


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
