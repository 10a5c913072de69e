"""`mend check` finds what is wrong in definition files, says where, and ends with a code that a script can use."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mend.main import app

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: trips
version: 1.0.0
status: active
schema:
  - name: trips
    properties:
      - name: trip_id
        logicalType: integer
        primaryKey: true
        primaryKeyPosition: 1
      - name: started
        logicalType: timestamp
      - name: city
        logicalType: string
"""
PIPELINE = """\
pipeline: trips
source: {uri: landing/*.csv}
contract: contracts/trips.odcs.yaml
destination:
  table: travel.trips
  mode: upsert
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which nothing is wrong."""
    for folder in ("pipelines", "contracts", "landing"):
        (tmp_path / folder).mkdir()
    (tmp_path / "landing" / "a.csv").write_text("trip_id,started,city\n1,2020-01-01T00:00:00,Rome\n")
    (tmp_path / "pipelines" / "trips.yaml").write_text(PIPELINE)
    (tmp_path / "contracts" / "trips.odcs.yaml").write_text(CONTRACT)
    return tmp_path


def checked(project: Path, *files: Path) -> tuple[int, dict[str, list[dict[str, object]]]]:
    """Exit code and report of the command."""
    result = CliRunner().invoke(app, ["check", *map(str, files), "--project", str(project), "--json"])
    return result.exit_code, json.loads(result.stdout)


def only(found: list[dict[str, object]]) -> dict[str, object]:
    """The one entry of a list."""
    assert len(found) == 1, found
    return found[0]


def test_nothing_wrong(project: Path) -> None:
    code, report = checked(project)
    assert (code, report["errors"], report["warnings"]) == (0, [], [])
    assert report["files"] == ["pipelines/trips.yaml", "contracts/trips.odcs.yaml"]


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("contract:", "contrakt:"), 3, "unknown key"),
        (("mode: upsert", "mode: upsertt"), 6, 'cannot be "upsertt"'),
        (("contracts/trips.odcs.yaml", "contracts/trip.odcs.yaml"), 3, "there is no such file"),
        (("mode: upsert", "mode: upsert\n  key: [trip]"), 7, 'names "trip"'),
        (("mode: upsert", "mode: append\n  partition_by: day"), 7, 'names "day"'),
        (("mode: upsert", "mode: append\n  cluster_by: [town]"), 7, 'names "town"'),
        (("  mode: upsert\n", "  mode: append\nalerts: {channels: [teems]}\n"), 7, 'no channel "teems"'),
        (("  mode: upsert\n", "  mode: append\ntransform: SELECT nothing FROM batch\n"), 7, "transform"),
        (("  mode: upsert\n", "  mode: append\ntransform: SELECT count(*) FROM batch\n"), 7, "several rows"),
        (("  mode: upsert\n", "  mode: append\ntransform: sql/none.sql\n"), 7, "no such file"),
    ],
)
def test_errors_in_a_pipeline_have_a_place(project: Path, change: tuple[str, str], line: int, says: str) -> None:
    file = project / "pipelines" / "trips.yaml"
    file.write_text(PIPELINE.replace(*change))
    code, report = checked(project)
    error = only(report["errors"])
    assert code == 2
    assert (error["file"], error["line"]) == ("pipelines/trips.yaml", line)
    assert says in str(error["message"])


def test_a_wrong_name_is_met_with_a_suggestion(project: Path) -> None:
    (project / "pipelines" / "trips.yaml").write_text(PIPELINE.replace("upsert", "upsert\n  key: [trip_idd]"))
    assert 'did you mean "trip_id"?' in str(only(checked(project)[1]["errors"])["hint"])


def test_an_upsert_needs_a_key(project: Path) -> None:
    keyless = CONTRACT.replace("        primaryKey: true\n        primaryKeyPosition: 1\n", "")
    (project / "contracts" / "trips.odcs.yaml").write_text(keyless)
    code, report = checked(project)
    assert code == 2
    assert "needs a key" in str(only(report["errors"])["message"])


def test_errors_in_the_contract_are_the_contracts(project: Path) -> None:
    (project / "contracts" / "trips.odcs.yaml").write_text(
        CONTRACT.replace("logicalType: integer", "logicalType: intiger")
    )
    code, report = checked(project)
    error = only(report["errors"])
    assert (code, error["file"], error["line"]) == (2, "contracts/trips.odcs.yaml", 10)


def test_every_file_is_checked_though_the_first_is_wrong(project: Path) -> None:
    (project / "pipelines" / "other.yaml").write_text("pipeline: [\n")
    (project / "policy.yaml").write_text("mode_max: wild\n")
    (project / "contracts" / "trips.odcs.yaml").write_text("kind: DataContract\nschema: 3\n")
    code, report = checked(project)
    assert code == 2
    assert {error["file"] for error in report["errors"]} == {
        "pipelines/other.yaml",
        "policy.yaml",
        "contracts/trips.odcs.yaml",
    }


