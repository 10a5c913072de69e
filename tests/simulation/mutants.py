"""Bugs that are planted one at a time into the running code, to see that the simulation catches each."""

from __future__ import annotations

import secrets
from dataclasses import replace

from mend import audit
from services.classify import handlers as classify_handlers
from services.ingest import csv_reading, delivery, staging
from services.ingest import handlers as ingest_handlers
from services.load import before_images, jobs, manifest, taking_out, together, waiting, withdrawn
from services.load import handlers as load_handlers
from services.notify import handlers as notify_handlers
from services.remediate import (
    attempt,
    budget,
    carrying_out,
    closing,
    deciding,
    decision,
    healing,
    people,
    precedents,
    timers,
    undoing,
    verifying,
)
from services.remediate.playbook import parse_dates, snap_to_allowed
from services.validate import handlers as validate_handlers
from services.validate import judgement, release, verdict
from shared.adapters.local import warehouse_rows
from shared.domain import policy
from shared.domain.errors import TransientError
from shared.domain.remedy import Mode
from shared.events import types as events
from shared.runtime import handling, receipts, unit_of_work, worker
from shared.runtime.handling import Outcome, Runtime
from tests.simulation.bugs import (
    Mutant,
    _ack_first,
    _acknowledges,
    _any_earlier,
    _anywhere,
    _believes_the_event,
    _counts_what_was_read,
    _first_failures,
    _forgets_some_quarantine,
    _forgets_the_event,
    _held_in_hand,
    _keeps_half,
    _neighbours_too,
    _no_receipt,
    _NoDeadLetters,
    _passes_all,
    _publish_first,
    _receipt_first,
    _retries_terminal,
    _seen_as_published,
    _swallows,
    _tells_a_value,
    _without_expectations,
    _without_misfits,
    always,
    both,
    swap,
)
from tests.simulation.healing_bugs import (
    _any_number_of_rows,
    _as_if,
    _closes_everything,
    _drops_the_kept_too,
    _next_one,
    _reads_again_at_once,
    _safe_anyhow,
    _some_violation_is_enough,
    _spills_over,
    _unlogged,
)
from tests.simulation.load_bugs import (
    _blind_undo,
    _drops_the_refused,
    _forgets_jobs,
    _group_by_table,
    _halted_is_done,
    _plain_equal_replaces,
    _plain_overwrite_always,
    _plain_upsert_replaces,
    _random_job,
    _upsert_by_batch_time_alone,
    _upsert_replaces_always,
)
from tests.simulation.planes import plain_judging, plain_quarantine, plain_table
from tests.simulation.planes.plain_warehouse import PlainWarehouse

RUNTIME = (
    Mutant("publish_before_commit", "a handler's events go out before its state is committed",
           swap(Runtime, "_commit", _publish_first)),
    Mutant("no_preconditions", "a commit does not look whether what was read has changed",
           swap(Runtime, "_commit", _without_expectations)),
    Mutant("no_receipt", "nobody writes down that an event was handled", swap(receipts, "writes", _no_receipt)),
    Mutant("receipt_before_effect", "an event counts as handled before what it changed is there",
           swap(Runtime, "_commit", _receipt_first)),
    Mutant("acknowledge_before_publish", "a message is acknowledged before what it caused is published",
           both(swap(worker.Worker, "_deliver", _held_in_hand), swap(Runtime, "_publish", _acknowledges))),
    Mutant("acknowledge_first", "a message is acknowledged before it is handled",
           both(swap(worker.Worker, "step", _ack_first), swap(worker.Worker, "turn", _ack_first))),
    Mutant("never_published_again", "a receipt whose events were not published counts as published",
           swap(receipts, "read", _seen_as_published)),
    Mutant("transient_swallowed", "a store that says no is taken for success",
           swap(Runtime, "_settle", _swallows(TransientError))),
    Mutant("unforeseen_swallowed", "an exception nobody foresaw is taken for success",
           swap(Runtime, "_settle", _swallows(RuntimeError))),
    Mutant("terminal_retried", "an error that will not go away is tried again for ever",
           swap(Runtime, "_fail", _retries_terminal)),
    Mutant("event_not_kept", "an event that failed is not kept for a retry", swap(receipts, "writes", _forgets_the_event)),
    Mutant("random_event_ids", "the same cause gives events new ids each time",
           swap(events, "event_id", lambda _: lambda *given: secrets.token_hex(16)),
           "The receipt is the outbox: events are made once for what is committed, and published again only as they stand there, "
           "so that nobody sees the same said under two ids (the simulation looks)."),
    Mutant("foreign_ignored", "a failing source or channel makes no incident",
           swap(Runtime, "_fail", lambda original: lambda self, service, event, error, kind: Outcome(True, kind)
                if kind == "foreign" else original(self, service, event, error, kind))),
    Mutant("dead_letters_dropped", "what used up its deliveries is forgotten",
           swap(ingest_handlers, "IncidentOpened", lambda original: _NoDeadLetters(original))),
)  # fmt: skip


