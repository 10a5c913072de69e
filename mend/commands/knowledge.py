"""``mend knowledge``: what a team knows, beside what was learned: add it, take it from files, search it, show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mend.commands.options import By, Json, Root, person
from mend.output import Exit, console, counted, print_json, print_table, shown
from shared.domain.knowledge import KnowledgeKind
from shared.domain.masking import visible

if TYPE_CHECKING:
    from mend.knowledge import Entry
    from mend.knowledge_files import Draft
    from shared.events.types import KnowledgeNoted
    from shared.runtime.wiring import Process

_SHOWN_MAX = 200
_LINE_CHARACTERS_MAX = 2_000
_TITLE_CHARACTERS_MAX = 100  # of a title that is taken from the first line

app = typer.Typer(
    name="knowledge",
    help="Runbooks, best practice, past incidents and what else a team knows: add, search, show, export.",
    no_args_is_help=True,
)
_KINDS = ", ".join(KnowledgeKind)
Kind = Annotated[str, typer.Option("--kind", help=f"One of: {_KINDS}.")]
EntryId = Annotated[str, typer.Argument(help="Id of the entry (mend knowledge list), or its beginning.")]


@app.command("add")
def add(
    file: Annotated[Path | None, typer.Argument(help="A text or Markdown file: one entry.")] = None,
    text: Annotated[str, typer.Option("--text", help="The entry itself, instead of a file.")] = "",
    kind: Kind = "",
    title: Annotated[str, typer.Option("--title", help="Default: the first heading or line.")] = "",
    cause: Annotated[str, typer.Option("--cause", help="The cause it is about (mend taxonomy).")] = "",
    pipeline: Annotated[str, typer.Option("--pipeline", help="The pipeline it is about.")] = "",
    root: Root = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Add an entry, or a new version of the one with this kind and title."""
    from mend import knowledge_files

    if (file is None) == (not text):
        raise typer.BadParameter("name a file, or say --text")
    content = knowledge_files.text_of(file) if file is not None else text
    heading, _, rest = content.strip().partition("\n")
    named = heading.startswith("# ")
    draft = knowledge_files.Draft(
        kind, title or shown(heading.lstrip("# "), _TITLE_CHARACTERS_MAX), rest if named and rest.strip() else content
    )
    place = str(file) if file is not None else "--text"
    checked = knowledge_files.drafted(draft._replace(cause=cause, pipeline=pipeline), place)
    done = _note(root, [checked], by, file.name if file is not None else "")
    _report(done, as_json)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, Markdown or JSON: one entry a row or first-level heading.")],
    kind: Kind = "",
    root: Root = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Add every entry of a file, or none of it; importing it again changes nothing."""
    from mend import knowledge_files

    _refuse_unknown(kind)
    _report(_note(root, knowledge_files.read(file, kind), by, file.name), as_json)


@app.command("remove")
def remove(entry: EntryId, root: Root = None, by: By = "", as_json: Json = False) -> None:
    """Take an entry back; its versions stay on record, and adding it again brings it back."""
    from mend import knowledge, project, runner

    process = project.open_process(project.of_root(root))
    found = knowledge.find(knowledge.written(process.store), entry)
    runner.run_events(process, [_event(process, found, found.id, person(by), found.source, withdrawn=True)])
    if as_json:
        print_json({"removed": knowledge.as_document(found)})
    else:
        console().print(f"removed {found.id} {shown(found.title, 200)}")
    raise typer.Exit(Exit.DONE)


@app.command("list")
def list_entries(kind: Kind = "", root: Root = None, as_json: Json = False) -> None:
    """Everything that is known: what people wrote, and what was learned from incidents and decisions."""
    from mend import knowledge, project

    _refuse_unknown(kind)
    process = project.open_process(project.of_root(root))
    found = knowledge.entries(process.store, kind)
    if as_json:
        print_json({"entries": [knowledge.as_document(each) for each in found]})
    else:
        rows = [[each.id, each.kind, shown(each.title, 120), each.cause, _from(each)] for each in found[:_SHOWN_MAX]]
        print_table("knowledge", ["id", "kind", "title", "cause", "from"], rows)
        if len(found) > _SHOWN_MAX:
            console().print(f"… and {len(found) - _SHOWN_MAX:,} more: --kind KIND or --json")
    raise typer.Exit(Exit.DONE)


@app.command("search")
def search(
    words: Annotated[list[str], typer.Argument(help="Words to look for.")],
    kind: Kind = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="Entries to show.")] = 10,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """The entries that are nearest to some words, and because of which of them."""
    from mend import knowledge, knowledge_search, project

    _refuse_unknown(kind)
    process = project.open_process(project.of_root(root))
    found = knowledge_search.search(knowledge.entries(process.store, kind), " ".join(words), limit)
    if as_json:
        told = [{**knowledge.as_document(each.entry), "score": each.score, "because": each.because} for each in found]
        print_json({"entries": told})
        raise typer.Exit(Exit.DONE)
    out = console()
    for each in found:
        out.print(f"{each.entry.id}  {each.entry.kind}: {shown(each.entry.title, 200)}")
        out.print(f"    because of {shown(each.because, 300)}")
        out.print(f"    {shown(each.entry.text, 200)}")
    out.print("mend knowledge show ID   # the whole entry" if found else "nothing is known of that")
    raise typer.Exit(Exit.DONE)


@app.command("show")
def show(
    entry: EntryId,
    version: Annotated[int, typer.Option("--version", min=0, help="An earlier version.")] = 0,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """A whole entry, and who wrote which version of it."""
    from mend import knowledge, project
    from shared.domain.errors import DefinitionMissing

    process = project.open_process(project.of_root(root))
    found = knowledge.find(knowledge.entries(process.store), entry)
    every = [found] if found.learned else knowledge.versions(process.store, found.id)
    if version:
        chosen = [each for each in every if each.version == version]
        if not chosen:
            raise DefinitionMissing(f"{found.id} has {counted(len(every), 'version')}; there is no version {version}")
        found = chosen[0]
    if as_json:
        told = [{name: getattr(each, name) for name in ("version", "at", "by", "source")} for each in every]
        print_json({**knowledge.as_document(found), "versions": told})
    else:
        _print_entry(found, every)
    raise typer.Exit(Exit.DONE)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="File to write: .csv, .md or .json.")],
    kind: Kind = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Write everything that is known into a file that another store can import."""
    from mend import knowledge, knowledge_files, project

    _refuse_unknown(kind)
    process = project.open_process(project.of_root(root))
    found = knowledge.entries(process.store, kind)
    knowledge_files.write(file, found)
    if as_json:
        print_json({"file": str(file), "entries": len(found)})
    else:
        console().print(f"{counted(len(found), 'entry', 'entries')} in {file}")
    raise typer.Exit(Exit.DONE)


