"""Verifies the remedies of an attempt once it was judged and loaded; what did not hold is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from services.remediate import deciding
from services.remediate.playbook.waiting import AWAIT_PARENT
from services.remediate.quarantine import read_parts, row_numbers, rows_violating, without
from services.remediate.records import Attempt, Finding, Healing, Remedy, load_finding, load_remedy
from services.remediate.work import Work
from shared.domain import paths
from shared.domain.incident import IncidentState
from shared.domain.reading import ROW
from shared.domain.remedy import RemedyState
from shared.events.types import ContractAmended

if TYPE_CHECKING:
    import polars as pl

_NOTHING_BEHIND = ("delivery_complete", "missing_columns")  # where one of them is found, rows are not looked at


class Counted(NamedTuple):
    """What became of the rows that a remedy changed."""

    healed: int
    not_healed: int
    blamed: int  # of those not healed, rows that fail in a column which the remedy changed


def verify_attempt(work: Work, healing: Healing, attempt: Attempt) -> None:
    """Settle every remedy of a finished attempt; an attempt none of whose rows passed is withdrawn."""
    attempt.state = "done"
    records = [record for each in attempt.remedies if (record := load_remedy(work.ports.state, each)) is not None]
    standing = [record for record in records if record.state == RemedyState.APPLIED]
    failed = []
    for record in standing:
        finding = load_finding(work.ports.state, record.incident_id)
        if record.remedy == AWAIT_PARENT.name:
            _settle_await(work, healing, attempt, record)
        elif attempt.kind == "rows":
            _settle_rows(work, healing, attempt, record)
        else:
            _settle_whole(work, healing, attempt, record, finding)
        if record.state == RemedyState.FAILED:
            failed.append(record)
    if attempt.rows_passed > 0:
        _settle_pending(work, healing, attempt)
    _take_back(work, healing, attempt, standing, failed)


def _take_back(work: Work, healing: Healing, attempt: Attempt, standing: list[Remedy], failed: list[Remedy]) -> None:
    """What fails verification is undone: the rows are where they were, with the cells and columns they had."""
    nothing = attempt.rows_passed == 0 and attempt.rows_discarded == 0
    if attempt.kind == "reading":
        healing.undo += [each.remedy_id for each in failed if each.remedy_id not in healing.undo]
    elif nothing and attempt.kind == "rows":
        attempt.state = "withdrawn"
    elif nothing and standing and len(failed) == len(standing):
        attempt.state = "withdrawn"
        for record in failed:
            revert_terms(work, healing, record)


def revert_terms(work: Work, healing: Healing, record: Remedy) -> None:
    """Take back what a remedy made the batch and the contract accept."""
    for delivered in record.plan.get("rename", {}):
        healing.rename.pop(delivered, None)
    healing.waive = [each for each in healing.waive if each not in record.plan.get("waive", [])]
    accepted, renamed = list(record.plan.get("accept", [])), sorted(record.plan.get("rename", {}))
    if (accepted or renamed) and not _general(work, record):
        work.emit(
            ContractAmended,
            f"{record.remedy_id}|removed",
            subject=record.pipeline,
            pipeline=record.pipeline,
            remedy_id=record.remedy_id,
            remove_columns=accepted,
            remove_renames=renamed,
        )


def _general(work: Work, record: Remedy) -> bool:
    """Whether what the remedy accepted stays accepted without it: another made it general, and was not undone since."""
    made = load_remedy(work.ports.state, record.precedent) if record.precedent else None
    return made is not None and made.state not in (RemedyState.FAILED, RemedyState.UNDONE)


def _settle_await(work: Work, healing: Healing, attempt: Attempt, record: Remedy) -> None:
    """Rows that waited for parents: some found them, or they go on waiting."""
    if attempt.rows_passed:
        blamed = len(_blamed(work, healing, attempt, record.columns))
        found = min(attempt.rows_passed, max(attempt.rows - blamed, 0))
        told = f"{found:,} rows found their parents and were loaded"
        deciding.verified(work, record, success=True, healed=found, left=blamed, why=told)


def _settle_rows(work: Work, healing: Healing, attempt: Attempt, record: Remedy) -> None:
    counted = count_rows(work, healing, attempt, record)
    if counted.healed:
        why = f"{counted.healed:,} rows passed and were loaded" + _but(counted.not_healed)
        deciding.verified(work, record, success=True, healed=counted.healed, left=counted.not_healed, why=why)
    else:
        why = f"none of {counted.not_healed:,} rows passed; they are as they were before"
        blamed = counted.blamed > 0
        deciding.verified(work, record, success=False, healed=0, left=counted.not_healed, why=why, counts=blamed)


def _but(rows: int) -> str:
    return f", {rows:,} did not pass and are as they were before" if rows else ""


def _settle_whole(work: Work, healing: Healing, attempt: Attempt, record: Remedy, finding: Finding | None) -> None:
    before = _released_before(healing, attempt)
    if attempt.rows_passed < before:
        why = f"it releases {attempt.rows_passed:,} rows, and the reading before it released {before:,}"
        deciding.verified(work, record, success=False, healed=0, left=attempt.rows_quarantined, why=why)
        return
    if attempt.rows_passed > 0:
        cells = record.plan.get("action") in ("cells", "discard") and attempt.rows_passed < attempt.rows
        everything = Counted(attempt.rows_passed, attempt.rows_quarantined, 0)
        counted = count_rows(work, healing, attempt, record) if cells else everything
        why = f"{counted.healed:,} rows passed and were loaded" + (
            f", {counted.not_healed:,} not" * bool(counted.not_healed)
        )
        success = counted.healed > 0
        deciding.verified(work, record, success=success, healed=counted.healed, left=counted.not_healed, why=why)
        return
    blind = _blinded(work, healing, attempt)
    if blind:
        why = f"it fails at {blind}, at which the reading before did not, and nothing could be released"
        deciding.verified(work, record, success=False, healed=0, left=attempt.rows_quarantined, why=why)
        return
    again = finding is not None and finding.attempt >= attempt.number
    worse = again and finding is not None and finding.severity() >= finding.severity_before
    if again and worse:
        why = "the same was found again, and nothing could be released"
        deciding.verified(work, record, success=False, healed=0, left=attempt.rows_quarantined, why=why)
    elif record.remedy_id not in healing.pending:
        healing.pending.append(record.remedy_id)  # it helped; its rows still wait for something else


def _released_before(healing: Healing, attempt: Attempt) -> int:
    """Rows that the reading before this one had released, of an attempt that is a new reading; else 0."""
    if attempt.kind != "reading":
        return 0
    earlier = [each.reading for each in healing.attempts if each.reading < attempt.reading]
    return sum(each.rows_passed for each in healing.attempts if earlier and each.reading == max(earlier))


def _blinded(work: Work, healing: Healing, attempt: Attempt) -> str:
    """The check that keeps a new reading's rows from being looked at, where the one before got further; "" = none.

    What was found in the rows before is not found again then, and yet nothing of it is healed.
    """
    if attempt.kind != "reading":
        return ""
    known = [load_finding(work.ports.state, each) for each in healing.incidents]
    blocks = [each for each in known if each is not None and each.check in _NOTHING_BEHIND]
    if any(each.first_attempt < attempt.number and each.state != IncidentState.HEALED for each in blocks):
        return ""
    return next((each.check for each in blocks if each.attempt == attempt.number), "")


def _settle_pending(work: Work, healing: Healing, attempt: Attempt) -> None:
    """Remedies of earlier attempts that were waiting for rows to be loaded."""
    for remedy_id in healing.pending:
        record = load_remedy(work.ports.state, remedy_id)
        if record is not None and record.state == RemedyState.APPLIED:
            why = f"{attempt.rows_passed:,} rows of the batch were loaded in attempt {attempt.number}"
            left = attempt.rows_quarantined
            deciding.verified(work, record, success=True, healed=attempt.rows_passed, left=left, why=why)
    healing.pending = []


def count_rows(work: Work, healing: Healing, attempt: Attempt, record: Remedy) -> Counted:
    """Rows that the remedy changed in the attempt: passed, quarantined again, and of these in its own columns."""
    import polars as pl

    objects, batch, number = work.ports.objects, record.batch_id, attempt.number
    again = row_numbers(objects, paths.quarantine(batch, number))
    if record.rows_discarded:
        blamed = _blamed(work, healing, attempt, record.columns)
        return Counted(max(record.rows - len(blamed), 0), len(blamed), len(blamed))
    mine = [
        cells.filter((pl.col("remedy") == record.remedy) & pl.col("column").is_in(record.columns)).get_column(ROW)
        for cells in read_parts(objects, paths.repairs(batch, number), [ROW, "column", "remedy"])
    ]
    rows = pl.concat(mine).unique() if mine else pl.Series(ROW, [], dtype=pl.Int64)
    back = rows.filter(rows.is_in(again.implode()))
    blamed = _blamed(work, healing, attempt, record.columns)
    return Counted(len(rows) - len(back), len(back), int(back.is_in(blamed.implode()).sum()))


def _blamed(work: Work, healing: Healing, attempt: Attempt, columns: list[str]) -> pl.Series:
    """Rows of the attempt's quarantine that fail in one of the columns."""
    import polars as pl

    parts = [
        rows_violating(without(frame, healing.warnings), column)
        for frame in read_parts(work.ports.objects, paths.quarantine(healing.batch_id, attempt.number))
        for column in columns
    ]
    return pl.concat(parts).unique() if parts else pl.Series(ROW, [], dtype=pl.Int64)
