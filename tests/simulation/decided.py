"""Promises that the documents alone can show: what was judged, accepted, replaced and taken back at rest."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.project import Plan
from tests.simulation.watch import shows_a_cell

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_OVER = ("undone", "failed", "rejected", "expired")
Documents = Mapping[str, Mapping[str, Any]]


def problems_of(simulation: Simulation) -> Iterator[str]:
    """Every sentence about what was decided against the definitions, or stayed although it was taken back."""
    documents = simulation.store.documents
    healings = {key: each for key, each in documents("healings").items() if each.get("kind") == "batch"}
    yield from _released(simulation, documents("verdicts"), healings)
    yield from _terms(documents("contracts"), documents("remedies"))
    yield from _readings(documents("deliveries"))
    yield from _taken_back(healings, documents("remedies"))
    yield from _fingerprints(documents("incidents"), documents("healings"))
    yield from _explained(simulation.foreign, documents("incidents"))
    yield from _kept(documents("receipts"))
    yield from (
        f"hanging: {key} waits to be loaded"
        for key in documents("loads")
        if documents("loads")[key]["kind"] == "waiting"
    )
    yield from _told_once(simulation)
    yield from _kept_apart(simulation)
    yield from _one_is_kept(simulation, healings)


def _released(simulation: Simulation, verdicts: Documents, healings: Documents) -> Iterator[str]:
    """Nothing is released that the pipeline's file holds, unless somebody waived it."""
    for key, each in verdicts.items():
        plan = simulation.world.plans.get(str(each.get("pipeline")))
        attempts = healings.get(str(each.get("batch_id")), {}).get("attempts", [])
        whole = any(other["number"] == each.get("attempt") and other["kind"] != "rows" for other in attempts)
        if plan is not None and each["state"] != "released":
            yield from _held_rightly(key, each, plan)
        if plan is None or not whole or each["state"] != "released":
            continue
        if each["score"] < plan.score and "score" not in each["waive"]:
            yield f"score: {key} was released with {each['score']}, below {plan.score}"
        failing = each["rows_quarantined"] > 0 and "rows" not in each["waive"]
        if failing and (plan.mode == "overwrite" or plan.rows == "reject_batch"):
            yield f"released: {key} ({plan.mode}, {plan.rows}) although {each['rows_quarantined']} rows fail"


