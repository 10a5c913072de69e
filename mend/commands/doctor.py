"""``mend doctor``: is the store whole, what was left undone, what will stop the next run."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json

if TYPE_CHECKING:
    from mend.deploy.refusals import Finding as Lack
    from mend.deploy.steps import Target
    from mend.doctor import Diagnosis

_PROJECT: Final = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{1,29}")


def doctor(
    root: Root = None,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            help="Folder that holds pipelines/ (default: the one last used); or the name of a project on Google Cloud.",
        ),
    ] = None,
    region: Annotated[
        str, typer.Option("--region", help="Region on Google Cloud (default: where it is deployed).")
    ] = "",
    as_json: Json = False,
) -> None:
    """Look the store over without touching it; every finding says what to do about it."""
    from shared.runtime import settings

    there = settings.load()
    if region or (project is not None and not project.exists()):
        _look_there(str(project or there.project_id), region, as_json)
    if there.backend == "gcp" and root is None and project is None:
        _look_there(there.project_id, there.location if "-" in there.location else "", as_json)
    _look_here(root, project, as_json)


def _look_here(root: Path | None, project: Path | None, as_json: bool) -> NoReturn:
    from mend import doctor as looking
    from mend.project import ROOT_NAME, noted
    from mend.services import timed_collections
    from shared.runtime import settings, wiring

    place = root or Path(ROOT_NAME)
    folder, files = noted(place)
    given = settings.load(root=str(place), project=str(project or folder))
    inspection = wiring.inspection_of(given)
    now = time.time_ns() // 1_000
    diagnosis = looking.examine(
        place,
        inspection.health(now - looking.SETTLED_SECONDS * 1_000_000, timed_collections()),
        inspection.warehouse_holder(),
        wiring.definitions_of(given, files),
        now,
        {"MEND_TEXT_MODEL": given.text_model, "MEND_TEXT_MODEL_CHALLENGER": given.text_model_challenger},
    )
    if as_json:
        findings = [finding._asdict() for finding in diagnosis.findings]
        print_json({"ok": diagnosis.healthy, "findings": findings, **diagnosis.facts})
    else:
        _show(diagnosis, place)
    raise typer.Exit(Exit.DONE if diagnosis.healthy else Exit.FAILED)


def _look_there(project: str, region: str, as_json: bool) -> NoReturn:
    from mend.deploy.checks import ANYWHERE
    from mend.deploy.diagnosis import diagnosed
    from mend.deploy.steps import Target
    from shared.runtime.settings import environment

    if not _PROJECT.fullmatch(project):
        raise typer.BadParameter(
            f"{project or 'nothing'} is neither a folder nor a project's name", param_hint="--project"
        )
    seen = diagnosed(Target(project, region or ANYWHERE), environment())
    findings = [*seen.findings, *(_left_undone(seen.target) if seen.has_state else [])]
    if as_json:
        print_json({"ok": not findings, "findings": [finding._asdict() for finding in findings]})
    for finding in [] if as_json else findings:
        console().print(f"missing: {finding.what}\n  → {finding.mend}", markup=False, soft_wrap=True)
    if not findings and not as_json:
        console().print("nothing is missing")
    raise typer.Exit(Exit.FAILED if findings else Exit.DONE)


def _left_undone(target: Target) -> list[Lack]:
    """What the documents of the state say, read by Google's libraries and not by gcloud."""
    from mend.deploy.undone import undone
    from mend.services import timed_collections
    from shared.runtime import cloud, settings

    def now() -> int:
        return time.time_ns() // 1_000

    store = cloud.state_of(settings.load(project_id=target.project), now)
    return undone(store, timed_collections(), target, now())


def _show(diagnosis: Diagnosis, root: Path) -> None:
    out = console()
    for finding in diagnosis.findings:
        out.print(f"{finding.level}: {finding.about}: {finding.what}")
        out.print(f"  → {finding.do}")
    facts = diagnosis.facts
    waiting = f"{facts['messages_waiting']:,} messages waiting"
    out.print(f"store {root}: {facts['store_state']}, {waiting}, {facts['free_bytes'] / 1e9:,.1f} GB free")
    shown = ", ".join(f"{name} {version or 'missing'}" for name, version in facts["versions"].items())
    out.print(f"Python {facts['python']} · {shown}")
    if not diagnosis.findings:
        out.print("nothing is wrong")
