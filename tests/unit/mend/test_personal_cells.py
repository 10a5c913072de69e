"""Goal: a whole column is masked as its cells are one by one, at a speed that a million rows allow."""

from __future__ import annotations

import random

import polars as pl
import pytest

from mend.personal_cells import masked_column, masked_violations
from shared.domain.contract import Column, Contract
from shared.domain.personal_data import PUBLIC, PersonalColumns, masked
from shared.domain.personal_values import IBAN_LENGTHS
from tests.unit.domain.test_personal_data import PERSONAL_VALUES, PLAIN, WRONG_CHECKSUMS

SEEDS = range(20)
MARK = "<e-mail, 10 characters>"


def _texts(seed: int) -> list[str]:
    """Texts near every kind: true ones, and such with a few characters changed, cut, or put among words."""
    chance = random.Random(seed)
    found = []
    for _ in range(200):
        text = chance.choice(
            [*PERSONAL_VALUES, *WRONG_CHECKSUMS, *PLAIN, "d\u00e9j\u00e0 vu", '{"phone": "1"}', '{"a": 1}']
        )
        for _ in range(chance.choice([0, 0, 1, 2])):
            place = chance.randrange(len(text) + 1)
            text = text[:place] + chance.choice("0123456789AZXaz +-@. ") + text[place + chance.choice([0, 1]) :]
        country, number = chance.choice(list(IBAN_LENGTHS)), chance.randrange(10**30)
        found += [text, f"to {text} and {text}", f"{country}{chance.randrange(100):02d}{number}", str(number)[:16]]
        found.append(f"{chance.randrange(10**8):08d}{chance.choice('TRWAGMYFPDXBNJZSQVHLCKE')}")
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_is_masked_as_its_cells_are(seed: int) -> None:
    texts = _texts(seed)
    told = masked_column(pl.Series("x", texts), "").to_list()
    assert told == [masked(text) for text in texts]
    assert 50 < sum(one != other for one, other in zip(texts, told, strict=True)) < len(texts) - 50


def test_nulls_stay_and_types_that_say_nothing_keep_theirs() -> None:
    assert masked_column(pl.Series("x", [None, "a@b.cd", ""]), "").to_list() == [None, "<e-mail, 6 characters>", ""]
    numbers = pl.Series("x", [4111111111111111])
    assert masked_column(numbers, "").dtype == pl.Int64
    assert masked_column(numbers, "card number").to_list() == ["<card number, 16 characters>"]
    assert masked_column(pl.Series("x", ["a@b.cd"]), PUBLIC).to_list() == ["a@b.cd"]
    assert masked_column(pl.Series("x", [], dtype=pl.String), "").to_list() == []
    assert masked_column(pl.Series("x", [None], dtype=pl.Null), "").to_list() == [None]


def test_nested_cells_are_told_by_their_fields_and_values() -> None:
    named = masked_column(pl.Series("x", [[{"first_name": "Ada"}], None]), "")
    assert named.to_list() == ["<personal data, 22 characters>", None]
    assert masked_column(pl.Series("x", [{"a": "a@b.cd"}]), "").to_list() == ["<text with e-mail, 14 characters>"]
    plain = pl.Series("x", [[1, 2], None])
    assert masked_column(plain, "").equals(plain)


def test_violations_are_masked_by_their_column_and_their_explanations_too() -> None:
    kind = pl.List(pl.Struct(dict.fromkeys(("check", "column", "value", "explanation"), pl.String)))
    rows = [
        [
            {"check": "type", "column": "size", "value": "anna@x.org", "explanation": "size: anna@x.org is no number"},
            {"check": "custom", "column": "score", "value": "Zorro", "explanation": "Zorro is no score"},
        ],
        None,
        [],
        [{"check": "length", "column": "press", "value": "anne@x.org", "explanation": "too long"}],
        [{"check": "required", "column": "size", "value": None, "explanation": "IBAN IT60X0542811101000000123456"}],
    ]
    columns = (
        Column(name="size", logical_type="number"),
        Column(name="score", classification="restricted"),
        Column(name="press", classification="public"),
    )
    known = PersonalColumns(Contract(id="c", version="1", table="t", columns=columns))
    told = masked_violations(pl.Series("why", rows, dtype=kind), known)
    assert (told.name, told.dtype) == ("why", kind)
    first, none, empty, third, last = told.to_list()
    assert [(each["value"], each["explanation"]) for each in first] == [
        (MARK, f"size: {MARK} is no number"),
        ("<personal data, 5 characters>", "<personal data, 5 characters> is no score"),
    ]
    assert [none, empty or None] == [None, None]
    assert (third[0]["value"], third[0]["explanation"]) == ("anne@x.org", "too long")
    assert (last[0]["value"], last[0]["explanation"]) == (None, "IBAN <IBAN, 27 characters>")
