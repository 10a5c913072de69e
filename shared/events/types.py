"""All events on one page: frozen, flat, never null; references and counts, never rows and never cell values.

Absent is "" or 0 or []. Times are integer microseconds since 1970 (UTC). Structured detail that has no fixed
shape travels as JSON text in fields that end in ``_json``. A published type never changes its meaning; what old
readers cannot read is a new version beside the old one.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.domain.ids import event_id

Text = Annotated[str, StringConstraints(max_length=4_000)]
Json = Annotated[str, StringConstraints(max_length=60_000)]
Page = Annotated[str, StringConstraints(max_length=20_000)]
Names = Annotated[list[Annotated[str, StringConstraints(max_length=1_000)]], Field(max_length=10_000)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Micros = Annotated[int, Field(ge=0, le=2**62)]
Score = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Event(BaseModel):
    """The envelope, repeated in every payload so that history is complete by itself."""

    # Deferred: a process builds the validators of the events that it meets, not of all.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)
    TYPE: ClassVar[str] = ""

    id: Text
    time: Micros
    subject: Text
    correlation_id: Text
    causation_id: Text = ""
    traceparent: Text = ""

    @classmethod
    def caused_by(cls, cause: Event, /, about: str, time: int, **fields: Any) -> Self:
        """A new event with a deterministic id: derived from ``cause``, this type and what it is ``about``.

        ``subject`` defaults to ``about``; correlation and trace context are the cause's.
        """
        fields.setdefault("subject", about)
        return cls(
            id=event_id(cls.TYPE, cause.id, about),
            time=time,
            correlation_id=cause.correlation_id,
            causation_id=cause.id,
            traceparent=cause.traceparent,
            **fields,
        )


# ── deliveries ─────────────────────────────────────────────────────────────────────────────────────────────────────


class SourceDue(Event):
    """A source should be looked at: a schedule's tick, a request, or the next page of a long listing."""

    TYPE = "source.due.v1"
    pipeline: Text
    uri: Text = ""  # only this object; "" = whatever the source has
    page: Count = 0
    requested_by: Text = ""
    after: Text = ""  # a further page: what the source lists up to this object was announced before


class DeliveryArrived(Event):
    """An object was seen at a source; nothing is known of its content yet."""

    TYPE = "delivery.arrived.v1"
    pipeline: Text
    uri: Text
    name: Text
    generation: Text
    bytes: Count = 0
    arrived: Count = 0  # nanoseconds: when the source got it
    remedy_id: Text = ""  # the refetch that asked for it


class DeliveryRegistered(Event):
    """The bytes are safe under ``raw_path`` and have become a batch."""

    TYPE = "delivery.registered.v1"
    batch_id: Text
    pipeline: Text
    uri: Text
    name: Text
    generation: Text
    sha256: Text
    bytes: Count
    seq: Text
    raw_path: Text
    duplicate_of: Text = ""  # the batch with the same content; this one stops here


class SourceReread(Event):
    """Remediate asks ingest for another reading of a batch, or to fetch a URI again."""

    TYPE = "source.reread.v1"
    pipeline: Text
    remedy_id: Text
    batch_id: Text = ""  # "" with a uri: fetch again what never became a batch
    uri: Text = ""
    refetch: bool = False
    attempt: Count = 0  # number of the attempt that the new reading makes
    reading_options_json: Json = ""


class RereadFailed(Event):
    """Ingest could not make the reading, or found nothing new to fetch."""

    TYPE = "source.reread_failed.v1"
    pipeline: Text
    remedy_id: Text
    batch_id: Text = ""
    uri: Text = ""
    reason: Text


class BatchStaged(Event):
    """Rows of an attempt are ready to be judged."""

    TYPE = "batch.staged.v1"
    batch_id: Text
    pipeline: Text
    attempt: Count
    reading: Count
    seq: Text
    parts: Names  # staged files, in row order
    rows: Count
    raw_rows: Count = 0  # of these, records that did not fit
    bytes: Count = 0
    problem: Text = ""  # what is wrong with the delivery as a whole: truncated, empty, unreadable …
    reading_options_json: Json = ""
    alternatives_json: Json = ""  # readings that the content suggests, best first
    remedy_id: Text = ""  # the remedy that made this attempt
    rename_json: Json = ""  # {"delivered name": "contract name"} accepted for this batch
    accept_columns: Names = []  # "name:logicalType" accepted from now on
    waive: Names = []  # findings a person or remedy accepted: "score", "rows", "row_count", "shift:COLUMN", …
    whole: bool = True  # the attempt holds the whole batch; False: rows of which others stand released


class BatchDue(Event):
    """An attempt that waited for the verdicts on earlier deliveries is to be looked at again."""

    TYPE = "batch.due.v1"
    batch_id: Text
    pipeline: Text
    attempt: Count


