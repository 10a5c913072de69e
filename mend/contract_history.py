"""By which versions of its contract a pipeline's batches were judged, since when, what changed, and how they did."""

from __future__ import annotations

from typing import Any, NamedTuple

from mend.contract_changes import KINDS, changes
from mend.report import documents
from shared.domain import paths
from shared.domain.contract import Contract, parse_contract
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.pipeline import PipelineDefinition, parse_pipeline
from shared.ports.definitions import Definitions
from shared.ports.object_store import ObjectStore
from shared.ports.state_store import StateStore, Where

Version = dict[str, Any]


def versions(state: StateStore, definitions: Definitions, objects: ObjectStore, pipeline: str) -> list[Version]:
    """The versions in the order in which they first judged a delivery, that of the file now last if it judged none.

    A batch counts for the version that judged most of its rows last; ``score`` is the mean over rows. Columns that
    were accepted beside the contract are named with the version under which they were. ``changes`` are what makes each
    version another one than that before it; ``not_compared`` says why they are not known.
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
    now = _current(state, definitions, pipeline)
    current = now.name if now else ""
    if now and current not in found:
        found[current] = _fresh(current, now.contract.version, 0)
        found[current]["accepted_columns"] = now.accepted
    for version in found.values():
        version["score"] = round(version["score"] / version["rows"], 3) if version["rows"] else None
        version["current"] = version["contract"] == current
    _compare(list(found.values()), objects, now)
    return list(found.values())


def _fresh(name: str, stated: str, since: int) -> Version:
    """``stated`` is the version as the contract's author numbers it, "" where that was not noted."""
    counts = {"batches": 0, "rows": 0, "rows_passed": 0, "score": 0.0}
    return {"contract": name, "version": stated, "since": since, "until": since, **counts, "accepted_columns": []}


class _Now(NamedTuple):
    """The contract file as it stands, with what was accepted beside it; ``name`` is what verdicts call it."""

    name: str
    contract: Contract
    pipeline: PipelineDefinition
    accepted: list[str]


def _current(state: StateStore, definitions: Definitions, pipeline: str) -> _Now | None:
    """None when it cannot be read."""
    path = f"pipelines/{pipeline}.yaml"
    learned = state.get("contracts", pipeline)
    columns = learned.data.get("columns", []) if learned else []
    accepted = [f"{item['name']}:{item['logical_type']}" for item in columns]
    try:
        definition = parse_pipeline(definitions.read(path).text, path)
        text = definitions.read(definition.contract)
        contract = parse_contract(text.text, text.path, definition.destination.table).with_columns(accepted)
    except (DefinitionError, DefinitionMissing):
        return None
    return _Now(f"{definition.contract}@{contract.digest[:16]}", contract, definition, accepted)


def _compare(found: list[Version], objects: ObjectStore, now: _Now | None) -> None:
    """Say of every version what makes it another one than that before it."""
    table = now.pipeline.destination.table if now else ""
    before: Contract | str = "it is the first that is known"
    for version in found:
        after = now.contract if now and version["contract"] == now.name else _as_judged(version, objects, table)
        whole = isinstance(before, Contract) and isinstance(after, Contract)
        made = changes(before, after) if isinstance(before, Contract) and isinstance(after, Contract) else []
        version["not_compared"] = "" if whole else after if isinstance(after, str) else before
        version["changes"] = [each._asdict() for each in made]
        version.update({kind: sum(each.kind == kind for each in made) for kind in KINDS})
        before = after if isinstance(after, Contract) else "the version before it is not known"


def _as_judged(version: Version, objects: ObjectStore, table: str) -> Contract | str:
    """The contract that judged batches then, or why that is not known."""
    path = str(version["contract"]).rpartition("@")[0]
    try:
        with objects.read(paths.contract_text(version["contract"])) as stream:
            text = stream.read().decode()
        return parse_contract(text, path, table).with_columns(version["accepted_columns"])
    except FileNotFoundError:
        return "its text was not kept"
    except DefinitionError as error:
        return f"its text cannot be read as a contract now: {error.message}"