def _held_rightly(key: str, verdict: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    """Nor is anything held for what the pipeline's file lets pass."""
    if verdict["reason"] == "score" and verdict["score"] >= plan.score:
        yield f"held: {key} for a score of {verdict['score']}, and {plan.score} is enough"
    lets = plan.mode != "overwrite" and plan.rows != "reject_batch"
    if verdict["reason"] == "rows" and (lets or not any(each["rows_failed"] for each in verdict["findings"])):
        yield f"held: {key} ({plan.mode}, {plan.rows}) for its rows"


def _terms(contracts: Documents, remedies: Documents) -> Iterator[str]:
    """What a contract accepts beyond its file rests on a remedy that stands."""
    for pipeline, each in contracts.items():
        for rename in each.get("renames", []):
            state = remedies.get(rename["remedy_id"], {}).get("state")
            if state in _OVER:
                yield f"terms: {pipeline} takes {rename['delivered']} for {rename['wanted']}, whose remedy is {state}"
        standing = {
            str(name)
            for remedy in remedies.values()
            if remedy["pipeline"] == pipeline and remedy["state"] not in _OVER
            for name in remedy["plan"].get("accept", [])
        }
        for column in each.get("columns", []):
            if f"{column['name']}:{column['logical_type']}" not in standing:
                yield f"terms: {pipeline} accepts {column['name']}, which no standing remedy made it accept"


def _readings(deliveries: Documents) -> Iterator[str]:
    """Another reading is another one."""
    for batch, each in deliveries.items():
        options = [reading["options"] for reading in each["readings"]]
        for number, (one, other) in enumerate(itertools.pairwise(options), 1):
            if one == other:
                yield f"reading: {batch}: reading {number + 1} is made as {number} was"


def _taken_back(healings: Documents, remedies: Documents) -> Iterator[str]:
    """An attempt that helped no row does not stand."""
    for batch, each in healings.items():
        for attempt in each["attempts"]:
            nothing = attempt["rows_passed"] == 0 == attempt["rows_discarded"]
            judged = attempt["verdict"] and len(attempt["classified"]) >= attempt["incidents"]
            states = {remedies.get(name, {}).get("state") for name in attempt["remedies"]}
            in_vain = attempt["kind"] == "rows" or (attempt["kind"] == "reading" and states == {"failed"})
            stands = attempt["state"] != "withdrawn" and not each["flight"]
            if nothing and judged and stands and in_vain:
                yield f"failed: {batch}: attempt {attempt['number']} ({attempt['kind']}) helped no row and stands"


def _told_once(simulation: Simulation) -> Iterator[str]:
    """People hear of a thing once, but for what was said and could not be written down."""
    again = sum(map(_may_repeat, simulation.trouble.told))
    for channel in simulation.channels.values():
        told = Counter(each.key.rpartition("|")[0] for each in channel.notices)
        for key, times in told.items():
            if times > 1 + again:
                yield f"told: {channel.name} heard {times} times: {key[:80]}"


def _may_repeat(trouble: str) -> bool:
    """Whether after that somebody may say again what he had said: he died, or the channel or the commit failed."""
    where, _, kind = trouble.partition(": ")
    return kind.startswith("dies") or where in ("channel.send", "store.commit", "together")


def _kept_apart(simulation: Simulation) -> Iterator[str]:
    """No cell's value is told to people."""
    for channel in simulation.channels.values():
        for each in channel.notices:
            if shows_a_cell(repr(each)):
                yield f"values: a cell's value in a notice of {channel.name}: {each.key[:80]}"


def _one_is_kept(simulation: Simulation, healings: Documents) -> Iterator[str]:
    """Of equal rows one stays: what is dropped as a repetition stands elsewhere in the batch."""
    for batch, each in healings.items():
        notes: dict[int, Any] = {}
        dropped: set[int] = set()
        for attempt in each["attempts"]:
            folder = f"{batch}/a{int(attempt['number']):04d}/"
            for info in list(simulation.objects.list(f"staged/{folder}")):
                notes |= {row["_mend_row"]: row["note"] for row in simulation.rows(info.path) if row.get("note")}
            if attempt["state"] != "withdrawn" and attempt["kind"] != "superseded":
                for info in list(simulation.objects.list(f"discarded/{folder}remediate")):
                    dropped |= {row["_mend_row"] for row in simulation.rows(info.path)}
        stand = {note for number, note in notes.items() if number not in dropped}
        lost = [number for number in sorted(dropped) if number in notes and notes[number] not in stand]
        if lost:
            yield f"lost: {batch}: rows {lost[:5]} are dropped as repetitions, and no row like them is left"


def _kept(receipts: Documents) -> Iterator[str]:
    """What failed for good can be handled again."""
    for key, each in receipts.items():
        if each["state"] == "failed" and each["event_type"] != "event.retry.v1" and not each.get("event"):
            yield f"kept: {key} ({each['event_type']}) failed, and the event is not kept for another try"


def _fingerprints(incidents: Documents, healings: Documents) -> Iterator[str]:
    """One fingerprint, one open incident."""
    known = {key: each["fingerprint"] for key, each in incidents.items() if "failure_class" in each}
    states = {key: healings.get(key, {}).get("state") for key in known}
    opened = Counter(known[key] for key, state in states.items() if state in ("classified", "waiting", "healing"))
    for fingerprint, times in opened.items():
        if times > 1:
            yield f"fingerprint: {times} open incidents for {fingerprint[:80]}"


def _explained(foreign: Mapping[str, int], incidents: Documents) -> Iterator[str]:
    """A failure of somebody else's is an incident."""
    told = {str(each.get("service")) for each in incidents.values() if each.get("origin") not in (None, "dead_letter")}
    for service, times in foreign.items():
        if service not in told:
            yield f"explained: {service} failed {times} times for a reason outside, and no incident says so"
