"""Who may write to named datasets and make no others loads into them: BigQuery's refusals, from a server here.

Method: the emulator of BigQuery refuses nobody; the server answers as the service does to who lacks the right.
"""

import json

import pytest

from shared.adapters.gcp.object_store import GcsObjectStore, bucket_of
from shared.adapters.gcp.warehouse import BigQueryWarehouse, client_of
from shared.domain.errors import MendError
from shared.ports.warehouse import Layout, TableColumn
from tests.emulators.http_server import Answer, Asked, Recorder

DATASETS = "/bigquery/v2/projects/p/datasets"
MAY_NOT = "Access Denied: Project p: User does not have bigquery.datasets.create permission in project p."


def refused(status: int, reason: str, message: str) -> Answer:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Answer(status, {"error": error})


class Service:
    """A project with one dataset, in which nobody may make another."""

    def __init__(self) -> None:
        self.tables: dict[str, object] = {}

    def answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        if asked.method == "POST" and path == DATASETS:
            return refused(403, "accessDenied", MAY_NOT)
        if asked.method == "POST" and path == f"{DATASETS}/shop/tables":
            made = json.loads(asked.body)
            self.tables[f"{path}/{made['tableReference']['tableId']}"] = made
            return Answer(200, made)
        if path in self.tables:
            return Answer(200, self.tables[path])
        if path == f"{DATASETS}/shop":
            return Answer(200, {"datasetReference": {"projectId": "p", "datasetId": "shop"}})
        return refused(404, "notFound", f"Not found: {path}")


def test_a_table_is_made_where_no_dataset_may_be() -> None:
    service = Service()
    with Recorder(service.answer) as server:
        objects = GcsObjectStore(bucket_of("p", "b", server.url), retry_seconds=0.5)
        warehouse = BigQueryWarehouse(client_of("p", "EU", server.url), objects)
        warehouse.ensure("shop.orders", [TableColumn("k", "integer")], Layout())
        assert list(service.tables) == [f"{DATASETS}/shop/tables/orders"]
        with pytest.raises(MendError, match=r"datasets\.create"):
            warehouse.ensure("shop2.orders", [TableColumn("k", "integer")], Layout())
