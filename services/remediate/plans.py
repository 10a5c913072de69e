"""What a remedy is given (a case), what it answers (a plan), and what it must offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from services.remediate.attempt import CellChange, Discard
from services.remediate.quarantine import Quarantine
from services.remediate.records import Finding, Healing
from shared.domain.contract import Column, Contract
from shared.domain.pipeline import PipelineDefinition
from shared.domain.policy import Policy
from shared.domain.remedy import Tier
from shared.ports.ports import Ports

Action = Literal["retry", "refetch", "reading", "columns", "cells", "discard", "await", "waive", "person"]
Stage = Literal["delivery", "columns", "rows", "batch"]


class Fit(NamedTuple):
    """How well a remedy helped against a cause before anything was seen: a written Beta prior, and why."""

    successes: float
    failures: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a remedy would do. Values stand only in ``changes`` and ``discards``, which never leave the files."""

    action: Action
    sentence: str
    rows: int = 0  # rows that it concerns
    rows_changed: int = 0  # of these, rows whose cells change or that are dropped
    columns: tuple[str, ...] = ()
    p_cause: float = 0.0  # of the rows concerned; a diagnosis speaks for all failing rows, a plan picks those that fit
    confidence: float = 1.0  # of the plan itself: below 1 when the evidence leaves a choice
    changes: tuple[CellChange, ...] = ()
    discards: tuple[Discard, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    waive: tuple[str, ...] = ()
    reading_options_json: str = ""
    table: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)  # counts, names and formats for people
    signature: str = ""  # what a decision about it holds for, in names and formats; "" = for this case alone
    question: str = ""  # what it answers, when several signatures answer the same; "" = the signature
    decided_by_values: bool = False  # the values leave one answer only

    def told(self) -> dict[str, Any]:
        """The plan for events and documents: names and counts, no cell value."""
        told: dict[str, Any] = {"action": self.action, "rows": self.rows, "rows_changed": self.rows_changed}
        told |= {"columns": list(self.columns)[:200], **self.details}
        if self.rename:
            told["rename"] = dict(self.rename)
        if self.accept:
            told["accept"] = list(self.accept)
        if self.waive:
            told["waive"] = list(self.waive)
        if self.reading_options_json:
            told["reading"] = self.reading_options_json
        if self.signature:
            told |= {"signature": self.signature, "question": self.question}
            told["decided_by_values"] = self.decided_by_values
        return told


@dataclass(slots=True, kw_only=True)
class Case:
    """An incident with everything a remedy may look at. Batch fields are None for an incident without a batch."""

    finding: Finding
    ports: Ports
    policy: Policy
    definition: PipelineDefinition | None = None
    contract: Contract | None = None
    healing: Healing | None = None
    quarantine: Quarantine | None = None
    uri: str = ""
    bytes: int = 0  # of the delivery
    readings: tuple[str, ...] = ()  # options of the readings made so far, the current one last
    alternatives: list[Any] = field(default_factory=list)  # other readings, where the evidence only counts them
    claimed: Mapping[str, str] = field(default_factory=dict)  # renames that this round already plans

    @property
    def decimal_comma(self) -> bool:
        """True when the current reading writes numbers with a decimal comma."""
        from shared.domain.reading import ReadingOptions

        return bool(self.readings) and ReadingOptions.from_json(self.readings[-1]).decimal == ","

    def contract_column(self) -> Column | None:
        """The one contract column that is concerned; None for none or several."""
        columns = self.finding.columns
        if self.contract is None or len(columns) != 1:
            return None
        return self.contract.column(columns[0])

    def staged_name(self, column: str) -> str:
        """What a contract column is called in the staged files."""
        renamed = self.healing.rename if self.healing else {}
        return next((delivered for delivered, wanted in renamed.items() if wanted == column), column)


class RemedyKind(Protocol):
    """A registered, typed way to heal: it plans; the machine applies, verifies and may undo it."""

    @property
    def name(self) -> str:
        """Under which it is registered."""

    @property
    def tier(self) -> Tier:
        """How much it can harm."""

    @property
    def stage(self) -> Stage:
        """Whether it works on the whole delivery, on columns, on rows, or accepts the batch as it is."""

    @property
    def fits(self) -> Mapping[str, Fit]:
        """The causes it may help against; "" = any."""

    @property
    def person_only(self) -> bool:
        """Never by itself, except in autonomous mode if ``alone_when_autonomous``."""

    @property
    def alone_when_autonomous(self) -> bool:
        """See ``person_only``."""

    @property
    def times_max(self) -> int:
        """Tries on one incident."""

    def plan(self, case: Case) -> Plan | None:
        """What would be done; None when it cannot help here. Reads only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """Common fields of the remedies in the playbook."""

    name: str
    tier: Tier
    stage: Stage
    fits: Mapping[str, Fit]
    person_only: bool = False
    alone_when_autonomous: bool = False
    times_max: int = 1
