"""What is believed of an incident, and what the taxonomy says of that belief, for its story."""

from __future__ import annotations

from typing import Any, Final

from shared.domain.causes import CAUSES
from shared.domain.masking import one_line
from shared.ports.state_store import StateStore

Story = dict[str, Any]
NOTE_CHARACTERS_MAX: Final = 1_000


def believed(state: StateStore, key: str, incident: dict[str, Any]) -> Story:
    """The diagnosis with its evidence, how it changed, what the cause means, and what is known of such failures."""
    from mend import counterfactuals, knowledge, knowledge_search

    names = ("failure_class", "cause", "confidence", "explanation")
    because = [
        {name: each.get(name, "") for name in ("source", "field", "value", "weight")}
        for each in incident.get("diagnosis") or []
        if isinstance(each, dict)
    ]
    near = knowledge_search.near(knowledge.entries(state), key, incident)
    earlier = (incident.get("diagnoses") or [])[:-1]
    cause = CAUSES.get(str(incident.get("cause", "")))
    return {
        **{name: incident.get(name, "") for name in (*names, "model")},
        "means": cause.meaning if cause else "",
        "rivals": [each for each in incident.get("rivals") or [] if isinstance(each, dict)],
        "remedies_that_fit": list(cause.remedies) if cause else [],
        "advice": cause.advice if cause else "",
        "because": because,
        "would_change": counterfactuals.would_change(incident),
        "before": [{name: each.get(name, "") for name in ("at", "attempt", *names, "model")} for each in earlier],
        "near": [
            {**{name: getattr(each.entry, name) for name in ("id", "kind", "title")}, "because": each.because}
            for each in near
        ],
        "similar": list(incident.get("similar") or []),
        "feedback": [each for each in incident.get("feedback") or [] if isinstance(each, dict)],
    }


def sentence(said: dict[str, Any]) -> str:
    """What a person said of a diagnosis, in words."""
    believed = f"{said.get('believed_class')}/{said.get('believed_cause')}"
    told = f"{one_line(str(said.get('by', '')), 100)}: {believed} is {said.get('verdict')}"
    if said.get("verdict") == "wrong" and said.get("failure_class"):
        told += f"; it was {said['failure_class']}" + (f"/{said['cause']}" if said.get("cause") else "")
    note = one_line(str(said.get("note", "")), NOTE_CHARACTERS_MAX)
    return told + (f" ({note})" if note else "")
