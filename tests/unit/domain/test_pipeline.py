"""A pipeline file is read as written, and a slip in it is named with its place and what was probably meant."""

from __future__ import annotations

import pytest

from shared.domain.definition_writing import write_pipeline
from shared.domain.errors import DefinitionError
from shared.domain.pipeline import check_cron, duration_seconds, parse_pipeline
from shared.domain.remedy import Mode

GOOD = """\
pipeline: flights
source: {kind: files, uri: landing/flights/*.csv, order: name}
contract: contracts/flights.odcs.yaml
destination: {table: travel.flights, mode: upsert, partition_by: time_hour, cluster_by: [carrier]}
on_violation: {rows: quarantine, score_below: 80}
healing: {mode: guarded}
schedule: "5 * * * *"
alerts: {channels: [teams], freshness: 2h}
"""


def test_the_example_is_read() -> None:
    pipeline = parse_pipeline(GOOD, "p.yaml")
    assert pipeline.pipeline == "flights"
    assert pipeline.source.uri == "landing/flights/*.csv"
    assert pipeline.source.null_values == ("",)
    assert pipeline.source.declared is None
    assert pipeline.source.batch_rows_max == 50_000_000
    assert pipeline.destination.dataset == "travel"
    assert pipeline.destination.cluster_by == ("carrier",)
    assert pipeline.on_violation.score_below == 80
    assert pipeline.healing.mode is Mode.GUARDED
    assert pipeline.alerts.freshness_seconds == 7200


def test_the_least_file_has_the_defaults() -> None:
    pipeline = parse_pipeline(
        "pipeline: p\nsource: {uri: x.csv}\ncontract: c.yaml\ndestination: {table: a.b, key: id}\n", "p.yaml"
    )
    assert (pipeline.source.kind, pipeline.source.order, pipeline.source.duplicates) == ("files", "name", "discard")
    assert (pipeline.destination.mode, pipeline.destination.key) == ("append", ("id",))
    assert (pipeline.on_violation.rows, pipeline.on_violation.score_below) == ("quarantine", 0)
    assert pipeline.healing.rows_share_max == 0.25
    assert pipeline.alerts.freshness_seconds == 0
    assert pipeline.transform_path == ""


def test_a_declared_reading_knows_what_was_written() -> None:
    text = GOOD.replace("order: name", 'order: name, format: {delimiter: ";", decimal: ","}')
    declared = parse_pipeline(text, "p.yaml").source.declared
    assert declared is not None
    assert (declared.delimiter, declared.decimal) == (";", ",")
    assert declared.model_fields_set == {"delimiter", "decimal"}
    short = parse_pipeline(GOOD.replace("order: name", "format: parquet"), "p.yaml").source.declared
    assert short is not None
    assert short.format == "parquet"


def test_a_transform_is_text_or_a_path() -> None:
    assert parse_pipeline(GOOD + "transform: sql/flights.sql\n", "p").transform_path == "sql/flights.sql"
    assert parse_pipeline(GOOD + "transform: SELECT * FROM batch\n", "p").transform_path == ""


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message", "hint"),
    [
        ("mode: upsert", "mdoe: upsert", 4, 38, 'unknown key "mdoe"', 'did you mean "mode"?'),
        ("mode: upsert", "mode: upsrt", 4, 38, '"mode" cannot be "upsrt"', 'did you mean "upsert"?'),
        ("mode: guarded", "mode: gaurded", 6, 11, '"mode" cannot be "gaurded"', 'did you mean "guarded"?'),
        ("pipeline: flights", "pipelin: flights", 1, 1, 'unknown key "pipelin"', 'did you mean "pipeline"?'),
        ("pipeline: flights", "pipeline: Fl ights", 1, 1, '"pipeline" is written wrongly', "lower case"),
        ("pipeline: flights", "pipeline: 2024", 1, 1, '"pipeline" must be text, found a whole number', "quote it"),
        ("contract: contracts/flights.odcs.yaml\n", "", 1, 1, 'the key "contract" is missing', "add it"),
        ("uri: landing/flights/*.csv,", "", 2, 1, 'needs a "uri"', "such as"),
        ("table: travel.flights", "table: flights", 4, 15, "no table name", "dataset.table"),
        ("[carrier]", "[carrier, carrier]", 4, 77, "named twice", "once"),
        ("[carrier]", "[a, b, c, d, e]", 4, 77, "at most 4", ""),
        ("score_below: 80", "score_below: 800", 5, 34, "less than or equal to 100", ""),
        ("score_below: 80", "score_below: high", 5, 34, "must be a number, found text", ""),
        ("freshness: 2h", "freshness: 2 hours", 8, 29, "no duration", "such as 2h"),
        ("[teams]", "[teams, 5]", 8, 28, 'entry 2 of "channels" must be text', "quote it"),
        ("order: name", "batch_rows_max: 5.5", 2, 51, "must be a whole number", ""),
        ("order: name", "null_values: NA", 2, 51, '"null_values" must be a list', ""),
        ("order: name", "format: {delimiter: 1, encodin: x}", 2, 74, 'unknown key "encodin"', '"encoding"'),
        ("order: name", "format: {encoding: x-latin}", 2, 60, "no such encoding", ""),
        ("order: name", "format: 5", 2, 51, "must be a mapping", ""),
        ('"5 * * * *"', '"65 * * * *"', 7, 1, '"65" is no minute', "0 to 59"),
        ('"5 * * * *"', "hourly", 7, 1, "has 1 fields", "five"),
        ("source: {kind: files, uri: landing/flights/*.csv, order: name}", "source: x", 2, 1, "must be a mapping", ""),
    ],
)
def test_a_slip_is_named(old: str, new: str, line: int, column: int, message: str, hint: str) -> None:
    assert old in GOOD
    with pytest.raises(DefinitionError) as caught:
        parse_pipeline(GOOD.replace(old, new), "p.yaml")
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    "line", ["* * * * *", "*/5 0-6,12 1 jan mon-fri", "0 3 * * 7", "5-55/10 * 1,15 * sun", "0 0 * * fri-sun"]
)
def test_cron_lines(line: str) -> None:
    check_cron(line)


@pytest.mark.parametrize(
    "line",
    ["* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "*/0 * * * *", "5-1 * * * *", "a * * * *"],
)
def test_no_cron_lines(line: str) -> None:
    with pytest.raises(ValueError):
        check_cron(line)


def test_durations() -> None:
    assert [duration_seconds(text) for text in ("90s", "30m", "2h", "7d", "1w")] == [90, 1800, 7200, 604_800, 604_800]


def test_a_written_pipeline_reads_back_equal() -> None:
    text = GOOD.replace("order: name", 'format: {delimiter: "\\t"}, null_values: ["", NA, "no"]') + (
        "transform: |\n  SELECT *\n  FROM batch\n"
    )
    pipeline = parse_pipeline(text, "p.yaml")
    assert parse_pipeline(write_pipeline(pipeline), "q.yaml") == pipeline
