"""History's tables and views in the BigQuery emulator, filled as Pub/Sub's BigQuery subscriptions would.

Google's Pub/Sub emulator keeps such a subscription and writes nothing, so the rows are written here: the event's fields
by the table's schema, and the metadata beside them.
"""

import json
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from mend.deploy.history import DATASET, new_columns, tables, views
from shared.adapters.gcp import carried_events
from shared.adapters.gcp.object_store import GcsObjectStore, bucket_of
from shared.adapters.gcp.warehouse import BigQueryWarehouse
from shared.events.codec import from_document, payload_of
from shared.events.types import BatchLoaded, DeliveryRegistered, Event
from tests.emulators.running import Emulators


def example(kind: type[Event], **given: Any) -> Event:
    """An event with every field that it needs, empty unless given."""
    empty: dict[Any, Any] = {int: 0, str: "", float: 0.0, bool: False}
    fields = {name: empty.get(field.annotation, []) for name, field in kind.model_fields.items() if field.is_required()}
    return kind.model_validate({**fields, **given})


def row_of(event: Event, number: int) -> dict[str, Any]:
    at = "2026-01-01T00:00:00Z"
    metadata = {"subscription_name": "s", "message_id": str(number), "publish_time": at, "attributes": "{}"}
    return {**json.loads(payload_of(event)), **metadata}


def objects_of_nobody() -> GcsObjectStore:
    return GcsObjectStore(bucket_of("history", "none", "http://127.0.0.1:1"))


def test_the_views_tell_of_what_was_written(emulators: Emulators) -> None:
    client = bigquery.Client(
        "history",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": f"http://{emulators.bigquery}"},
    )
    client.create_dataset("mend_history")
    made = [*tables(), *new_columns(), *views()]
    for statement in [*made, made[0], made[-1]]:  # and deployed again
        client.query_and_wait(statement.sql)
    start = 1_767_225_600_000_000
    registered = example(
        DeliveryRegistered, id="e1", time=start, subject="b1", correlation_id="c", batch_id="b1", pipeline="orders"
    )
    loaded = example(
        BatchLoaded, id="e2", time=start + 5_000_000, subject="b1", correlation_id="c", batch_id="b1", pipeline="orders"
    )
    for event, table in ((registered, "delivery_registered_v1"), (loaded, "batch_loaded_v1")):
        for copy in range(2):  # Pub/Sub writes at least once
            assert client.insert_rows_json(f"history.mend_history.{table}", [row_of(event, copy)]) == []
    once = list(client.query_and_wait("SELECT id FROM mend_history.events_delivery_registered_v1"))
    assert [row["id"] for row in once] == ["e1"]
    # An event that left no receipt is taken from here to be handled once more.
    warehouse = BigQueryWarehouse(client, objects_of_nobody())
    found = carried_events.carried("e2", warehouse)
    assert found is not None
    assert from_document(found._asdict()) == loaded
    assert carried_events.carried("e9", warehouse) is None
    assert carried_events.DATASET == DATASET
    batches = [dict(row) for row in client.query_and_wait("SELECT batch_id, pipeline FROM mend_history.batches")]
    assert batches == [{"batch_id": "b1", "pipeline": "orders"}]