def _refuse_unknown(kind: str) -> None:
    if kind and kind not in set(KnowledgeKind):
        raise typer.BadParameter(f"there is no kind {shown(kind, 60)}; there are {_KINDS}", param_hint="--kind")


def _note(root: Root, drafts: Sequence[Draft], by: str, source: str) -> list[dict[str, Any]]:
    """Send the entries to their writer, and say of each whether it is new, changed or was so already."""
    from mend import project, runner
    from shared.domain.knowledge import entry_id

    process = project.open_process(project.of_root(root))
    named = {entry_id(each.kind, each.title): each for each in drafts}  # of two with one name the later holds
    before = {key: process.store.get("knowledge", f"entry:{key}") for key in named}
    events = [_event(process, draft, key, person(by), source) for key, draft in named.items()]
    runner.run_events(process, events)
    done = []
    for key, draft in named.items():
        was, now = before[key], process.store.get("knowledge", f"entry:{key}")
        state = "told" if now is None else "added" if was is None else "changed"
        if was is not None and now is not None and was.data["version"] == now.data["version"]:
            state = "unchanged"
        version = now.data["version"] if now is not None else 0
        done.append({"id": key, "kind": draft.kind, "title": draft.title, "version": version, "state": state})
    return done


def _event(
    process: Process, content: Draft | Entry, key: str, by: str, source: str, *, withdrawn: bool = False
) -> KnowledgeNoted:
    from shared.events.types import KnowledgeNoted

    event_id = process.ids.new()
    return KnowledgeNoted(
        id=event_id,
        time=process.clock.now(),
        subject=key,
        correlation_id=event_id,
        entry_id=key,
        kind=content.kind,
        title=content.title,
        text=content.text,
        cause=content.cause,
        pipeline=content.pipeline,
        source=shown(source, 200),
        by=shown(by, 200),
        withdrawn=withdrawn,
    )


def _report(done: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"entries": done})
    else:
        out = console()
        for each in done[:_SHOWN_MAX]:
            told = f"{each['state']} {each['id']} {each['kind']}: {shown(each['title'], 200)}"
            out.print(told + (f", version {each['version']}" if each["version"] > 1 else ""))
        if len(done) > _SHOWN_MAX:
            out.print(f"… and {len(done) - _SHOWN_MAX:,} more")
    raise typer.Exit(Exit.DONE)


def _from(entry: Entry) -> str:
    if entry.learned:
        return "learned"
    return shown(entry.by, 60) + (f", version {entry.version}" if entry.version > 1 else "")


def _print_entry(entry: Entry, every: Sequence[Entry]) -> None:
    from mend.story_text import moment

    out = console()
    out.print(f"{entry.id}  {entry.kind}: {shown(entry.title, 300)}")
    about = [f"cause {entry.cause}" if entry.cause else "", f"pipeline {entry.pipeline}" if entry.pipeline else ""]
    about += [f"from {shown(entry.source, 200)}" if entry.source else ""]
    if any(about):
        out.print("  " + " · ".join(each for each in about if each))
    for each in every:
        here = " (shown)" if each.version == entry.version and len(every) > 1 else ""
        who = "learned" if each.learned else f"version {each.version} by {shown(each.by, 100)}"
        out.print(f"  {moment(each.at)} {who}{here}")
    out.print("")
    for line in entry.text.splitlines():
        out.print(f"  {visible(line[:_LINE_CHARACTERS_MAX])}")
