"""``mend learn``: train the text model anew, and say how well it does on messages it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mend.commands.options import Json
from mend.output import Exit, console, print_json, print_table
from shared.domain.errors import DefinitionError, DefinitionMissing

_SHOWN = ("version", "made_at", "examples", "accuracy", "macro_f1", "coverage", "selective_accuracy", "ece")


def learn(
    messages: Annotated[
        Path | None, typer.Option("--messages", help="JSON lines: message, label, system, case (default: our corpus).")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the models.")] = Path("models"),
    listed: Annotated[bool, typer.Option("--list", help="Show the models that are there; train none.")] = False,
    as_json: Json = False,
) -> None:
    """Train, evaluate by five folds, and keep the model with its report; nothing uses it until you say so."""
    from mend.learning import registry

    if listed:
        found = registry.records(out)
        if as_json:
            print_json({"models": found})
        else:
            print_table("models", _SHOWN, [[each[name] for name in _SHOWN] for each in found])
        raise typer.Exit(Exit.DONE)
    record = _trained(messages, out)
    if as_json:
        print_json(record)
    else:
        print_table("model", _SHOWN, [[record[name] for name in _SHOWN]])
        tell = console()
        tell.print(f"report: {record['folder']}/{registry.REPORT}/report.html")
        tell.print(f"to use it: export MEND_TEXT_MODEL={record['folder']}")
    raise typer.Exit(Exit.DONE)


def _trained(messages: Path | None, out: Path) -> dict[str, object]:
    try:
        from mend.learning import registry, report, training
    except ImportError as error:
        raise DefinitionError(
            "mend learn", 0, 0, f"{error.name} is missing", "pip install 'mendline[learn]'"
        ) from error
    file = messages or training.CORPUS
    if not file.is_file():
        hint = "name a file of messages: --messages FILE"
        raise DefinitionMissing(f"{file}: there are no messages to learn from; {hint}")
    trained = training.train(training.examples_of(file))
    out.mkdir(parents=True, exist_ok=True)
    return registry.keep(trained, report.figures(trained), file, out)
