"""Goal: the deliveries are the published flights plus exactly the faults that the plan counts, the same at every run.

Method: read every file back with the standard library's parsers, undo its fault, and compare with the release.
"""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from mend.demo.dataset import Dataset
from mend.demo.deliveries import TERRITORIES, TOUCHED, make_deliveries
from mend.demo.plan import CARRIER_TYPOS, CLEAN_MONTHS, KILOMETRES_PER_MILE, UNKNOWN_CARRIER, End, Plan, plan

Rows = list[list[str]]


@pytest.fixture(scope="module")
def published(dataset: Dataset) -> tuple[list[str], dict[int, Rows]]:
    lines = dataset.csv("flights").decode().splitlines()
    months: dict[int, Rows] = {}
    for line in lines[1:]:
        fields = line.split(",")
        months.setdefault(int(fields[1]), []).append(fields)
    return lines[0].split(","), months


def _read(content: bytes, encoding: str = "utf-8", delimiter: str = ",") -> tuple[list[str], Rows]:
    records = list(csv.reader(io.StringIO(content.decode(encoding), newline=""), delimiter=delimiter))
    return records[0], records[1:]


def _of(delivered: tuple[Plan, Path], month: int) -> bytes:
    planned, folder = delivered
    delivery = next(d for d in planned.deliveries if d.month == month)
    return (folder / delivery.path).read_bytes()


def test_a_second_run_makes_the_same(delivered: tuple[Plan, Path], dataset: Dataset, tmp_path: Path) -> None:
    planned, folder = delivered
    assert make_deliveries(dataset, tmp_path) == planned == plan()

    def contents(root: Path) -> dict[str, tuple[str, int]]:
        """What a batch's id depends on; the time of what is no delivery does not matter."""
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        timed = {"landing", "served", "later"}
        return {
            str(path.relative_to(root)): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns if path.relative_to(root).parts[0] in timed else 0,
            )
            for path in files
        }

    assert contents(tmp_path) == contents(folder)
    assert Plan.model_validate_json((folder / "plan.json").read_text()) == planned


@pytest.mark.parametrize("month", [1, 7, 9, 12])
def test_untouched_months_are_byte_for_byte(
    delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]], month: int
) -> None:
    header, months = published
    expected = "".join(",".join(fields) + "\n" for fields in [header, *months[month]])
    assert _of(delivered, month) == expected.encode()


def test_clean_months_have_nothing_planted() -> None:
    assert all(not d.planted for d in plan().deliveries if d.month in CLEAN_MONTHS)
    assert {f.name for d, f in plan().faults() if d.month == 1} == {"airport_missing", "plane_missing"}


