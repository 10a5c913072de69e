"""The documents of this service as typed records: a batch's healing, its incidents, remedies."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from shared.domain.checks import check
from shared.domain.ids import derive
from shared.domain.incident import ACTING_CONFIDENCE, CLOSED, Origin
from shared.domain.remedy import RemedyState, may_move
from shared.ports.state import State

HEALINGS = "healings"
REMEDIES = "remedies"
DECISIONS = "decisions"
REPAIRS = "repairs"
BUDGETS = "budgets"
POSTERIORS = "posteriors"
COLLECTIONS = (HEALINGS, REMEDIES, DECISIONS, REPAIRS, BUDGETS, POSTERIORS)

Kind = Literal["reading", "whole", "rows", "superseded"]
Record = TypeVar("Record", "Attempt", "Flight", "Finding", "Remedy")


def _known(cls: type[Any], document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in cls.__dataclass_fields__ if name in document}


def _document(record: Any) -> dict[str, Any]:
    """The record's fields, which ``State.put`` copies; records in them are for the caller to turn into documents."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One pass of a batch, or of some of its rows, through validate and load."""

    number: int
    reading: int
    kind: str = "reading"
    state: str = "open"  # open | done | withdrawn
    remedies: list[str] = field(default_factory=list)
    rows: int = 0
    rows_discarded: int = 0
    verdict: str = ""
    rows_passed: int = 0
    rows_quarantined: int = 0
    incidents: int = 0
    classified: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    loaded: bool = False
    undone: bool = False  # withdrawn because a person wanted it, not because it failed
    rejudged: bool = False  # rows as they were, because something else changed

    @property
    def judged(self) -> bool:
        """True when validate has spoken and every incident of the attempt is diagnosed."""
        return self.verdict != "" and len(self.classified) >= self.incidents

    @property
    def settled(self) -> bool:
        """True when nothing of the attempt is on its way any more."""
        return self.judged and (self.rows_passed == 0 or self.loaded)


@dataclass(slots=True, kw_only=True)
class Flight:
    """The one thing that is under way for a batch."""

    stage: str  # judging | withdrawing | rereading | undoing
    attempt: int  # the attempt that is being made, or taken back
    remedies: list[str]
    reading_options_json: str = ""
    waiting_for: list[int] = field(default_factory=list)  # attempts whose withdrawal is awaited


@dataclass(slots=True, kw_only=True)
class Healing:
    """What is being done about one batch."""

    batch_id: str
    pipeline: str
    kind: str = "batch"
    seq: str = ""
    reading: int = 1
    rename: dict[str, str] = field(default_factory=dict)
    waive: list[str] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    flight: Flight | None = None
    undo: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)  # remedies that helped, but none of whose rows is loaded yet
    warnings: list[str] = field(default_factory=list)  # "check|column" that are reported but hold no row back
    awake: list[str] = field(default_factory=list)  # parent tables that were loaded since
    came: list[str] = field(default_factory=list)  # parent tables that were ever loaded while rows waited for them
    superseded_by: str = ""
    heir: str = ""  # takes this batch's place as soon as nothing is in flight
    wake_at: int = 0

    def attempt(self, number: int) -> Attempt | None:
        """The attempt of that number, if it is known."""
        return next((each for each in self.attempts if each.number == number), None)

    def standing(self) -> list[Attempt]:
        """Attempts that were not withdrawn, in order."""
        return [each for each in self.attempts if each.state != "withdrawn"]

    def next_number(self) -> int:
        """The number of the next attempt."""
        return max((each.number for each in self.attempts), default=1) + 1

    def held(self) -> bool:
        """True when the newest judgement of the whole batch released nothing."""
        whole = [each for each in self.standing() if each.kind in ("reading", "whole") and each.verdict]
        return bool(whole) and whole[-1].verdict in ("held", "rejected")

    def rows_total(self) -> int:
        """Rows of the current reading."""
        return max((each.rows for each in self.attempts if each.reading == self.reading), default=0)

    def tell(self, number: int, reading: int) -> Attempt:
        """The attempt of that number, made known if it was not."""
        known = self.attempt(number)
        if known is None:
            known = Attempt(number=number, reading=reading)
            self.attempts.append(known)
            self.attempts.sort(key=lambda each: each.number)
        return known

    def save(self, state: State) -> None:
        """Write the document."""
        self.wake_at = max(self.wake_at, 0)
        flight = _document(self.flight) if self.flight is not None else None
        nested = {"attempts": [_document(each) for each in self.attempts], "flight": flight}
        state.put(HEALINGS, self.batch_id, {**_document(self), **nested})


