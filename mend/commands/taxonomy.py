"""``mend taxonomy``: the failure classes and causes, what they are, how they are seen, and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mend.commands.options import Json
from mend.output import Exit, console, print_json, print_table
from shared.domain.errors import DefinitionMissing
from shared.domain.incident import FailureClass
from shared.domain.masking import one_line

if TYPE_CHECKING:
    from shared.domain.causes import Cause, ClassMeaning


def taxonomy(
    name: Annotated[str, typer.Argument(help="A failure class or a cause; without it, all of them.")] = "",
    as_json: Json = False,
) -> None:
    """Say what the failure classes and causes are, by what they are seen, and which remedies fit."""
    from shared.domain.causes import CAUSES, CLASSES

    if name and name in CAUSES and name not in set(FailureClass):
        _one_cause(CAUSES[name], as_json)
    else:
        chosen = list(CLASSES.values()) if not name else [_class_named(name)]
        _classes(chosen, as_json)
    raise typer.Exit(Exit.DONE)


def _class_named(name: str) -> ClassMeaning:
    from shared.domain.causes import CAUSES, CLASSES

    if name in set(FailureClass):
        return CLASSES[FailureClass(name)]
    from shared.domain.definition_file import suggestion

    near = suggestion(name, [*CAUSES, *map(str, CLASSES)])
    raise DefinitionMissing(
        f"there is no failure class or cause {one_line(name, 60)} ({near}); mend taxonomy lists them"
    )


def as_document(cause: Cause) -> dict[str, Any]:
    """A cause for programs."""
    return {
        "cause": cause.name,
        "failure_class": str(cause.failure_class),
        "definition": cause.meaning,
        "evidence": cause.evidence,
        "remedies": list(cause.remedies),
        "advice": cause.advice,
        "recognised": cause.recognised,
    }


def _one_cause(cause: Cause, as_json: bool) -> None:
    if as_json:
        print_json(as_document(cause))
        return
    out = console()
    out.print(f"{cause.failure_class} / {cause.name}")
    out.print(f"  {cause.meaning}")
    out.print(f"  seen by: {cause.evidence}")
    out.print(f"  remedies that fit: {', '.join(cause.remedies)}")
    out.print(f"  what a person does: {cause.advice}")
    if not cause.recognised:
        out.print("  No evidence decides it by itself; a person names it: mend feedback INCIDENT --cause " + cause.name)


def _classes(chosen: list[ClassMeaning], as_json: bool) -> None:
    from shared.domain.causes import CAUSES

    found = [(each, [c for c in CAUSES.values() if c.failure_class == each.failure_class]) for each in chosen]
    if as_json:
        told = [
            {
                "failure_class": str(each.failure_class),
                "definition": each.meaning,
                "evidence": each.evidence,
                "causes": [as_document(cause) for cause in causes],
            }
            for each, causes in found
        ]
        print_json({"classes": told})
        return
    out = console()
    for number, (each, causes) in enumerate(found):
        out.print(("\n" if number else "") + f"{each.failure_class}: {each.meaning}")
        out.print(f"  seen by: {each.evidence}")
        rows = [
            [cause.name + ("" if cause.recognised else " *"), cause.meaning, ", ".join(cause.remedies)]
            for cause in causes
        ]
        print_table("", ["cause", "what it is", "remedies that fit"], rows)
    out.print("\n* no evidence decides it by itself; a person names it (mend feedback)")
