"""BigQuery as a warehouse under the suites of the local one, with the emulator from PyPI.

Files go through the Cloud Storage emulator, whose folder the BigQuery emulator reads as gs://: load jobs take the way
that they take on Google Cloud. Behind the emulator is DuckDB: it proves that our statements mean what the port says,
not that BigQuery plans them well.
"""

import io
import itertools
import json
import re
import urllib.error
import urllib.request
from datetime import date
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from mend.deploy.history import PRICE_PER_TIB
from shared.adapters.gcp import warehouse_jobs
from shared.adapters.gcp.object_store import GcsObjectStore, bucket_of
from shared.adapters.gcp.warehouse import BigQueryWarehouse, bytes_of, client_of
from shared.adapters.gcp.warehouse_files import File, Staged
from shared.adapters.gcp.warehouse_jobs import Jobs
from shared.adapters.gcp.warehouse_schema import COLUMN_FORBIDDEN, TableName
from shared.adapters.gcp.warehouse_sql import Books, Script, matching, pruning
from shared.adapters.table_shape import StoredColumn
from shared.domain.errors import ForeignFailure, LimitExceeded, WarehouseBusy
from shared.ports.warehouse import Layout, TableColumn
from tests.conformance.warehouse_judging_suite import WarehouseJudgingSuite
from tests.conformance.warehouse_rows import COLUMNS, TABLE, Files, Put, content
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.conformance.warehouse_tables_suite import WarehouseTablesSuite
from tests.emulators.http_server import Answer, Asked, Recorder
from tests.emulators.running import PROJECT, Emulators
from tests.tidy.tree import ROOT

numbers = itertools.count(1)


class OneColumnAtATime(bigquery.Client):
    """The client, for an emulator that adds one column a statement: BigQuery adds many, and counts it as one change."""

    def query_and_wait(self, query: str, **how: Any) -> Any:
        before, added, rest = query.partition("ADD COLUMN")
        if added:
            table = before[before.rindex("ALTER TABLE") :]
            query = before + added + rest.replace(", ADD COLUMN", f";\n{table}ADD COLUMN")
        return super().query_and_wait(query, **how)


def forwarded(emulators: Emulators, request: Asked) -> Answer:
    """What the emulator answers."""
    url, headers = f"http://{emulators.bigquery}{request.path}", {"content-type": "application/json"}
    sent = urllib.request.Request(url, request.body or None, headers, method=request.method)
    try:
        with urllib.request.urlopen(sent, timeout=60) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())


@pytest.fixture
def objects(emulators: Emulators) -> GcsObjectStore:
    bucket = bucket_of(PROJECT, f"warehouse-{next(numbers)}", f"http://{emulators.storage}")
    bucket.create()
    return GcsObjectStore(bucket)


@pytest.fixture
def client(emulators: Emulators) -> bigquery.Client:
    """A project of its own: datasets and job ids are the project's."""
    return OneColumnAtATime(
        f"warehouse-{next(numbers)}",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": f"http://{emulators.bigquery}"},
    )


@pytest.fixture
def warehouse(client: bigquery.Client, objects: GcsObjectStore) -> BigQueryWarehouse:
    return BigQueryWarehouse(client, objects)


@pytest.fixture
def put(objects: GcsObjectStore) -> Put:
    def write(path: str, table: pa.Table) -> None:
        content = io.BytesIO()
        pq.write_table(table, content)
        with objects.write(path) as stream:
            stream.write(content.getvalue())

    return write


@pytest.fixture
def files(put: Put) -> Files:
    return Files(put)


class TestBigQueryWarehouse(WarehouseSuite, WarehouseTablesSuite, WarehouseJudgingSuite):
    """A dataset is named more narrowly than a table, and a column's name has no punctuation that means something."""

    examples: ClassVar[int] = 5  # a job takes a tenth of a second there
    rows_read_meanwhile: ClassVar[int] = 30_000
    tables_refused: ClassVar[tuple[str, ...]] = ("Ünï.côde_1", "a-b.c-d")
    characters_refused: ClassVar[str] = COLUMN_FORBIDDEN

    @pytest.fixture
    def put(self, put: Put) -> Put:  # type: ignore[override]
        return put

    @pytest.fixture
    def warehouse(self, warehouse: BigQueryWarehouse) -> BigQueryWarehouse:  # type: ignore[override]
        return warehouse


# ── what only BigQuery has ─────────────────────────────────────────────────────────────────────────────────────────


def jobs_of(client: bigquery.Client) -> list[str]:
    return sorted(str(job.job_id) for job in client.list_jobs() if str(job.job_id).startswith("mend_"))


