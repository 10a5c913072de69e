"""The handling of one event: what it emits, and the definitions it needs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from services.remediate.plans import Case
from services.remediate.posterior import Kind, Outcome
from services.remediate.quarantine import Quarantine
from services.remediate.records import Finding, Healing
from shared.domain.contract import Contract, parse_contract
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.domain.policy import Policy, parse_policy
from shared.domain.remedy import Mode
from shared.events.types import Event
from shared.ports.ports import Ports

EVENTS_MAX = 80  # of one handler, well below what a commit may hold


@dataclass(slots=True, kw_only=True)
class Work:
    """One event in hand."""

    cause: Event
    ports: Ports
    events: list[Event] = field(default_factory=list)
    allowed: set[tuple[str, str, str]] = field(default_factory=set)  # (pipeline, incident, remedy) on the budget now
    outcomes: list[tuple[Kind, Outcome]] = field(default_factory=list)  # fed by this handler, not to be seen yet

    @property
    def now(self) -> int:
        """The present."""
        return self.ports.clock.now()

    def emit(self, kind: type[Event], about: str, **fields: Any) -> None:
        """Emit an event with a deterministic id."""
        self.events.append(kind.caused_by(self.cause, about, self.now, **fields))

    @property
    def full(self) -> bool:
        """True when further events have to wait for the next tick."""
        return len(self.events) >= EVENTS_MAX


def read_policy(ports: Ports) -> Policy:
    """The project's policy; without a file the default one; with a broken one nothing runs by itself."""
    try:
        found = ports.definitions.read("policy.yaml")
    except DefinitionMissing:
        return Policy()
    try:
        return parse_policy(found.text, found.path)
    except DefinitionError:
        return Policy(mode_max=Mode.PROPOSE)


def read_pipeline(ports: Ports, pipeline: str) -> PipelineDefinition:
    """The pipeline's file."""
    found = ports.definitions.read(f"pipelines/{pipeline}.yaml")
    return parse_pipeline(found.text, found.path)


def read_contract(ports: Ports, definition: PipelineDefinition) -> Contract:
    """The pipeline's contract with the columns that were accepted since."""
    found = ports.definitions.read(definition.contract)
    contract = parse_contract(found.text, found.path, definition.destination.table)
    accepted = (ports.state.get("contracts", definition.pipeline) or {}).get("columns", [])
    return contract.with_columns([f"{each['name']}:{each['logical_type']}" for each in accepted])


def lone_case(work: Work, finding: Finding) -> Case:
    """The case of an incident without rows. A definition that cannot be read is no reason to fail here."""
    definition = None
    if finding.pipeline:
        try:
            definition = read_pipeline(work.ports, finding.pipeline)
        except (DefinitionError, DefinitionMissing):
            definition = None
    return Case(finding=finding, ports=work.ports, policy=read_policy(work.ports), definition=definition)


def _note_renames(ports: Ports, healing: Healing) -> None:
    """Other names of columns that validate knew by itself: later attempts of the batch repeat them."""
    judged = [each.number for each in healing.standing() if each.verdict and each.reading == healing.reading]
    verdict = ports.state.get("verdicts", f"{healing.batch_id}:{judged[-1]}") if judged else None
    renamed = json.loads((verdict or {}).get("rename_json") or "{}")
    healing.rename = {**renamed, **healing.rename}


@dataclass(slots=True, kw_only=True)
class BatchCases:
    """Makes the cases of one batch's incidents; definitions and quarantine are read once."""

    work: Work
    healing: Healing
    definition: PipelineDefinition
    contract: Contract
    policy: Policy
    quarantine: Quarantine
    uri: str
    bytes: int
    readings: tuple[str, ...]
    alternatives: list[Any]  # readings that the content suggests, as far as ingest noted them

    @classmethod
    def of(cls, work: Work, healing: Healing) -> BatchCases:
        """Read what the batch's cases have in common."""
        ports = work.ports
        definition = read_pipeline(ports, healing.pipeline)
        delivery = ports.state.get("deliveries", healing.batch_id) or {}
        made = list(delivery.get("readings", []))
        _note_renames(ports, healing)
        return cls(
            work=work,
            healing=healing,
            definition=definition,
            contract=read_contract(ports, definition),
            policy=read_policy(ports),
            quarantine=Quarantine(ports.objects, healing),
            uri=str(delivery.get("uri", "")),
            bytes=int(delivery.get("bytes", 0)),
            readings=tuple(str(each.get("options", "")) for each in made),
            alternatives=list(made[-1].get("alternatives", [])) if made else [],
        )

    def case(self, finding: Finding, claimed: dict[str, str]) -> Case:
        """The case of one incident."""
        return Case(
            finding=finding,
            ports=self.work.ports,
            policy=self.policy,
            definition=self.definition,
            contract=self.contract,
            healing=self.healing,
            quarantine=self.quarantine,
            uri=self.uri,
            bytes=self.bytes,
            readings=self.readings,
            alternatives=self.alternatives,
            claimed=claimed,
        )
