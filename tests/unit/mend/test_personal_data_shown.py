"""Goal: personal data planted in a quarantined delivery reaches nobody by a terminal, JSON, an export or a notice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from mend.main import app
from tests.unit.mend.small_project import CONTRACT, SmallProject

PLANTED = {
    "email": "anna.rossi@example.org",
    "mobile_no": "3331234567",
    "iban": "IT60X0542811101000000123456",
    "card": "4111 1111 1111 1111",
    "tax_ref": "RSSMRA85T10A562S",
    "last_name": "Zanzottera",
    "birth_date": "1987-13-45",
    "diagnosis": "melancholia",
    "note": "call +39 333 765 4321 after noon",
}
OPEN = {"product_name": "Lampadario", "press": "press@example.org", "code": "4111 1111 1111 1112"}
HEADER = ["id", *PLANTED, *OPEN]
COLUMNS = """\
      - {name: email, logicalType: string, logicalTypeOptions: {maxLength: 5}}
      - {name: mobile_no, logicalType: string, logicalTypeOptions: {maxLength: 5}}
      - {name: iban, logicalType: string, enum: [{value: none}]}
      - {name: card, logicalType: string, logicalTypeOptions: {pattern: '^[a-z]+$'}}
      - {name: tax_ref, logicalType: integer}
      - {name: last_name, logicalType: string, logicalTypeOptions: {maxLength: 5}}
      - {name: birth_date, logicalType: date}
      - {name: diagnosis, logicalType: string, classification: restricted, logicalTypeOptions: {maxLength: 5}}
      - {name: note, logicalType: string, logicalTypeOptions: {maxLength: 5}}
      - {name: product_name, logicalType: string, logicalTypeOptions: {maxLength: 5}}
      - {name: press, logicalType: string, classification: public, logicalTypeOptions: {maxLength: 5}}
      - {name: code, logicalType: integer}
