"""Goal: data is judged by a contract alone, row by row; a contract is inferred; two contracts are compared."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from mend.contract_changes import Change, changes, incompatible
from mend.main import app
from shared.domain.contract import parse_contract

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: things
version: 1.0.0
status: active
schema:
  - name: things
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: size, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: kind, logicalType: string, enum: [{value: a}, {value: b}]}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/things.odcs.yaml").write_text(CONTRACT)
    return tmp_path


def mend(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contract", *arguments])


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_good_data_passes_and_nothing_is_kept(place: Path) -> None:
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n2,0,b\n")
    result = mend("test", "good.csv", "--json")
    assert result.exit_code == 0
    assert told(result)["ok"]
    assert told(result)["deliveries"][0]["rows_read"] == 2
    assert sorted(each.name for each in place.iterdir()) == ["contracts", "good.csv"]


def test_a_threshold_holds_a_delivery_or_is_only_told(place: Path) -> None:
    rule = "\n    quality: [{{metric: duplicateValues, arguments: {{properties: [kind]}}, mustBeLessThan: 2{}}}]\n"
    (place / "same.csv").write_text("id,size,kind\n1,2.5,a\n2,0,a\n")
    message = "kind: 2 rows are repeated where the contract wants less than 2 rows"
    for severity, state in (("", "held"), (", severity: warning", "passed")):
        (place / "contracts/things.odcs.yaml").write_text(CONTRACT.rstrip() + rule.format(severity))
        (delivery,) = told(mend("test", "same.csv", "--json"))["deliveries"]
        assert (delivery["state"], delivery["whole"]) == (state, [message])
        shown = mend("test", "same.csv")
        assert message in " ".join(shown.stdout.split())
        assert shown.exit_code == (state == "held")


def test_a_query_is_tried_before_it_judges(place: Path) -> None:
    rule = '\n    quality:\n      - {{type: sql, query: "SELECT COUNTIF({} > 2) FROM ${{table}}", mustBe: 0}}\n'
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n2,0,a\n")
    contract = place / "contracts/things.odcs.yaml"
    contract.write_text(CONTRACT.rstrip() + rule.format("size"))
    (delivery,) = told(mend("test", "good.csv", "--json"))["deliveries"]
    assert (delivery["state"], delivery["whole"]) == (
        "held",
        ["the query gives 1 where the contract wants exactly 0"],
    )
    contract.write_text(CONTRACT.rstrip() + rule.format("kind + 1"))
    for command in (["contract", "test", "good.csv"], ["check"]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code != 0
        assert "things.odcs.yaml:13" in f"{result.output}{result.exception!r}".replace("\n", "")


def test_a_query_that_fails_on_the_data_says_why_and_tells_no_cell(place: Path) -> None:
    rule = '\n    quality:\n      - {type: sql, query: "SELECT SUM(CAST(kind AS INT64)) FROM ${table}", mustBe: 0}\n'
    (place / "contracts/things.odcs.yaml").write_text(CONTRACT.rstrip() + rule)
    (place / "good.csv").write_text("id,size,kind\n1,2.5,zqx\n")
    result = mend("test", "good.csv", "--json")
    (delivery,) = told(result)["deliveries"]
    assert (result.exit_code, delivery["state"]) == (1, "unreadable")
    assert ":13: the query failed" in delivery["whole"][0]
    assert "zqx" not in result.stdout


def test_every_failing_row_has_every_reason(place: Path) -> None:
    (place / "bad.csv").write_text("id,size,kind\n1,-1,zqx\n1,x,a\n3,1,a\n")
    result = mend("test", "bad.csv", "--json")
    assert result.exit_code == 1
    (delivery,) = told(result)["deliveries"]
    assert (delivery["state"], delivery["rows_read"], delivery["rows_failed"]) == ("failed", 3, 2)
    reasons = {row["row"]: {(each["check"], each["column"]) for each in row["reasons"]} for row in delivery["rows"]}
    assert reasons == {
        1: {("range", "size"), ("enum", "kind"), ("primary_key", "id")},
        2: {("type", "size"), ("primary_key", "id")},
    }
    assert "zqx" not in result.stdout
    assert "zqx" in mend("test", "bad.csv", "--json", "--values").stdout


def test_several_deliveries_and_one_that_is_held(place: Path) -> None:
    (place / "a.csv").write_text("id,size,kind\n1,1,a\n")
    (place / "b.csv").write_text("id,kind\n1,a\n")
    result = mend("test", "*.csv", "--json")
    assert result.exit_code == 1
    assert [(each["input"], each["state"], each["held_for"]) for each in told(result)["deliveries"]] == [
        ("a.csv", "passed", ""),
        ("b.csv", "held", "missing_columns"),
    ]


def test_what_cannot_be_judged_is_said(place: Path) -> None:
    text = CONTRACT.replace(
        "- {name: kind, logicalType: string, enum: [{value: a}, {value: b}]}",
        "- {name: kind, logicalType: string, relationships: [{to: kinds.kind}]}",
    )
    (place / "contracts/things.odcs.yaml").write_text(text)
    (place / "good.csv").write_text("id,size,kind\n1,2.5,zzz\n")
    result = mend("test", "good.csv", "--json")
    assert (result.exit_code, told(result)["ok"]) == (0, True)
    assert "kinds" in told(result)["not_checked"][0]
    assert "not checked: kind" in mend("test", "good.csv").stdout


ACROSS = """\
    quality:
      - type: sql
        name: sizes
        query: |
          SELECT COUNT(*) FROM (SELECT kind, SUM(size) AS size FROM ${table} GROUP BY kind) AS found
          JOIN kinds ON kinds.kind = found.kind WHERE kinds.size != found.size
        mustBe: 0
