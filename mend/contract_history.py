"""By which versions of its contract a pipeline's batches were judged, since when, and how they did."""

from __future__ import annotations

from typing import Any

from mend.report import documents
from shared.domain.contract import parse_contract
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.pipeline import parse_pipeline
from shared.ports.definitions import Definitions
from shared.ports.state_store import StateStore, Where

Version = dict[str, Any]


def versions(state: StateStore, definitions: Definitions, pipeline: str) -> list[Version]:
    """The versions in the order in which they first judged a delivery, that of the file now last if it judged none.

    A batch counts for the version that judged most of its rows last; ``score`` is the mean over rows. Columns that
    were accepted beside the contract are named with the version under which they were.
    """
    arrived = {
        key: int(data.get("registered_at") or 0)
        for key, data in documents(state, "deliveries", Where("pipeline", "==", pipeline))
    }
    last: dict[str, dict[str, Any]] = {}
    for _, data in documents(state, "verdicts", Where("pipeline", "==", pipeline)):
        known = last.get(str(data["batch_id"]))
        if known is None or (int(data["rows"]), int(data["attempt"])) >= (int(known["rows"]), int(known["attempt"])):
            last[str(data["batch_id"])] = data
    found: dict[str, Version] = {}
    for batch, data in sorted(last.items(), key=lambda each: (arrived.get(each[0], 0), each[0])):
        name = str(data["contract"])
        stated = str(data.get("contract_version", ""))
        version = found.setdefault(name, _fresh(name, stated, arrived.get(batch, 0)))
        version["until"] = max(version["until"], arrived.get(batch, 0))
        version["batches"] += 1
        version["rows"] += int(data["rows"])
        version["rows_passed"] += int(data["rows_passed"])
        version["score"] += float(data["score"]) * int(data["rows"])
        version["accepted_columns"] = sorted({*version["accepted_columns"], *data.get("accepted_columns", [])})
    current, stated = _current(definitions, pipeline)
    if current and current not in found:
        found[current] = _fresh(current, stated, 0)
    for version in found.values():
        version["score"] = round(version["score"] / version["rows"], 3) if version["rows"] else None
        version["current"] = version["contract"] == current
    return list(found.values())


def _fresh(name: str, stated: str, since: int) -> Version:
    """``stated`` is the version as the contract's author numbers it, "" where that was not noted."""
    counts = {"batches": 0, "rows": 0, "rows_passed": 0, "score": 0.0}
    return {"contract": name, "version": stated, "since": since, "until": since, **counts, "accepted_columns": []}


def _current(definitions: Definitions, pipeline: str) -> tuple[str, str]:
    """The contract file as it stands, named as verdicts name it, and its version; "" when it cannot be read."""
    path = f"pipelines/{pipeline}.yaml"
    try:
        definition = parse_pipeline(definitions.read(path).text, path)
        text = definitions.read(definition.contract)
        contract = parse_contract(text.text, text.path, definition.destination.table)
        return f"{definition.contract}@{contract.digest[:16]}", contract.version
    except (DefinitionError, DefinitionMissing):
        return "", ""