WORDS_RELIED_ON_MAX = 0.75  # below what a remedy that changes data needs to run by itself in mode guarded
GUESS_RELIED_ON_MAX = 0.55  # and below what it needs in mode autonomous


@dataclass(slots=True, kw_only=True)
class Finding:
    """An incident as healing sees it."""

    incident_id: str
    fingerprint: str = ""
    kind: str = "incident"
    origin: str = ""
    pipeline: str = ""
    batch_id: str = ""
    uri: str = ""
    failure_class: str = ""
    cause: str = "unknown"
    confidence: float = 0.0
    explanation: str = ""
    evidence_json: str = ""
    check: str = ""
    column: str = ""
    rows: int = 0
    rows_failed: int = 0
    rows_first: int = 0  # failing rows when it was first reported
    rows_left: int = 0
    service: str = ""
    event_id: str = ""
    event_topic: str = ""
    state: str = "classified"
    attempt: int = 0
    first_attempt: int = 0
    refused: list[str] = field(default_factory=list)
    tried: dict[str, int] = field(default_factory=dict)
    voided: dict[str, int] = field(default_factory=dict)  # proposals for a cause that a person corrected: no tries
    remedies: list[str] = field(default_factory=list)
    proposal: str = ""  # the remedy that waits for a person, or was approved and waits for its turn
    asks: str = ""  # key of the answer that it waits for, alone or with other batches
    asks_seq: str = ""  # its batch's place in the order of deliveries, by which waiting ones have their turn
    retries: int = 0
    phase: str = ""  # of a retry: pause, sent
    awaits_table: str = ""
    severity_before: int = 0  # what the evidence counted before the newest report
    closings: int = 0
    judged_at: int = 0  # when a person last said what it is; older diagnoses count no more
    note: str = ""
    wake_at: int = 0

    @property
    def closed(self) -> bool:
        """True when nothing more will be done about it by itself."""
        return self.state in CLOSED

    @property
    def retriable(self) -> bool:
        """True when a service kept an event that it can handle again; a dead letter's is kept by nobody."""
        return bool(self.event_id and self.service) and self.origin != Origin.DEAD_LETTER

    def evidence(self, name: str) -> Any:
        """A field of the evidence, wherever the diagnosis put it; None when it is not there."""
        try:
            found = json.loads(self.evidence_json or "{}")
        except ValueError:
            return None
        for place in _places(found):
            if name in place:
                return place[name]
        return None

    @property
    def p_cause(self) -> float:
        """How surely its cause is the one named, as far as a remedy may rely on it: words alone anybody can write."""
        if not self.rests_on_words:
            return self.confidence
        return min(
            self.confidence, WORDS_RELIED_ON_MAX if self.confidence >= ACTING_CONFIDENCE else GUESS_RELIED_ON_MAX
        )

    @property
    def rests_on_words(self) -> bool:
        """True when nothing but a message's words, or what people said or wrote of such failures, speaks for the cause.

        Circumstances are shown and speak for nothing.
        """
        try:
            found = json.loads(self.evidence_json or "{}")
        except ValueError:
            return False
        told = found.get("diagnosis") if isinstance(found, dict) else None
        because = told.get("because") if isinstance(told, dict) else None
        if not isinstance(because, list):
            return False
        sources = [each.get("source") if isinstance(each, dict) else "" for each in because]
        spoken = [each for each in sources if each != "circumstances"]
        return bool(spoken) and all(each in ("words", "person", "knowledge") for each in spoken)

    def severity(self) -> int:
        """How much is wrong, to tell better from worse: columns missing or unexpected, else failing rows."""
        for name in ("missing_count", "unexpected_count"):
            count = self.evidence(name)
            if self.check.startswith(name.split("_")[0]) and isinstance(count, int):
                return count
        return self.rows_failed

    @property
    def columns(self) -> list[str]:
        """The contract columns that are concerned; [] for the dataset."""
        listed = self.evidence("columns")
        if isinstance(listed, list) and listed:
            return [str(each) for each in listed]
        return [self.column] if self.column else []

    def next_ordinal(self, remedy: str) -> int:
        """Which record of that remedy the next one is, from 1."""
        return self.tried.get(remedy, 0) + self.voided.get(remedy, 0) + 1

    def void(self, remedy: str) -> None:
        """The last proposal of that remedy was no try."""
        self.tried[remedy] = max(self.tried.get(remedy, 0) - 1, 0)
        self.voided[remedy] = self.voided.get(remedy, 0) + 1

    def save(self, state: State) -> None:
        """Write the document."""
        state.put(HEALINGS, self.incident_id, _document(self))


