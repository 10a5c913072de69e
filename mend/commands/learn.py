"""``mend learn``: train the text model anew, and say how well it does: on what it has not seen, and on what came in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json, print_table
from shared.domain.errors import DefinitionError, DefinitionMissing

_SHOWN = ("version", "made_at", "examples", "accuracy", "macro_f1", "coverage", "selective_accuracy", "ece")
_COMPARED = ("accuracy", "macro_f1", "coverage", "selective_accuracy", "log_loss", "ece")


def learn(
    messages: Annotated[
        Path | None, typer.Option("--messages", help="JSON lines: message, label, system, case (default: our corpus).")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the models.")] = Path("models"),
    listed: Annotated[bool, typer.Option("--list", help="Show the models that are there; train none.")] = False,
    shadow: Annotated[
        Path | None, typer.Option("--shadow", help="Let the model in this folder read the store's messages too.")
    ] = None,
    drift: Annotated[int, typer.Option("--drift", min=0, help="Compare the last DAYS of messages to the rest.")] = 0,
    root: Root = None,
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
    if shadow is not None or drift:
        raise typer.Exit(_shadowed(shadow, root, as_json) if shadow is not None else _drifted(drift, root, as_json))
    record = _trained(messages, out)
    if as_json:
        print_json(record)
    else:
        print_table("model", _SHOWN, [[record[name] for name in _SHOWN]])
        tell = console()
        rows = [[name, *each.values()] for name, each in record["compared"].items()]
        print_table("the same exam", ["", *_COMPARED], rows)
        judged, left_out = record["judged"], record["left_out"]
        tell.print(f"{judged:,} messages judged, also the {left_out:,} that training leaves out as labelled wrongly")
        tell.print(f"report: {record['folder']}/{registry.REPORT}/report.html")
        tell.print(f"to use it: export MEND_TEXT_MODEL={record['folder']}")
    raise typer.Exit(Exit.DONE)


def _trained(messages: Path | None, out: Path) -> dict[str, Any]:
    try:
        from mend.learning import exam, registry, report, training
    except ImportError as error:
        raise DefinitionError(
            "mend learn", 0, 0, f"{error.name} is missing", "pip install 'mendline[learn]'"
        ) from error
    file = messages or training.CORPUS
    if not file.is_file():
        hint = "name a file of messages: --messages FILE"
        raise DefinitionMissing(f"{file}: there are no messages to learn from; {hint}")
    examples = training.examples_of(file)
    found, trained = report.figures(exam.sit(examples)), training.train(examples)
    out.mkdir(parents=True, exist_ok=True)
    return registry.keep(trained, found, file, out)


def _shadowed(challenger: Path, root: Path | None, as_json: bool) -> Exit:
    """The challenger beside the model in use, on the store's messages."""
    from mend import project
    from mend.learning import live
    from services.classify import text_model

    process = project.open_process(project.of_root(root))
    found = live.shadow(live.heard(process.store), text_model.load(challenger))
    if as_json:
        print_json(found)
        return Exit.DONE
    columns = ("incident", "message", "champion", "challenger", "truth")
    rows = [[each[name] for name in columns] for each in found["differences"]]
    print_table("verdicts that differ", columns, rows, empty="none")
    tell = console()
    right, wrong = found["right"], found["surely_wrong"]
    read = f"{found['messages']:,} messages ({found['recorded_live']:,} were read by both when they came)"
    tell.print(f"{read}, {found['differ']:,} verdicts differ")
    if found["learned_from"]:
        tell.print(f"{found['learned_from']:,} that people judged were learned from by one of them: not measured")
    if not found["judged_by_people"]:
        tell.print("nobody has said of any what it was: mend feedback ID --right, or --class CLASS")
    else:
        told = f"of {found['judged_by_people']:,} that people judged, right: {right['champion']:,} and the challenger"
        tell.print(f"{told} {right['challenger']:,}; surely wrong: {wrong['champion']:,} and {wrong['challenger']:,}")
    tell.print(f"promote: {found['promote']} (a coin would do as well in {found['chance']:.0%} of cases)")
    if found["promote"] == "yes":
        tell.print(f"to use it: export MEND_TEXT_MODEL={challenger}")
    return Exit.DONE


def _drifted(days: int, root: Path | None, as_json: bool) -> Exit:
    """Whether the messages of the last days are unlike those before; 1 when they are."""
    from mend import project

    try:
        from mend.learning import live
        from mend.learning.live import drift
    except ImportError as error:
        raise DefinitionError(
            "mend learn", 0, 0, f"{error.name} is missing", "pip install 'mendline[learn]'"
        ) from error
    process = project.open_process(project.of_root(root))
    since = process.clock.now() - days * 86_400_000_000
    found: dict[str, Any] = drift(live.heard(process.store), since)
    if as_json:
        print_json(found)
    else:
        names = ("before", "after", "distance", "chance", "drifted")
        rows = [[name, *(each[key] for key in names)] for name, each in found["measures"].items()]
        print_table("messages", ("measure", *names), rows, empty=_too_few(found, live.COMPARED_MIN))
        if found["drifted"]:
            console().print("What comes in has changed: judge some by mend feedback, and train anew with mend learn.")
    return Exit.FAILED if found["drifted"] else Exit.DONE


def _too_few(found: dict[str, Any], least: int) -> str:
    return f"{found['before']:,} before and {found['after']:,} since: {least} on each side are needed"
