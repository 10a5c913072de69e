"""DuckDB as a warehouse under the suite, and several processes that take turns with its file."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.adapters.local.clock import SystemClock
from shared.adapters.local.warehouse import DuckDbWarehouse
from shared.adapters.local.warehouse_connection import WarehouseSettings
from shared.adapters.local.warehouse_errors import REASONS, translated
from shared.domain.errors import ForeignFailure, WarehouseUnavailable
from tests.conformance.turned_clock import TurnedClock
from tests.conformance.warehouse_judging_suite import WarehouseJudgingSuite
from tests.conformance.warehouse_rows import TABLE, Files, Put, arrow, content
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.conformance.warehouse_tables_suite import WarehouseTablesSuite

ROOT = Path(__file__).resolve().parents[2]

Open = Callable[..., DuckDbWarehouse]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(path: str, table: pa.Table) -> None:
        target = tmp_path / "objects" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, target)

    return write


@pytest.fixture
def files(put: Put) -> Files:
    return Files(put)


@pytest.fixture
def open_warehouse(tmp_path: Path) -> Iterator[Open]:
    opened = []

    def make(**settings: object) -> DuckDbWarehouse:
        chosen = WarehouseSettings()._replace(**settings)
        warehouse = DuckDbWarehouse(tmp_path / "warehouse.duckdb", tmp_path / "objects", SystemClock(), chosen)
        opened.append(warehouse)
        return warehouse

    yield make
    for warehouse in opened:
        warehouse.close()


class TestDuckDbWarehouse(WarehouseSuite, WarehouseTablesSuite, WarehouseJudgingSuite):
    """No known differences; open for as long as the test lasts, as in a simulation."""

    @pytest.fixture
    def put(self, put: Put) -> Put:  # type: ignore[override]
        return put

    @pytest.fixture
    def warehouse(self, open_warehouse: Open) -> DuckDbWarehouse:  # type: ignore[override]
        return open_warehouse(idle_seconds=None)


def is_free(path: Path) -> bool:
    """Whether another process could open the database now."""
    code = f"import duckdb; duckdb.connect({str(path)!r}).close()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_file_is_given_up_when_idle(open_warehouse: Open, files: Files, tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    at_once = open_warehouse(idle_seconds=0)
    at_once.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
    assert is_free(path)
    after_a_while = open_warehouse(idle_seconds=4.0)  # longer than a busy machine takes to look
    after_a_while.run(files.job("append", "b2", [{"k": 1, "v": "x"}]))
    assert not is_free(path)
    deadline = time.monotonic() + 60
    while not is_free(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_free(path)
    assert len(content(after_a_while)) == 2


def test_a_simulation_needs_no_thread_and_no_real_time(tmp_path: Path, files: Files) -> None:
    settings = WarehouseSettings(idle_seconds=0)
    first, second = (
        DuckDbWarehouse(tmp_path / "warehouse.duckdb", tmp_path / "objects", TurnedClock(), settings) for _ in range(2)
    )
    for number in range(6):
        (first, second)[number % 2].run(files.job("append", f"b{number}", [{"k": number, "v": "x"}]))
    assert len(content(first)) == len(content(second)) == 6
    assert "warehouse-idle" not in {thread.name for thread in threading.enumerate()}


def test_a_wait_that_is_too_long_names_the_holder(open_warehouse: Open, files: Files, tmp_path: Path) -> None:
    holder = open_warehouse(idle_seconds=None)
    holder.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
    reading = holder.dump(TABLE)
    next(reading)
    clock = TurnedClock()
    other = DuckDbWarehouse(
        tmp_path / "warehouse.duckdb", tmp_path / "objects", clock, WarehouseSettings(wait_seconds=30)
    )
    with pytest.raises(WarehouseUnavailable, match=rf"process {os.getpid()} "):
        other.describe(TABLE)
    assert 30 <= clock.monotonic() < 31


def test_a_holder_at_work_makes_room(open_warehouse: Open, files: Files) -> None:
    """A process that loads without pause lets a waiting one in between."""
    busy, waiting = open_warehouse(hold_seconds=0.05), open_warehouse()
    jobs = [files.job("append", f"b{number}", [{"k": number, "v": "x"}]) for number in range(150)]
    seen: list[int] = []

    def read() -> None:
        for _ in range(3):
            info = waiting.describe(TABLE)
            seen.append(info.rows if info else 0)
            waiting.close()

    busy.run(jobs[0])
    thread = threading.Thread(target=read)
    thread.start()
    for job in jobs[1:]:
        busy.run(job)
    thread.join()
    assert len(seen) == 3
    assert seen[0] < 150
    assert len(content(busy)) == 150


def test_several_threads(open_warehouse: Open, files: Files) -> None:
    warehouse = open_warehouse(idle_seconds=0.01)
    jobs = [files.job("upsert", f"b{number:03}", [{"k": number % 7, "v": "x"}]) for number in range(60)]
    wrong: list[str] = []

    def load(part: int) -> None:
        for job in jobs[part::3]:
            if warehouse.run(job).rows != 1 or warehouse.describe(TABLE) is None:
                wrong.append(job.job_id)
            warehouse.keys(TABLE, ["k"])

    threads = [threading.Thread(target=load, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert {row[2] for row in content(warehouse)} == {f"b{number:03}" for number in range(53, 60)}
    assert len(content(warehouse)) == 7


# ── processes ──────────────────────────────────────────────────────────────────────────────────────────────────────

LOADER = """
import sys
from pathlib import Path
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.warehouse import DuckDbWarehouse
from shared.ports.warehouse import LoadJob, TableColumn
root, part, loads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
columns = (TableColumn("k", "integer"), TableColumn("v", "string"))
warehouse = DuckDbWarehouse(root / "warehouse.duckdb", root / "objects", SystemClock())
print("ready", flush=True)
for number in range(loads):
    mode, table = ("append", "travel.added") if number % 2 else ("upsert", "travel.keyed")
    batch = f"p{part}n{number:04}"
    job = LoadJob(batch, table, mode, (f"{batch}.parquet",), columns, ("k",), batch, batch)
    warehouse.run(job)