"""
TEXT = CONTRACT.partition("      - {name: city")[0] + COLUMNS
RAGGED = f"7,{PLANTED['email']},Zanzottera,melancholia\n"


def delivery(header: list[str]) -> str:
    """A row for each planted value, which stands alone in it, and a record that does not fit."""
    values = [*PLANTED.values(), *OPEN.values()]
    rows = [
        [str(at + 1), *(value if at == place else "" for place, value in enumerate(values))]
        for at in range(len(values))
    ]
    return "\n".join(",".join(row) for row in [header, *rows]) + f"\n{RAGGED}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    return planted(tmp_path_factory.mktemp("planted"), HEADER)


def planted(folder: Path, header: list[str]) -> SmallProject:
    made = SmallProject(folder, extra="alerts: {channels: [jsonl]}\n")
    (folder / "contracts" / "orders.odcs.yaml").write_text(TEXT, encoding="utf-8")
    made.deliver("a.csv", delivery(header))
    made.run()
    return made


def mend(project: SmallProject, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--root", str(project.root)], env={"COLUMNS": "4000"})


def batch_of(project: SmallProject) -> str:
    return project.process().store.query("deliveries")[0].key


def incidents_of(project: SmallProject) -> list[str]:
    return [each.key for each in project.process().store.query("incidents") if "failure_class" in each.data]


def leaked(text: str, planted: dict[str, str] = PLANTED) -> list[str]:
    whole = " ".join(text.split())
    return [name for name, value in planted.items() if value in whole or value.replace(" ", "") in whole]


def test_the_files_keep_every_value(project: SmallProject) -> None:
    frames = [pl.read_parquet(file) for file in project.files("quarantine/*/a0001/*.parquet")]
    kept = json.dumps([frame.to_dicts() for frame in frames])
    assert leaked(kept) == list(PLANTED)


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_values_are_shown_without_personal_data(project: SmallProject, how: list[str]) -> None:
    told = mend(project, "quarantine", "show", batch_of(project), "--values", *how).output
    assert leaked(told) == []
    assert "Zanzottera" not in told
    assert leaked(told, OPEN) == list(OPEN)
    for seen in ("e-mail, 22", "phone number, 10", "IBAN, 27", "national id, 16", "name, 10", "personal data, 11"):
        assert f"<{seen} characters>" in told


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_who_must_see_it_can(project: SmallProject, how: list[str]) -> None:
    told = mend(project, "quarantine", "show", batch_of(project), "--show-personal", *how).output
    assert leaked(told) == list(PLANTED)
    assert leaked(told, OPEN) == list(OPEN)


def test_reasons_and_records_are_masked_as_the_cells_are(project: SmallProject) -> None:
    told = mend(project, "quarantine", "show", batch_of(project), "--values", "--json").output
    *rows, ragged = json.loads(told)["shown"]
    values = {each["column"]: each["value"] for row in rows for each in row["reasons"]}
    cells = {name: value for row in rows for name, value in row["cells"].items() if value}
    assert set(values) == {*PLANTED, *OPEN}
    assert {name: value for name, value in values.items() if name in OPEN} == OPEN
    assert values["card"] == cells["card"] == "<card number, 19 characters>"
    assert values["note"] == "<text with phone number, 32 characters>"
    assert ragged["raw"] == f"<record with personal data, {len(RAGGED) - 1} characters>"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_exports_are_masked(project: SmallProject, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"waiting.{ending}"
    assert mend(project, "quarantine", "export", batch_of(project), str(file)).exit_code == 0
    rows = pl.read_csv(file) if ending == "csv" else pl.read_parquet(file)
    assert rows.height == len(PLANTED | OPEN) + 1
    told = json.dumps(rows.to_dicts())
    assert leaked(told) == []
    assert "Zanzottera" not in told
    assert leaked(told, OPEN) == list(OPEN)


def test_who_mends_rows_by_hand_exports_them_as_they_are(project: SmallProject, tmp_path: Path) -> None:
    file = tmp_path / "waiting.parquet"
    ended = mend(project, "quarantine", "export", batch_of(project), str(file), "--show-personal")
    assert "personal data included" in ended.output
    assert leaked(json.dumps(pl.read_parquet(file).to_dicts())) == list(PLANTED)


def test_no_notice_listing_or_story_tells_it(project: SmallProject) -> None:
    batch = batch_of(project)
    notices = "".join(file.read_text(encoding="utf-8") for file in project.root.glob("**/*.jsonl"))
    assert batch in notices
    told = [notices]
    ids = incidents_of(project)
    assert len(ids) > 3
    for arguments in (
        ["quarantine", "list"],
        ["incidents"],
        ["status"],
        *(["explain", each, "--values"] for each in ids),
    ):
        told += [mend(project, *arguments).output, mend(project, *arguments, "--json").output]
    told.append(mend(project, "explain", batch, "--logs").output)
    assert leaked("".join(told)) == []


def test_a_contract_alone_judges_without_telling_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.odcs.yaml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "a.csv").write_text(delivery(HEADER), encoding="utf-8")
    for how in ([], ["--json"]):
        told = CliRunner().invoke(app, ["contract", "test", "a.csv", "--values", *how], env={"COLUMNS": "4000"}).output
        assert leaked(told) == []
        assert leaked(told, OPEN) == list(OPEN)


def test_a_classified_column_under_a_name_nobody_knows_is_masked(tmp_path: Path) -> None:
    project = planted(tmp_path, ["complaint" if name == "diagnosis" else name for name in HEADER])
    told = mend(project, "quarantine", "show", batch_of(project), "--values", "--json").output
    cells = {name: value for row in json.loads(told)["shown"] for name, value in row["cells"].items() if value}
    assert cells["complaint"] == "<value, 11 characters>"
    assert leaked(told) == []


def test_without_its_contract_a_batch_shows_no_cell(tmp_path: Path) -> None:
    project = planted(tmp_path, HEADER)
    (tmp_path / "contracts" / "orders.odcs.yaml").write_text("nonsense: [", encoding="utf-8")
    told = mend(project, "quarantine", "show", batch_of(project), "--values").output
    assert leaked(told, PLANTED | OPEN) == []
    assert "<value, 10 characters>" in told


def test_repaired_cells_are_told_without_personal_data(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="guarded")
    contract = CONTRACT.replace("{name: day, logicalType: date}", "{name: birth_date, logicalType: date}")
    (tmp_path / "contracts" / "orders.odcs.yaml").write_text(contract, encoding="utf-8")
    good = [f"{number},Rome,1.5,2024-01-{number % 28 + 1:02d}" for number in range(1, 401)]
    other = [f"{number},Rome,1.5,{number % 9 + 19}/01/1987" for number in range(401, 441)]
    project.deliver("a.csv", "\n".join(["id,city,amount,birth_date", *good[:200]]) + "\n")
    project.deliver("b.csv", "\n".join(["id,city,amount,birth_date", *good[200:], *other]) + "\n")
    project.run()
    found: list[Any] = []
    for key in incidents_of(project):
        told = mend(project, "explain", key, "--values", "--json").output
        found += [change for each in json.loads(told)["done"] for kind in each["repairs"] for change in kind["changes"]]
        assert "1987" not in told + mend(project, "explain", key, "--values").output
    assert {each["before"] for each in found} == {"<date of birth, 10 characters>"}


def test_an_inferred_contract_lists_no_personal_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names, kinds = ["Zanzottera", "Quagliarella"], ["small", "large"]
    rows = [f"{number},{names[number % 2]},{kinds[number % 2]}" for number in range(1_000)]
    Path("a.csv").write_text("\n".join(["id,last_name,size", *rows]) + "\n", encoding="utf-8")
    told = CliRunner().invoke(app, ["contract", "infer", "a.csv", "--out", "a.odcs.yaml", "--json"]).output
    assert "small" in told
    assert "Zanzottera" not in told
    Path("b.odcs.yaml").write_text(TEXT.partition("      - {name: email")[0] + (
        "      - {name: last_name, logicalType: string}\n      - {name: size, logicalType: string}\n"
    ), encoding="utf-8")  # fmt: skip
    mutated = CliRunner().invoke(app, ["contract", "mutate", "a.csv", "--contract", "b.odcs.yaml", "--json"]).output
    assert "{value: 'small'}" in mutated
    assert "Zanzottera" not in mutated
