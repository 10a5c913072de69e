"""What people are told of an event: a title, one sentence, facts, and the command that acts on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from shared.domain.ids import derive
from shared.domain.incident import IncidentState
from shared.domain.masking import clean, one_line
from shared.events.types import BatchHeld, IncidentClosed, RemedyApplied, RemedyProposed, RemedyUndone
from shared.ports.channel import Notice
from shared.ports.state_store import Document

Facts = Sequence[tuple[str, object]]
_FACT_CHARACTERS_MAX = 300
_SUMMARY_CHARACTERS_MAX = 1_000
_SEVERITIES: dict[str, Literal["info", "warning", "error"]] = {
    IncidentState.HEALED: "info",
    IncidentState.DISMISSED: "info",
    IncidentState.ESCALATED: "error",
}


class Telling(NamedTuple):
    """A message before it is known whether, and to whom, it is sent."""

    key: str  # one message per key, ever
    family: str  # messages of one family within an hour are told once
    pipeline: str
    title: str
    summary: str
    severity: Literal["info", "warning", "error"]
    facts: tuple[tuple[str, str], ...]
    command: str
    incident_id: str = ""
    batch_id: str = ""

    def notice(self, event_id: str, others: int) -> Notice:
        """The message as a channel takes it; ``others`` of its family have been counted but not told."""
        facts = self.facts
        if others:
            facts = (*facts, ("Others of this kind", f"{others:,} in the last hour; mend incidents lists them"))
        return Notice(
            key=f"{self.key}|{event_id}",
            title=self.title,
            summary=self.summary,
            severity=self.severity,
            facts=facts,
            command=self.command,
        )


def of_proposed(event: RemedyProposed, incident: Document) -> Telling:
    """A person should decide; each remedy is a decision of its own."""
    return _telling(
        f"proposed|{event.remedy_id}",
        ("proposed", event.pipeline, f"{event.remedy}|{_asked(event)}"),
        incident,
        event.pipeline,
        title=f"Your decision: {_spoken(event.remedy)}, {_place(event.pipeline, incident)}",
        summary=event.plan,
        severity="warning",
        facts=(
            *_what_happened(incident),
            ("Why it waits", event.reason),
            ("Batch", event.batch_id),
            ("Rows concerned", f"{event.rows:,}" if event.rows else ""),
            ("How sure", f"{event.p_cause:.0%} of the cause, {event.p_success:.0%} that it helps"),
            ("Expires", _moment(event.expires)),
            ("The whole story", f"mend explain {event.incident_id}"),
        ),
        command=f"mend approve {event.remedy_id}",
        incident_id=event.incident_id,
        batch_id=event.batch_id,
    )


def _asked(event: RemedyProposed) -> str:
    """What a decision will hold for: proposals that ask the same are of one family; "" when each stands alone."""
    try:
        plan = json.loads(event.plan_json or "{}")
    except ValueError:
        return ""
    return str(plan.get("signature", "")) if isinstance(plan, dict) else ""


def of_applied(event: RemedyApplied, incident: Document) -> Telling:
    """A remedy was carried out; told once per incident, however many follow."""
    changed = (
        ("Rows concerned", f"{event.rows:,}" if event.rows else ""),
        ("Cells changed", f"{event.cells_changed:,}" if event.cells_changed else ""),
        ("Rows discarded", f"{event.rows_discarded:,}" if event.rows_discarded else ""),
        ("Columns", ", ".join(event.columns[:10])),
    )
    return _telling(
        f"applied|{event.incident_id}",
        ("applied", event.pipeline, event.remedy),
        incident,
        event.pipeline,
        title=f"Applied: {_spoken(event.remedy)}, {_place(event.pipeline, incident)}",
        summary=event.plan or "Whether it helped is known once its rows are checked and loaded.",
        severity="info",
        facts=(*_what_happened(incident), *changed, ("Batch", event.batch_id), ("Decided by", event.decided_by)),
        command=f"mend undo {event.remedy_id}",
        incident_id=event.incident_id,
        batch_id=event.batch_id,
    )


def of_undone(event: RemedyUndone, incident: Document) -> Telling:
    """A remedy's effect was taken back."""
    return _telling(
        f"undone|{event.remedy_id}",
        ("undone", event.pipeline, event.remedy),
        incident,
        event.pipeline,
        title=f"Undone: {_spoken(event.remedy)}, {_place(event.pipeline, incident)}",
        summary="What the remedy changed is as it was before.",
        severity="warning",
        facts=(
            *_what_happened(incident),
            ("Batch", event.batch_id),
            ("Rows", f"{event.rows:,}" if event.rows else ""),
            ("By", event.by),
            ("Read with the same names, and left as loaded", ", ".join(event.alike)),
        ),
        command=f"mend explain {event.incident_id}",
        incident_id=event.incident_id,
        batch_id=event.batch_id,
    )