INGEST = (
    Mutant("duplicate_rule_too_wide", "in every mode any earlier delivery with the content makes a duplicate",
           swap(delivery, "repeated", _any_earlier)),
    Mutant("duplicates_not_seen", "no delivery is a duplicate", swap(delivery, "repeated", always(""))),
    Mutant("late_neighbour_ignored", "X, X, then Y between them: the second X stays a duplicate",
           swap(ingest_handlers, "_revived", always([]))),
    Mutant("short_read_accepted", "half a file is a delivery", swap(delivery, "keep_bytes", _keeps_half)),
    Mutant("counted_by_the_event", "as many bytes came as the event says, whatever came",
           swap(delivery, "keep_bytes", _believes_the_event)),
    Mutant("random_paths", "the files of a reading get names that nobody can derive",
           swap(ingest_handlers.reading, "make", _anywhere)),
    Mutant("misfits_dropped", "records that do not fit are left out of the staged rows",
           both(swap(staging, "interleaved", _without_misfits), swap(csv_reading, "interleaved", _without_misfits)),
           plane="real"),
    Mutant("counted_by_the_reading", "such records are left out, and the audit counts what was read instead of the bytes",
           both(swap(staging, "interleaved", _without_misfits), swap(csv_reading, "interleaved", _without_misfits),
                swap(audit._Auditor, "_count", _counts_what_was_read)),
           plane="real"),
    Mutant("reading_made_once", "another reading of a batch is not made",
           swap(ingest_handlers.reading, "make", lambda original: lambda *given: original(*given)
                if given[4] == 1 else original(*given[:3], given[2].source.declared, *given[4:]))),
)  # fmt: skip

VALIDATE = (
    Mutant("everything_passes", "rows with violations are released", both(swap(release, "failing_rows", _passes_all)),
           plane="real"),
    Mutant("violations_above_five_dropped", "only the first five failing rows of a chunk are set aside",
           both(swap(release, "failing_rows", _first_failures(5)), swap(judgement, "failing_rows", _first_failures(5))),
           plane="real"),
    Mutant("neighbours_set_aside", "the row after a failing one is set aside, too",
           swap(judgement, "failing_cells", _neighbours_too), plane="real"),
    Mutant("quarantine_later", "good rows are released before the quarantine is written",
           swap(release.RowFiles, "_write_quarantine", _forgets_some_quarantine), plane="real"),
    Mutant("parents_not_looked_at", "rows without a parent pass", swap(judgement, "orphans", always([])), plane="real"),
    Mutant("keys_not_looked_at", "keys may be there twice", both(swap(judgement, "key_rules", always([])), swap(plain_judging, "key_rules", always([])))),
    Mutant("cells_in_messages", "an incident's message quotes a cell",
           swap(validate_handlers, "_violation_incident", _tells_a_value), plane="real"),
    Mutant("score_ignored", "a batch below its score is released",
           swap(verdict, "low_score", always(None))),
    Mutant("overwrite_released_in_part", "an overwrite shows the good rows although others fail",
           swap(verdict, "decide",
                lambda original: lambda *given: replace(original(*given), state="released", reason=None, partial=False))),
)  # fmt: skip

