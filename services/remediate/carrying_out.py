"""Carries out what a round chose: makes attempt n+1, asks for another reading, or begins to wait."""

from __future__ import annotations

import json
from typing import cast

from services.remediate import deciding, parents
from services.remediate.attempt import Repairs, Written, rows_ready, tried, write_attempt
from services.remediate.playbook.waiting import backoff_microseconds
from services.remediate.records import REPAIRS, Attempt, Finding, Flight, Healing, Remedy, load_remedy, watch
from services.remediate.rounds import Choice
from services.remediate.work import BatchCases, Work
from shared.domain import paths
from shared.domain.checks import check
from shared.domain.remedy import RemedyState
from shared.events.types import BatchStaged, BatchWithdraw
from shared.ports.state_store import Where

LOOK = "look"  # of a wait for a parent: whether it came between the verdict and the wait is still to be looked up
CLOCKS_APART_MICROSECONDS = 60_000_000


def record_of(work: Work, cases: BatchCases, choice: Choice) -> Remedy:
    """The record of a choice, approved: the person's, or a new one that the policy lets run."""
    if choice.record is not None:
        choice.record.plan = choice.plan.told()
        choice.record.rows, choice.record.rows_changed = choice.plan.rows, choice.plan.rows_changed
        return choice.record
    told = choice.told
    check(told is not None, "a remedy runs by a person's approval or by the policy's")
    ruled = cast(deciding.Assessment, told)
    record = deciding.new_record(work, cases.case(choice.finding, {}), choice.remedy, choice.plan, ruled)
    deciding.approve(work, record, "policy", ruled.ruling.reason)
    return record


def begin_reading(work: Work, cases: BatchCases, choice: Choice) -> None:
    """Take the old reading out first; the new one is asked for when that is done."""
    healing = cases.healing
    record = record_of(work, cases, choice)
    record.plan["previous"] = cases.readings[-1] if cases.readings else ""
    number = healing.next_number()
    deciding.applied(work, record, number)
    choice.finding.state = "healing"
    withdraw_reading(work, healing, record.remedy_id, number, choice.plan.reading_options_json)


def withdraw_reading(work: Work, healing: Healing, remedy_id: str, number: int, options_json: str) -> None:
    """Ask load to take out the current reading, as the first step to another one."""
    healing.flight = Flight(
        stage="withdrawing", attempt=number, remedies=[remedy_id], reading_options_json=options_json
    )
    work.emit(
        BatchWithdraw,
        f"{remedy_id}|{healing.batch_id}|reading {healing.reading}",
        subject=healing.batch_id,
        batch_id=healing.batch_id,
        pipeline=healing.pipeline,
        remedy_id=remedy_id,
        reading=healing.reading,
        reason="another reading takes its place",
    )


def begin_refetch(work: Work, cases: BatchCases, choice: Choice) -> None:
    """Ask the source again after a pause; whatever newer delivery of the object arrives will be recognised."""
    finding = choice.finding
    record = record_of(work, cases, choice)
    deciding.applied(work, record)
    finding.uri = cases.uri
    finding.state, finding.proposal = "waiting", record.remedy_id
    finding.retries = 0
    finding.wake_at = work.now + backoff_microseconds(0)
    watch(work.ports.state, "uri", cases.healing.pipeline, cases.uri, batch=cases.healing.batch_id)


def begin_waiting(work: Work, cases: BatchCases, choice: Choice) -> None:
    """Wait for a parent table to be loaded; the next step looks whether it came between the verdict and now."""
    finding, table = choice.finding, choice.plan.table
    record = record_of(work, cases, choice)
    deciding.applied(work, record)
    finding.state, finding.awaits_table, finding.proposal = "waiting", table, record.remedy_id
    finding.note = f"its rows are judged again when {table} is loaded"
    watch(work.ports.state, "table", table, batch=cases.healing.batch_id)
    if finding.tried.get(choice.remedy.name, 0) == 1:
        finding.phase = LOOK
        cases.healing.wake_at = work.now


def came_meanwhile(work: Work, cases: BatchCases, finding: Finding) -> bool:
    """Once, after the wait was made known: was the parent loaded when nobody knew yet that it is waited for?"""
    if finding.phase != LOOK:
        return False
    finding.phase, healing = "", cases.healing
    if parents.comparable(cases, finding):
        return True  # the look at the keys, which comes next, tells without any clock
    if finding.evidence("parent_missing") and work.ports.warehouse.describe(finding.awaits_table) is not None:
        return True
    delivery = work.ports.state.get("deliveries", healing.batch_id) or {}
    since = int(delivery.get("registered_at", 0)) - CLOCKS_APART_MICROSECONDS
    loads = [Where("table", "==", finding.awaits_table), Where("loaded_at", ">=", since)]
    return any(each.data["batch_id"] != healing.batch_id for each in work.ports.state.query("loads", loads, limit=20))


