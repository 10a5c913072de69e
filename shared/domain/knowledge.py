"""The knowledge base: its kinds, the bounds of an entry, and what names one."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from shared.domain.ids import derive

TITLE_CHARACTERS_MAX: Final = 200
TEXT_CHARACTERS_MAX: Final = 20_000


class KnowledgeKind(StrEnum):
    """What an entry is."""

    PAST_INCIDENT = "past_incident"
    RUNBOOK = "runbook"
    BEST_PRACTICE = "best_practice"
    INFRASTRUCTURE_NOTE = "infrastructure_note"
    TEAM_EXPERTISE = "team_expertise"
    CONFIGURATION_TEMPLATE = "configuration_template"
    ESCALATION_PROCEDURE = "escalation_procedure"


def entry_id(kind: str, title: str) -> str:
    """Id of an entry: ``k`` + 12 hex digits. The same kind and title is the same entry, so that a file can be imported
    again and an edit is a new version."""
    return "k" + derive("knowledge", kind, " ".join(title.split()).casefold(), length=12)