warehouse.close()
"""

READER = """
import sys
from pathlib import Path
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.warehouse import DuckDbWarehouse
from shared.adapters.local.warehouse_connection import WarehouseSettings
root = Path(sys.argv[1])
reads, rows = 0, 0
while not (root / "stop").exists():
    settings = WarehouseSettings(idle_seconds=0)
    warehouse = DuckDbWarehouse(root / "warehouse.duckdb", root / "objects", SystemClock(), settings)
    info = warehouse.describe("travel.added")
    assert info is None or info.rows >= rows
    rows = info.rows if info else 0
    warehouse.close()
    reads += 1
print(reads)
"""


def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )


@pytest.mark.parametrize("loads", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_four_processes_and_a_reader(open_warehouse: Open, put: Put, tmp_path: Path, loads: int) -> None:
    for part in range(4):
        for number in range(loads):
            batch = f"p{part}n{number:04}"
            row = {"k": number, "v": "x", "_mend_batch": batch, "_mend_row": 1, "_mend_seq": batch}
            put(f"{batch}.parquet", arrow([row]))
    reader = start(READER, tmp_path)
    loaders = [start(LOADER, tmp_path, part, loads) for part in range(4)]
    try:
        assert [loader.wait(timeout=240) for loader in loaders] == [0, 0, 0, 0]
    finally:
        (tmp_path / "stop").touch()
    output, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    assert int(output) >= 2
    warehouse = open_warehouse()
    added = {f"p{part}n{number:04}" for part in range(4) for number in range(1, loads, 2)}
    assert len(content(warehouse, "travel.added")) == len(added)
    assert {row[2] for row in content(warehouse, "travel.added")} == added
    keyed = {row[0]: row[2] for row in content(warehouse, "travel.keyed")}
    assert keyed == {number: f"p3n{number:04}" for number in range(0, loads, 2)}


def test_a_killed_process_leaves_whole_jobs(open_warehouse: Open, put: Put, tmp_path: Path) -> None:
    loads = 400
    for number in range(loads):
        batch = f"p0n{number:04}"
        row = {"k": number, "v": "x", "_mend_batch": batch, "_mend_row": 1, "_mend_seq": batch}
        put(f"{batch}.parquet", arrow([row, {**row, "k": number + 1, "_mend_row": 2}]))
    for pause in (0.05, 0.15, 0.3):
        process = start(LOADER, tmp_path, 0, loads)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        warehouse = open_warehouse()
        rows = content(warehouse, "travel.added")
        assert len(rows) % 2 == 0
        warehouse.close()
    process = start(LOADER, tmp_path, 0, loads)
    assert process.wait(timeout=120) == 0
    warehouse = open_warehouse()
    assert len(content(warehouse, "travel.added")) == loads
    assert len(content(warehouse, "travel.keyed")) == loads


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.warehouse import DuckDbWarehouse
from shared.domain.errors import WarehouseUnavailable
from shared.ports.warehouse import LoadJob, TableColumn
root = Path(sys.argv[1])
columns = (TableColumn("k", "integer"), TableColumn("v", "string"))
warehouse = DuckDbWarehouse(root / "warehouse.duckdb", root / "objects", SystemClock())
def run(name):
    return warehouse.run(LoadJob(name, "travel.flights", "append", (f"{name}.parquet",), columns, (), name, name)).rows
assert run("small") == 1
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
try:
    run("large")
except WarehouseUnavailable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert warehouse.describe("travel.flights").rows == 1
assert run("large") == 200_000
warehouse.close()
"""