def make_columns_attempt(work: Work, cases: BatchCases, choices: list[Choice]) -> None:
    """All rows again, with columns renamed or accepted, or findings waived."""
    healing = cases.healing
    accept: list[str] = []
    for choice in choices:
        healing.rename |= choice.plan.rename
        healing.waive = sorted({*healing.waive, *choice.plan.waive})
        accept += choice.plan.accept
    number = healing.next_number()
    written = write_attempt(work.ports.objects, healing, number, Repairs([], [], [], []), whole=True)
    records = [record_of(work, cases, choice) for choice in choices]
    _announce(work, cases, number, "whole", written, records, accept)
    for choice, record in zip(choices, records, strict=True):
        deciding.applied(work, record, number)
        choice.finding.state = "healing"


def make_rows_attempt(
    work: Work, cases: BatchCases, choices: list[Choice], awake: list[Finding], late: list[Finding]
) -> bool:
    """Repaired rows, and those whose parents came, as the next attempt; False when no row would be ready for it.

    What is ``late`` goes along with a repair of the same row and is no reason for an attempt by itself: judged again
    as they are, such rows would come back as they are, without end.
    """
    healing = cases.healing
    repairs = Repairs(
        [change for choice in choices for change in choice.plan.changes],
        [discard for choice in choices for discard in choice.plan.discards],
        [",".join(each.columns) for each in awake],
        [",".join(each.columns) for each in late],
    )
    whole = healing.held()
    if not whole:
        before = tried(work.ports.objects, healing)
        if len(rows_ready(cases.quarantine, repairs, before)) == 0:
            return False
    number = healing.next_number()
    written = write_attempt(work.ports.objects, healing, number, repairs, whole=whole)
    records: list[Remedy] = []
    for choice in choices:
        cells = sum(written.cells.get((choice.remedy.name, column), 0) for column in choice.plan.columns)
        dropped = written.rows_discarded if choice.plan.discards else 0
        if cells + dropped == 0:
            continue
        record = record_of(work, cases, choice)
        record.cells_changed, record.rows_discarded = cells, dropped
        record.rows = written.rows_kept + dropped if choice.plan.discards else cells
        records.append(record)
        choice.finding.state = "healing"
    waited = _waited(work, [*awake, *late])
    _announce(work, cases, number, "whole" if whole else "rows", written, [*records, *waited], [])
    for record in records:
        deciding.applied(work, record, number)
    for record in waited:
        record.attempt = number
        record.save(work.ports.state)
    made = healing.attempt(number)
    if made is not None:
        made.rejudged = bool(awake) and not records
    return True


def _waited(work: Work, awake: list[Finding]) -> list[Remedy]:
    """The remedies that waited for parents which are there now."""
    known = [load_remedy(work.ports.state, each.proposal) for each in awake]
    return [each for each in known if each is not None and each.state == RemedyState.APPLIED]


def _announce(
    work: Work, cases: BatchCases, number: int, kind: str, written: Written, records: list[Remedy], accept: list[str]
) -> None:
    """Make the attempt known, to the batch's document and to validate."""
    healing, ports = cases.healing, work.ports
    remedies = [record.remedy_id for record in records]
    healing.attempts.append(
        Attempt(
            number=number,
            reading=healing.reading,
            kind=kind,
            remedies=remedies,
            rows=written.rows,
            rows_discarded=written.rows_discarded,
        )
    )
    healing.flight = Flight(stage="judging", attempt=number, remedies=remedies)
    ports.state.put(
        REPAIRS,
        f"{healing.batch_id}:{number}",
        {
            "batch_id": healing.batch_id,
            "pipeline": healing.pipeline,
            "attempt": number,
            "remedies": remedies,
            "path": paths.repairs(healing.batch_id, number) if written.cells else "",
            "discarded": paths.discarded(healing.batch_id, number, "remediate") if written.rows_discarded else "",
            "rows": written.rows,
            "cells_changed": sum(written.cells.values()),
            "rows_discarded": written.rows_discarded,
            "columns": sorted({column for _, column in written.cells}),
            "at": work.now,
        },
    )
    if written.rows == 0:  # every row was dropped: nothing for validate to judge
        made = healing.attempts[-1]
        made.verdict, made.loaded = "released", True
        healing.wake_at = work.now
        return
    work.emit(
        BatchStaged,
        f"{healing.batch_id}|{number}",
        subject=healing.batch_id,
        batch_id=healing.batch_id,
        pipeline=healing.pipeline,
        attempt=number,
        reading=healing.reading,
        seq=healing.seq,
        parts=written.parts,
        rows=written.rows,
        raw_rows=written.raw_rows,
        bytes=written.bytes,
        reading_options_json=cases.readings[-1] if cases.readings else "",
        remedy_id=remedies[0] if remedies else "",
        rename_json=json.dumps(healing.rename, ensure_ascii=False) if healing.rename else "",
        accept_columns=accept,
        waive=healing.waive,
        whole=kind == "whole",
    )
