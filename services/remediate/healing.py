"""The healing of one batch, step by step: one thing in flight, verified before the next is begun."""

from __future__ import annotations

from services.remediate import closing, parents, undoing
from services.remediate.attempt import discard_all
from services.remediate.carrying_out import (
    begin_reading,
    begin_refetch,
    begin_waiting,
    came_meanwhile,
    make_columns_attempt,
    make_rows_attempt,
)
from services.remediate.deciding import verified
from services.remediate.records import Attempt, Finding, Healing, Remedy, load_finding, load_remedy
from services.remediate.rounds import Choice, Round, choose, choose_all, choose_beyond
from services.remediate.verifying import verify_attempt
from services.remediate.work import BatchCases, Work
from shared.domain.incident import IncidentState
from shared.domain.remedy import RemedyState
from shared.events.types import SourceReread

_WAIVABLE = frozenset({"delivery_complete", "score", "row_count", "shift", "quality"})  # before any colon
# How long to wait for diagnoses that do not come: longer than the bus waits for a worker that died with one.
PATIENCE_MICROSECONDS = 900_000_000


def waivable(finding: Finding) -> bool:
    """True for a finding about the whole batch that a person may accept."""
    return finding.check.partition(":")[0] in _WAIVABLE


def advance(work: Work, healing: Healing) -> None:
    """Do what can be done now, and keep the document."""
    healing.wake_at = 0
    _step(work, healing)
    if healing.heir and healing.flight is None and not healing.superseded_by:
        supersede(work, healing, healing.heir)
    healing.save(work.ports.state)


def _step(work: Work, healing: Healing) -> None:
    if healing.superseded_by and not healing.undo:
        _close_superseded(work, healing)  # a diagnosis may come after the newer delivery
        return
    if healing.flight is not None and not _landed(work, healing):
        return
    standing = healing.standing()
    newest = standing[-1] if standing else None
    if newest is None or not newest.judged:
        healing.wake_at = work.now + PATIENCE_MICROSECONDS if newest is not None and newest.verdict else 0
        return
    if healing.undo:
        _undo_next(work, healing)
        return
    findings = closing.one_of_each(work, closing.open_findings(work, healing))
    findings = closing.close_settled(work, healing, findings)
    if work.full:
        healing.wake_at = work.now
    elif findings:
        _round(work, healing, findings)


def _landed(work: Work, healing: Healing) -> bool:
    """True when what was in flight has arrived; its remedies are verified then."""
    flight = healing.flight
    if flight is None or flight.stage in ("withdrawing", "undoing"):
        return flight is None
    attempt = healing.attempt(flight.attempt)
    if attempt is None or not attempt.settled:
        waits = attempt is not None and attempt.verdict != "" and not attempt.judged
        healing.wake_at = work.now + PATIENCE_MICROSECONDS if waits else 0
        return False
    healing.flight = None
    verify_attempt(work, healing, attempt)
    return True


def _undo_next(work: Work, healing: Healing) -> None:
    record = load_remedy(work.ports.state, healing.undo.pop(0))
    if record is None or record.state not in undoing.UNDOABLE:
        healing.wake_at = work.now  # undone with another one already; look at what is open now
        return
    undoing.begin_undo(work, healing, record)
    if healing.flight is None:
        healing.wake_at = work.now  # done at once; look at what is open now


def _round(work: Work, healing: Healing, findings: list[Finding]) -> None:
    """Choose and carry out; what is exhausted goes to a person."""
    cases = BatchCases.of(work, healing)
    waiting = [each for each in findings if each.awaits_table]
    loaded = [each for each in waiting if came_meanwhile(work, cases, each) or each.awaits_table in healing.awake]
    awake = [each for each in loaded if parents.are_there(work, cases, each)]
    healing.awake = []
    healing.came = sorted({*healing.came, *(each.awaits_table for each in awake)})
    if not awake and _attempts_made(healing) >= cases.definition.healing.attempts_max:
        for finding in findings:
            if not finding.awaits_table:
                closing.escalate(work, healing, finding, "All attempts of this batch are used up")
        return
    told = choose_all(work, cases, findings)
    if any(each.plan.action in ("cells", "discard") for each in told.choices):
        # Rows that had another problem when their parents came can go with its repair now.
        late = [each for each in waiting if each not in awake and each.awaits_table in healing.came]
        told.late = [each for each in late if parents.are_there(work, cases, each)]
    approved = [each for each in told.choices if each.record is not None]
    carried_out = _carry_out(work, cases, told, awake)
    for choice in approved:
        if choice.record is not None and choice.record.state == RemedyState.APPROVED:
            choice.finding.proposal = choice.record.remedy_id  # a person's yes holds until its turn comes
    if not carried_out:
        _last_resort(work, cases, told, findings)
    still = [each for each in findings if not each.closed]
    for finding in still:
        if _asks_nobody(work, finding):
            finding.proposal = finding.asks = ""
            healing.wake_at = work.now  # who had asked for both was closed: it asks for itself
    _save(work, still)


