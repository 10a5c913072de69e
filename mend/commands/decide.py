"""``mend approve``, ``mend reject``, ``mend undo``: what a person says, carried out at once."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from mend.commands.options import By, Json, Reason, Root, person
from mend.output import Exit, console, print_json, progress_bar

_UNDER_WAY: Final = {"approve": {"approved", "applied"}}
_NOT_YET: Final = "the services were told, and nothing has changed for a minute"

Remedy = Annotated[str, typer.Argument(help="Id of the remedy (r…), as mend incidents shows it.")]


def approve(remedy: Remedy, root: Root = None, by: By = "", reason: Reason = "", as_json: Json = False) -> None:
    """Let a proposed remedy run, and say what came of it."""
    _decide(remedy, "approve", root, by, reason, as_json)


def reject(remedy: Remedy, root: Root = None, by: By = "", reason: Reason = "", as_json: Json = False) -> None:
    """Refuse a proposed remedy; the next candidate has its turn."""
    _decide(remedy, "reject", root, by, reason, as_json)


def undo(remedy: Remedy, root: Root = None, by: By = "", reason: Reason = "", as_json: Json = False) -> None:
    """Take back what a remedy changed: its rows leave the table and are where they were before."""
    _decide(remedy, "undo", root, by, reason, as_json)


def _decide(remedy: str, decision: str, root: Root, by: str, reason: str, as_json: bool) -> None:
    from mend import lookup, project, runner
    from shared.domain.errors import DefinitionMissing
    from shared.events.types import RemedyDecided

    with progress_bar(quiet=as_json) as progress:
        process = project.open_process(project.of_root(root), progress=progress)
        stored = process.store.get("remedies", remedy)
        if stored is None:
            raise DefinitionMissing(
                f"there is no remedy {remedy}; mend incidents --root {process.settings.root} lists them"
            )
        event_id = process.ids.new()
        event = RemedyDecided(
            id=event_id,
            time=process.clock.now(),
            subject=remedy,
            correlation_id=event_id,
            traceparent=lookup.trace_of(process.store, str(stored.data["incident_id"])),
            remedy_id=remedy,
            decision=decision,
            by=person(by),
            reason=reason[:500],
        )
        runner.run_events(process, [event])
        under_way = {str(stored.data["state"]), *_UNDER_WAY.get(decision, ())}

        def now() -> dict[str, Any]:
            found = process.store.get("remedies", remedy)
            return found.data if found is not None else stored.data

        runner.await_services(process, lambda: now()["state"] not in under_way)
        data = now()
    names = ("remedy_id", "remedy", "incident_id", "state", "plan_text", "decided_by", "rows_healed", "rows_not_healed")
    shown = {name: data.get(name, "") for name in (*names, "explanation")}
    if as_json:
        print_json({"decision": decision, **shown})
    else:
        out = console()
        before = str(stored.data["state"])
        elsewhere = process.settings.backend == "gcp" and shown["state"] == before
        out.print(f"{decision}: {_NOT_YET if elsewhere else _said(decision, shown, before)}")
        out.print(f"mend explain {shown['incident_id']} --root {process.settings.root}   # the whole story")
    wanted = {"approve": {"verified", "applied", "approved"}, "reject": {"rejected"}, "undo": {"undone"}}[decision]
    raise typer.Exit(Exit.DONE if shown["state"] in wanted else Exit.FAILED)


def _said(decision: str, shown: dict[str, Any], before: str) -> str:
    """What came of it; a decision that came too late changed nothing."""
    remedy, state = shown["remedy"], shown["state"]
    if state == before:
        return f"nothing changed, {remedy} was {state} already"
    if decision == "undo" and state == "undone":
        told = f"{remedy} is undone; what it changed is as it was before"
        return f"{told} ({shown['explanation']})" if "same names" in shown["explanation"] else told
    said = f"{remedy} is now {state}"
    return f"{said}. {shown['explanation']}" if shown["explanation"] else said
