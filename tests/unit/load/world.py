"""One pipeline's load over real local adapters, and a model in plain Python of what its table must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.load.handlers import SERVICE
from shared.adapters.local.object_store import FolderObjectStore
from shared.domain import paths
from shared.domain.errors import StoreUnavailable
from shared.events.codec import encode
from shared.events.types import BatchLoaded, BatchValidated, BatchWithdraw, BatchWithdrawn, Event
from shared.ports.state_store import Put
from shared.ports.warehouse import Layout, LoadJob, TableColumn
from shared.runtime.handling import Outcome
from shared.runtime.wiring import Process
from tests.conformance.turned_clock import TurnedClock
from tests.support.local_ports import handle, make_process

TABLE = "shop.things"
Row = dict[str, Any]
TYPES: dict[type, pa.DataType] = {int: pa.int64(), str: pa.string(), float: pa.float64(), bool: pa.bool_()}

PIPELINE = """\
pipeline: things
source: {{kind: files, uri: landing/*.csv}}
contract: contracts/things.odcs.yaml
destination: {{table: {table}, mode: {mode}{key}}}
{extra}
"""
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: things
version: 1.0.0
status: active
schema:
  - name: things
    properties:
      - {{name: {key}, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}}
      - {{name: v, logicalType: string}}
"""


class LoadWorld:
    """Release rows, withdraw them, look at the table."""

    def __init__(self, folder: Path, mode: str = "upsert", *, extra: str = "", key: str = "", primary: str = "k"):
        self.folder, self.mode = folder, mode
        (folder / "pipelines").mkdir(parents=True, exist_ok=True)
        (folder / "contracts").mkdir(exist_ok=True)
        self.name, self.prefix = TABLE, ""
        self.define(mode, extra=extra, key=key, primary=primary)
        made = make_process(folder, TurnedClock())
        # Nobody turns the power off here, and reaching the disk takes most of a test's time.
        objects = FolderObjectStore(folder / "store" / "objects", durable=False)
        self.process: Process = replace(made, objects=objects)

    def anew(self, number: int) -> LoadWorld:
        """A table and batches that nobody has used, in the same store: much cheaper than a store of its own."""
        path = self.folder / "pipelines" / "things.yaml"
        name = f"shop.t{number}"
        path.write_text(path.read_text().replace(f"table: {self.name},", f"table: {name},"))
        self.name, self.prefix = name, f"n{number}"
        return self

    def define(self, mode: str, *, extra: str = "", key: str = "", primary: str = "k") -> None:
        named = f", key: [{key}]" if key else ""
        text = PIPELINE.format(mode=mode, extra=extra, key=named, table=self.name)
        (self.folder / "pipelines" / "things.yaml").write_text(text)
        contract = CONTRACT.format(key=primary)
        if not primary:
            contract = contract.replace(", primaryKey: true, primaryKeyPosition: 1", "").replace(
                "{name: ,", "{name: k,"
            )
        (self.folder / "contracts" / "things.odcs.yaml").write_text(contract)

    def write(self, path: str, table: pa.Table) -> str:
        with self.process.objects.write(path) as stream:
            pq.write_table(table, stream)
        return path

    def validated(
        self,
        batch: str,
        rows: Sequence[Row],
        *,
        attempt: int = 1,
        reading: int = 1,
        seq: str = "",
        state: str = "released",
        schema: pa.Schema | None = None,
        parts: int = 1,
    ) -> BatchValidated:
        """The event of an attempt whose passed rows are written; rows may bring ``_mend_row``."""
        full = [{"_mend_row": number, **row} for number, row in enumerate(rows, 1)]
        table = (
            pa.Table.from_pylist(full, schema=schema) if schema or full else pa.table({"k": pa.array([], pa.int64())})
        )
        seq, batch = seq or f"s{batch}", self.prefix + batch
        if "_mend_row" not in table.column_names:
            table = table.append_column("_mend_row", pa.array([], pa.int64()))
        table = table.append_column("_mend_batch", pa.repeat(pa.scalar(batch), len(table)))
        table = table.append_column("_mend_seq", pa.repeat(pa.scalar(seq), len(table)))
        folder = paths.passed(batch, attempt)
        size = -(-max(len(table), 1) // parts)
        files = [self.write(paths.part(folder, number), table.slice(number * size, size)) for number in range(parts)]
        verdict = {"batch_id": batch, "attempt": attempt, "reading": reading, "state": state, "seq": seq}
        self.process.store.commit([Put("verdicts", f"{batch}:{attempt}", verdict)])
        return BatchValidated(
            id=f"validated {batch} {attempt}",
            time=1,
            subject=batch,
            correlation_id="c",
            batch_id=batch,
            pipeline="things",
            attempt=attempt,
            reading=reading,
            seq=seq,
            state=state,
            rows=len(table),
            rows_passed=len(table),
            rows_quarantined=0,
            score=100.0,
            passed_parts=files if len(table) else [],
        )

    def withdraw(self, batch: str, *, attempt: int = 0, reading: int = 0, remedy: str = "r") -> BatchWithdraw:
        batch = self.prefix + batch
        about = f"withdraw {batch} {attempt} {reading} {remedy}"
        return BatchWithdraw(
            id=about, time=2, subject=batch, correlation_id="c", batch_id=batch, pipeline="things", remedy_id=remedy,
            attempt=attempt, reading=reading,
        )  # fmt: skip

    def handle(self, event: Event, process: Process | None = None) -> list[Event]:
        return handle(process or self.process, SERVICE, event)

    def deliver(self, event: Event, process: Process | None = None) -> Outcome:
        """Through the runtime, which handles again when something was changed meanwhile."""
        sent = encode(event, "/test")
        return (process or self.process).runtime().deliver(SERVICE, sent.topic, sent.data, sent.attributes)

    def load(self, batch: str, rows: Sequence[Row], **about: Any) -> BatchLoaded | None:
        emitted = self.handle(self.validated(batch, rows, **about))
        assert len(emitted) <= 1
        return emitted[0] if emitted else None  # type: ignore[return-value]

    def take_out(self, batch: str, **about: Any) -> BatchWithdrawn:
        (emitted,) = self.handle(self.withdraw(batch, **about))
        assert isinstance(emitted, BatchWithdrawn)
        return emitted

    def foreign(self, rows: Sequence[Row]) -> None:
        """Rows that somebody else put into the table, without provenance."""
        columns = tuple(
            TableColumn(name, "integer" if isinstance(value, int) else "string") for name, value in rows[0].items()
        )
        self.process.warehouse.ensure(self.name, columns, Layout())
        full = pa.Table.from_pylist(list(rows))
        for name, kind in (("_mend_batch", pa.string()), ("_mend_row", pa.int64()), ("_mend_seq", pa.string())):
            full = full.append_column(name, pa.nulls(len(full), kind))
        path = self.write(f"foreign/{self.name}.parquet", full)
        self.process.warehouse.run(LoadJob(f"foreign {self.name}", self.name, "append", (path,), columns, (), "", ""))

    def table(self, *columns: str) -> list[tuple[Any, ...]]:
        """The table's rows, sorted; () means all columns of the user."""
        batches = list(self.process.warehouse.dump(self.name))
        if not batches:
            return []
        whole = pa.Table.from_batches(batches)
        names = columns or tuple(name for name in whole.column_names if not name.startswith("_mend_"))
        rows = zip(*(whole.column(name).to_pylist() for name in names), strict=True)
        return sorted(rows, key=lambda row: tuple((cell is not None, str(cell)) for cell in row))

    def state(self, batch: str, attempt: int = 1) -> str:
        stored = self.process.store.get("loads", f"{self.prefix}{batch}:{attempt}")
        return str(stored.data["state"]) if stored else ""

    def replaced(self, batch: str, attempt: int = 1) -> list[str]:
        """BATCH|V of every row in the attempt's before-image; whose the row was is "" when it was never ours."""
        path = paths.before(self.prefix + batch, attempt)
        if self.process.objects.stat(path) is None:
            return []
        with self.process.objects.read(path) as stream:
            found = pq.read_table(stream)
        whose = [(each or "").removeprefix(self.prefix) for each in found.column("_mend_batch").to_pylist()]
        return sorted(f"{batch}|{v}" for batch, v in zip(whose, found.column("v").to_pylist(), strict=True))

    def discarded(self, batch: str, attempt: int = 1) -> list[tuple[int, str]]:
        path = paths.discarded(self.prefix + batch, attempt, "load")
        if self.process.objects.stat(path) is None:
            return []
        with self.process.objects.read(path) as stream:
            found = pq.read_table(stream)
        return list(zip(found.column("_mend_row").to_pylist(), found.column("reason").to_pylist(), strict=True))


class Dying:
    """A port that dies at its nth call of a method that has an effect, before or after the effect."""

    def __init__(self, inner: Any, fuse: Fuse, methods: Sequence[str]) -> None:
        self._inner, self._fuse, self._methods = inner, fuse, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._methods:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            result = found(*arguments, **named)
            if name == "write":
                return _Closing(result, self._fuse)
            self._fuse.burn()
            return result

        return call


class _Closing:
    """A file that is being written: dying after its end leaves it in place."""

    def __init__(self, context: Any, fuse: Fuse) -> None:
        self._context, self._fuse = context, fuse

    def __enter__(self) -> Any:
        return self._context.__enter__()

    def __exit__(self, *about: object) -> Any:
        result = self._context.__exit__(*about)
        if about[0] is None:
            self._fuse.burn()
        return result


class Fuse:
    """Counts effects down; at zero the process is as good as dead, or something else happens first."""

    def __init__(self, steps: int, meanwhile: Callable[[], object] | None = None) -> None:
        self.steps = steps
        self._meanwhile = meanwhile

    def burn(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            if self._meanwhile is None:
                raise StoreUnavailable("the process died here")
            self._meanwhile()


def dying(process: Process, steps: int, meanwhile: Callable[[], object] | None = None) -> tuple[Process, Fuse]:
    """The process, which dies (or in which something happens) at its ``steps``-th moment before or after an effect."""
    fuse = Fuse(steps, meanwhile)
    objects = Dying(process.objects, fuse, ("write", "delete"))
    warehouse = Dying(process.warehouse, fuse, ("run", "withdraw", "ensure"))
    store = Dying(process.store, fuse, ("commit",))
    # As in the cloud, where bus and state share no transaction: the worse case.
    return replace(process, objects=objects, warehouse=warehouse, store=store, together=nullcontext), fuse


class Model:
    """What a table must hold: the attempts that stand, put into it one after the other."""

    def __init__(self, mode: str, foreign: Sequence[Row] = ()) -> None:
        self.mode = mode
        self.foreign = list(foreign)
        self.standing: dict[tuple[str, int], tuple[int, str, list[Row]]] = {}  # (batch, attempt): reading, seq, rows
        self.away: list[tuple[str, int, int]] = []

    def load(self, batch: str, attempt: int, reading: int, seq: str, rows: Sequence[Row]) -> None:
        if not any(batch == gone and (reading <= up_to or attempt == one) for gone, up_to, one in self.away):
            self.standing[batch, attempt] = (reading, seq, list(rows))

    def withdraw(self, batch: str, attempt: int, reading: int) -> None:
        self.away.append((batch, reading, attempt))
        for key, (of, _, _) in list(self.standing.items()):
            if key[0] == batch and (of <= reading or key[1] == attempt):
                del self.standing[key]

    def rows(self) -> list[tuple[Any, ...]]:
        """(k, v) of every row, sorted."""
        every = [(seq, row["_mend_row"], row) for _, seq, rows in self.standing.values() for row in rows]
        if self.mode == "append":
            shown = [row for _, _, row in every] + self.foreign
        elif self.mode == "overwrite":
            newest = max((seq for _, seq, _ in self.standing.values()), default=None)
            shown = [row for seq, _, row in every if seq == newest] if newest is not None else self.foreign
        else:
            kept: dict[Any, tuple[str, int, Row]] = {row["k"]: ("", 0, row) for row in self.foreign}
            for seq, number, row in every:
                if row["k"] not in kept or (seq, number) > kept[row["k"]][:2]:
                    kept[row["k"]] = (seq, number, row)
            shown = [row for _, _, row in kept.values()]
        return sorted(
            ((row["k"], row["v"]) for row in shown), key=lambda row: tuple((c is not None, str(c)) for c in row)
        )