def _asks_nobody(work: Work, finding: Finding) -> bool:
    """Whether it waits for the answer to a question of its batch that is not asked any more."""
    record = load_remedy(work.ports.state, finding.proposal) if finding.proposal else None
    return record is not None and record.batch_id == finding.batch_id and record.state == RemedyState.EXPIRED


def _save(work: Work, findings: list[Finding]) -> None:
    for finding in findings:
        finding.save(work.ports.state)


def _attempts_made(healing: Healing) -> int:
    return sum(1 for each in healing.attempts if not each.rejudged and each.kind != "superseded")


def _carry_out(work: Work, cases: BatchCases, told: Round, awake: list[Finding]) -> bool:
    """Carry out the choices of a round; False when nothing came of it but waiting or nothing."""
    for choice in [each for each in told.choices if each.plan.action in ("refetch", "await")]:
        begin = begin_refetch if choice.plan.action == "refetch" else begin_waiting
        begin(work, cases, choice)
        told.choices.remove(choice)
        told.waiting.append(choice.finding)
    reading = [each for each in told.choices if each.plan.action == "reading"]
    if reading:
        begin_reading(work, cases, reading[0])
        return True
    waives = [each for each in told.choices if each.plan.action == "waive"]
    if waives:
        make_columns_attempt(work, cases, _once_each(waives))
        return True
    columns = [each for each in told.choices if each.plan.action == "columns"]
    if columns:
        wanted = any(each.record is not None for each in columns)
        if told.waiting or (told.exhausted and not wanted):
            _let_wait(columns, told)
            return False
        make_columns_attempt(work, cases, columns)
        return True
    return _carry_out_rows(work, cases, told, awake)


def _carry_out_rows(work: Work, cases: BatchCases, told: Round, awake: list[Finding]) -> bool:
    """Mend what rows can be mended; where the first candidates leave none that may go on, the next ones join them.

    A candidate whose rows all have another fault must not keep the next one from the incident's other rows.
    """
    rows = _once_each([each for each in told.choices if each.plan.action in ("cells", "discard")])
    if not rows and not awake:
        return False
    waits = bool(told.waiting)
    while not make_rows_attempt(work, cases, rows, awake, told.late):
        more = choose_beyond(work, cases, told, rows)
        if not more:
            _give_up(rows, told.waiting if waits else told.exhausted, told)
            return False
        rows = _once_each([*rows, *more])
    return True


def _give_up(rows: list[Choice], to: list[Finding], told: Round) -> None:
    """No row of these incidents can go on, whatever is tried; those about which somebody is asked wait."""
    for choice in rows:
        if choice.finding not in told.waiting and choice.finding not in to:
            choice.finding.note = "its rows also fail for another reason, which could not be mended"
            to.append(choice.finding)


def _once_each(choices: list[Choice]) -> list[Choice]:
    """Several incidents may want the same: it is done once, and what is left of them shows afterwards."""
    unique: dict[str, Choice] = {}
    for choice in choices:
        key = f"{choice.remedy.name}|{','.join(choice.plan.columns)}|{','.join(choice.plan.waive)}"
        if key not in unique or (unique[key].record is None and choice.record is not None):
            unique[key] = choice
    return list(unique.values())


def _let_wait(columns: list[Choice], told: Round) -> None:
    """Half of the columns put right leaves the batch held: all of them, or none."""
    for choice in columns:
        choice.finding.note = "waits until the other columns are decided about"
        if choice.record is not None:
            choice.finding.proposal = choice.record.remedy_id
        (told.waiting or told.exhausted).append(choice.finding)


def _last_resort(work: Work, cases: BatchCases, told: Round, findings: list[Finding]) -> None:
    """What is exhausted: ask whether the batch may be released as it is, else hand it to a person."""
    for finding in told.waiting:
        finding.state = "waiting"
    # While something waits, more may become possible; if nothing does, levels below never get their turn.
    over = told.exhausted if told.waiting else [each for each in findings if not each.awaits_table]
    own = any(waivable(each) for each in findings)
    asked = ""
    for finding in over:
        if waivable(finding) or not own:
            if asked and not waivable(finding):
                finding.state, finding.proposal = "waiting", asked
                finding.note = "waits for the decision about the whole batch"
                continue
            if choose(work, cases.case(finding, {}), last=True) == "waiting":
                asked = asked or finding.proposal
                continue
        closing.escalate(work, cases.healing, finding, "Nothing more can be done by itself")