def test_a_try_that_failed_leaves_its_id_to_the_next(warehouse: BigQueryWarehouse, files: Files) -> None:
    text = (TableColumn("k", "string"), TableColumn("v", "string"))
    bad = files.job("append", "b1", [{"k": "no number", "v": ""}], columns=text)._replace(columns=COLUMNS, job_id="one")
    for _ in range(2):
        with pytest.raises(ForeignFailure):
            warehouse.run(bad)
    good = files.job("append", "b1", [{"k": 1, "v": ""}])._replace(job_id="one")
    assert not warehouse.run(good).repeated
    assert warehouse.run(good).repeated
    names = [name.rpartition("_")[2] for name in jobs_of(warehouse._client)]
    assert names == ["0", "1", "2"]


def test_rows_only_added_take_no_query(warehouse: BigQueryWarehouse, files: Files) -> None:
    warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
    assert [job.job_type for job in warehouse._client.list_jobs()] == ["load"]
    wide = (*COLUMNS, TableColumn("n", "number"))
    warehouse.run(files.job("append", "b2", [{"k": 2, "v": "y", "n": 1.0}], columns=wide))
    assert content(warehouse, TABLE, "k", "n") == [(1, None), (2, 1.0)]


def test_what_several_batches_share_is_no_load_of_the_table(warehouse: BigQueryWarehouse, files: Files) -> None:
    """BigQuery counts the loads of a table, and no DML: what waited because there had been too many goes that way."""
    one = files.job("append", "b1", [{"k": 1, "v": "x"}])
    warehouse.run(one)
    two = files.job("append", "b2", [{"k": 2, "v": "y"}])
    three = files.job("append", "b3", [{"k": 3, "v": "z"}])
    shared = two._replace(job_id="shared", files=two.files + three.files, batch="", seq="")
    assert warehouse.run(shared).rows == 2
    jobs = list(warehouse._client.list_jobs())
    loaded = [job.destination.table_id for job in jobs if job.job_type == "load"]
    assert loaded.count("flights") == 1
    assert content(warehouse, TABLE, "k", "_mend_batch") == [(1, "b1"), (2, "b2"), (3, "b3")]


def test_a_table_is_described_by_who_may_make_nothing(warehouse: BigQueryWarehouse, client: bigquery.Client) -> None:
    """validate and remediate may read tables and run queries: no dataset and no table is made by looking."""
    client.create_dataset("travel")
    columns = [TableColumn("k", "integer")]
    warehouse.ensure("travel.looked_at", columns, Layout())
    first = warehouse.describe("travel.looked_at")
    assert first is not None
    assert (first.columns, first.rows) == (tuple(columns), 0)
    assert [each.dataset_id for each in client.list_datasets()] == ["travel"]


def test_a_description_tells_of_scripts_once_there_are_any(warehouse: BigQueryWarehouse, files: Files) -> None:
    warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
    before = warehouse.describe(TABLE)
    job = files.job("overwrite", "b2", [{"k": 2, "v": "y"}])
    warehouse.run(job)
    after = warehouse.describe(TABLE)
    assert before is not None
    assert after is not None
    assert (before.version.split("-")[2], after.version.split("-")[2]) == ("0", "1")


def test_a_job_that_another_delivery_began_is_waited_for() -> None:
    """The emulator takes an id twice; BigQuery answers 409, and the job that has the id is the job."""
    done = {
        "jobReference": {"projectId": "p", "jobId": "x", "location": "US"},
        "configuration": {"load": {}, "labels": {"mend_rows": "7"}, "jobType": "LOAD"},
        "status": {"state": "DONE"},
    }
    asked: list[str] = []

    def answer(request: Asked) -> Answer:
        asked.append(request.method)
        if request.method == "POST":
            return Answer(
                409, {"error": {"code": 409, "message": "Already Exists", "errors": [{"reason": "duplicate"}]}}
            )
        return Answer(200, done) if "POST" in asked else Answer(404, {"error": {"code": 404, "message": "no"}})

    with Recorder(answer) as server:
        client = client_of("p", "US", server.url)
        found = Jobs(client).once("job", lambda name: client.load_table_from_uri("gs://b/x", "p.d.t", job_id=name))
    assert found.repeated
    assert found.job.labels == {"mend_rows": "7"}