def test_a_full_disk_passes(put: Put, tmp_path: Path) -> None:
    """A file that may not grow stands for the disk: the load fails whole, says why, and works when there is room."""
    put("small.parquet", arrow([{"k": 1, "v": "x"}]))
    put("large.parquet", arrow({"k": number * 7919 % 200_003, "v": str(number * 104_729)} for number in range(200_000)))
    process = start(FULL_DISK, tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "too large" in output


# ── trouble ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_error_of_duckdb_has_a_meaning() -> None:
    names = {name for name, kind in vars(duckdb).items() if isinstance(kind, type) and issubclass(kind, duckdb.Error)}
    assert names == REASONS.keys()
    for name in names:
        error = translated(getattr(duckdb, name)('cannot cast "jane.doe" to 123456789012'))
        assert isinstance(error, ForeignFailure if REASONS[name] else WarehouseUnavailable)
        assert "jane" not in str(error)
        assert "123456789012" not in str(error)


def test_a_file_that_is_no_database(open_warehouse: Open, files: Files, tmp_path: Path) -> None:
    (tmp_path / "warehouse.duckdb").write_bytes(b"junk" * 5000)
    with pytest.raises(WarehouseUnavailable):
        open_warehouse().run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
    (tmp_path / "warehouse.duckdb").unlink()
    warehouse = open_warehouse()
    warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
    assert len(content(warehouse)) == 1


def test_a_parquet_file_that_is_none(open_warehouse: Open, files: Files, tmp_path: Path) -> None:
    warehouse = open_warehouse()
    warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))
    job = files.job("append", "b2", [{"k": 1, "v": "x"}])
    (tmp_path / "objects" / job.files[0]).write_bytes(b"junk" * 100)
    with pytest.raises(ForeignFailure):
        warehouse.run(job)
    assert len(content(warehouse)) == 1


def test_a_lock_that_cannot_be_made(tmp_path: Path, files: Files) -> None:
    (tmp_path / "file").touch()
    warehouse = DuckDbWarehouse(tmp_path / "file" / "warehouse.duckdb", tmp_path / "objects", SystemClock())
    with pytest.raises(WarehouseUnavailable, match="lock"):
        warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}]))


def test_a_table_made_by_others(open_warehouse: Open, files: Files, tmp_path: Path) -> None:
    """Its rows have no provenance and are older than anything; its types are near enough."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as database:
        database.execute("CREATE SCHEMA travel; CREATE TABLE travel.flights (K INTEGER, v VARCHAR, d DECIMAL(9, 2))")
        database.execute("INSERT INTO travel.flights VALUES (1, 'theirs', 1.5), (1, 'theirs again', 1.5), (2, 'x', 2)")
    warehouse = open_warehouse()
    info = warehouse.describe(TABLE)
    assert info is not None
    assert [(column.name, column.logical_type) for column in info.columns] == [
        ("K", "integer"),
        ("v", "string"),
        ("d", "number"),
    ]
    warehouse.run(files.job("upsert", "b1", [{"k": 1, "v": "ours"}]))
    assert content(warehouse, TABLE, "K", "v") == [(1, "ours"), (2, "x")]
    warehouse.run(files.job("overwrite", "b2", [{"k": 9, "v": "all"}]))
    assert content(warehouse, TABLE, "K", "v") == [(9, "all")]


def test_the_books_are_readable(open_warehouse: Open, files: Files, tmp_path: Path) -> None:
    warehouse = open_warehouse()
    job = files.job("append", "b1", [{"k": 1, "v": "x"}], job_id="j1")
    result = warehouse.run(job)
    warehouse.close()
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as database:
        rows = database.execute('SELECT job_id, "rows", "bytes" FROM _mend.jobs').fetchall()
    assert rows == [("j1", 1, result.bytes)]
