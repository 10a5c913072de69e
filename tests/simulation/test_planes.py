"""Both planes make the same of the same worlds: every document, every file of rows, every table, every outcome."""

from pathlib import Path

import pytest

from shared.ports.state_store import Put
from tests.simulation.planes import rows_file
from tests.simulation.planes.comparison import Told, differences
from tests.simulation.planes.plain import PlainPlane
from tests.simulation.planes.plane import Plane
from tests.simulation.planes.real import RealPlane
from tests.simulation.planted import FAULTS_PLAIN
from tests.simulation.project import World, make_world
from tests.simulation.simulation import Simulation

SEEDS = range(12)
ENGINES = ("polars", "pyarrow", "duckdb", "pandera")


def lived(seed: int, plane: Plane, folder: Path, world: World | None = None) -> Told:
    """The world lived through on a plane, with people and a shuffling bus, without failures."""
    with plane.installed():
        simulation = Simulation(seed, plane, folder, world=world or make_world(seed, "plain"))
        simulation.trouble.strikes = 0
        told = Told(simulation)
        assert simulation.run() == []
    return told


def both(seed: int, folder: Path, world: World | None = None) -> tuple[Told, Told]:
    """The same world lived through on either plane."""
    return lived(seed, RealPlane(), folder, world), lived(seed, PlainPlane(), folder, world)


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_worlds(seed: int, tmp_path: Path) -> None:
    assert differences(*both(seed, tmp_path)) == []


@pytest.mark.parametrize("fault", FAULTS_PLAIN)
def test_equal_worlds_of_one_fault(fault: str, tmp_path: Path) -> None:
    """A world that plants nothing else, so that each fault is met for certain."""
    seeds = range(1_000 + FAULTS_PLAIN.index(fault), 50_000, 1_000)
    worlds = ((seed, make_world(seed, "plain", (fault,))) for seed in seeds)
    planted = (each for each in worlds if any(fault in delivery.faults for delivery in each[1].deliveries))
    seed, world = next(planted)
    assert differences(*both(seed, tmp_path, world)) == []


def test_the_comparison_sees_what_differs(tmp_path: Path) -> None:
    one, other = both(1, tmp_path)
    assert differences(one, other) == []
    objects = other.simulation.objects
    path = next(info.path for info in objects.list("quarantine/"))
    rows = rows_file.read(objects, path)
    rows_file.write(objects, path, rows.only(rows.rows[1:]))
    assert [each.partition(":")[0] for each in differences(one, other)] == [path]
    key, verdict = next(iter(other.documents("verdicts").items()))
    changed = {**verdict, "rows_passed": verdict["rows_passed"] + 1}
    other.simulation.store.commit([Put("verdicts", key, changed)])
    assert len(differences(one, other)) == 2
    other.simulation.warehouse = PlainPlane().warehouse(objects, other.simulation.clock, tmp_path)
    assert any(each.startswith("lab.") for each in differences(one, other))


def test_no_engine_is_called_on_the_plain_way() -> None:
    """In a process of its own: the engines are loaded at their first call, and here nothing loads them."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from tests.simulation.run import live\n"
        "assert not live('plain', range(20), 1).failed\n"
        f"print([name for name in {ENGINES!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_services_are_as_before_when_the_plane_is_taken_out() -> None:
    from services.load import handlers
    from services.remediate import carrying_out

    def bound() -> tuple[object, object]:
        """Two functions where they are used, and not where they are made."""
        return vars(handlers)["table_rows"], vars(carrying_out)["write_attempt"]

    before = bound()
    with PlainPlane().installed():
        assert not set(bound()) & set(before)
    assert bound() == before