def test_columns_of_a_transform_are_the_tables(project: Path) -> None:
    text = PIPELINE.replace("upsert", "append\n  cluster_by: [town]")
    (project / "pipelines" / "trips.yaml").write_text(
        text + "transform: SELECT trip_id, upper(city) AS town FROM batch\n"
    )
    assert checked(project)[0] == 0
    (project / "pipelines" / "trips.yaml").write_text(
        text.replace("town", "city") + "transform: SELECT trip_id FROM batch\n"
    )
    assert 'names "city"' in str(only(checked(project)[1]["errors"])["message"])


def test_what_is_not_checked_is_said(project: Path) -> None:
    rule = "    quality:\n      - {type: text, description: looks right}\n"
    (project / "contracts" / "trips.odcs.yaml").write_text(
        CONTRACT.replace("    properties:", rule + "    properties:")
    )
    code, report = checked(project)
    assert code == 0
    assert only(report["warnings"])["file"] == "contracts/trips.odcs.yaml"


def test_a_parent_that_nobody_loads_is_said(project: Path) -> None:
    reference = "    relationships:\n      - {type: foreignKey, from: trips.city, to: cities.name}\n"
    text = CONTRACT.replace("    properties:", reference + "    properties:")
    (project / "contracts" / "trips.odcs.yaml").write_text(text)
    code, report = checked(project)
    assert code == 0
    assert "travel.cities" in str(only(report["warnings"])["message"])
    cities = PIPELINE.replace("pipeline: trips", "pipeline: cities").replace("travel.trips", "travel.cities")
    (project / "pipelines" / "cities.yaml").write_text(cities)
    assert checked(project)[1]["warnings"] == []


def test_two_pipelines_of_one_name(project: Path) -> None:
    (project / "pipelines" / "trips2.yaml").write_text(PIPELINE)
    code, report = checked(project)
    assert code == 2
    assert "too" in str(only(report["errors"])["message"])


def test_one_file_of_a_project_wherever_one_stands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "pipelines")
    result = CliRunner().invoke(app, ["check", "trips.yaml"])
    assert result.exit_code == 0
    assert "2 files checked: 0 errors, 0 warnings" in result.stdout


def test_the_line_that_people_see(project: Path) -> None:
    (project / "pipelines" / "trips.yaml").write_text(PIPELINE.replace("contract:", "contrakt:"))
    result = CliRunner().invoke(app, ["check", "--project", str(project)])
    assert "pipelines/trips.yaml:3:1: error: unknown key" in result.stdout.replace("\n", " ")
    assert 'did you mean "contract"?' in result.stdout.replace("\n", " ")


def test_a_source_without_files_is_said(project: Path) -> None:
    (project / "landing" / "a.csv").unlink()
    code, report = checked(project)
    assert code == 0
    assert "no file" in str(only(report["warnings"])["message"])


def test_a_query_may_read_what_another_pipeline_loads(project: Path) -> None:
    rule = """\
    quality:
      - {type: sql, query: "SELECT COUNT(*) FROM TABLE AS c JOIN ${table} AS t ON t.city = c.COLUMN", mustBe: 0}
"""
    (project / "pipelines" / "cities.yaml").write_text(
        "pipeline: cities\nsource: {uri: landing/*.csv}\ncontract: contracts/cities.odcs.yaml\n"
        "destination: {table: travel.cities, mode: append}\n"
    )
    cities = CONTRACT.partition("schema:")[0].replace("id: trips", "id: cities")
    cities += "schema:\n  - name: cities\n    properties: [{name: city, logicalType: string}, "
    cities += "{name: info, logicalType: object, properties: [{name: a, logicalType: string}]}]\n"
    (project / "contracts" / "cities.odcs.yaml").write_text(cities)
    for table, column, wrong, warned in (
        ("cities", "city", "", ""),
        ("travel.cities", "city", "", ""),
        ("cities", "town", "it reads travel.cities as well", ""),
        ("cities", "_mend_row", "it reads travel.cities as well", ""),
        ("cities", "city AND JSON_VALUE(c.info, '$.a') IS NULL", "it reads travel.cities as well", ""),
        ("cities", "city WHERE t._mend_row > 1", "", "has no column"),
        ("(SELECT city FROM cities JOIN (SELECT city FROM cities) AS d USING (city))", "city", "", ""),
        ("cities", "city WHERE c IS NULL", "it reads travel.cities as well", ""),
        ("towns", "town", "", "reads travel.towns, which no pipeline of this project loads"),
    ):
        text = CONTRACT + rule.replace("TABLE", table).replace("COLUMN", column)
        (project / "contracts" / "trips.odcs.yaml").write_text(text)
        code, report = checked(project)
        assert (code != 0) == bool(wrong)
        assert not wrong or wrong in str(only(report["errors"])["hint"])
        assert not warned or warned in str(report["warnings"])