"""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_other_tables_are_named_as_files(place: Path, ending: str) -> None:
    text = CONTRACT.replace("enum: [{value: a}, {value: b}]", "relationships: [{to: kinds.kind}]") + ACROSS
    (place / "contracts/things.odcs.yaml").write_text(text)
    rows = pl.DataFrame({"id": [1, 2, 3], "size": [2.5, 1.0, 1.0], "kind": ["a", "b", "b"]})
    kinds = pl.DataFrame({"kind": ["a", "b"], "size": [2.5, 2.0], "at": [datetime(2024, 1, 1), None], "l": [[1], [2]]})
    rows.write_parquet("rows.parquet")
    rows.write_csv("rows.csv")
    kinds.write_parquet("kinds.parquet")
    kinds.drop("l").write_csv("kinds.csv")
    alone = mend("test", f"rows.{ending}", "--json")
    assert (alone.exit_code, len(told(alone)["not_checked"])) == (0, 2)
    assert "the query (sizes) reads kinds, which is in a warehouse" in told(alone)["not_checked"][1]
    assert "--table kinds=FILE" in told(alone)["not_checked"][1]
    right = mend("test", f"rows.{ending}", "--table", f"kinds=kinds.{ending}", "--json")
    assert (right.exit_code, told(right)["not_checked"]) == (0, [])
    kinds.with_columns(size=pl.lit(9.0)).head(1).drop("l").write_csv("kinds.csv")
    wrong = mend("test", f"rows.{ending}", "--table", "kinds=kinds.csv", "--json")
    assert wrong.exit_code == 1
    (delivery,) = told(wrong)["deliveries"]
    assert delivery["whole"] == ["the query (sizes) gives 1 where the contract wants exactly 0"]
    assert ("relationship", 2) in [(each["check"], each["rows"]) for each in delivery["checks"]]


def test_a_table_that_a_contract_does_not_name_is_no_help(place: Path) -> None:
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    result = mend("test", "good.csv", "--table", "kinds=good.csv")
    assert "compares nothing with a table kinds; it names none" in str(result.exception)


CODES = """\
    quality:
      - {type: sql, name: codes, query: "SELECT COUNT(*) FROM ${table} AS t JOIN more ON more.code = t.kind", mustBe: 1}
      - {type: sql, name: whole, query: "SELECT SUM(n + share) FROM more WHERE ok AND day < '2024-02-01'", mustBe: 3.5}