# ── verdicts and loads ─────────────────────────────────────────────────────────────────────────────────────────────


class BatchValidated(Event):
    """An attempt was judged; its quarantine is written, its passed rows may be loaded."""

    TYPE = "batch.validated.v1"
    batch_id: Text
    pipeline: Text
    attempt: Count
    reading: Count
    seq: Text
    state: Text  # released | held | rejected
    rows: Count
    rows_passed: Count
    rows_quarantined: Count
    score: Score
    dimensions_json: Json = ""  # {"validity": 99.5, …}
    contract: Text = ""  # path@digest
    passed_parts: Names = []
    quarantine_parts: Names = []
    incidents: Count = 0  # incident.opened events that go with this attempt
    remedy_id: Text = ""
    snapshots: Names = []  # parent keys that the verdict depends on
    partial: bool = False  # overwrite mode: a person accepted that rows are missing


class BatchHeld(Event):
    """Nothing of the attempt was released."""

    TYPE = "batch.held.v1"
    batch_id: Text
    pipeline: Text
    attempt: Count
    reason: Text
    rows: Count


class LoadDue(Event):
    """Attempts that waited for one table are to be loaded, by one job; who they are never changes."""

    TYPE = "load.due.v1"
    table: Text
    group: Text
    members: Names  # "batch:attempt", those whose rows the job brings
    pipeline: Text
    batch_id: Text = ""  # of the only member, as the two below
    attempt: Count = 0
    reading: Count = 0


class BatchLoaded(Event):
    """The warehouse has the attempt's rows."""

    TYPE = "batch.loaded.v1"
    batch_id: Text
    pipeline: Text
    attempt: Count
    reading: Count
    table: Text
    mode: Text
    rows_passed: Count
    rows_loaded: Count
    rows_discarded: Count  # dropped by the transform's WHERE
    bytes: Count = 0
    remedy_id: Text = ""


class BatchWithdraw(Event):
    """Load should take rows of a batch out of the warehouse again."""

    TYPE = "batch.withdraw.v1"
    batch_id: Text
    pipeline: Text
    remedy_id: Text
    reading: Count = 0  # every attempt of readings up to this one; 0 = only `attempt`
    attempt: Count = 0
    reason: Text = ""


class BatchWithdrawn(Event):
    """The rows are out, and each key they had shows its newest remaining row."""

    TYPE = "batch.withdrawn.v1"
    batch_id: Text
    pipeline: Text
    remedy_id: Text
    reading: Count = 0
    attempt: Count = 0
    rows_withdrawn: Count = 0
    keys_restored: Count = 0


class ContractAmended(Event):
    """What a pipeline accepts for good: new columns, wider types, other names of columns; or takes back (undo)."""

    TYPE = "contract.amended.v1"
    pipeline: Text
    remedy_id: Text
    accept_columns: Names = []  # "name:logicalType"
    remove_columns: Names = []  # a name, or "name:logicalType" to have the type before
    accept_renames_json: Json = ""  # {"delivered name": "contract name"}
    remove_renames: Names = []  # delivered names


# ── incidents ──────────────────────────────────────────────────────────────────────────────────────────────────────


class IncidentOpened(Event):
    """Something went wrong, with the evidence; many reports with one fingerprint are one incident."""

    TYPE = "incident.opened.v1"
    fingerprint: Text
    origin: Text
    pipeline: Text = ""
    batch_id: Text = ""
    attempt: Count = 0
    reading: Count = 0
    uri: Text = ""
    system: Text = ""
    exception_type: Text = ""
    http_status: Count = 0
    grpc_status: Text = ""
    sqlstate: Text = ""
    reason: Text = ""
    exit_code: int = 0
    message: Text = ""  # masked and bounded
    check: Text = ""
    column: Text = ""
    rows: Count = 0
    rows_failed: Count = 0
    evidence_json: Json = ""  # violation profile, task and run ids, stack …: never a cell value
    service: Text = ""  # the service that could not go on
    event_id: Text = ""  # the event it could not handle, so that it can be retried
    event_topic: Text = ""


class IncidentClassified(Event):
    """The diagnosis of an incident."""

    TYPE = "incident.classified.v1"
    incident_id: Text
    fingerprint: Text
    origin: Text
    pipeline: Text = ""
    batch_id: Text = ""
    attempt: Count = 0
    reading: Count = 0
    uri: Text = ""
    failure_class: Text
    cause: Text
    confidence: Share
    explanation: Text = ""
    evidence_json: Json = ""  # what the diagnosis rests on
    check: Text = ""
    column: Text = ""
    rows: Count = 0
    rows_failed: Count = 0
    service: Text = ""
    event_id: Text = ""
    event_topic: Text = ""
    repeated: bool = False  # a further report of an open incident, from a later attempt
    judged_by: Text = ""  # no report: this person said what it is, or whether the diagnosis is right


