"""What people may see of a batch's columns: by its pipeline's contract, and by the names that it was read with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared.domain.contract import Contract, parse_contract
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.personal_data import PersonalColumns
from shared.domain.pipeline import parse_pipeline
from shared.ports.state_store import StateStore, Where

if TYPE_CHECKING:
    from shared.ports.definitions import Definitions


def personal_columns(state: StateStore, definitions: Definitions, batch: str) -> PersonalColumns:
    """The batch's columns by the contract as it stands now; whoever classifies a column hides earlier batches too."""
    delivery = state.get("deliveries", batch)
    contract = _contract(definitions, str(delivery.data["pipeline"])) if delivery is not None else None
    renamed: dict[str, str] = {}
    for stored in state.query("verdicts", [Where("batch_id", "==", batch)]):
        renamed |= json.loads(stored.data.get("rename_json") or "{}")
    return PersonalColumns(contract, renamed)


def _contract(definitions: Definitions, pipeline: str) -> Contract | None:
    """None when it is gone or wrong: then nothing says what is public."""
    path = f"pipelines/{pipeline}.yaml"
    try:
        definition = parse_pipeline(definitions.read(path).text, path)
        text = definitions.read(definition.contract)
        return parse_contract(text.text, text.path, definition.destination.table)
    except (DefinitionError, DefinitionMissing):
        return None
