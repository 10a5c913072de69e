"""``mend explain``: the whole story of an incident, a remedy or a batch."""

from __future__ import annotations

from typing import Annotated

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, print_json


def explain(
    what: Annotated[str, typer.Argument(help="Id of an incident (i…), remedy (r…) or batch (b…), or its beginning.")],
    root: Root = None,
    values: Annotated[bool, typer.Option("--values", help="Show repaired cells before and after.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Show what the services wrote in their log about it.")] = False,
    as_json: Json = False,
) -> None:
    """What was seen, believed and done, by whose decision, how it was verified, what it changed, how to undo it."""
    from mend import explain as stories
    from mend import log_story, lookup, project, root_cause, story_text
    from shared.domain.masking import clean

    process = project.open_process(project.of_root(root))
    store = stories.Store(process.store, process.objects, process.definitions, str(process.settings.root))
    story = stories.explain(store, lookup.find(process.store, what), values=values)
    if story["kind"] == "incident":
        story["began"] = root_cause.tree(process.store, process.definitions, story["id"], story["seen"]["first_seen"])
    if logs:
        story["logs"] = log_story.entries(process.log_reader(), story)
    if as_json:
        print_json(story)
    else:
        out = console()
        for line in story_text.lines(story):
            out.print(clean(line.replace("\n", " "), 2_000))
        for line in log_story.lines(story["logs"]) if logs else ():
            out.print(clean(line.replace("\n", " "), 2_000))
    raise typer.Exit(Exit.WAITING if stories.waits_for_person(story) else Exit.DONE)