class IncidentClosed(Event):
    """An incident ended, or was handed to a person for good."""

    TYPE = "incident.closed.v1"
    incident_id: Text
    pipeline: Text = ""
    batch_id: Text = ""
    state: Text  # healed | escalated | dismissed
    explanation: Text = ""
    rows_healed: Count = 0
    rows_left: Count = 0
    judged_at: Micros = 0  # time of the last diagnosis by a person that was known when it ended


class IncidentJudged(Event):
    """A person says whether a diagnosis was right, and what it was instead."""

    TYPE = "incident.judged.v1"
    incident_id: Text
    verdict: Text  # right | wrong
    failure_class: Text = ""  # what it was, if the person says so
    cause: Text = ""
    note: Text = ""
    by: Text
    believed_class: Text = ""  # what the person judged
    believed_cause: Text = ""


class KnowledgeNoted(Event):
    """A person writes, changes or takes back an entry of the knowledge base."""

    TYPE = "knowledge.noted.v1"
    entry_id: Text
    kind: Text
    title: Text
    text: Page
    cause: Text = ""  # what it is about, if it is about one
    pipeline: Text = ""
    source: Text = ""  # the file it came from
    by: Text
    withdrawn: bool = False


# ── remedies ───────────────────────────────────────────────────────────────────────────────────────────────────────


class RemedyProposed(Event):
    """A person should decide about a remedy."""

    TYPE = "remedy.proposed.v1"
    remedy_id: Text
    incident_id: Text
    remedy: Text
    tier: Text
    pipeline: Text = ""
    batch_id: Text = ""
    plan: Text  # one sentence: what would be done
    reason: Text  # why the policy did not let it run alone
    p_cause: Share = 0.0
    p_success: Share = 0.0
    rows: Count = 0
    plan_json: Json = ""
    expires: Micros = 0


class RemedyDecided(Event):
    """A named person, or the policy, said yes or no; or asks for an undo."""

    TYPE = "remedy.decided.v1"
    remedy_id: Text
    decision: Text  # approve | reject | undo
    by: Text
    reason: Text = ""


class RemedyApplied(Event):
    """A remedy was carried out; whether it helped is not known yet."""

    TYPE = "remedy.applied.v1"
    remedy_id: Text
    incident_id: Text
    remedy: Text
    tier: Text
    pipeline: Text = ""
    batch_id: Text = ""
    attempt: Count = 0  # the attempt it made, if it made one
    plan: Text = ""
    decided_by: Text = "policy"
    rows: Count = 0
    cells_changed: Count = 0
    rows_discarded: Count = 0
    columns: Names = []


class RemedyVerified(Event):
    """A remedy's outcome is known."""

    TYPE = "remedy.verified.v1"
    remedy_id: Text
    incident_id: Text
    remedy: Text
    cause: Text
    pipeline: Text = ""
    batch_id: Text = ""
    attempt: Count = 0
    state: Text  # verified | failed
    rows_healed: Count = 0
    rows_not_healed: Count = 0
    explanation: Text = ""


class RemedyUndone(Event):
    """A remedy's effect was taken back."""

    TYPE = "remedy.undone.v1"
    remedy_id: Text
    incident_id: Text
    remedy: Text
    pipeline: Text = ""
    batch_id: Text = ""
    by: Text = ""
    rows: Count = 0
    alike: Names = []  # other batches that were read with the names it made general; they stay as they were loaded


class RetryRequested(Event):
    """A service should handle once more an event that it could not handle."""

    TYPE = "event.retry.v1"
    remedy_id: Text
    service: Text
    event_id: Text
    event_topic: Text


# ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class ClockTicked(Event):
    """Time passed; services look at what is due."""

    TYPE = "clock.ticked.v1"


EVENT_TYPES: dict[str, type[Event]] = {
    cls.TYPE: cls
    for cls in (
        SourceDue,
        DeliveryArrived,
        DeliveryRegistered,
        SourceReread,
        RereadFailed,
        BatchStaged,
        BatchDue,
        BatchValidated,
        BatchHeld,
        LoadDue,
        BatchLoaded,
        BatchWithdraw,
        BatchWithdrawn,
        ContractAmended,
        IncidentOpened,
        IncidentClassified,
        IncidentClosed,
        IncidentJudged,
        KnowledgeNoted,
        RemedyProposed,
        RemedyDecided,
        RemedyApplied,
        RemedyVerified,
        RemedyUndone,
        RetryRequested,
        ClockTicked,
    )
}
