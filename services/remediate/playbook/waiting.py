"""Remedies that wait: for a source to answer again, for a parent's rows, for a person."""

from __future__ import annotations

from services.remediate.plans import Case, Fit, Plan, Played
from shared.domain.incident import Origin
from shared.domain.remedy import Tier

RETRIES_MAX = 5
BACKOFF_FIRST_MICROSECONDS = 1_000_000


def backoff_microseconds(tries: int) -> int:
    """How long to wait before the next try after ``tries`` of them: 1 s, doubled each time."""
    return BACKOFF_FIRST_MICROSECONDS << min(tries, 10)


class _RetryWithBackoff(Played):
    def plan(self, case: Case) -> Plan | None:
        """Have the service handle its event again, after 1, 2, 4 … seconds."""
        finding = case.finding
        if finding.batch_id and finding.origin in (Origin.VIOLATION, Origin.DATASET):
            return None
        if not finding.retriable:
            return None
        sentence = f"Let {finding.service} handle the event again, up to {RETRIES_MAX} times with growing pauses"
        return Plan(action="retry", sentence=sentence, details={"tries_max": RETRIES_MAX, "service": finding.service})


class _AwaitParent(Played):
    def plan(self, case: Case) -> Plan | None:
        """Judge the rows again whenever their parent table was loaded."""
        table = case.finding.evidence("parent_table")
        if case.finding.check != "relationship" or not table or case.healing is None:
            return None
        if case.contract is not None and case.definition is not None:
            named = [
                reference.qualified(case.definition.destination.dataset)
                for reference in case.contract.references
                if list(reference.columns) == case.finding.columns
            ]
            table = named[0] if named else table
        return Plan(
            action="await",
            sentence=f"Keep the rows and judge them again when {table} is loaded",
            rows=case.finding.rows_left or case.finding.rows_failed,
            columns=tuple(case.finding.columns),
            table=str(table),
        )


class _Release(Played):
    def plan(self, case: Case) -> Plan | None:
        """Accept what holds the batch: its rows without a violation of their own are loaded."""
        if case.healing is None or not case.healing.held():
            return None
        waive = waiver(case.finding.check, case.finding.column)
        if not waive or waive in case.healing.waive:
            return None
        what = {"rows": "that some rows fail", "score": "the score", "row_count": "the number of rows"}.get(waive)
        return Plan(
            action="waive",
            sentence=f"Accept {what or 'what was found (' + waive + ')'} and load the rows that pass",
            rows=case.healing.rows_total(),
            waive=(waive,),
        )


def waiver(check: str, column: str) -> str:
    """What validate calls the acceptance of a finding; "" when it cannot be accepted."""
    if check == "shift" or check.startswith("quality:"):
        return f"{check}:{column}" if column else check
    if check in ("missing_columns", "unexpected_columns"):
        return ""
    return check if check in ("delivery_complete", "row_count", "score") else "rows"


class _HoldForPerson(Played):
    def plan(self, case: Case) -> Plan | None:
        """Ask a person; approving says that it is dealt with."""
        finding = case.finding
        if finding.batch_id and finding.origin in (Origin.VIOLATION, Origin.DATASET):
            return None
        if finding.origin == Origin.DEAD_LETTER and finding.event_id:
            command = f"mend replay {finding.incident_id}"
            return Plan(action="person", sentence=f"A person finds the cause, then types {command}")
        again = "; approving lets Mendline try again" if finding.retriable else ""
        return Plan(action="person", sentence=f"A person looks into it and approves when it is dealt with{again}")


RETRY_WITH_BACKOFF = _RetryWithBackoff(
    name="retry_with_backoff",
    tier=Tier.SAFE,
    stage="delivery",
    fits={
        "source_unavailable": Fit(9, 2, "Most outages of a source end within a minute."),
        "source_rate_limited": Fit(9, 1, "Waiting is what a rate limit asks for."),
        "source_missing": Fit(1, 2, "What is missing is sometimes only late."),
        "destination_unavailable": Fit(9, 1, "Most outages of a warehouse end within a minute."),
        "destination_quota": Fit(6, 2, "Quotas fill up again."),
        "disk_full": Fit(1, 3, "Space is seldom freed by waiting."),
        "internal_error": Fit(1, 3, "Our own errors seldom go away, but trying costs nothing."),
        "unknown": Fit(1, 2, "Trying again costs nothing."),
    },
)

AWAIT_PARENT = _AwaitParent(
    name="await_parent",
    tier=Tier.SAFE,
    stage="rows",
    times_max=1_000,
    fits={
        "orphan_rows": Fit(4, 3, "Parents are often loaded after their children."),
        "parent_missing": Fit(8, 2, "The parent table has not been loaded yet."),
        "value_unknown": Fit(1, 3, "An unknown key may be a new parent's."),
        "value_misspelled": Fit(1, 6, "What was misspelled will not find a parent."),
        "value_not_normalised": Fit(1, 6, "What was badly written will not find a parent."),
    },
)

_ANYTHING = Fit(1, 1, "Only a person can know.")

RELEASE = _Release(
    name="release",
    tier=Tier.GUARDED,
    stage="batch",
    person_only=True,
    fits={"": _ANYTHING},
)

HOLD_FOR_PERSON = _HoldForPerson(
    name="hold_for_person", tier=Tier.SAFE, stage="batch", person_only=True, fits={"": _ANYTHING}
)
