"""A story as text for people: short lines under headings, times in UTC, commands ready to be copied."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from mend import root_cause
from mend.beliefs import sentence
from mend.evidence_words import share
from mend.explain import Story
from shared.domain.masking import one_line

_STATES = {
    "proposed": "waits for a person's decision",
    "approved": "approved, about to be carried out",
    "applied": "carried out, not verified yet",
    "verified": "carried out and verified",
    "failed": "did not help",
    "undone": "taken back",
    "rejected": "refused",
    "expired": "nobody decided in time",
}
_ORIGINS = {
    "violation": "rows that break their contract",
    "dataset": "a batch that breaks its contract as a whole",
    "source": "a source that failed",
    "destination": "a warehouse that refused",
    "signal": "another system's report",
    "dead_letter": "an event that used up its deliveries",
    "internal": "a failure of Mendline's own",
}
_KINDS = {
    "reading": "the delivery as it was read",
    "whole": "all waiting rows, judged anew",
    "rows": "repaired rows",
    "superseded": "superseded",
}


def lines(story: Story) -> Iterator[str]:
    """The story, line by line."""
    if story["kind"] == "incident":
        yield from _incident(story)
    elif story["kind"] == "remedy":
        yield f"Remedy {story['id']}: {story['remedy']}, {_STATES.get(story['state'], story['state'])}"
        yield from _about(story)
        yield from _remedy(story)
    else:
        yield from _batch(story)
    yield from _waits(story)


def _incident(story: Story) -> Iterator[str]:
    seen, believed = story["seen"], story["believed"]
    yield f"Incident {story['id']}: {story['state']}"
    where = [f"pipeline {story['pipeline']}" if story["pipeline"] else "", one_line(story["input"])]
    where.append(f"batch {story['batch_id']}" if story["batch_id"] else "")
    if any(where):
        yield "  " + " · ".join(each for each in where if each)
    yield from _heading("What was seen")
    about = f"{seen['check']} {seen['column']}".strip()
    first = _ORIGINS.get(seen["origin"], seen["origin"]) + (f": {about}" if about else "")
    yield f"  {first}"
    if seen["rows_failed"]:
        yield f"  {seen['rows_failed']:,} of {seen['rows']:,} rows failed in the last report" + (
            f", {seen['rows_failed_first']:,} in the first" if seen["rows_failed_first"] else ""
        )
    for fact in seen["facts"]:
        yield f"  – {fact}"
    reports = f"{seen['reports']:,} report{'s' * (seen['reports'] != 1)}"
    again = f", the {seen['occurrence']}. time since it was closed" if seen["occurrence"] > 1 else ""
    yield f"  first {moment(seen['first_seen'])}, last {moment(seen['last_seen'])}, {reports}{again}"
    yield from _heading("What was believed, and why")
    yield f"  {believed['failure_class']} / {believed['cause']}, {share(believed['confidence'])} sure"
    if believed["explanation"]:
        yield f"  {believed['explanation']}"
    if believed["means"]:
        yield f"  {believed['cause']}: {believed['means']}"
        yield f"  remedies that fit: {', '.join(believed['remedies_that_fit'])}; a person: {believed['advice']}"
    for each in believed["because"]:
        weight = f" (weighs {float(each['weight']):.2f})" if each["weight"] else ""
        yield f"  – {each['source']}: {each['field']} = {each['value']}{weight}"
    if believed["model"]:
        yield f"  its words were read by the text model {believed['model']}"
    for each in believed["rivals"]:
        yield f"  else look at {each['cause']}: {one_line(str(each['because']), 200)}"
    for each in believed["would_change"]:
        then = f"{each['failure_class']} / {each['cause']}, {share(each['confidence'])} sure"
        yield f"  without {one_line(each['without'], 100)} it would be: {then}"
    for each in believed["before"]:
        yield f"  before, in attempt {each['attempt']}: {each['cause']}, {share(each['confidence'])} sure"
    for number, each in enumerate(reversed(believed["feedback"])):
        yield f"  {moment(each['at'])} {'' if number == 0 else 'before, '}{sentence(each)}"
    for each in believed["near"]:
        yield f"  known, {each['kind']} {each['id']}: {one_line(each['title'], 200)}"
        yield f"    near because of {one_line(each['because'], 200)}"
    for each in believed["similar"]:
        yield f"  like {each.get('incident_id')} ({each.get('state')}): {each.get('explanation')}"
    if "began" in story:
        yield from _heading("Where it began")
        yield from root_cause.lines(story["began"])
    yield from _heading("What was done")
    if not story["done"]:
        yield "  nothing for this incident alone" if story["done_for_others"] else "  nothing"
    for remedy in story["done"]:
        yield f"  {remedy['id']} {remedy['remedy']} ({remedy['tier']}): {_STATES.get(remedy['state'], remedy['state'])}"
        yield from (f"  {line}" for line in _remedy(remedy))
    for each in story["done_for_others"]:
        told = f"{each['id']} {each['remedy']}: {_STATES.get(each['state'], each['state'])}: {each['plan_text']}"
        yield f"  with the batch, for {each['incident_id']}: {told}"
    yield from _heading("How it stands")
    yield from _end(story)


def _end(story: Story) -> Iterator[str]:
    end = story["end"]
    yield f"  {story['state']}" + (f" since {moment(end['at'])}" if end["at"] else "")
    told = end["explanation"] or end["note"]
    if told:
        yield f"  {told}"
    if end["rows_healed"] or end["rows_left"]:
        yield f"  {end['rows_healed']:,} rows healed, {end['rows_left']:,} left"


def _remedy(story: Story) -> Iterator[str]:
    yield f"  plan: {story['plan']}"
    decided = story["decided_by"] or "nobody yet"
    yield f"  decided by {decided}" + (f": {story['because']}" if story["because"] else "")
    for each in story["decisions"]:
        if each["by"] != "policy" or each["decision"] not in ("approve", "propose"):
            reason = f" ({each['reason']})" if each["reason"] else ""
            yield f"  {moment(each['at'])} {each['by']}: {each['decision']}{reason}"
    yield f"  p(cause) {share(story['p_cause'])} × p(success) {share(story['p_success'])}"
    changed = [
        f"{story['rows']:,} rows concerned" if story["rows"] else "",
        f"an estimated {story['cost']:.4f} dollars" if story["cost"] >= 0.0001 else "",
        f"{story['cells_changed']:,} cells changed" if story["cells_changed"] else "",
        f"{story['rows_discarded']:,} rows discarded" if story["rows_discarded"] else "",
        f"columns {', '.join(story['columns'][:20])}" if story["columns"] else "",
        f"in attempt {story['attempt']}" if story["attempt"] else "",
    ]
    times = [f"{name} {moment(at)}" for name, at in story["times"].items() if at and name != "decided"]
    if times:
        yield f"  {', '.join(times)}"
    if any(changed):
        yield "  changed: " + ", ".join(each for each in changed if each)
    for repair in story["repairs"]:
        yield from _repair(repair)
    if story["verified"]:
        healed = f"{story['rows_healed']:,} rows healed, {story['rows_not_healed']:,} not"
        yield f"  outcome: {story['verified']} ({healed})"
    if story["undone_by"]:
        yield f"  taken back by {story['undone_by']}"
    if story["undo"]:
        yield f"  to take it back: {story['undo']}"


def _repair(repair: dict[str, Any]) -> Iterator[str]:
    count = f"{repair['texts']:,} texts would change" if repair["proposed"] else f"{repair['cells']:,} cells"
    yield f"    {repair['column']}: {count}, at least {share(repair['confidence_min'])} sure"
    for each in repair.get("changes", []):
        cells = "" if repair["proposed"] else f"   {each['cells']:,} ×"
        yield f"      {each['before']!r} → {each['after']!r}{cells}"
    if repair.get("changes") and repair["texts"] > len(repair["changes"]):
        yield f"      … and {repair['texts'] - len(repair['changes']):,} other texts"


def _about(story: Story) -> Iterator[str]:
    about = story["about"]
    if about:
        what = f"{about['check']} {about['column']}".strip()
        yield f"  for incident {about['id']} ({about['state']}) {what}: {about['cause']}, {about['explanation']}"
    if story["batch_id"]:
        yield f"  pipeline {story['pipeline']} · batch {story['batch_id']}"


def _batch(story: Story) -> Iterator[str]:
    yield f"Batch {story['id']}: {one_line(story['input'])}" + (" (held)" if story["held"] else "")
    yield f"  pipeline {story['pipeline']} · {story['bytes']:,} bytes · registered {moment(story['registered_at'])}"
    yield f"  as delivered: {story['raw']}"
    if story["duplicate_of"]:
        yield f"  a duplicate of {story['duplicate_of']}: all its records are discarded"
    if story["superseded_by"]:
        yield f"  superseded by {story['superseded_by']}"
    yield from _heading("Where its rows are")
    rows = story["rows"]
    yield "  " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items())
    for each in story["quarantined_because"]:
        about = f"{each['check']} {each['column']}".strip()
        yield f"  – in quarantine: {each['rows']:,} × {about}: {each['explanation']}"
    for reason, count in story["discarded_because"].items():
        yield f"  – discarded: {count:,} × {reason}"
    yield from _heading("How it was read")
    for each in story["readings"]:
        options = ", ".join(f"{name} {value}" for name, value in each["options"].items())
        current = " (current)" if each["current"] else ""
        problem = f", {each['problem']}" if each["problem"] else ""
        yield f"  reading {each['number']}{current}: {options}: {each['rows']:,} records{problem}"
    yield from _heading("How it was judged")
    for each in story["attempts"]:
        kind = _KINDS.get(each["kind"], each["kind"])
        gone = ", taken back since" if each["withdrawn"] else ""
        passed = f"{each['rows_passed']:,} of {each['rows']:,} rows passed"
        yield f"  attempt {each['attempt']} ({kind}): {each['state']}, {passed}, score {each['score']:.1f}{gone}"
        if each["load"]:
            yield f"    {each['load']} into {each['table']}: {each['rows_loaded']:,} rows"
    yield from _heading("Incidents and remedies")
    for each in story["incidents"]:
        what = f"{each['check']} {each['column']}".strip()
        yield f"  {each['id']} {each['state']}: {what}: {each['cause']}, {share(each['confidence'])} sure"
    for each in story["remedies"]:
        state = _STATES.get(each["state"], each["state"])
        yield f"  {each['remedy_id']} {each['remedy']}: {state}: {each['plan_text']}"
    if not story["incidents"] and not story["remedies"]:
        yield "  none"


def _waits(story: Story) -> Iterator[str]:
    if not story["waits"]:
        return
    yield from _heading("What waits")
    for each in story["waits"]:
        until = f" (until {moment(each['until'])})" if each.get("until") else ""
        at = f" ({moment(each['at'])})" if each.get("at") else ""
        yield f"  {each['what']}{until}{at}"
        for command in each["commands"]:
            yield f"    {command}"


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text


def moment(microseconds: int) -> str:
    """A time for people, UTC."""
    if not microseconds:
        return "never"
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
