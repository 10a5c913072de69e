"""What was close in time to a failure, and how the job did before: evidence that ranks causes and decides none.

Read are a handful of documents: the verdict of the batch and of the last good one, at most ``NEAR_MAX`` incidents of
the same source, the deployments of the day before (``deployed.py``), and one document per job of another system:

```
incidents/job:{hash} = {kind: "job", system, job, since, failures,     # since when it is known, and how often it failed
  runs: [{run, at, reports, state}]}    # that failed, oldest first; state as last told: up_for_retry | failed | ""
```
Circumstances never change what the fields and words of a report decide, nor how sure that is: how often they are right
was not measured. They say which other causes a person should look at first.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from services.classify import deployed
from services.classify.decision import evidence_of
from services.classify.diagnosis import Diagnosis, Evidence
from services.classify.records import INCIDENTS
from shared.domain.ids import derive
from shared.domain.incident import FailureClass, Origin
from shared.domain.masking import one_line
from shared.events.types import IncidentOpened
from shared.ports.state import State
from shared.ports.state_store import Document, Where

SOURCE: Final = "circumstances"  # of such evidence
TOGETHER_MICROSECONDS: Final = 15 * 60 * 1_000_000
NEAR_MAX: Final = 10
RUNS_MAX: Final = 20
RUN_AGE_MICROSECONDS_MAX: Final = 90 * 86_400_000_000
RIVALS_MAX: Final = 3
_NAME_CHARACTERS_MAX: Final = 80
_OF_ROWS: Final = (Origin.VIOLATION, Origin.DATASET)
# What the contract says decides these; a delivery that is cut off or empty is so under any contract.
_NOT_BY_CONTRACT: Final = ("delivery_complete", "well_formed", "score", "shift")


class Rival(NamedTuple):
    """Another cause that circumstances speak for, and why."""

    cause: str
    because: str


class Circumstances(NamedTuple):
    """What is shown as evidence, and the other causes, the likeliest first."""

    evidence: tuple[Evidence, ...] = ()
    rivals: tuple[Rival, ...] = ()


def source_of(report: IncidentOpened) -> str:
    """What failures have in common that come from one source: the pipeline, else the other system."""
    return report.pipeline or report.system.casefold()


def around(state: State, report: IncidentOpened, incident: Document, diagnosis: Diagnosis) -> Circumstances:
    """What there is to say of an incident's last report."""
    changed = _changes(state, report)
    near = _near(state, report, incident["incident_id"])
    history = _history(state, report)
    new = deployed.before(state, report, _job_of(report)[0], incident["first_seen"])
    evidence = [*changed, *new.evidence(SOURCE), *_told_near(near), *history]
    rivals = [*_rival_definitions(changed, report), *_rival_deployment(new), *_rival_causes(near, incident)]
    others = [each for each in rivals if each.cause != diagnosis.cause]
    unique = {each.cause: each for each in reversed(others)}
    ranked = [each for each in others if unique[each.cause] is each]
    return Circumstances(tuple(evidence), tuple(ranked[:RIVALS_MAX]))


def _evidence(field: str, value: str) -> Evidence:
    return Evidence(SOURCE, field, value[:200], 0.0)


# ── what changed since the last good batch ─────────────────────────────────────────────────────────────────────────


def _changes(state: State, report: IncidentOpened) -> list[Evidence]:
    """New versions of the contract and of the pipeline's file since the last good batch, by the two verdicts."""
    if report.origin not in _OF_ROWS or not report.batch_id:
        return []
    now = state.get("verdicts", f"{report.batch_id}:{report.attempt}")
    known = list((now or {}).get("baseline") or [])
    profile = state.get("profiles", str(known[0])) if known else None
    if now is None or profile is None:
        return []
    batch = str(profile.get("batch_id", ""))
    good = state.get("verdicts", f"{batch}:{profile.get('attempt', 0)}")
    if good is None:
        return []
    found = []
    for field, what in (("contract", "contract changed"), ("pipeline_file", "pipeline file changed")):
        before, after = _version(good.get(field)), _version(now.get(field))
        if before and after and before != after:
            found.append(_evidence(what, f"{before} judged the last good batch {batch}; {after} judged this one"))
    return found


def _rival_deployment(new: deployed.Deployed) -> list[Rival]:
    return [Rival(deployed.CAUSE, new.because)] if new.told else []


def _version(said: object) -> str:
    return one_line(str(said or ""), _NAME_CHARACTERS_MAX)


def _rival_definitions(changed: list[Evidence], report: IncidentOpened) -> list[Rival]:
    if not changed or report.check.partition(":")[0] in _NOT_BY_CONTRACT:
        return []
    what = " and ".join(each.field.removesuffix(" changed") for each in changed)
    return [Rival("definition_wrong", f"the {what} is another one than that which the last good batch passed")]


# ── what else failed there ─────────────────────────────────────────────────────────────────────────────────────────


