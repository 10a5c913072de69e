"""`mend init` writes a pipeline and a contract that describe the data, and loads only when told to."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mend.main import app
from shared.domain.contract import parse_contract
from shared.domain.pipeline import PipelineDefinition, parse_pipeline


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """A folder beside a project."""
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


def day(number: int, rows: int = 30, header: str = "order_id,placed,city,amount") -> str:
    """One day's orders."""
    lines = [f"{number * 1000 + row},2024-01-{number:02d},Rome,{row}.5" for row in range(rows)]
    return "\n".join([header, *lines]) + "\n"


def init(tmp_path: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and account of the command."""
    words = ["init", *map(str, arguments), "--project", str(tmp_path / "project"), "--json"]
    result = CliRunner().invoke(app, words)
    return result.exit_code, json.loads(result.stdout) if result.stdout else {"error": str(result.exception)}


def written(account: dict[str, Any]) -> PipelineDefinition:
    """The pipeline file, read back."""
    file = Path(account["pipeline_file"])
    return parse_pipeline(file.read_text(), file.name)


def test_a_folder_of_days(tmp_path: Path, landing: Path) -> None:
    for number in range(1, 10):
        (landing / f"orders_2024-01-{number:02d}.csv").write_text(day(number))
    code, account = init(tmp_path, landing)
    assert (code, account["loaded"], account["deliveries"], len(account["sampled"])) == (0, False, 9, 7)
    assert account["pipeline"] == "orders"
    pipeline = written(account)
    assert pipeline.source.uri == str(landing / "*.csv")
    assert (pipeline.destination.table, pipeline.destination.mode) == ("analytics.orders", "upsert")
    assert pipeline.source.declared is not None
    assert pipeline.source.declared.model_fields_set >= {"format", "encoding", "delimiter", "header"}
    contract = parse_contract(Path(account["contract_file"]).read_text(), "c", pipeline.destination.table)
    assert contract.primary_key == ("order_id",)
    assert [column.logical_type for column in contract.columns] == ["integer", "date", "string", "number"]
    assert not (tmp_path / "project" / "mend-store").exists()


def test_what_it_writes_passes_its_own_check(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text(day(1))
    init(tmp_path, landing / "a.csv")
    result = CliRunner().invoke(app, ["check", "--project", str(tmp_path / "project"), "--json"])
    assert json.loads(result.stdout)["errors"] == []
    assert json.loads(result.stdout)["warnings"] == []


def test_the_source_is_relative_inside_the_project(tmp_path: Path) -> None:
    place = tmp_path / "project" / "in"
    place.mkdir(parents=True)
    (place / "orders.csv").write_text(day(1))
    assert written(init(tmp_path, place / "*.csv")[1]).source.uri == "in/*.csv"


def test_the_dialect_is_written_down(tmp_path: Path, landing: Path) -> None:
    rows = "".join(f"{row};Zürich;{row},25\n" for row in range(1, 60))
    (landing / "betriebe.csv").write_bytes(f"nr;ort;wert\n{rows}".encode("cp1252"))
    _, account = init(tmp_path, landing / "betriebe.csv")
    declared = written(account).source.declared
    assert declared is not None
    assert (declared.delimiter, declared.encoding, declared.decimal) == (";", "cp1252", ",")
    assert [column["type"] for column in account["columns"]] == ["integer", "string", "number"]


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv.gz", gzip.compress(day(1).encode(), mtime=0)), ("a.jsonl", b'{"a": 1}\n')]
)
def test_compression_is_not_declared_and_other_formats_are(
    tmp_path: Path, landing: Path, name: str, content: bytes
) -> None:
    (landing / name).write_bytes(content)
    code, account = init(tmp_path, landing)
    declared = written(account).source.declared
    assert code == 0
    assert declared is not None
    assert declared.compression == "none"
    assert declared.format == ("jsonl" if "jsonl" in name else "csv")


@pytest.mark.parametrize(
    ("names", "name", "table"),
    [
        (["orders_2024-01-01.csv", "orders_2024-01-02.csv"], "orders", "analytics.orders"),
        (["Bestellungen Süd.csv"], "bestellungen-s-d", "analytics.bestellungen_s_d"),
        (["2024-01-01.csv", "2024-01-02.csv"], "landing", "analytics.landing"),
        (["7eleven.csv"], "7eleven", "analytics.t_7eleven"),
        (["x.csv"], "landing", "analytics.landing"),
    ],
)
def test_names_come_from_the_files(tmp_path: Path, landing: Path, names: list[str], name: str, table: str) -> None:
    for number, each in enumerate(names, start=1):
        (landing / each).write_text(day(number))
    code, account = init(tmp_path, landing)
    assert (code, account["pipeline"], account["table"]) == (0, name, table)


def test_a_guessed_key_does_not_replace_rows(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text("who,amount\n" + "".join(f"p{row},{row}\n" for row in range(20)))
    _, account = init(tmp_path, landing)
    assert (account["primary_key"], account["mode"]) == (["who"], "append")
    assert any("the key is a guess" in note for note in account["notes"])


def test_options_win(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text(day(1))
    arguments = ("--name", "mine", "--table", "shop.sales", "--mode", "append", "--samples", "1")
    _, account = init(tmp_path, landing, *arguments)
    assert (account["pipeline"], account["table"], account["mode"]) == ("mine", "shop.sales", "append")


def test_nothing_is_overwritten_unless_forced(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text(day(1))
    _, account = init(tmp_path, landing, "--name", "mine")
    Path(account["pipeline_file"]).write_text("mine: own\n")
    result = CliRunner().invoke(app, ["init", str(landing), "--name", "mine", "--project", str(tmp_path / "project")])
    assert "is there already" in str(result.exception)
    assert Path(account["pipeline_file"]).read_text() == "mine: own\n"
    assert init(tmp_path, landing, "--name", "mine", "--force")[0] == 0
    assert written(account).pipeline == "mine"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "there is no file"),
        ({"a.csv": b""}, "no rows"),
        ({"a.csv": b"only,a,header\n"}, "no rows"),
        ({"a.csv": bytes(range(256)) * 20}, "no text of rows"),
        ({"a.zip": b"PK\x03\x04" + bytes(range(255, 0, -1)) * 40}, "a ZIP archive, which is not read"),
        ({"a.csv": b"a,b\n1,2\n", "b.csv": b"x,y\n1,2\n", "c.csv": b"q,r\n1,2\n"}, "different columns"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path: Path, landing: Path, files: dict[str, bytes], says: str) -> None:
    for name, content in files.items():
        (landing / name).write_bytes(content)
    code, account = init(tmp_path, landing / "*")
    assert says in str(account.get("error")), account
    assert code != 0
    assert not (tmp_path / "project" / "pipelines").exists()


def test_a_file_that_is_not_there_ends_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from mend.main import main; main()", "init", str(tmp_path / "none.csv")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "none.csv" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_delivery_in_another_dialect_is_left_out(tmp_path: Path, landing: Path) -> None:
    for number in range(1, 4):
        (landing / f"d{number}.csv").write_text(day(number))
    (landing / "d4.csv").write_text(day(4).replace(",", ";"))
    _, account = init(tmp_path, landing)
    assert account["sampled"] == ["d1.csv", "d2.csv", "d3.csv"]
    assert any("read differently" in note for note in account["notes"])


def test_yes_loads_at_once(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text(day(1))
    code, account = init(tmp_path, landing, "--yes")
    assert (code, account["loaded"]) == (0, True)
    assert account["run"]["totals"]["rows_loaded"] == 30


def test_without_a_terminal_it_says_the_command(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text(day(1))
    result = CliRunner().invoke(app, ["init", str(landing), "--project", str(tmp_path / "project")])
    assert result.exit_code == 0
    assert "mend run" in result.stdout
    assert "order_id" in result.stdout
