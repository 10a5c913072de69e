"""Goal: a reading is noted with what else the bytes might be; a batch beyond the limit is held before it is judged."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from shared.domain.reading import ReadingOptions
from shared.events.types import BatchHeld, BatchStaged, IncidentOpened
from tests.unit.ingest.world import IngestWorld

SEMICOLONS = b"name;amount\n" + "Zoë;1,5\nBob;2,5\n".encode("cp1252") * 20


def rows(count: int) -> bytes:
    return b"a,b\n" + b"1,2\n" * count


def staged_of(world: IngestWorld) -> BatchStaged:
    (staged,) = [each for each in world.take_in() if isinstance(each, BatchStaged)]
    return staged


def test_other_readings_are_noted_where_remediate_looks_for_them(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path, source=", format: {format: csv}")
    world.put("a.csv", SEMICOLONS)
    staged = staged_of(world)
    (noted,) = world.deliveries()["a.csv"]["readings"]
    assert noted["alternatives"] == json.loads(staged.alternatives_json)
    best = ReadingOptions.from_json(json.dumps(noted["alternatives"][0]))
    assert (best.delimiter, best.encoding, best.decimal) == (";", "cp1252", ",")
    assert noted["options"] == staged.reading_options_json
    assert all(json.dumps(each) != noted["options"] for each in noted["alternatives"])
    assert (noted["number"], noted["attempt"], noted["rows"]) == (1, 1, staged.rows)


def test_auto_takes_the_best_and_does_not_suggest_it_again(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path)
    world.put("a.csv", SEMICOLONS)
    staged = staged_of(world)
    chosen = ReadingOptions.from_json(staged.reading_options_json)
    assert chosen.delimiter == ";"
    others = [ReadingOptions.from_json(json.dumps(each)) for each in json.loads(staged.alternatives_json)]
    assert others
    assert chosen not in others


@pytest.mark.parametrize("content", [rows(3), gzip.compress(rows(3), mtime=0)])
def test_compression_is_told_by_the_bytes(tmp_path: Path, content: bytes) -> None:
    world = IngestWorld(tmp_path, source=", format: {format: csv, compression: gzip}")
    world.put("a.csv", content)
    assert staged_of(world).rows == 3


def test_very_many_columns_without_a_header_keep_events_and_documents_small(tmp_path: Path) -> None:
    names = [f"column number {number} of a very wide file" for number in range(400)]
    declared = f", format: {{format: csv, header: false, column_names: {json.dumps(names)}}}"
    world = IngestWorld(tmp_path, source=declared)
    world.put("a.csv", ",".join(names).encode() + b"\n" + b",".join([b"1"] * 400) + b"\n")
    staged = staged_of(world)
    assert len(staged.alternatives_json) <= 20_000
    assert len(json.dumps(world.deliveries()["a.csv"])) < 100_000


# ── more rows than the pipeline takes ──────────────────────────────────────────────────────────────────────────────


def test_a_batch_with_more_rows_than_the_limit_is_held_and_said(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path, source=", batch_rows_max: 5")
    world.put("just.csv", rows(5))
    world.put("more.csv", rows(6))
    emitted = world.take_in()
    document = world.deliveries()["more.csv"]
    (held,) = [each for each in emitted if isinstance(each, BatchHeld)]
    (incident,) = [each for each in emitted if isinstance(each, IncidentOpened)]
    assert (held.batch_id, held.rows) == (document["batch_id"], 6)
    assert (incident.origin, incident.check, incident.rows) == ("dataset", "batch_rows_max", 6)
    assert (incident.batch_id, incident.pipeline, incident.uri) == (document["batch_id"], "things", "landing/more.csv")
    assert "more than 5 rows" in incident.message
    assert "batch_rows_max" in incident.message
    assert [each.subject for each in emitted if isinstance(each, BatchStaged)] == [
        world.deliveries()["just.csv"]["batch_id"]
    ]
    assert list(world.process.objects.list(f"staged/{document['batch_id']}/")) == []
    assert world.raw(document) == rows(6)
    assert (document["readings"], document["held_above"]) == ([], 5)
    assert world.take_in() == [], "it is not announced again while the limit stands"


def test_parts_that_were_written_before_the_limit_was_seen_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.ingest import staging

    monkeypatch.setattr(staging, "ROW_GROUP_ROWS_MAX", 1_000)
    monkeypatch.setattr(staging, "PART_ROW_GROUPS_MAX", 1)
    world = IngestWorld(tmp_path, source=", batch_rows_max: 1500000")
    world.put("a.csv", rows(1_600_000))
    world.take_in()
    assert world.deliveries()["a.csv"]["held_above"] == 1_500_000
    assert list(world.process.objects.list("staged/")) == []


def test_a_raised_limit_lets_it_in(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path, source=", batch_rows_max: 5")
    world.put("a.csv", rows(9))
    world.take_in()
    world.define("append", source=", batch_rows_max: 7")
    fingerprints = {each.fingerprint for each in world.take_in() if isinstance(each, IncidentOpened)}
    assert len(fingerprints) == 1
    world.define("append", source=", batch_rows_max: 6")
    assert world.take_in() == []
    world.define("append", source=", batch_rows_max: 9")
    emitted = world.take_in()
    (staged,) = [each for each in emitted if isinstance(each, BatchStaged)]
    assert (staged.rows, staged.attempt, staged.reading) == (9, 1, 1)
    assert not [each for each in emitted if isinstance(each, IncidentOpened)]
    assert world.take_in() == []


def test_a_repetition_of_a_held_one_is_a_repetition(tmp_path: Path) -> None:
    world = IngestWorld(tmp_path, source=", batch_rows_max: 5")
    world.put("1.csv", rows(9))
    world.put("2.csv", rows(9))
    world.take_in()
    one, two = (world.deliveries()[name] for name in ("1.csv", "2.csv"))
    assert (two["duplicate_of"], two["held_above"]) == (one["batch_id"], 0)
