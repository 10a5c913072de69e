"""What a sample says is inferred, and what it is too small to say is not claimed."""

from __future__ import annotations

import polars as pl
import pytest

from mend.inference import Inferred, infer
from shared.domain.contract import Column, parse_contract


def one(values: list[str], **options: object) -> tuple[Column, Inferred]:
    """The only column inferred from these cells."""
    inferred = infer(pl.DataFrame({"x": values}, schema={"x": pl.String}), name="n", table="t", **options)  # type: ignore[arg-type]
    return inferred.contract.columns[0], inferred


@pytest.mark.parametrize(
    ("values", "logical_type", "written"),
    [
        (["1", "-2", "0"], "integer", ""),
        (["1", "2.5", "1e3", ".5"], "number", ""),
        (["01", "12"], "string", ""),
        (["1234567890123456789012", "1"], "number", ""),
        (["true", "false"], "boolean", ""),
        (["0", "1"], "integer", ""),
        (["Y", "N"], "string", ""),
        (["2020-01-31", "2020-02-01"], "date", ""),
        (["2020-02-31", "2020-02-01"], "string", ""),
        (["2020-02-24 18:00:00", "2020-02-25T18:00:00"], "timestamp", ""),
        (["2013-01-01T10:00:00Z"], "timestamp", ""),
        (["31/12/2020", "01/02/2020"], "date", "dd/MM/yyyy"),
        (["12/31/2020 10:30", "1/2/2020 9:05"], "timestamp", "MM/dd/yyyy HH:mm"),
        (["01/02/2020", "03/04/2020"], "string", ""),
        (["31.12.2020"], "date", "dd.MM.yyyy"),
        (["10:00:00", "23:59:59.5"], "time", ""),
        (['{"a": 1}', "{}"], "object", ""),
        (["[1]", "[]"], "array", ""),
        (["a", "1"], "string", ""),
        (["", ""], "string", ""),
        ([], "string", ""),
    ],
)
def test_the_column_decides_its_type_together(values: list[str], logical_type: str, written: str) -> None:
    column, _ = one(values)
    assert (column.logical_type, column.format) == (logical_type, written)


def test_dates_that_could_be_read_twice_are_said() -> None:
    _, inferred = one(["01/02/2020", "03/04/2020"])
    assert any("cannot be told apart" in note for note in inferred.notes)


def test_decimal_commas_when_the_reading_has_them() -> None:
    assert one(["1,5", "2"], decimal=",")[0].logical_type == "number"
    assert one(["1,5", "2"])[0].logical_type == "string"


def test_null_tokens_are_those_among_typed_values() -> None:
    column, inferred = one(["1", "NA", "-", "3"])
    assert column.logical_type == "integer"
    assert inferred.null_values == ("", "-", "NA")
    assert not column.required


def test_a_dash_among_words_is_a_word() -> None:
    assert one(["red", "-", "blue"])[1].null_values == ("",)


def test_na_among_codes_stays_a_code() -> None:
    frame = pl.DataFrame({"country": ["DE", "NA", "IT"], "n": ["1", "NA", "2"]})
    inferred = infer(frame, name="n", table="t")
    country, _ = inferred.contract.columns
    assert inferred.null_values == ("", "NA")
    assert country.null_values == ("",)


def test_few_rows_claim_types_only() -> None:
    days = [
        pl.DataFrame({"day": [f"2020-02-2{n} 18:00:00"], "state": ["ITA"], "cases": [str(n)], "note": [""]})
        for n in range(7)
    ]
    inferred = infer(days, name="n", table="t")
    day, *others = inferred.contract.columns
    assert (day.required, day.logical_type) == (True, "timestamp")
    assert inferred.contract.primary_key == ()
    assert [(c.required, c.enum, c.minimum, c.unique) for c in others] == [(False, (), None, False)] * 3


def test_the_header_of_most_deliveries_decides() -> None:
    odd = pl.DataFrame({"a": ["x"], "b": ["1"], "c": ["1"]})
    usual = pl.DataFrame({"a": ["1"], "b": ["2"]})
    inferred = infer([odd, usual, usual], name="n", table="t")
    assert inferred.contract.column_names == ("a", "b")
    assert inferred.contract.columns[0].logical_type == "string"
    assert any("1 of 3 deliveries" in note for note in inferred.notes)


def large(rows: int = 400) -> pl.DataFrame:
    """Readings of twenty stations."""
    return pl.DataFrame(
        {
            "station": [f"S{n % 20}" for n in range(rows)],
            "day": [f"2020-01-{1 + n // 20:02d}" for n in range(rows)],
            "kind": ["wet" if n % 3 else "dry" for n in range(rows)],
            "rare": ["odd" if n == 7 else "usual" for n in range(rows)],
            "rain": [str(n % 7) for n in range(rows)],
            "degrees": [str(15 + n % 9) for n in range(rows)],
            "change": [str(n % 7 - 3) for n in range(rows)],
            "remark": ["" if n % 50 == 0 else f"text {n}" for n in range(rows)],
        }
    )


def test_enough_rows_claim_more() -> None:
    inferred = infer(large(), name="n", table="t")
    columns = {column.name: column for column in inferred.contract.columns}
    assert inferred.contract.primary_key == ("station", "day")
    assert columns["kind"].enum == ("dry", "wet")
    assert columns["rare"].enum == ()
    assert (columns["rain"].minimum, columns["degrees"].minimum, columns["change"].minimum) == (0, None, None)
    assert (columns["rain"].required, columns["remark"].required) == (True, False)
    assert all(column.maximum is None and column.max_length is None for column in columns.values())


def test_a_key_is_named_like_one_or_stands_first() -> None:
    rows = [str(n) for n in range(50)]
    named = infer(pl.DataFrame({"amount": rows, "order_id": rows}), name="n", table="t").contract
    assert named.primary_key == ("order_id",)
    first = infer(pl.DataFrame({"who": rows, "amount": rows}), name="n", table="t").contract
    assert first.primary_key == ("who",)
    measured = infer(pl.DataFrame({"who": ["a"] * 50, "amount": rows}), name="n", table="t").contract
    assert measured.primary_key == ()


def test_misfits_and_our_own_columns_are_left_out() -> None:
    frame = pl.DataFrame(
        {"_mend_row": [1, 2], "_mend_raw": [None, "x;y"], "_mend_misfit": [None, "too_many_fields"], "a": ["1", None]}
    )
    inferred = infer(frame, name="n", table="t")
    assert inferred.contract.column_names == ("a",)
    assert inferred.contract.columns[0].logical_type == "integer"
    assert inferred.rows == 1


def test_names_a_table_cannot_hold_are_left_out_and_said() -> None:
    inferred = infer(pl.DataFrame({"Id": ["1"], "ID": ["2"], " ": ["3"]}), name="n", table="t")
    assert inferred.contract.column_names == ("Id",)
    assert any("left out" in note for note in inferred.notes)


def test_typed_deliveries_are_understood() -> None:
    frame = pl.DataFrame({"n": [1, 2], "ok": [True, None], "list": [[1], None], "times": ["a", "b"]})
    types = [column.logical_type for column in infer(frame, name="n", table="t").contract.columns]
    assert types == ["integer", "boolean", "array", "string"]


def test_the_text_reads_back_as_the_contract() -> None:
    inferred = infer(large(), name="n", table="t")
    assert parse_contract(inferred.text, "c.yaml") == inferred.contract
    assert infer(large(), name="n", table="t").text == inferred.text
