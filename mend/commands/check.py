"""``mend check``: what is wrong in pipelines, contracts, transforms and the policy, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mend.commands.options import Json
from mend.output import Exit, console, print_json
from shared.domain.errors import DefinitionMissing

if TYPE_CHECKING:
    from mend.checking import Checked, Problem

_FOLDERS = ("pipelines", "contracts")


def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Pipelines, contracts, policy.yaml (default: all of the project).")
    ] = None,
    project: Annotated[
        Path | None, typer.Option("--project", help="Folder that holds pipelines/ (default: the files', or here).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check definition files; every error says file, line, column and what to do. Nothing is run or written."""
    from mend import checking
    from shared.runtime import settings, wiring

    chosen = [file.resolve() for file in files or []]
    folder = (project or (_project_of(chosen[0]) if chosen else Path())).resolve()
    given = settings.load(project=str(folder))
    elsewhere = {_named(file, folder): file for file in chosen}
    definitions = wiring.definitions_of(given, {name: file for name, file in elsewhere.items() if file.is_file()})
    wanted = list(elsewhere) or checking.files_of(folder, definitions)
    if not wanted:
        raise DefinitionMissing(f"{folder}: there is no pipeline here; name files, or a folder with --project")
    channels = tuple(wiring.channels_of(given, wiring.secrets_of(given)))
    around = checking.Surroundings(definitions, wiring.sql_engine_of(given), wiring.source_of(given), channels)
    checked = checking.check_files(wanted, around)
    if as_json:
        print_json(
            {
                "ok": not checked.errors,
                "project": str(folder),
                "files": checked.files,
                "errors": [problem._asdict() for problem in checked.errors],
                "warnings": [problem._asdict() for problem in checked.warnings],
            }
        )
    else:
        _show(checked, folder)
    raise typer.Exit(Exit.USAGE if checked.errors else Exit.DONE)


def _project_of(file: Path) -> Path:
    return file.parent.parent if file.parent.name in _FOLDERS else file.parent


def _named(file: Path, folder: Path) -> str:
    """The file's name in the project; one that lies elsewhere stands in for a file of its own name."""
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _show(checked: Checked, folder: Path) -> None:
    out = console()
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder

    def line(kind: str, problem: Problem) -> None:
        place = problem._replace(file=str(shown / problem.file)).place
        out.print(f"{place}: {kind}: {problem.message}" + (f" ({problem.hint})" if problem.hint else ""))

    for problem in sorted(checked.errors):
        line("error", problem)
    for problem in sorted(checked.warnings):
        line("warning", problem)
    errors, warnings = len(checked.errors), len(checked.warnings)
    out.print(f"{len(checked.files)} files checked: {errors} errors, {warnings} warnings")