def _places(found: Any) -> list[dict[str, Any]]:
    """The evidence's mappings, outermost first, three levels deep."""
    places = [found] if isinstance(found, dict) else []
    for place in list(places):
        inner = [value for value in place.values() if isinstance(value, dict)]
        places += inner
        places += [deep for value in inner for deep in value.values() if isinstance(deep, dict)]
    return places


@dataclass(slots=True, kw_only=True)
class Remedy:
    """The full record of one remedy on one incident."""

    remedy_id: str
    remedy: str
    tier: str
    incident_id: str
    cause: str = ""
    pipeline: str = ""
    batch_id: str = ""
    attempt: int = 0
    columns: list[str] = field(default_factory=list)
    state: str = RemedyState.PROPOSED
    plan_text: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    rows: int = 0
    rows_changed: int = 0
    rows_discarded: int = 0
    cells_changed: int = 0
    p_cause: float = 0.0
    p_success: float = 0.0
    cost: float = 0.0  # US dollars, as estimated when it was planned
    decided_by: str = ""
    proposed_at: int = 0
    decided_at: int = 0
    applied_at: int = 0
    verified_at: int = 0
    expires: int = 0
    rows_healed: int = 0
    rows_not_healed: int = 0
    explanation: str = ""
    undone_by: str = ""
    precedent: str = ""  # the remedy whose precedent let this one run
    diff: str = ""  # object path of the proposed cells
    wake_at: int = 0

    def move(self, new: RemedyState) -> None:
        """Go to the next state, if that is a legal move."""
        check(may_move(RemedyState(self.state), new), f"a remedy that is {self.state} cannot become {new}")
        self.state = new

    @property
    def awaits(self) -> bool:
        """True while it waits for a newer delivery or for a parent, which may come or not."""
        return self.state == RemedyState.APPLIED and self.plan.get("action") in ("await", "refetch")

    def save(self, state: State) -> None:
        """Write the document."""
        state.put(REMEDIES, self.remedy_id, _document(self))


def load_healing(state: State, batch: str) -> Healing | None:
    """The healing of a batch, if there is one."""
    document = state.get(HEALINGS, batch) if batch else None
    if document is None or document.get("kind") != "batch":
        return None
    healing = Healing(**_known(Healing, document))
    healing.attempts = [Attempt(**_known(Attempt, each)) for each in document.get("attempts", [])]
    flight = document.get("flight")
    healing.flight = Flight(**_known(Flight, flight)) if flight else None
    return healing


def load_finding(state: State, incident: str) -> Finding | None:
    """An incident, if it is known here."""
    document = state.get(HEALINGS, incident)
    if document is None or document.get("kind") != "incident":
        return None
    return Finding(**_known(Finding, document))


def load_remedy(state: State, remedy: str) -> Remedy | None:
    """A remedy, if there is one."""
    document = state.get(REMEDIES, remedy)
    return Remedy(**_known(Remedy, document)) if document is not None else None


def watch_key(*what: str) -> str:
    """Key of the document that says who waits for something (an arrival, a load, a parent table)."""
    return "w" + derive("watch", *what, length=24)


def watchers(state: State, *what: str) -> dict[str, Any] | None:
    """Who waits for it: ``{"batches": [...], "incidents": [...], "supersedes": [...]}``; None = nobody."""
    return state.get(HEALINGS, watch_key(*what))


def watch(state: State, *what: str, batch: str = "", incident: str = "", supersedes: str = "") -> None:
    """Remember that a batch or incident waits for it, or that a batch will be superseded by it."""
    found = watchers(state, *what) or {"kind": "watch", "what": list(what), "wake_at": 0}
    for name, value in (("batches", batch), ("incidents", incident), ("supersedes", supersedes)):
        known = list(found.get(name, []))
        if value and value not in known:
            known.append(value)
        found[name] = known
    state.put(HEALINGS, watch_key(*what), found)