def test_carrier_typos(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    header, rows = _read(_of(delivered, 2))
    assert header == published[0]
    pairs = Counter((old[9], new[9]) for old, new in zip(published[1][2], rows, strict=True) if old != new)
    assert pairs == {(right, wrong): count for right, wrong, count in (*CARRIER_TYPOS, UNKNOWN_CARRIER)}
    assert all(old[:9] + old[10:] == new[:9] + new[10:] for old, new in zip(published[1][2], rows, strict=True))


def _edits(left: str, right: str) -> int:
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def test_each_typo_has_one_nearest_carrier(dataset: Dataset) -> None:
    known = [line.split(",")[0] for line in dataset.csv("airlines").decode().splitlines()[1:]]
    for right, wrong, _ in CARRIER_TYPOS:
        shape = wrong.strip().upper()
        distances = sorted((_edits(shape, code), code) for code in known)
        assert distances[0][1] == right
        assert distances[0][0] < distances[1][0]
    assert not [code for code in known if _edits(UNKNOWN_CARRIER[1], code) <= 1]


def test_renamed_columns(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    header, rows = _read(_of(delivered, 3))
    assert {old: new for old, new in zip(published[0], header, strict=True) if old != new} == {
        "carrier": "carrier_code",
        "tailnum": "tail_number",
    }
    assert rows == published[1][3]


def test_times_day_first(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    _, rows = _read(_of(delivered, 4))
    changed = [(old[18], new[18]) for old, new in zip(published[1][4], rows, strict=True) if old != new]
    assert len(changed) == 5666
    assert all(new == f"{old[8:10]}/{old[5:7]}/{old[:4]} {old[11:16]}" for old, new in changed)
    assert any(int(new[:2]) > 12 for _, new in changed)


def test_european_numbers(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    content = _of(delivered, 5)
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    header, rows = _read(content, "latin-1", ";")
    assert header == published[0]
    assert sum(fields[11].endswith("\u00a0") for fields in rows) == 40
    plain = [[cell.removesuffix(",0").removesuffix("\u00a0") for cell in fields] for fields in rows]
    assert plain == published[1][5]


def test_a_cut_file_and_its_whole(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    whole = (delivered[1] / "later/flights_2013_06.csv.gz").read_bytes()
    cut = _of(delivered, 6)
    assert whole.startswith(cut)
    with pytest.raises((EOFError, zlib.error)):
        gzip.decompress(cut)
    assert _read(gzip.decompress(whole)) == (published[0], published[1][6])


def test_one_month_twice(delivered: tuple[Plan, Path]) -> None:
    twice = [d for d in delivered[0].deliveries if d.month == 7]
    assert [d.name for d in twice] == ["flights_2013_07.csv", "flights_2013_07_resent.csv"]
    assert len({(delivered[1] / d.path).read_bytes() for d in twice}) == 1
    names = sorted(d.name for d in delivered[0].deliveries)
    assert names.index(twice[1].name) == names.index(twice[0].name) + 1


def test_kilometres(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    _, rows = _read(_of(delivered, 8))
    for old, new in zip(published[1][8], rows, strict=True):
        assert round(int(new[15]) / KILOMETRES_PER_MILE) == int(old[15])
        assert new[15] != old[15]
        assert old[:15] + old[16:] == new[:15] + new[16:]


def test_a_new_column(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    header, rows = _read(_of(delivered, 10))
    assert header == [*published[0], "cabin_crew"]
    assert [fields[:-1] for fields in rows] == published[1][10]
    assert {fields[-1] for fields in rows} == {"2", "3", "4", "5", "6"}


def test_broken_lines(delivered: tuple[Plan, Path], published: tuple[list[str], dict[int, Rows]]) -> None:
    lines = _of(delivered, 11).decode().splitlines()[1:]
    expected = [",".join(fields) for fields in published[1][11]]
    broken = {n: new for n, (old, new) in enumerate(zip(expected, lines, strict=True), 1) if old != new}
    fields = {n: line.count(",") + 1 for n, line in broken.items()}
    assert Counter(fields.values()) == {14: 3, 20: 2, 19: 1}
    (quoted,) = [n for n, line in broken.items() if '"' in line]
    assert broken[quoted].count('"') == 1
    assert sum(line.count('"') for line in lines) == 1


def test_touched_cells_are_recorded(delivered: tuple[Plan, Path]) -> None:
    planned, folder = delivered
    touched = pl.read_parquet(folder / TOUCHED)
    counted = {(file, column): rows for file, column, rows in touched.group_by("file", "column").len().iter_rows()}
    assert counted == {
        ("flights_2013_02.csv", "carrier"): 42 + 9,
        ("flights_2013_04.csv", "time_hour"): 5_666,
        ("flights_2013_05.csv", "tailnum"): 40,
        ("flights_2013_05.csv", "air_time"): 28_128,
        ("flights_2013_05.csv", "distance"): 28_796,
        ("flights_2013_08.csv", "distance"): 29_327,
        ("flights_2013_11.csv", ""): 6,
    }
    by_name = {(d.month, f.name): f.rows for d, f in planned.faults()}
    assert by_name[2, "carrier_typos"] + by_name[2, "unknown_carrier"] == 51
    assert by_name[4, "time_format"] == 5_666
    assert by_name[5, "hard_spaces"] == 40
    assert by_name[11, "ragged_lines"] + by_name[11, "open_quote"] == 6


def test_what_was_broken_before_us(dataset: Dataset, published: tuple[list[str], dict[int, Rows]]) -> None:
    airports = {line.split(",")[0] for line in dataset.csv("airports").decode().splitlines()[1:]}
    planes = {line.split(",")[0] for line in dataset.csv("planes").decode().splitlines()[1:]}
    arriving = {line.split(",")[0] for line in TERRITORIES.splitlines()[1:]}
    assert not arriving & airports
    found = Counter[tuple[int, str]]()
    for month, rows in published[1].items():
        for fields in rows:
            found[month, "airport_missing"] += fields[13] not in airports
            found[month, "plane_missing"] += fields[11] not in planes and fields[11] != "NA"
            found[month, "wrong_tailnum"] += fields[11] != "NA" and fields[11][0] != "N"
            assert fields[13] in airports or fields[13] in arriving
    expected = {(d.month, f.name): f.rows for d, f in plan().faults() if not f.planted}
    assert {key: rows for key, rows in found.items() if rows} == expected
    keys = [(*fields[:3], fields[9], fields[10], fields[12]) for rows in published[1].values() for fields in rows]
    assert len(set(keys)) == len(keys) == 336_776


def test_the_plan_adds_up() -> None:
    planned = plan()
    once = {d.month: d.rows for d in planned.deliveries}
    assert sorted(once) == list(range(1, 13))
    assert sum(once.values()) == 336_776
    assert planned.rows(End.QUARANTINED) == 9 + 6 + 4
    assert all(f.rows <= d.rows for d, f in planned.faults())
    assert [d.name for d in planned.deliveries] == sorted({d.name for d in planned.deliveries})
    assert {late.heals for late in planned.late} <= {f.name for _, f in planned.faults()}


def test_the_signal_is_json(delivered: tuple[Plan, Path]) -> None:
    planned, folder = delivered
    signal = json.loads((folder / planned.signals[0]).read_text())
    assert {"dag_id", "task_id", "run_id", "try_number", "exception"} <= signal.keys()


def test_rows_that_never_load_are_distinct(delivered: tuple[Plan, Path], dataset: Dataset) -> None:
    """None of the 19 flies to an airport that is missing, so the plan's counts can be added."""
    lines = [line for month in (2, 3, 7, 11) for line in _of(delivered, month).decode().splitlines()]
    never = [line for line in lines if ",ZZ," in line or ",D942DN," in line or '"' in line or line.count(",") != 18]
    airports = {line.split(",")[0] for line in dataset.csv("airports").decode().splitlines()[1:]}
    assert len(never) == delivered[0].rows(End.QUARANTINED)
    assert all(line.split(",")[13] in airports for line in never)
