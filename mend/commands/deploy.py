"""``mend deploy``: the whole system on Google Cloud, from the code."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Annotated, Final

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
    from mend.services import every_service

    if service and service not in (known := [each.name for each in every_service()]):
        console(stderr=True).print(f"mend: there is no service {service}: {', '.join(known)}")
        raise typer.Exit(Exit.USAGE)
    accounts = tuple(signals_from or ())
    _refuse_misspelt(signals_secret, accounts)
    target = Target(project, region, spans, signals_secret, accounts)
    steps = planning.destroyed(target) if destroy else planning.plan(target, service)
    if plan:
        sys.stdout.write(_script(project, steps))
        return
    if destroy and not yes:
        typer.confirm(f"Take Mendline away from {project}? Its buckets, tables and documents stay.", abort=True)
    number = _number(project)
    for count, step in enumerate(steps, 1):
        console().print(f"[{count}/{len(steps)}] {step.what}", markup=False)
        _run(step, number, forgiving=destroy)


def _refuse_misspelt(secret: str, accounts: tuple[str, ...]) -> None:
    """What is no name of a secret or no address would be deployed and believe nobody."""
    wrong = [secret] if secret and not _SECRET.fullmatch(secret) else []
    wrong += [each for each in accounts if not _ACCOUNT.fullmatch(each)]
    if wrong:
        told = "is neither a secret's name nor an account's address (NAME@PROJECT.iam.gserviceaccount.com)"
        console(stderr=True).print(f"mend: {wrong[0]!r} {told}", markup=False)
        raise typer.Exit(Exit.USAGE)


def _script(project: str, steps: list[Step]) -> str:
    head = f"NUMBER=$(gcloud projects describe {project} --format='value(projectNumber)')\n"
    return head + "".join(f"\n# {step.what}\n{step.shell()}\n" for step in steps)


def _number(project: str) -> str:
    asked = ["gcloud", "projects", "describe", project, "--format=value(projectNumber)"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        console(stderr=True).print(
            f"mend: gcloud does not know {project}: {answer.stderr.strip()[-500:]}", markup=False
        )
        raise typer.Exit(Exit.FAILED)
    return answer.stdout.strip()


def _run(step: Step, number: str, *, forgiving: bool) -> None:
    """One step; what fails ends the deployment, which can be run again."""
    ended = subprocess.run(["sh", "-c", step.shell()], env=_environment(number), check=False)
    if ended.returncode != 0 and not forgiving:
        told = f"mend: this step failed: {step.what}. Mend its cause and run the same command again; "
        console(stderr=True).print(f"{told}what is done is not done twice. mend doctor --project may know why.")
        raise typer.Exit(Exit.FAILED)


def _environment(number: str) -> dict[str, str]:
    from shared.runtime.settings import environment

    return {**environment(), "NUMBER": number}
