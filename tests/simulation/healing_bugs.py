"""Bugs of healing: remedies that do the wrong thing, or run although they may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.remediate import carrying_out, closing, healing

# ── remediate ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _reads_again_at_once(original: Any) -> Any:
    def withdraw(work: Any, batch: Any, remedy_id: str, number: int, options_json: str) -> None:
        original(work, batch, remedy_id, number, options_json)
        work.events.pop()
        record = carrying_out.load_remedy(work.ports.state, remedy_id)
        if record is not None:
            healing._ask_for_reading(work, batch, record)

    return withdraw


def _some_violation_is_enough(original: Any) -> Any:
    def repair(frame: Any, repairs: Any, before: Any) -> Any:
        found = original(frame, repairs, before)
        touched = found.cells["_mend_row"].unique()
        return replace(found, ready=touched) if len(touched) else found

    return repair


def _unlogged(original: Any) -> Any:
    def write(objects: Any, path: str, frame: Any) -> int:
        if path.startswith("repairs/") and "old" in frame.columns:
            frame = frame.head(0)
        size: int = original(objects, path, frame)
        return size

    return write


def _drops_the_kept_too(original: Any) -> Any:
    def dropped(*given: Any) -> Any:
        found = original(*given)
        return {**{kept: (kept, reason) for kept, reason in found.values()}, **found}

    return dropped


def _closes_everything(original: Any) -> Any:
    def settled(work: Any, batch: Any, findings: Any) -> Any:
        for each in findings:
            closing.close(work, each, closing.IncidentState.HEALED, "surely")
        return []

    return settled


# ── the playbook ───────────────────────────────────────────────────────────────────────────────────────────────────


def _spills_over(original: Any) -> Any:
    """What a repair writes into a cell it writes into the cell below, too."""
    import polars as pl

    def repair(frame: Any, repairs: Any, before: Any) -> Any:
        found = original(frame, repairs, before)
        mended = found.frame
        for change in repairs.changes:
            if change.staged not in mended.columns:
                continue
            hit = found.frame[change.staged].ne_missing(frame[change.staged]).shift(1, fill_value=False)
            below = found.frame[change.staged].shift(1)
            new = pl.select(pl.when(hit).then(below).otherwise(mended[change.staged]).alias(change.staged)).to_series()
            mended = mended.with_columns(new)
        return replace(found, frame=mended)

    return repair


def _next_one(original: Any) -> Any:
    """The value after the one that a text must mean."""

    def nearest(text: Any, choices: Any, dense: Any) -> Any:
        found = original(text, choices, dense)
        return found if found is None else (found + 1) % len(choices)

    return nearest


# ── the policy ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _as_if(**facts: Any) -> Any:
    """The policy is asked about a remedy of which something else is true."""
    return lambda original: lambda request, *given: original(replace(request, **facts), *given)


def _any_number_of_rows(original: Any) -> Any:
    def too_much(request: Any, policy: Any, limits: Any, *given: Any) -> Any:
        caps = policy.caps.model_copy(update={"rows_max": 10**9})
        known = limits.model_copy(update={"rows_max": 10**9})
        return original(request, policy.model_copy(update={"caps": caps}), known, *given)

    return too_much


def _safe_anyhow(original: Any) -> Any:
    return lambda request, policy, mode, tier: "" if tier == "safe" else original(request, policy, mode, tier)