@pytest.mark.parametrize("refused", ["/jobs", "/tables"])
def test_who_has_had_its_number_of_jobs_is_told_so(
    refused: str,
    emulators: Emulators,
    client: bigquery.Client,
    objects: GcsObjectStore,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the rate of jobs is met or that of changes of a table: the load then waits for others (decision 011)."""
    monkeypatch.setattr(warehouse_jobs, "_PATIENCE_SECONDS", 1.0)
    told = {"reason": "rateLimitExceeded", "message": "Exceeded rate limits"}
    busy = Answer(403, {"error": {"code": 403, "message": "Exceeded rate limits", "errors": [told]}})

    def answer(request: Asked) -> Answer:
        if request.method == "POST" and request.path.partition("?")[0].endswith(refused):
            return busy
        return forwarded(emulators, request)

    with Recorder(answer) as server:
        client._connection.API_BASE_URL = server.url
        with pytest.raises(WarehouseBusy, match="rateLimitExceeded"):
            BigQueryWarehouse(client, objects).run(files.job("append", "b1", [{"k": 1, "v": "x"}]))


def test_a_query_that_would_read_too_much_is_not_run() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: Asked) -> Answer:
        asked.append(json.loads(request.body))
        statistics = {"query": {"statementType": "SELECT", "totalBytesProcessed": "5000000"}}
        return Answer(200, {"status": {"state": "DONE"}, "statistics": statistics, **asked[-1]})

    with Recorder(answer) as server:
        client = client_of("p", "US", server.url)
        objects = GcsObjectStore(bucket_of("p", "b", server.url))
        with pytest.raises(LimitExceeded, match="5,000,000"):
            BigQueryWarehouse(client, objects, bytes_billed_max=4_000_000).query("SELECT k FROM travel.flights")
        assert bytes_of(client, "SELECT 1") == 5_000_000
    assert [each["configuration"].get("dryRun") for each in asked] == [True, True]


def test_no_query_may_bill_more_than_is_allowed(
    emulators: Emulators, client: bigquery.Client, objects: GcsObjectStore, files: Files
) -> None:
    """The emulator bills nothing: a server before it sees what each query is asked with."""
    asked: list[Any] = []

    def seen(request: Asked) -> Answer:
        if request.method == "POST":
            asked.append(json.loads(request.body))
        return forwarded(emulators, request)

    with Recorder(seen) as server:
        client._connection.API_BASE_URL = server.url
        warehouse = BigQueryWarehouse(client, objects, bytes_billed_max=123_000_000)
        warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
        job = files.job("overwrite", "b2", [{"k": 2, "v": "y"}])
        warehouse.run(job)
        warehouse.describe(TABLE)
        warehouse.keys(TABLE, ["k"])
        assert list(warehouse.rows_with_keys(TABLE, job.files, ["k"]))
        assert list(warehouse.dump(TABLE))
        warehouse.ensure(TABLE, [TableColumn("k", "number")], Layout())
    said = [each for each in asked if "query" in each] + [
        each["configuration"]["query"] for each in asked if "query" in each.get("configuration", {})
    ]
    assert len(said) >= 7
    assert [each["query"][:80] for each in said if each.get("maximumBytesBilled") != "123000000"] == []


def test_a_merge_reads_no_other_partitions_than_the_keys_name() -> None:
    def staged(**ranges: tuple[Any, Any]) -> list[Staged]:
        columns = (("d", "DATE"), ("k", "INT64"))
        return [Staged("p.s.t", (File("a", "gs://b/a", "1", 1, 1, columns, frozenset(), ranges),))]

    day = StoredColumn("d", "DATE", "date")
    known = staged(d=(date(2026, 1, 1), date(2026, 1, 3)))
    assert pruning(day, known) == ' AND t.`d` BETWEEN CAST("2026-01-01" AS DATE) AND CAST("2026-01-03" AS DATE)'
    assert pruning(None, known) == ""
    assert pruning(day, [*known, *staged()]) == "", "nothing is known of one of the files"


def test_an_upsert_reads_as_many_tables_as_the_guide_counts() -> None:
    """Each is billed as 10 MB at the least: it is what most of a day of small deliveries costs."""
    columns = tuple(StoredColumn(name, "INT64", "integer") for name in ("k", "v"))
    keys, name = columns[:1], TableName("p", "d", "t")
    file = File("a", "gs://b/a", "1", 1, 1, (("k", "INT64"), ("v", "INT64")), frozenset(), {})
    staged = [Staged("p.s.t", (file,))]
    script = Script(Books("`p.b.jobs`", "`p.b.shown`"), "load-1", name, columns).upsert(staged, keys, 1, "")
    read = re.findall(r"(?:FROM|MERGE) `([^`]+)`", script + matching(name, staged, keys))
    assert sorted(read) == 2 * ["p.b.jobs"] + 2 * ["p.d.t"] + 2 * ["p.s.t"]
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert "An upsert reads six tables" in guide
    a_batch = len(read) * 10 * 2**20 / 2**40 * PRICE_PER_TIB
    assert f"upserts a day × {a_batch * 30:.3f} $" in guide
    assert f"{round(100_000 * 30 * a_batch, -1):,.0f} $ (" in guide


def test_books_are_looked_up_and_not_read_through(warehouse: BigQueryWarehouse, client: bigquery.Client) -> None:
    """They hold a row of every script that ever ran, and every load asks for one of them."""
    books = warehouse._tables.books()
    laid = {each: client.get_table(each.strip("`")).clustering_fields for each in books}
    assert laid == {books.jobs: ["job_id"], books.shown: ["table_name"]}


def test_a_new_table_is_laid_out_as_asked(warehouse: BigQueryWarehouse, client: bigquery.Client) -> None:
    columns = [TableColumn("at", "timestamp"), TableColumn("k", "integer")]
    warehouse.ensure("travel.laid", columns, Layout("at", ("k",)))
    made = client.get_table(f"{client.project}.travel.laid")
    assert made.time_partitioning.field == "at"
    assert made.clustering_fields == ["k"]
