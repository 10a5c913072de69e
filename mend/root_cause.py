"""Several incidents with one cause are one tree: what stands at its root is what a person should look at.

An incident hangs on an earlier one where the records say why: it lacks the parents that another pipeline could not
load, it is counted from rows that another one is about, it is the same failure of the same source, run or column. Where
nothing says so, an incident is its own root: two failures in the same minute are no tree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from mend.report import documents
from shared.domain.errors import MendError
from shared.domain.incident import Origin
from shared.domain.masking import one_line
from shared.domain.pipeline import parse_pipeline
from shared.ports.definitions import Definitions
from shared.ports.state_store import StateStore, Where

Incident = dict[str, Any]
READ_MAX: Final = 5_000
SHOWN_MAX: Final = 20
DEPTH_MAX: Final = 20
_DAY: Final = 86_400_000_000
_TOGETHER: Final = 15 * 60 * 1_000_000  # failures of one source that are no further apart are one outage
_ORPHANS: Final = frozenset({"parent_missing", "orphan_rows"})
_COUNTED: Final = frozenset({"row_count", "shift", "score"})  # what is found of a whole batch, because of its rows
_CUT_OFF: Final = frozenset({"truncated_delivery", "partial_delivery"})


class Link(NamedTuple):
    """The earlier incident that an incident hangs on, and what says so."""

    parent: str
    because: str


def links(incidents: Iterable[Incident], feeds: Mapping[str, str]) -> dict[str, Link]:
    """Incident → what it hangs on; roots have no entry. ``feeds`` says which pipeline loads a table.

    An incident only hangs on one before it in a fixed order (time first seen, then delivery before rows before counts),
    so there are no circles.
    """
    known = sorted(incidents, key=_order)
    by_pipeline = _grouped(known, lambda each: str(each.get("pipeline") or ""))
    by_batch = _grouped(known, lambda each: str(each.get("batch_id") or ""))
    found = _chained(known)
    for each in known:
        link = _lacks_parents(each, by_pipeline, feeds) or _counted(each, by_batch)
        if link is not None:
            found[str(each["incident_id"])] = link
    return found


def _order(incident: Incident) -> tuple[int, int, str]:
    level = 2 if _check(incident) in _COUNTED else 0 if _check(incident) == "delivery_complete" else 1
    return int(incident.get("first_seen") or 0), level, str(incident["incident_id"])


def _check(incident: Incident) -> str:
    return str(incident.get("check") or "").partition(":")[0]


def _grouped(incidents: list[Incident], key: Callable[[Incident], str]) -> dict[str, list[Incident]]:
    groups: dict[str, list[Incident]] = {}
    for each in incidents:
        if name := key(each):
            groups.setdefault(name, []).append(each)
    return groups


def _lacks_parents(
    incident: Incident, by_pipeline: Mapping[str, list[Incident]], feeds: Mapping[str, str]
) -> Link | None:
    """Rows whose parents are not there, while the pipeline that loads their table was in trouble."""
    if incident.get("cause") not in _ORPHANS:
        return None
    table = str(_evidence(incident, "hypotheses").get("parent_table") or "")
    upstream = feeds.get(table, "")
    if not upstream or upstream == incident.get("pipeline"):
        return None
    for each in by_pipeline.get(upstream, []):
        if _order(each) < _order(incident) and _open_at(each, int(incident.get("first_seen") or 0)):
            return Link(str(each["incident_id"]), f"{table} is loaded by {upstream}, which had this incident open then")
    return None


def _open_at(incident: Incident, moment: int) -> bool:
    closed = int(incident.get("closed_at") or 0)
    return closed == 0 or closed > moment


def _counted(incident: Incident, by_batch: Mapping[str, list[Incident]]) -> Link | None:
    """What is counted over a batch follows from a delivery that was cut off; its score from the rows that fail."""
    check = _check(incident)
    if check not in _COUNTED:
        return None
    others = [each for each in by_batch.get(str(incident.get("batch_id") or ""), []) if _order(each) < _order(incident)]
    cut = next((each for each in others if each.get("cause") in _CUT_OFF), None)
    if cut is not None:
        return Link(str(cut["incident_id"]), "the same delivery was cut off")
    rows = [each for each in others if each.get("origin") == Origin.VIOLATION and each.get("rows_failed_first")]
    if check != "score" or not rows:
        return None
    most = max(rows, key=lambda each: int(each["rows_failed_first"]))
    return Link(str(most["incident_id"]), "the score counts its rows, more of them than any other's")


def _chained(known: list[Incident]) -> dict[str, Link]:
    """The same failure again: of one run of another system, of one source in one outage, of one column or check."""
    found: dict[str, Link] = {}
    for chain, because, apart in (
        (_family, "the same was found first in an earlier delivery of the pipeline", _DAY),
        (_place, "the same failure of the same place, minutes before", _TOGETHER),
        (_run, "the first of the run that failed", 30 * _DAY),
    ):
        for group in _grouped(known, chain).values():
            first = group[0]
            for before, each in pairwise(group):
                since = int(each.get("first_seen") or 0) - int(before.get("first_seen") or 0)
                open_still = chain is _family and _open_at(before, int(each.get("first_seen") or 0))
                if since > apart and not open_still:
                    first = each
                else:
                    found[str(each["incident_id"])] = Link(str(first["incident_id"]), because)
    return found


def _family(incident: Incident) -> str:
    if incident.get("origin") not in (Origin.VIOLATION, Origin.DATASET):
        return ""
    return f"{incident.get('pipeline')}|{incident.get('family')}|{incident.get('cause')}"


def _place(incident: Incident) -> str:
    """The host, bucket or folder that fails and how; nothing where the place is not known."""
    if incident.get("origin") not in (Origin.SOURCE, Origin.DESTINATION):
        return ""
    parts = urlsplit(str(incident.get("uri") or ""))
    where = f"{parts.scheme}://{parts.netloc}" if parts.netloc else str(incident.get("system") or "")
    if not where and incident["origin"] == Origin.DESTINATION:
        where = "the warehouse"
    return f"{incident['origin']}|{where}|{incident.get('cause')}" if where else ""


def _run(incident: Incident) -> str:
    if incident.get("origin") != Origin.SIGNAL:
        return ""
    told = _evidence(incident)
    run, dag = told.get("run_id") or told.get("run"), told.get("dag_id") or ""
    resource = str(told.get("resource") or "").partition(".")[0]
    return f"{incident.get('system')}|{dag or resource}|{run}" if run and (dag or resource) else ""


def _evidence(incident: Incident, *path: str) -> dict[str, Any]:
    try:
        found = json.loads(str(incident.get("evidence_json") or "{}"))
    except ValueError:
        return {}
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


# ── the tree around one incident ───────────────────────────────────────────────────────────────────────────────────


def root_of(key: str, found: Mapping[str, Link]) -> list[tuple[str, str]]:
    """The way from an incident to its root: (incident, why the one before hangs on it); empty for a root."""
    way: list[tuple[str, str]] = []
    while (link := found.get(key)) is not None and len(way) < DEPTH_MAX:
        way.append((link.parent, link.because))
        key = link.parent
    return way


def feeds_of(definitions: Definitions) -> dict[str, str]:
    """Table → the pipeline that loads it; a definition that cannot be read feeds nothing."""
    found: dict[str, str] = {}
    for path in definitions.list("pipelines"):
        try:
            pipeline = parse_pipeline(definitions.read(path).text, path)
        except MendError:
            continue
        found.setdefault(pipeline.destination.table, pipeline.pipeline)
    return found


def around(state: StateStore, moment: int) -> list[Incident]:
    """Incidents first seen within a day of a moment."""
    where = [Where("first_seen", ">=", moment - _DAY), Where("first_seen", "<=", moment + _DAY)]
    found = state.query("incidents", where, order_by="first_seen", limit=READ_MAX)
    return [{**each.data, "incident_id": each.key} for each in found if "failure_class" in each.data]


def tree(state: StateStore, definitions: Definitions, key: str, moment: int) -> dict[str, Any]:
    """Where an incident that was first seen at a moment began: the way to its root, and what else hangs on that."""
    incidents = {str(each["incident_id"]): each for each in around(state, moment)}
    found = links(incidents.values(), feeds_of(definitions))
    way = root_of(key, found)
    root = way[-1][0] if way else key
    ends = {each: (root_of(each, found) or [(each, "")])[-1][0] for each in incidents}
    others = [each for each, end in ends.items() if end == root and each not in (root, key)]
    others.sort(key=lambda each: _order(incidents[each]))
    return {
        "root": root,
        "way": [{"because": because, **_short(incidents[each])} for each, because in way],
        "others_count": len(others),
        "others": [{"because": found[each].because, **_short(incidents[each])} for each in others[:SHOWN_MAX]],
    }


def roots(state: StateStore, definitions: Definitions, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of listed incidents those that hang on none that is listed too, each with ``others``: what hangs on it."""
    stored = [{**data, "incident_id": key} for key, data in documents(state, "incidents") if "failure_class" in data]
    found = links(stored, feeds_of(definitions))
    listed = {str(entry["id"]) for entry in entries}
    others: dict[str, list[str]] = {key: [] for key in listed}
    hanging = set()
    for entry in entries:
        key = str(entry["id"])
        above = [parent for parent, _ in root_of(key, found) if parent in listed]
        if above:
            hanging.add(key)
            others[above[-1]].append(key)
    return [{**entry, "others": others[str(entry["id"])]} for entry in entries if str(entry["id"]) not in hanging]


def _short(incident: Incident) -> dict[str, Any]:
    names = ("pipeline", "batch_id", "state", "failure_class", "cause", "check", "column", "first_seen")
    return {"id": incident["incident_id"], **{name: incident.get(name, "") for name in names}}


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The tree in words."""
    if not told["way"]:
        yield "  here: nothing earlier explains it"
    for each in told["way"]:
        about = f"{each['check']} {each['column']}".strip()
        where = f"{each['pipeline']} {about}".strip() or "another system"
        yield f"  {each['id']} ({one_line(where, 200)}: {each['cause']}): {one_line(each['because'], 300)}"
    if told["others_count"]:
        named = ", ".join(str(each["id"]) for each in told["others"][:SHOWN_MAX])
        more = f" and {told['others_count'] - SHOWN_MAX:,} more" if told["others_count"] > SHOWN_MAX else ""
        yield f"  the same explains {told['others_count']:,} other incidents: {named}{more}"
