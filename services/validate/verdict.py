"""Turns what was found into a verdict: released, held or rejected, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.validate.findings import DatasetFinding
from shared.domain.batch import VerdictState
from shared.domain.masking import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.validate.column_matching import ColumnTrial, Mismatch
    from services.validate.terms import Terms

ALTERNATIVES_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to the attempt. ``reason`` is what rows without a violation of their own are held for."""

    state: VerdictState
    reason: DatasetFinding | None = None
    partial: bool = False


def incomplete_delivery(terms: Terms) -> DatasetFinding | None:
    """Ingest found the delivery itself to be broken; or it would replace a whole table by nothing."""
    overwrites = terms.pipeline.destination.mode == "overwrite"
    problem = terms.event.problem or ("empty" if overwrites and not terms.event.rows else "")
    if not problem or terms.waives("delivery_complete"):
        return None
    evidence = {"problem": clean(problem, 200), "alternatives": terms.alternatives[:ALTERNATIVES_SHOWN]}
    why = clean(terms.incomplete, 200)
    message = f"the delivery is not complete: {clean(problem, 200)}" + (f" ({why})" if why else "")
    if problem == "encoding":
        message = "the delivery is not in the encoding that it was read in"
    if problem == "unreadable" and why:
        message = f"the delivery cannot be read: {why}"
    return DatasetFinding(check="delivery_complete", message=message, evidence=evidence)


def mismatched_columns(terms: Terms, mismatch: Mismatch, trial: ColumnTrial, delivered: int) -> DatasetFinding:
    """One finding for columns that are missing, with those that nobody expects beside them; else for the latter."""
    from services.validate.column_matching import NAME_CHARACTERS, NAMES_SHOWN

    evidence: dict[str, Any] = {
        "missing_count": len(mismatch.missing),
        "unexpected_count": len(mismatch.unexpected),
        "unexpected": trial.unexpected(),
        "alternatives": terms.alternatives[:ALTERNATIVES_SHOWN],
    }
    strangers = [name[:NAME_CHARACTERS] for name in mismatch.unexpected[:NAMES_SHOWN]]
    new = f"{len(mismatch.unexpected)} columns are not in the contract: {_listed(strangers)}"
    no_header = trial.no_header(delivered)
    if no_header:
        strangers, evidence["unexpected"] = [], []
        new = "a record stands where the names of the columns should be"
        evidence["no_header"] = True
    if not mismatch.missing:
        return DatasetFinding(check="unexpected_columns", message=new, evidence=evidence)
    names = [column.name[:NAME_CHARACTERS] for column in mismatch.missing[:NAMES_SHOWN]]
    evidence |= {
        "missing": names,
        "required": [column.name for column in mismatch.missing[:NAMES_SHOWN] if not column.nullable],
        "delivered_count": delivered,
        "matched_count": len(terms.contract.columns) - len(mismatch.missing),
        "candidates": [] if no_header else trial.candidates(),
    }
    message = f"{len(mismatch.missing)} of the contract's columns are missing: {_listed(names)}"
    message += f"; {new}" if strangers or no_header else ""
    known = [f"{each['delivered']} for {each['missing']}" for each in evidence["candidates"] if each["synonym"]]
    message += f"; by synonyms of the contract: {_listed(known)}" if known else ""
    return DatasetFinding(check="missing_columns", message=message, evidence=evidence)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


def row_count(terms: Terms, rows: int) -> DatasetFinding | None:
    """The contract's bounds on the number of rows, for whole batches."""
    if not terms.whole or terms.waives("row_count"):
        return None
    for rule in terms.contract.row_counts:
        low, high = rule.minimum or 0, rule.maximum
        if rows < low or (high is not None and rows > high):
            evidence = {"minimum": low, "maximum": high or 0, "rule": rule.name}
            wanted = f"at least {low}" if high is None else f"{low} to {high}"
            message = f"{rows} rows where the contract wants {wanted}"
            return DatasetFinding(check="row_count", message=message, evidence=evidence)
    return None


def low_score(terms: Terms, score: float, dimensions: dict[str, float]) -> DatasetFinding | None:
    """The pipeline's least score, for whole batches."""
    least = float(terms.pipeline.on_violation.score_below)
    if not terms.whole or score >= least or terms.waives("score"):
        return None
    evidence = {"score": score, "score_below": least, "dimensions": dimensions}
    message = f"the batch scores {score:.1f}, below {least:g}"
    return DatasetFinding(check="score", message=message, evidence=evidence)


def decide(terms: Terms, findings: Sequence[DatasetFinding], rows: int, rows_failed: int) -> Decision:
    """A finding that holds comes first; then what the pipeline does with batches that have failing rows.

    Nobody's waiver lets a delivery of which no row passes take a table's place.
    """
    holding = next((finding for finding in findings if finding.holds), None)
    if holding is not None:
        return Decision(state=VerdictState.HELD, reason=holding)
    overwrites = terms.pipeline.destination.mode == "overwrite"
    if overwrites and terms.whole and 0 < rows == rows_failed:
        message = "every row fails, and a table is not overwritten by nothing"
        return Decision(state=VerdictState.HELD, reason=DatasetFinding(check="rows", message=message))
    if not rows_failed or terms.waives("rows"):
        return Decision(state=VerdictState.RELEASED, partial=bool(rows_failed) and overwrites)
    if terms.pipeline.on_violation.rows == "reject_batch":
        message = f"{rows_failed} rows fail, and the pipeline rejects a batch in which any row fails"
        return Decision(state=VerdictState.REJECTED, reason=DatasetFinding(check="rows", message=message))
    if overwrites:
        message = f"{rows_failed} rows fail, and a table is overwritten by a whole delivery only"
        return Decision(state=VerdictState.HELD, reason=DatasetFinding(check="rows", message=message))
    return Decision(state=VerdictState.RELEASED)
