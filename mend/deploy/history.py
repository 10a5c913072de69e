"""The tables into which Pub/Sub writes every event, and the views over them, as statements of GoogleSQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.events.types import EVENT_TYPES

ROOT: Final = Path(__file__).resolve().parents[2]
DATASET: Final = "mend_history"
# Each may read those before it.
VIEWS: Final = ("batches", "remedies", "incidents", "repairs", "quality", "time_to_repair", "metrics")
PRICE_PER_TIB: Final = 6.25
_TYPES: Final = {"string": "STRING", "long": "INT64", "int": "INT64", "double": "FLOAT64", "boolean": "BOOL"}
# What Pub/Sub adds when it writes metadata.
_METADATA: Final = "subscription_name STRING, message_id STRING, publish_time TIMESTAMP, attributes JSON"
_PLACEHOLDER: Final = re.compile(r"\$\{(\w+)\}")


class Statement(NamedTuple):
    """A table or view by name, and the statement that makes it; repeating it does no harm."""

    name: str
    sql: str


def table_of(event_type: str) -> str:
    """``batch_staged_v1`` for ``batch.staged.v1``."""
    return event_type.replace(".", "_")


def tables(dataset: str = DATASET) -> Iterator[Statement]:
    """One table per event type with the fields of its Avro schema, a partition a day."""
    for name in sorted(EVENT_TYPES):
        columns = ", ".join([*_columns(name), _METADATA])
        made = f"CREATE TABLE IF NOT EXISTS {dataset}.{table_of(name)} ({columns})"
        yield Statement(table_of(name), f"{made} PARTITION BY DATE(publish_time)")


def new_columns(dataset: str = DATASET) -> Iterator[Statement]:
    """The fields that an event has now and had not when its table was made; without them a newer view is refused."""
    for name in sorted(EVENT_TYPES):
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {column}" for column in _columns(name))
        yield Statement(f"{table_of(name)}, new columns", f"ALTER TABLE {dataset}.{table_of(name)} {added}")


def views(dataset: str = DATASET) -> Iterator[Statement]:
    """One view per event type that keeps each event once, then those that people ask."""
    for name in sorted(EVENT_TYPES):
        yield _view(f"events_{table_of(name)}", "events", dataset, table_of(name))
    for name in VIEWS:
        yield _view(name, name, dataset, "")


def _columns(event_type: str) -> list[str]:
    """The fields of the event's Avro schema, each with its type."""
    schema = json.loads((ROOT / "schemas" / "events" / f"{event_type}.avsc").read_text(encoding="utf-8"))
    return [f"`{field['name']}` {_type_of(field['type'])}" for field in schema["fields"]]


def _view(name: str, file: str, dataset: str, event: str) -> Statement:
    known = {"dataset": dataset, "event": event, "price_per_tib": str(PRICE_PER_TIB)}
    text = (ROOT / "schemas" / "bigquery" / f"{file}.sql").read_text(encoding="utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return Statement(
        name, f"CREATE OR REPLACE VIEW {dataset}.{name} AS\n{_PLACEHOLDER.sub(lambda at: known[at[1]], body)}"
    )


def _type_of(avro: Any) -> str:
    if isinstance(avro, dict):
        return f"ARRAY<{_type_of(avro['items'])}>"
    return _TYPES[avro]
