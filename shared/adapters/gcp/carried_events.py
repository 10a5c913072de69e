"""Events that the bus has carried, read back from the tables into which Pub/Sub writes them."""

from __future__ import annotations

from typing import Final

from shared.domain.store_health import KeptEvent
from shared.events.codec import payload_of
from shared.events.types import EVENT_TYPES
from shared.ports.warehouse import Warehouse

DATASET: Final = "mend_history"


def carried(event_id: str, warehouse: Warehouse) -> KeptEvent | None:
    """The event of that id, if history has it: Pub/Sub writes it within seconds after it was published."""
    tables = {name: f"{DATASET}.{name.replace('.', '_')}" for name in sorted(EVENT_TYPES)}
    asked = " UNION ALL ".join(f"SELECT '{name}' AS type FROM {table} WHERE id = @id" for name, table in tables.items())
    found = warehouse.query(f"SELECT DISTINCT type FROM ({asked})", {"id": event_id}, 1).to_pylist()
    for name in (str(row["type"]) for row in found):
        model = EVENT_TYPES[name]
        columns = ", ".join(f"`{field}`" for field in model.model_fields)
        rows = warehouse.query(f"SELECT {columns} FROM {tables[name]} WHERE id = @id LIMIT 1", {"id": event_id}, 1)
        for row in rows.to_pylist():
            # A field that the event had not yet when it was written has its default.
            known = {field: value for field, value in row.items() if value is not None}
            return KeptEvent(name, payload_of(model.model_validate(known)))
    return None
