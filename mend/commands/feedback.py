"""``mend feedback``: a person says whether a diagnosis was right, and what it was instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from mend.commands.options import By, Json, Root, person
from mend.output import Exit, console, print_json
from shared.domain.masking import clean, one_line

if TYPE_CHECKING:
    from mend.lookup import Named
    from shared.events.types import IncidentJudged
    from shared.runtime.wiring import Process


class Verdict(NamedTuple):
    """What was said: right or wrong, and the class and cause that it was."""

    verdict: str
    failure_class: str = ""
    cause: str = ""


def feedback(
    incident: Annotated[str, typer.Argument(help="Id of the incident (i…), or its beginning.")],
    right: Annotated[bool, typer.Option("--right", help="The diagnosis was right.")] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="The diagnosis was wrong.")] = False,
    failure_class: Annotated[str, typer.Option("--class", help="The failure class that it was.")] = "",
    cause: Annotated[str, typer.Option("--cause", help="The cause that it was (mend taxonomy).")] = "",
    note: Annotated[str, typer.Option("--note", help="What a later reader should know.")] = "",
    root: Root = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Say whether a diagnosis is right, or what it is: this incident's from now on, and evidence for others like it."""
    from mend import lookup, project, runner
    from services.classify.people import may_judge

    named = _named_causes(failure_class, cause)
    process = project.open_process(project.of_root(root))
    found = lookup.find(process.store, incident, ["incident"])
    verdict = _verdict(found.data, right, wrong, named)
    if not may_judge(process.definitions, person(by)):
        who = f"{one_line(person(by), 100)} may not decide here"
        console(stderr=True).print(f"nothing was kept: {who} (approvals.people in policy.yaml says who may)")
        raise typer.Exit(Exit.FAILED)
    runner.run_events(process, [_event(process, found, verdict, person(by), note)])

    def now() -> dict[str, Any]:
        after = process.store.get("incidents", found.key)
        return after.data if after is not None else found.data

    before = list(found.data.get("feedback", []))
    runner.await_services(process, lambda: list(now().get("feedback", [])) != before)
    judged = now()
    known = list(judged.get("feedback", []))
    said: dict[str, Any] = known[-1] if known else {}
    if as_json:
        diagnosis = {name: judged.get(name, "") for name in ("failure_class", "cause", "confidence")}
        print_json({"incident_id": found.key, "feedback": said, "before": known[:-1], "diagnosis": diagnosis})
    else:
        _show(found, judged, said, str(process.settings.root))
    raise typer.Exit(Exit.DONE)


def _named_causes(failure_class: str, cause: str) -> tuple[str, str]:
    """The class and cause as they were named, checked; a cause brings its class."""
    from shared.domain.causes import CAUSES, failure_class_of
    from shared.domain.definition_file import suggestion
    from shared.domain.incident import FailureClass

    if failure_class and failure_class not in set(FailureClass):
        near = suggestion(failure_class, map(str, FailureClass))
        raise typer.BadParameter(f"there is no class {one_line(failure_class, 60)} ({near})", param_hint="--class")
    if cause and cause not in CAUSES:
        near = suggestion(cause, CAUSES)
        raise typer.BadParameter(f"there is no cause {one_line(cause, 60)} ({near})", param_hint="--cause")
    if cause and failure_class not in ("", failure_class_of(cause)):
        raise typer.BadParameter(f"{cause} is a cause of {failure_class_of(cause)}", param_hint="--cause")
    return str(failure_class_of(cause)) if cause else failure_class, cause


def _verdict(incident: dict[str, Any], right: bool, wrong: bool, named: tuple[str, str]) -> Verdict:
    believed = str(incident.get("failure_class", "")), str(incident.get("cause", ""))
    failure_class, cause = named
    if right + wrong + bool(failure_class) == 0 or (right and wrong):
        raise typer.BadParameter("say one of --right, --wrong, --class CLASS or --cause CAUSE")
    last = (incident.get("feedback") or [{}])[-1]
    if failure_class and not right and named == (last.get("failure_class"), last.get("cause")):
        return Verdict(last["verdict"], *named)  # said again: it is believed by now because it was said
    same = failure_class == believed[0] and cause in ("", believed[1])
    if failure_class and ((right and not same) or (wrong and same)):
        raise typer.BadParameter(
            f"it was taken for {believed[0]}/{believed[1]}: that is {'right' if same else 'wrong'}"
        )
    if right or (failure_class and same):
        return Verdict("right", *believed)
    return Verdict("wrong", failure_class, cause)


def _event(process: Process, found: Named, verdict: Verdict, by: str, note: str) -> IncidentJudged:
    from mend.beliefs import NOTE_CHARACTERS_MAX
    from shared.events.types import IncidentJudged

    event_id = process.ids.new()
    return IncidentJudged(
        id=event_id,
        time=process.clock.now(),
        subject=found.key,
        correlation_id=event_id,
        traceparent=str(found.data.get("traceparent", "")),
        incident_id=found.key,
        **verdict._asdict(),
        note=clean(note, NOTE_CHARACTERS_MAX),
        by=one_line(by, 200),
        believed_class=str(found.data.get("failure_class", "")),
        believed_cause=str(found.data.get("cause", "")),
    )


def _show(found: Named, now: dict[str, Any], said: dict[str, Any], root: str) -> None:
    from mend.beliefs import sentence
    from mend.evidence_words import share
    from shared.domain.incident import IncidentState

    out, key, before = console(), found.key, found.data
    if not said:
        out.print("the services have been told; mend explain shows it once they have heard")
    else:
        out.print(f"{key}: {sentence(said)}")
        again = [each for each in before.get("feedback", []) if each == said]
        if again:
            out.print("that was said before; nothing changed")
        elif now.get("state") in (IncidentState.HEALED, IncidentState.DISMISSED):
            out.print(f"it is {now['state']}, so its diagnosis stays; later failures like it are diagnosed with this")
        else:
            out.print(f"it is taken for {now['failure_class']}/{now['cause']} now, {share(now['confidence'])} sure")
    out.print(f"mend explain {key} --root {root}   # the whole story")
