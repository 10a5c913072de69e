"""``mend doctor``: is the store whole, what was left undone, what will stop the next run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json

if TYPE_CHECKING:
    from mend.doctor import Diagnosis


def doctor(
    root: Root = None,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project", help="Folder that holds pipelines/ (default: the one last used); or a cloud's project."
        ),
    ] = None,
    region: Annotated[
        str, typer.Option("--region", help="Region on Google Cloud: look at the project of that name there.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Look the store over without touching it; every finding says what to do about it."""
    if region:
        _look_there(str(project or ""), region, as_json)
    from mend import doctor as looking
    from mend.project import ROOT_NAME, noted
    from shared.runtime import settings, wiring

    place = root or Path(ROOT_NAME)
    folder, files = noted(place)
    given = settings.load(root=str(place), project=str(project or folder))
    inspection = wiring.inspection_of(given)
    now = time.time_ns() // 1_000
    diagnosis = looking.examine(
        place,
        inspection.health(now - looking.SETTLED_SECONDS * 1_000_000),
        inspection.warehouse_holder(),
        wiring.definitions_of(given, files),
        now,
    )
    if as_json:
        findings = [finding._asdict() for finding in diagnosis.findings]
        print_json({"ok": diagnosis.healthy, "findings": findings, **diagnosis.facts})
    else:
        _show(diagnosis, place)
    raise typer.Exit(Exit.DONE if diagnosis.healthy else Exit.FAILED)


def _look_there(project: str, region: str, as_json: bool) -> NoReturn:
    from mend.deploy.diagnosis import diagnosed
    from mend.deploy.steps import Target

    findings = diagnosed(Target(project, region))
    if as_json:
        print_json({"ok": not findings, "findings": [finding._asdict() for finding in findings]})
    for finding in [] if as_json else findings:
        console().print(f"missing: {finding.what}\n  → {finding.mend}", markup=False, soft_wrap=True)
    if not findings and not as_json:
        console().print("nothing is missing")
    raise typer.Exit(Exit.FAILED if findings else Exit.DONE)


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
