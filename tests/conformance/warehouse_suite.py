"""What every warehouse does with jobs: once each, rows in the order of deliveries, and undo that is exact.

The properties compare the table with a model in plain Python after random jobs in random order.
"""

import itertools
import random
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.errors import ForeignFailure
from shared.ports.warehouse import LoadJob, Mode, TableColumn, Warehouse
from tests.conformance.warehouse_rows import (
    COLUMNS,
    TABLE,
    Files,
    Put,
    Row,
    arrow,
    content,
    newest,
    numbers,
    placed,
    rows_of,
)


def relaxed(examples: int) -> settings:
    """A warehouse takes its time, and is asked more than once in one test."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


batches = st.lists(
    st.lists(st.fixed_dictionaries({"k": st.integers(0, 5), "v": st.text("abc", max_size=2)}), max_size=6),
    min_size=1,
    max_size=5,
)


class WarehouseSuite:
    """Subclasses supply ``warehouse`` and ``put``, which writes a Parquet file into its object store."""

    examples: ClassVar[int] = 25  # of each property

    @pytest.fixture
    def warehouse(self) -> Warehouse:
        raise NotImplementedError

    @pytest.fixture
    def put(self) -> Put:
        raise NotImplementedError

    @pytest.fixture
    def files(self, put: Put) -> Files:
        return Files(put)

    # ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_append_adds_rows_and_makes_the_table(self, warehouse: Warehouse, files: Files) -> None:
        first = warehouse.run(files.job("append", "b1", [{"k": 1, "v": "x"}, {"k": 1, "v": "x"}]))
        assert (first.rows, first.repeated) == (2, False)
        assert first.bytes > 0
        warehouse.run(files.job("append", "b2", [{"k": None, "v": None}]))
        assert content(warehouse) == [
            (1, "x", "b1", 1, "b1"),
            (1, "x", "b1", 2, "b1"),
            (None, None, "b2", 1, "b2"),
        ]

    @pytest.mark.parametrize("mode", ["append", "upsert", "overwrite"])
    def test_a_job_is_done_once(self, warehouse: Warehouse, files: Files, mode: Mode) -> None:
        job = files.job(mode, "b1", [{"k": 1, "v": "x"}, {"k": 2, "v": "y"}])
        first = warehouse.run(job)
        again = warehouse.run(job)
        assert again == first._replace(repeated=True)
        assert len(content(warehouse)) == 2
        withdrawn = warehouse.withdraw(job._replace(job_id="undo"), [])
        assert withdrawn.rows == 2
        assert warehouse.withdraw(job._replace(job_id="undo"), []) == withdrawn._replace(repeated=True)
        assert warehouse.run(job).repeated, "a job that was done is not done again, even when it was undone since"
        assert content(warehouse) == []

    def test_upsert_keeps_the_greatest(self, warehouse: Warehouse, files: Files) -> None:
        assert warehouse.run(files.job("upsert", "b2", [{"k": 1, "v": "new"}])).rows == 1
        assert warehouse.run(files.job("upsert", "b1", [{"k": 1, "v": "old"}, {"k": 2, "v": "only"}])).rows == 2
        assert content(warehouse) == [(1, "new", "b2", 1, "b2"), (2, "only", "b1", 2, "b1")]
        late = {"k": 1, "v": "later row", "_mend_row": 7}
        warehouse.run(files.job("upsert", "b2", [late]))
        same = {"k": 1, "v": "equal: not greater", "_mend_row": 7}
        warehouse.run(files.job("upsert", "b2", [same]))
        assert content(warehouse)[0] == (1, "later row", "b2", 7, "b2")

    def test_upsert_within_one_file(self, warehouse: Warehouse, files: Files) -> None:
        rows = [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}, {"k": 1, "v": "c"}]
        assert warehouse.run(files.job("upsert", "b1", rows)).rows == 3
        assert content(warehouse, TABLE, "k", "v") == [(1, "c"), (2, "b")]
        assert warehouse.run(files.job("upsert", "b2", list(reversed(rows)))).rows == 3
        assert content(warehouse, TABLE, "k", "v") == [(1, "a"), (2, "b")]

    def test_upsert_by_several_columns_and_null_keys(self, warehouse: Warehouse, files: Files) -> None:
        for batch in ("b1", "b2"):
            rows = [{"k": 1, "v": None}, {"k": 1, "v": "x"}, {"k": None, "v": None}]
            warehouse.run(files.job("upsert", batch, rows, keys=("k", "v")))
        assert content(warehouse, TABLE, "k", "v", "_mend_batch") == [
            (1, "x", "b2"),
            (1, None, "b2"),
            (None, None, "b2"),
        ]

    def test_upserts_in_any_order(self, warehouse: Warehouse, files: Files) -> None:
        @relaxed(self.examples)
        @given(contents=batches, chance=st.randoms(use_true_random=False))
        def hold(contents: list[list[Row]], chance: random.Random) -> None:
            rows = rows_of(contents)
            table = f"travel.t{next(numbers)}"
            order = list(rows)
            chance.shuffle(order)
            for batch in order:
                warehouse.run(files.job("upsert", batch, rows[batch], seq="s" + batch[1:], table=table))
            assert content(warehouse, table) == placed(newest(itertools.chain(*rows.values())))

        hold()

    def test_overwrite_shows_the_newest(self, warehouse: Warehouse, files: Files) -> None:
        assert warehouse.run(files.job("overwrite", "b2", [{"k": 2, "v": "b"}])).rows == 1
        assert warehouse.run(files.job("overwrite", "b1", [{"k": 1, "v": "a"}])).rows == 0
        assert content(warehouse, TABLE, "k") == [(2,)]
        assert warehouse.run(files.job("overwrite", "b2", [{"k": 2, "v": "b"}, {"k": 3, "v": "c"}])).rows == 2
        assert content(warehouse, TABLE, "k") == [(2,), (3,)]
        assert warehouse.run(files.job("overwrite", "b3", [])).rows == 0
        assert content(warehouse) == []
        assert warehouse.run(files.job("overwrite", "b2", [{"k": 2, "v": "b"}])).rows == 0
        assert content(warehouse) == [], "the empty delivery is the newest"

    def test_overwrites_in_any_order(self, warehouse: Warehouse, files: Files) -> None:
        @relaxed(self.examples)
        @given(contents=batches, chance=st.randoms(use_true_random=False))
        def hold(contents: list[list[Row]], chance: random.Random) -> None:
            rows = rows_of(contents)
            table = f"travel.t{next(numbers)}"
            order = list(rows)
            chance.shuffle(order)
            for batch in order:
                warehouse.run(files.job("overwrite", batch, rows[batch], seq="s" + batch[1:], table=table))
            assert content(warehouse, table) == placed(rows[max(rows)])

        hold()

    def test_several_files_are_one_job(self, warehouse: Warehouse, files: Files) -> None:
        first = files.job("append", "b1", [{"k": 1, "v": "x"}])
        second = files.job("append", "b1", [{"k": 2, "v": "y", "_mend_row": 2}])
        assert warehouse.run(first._replace(files=first.files + second.files)).rows == 2
        assert warehouse.run(first._replace(job_id="none", files=())).rows == 0
        assert content(warehouse, TABLE, "k") == [(1,), (2,)]

    @pytest.mark.parametrize("seed", [False, True])
    def test_several_batches_share_a_job(self, warehouse: Warehouse, files: Files, seed: bool) -> None:
        """Whether the table is there before or not; one of the files lacks a column, and has none in its place."""
        wide = (*COLUMNS, TableColumn("n", "number"))
        if seed:
            warehouse.run(files.job("append", "b0", [{"k": 0, "v": "w", "n": 0.5}], columns=wide))
        one = files.job("append", "b1", [{"k": 1, "v": "x", "n": 1.5}, {"k": 1, "v": "y", "n": None}], columns=wide)
        two = files.job("append", "b2", [{"k": 1, "v": "x"}], seq="s2")
        three = files.job("append", "b3", [{"k": 3, "v": "z", "n": 3.5, "_mend_row": 7}], columns=wide)
        paths = one.files + two.files + three.files
        shared = one._replace(job_id="shared", files=paths, batch="", seq="")
        first = warehouse.run(shared)
        assert (first.rows, first.repeated) == (4, False)
        assert first.bytes > 0
        before = [("b0", 1, "b0", 0.5)] * seed
        expected = [("b1", 1, "b1", 1.5), ("b1", 2, "b1", None), ("b2", 1, "s2", None), ("b3", 7, "b3", 3.5)]
        names = ("_mend_batch", "_mend_row", "_mend_seq", "n")
        assert content(warehouse, TABLE, *names) == before + expected
        assert warehouse.run(shared) == first._replace(repeated=True)
        assert warehouse.withdraw(two._replace(job_id="undo"), []).rows == 1
        assert content(warehouse, TABLE, *names) == [("b0", 1, "b0", 0.5)] * seed + [
            expected[0],
            expected[1],
            expected[3],
        ]
        assert warehouse.run(shared).repeated

    def test_a_job_that_brings_nothing_tells_what_was_done_under_its_id(
        self, warehouse: Warehouse, files: Files
    ) -> None:
        """As load asks before it brings the same rows by another job."""
        job = files.job("append", "b1", [{"k": 1, "v": "x"}, {"k": 2, "v": "y"}], job_id="own")
        other = files.job("append", "b2", [{"k": 3, "v": "z"}], job_id="")
        shared = job._replace(job_id="shared", files=job.files + other.files, batch="", seq="")
        nothing = LoadJob("own", TABLE, "append", (), (), (), "", "")
        warehouse.run(job)
        assert (warehouse.run(nothing).rows, warehouse.run(nothing).repeated) == (2, True)
        assert warehouse.run(nothing._replace(job_id="shared")).rows == 0
        halted = warehouse.run(shared)
        assert (halted.rows, halted.repeated) == (0, True)
        together = shared._replace(job_id="together", files=other.files)
        assert warehouse.run(together).rows == 1
        assert warehouse.run(nothing._replace(job_id="together")).rows == 1
        assert content(warehouse, TABLE, "k") == [(1,), (2,), (3,)]

    def test_a_job_that_brings_nothing_makes_no_table(self, warehouse: Warehouse, files: Files) -> None:
        """As load runs to keep a job from being done: a table without its key would refuse every later upsert."""
        job = files.job("upsert", "b1", [{"k": 1, "v": "x"}])
        halted = LoadJob("halted", TABLE, "append", (), (), (), "b1", "b1")
        first = warehouse.run(halted)
        assert (first.rows, first.repeated) == (0, False)
        assert warehouse.run(halted).repeated
        assert warehouse.run(job._replace(job_id="halted")).repeated
        assert warehouse.describe(TABLE) is None
        assert list(warehouse.rows_with_keys(TABLE, job.files, ("k",))) == []
        assert warehouse.run(job).rows == 1
        assert warehouse.run(halted._replace(job_id="halted too")).rows == 0
        assert content(warehouse, TABLE, "k") == [(1,)]

    def test_a_job_that_fails_changes_nothing(self, warehouse: Warehouse, files: Files) -> None:
        warehouse.run(files.job("upsert", "b1", [{"k": 1, "v": "x"}]))
        before = warehouse.describe(TABLE)
        wide = (*COLUMNS, TableColumn("extra", "date"))
        job = files.job("upsert", "b2", [{"k": 1, "v": "y"}], columns=wide)
        with pytest.raises(ForeignFailure, match="no file") as caught:
            warehouse.run(job._replace(files=(*job.files, "loaded/none.parquet")))
        assert caught.value.reason == "notFound"
        with pytest.raises(ForeignFailure):
            warehouse.run(job._replace(keys=("k", "absent")))
        assert warehouse.describe(TABLE) == before
        assert content(warehouse, TABLE, "v") == [("x",)]
        assert not warehouse.run(job).repeated

    def test_cells_stay_out_of_errors(self, warehouse: Warehouse, files: Files) -> None:
        text = (TableColumn("k", "string"), TableColumn("v", "string"))
        job = files.job("append", "b1", [{"k": "jane.doe's secret", "v": ""}], columns=text)
        with pytest.raises(ForeignFailure) as caught:
            warehouse.run(job._replace(columns=COLUMNS))
        assert "secret" not in str(caught.value)
        assert caught.value.exception_type

    # ── undo ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_withdrawn_appends_leave_no_trace(self, warehouse: Warehouse, files: Files) -> None:
        @relaxed(self.examples)
        @given(contents=batches, chance=st.randoms(use_true_random=False))
        def hold(contents: list[list[Row]], chance: random.Random) -> None:
            rows = rows_of(contents)
            table = f"travel.t{next(numbers)}"
            jobs = {batch: files.job("append", batch, rows[batch], seq="s" + batch[1:], table=table) for batch in rows}
            for job in jobs.values():
                warehouse.run(job)
            gone = chance.sample(sorted(rows), chance.randint(0, len(rows)))
            for batch in gone:
                done = warehouse.withdraw(jobs[batch]._replace(job_id=f"undo {table} {batch}"), [])
                assert done.rows == len(rows[batch])
            assert content(warehouse, table) == placed(
                row for batch in rows if batch not in gone for row in rows[batch]
            )

        hold()

    def test_withdrawn_upserts_leave_no_trace(self, warehouse: Warehouse, files: Files) -> None:
        @relaxed(self.examples)
        @given(contents=batches, chance=st.randoms(use_true_random=False))
        def hold(contents: list[list[Row]], chance: random.Random) -> None:
            rows = rows_of(contents)
            table = f"travel.t{next(numbers)}"
            jobs = {batch: files.job("upsert", batch, rows[batch], seq="s" + batch[1:], table=table) for batch in rows}
            loads = list(rows)
            chance.shuffle(loads)
            for batch in loads:
                warehouse.run(jobs[batch])
            kept = set(rows)
            for batch in chance.sample(sorted(rows), chance.randint(0, len(rows))):
                kept.discard(batch)
                restore = [path for other in sorted(kept) for path in jobs[other].files]
                warehouse.withdraw(jobs[batch]._replace(job_id=f"undo {table} {batch}"), restore)
                assert content(warehouse, table) == placed(newest(row for other in kept for row in rows[other]))

        hold()

    def test_withdrawal_puts_back_rows_that_were_there_before(
        self, warehouse: Warehouse, files: Files, put: Put
    ) -> None:
        """Rows without provenance, as of a table that existed already, and an image with fewer columns."""
        foreign = arrow([{"k": 1, "v": "theirs"}, {"k": 2, "v": "theirs too"}])
        put("seed.parquet", foreign)
        warehouse.run(LoadJob("seed", TABLE, "append", ("seed.parquet",), COLUMNS, (), "", ""))
        wide = (*COLUMNS, TableColumn("n", "number"))
        job = files.job("upsert", "b1", [{"k": 1, "v": "ours", "n": 1.5}, {"k": 3, "v": "new", "n": 2.5}], columns=wide)
        before = list(warehouse.rows_with_keys(TABLE, job.files, ("k",)))
        put("before.parquet", pa.Table.from_batches(before))
        assert sum(batch.num_rows for batch in before) == 1
        warehouse.run(job)
        assert content(warehouse, TABLE, "k", "v", "n") == [(1, "ours", 1.5), (2, "theirs too", None), (3, "new", 2.5)]
        assert warehouse.withdraw(job._replace(job_id="undo"), ["before.parquet"]).rows == 2
        assert content(warehouse) == placed(foreign.to_pylist())

    def test_withdrawal_of_what_was_replaced_since_changes_nothing(self, warehouse: Warehouse, files: Files) -> None:
        old = files.job("upsert", "b1", [{"k": 1, "v": "old"}])
        new = files.job("upsert", "b2", [{"k": 1, "v": "new"}])
        warehouse.run(old)
        warehouse.run(new)
        assert warehouse.withdraw(old._replace(job_id="undo"), new.files).rows == 0
        assert content(warehouse, TABLE, "v") == [("new",)]

    def test_withdrawn_overwrite_shows_the_one_before(self, warehouse: Warehouse, files: Files) -> None:
        jobs = {batch: files.job("overwrite", batch, [{"k": 1, "v": batch}] * 2) for batch in ("b1", "b2", "b3")}
        warehouse.run(jobs["b1"])
        warehouse.run(jobs["b3"])
        assert warehouse.withdraw(jobs["b1"]._replace(job_id="u1"), []).rows == 0
        assert warehouse.withdraw(jobs["b3"]._replace(job_id="u3"), jobs["b1"].files).rows == 2
        assert content(warehouse, TABLE, "v") == [("b1",), ("b1",)]
        assert warehouse.run(jobs["b2"]).rows == 2
        assert warehouse.withdraw(jobs["b2"]._replace(job_id="u2"), []).rows == 2
        assert content(warehouse) == []
        assert warehouse.run(jobs["b1"]._replace(job_id="b1 again")).rows == 2

    def test_withdrawal_from_no_table(self, warehouse: Warehouse, files: Files) -> None:
        for mode in ("append", "upsert", "overwrite"):
            job = files.job(mode, "b1", [{"k": 1, "v": "x"}])
            assert warehouse.withdraw(job, []).rows == 0
        assert warehouse.describe(TABLE) is None
