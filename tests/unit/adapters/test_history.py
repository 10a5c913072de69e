"""History's views, from real events published to the real bus: late, twice, and in any order."""

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlglot

from shared.adapters.local.event_bus import SqliteEventBus
from shared.adapters.local.history import VIEWS, LocalHistory, table_of, view_texts
from shared.adapters.local.store_file import StoreFile
from shared.domain.errors import ForeignFailure, LimitExceeded
from shared.events.codec import encode
from shared.events.types import (
    EVENT_TYPES,
    BatchLoaded,
    BatchStaged,
    BatchValidated,
    BatchWithdrawn,
    DeliveryRegistered,
    Event,
    IncidentClassified,
    IncidentClosed,
    IncidentOpened,
    RemedyApplied,
    RemedyDecided,
    RemedyProposed,
    RemedyUndone,
    RemedyVerified,
)
from shared.ports.event_bus import Message
from tests.conformance.turned_clock import TurnedClock

START = 1_700_000_000_000_000
SECOND = 1_000_000


class Told:
    """Makes events, one second after another."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, kind: type[Event], **fields: Any) -> Event:
        number = len(self.events)
        fields = {"id": f"e{number}", "time": START + number * SECOND, "subject": "s", "correlation_id": "c"} | fields
        event = kind(**fields)
        self.events.append(event)
        return event

    def batch(self, name: str, attempt: int = 1, reading: int = 1, rows: int = 100, passed: int = 90) -> None:
        """A batch's attempt through validate and load."""
        common = {"batch_id": name, "pipeline": "flights", "attempt": attempt, "reading": reading}
        if attempt == 1:
            self.tell(
                DeliveryRegistered, batch_id=name, pipeline="flights", uri=f"in/{name}.csv", name=f"{name}.csv",
                generation="1", sha256="0", bytes=1 << 40, seq=name, raw_path="raw/x",
            )  # fmt: skip
        self.tell(BatchStaged, **common, seq=name, parts=["staged/x"], rows=rows)
        self.tell(
            BatchValidated, **common, seq=name, state="released", rows=rows, rows_passed=passed,
            rows_quarantined=rows - passed, score=float(passed) / rows * 100,
            dimensions_json='{"validity": 90.5, "uniqueness": 100}',
        )  # fmt: skip
        if passed:
            self.tell(
                BatchLoaded, **common, table="t.flights", mode="upsert", rows_passed=passed, rows_loaded=passed - 1,
                rows_discarded=1,
            )  # fmt: skip

    def incident(self, name: str, batch: str) -> None:
        common = {"fingerprint": f"flights|{batch}|enum|carrier", "origin": "violation", "pipeline": "flights"}
        opened = self.tell(IncidentOpened, **common, batch_id=batch, check="enum", column="carrier", rows_failed=10)
        self.tell(
            IncidentClassified, **common, incident_id=name, batch_id=batch, failure_class="data_corruption",
            cause="typo", confidence=0.9, check="enum", column="carrier", rows=100, rows_failed=10,
            causation_id=opened.id,
        )  # fmt: skip

    def remedy(self, name: str, incident: str, batch: str, attempt: int, state: str = "verified") -> None:
        common = {"remedy_id": name, "incident_id": incident, "remedy": "snap", "pipeline": "flights"}
        self.tell(
            RemedyApplied, **common, tier="guarded", batch_id=batch, attempt=attempt, rows=10, cells_changed=9,
            rows_discarded=1, columns=["carrier", "tail number"],
        )  # fmt: skip
        self.tell(RemedyVerified, **common, cause="typo", batch_id=batch, attempt=attempt, state=state, rows_healed=9)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreFile]:
    opened = StoreFile(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def publish(store: StoreFile) -> Callable[..., None]:
    bus = SqliteEventBus(store, TurnedClock())

    def send(events: list[Event], copies: int = 1, seed: int = 0) -> None:
        several = list(itertools.chain.from_iterable([event] * copies for event in events))
        random.Random(seed).shuffle(several)
        messages = [encode(event, "//test") for event in several]
        bus.publish([Message(found.topic, found.data, found.attributes) for found in messages])

    return send


@pytest.fixture
def history(store: StoreFile) -> Iterator[LocalHistory]:
    opened = LocalHistory(store, price_per_tib=5.0)
    yield opened
    opened.close()


def one(table: pa.Table) -> dict[str, Any]:
    (row,) = table.to_pylist()
    return row  # type: ignore[no-any-return]


def seconds(number: float) -> datetime:
    return datetime.fromtimestamp(START / SECOND + number, UTC)


@pytest.mark.parametrize("name", VIEWS)
def test_no_events_no_rows(history: LocalHistory, name: str) -> None:
    assert history.view(name).num_rows == 0


def test_each_event_once(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    told.batch("b1")
    publish(told.events, copies=3)
    for event in told.events:
        name = f"events_{table_of(event.TYPE)}"
        row = one(history.view(name))
        assert {key: row[key] for key in event.model_dump()} == event.model_dump()
        assert row["message_id"]
        assert row["publish_time"] == datetime.fromtimestamp(START / SECOND, UTC)
        copies = history.query(f"SELECT COUNT(*) AS n FROM {table_of(event.TYPE)}")
        assert one(copies) == {"n": 3}
    publish(told.events)
    assert history.view("events_batch_staged_v1").num_rows == 1, "what came later is a copy too"


def test_every_field_of_every_type_has_a_column(history: LocalHistory) -> None:
    for event_type, model in EVENT_TYPES.items():
        names = history.view(f"events_{table_of(event_type)}").schema.names
        assert names == [*model.model_fields, "subscription_name", "message_id", "publish_time", "attributes"]


def test_batches(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    told.batch("b1")
    told.batch("b2", rows=50, passed=0)
    publish(told.events)
    first = one(history.view("batches", batch_id="b1"))
    assert (first["state"], first["rows"], first["rows_loaded"], first["rows_discarded"], first["rows_open"]) == (
        "loaded", 100, 89, 1, 10,
    )  # fmt: skip
    assert (first["registered_at"], first["loaded_at"], first["seconds"]) == (seconds(0), seconds(3), 3.0)
    assert one(history.view("batches", batch_id="b2"))["state"] == "validated"
    told.remedy("r1", "i1", "b1", attempt=2)
    told.batch("b1", attempt=2, rows=9, passed=9)
    publish(told.events, copies=2, seed=1)
    healed = one(history.view("batches", batch_id="b1"))
    counts = [healed[name] for name in ("attempts", "rows", "rows_loaded", "rows_discarded", "rows_open")]
    assert counts == [2, 100, 97, 3, 0]
    told.tell(BatchWithdrawn, batch_id="b1", pipeline="flights", remedy_id="r2", reading=1)
    publish(told.events[-1:])
    assert one(history.view("batches", batch_id="b1"))["rows_loaded"] == 0
    told.batch("b1", attempt=3, reading=2, rows=120, passed=120)
    publish(told.events[-3:])
    reread = one(history.view("batches", batch_id="b1"))
    assert (reread["readings"], reread["rows"], reread["rows_loaded"], reread["rows_open"]) == (2, 120, 119, 0)


def test_an_attempt_withdrawn_alone(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    told.batch("b1")
    told.batch("b1", attempt=2, rows=10, passed=10)
    told.tell(BatchWithdrawn, batch_id="b1", pipeline="flights", remedy_id="r1", attempt=2)
    publish(told.events)
    assert one(history.view("batches"))["rows_loaded"] == 89


def test_states_of_batches(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    common = {"pipeline": "p", "uri": "u", "name": "n", "generation": "g", "sha256": "s", "bytes": 0, "raw_path": "r"}
    told.tell(DeliveryRegistered, batch_id="b1", seq="1", **common)
    told.tell(DeliveryRegistered, batch_id="b2", seq="2", duplicate_of="b1", **common)
    told.tell(DeliveryRegistered, batch_id="b3", seq="3", **common)
    attempt = {"pipeline": "p", "attempt": 1, "reading": 1, "rows": 5}
    told.tell(BatchStaged, batch_id="b3", seq="3", parts=[], **attempt)
    told.tell(DeliveryRegistered, batch_id="b4", seq="4", **common)
    told.tell(BatchStaged, batch_id="b4", seq="4", parts=[], **attempt)
    told.tell(
        BatchValidated, batch_id="b4", seq="4", state="held", rows_passed=0, rows_quarantined=5, score=10.0, **attempt
    )
    publish(told.events, copies=2)
    rows = history.query("SELECT batch_id, state FROM history.batches ORDER BY batch_id").to_pylist()
    assert [row["state"] for row in rows] == ["registered", "duplicate", "staged", "held"]


def test_incidents_and_time_to_repair(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    told.incident("i1", "b1")
    publish(told.events)
    row = one(history.view("incidents"))
    assert (row["state"], row["failure_class"], row["check"], row["column"], row["reports"]) == (
        "classified", "data_corruption", "enum", "carrier", 1,
    )  # fmt: skip
    assert (row["opened_at"], row["classified_at"], row["closed_at"]) == (seconds(0), seconds(1), None)
    assert history.view("time_to_repair").num_rows == 0
    told.remedy("r1", "i1", "b1", 2)
    told.incident("i1", "b1")
    told.tell(IncidentClosed, incident_id="i1", pipeline="flights", batch_id="b1", state="healed", rows_healed=9)
    told.incident("i2", "b2")
    publish(told.events, copies=2, seed=3)
    row = one(history.view("incidents", incident_id="i1"))
    assert (row["state"], row["reports"], row["remedies"], row["rows_healed"]) == ("healed", 2, 1, 9)
    repaired = one(history.view("time_to_repair"))
    assert (repaired["incident_id"], repaired["by_itself"]) == ("i1", True)
    assert [repaired[f"seconds_to_{step}"] for step in ("diagnosis", "remedy", "repair")] == [1.0, 2.0, 6.0]


def test_remedies_and_repairs(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    told.incident("i1", "b1")
    proposal = {
        "incident_id": "i1",
        "remedy": "convert_unit",
        "tier": "guarded",
        "plan": "km to miles",
        "reason": "cap",
    }
    told.tell(RemedyProposed, remedy_id="r1", **proposal, rows=10, p_cause=0.5)
    publish(told.events)
    assert one(history.view("remedies"))["state"] == "proposed"
    assert one(history.view("incidents"))["state"] == "waiting"
    told.tell(RemedyDecided, remedy_id="r1", decision="approve", by="Ada")
    publish(told.events, copies=2)
    assert one(history.view("remedies"))["state"] == "approved"
    told.remedy("r1", "i1", "b1", 2)
    told.tell(IncidentClosed, incident_id="i1", state="healed")
    told.remedy("r2", "i1", "b1", 3, state="failed")
    publish(told.events)
    first = one(history.view("remedies", remedy_id="r1"))
    assert (first["state"], first["decided_by"], first["cause"], first["rows_healed"]) == ("verified", "Ada", "typo", 9)
    assert not one(history.view("time_to_repair"))["by_itself"]
    repairs = {row["remedy_id"]: row for row in history.view("repairs").to_pylist()}
    assert repairs["r1"]["columns"] == ["carrier", "tail number"]
    assert (repairs["r1"]["in_force"], repairs["r2"]["in_force"]) == (True, False)
    told.tell(RemedyDecided, remedy_id="r1", decision="undo", by="Bob")
    told.tell(RemedyUndone, remedy_id="r1", incident_id="i1", remedy="snap", by="Bob")
    publish(told.events[-2:])
    undone = one(history.view("remedies", remedy_id="r1"))
    assert (undone["state"], undone["decided_by"]) == ("undone", "Ada")


def test_quality(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    told.batch("b1")
    publish(told.events, copies=2)
    row = one(history.view("quality"))
    assert (row["score"], row["validity"], row["uniqueness"], row["completeness"]) == (90.0, 90.5, 100.0, None)
    assert (row["share_passed"], row["judged_at"]) == (0.9, seconds(2))


def test_metrics(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    told.batch("b1")
    told.batch("b2")
    publish(told.events, copies=2)
    row = one(history.view("metrics"))
    assert (row["pipeline"], row["day"], row["batches"]) == ("flights", date(2023, 11, 14), 2)
    assert (row["rows_loaded"], row["seconds"], row["bytes"]) == (178, 6.0, 2 << 40)
    assert row["rows_per_second"] == pytest.approx(178 / 6)
    assert row["cost"] == pytest.approx(10.0)


def test_questions_are_bounded_and_only_read(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    for number in range(5):
        told.batch(f"b{number}")
    publish(told.events)
    answer = history.query(
        "SELECT batch_id FROM batches WHERE score >= @least ORDER BY batch_id LIMIT 2", {"least": 50, "unused": 1}
    )
    assert answer.to_pylist() == [{"batch_id": "b0"}, {"batch_id": "b1"}]
    with pytest.raises(LimitExceeded):
        history.query("SELECT * FROM batches", rows_max=4)
    for sql in ("DROP TABLE history.batch_staged_v1", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM absent"):
        with pytest.raises(ForeignFailure):
            history.query(sql)
    for name in ("absent", 'batches" --', "events_absent"):
        with pytest.raises(ForeignFailure):
            history.view(name)
    with pytest.raises(ForeignFailure):
        history.view("batches", absent=1)


def test_views_are_googlesql_and_each_reads_only_earlier_ones() -> None:
    made = {table_of(event_type) for event_type in EVENT_TYPES}
    for name, text in view_texts("my-project.mend_history".replace("-", "_"), 6.25):
        assert text.startswith("-- "), f"say at the head of {name}.sql what it gives"
        assert "${" not in text
        statement = sqlglot.parse_one(text, read="bigquery")
        local = {cte.alias for cte in statement.find_all(sqlglot.exp.CTE)}
        read = {table.name for table in statement.find_all(sqlglot.exp.Table)} - local
        assert read <= made, f"{name} reads what is not there before it"
        made.add(name)
    assert made >= set(VIEWS)


def test_ten_thousand_events(history: LocalHistory, told: Told, publish: Callable[..., None]) -> None:
    for number in range(2_500):
        told.batch(f"b{number:04}")
    publish(told.events)
    assert history.view("batches").num_rows == 2_500
    assert one(history.query("SELECT SUM(rows_loaded) AS n FROM batches")) == {"n": 2_500 * 89}