def withdrawn(work: Work, healing: Healing, remedy_id: str, attempt: int) -> None:
    """Load has taken rows out: ask for the new reading, or finish the undo."""
    flight = healing.flight
    record = load_remedy(work.ports.state, remedy_id)
    if flight is None or remedy_id not in flight.remedies or record is None:
        return
    if flight.stage == "undoing":
        flight.waiting_for = [each for each in flight.waiting_for if each != attempt]
        if not flight.waiting_for:
            undoing.finish_undo(work, healing, record)
            advance(work, healing)
            return
    elif flight.stage == "withdrawing" and attempt == 0:
        _ask_for_reading(work, healing, record)
    healing.save(work.ports.state)


def _ask_for_reading(work: Work, healing: Healing, record: Remedy) -> None:
    flight = healing.flight
    if flight is None:
        return
    for each in healing.attempts:
        each.state = "withdrawn"
    healing.reading += 1
    healing.rename, healing.waive, healing.pending = {}, [], []
    back = record.attempt != flight.attempt  # the undo of a reading is a reading too
    if back:
        undoing.mark_undone(work, record)
        undoing.refuse(work, record)
    remedies = [] if back else [record.remedy_id]
    healing.attempts.append(Attempt(number=flight.attempt, reading=healing.reading, remedies=remedies))
    flight.stage = "rereading"
    work.emit(
        SourceReread,
        f"{record.remedy_id}|{healing.batch_id}|{flight.attempt}",
        subject=healing.batch_id,
        pipeline=healing.pipeline,
        remedy_id=record.remedy_id,
        batch_id=healing.batch_id,
        attempt=flight.attempt,
        reading_options_json=flight.reading_options_json,
    )


def reread_failed(work: Work, healing: Healing, remedy_id: str, reason: str) -> None:
    """Ingest could not make the reading: the one before comes back, as a new reading."""
    flight = healing.flight
    record = load_remedy(work.ports.state, remedy_id)
    if flight is None or flight.stage != "rereading" or remedy_id not in flight.remedies or record is None:
        return
    previous = str(record.plan.get("previous", ""))
    if record.state != RemedyState.APPLIED or flight.reading_options_json == previous:
        return  # even the old reading cannot be made; the incident of ingest tells why
    verified(work, record, success=False, healed=0, left=record.rows, why=f"the reading failed: {reason}")
    flight.reading_options_json = previous
    undoing.refuse_reading(work, record)
    work.emit(
        SourceReread,
        f"{record.remedy_id}|{healing.batch_id}|{flight.attempt}|back",
        subject=healing.batch_id,
        pipeline=healing.pipeline,
        remedy_id=record.remedy_id,
        batch_id=healing.batch_id,
        attempt=flight.attempt,
        reading_options_json=previous,
    )
    healing.save(work.ports.state)


def supersede(work: Work, healing: Healing, newer: str) -> None:
    """A newer delivery of the same object is loaded: what is left of this one is discarded in its favour."""
    if healing.superseded_by or healing.flight is not None:
        if not healing.superseded_by:  # try again when it has landed
            healing.heir = newer
            healing.save(work.ports.state)
        return
    number = healing.next_number()
    rows = discard_all(work.ports.objects, healing, number, f"superseded by {newer}")
    record = _refetch_of(work, healing)
    healing.superseded_by = newer
    healing.attempts.append(
        Attempt(
            number=number,
            reading=healing.reading,
            kind="superseded",
            state="done",
            remedies=[record.remedy_id] if record is not None else [],
            rows_discarded=rows,
            loaded=True,
        )
    )
    if record is not None:
        record.attempt, record.rows_discarded = number, rows
        why = f"a newer delivery of the object was loaded as {newer}"
        verified(work, record, success=True, healed=rows, left=0, why=why)
    _close_superseded(work, healing)
    healing.wake_at = 0
    healing.save(work.ports.state)


def _close_superseded(work: Work, healing: Healing) -> None:
    for finding in closing.open_findings(work, healing):
        finding.rows_left = 0
        closing.close(work, finding, IncidentState.HEALED, f"superseded by {healing.superseded_by}, which is loaded")


def _refetch_of(work: Work, healing: Healing) -> Remedy | None:
    for incident in healing.incidents:
        finding = load_finding(work.ports.state, incident)
        for remedy_id in reversed(finding.remedies if finding is not None else []):
            record = load_remedy(work.ports.state, remedy_id)
            if record is not None and record.remedy == "refetch" and record.state == RemedyState.APPLIED:
                return record
    return None