def of_closed(event: IncidentClosed, incident: Document) -> Telling:
    """An incident ended, or was handed to a person for good."""
    titles = {
        IncidentState.HEALED: "Healed",
        IncidentState.DISMISSED: "Dismissed",
        IncidentState.ESCALATED: "Needs a person",
    }
    title = next((text for state, text in titles.items() if state == event.state), "Closed")
    return _telling(
        f"closed|{event.incident_id}|{event.state}",
        ("closed", event.pipeline, event.state),
        incident,
        event.pipeline,
        title=f"{title}: {_spoken(str(incident.get('cause', 'incident')))}, {_place(event.pipeline, incident)}",
        summary=event.explanation,
        severity=_SEVERITIES.get(event.state, "warning"),
        facts=(
            *_what_happened(incident),
            ("Batch", event.batch_id),
            ("Rows healed", f"{event.rows_healed:,}" if event.rows_healed else ""),
            ("Rows left", f"{event.rows_left:,}" if event.rows_left else ""),
        ),
        command=f"mend explain {event.incident_id}",
        incident_id=event.incident_id,
        batch_id=event.batch_id,
    )


def of_held(event: BatchHeld, uri: str = "") -> Telling:
    """Nothing of a batch was released; told once per batch."""
    return _telling(
        f"held|{event.batch_id}",
        ("held", event.pipeline, _without_figures(event.reason)),
        {},
        event.pipeline,
        title=f"Held: a batch of {event.pipeline}",
        summary=event.reason,
        severity="warning",
        facts=(
            ("Source", uri),
            ("Batch", event.batch_id),
            ("Rows", f"{event.rows:,}"),
            ("Attempt", str(event.attempt)),
        ),
        command="mend incidents",
        batch_id=event.batch_id,
    )


def _telling(
    key: str,
    family: tuple[str, str, str],
    incident: Document,
    pipeline: str,
    *,
    title: str,
    summary: str,
    severity: Literal["info", "warning", "error"],
    facts: Facts,
    command: str,
    incident_id: str = "",
    batch_id: str = "",
) -> Telling:
    """Every text bounded and clean; facts without a value are left out."""
    about = [str(incident.get(name, "")) for name in ("system", "service", "check", "column", "cause")]
    shown = tuple((name, one_line(str(value), _FACT_CHARACTERS_MAX)) for name, value in facts if value)
    return Telling(
        key=key,
        family=derive(*family, *about, length=20),
        pipeline=pipeline,
        title=clean(title, 200),
        summary=clean(summary, _SUMMARY_CHARACTERS_MAX),
        severity=severity,
        facts=shown,
        command=command,
        incident_id=incident_id,
        batch_id=batch_id,
    )


def _what_happened(incident: Document) -> list[tuple[str, object]]:
    failed, rows = int(incident.get("rows_failed", 0)), int(incident.get("rows", 0))
    reports = int(incident.get("reports", 0))
    return [
        ("What happened", incident.get("explanation", "")),
        ("Class", incident.get("failure_class", "")),
        ("Rows failed", f"{failed:,} of {rows:,}" if failed else ""),
        ("Reports", f"{reports:,}" if reports > 1 else ""),
        ("Source", incident.get("uri", "")),
    ]


def _place(pipeline: str, incident: Document) -> str:
    return pipeline or str(incident.get("system") or incident.get("service") or "no pipeline")


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _without_figures(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC") if micros else ""