LOAD = (
    Mutant("random_job_ids", "a repeated load is a new job", swap(jobs, "own_id", _random_job)),
    Mutant("jobs_not_booked", "a job that was done is done again", both(swap(warehouse_rows.Table, "done", always(None)), swap(PlainWarehouse, "run", _forgets_jobs))),
    Mutant("upsert_without_row_order", "of two rows of one delivery the earlier wins",
           both(swap(warehouse_rows.Table, "upsert", _upsert_by_batch_time_alone),
                swap(plain_table, "_age", lambda original: lambda *given: original(*given)[:2])),
           "Two rows of one delivery under one key never both pass: validate sets them aside (`keys_not_looked_at` shows it). "
           "The warehouse's conformance suite tests the order."),
    Mutant("upsert_replaces_newer", "an older row replaces a newer one",
           both(swap(warehouse_rows.Table, "upsert", _upsert_replaces_always),
                swap(plain_table.PlainTable, "upsert", _plain_upsert_replaces))),
    Mutant("upsert_replaces_equal", "a row as old as the one that is there takes its place (>= for >)",
           swap(plain_table.PlainTable, "upsert", _plain_equal_replaces),
           "Equal ones are one row of one delivery: it comes by one job, which is done once; what is repaired later was not in the "
           "table, and another reading comes after the rows of the one before have left. No upsert of 300 worlds met an equal row."),
    Mutant("overwrite_by_an_older_batch", "the last one handled is shown, not the newest",
           both(swap(warehouse_rows.Table, "shown", always(None)),
                swap(plain_table.PlainTable, "overwrite", _plain_overwrite_always))),
    Mutant("withdrawal_does_nothing", "rows that are taken back stay", swap(load_handlers, "take_out", always(0))),
    Mutant("withdrawn_loaded_all_the_same", "an attempt that was taken back is loaded when its event comes late",
           swap(withdrawn, "of_batch", always(withdrawn.NOTHING)),
           "Remediate takes an attempt back only after load said that it is loaded, and load's receipt knows the event when it "
           "comes again; the memory of what was withdrawn is a second lock (tests/unit/load opens the first)."),
    Mutant("blind_undo", "undo puts the first image back, whatever was loaded since",
           swap(taking_out, "_restorable", _blind_undo)),
    Mutant("nothing_restored", "undo leaves the keys empty that older batches gave",
           swap(taking_out, "_restorable", always(()))),
    Mutant("member_loaded_alone_too", "who shares a job may have been loaded by a job of its own",
           swap(together, "_came_alone", always(False))),
    Mutant("group_without_members", "a group's job is that of any group of the table",
           swap(waiting, "group_id", _group_by_table)),
    Mutant("refused_group_dropped", "a group whose job is refused is not loaded one by one",
           swap(together, "load", _drops_the_refused)),
    Mutant("halted_group_counts_as_loaded", "a group whose job will never be done counts as loaded",
           both(swap(together, "_run", _halted_is_done), swap(together, "_settled", _halted_is_done))),
    Mutant("no_manifests", "a load does not say what it gives to the table", swap(manifest, "write", always(None))),
    Mutant("newcomers_not_offered_again", "rows loaded during a withdrawal are not given to the table again",
           swap(taking_out, "_offer", always(None)),
           "They yield only to rows that leave in the same moment, which needs two processes inside one call of the "
           "warehouse; the second look of the withdrawal is what the conformance of load's crashes tests."),
)  # fmt: skip