"""


def test_codes_in_a_file_that_stands_for_a_table_stay_text(place: Path) -> None:
    text = CONTRACT.replace("enum: [{value: a}, {value: b}]", "relationships: [{to: kinds.id}]")
    (place / "contracts/things.odcs.yaml").write_text(text + CODES)
    (place / "rows.csv").write_text("id,size,kind\n1,2.5,0010\n2,1,10\n3,1,7\n")
    (place / "kinds.csv").write_text("_mend_batch,id\nb1,0010\nb1,10\nb1,7\n")
    (place / "more.csv").write_text(
        "code,n,share,ok,day,_mend_row\n0010,1,0.50,true,2024-01-01,1\n,2,0,true,2024-01-31,2\n+7,9,9,true,2024-02-01,3\n"
    )
    result = mend("test", "rows.csv", "--table", "kinds=kinds.csv", "--table", "more=more.csv", "--json")
    assert told(result)["deliveries"][0]["whole"] == []
    assert told(result)["deliveries"][0]["checks"] == []
    assert (result.exit_code, told(result)["not_checked"]) == (0, [])
    (place / "kinds.csv").write_text("id\n10\n7\n")
    (delivery,) = told(mend("test", "rows.csv", "--table", "kinds=kinds.csv", "--json"))["deliveries"]
    assert [(each["check"], each["rows"]) for each in delivery["checks"]] == [("relationship", 1)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("test", "good.csv", "--table", "kinds"), "--table orders=orders.csv"),
        (("test", "good.csv", "--table", "kinds=gone.csv"), "no such file for the table kinds"),
        (("test", "good.csv", "--table", "sorts=bad.parquet"), "cannot be read as the table sorts"),
        (("test", "good.csv", "--table", "shop.sorts=good.csv"), "table shop.sorts; those that it names are sorts"),
        (("test", "nothing.csv"), "nothing.csv"),
        (("test", "*.nothing"), "there is no file"),
        (("test", "good.csv", "--contract", "missing.yaml"), "mend contract infer"),
        (("diff", "contracts/things.odcs.yaml", "missing.yaml"), "no such contract"),
    ],
)
def test_what_is_not_there(place: Path, arguments: tuple[str, ...], said: str) -> None:
    text = CONTRACT.replace(
        "kind, logicalType: string,", "kind, logicalType: string, relationships: [{to: sorts.kind}],"
    )
    (place / "contracts/things.odcs.yaml").write_text(text)
    (place / "good.csv").write_text("id,size,kind\n1,2.5,a\n")
    (place / "bad.parquet").write_text("x")
    assert said in str(mend(*arguments).exception)


def test_words_for_null_are_in_a_contract_that_stands_alone(place: Path) -> None:
    (place / "a.csv").write_text("bitter,style\n" + "".join(f"{n % 7 or 'N/A'},ale {n}\n" for n in range(40)))
    assert mend("infer", "a.csv", "--out", "a.odcs.yaml").exit_code == 0
    assert mend("test", "a.csv", "--contract", "a.odcs.yaml").exit_code == 0
    (place / "b.csv").write_text("bitter,style\n1,N/A\nn/a,ale\nno,ale\n")
    told = json.loads(mend("test", "b.csv", "--contract", "a.odcs.yaml", "--json").stdout)
    assert [row["row"] for row in told["deliveries"][0]["rows"]] == [2, 3]


def test_a_contract_is_inferred_and_fits_its_own_data(place: Path) -> None:
    rows = "".join(f"{number},{number / 2},{'ab'[number % 2]}\n" for number in range(300))
    (place / "data.csv").write_text(f"id,size,kind\n{rows}")
    assert "logicalType: integer" in mend("infer", "data.csv").stdout
    assert mend("infer", "data.csv", "--out", "new/data.odcs.yaml").exit_code == 0
    assert "there already" in str(mend("infer", "data.csv", "--out", "new/data.odcs.yaml").exception)
    assert mend("test", "data.csv", "--contract", "new/data.odcs.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("{name: size, logicalType: number", "{name: width, logicalType: number", ("breaking", "size", "is gone")),
        ("name: size, logicalType: number", "name: size, logicalType: integer", ("breaking", "size", "was number")),
        ("minimum: 0", "minimum: -5", ("degrading", "size", "promised less")),
        ("minimum: 0", "minimum: 5", ("degrading", "size", "set aside")),
        (", {value: b}]", ", {value: c}]", ("degrading", "kind", "also allowed: c; no longer allowed: b")),
        ("required: true, primaryKey: true, primaryKeyPosition: 1", "required: true", ("breaking", "", "primary key")),
        ("version: 1.0.0", "version: 2.0.0", ("harmless", "", "1.0.0 → 2.0.0")),
    ],
)
def test_changes_have_a_gravity(old: str, new: str, wanted: tuple[str, str, str]) -> None:
    assert old in CONTRACT
    found = changes(parse_contract(CONTRACT, "a"), parse_contract(CONTRACT.replace(old, new), "b"))
    assert any(each[:2] == wanted[:2] and wanted[2] in each.what for each in found), found


def test_new_columns_break_only_when_they_are_required() -> None:
    def grown(column: str) -> list[Change]:
        return changes(parse_contract(CONTRACT, "a"), parse_contract(f"{CONTRACT}      - {column}\n", "b"))

    assert [each.kind for each in grown("{name: more, logicalType: string}")] == ["degrading"]
    assert [each.kind for each in grown("{name: more, logicalType: string, required: true}")] == ["breaking"]
    assert changes(parse_contract(CONTRACT, "a"), parse_contract(CONTRACT, "a")) == []


def test_a_breaking_change_ends_with_one(place: Path) -> None:
    (place / "new.yaml").write_text(CONTRACT.replace("name: size", "name: width"))
    result = mend("diff", "contracts/things.odcs.yaml", "new.yaml", "--json")
    assert (result.exit_code, told(result)["breaking"], told(result)["degrading"]) == (1, 1, 1)
    assert mend("diff", "new.yaml", "new.yaml").exit_code == 0


KIND = "logicalType: string, enum"
GOOD = "id,size,kind\n1,2.5,a\n2,0,b\n"
BOTH = ("backward", "forward")


@pytest.mark.parametrize(
    ("old", "new", "breaks", "passes_only_before", "passes_only_after"),
    [
        ("minimum: 0", "minimum: 5", ("backward",), "id,size,kind\n1,2,a\n", ""),
        ("minimum: 0", "minimum: -5", ("forward",), "", "id,size,kind\n1,-2,a\n"),
        (", {value: b}]", "]", ("backward",), "id,size,kind\n1,2,b\n", ""),
        (", {value: b}]", ", {value: b}, {value: c}]", ("forward",), "", "id,size,kind\n1,2,c\n"),
        (", {value: b}]", ", {value: c}]", ("backward", "forward"), "id,size,kind\n1,2,b\n", "id,size,kind\n1,2,c\n"),
        ("name: size,", "name: size, required: true,", ("backward",), "id,size,kind\n1,,a\n", ""),
        ("name: size,", "name: size, unique: true,", ("backward",), "id,size,kind\n1,2,a\n2,2,a\n", ""),
        ("name: size, logicalType: number", "name: size, logicalType: integer", ("backward",), GOOD, ""),
        ("id, logicalType: integer", "id, logicalType: number", ("forward",), "", "id,size,kind\n1.5,2,a\n"),
        ("name: size,", "name: width, synonyms: [{synonym: size}],", BOTH, GOOD, "id,width,kind\n1,2,a\n"),
        ("name: kind,", "name: kind, description: other,", (), "", ""),
        (KIND, KIND.replace(" enum", " logicalTypeOptions: {format: uuid}, enum"), ("backward",), GOOD, ""),
        (KIND, KIND.replace(" enum", " logicalTypeOptions: {format: password}, enum"), (), "", ""),
    ],
)
def test_what_breaks_a_compatibility_is_what_data_show(
    place: Path, old: str, new: str, breaks: tuple[str, ...], passes_only_before: str, passes_only_after: str
) -> None:
    """Backward: something that passed fails now. Forward: something passes now that failed before."""
    assert old in CONTRACT
    after = CONTRACT.replace(old, new)
    found = changes(parse_contract(CONTRACT, "a"), parse_contract(after, "b"))
    assert tuple(sorted({way for each in found for way in each.breaks})) == breaks
    (place / "contracts/after.odcs.yaml").write_text(after)
    for text, before_fails, after_fails in ((passes_only_before, 0, 1), (passes_only_after, 1, 0)):
        if text:
            (place / "data.csv").write_text(text)
            codes = [
                mend("test", "data.csv", "--contract", f"contracts/{name}.odcs.yaml").exit_code
                for name in ("things", "after")
            ]
            assert [code != 0 for code in codes] == [bool(before_fails), bool(after_fails)], (text, codes)
    for mode, forbidden in (("backward", {"backward"}), ("forward", {"forward"}), ("full", {"backward", "forward"})):
        result = mend("diff", "contracts/things.odcs.yaml", "contracts/after.odcs.yaml", "--mode", mode, "--json")
        broken = bool(forbidden & set(breaks))
        assert (result.exit_code, told(result)["compatible"]) == (int(broken), not broken)
    assert incompatible(found, "none") == []


def nested(inner: str, options: str = "") -> str:
    more = f", logicalTypeOptions: {{{options}}}" if options else ""
    return CONTRACT + f"      - {{name: o, logicalType: object{more}, properties: [{inner}]}}\n"


B = "{name: b, logicalType: integer}"


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (nested(B), nested(B), []),
        (nested(B), nested(B + ", {name: c}"), [("degrading", "o.c", ("backward",))]),
        (nested(B), nested(B + ", {name: c, required: true}"), [("breaking", "o.c", ("backward",))]),
        (nested(B + ", {name: c}"), nested(B), [("breaking", "o.c", ("forward",))]),
        (nested(B), nested(B.replace("integer", "number")), [("degrading", "o.b", ("forward",))]),
        (nested(B), nested(B, "minProperties: 1"), [("degrading", "o", ("backward",))]),
        (nested(B, "required: [b]"), nested(B), [("degrading", "o", ("forward",))]),
        (
            nested("{name: l, logicalType: array, items: {logicalType: string}}"),
            nested("{name: l, logicalType: array, items: {logicalType: string, logicalTypeOptions: {minLength: 1}}}"),
            [("degrading", "o.l[]", ("backward",))],
        ),
    ],
)
def test_what_changed_inside(before: str, after: str, wanted: list[tuple[str, str, tuple[str, ...]]]) -> None:
    found = changes(parse_contract(before, "a"), parse_contract(after, "b"))
    assert [(each.kind, each.column, each.breaks) for each in found] == wanted


def test_cells_inside_are_judged_by_a_contract_alone(place: Path) -> None:
    (place / "contracts/things.odcs.yaml").write_text(nested("{name: b, logicalType: integer, required: true}"))
    rows = [{"id": 1, "size": 1, "kind": "a", "o": {"b": 5}}, {"id": 2, "size": 1, "kind": "a", "o": {"b": "x"}}]
    (place / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (delivery,) = told(mend("test", "data.jsonl", "--json", "--values"))["deliveries"]
    assert (delivery["rows_failed"], [row["row"] for row in delivery["rows"]]) == (1, [2])
    ((reason,),) = [row["reasons"] for row in delivery["rows"]]
    assert (reason["check"], reason["column"], reason["explanation"]) == (
        "type",
        "o.b",
        "o.b must be a whole number of at most 64 bits",
    )
    assert "o.b" in mend("test", "data.jsonl").stdout


def test_service_levels_that_changed() -> None:
    def level(value: int, more: str = "") -> str:
        return CONTRACT + f"slaProperties:\n  - {{property: freshness, value: {value}, unit: d, element: day{more}}}\n"

    held = ", customProperties: [{property: severity, value: error}]"
    for before, after, wanted in (
        (CONTRACT, level(2), [("harmless", ())]),
        (level(2), CONTRACT, [("degrading", ("forward",))]),
        (CONTRACT, level(2, held), [("degrading", ("backward",))]),
        (level(2), level(2, held), [("degrading", ("forward",)), ("degrading", ("backward",))]),
    ):
        found = changes(parse_contract(before, "a"), parse_contract(after, "b"))
        assert [(each.kind, each.breaks) for each in found] == wanted


def test_a_mode_that_is_none_is_said(place: Path) -> None:
    file = "contracts/things.odcs.yaml"
    assert mend("diff", file, file, "--mode", "sideways").exit_code == 2