def _near(state: State, report: IncidentOpened, incident: str) -> list[Document]:
    """Other incidents of the same source that were last seen in the same minutes, the newest first."""
    source = source_of(report)
    if not source:
        return []
    where = [Where("source", "==", source), Where("last_seen", ">=", report.time - TOGETHER_MICROSECONDS)]
    found = state.query(INCIDENTS, where, order_by="last_seen", descending=True, limit=NEAR_MAX + 1)
    others = [each.data for each in found if each.key != incident]
    return [each for each in others if each["last_seen"] <= report.time + TOGETHER_MICROSECONDS][:NEAR_MAX]


def _told_near(near: list[Document]) -> list[Evidence]:
    if not near:
        return []
    named = ", ".join(f"{each['incident_id']} ({each.get('cause', '')})" for each in near[:3])
    more = f" and {len(near) - 3} more" if len(near) > 3 else ""
    return [_evidence("the same source, in the same minutes", f"{named}{more}")]


def _rival_causes(near: list[Document], incident: Document) -> list[Rival]:
    """Causes of what failed before it at the same source: what could not be read or written explains what is wrong."""
    counts: dict[str, list[str]] = {}
    for each in sorted(near, key=lambda each: (each["first_seen"], each["incident_id"])):
        outside = each.get("origin") in (Origin.SOURCE, Origin.DESTINATION, Origin.SIGNAL)
        known = each.get("failure_class") not in ("", None, FailureClass.UNKNOWN)
        cut = each.get("check") == "delivery_complete"
        if (outside or cut) and known and each["first_seen"] <= incident["first_seen"]:
            counts.setdefault(str(each["cause"]), []).append(str(each["incident_id"]))
    ranked = sorted(counts.items(), key=lambda each: -len(each[1]))  # equal ones stay in the order of time
    return [Rival(cause, f"it is the cause of {', '.join(ids[:3])} minutes before") for cause, ids in ranked]


# ── how the job did before ─────────────────────────────────────────────────────────────────────────────────────────


def _job_of(report: IncidentOpened) -> tuple[str, str, str]:
    """The job that a signal is about, its run, and the state it was said to be in; empty where it is not named."""
    if report.origin != Origin.SIGNAL:
        return "", "", ""
    told = evidence_of(report)
    task = ".".join(str(told[name]) for name in ("dag_id", "task_id") if told.get(name))
    run = told.get("run_id") or told.get("run") or told.get("logical_date") or told.get("execution_date") or ""
    return task or str(told.get("resource") or ""), str(run)[:200], str(told.get("state") or "")


def _job_key(system: str, job: str) -> str:
    return f"job:{derive(system.casefold(), job)}"


def count_run(state: State, report: IncidentOpened) -> None:
    """Take a failure into what is known of the job; what is older than 90 days is forgotten."""
    job, run, said = _job_of(report)
    if not job:
        return
    key = _job_key(report.system, job)
    names = {"system": report.system[:200], "job": job[:200]}
    known = state.get(INCIDENTS, key) or {"kind": "job", **names, "since": report.time, "failures": 0, "runs": []}
    runs: list[dict[str, Any]] = [
        each for each in known["runs"] if each["at"] > report.time - RUN_AGE_MICROSECONDS_MAX
    ]  # fmt: skip
    same = next((each for each in runs if run and each["run"] == run), None)
    if same is None:
        same = {"run": run, "at": report.time, "reports": 0, "state": ""}
        runs.append(same)
    same["reports"] += 1
    same["at"] = max(same["at"], report.time)
    same["state"] = said if said in ("up_for_retry", "failed") else same["state"]
    runs.sort(key=lambda each: each["at"])
    known = {**known, "since": min(known["since"], report.time), "failures": known["failures"] + 1}
    state.put(INCIDENTS, key, {**known, "runs": runs[-RUNS_MAX:]})


def _history(state: State, report: IncidentOpened) -> list[Evidence]:
    """The job's earlier runs, as far as they were told of: those that fail, for nobody tells of the others."""
    job, run, _ = _job_of(report)
    known = state.get(INCIDENTS, _job_key(report.system, job)) if job else None
    if known is None:
        return []
    named = one_line(job, _NAME_CHARACTERS_MAX)
    earlier = [
        each
        for each in known["runs"]
        if each["at"] <= report.time and (each["run"] != run if run else each["at"] < report.time)
    ]
    if not earlier:
        return [_evidence("job history", f"the first failure of {named} that was told of")]
    most = "at least " if len(earlier) + 1 >= RUNS_MAX else ""
    found = [_evidence("job history", f"{named} failed in {most}{len(earlier)} earlier runs of the last 90 days")]
    flaky = [each for each in earlier if each["state"] == "up_for_retry"]
    if flaky:
        told = f"{len(flaky)} of {len(earlier)} earlier runs were to be retried and not told of again: flaky"
        found.append(_evidence("job retries", told))
    return found
