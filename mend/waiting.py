"""What waits after a run, for people: file, records, what is wrong there, and the command that deals with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mend import report
from mend.report import Store
from shared.domain.masking import one_line

SENTENCES_MAX = 20


class Waiting(NamedTuple):
    """One incident that somebody has to deal with."""

    place: str  # the delivery, the address or the pipeline, with the records concerned
    what: str
    command: str


def waiting(store: Store, pipeline: str, root: Path) -> Iterator[Waiting]:
    """Every incident of a pipeline that is not over, newest first."""
    documents = dict(report.documents(store.state, "incidents"))
    for entry in report.incidents(store, pipeline):
        if not report.waits_for_person([entry]):
            continue
        document = documents[entry["id"]]
        yield Waiting(
            place=one_line(_input(store, entry) or str(entry["pipeline"]), 300) + _records(document),
            what=one_line(_what(entry, document), 500),
            command=f"{_command(entry)} --root {root}",
        )


def _input(store: Store, entry: dict[str, Any]) -> str:
    if entry["uri"] or not entry["batch_id"]:
        return str(entry["uri"])
    delivery = store.state.get("deliveries", str(entry["batch_id"]))
    return str(delivery.data["uri"]) if delivery is not None else ""


def _records(document: dict[str, Any]) -> str:
    """Which records are concerned, where not all of them are."""
    evidence = json.loads(str(document.get("evidence_json") or "{}"))
    first, last = int(evidence.get("row_first") or 0), int(evidence.get("row_last") or 0)
    if not first or document.get("rows_failed") == document.get("rows"):
        return ""
    return f", record {first:,}" if first == last else f", records {first:,} to {last:,}"


def _what(entry: dict[str, Any], document: dict[str, Any]) -> str:
    said = str(entry["explanation"] or entry["cause"])
    message = str(document.get("message", ""))
    return said if entry["batch_id"] or not message else f"{said} It said: {message}"


def _command(entry: dict[str, Any]) -> str:
    proposed = [each["id"] for each in entry["remedies"] if each["state"] == "proposed"]
    return f"mend approve {proposed[-1]}" if proposed else f"mend explain {entry['id']}"