REMEDIATE = (
    Mutant("budget_not_spent", "remedies that run alone are not counted", swap(budget, "spend", always(None))),
    Mutant("budget_of_one_look", "what this handler has just allowed is not counted",
           swap(budget, "spent", lambda _: lambda *given: (0, 0))),
    Mutant("threshold_ignored", "an unlikely remedy runs alone", swap(decision, "_unlikely", always(""))),
    Mutant("safe_threshold_ignored", "an unlikely safe remedy runs alone", swap(decision, "_unlikely", _safe_anyhow)),
    Mutant("share_cap_ignored", "a remedy changes any share of a batch alone",
           swap(decision, "_too_much", _as_if(rows_batch=10**9))),
    Mutant("row_cap_ignored", "a remedy changes any number of rows alone", swap(decision, "_too_much", _any_number_of_rows)),
    Mutant("cost_ignored", "a remedy of any cost runs alone", swap(decision, "_too_much", _as_if(cost=0.0))),
    Mutant("budget_of_all_ignored", "only the pipeline's own remedies of the hour are counted",
           swap(decision, "_spent", _as_if(spent_all=0))),
    Mutant("freeze_ignored", "remedies run alone in freeze windows", swap(deciding, "frozen", always(""))),
    Mutant("breaker_ignored", "a remedy that fails again and again goes on", swap(decision, "breaker_open", always(False))),
    Mutant("mode_ignored", "every pipeline heals by itself",
           swap(policy.Policy, "mode", lambda _: lambda self, asked: Mode.AUTONOMOUS)),
    Mutant("reading_without_withdrawal", "a new reading is made while the old one's rows are loaded",
           both(swap(carrying_out, "withdraw_reading", _reads_again_at_once),
                swap(undoing, "withdraw_reading", _reads_again_at_once))),
    Mutant("half_mended_rows_go_on", "a row goes on when one of its violations was addressed",
           swap(attempt, "repair", _some_violation_is_enough),
           "Validate judges it again, sets it aside again, and its place is where it was: an attempt is lost, no row."),
    Mutant("tried_again_and_again", "a remedy comes again for a cell on which it failed",
           swap(plain_quarantine, "tried", always(frozenset()))),
    Mutant("repairs_not_logged", "changed cells are not written down", swap(attempt, "_write", _unlogged),
           plane="real"),
    Mutant("repair_spills_over", "a repair writes into the cell below, too", swap(attempt, "repair", _spills_over), plane="real"),
    Mutant("next_value_snapped", "a misspelled text becomes the allowed value after the one it means",
           swap(snap_to_allowed, "_nearest", _next_one)),
    Mutant("month_first_always", "dates that can be read both ways are read month first, and that counts as proven",
           swap(parse_dates, "_verdict", always("month_first"))),
    Mutant("kept_row_dropped_too", "of equal rows none is kept", swap(plain_quarantine, "_dropped", _drops_the_kept_too)),
    Mutant("failure_not_taken_back", "an attempt that failed stands", swap(verifying, "_take_back", always(None))),
    Mutant("terms_survive_undo", "what an undone remedy made the contract accept stays accepted",
           both(swap(undoing, "revert_terms", always(None)), swap(verifying, "revert_terms", always(None)))),
    Mutant("closed_too_early", "incidents are closed as healed while rows are left",
           swap(closing, "close_settled", _closes_everything)),
    Mutant("superseded_but_not_discarded", "what a newer delivery replaces is in no place",
           swap(healing, "discard_all", always(0))),
    Mutant("undo_without_withdrawal", "an undone attempt's rows stay in the table",
           swap(undoing, "attempts_of", always([]))),
    Mutant("proposals_never_expire", "a proposal waits for ever", swap(people, "expire", always(None))),
    Mutant("parents_wake_nobody", "rows that wait for a parent go on waiting when it came",
           both(swap(timers, "wake_children", always(None)), swap(healing, "came_meanwhile", always(False)))),
    Mutant("followers_not_woken", "who waits for another batch's decision is forgotten",
           swap(timers, "_wake_followers", always(None))),
    Mutant("rejection_forgotten", "what a person refused is tried again",
           swap(precedents, "decided", always(None))),
)  # fmt: skip

OTHERS = (
    Mutant("an_incident_a_report", "every report opens an incident of its own",
           swap(classify_handlers.records, "index_of", lambda original: lambda state, fingerprint:
                {**original(state, fingerprint), "incident_id": ""})),
    Mutant("told_again_and_again", "a message goes out for every report",
           swap(notify_handlers.messages, "told", always(False))),
    Mutant("any_writer", "a service writes what another owns",
           both(swap(unit_of_work.UnitOfWork, "_refuse_strangers", always(None)),
                swap(load_handlers.withdrawn, "remember", lambda original: lambda state, batch, gone:
                     (original(state, batch, gone), state.put("messages", f"load {batch}", {"wake_at": 0}))))),
    Mutant("before_images_not_written", "what a load replaces is not kept", swap(before_images, "write", always(None)),
           "Rows of ours come back from the files of other loads; only rows that were never ours need the image, and the "
           "simulated tables begin empty (tests/unit/load tests those)."),
    Mutant("random_trace", "trace ids are not derived", swap(handling, "_traced", lambda original: lambda emitted, *given:
           emitted.model_copy(update={"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"})),
           "A trace is for people; nothing is decided by it."),
)  # fmt: skip

MUTANTS = (*RUNTIME, *INGEST, *VALIDATE, *LOAD, *REMEDIATE, *OTHERS)
