"""Goal: a key is claimed where that no two rows are alike can hardly be chance."""

from __future__ import annotations

import random

import polars as pl
import pytest

from mend.inference import infer

CHANCE = random.Random(5)


def key(**columns: list[str]) -> tuple[str, ...]:
    return infer(pl.DataFrame(columns), name="n", table="t").contract.primary_key


@pytest.mark.parametrize(
    ("values", "is_key"),
    [
        ([str(n) for n in range(100, 112)], True),
        ([str(n) for n in range(0, 1_200, 100)], True),  # in steps
        ([f"p{n}" for n in range(20)], True),
        ([f"2020-01-{n:02d}" for n in range(1, 20)], True),
        ([f"2020-01-{n:02d}T18:00:00" for n in range(1, 20)], True),
        ([f"{n:02d}/01/2020" for n in range(1, 20)], True),
        ([str(n) for n in CHANCE.sample(range(100_000), 20)], False),
        ([f"p{n}q{n}" for n in CHANCE.sample(range(10_000), 20)], False),
        ([f"{n:06d}" for n in CHANCE.sample(range(1_000_000), 300)], False),
        ([f"c{n:06d}" for n in CHANCE.sample(range(1_000_000), 300)], True),  # three hundred words
        ([f"c {n:06d}" for n in CHANCE.sample(range(1_000_000), 300)], False),
        ([str(n) for n in range(9)], False),  # few rows
        (["7"] * 12, False),
    ],
)
def test_the_first_column(values: list[str], is_key: bool) -> None:
    amounts = [f"{n % 4}.5" for n in range(len(values))]
    assert key(x=values, amount=amounts) == (("x",) if is_key else ())
    assert key(amount=amounts, x=values) == ()
    assert key(amount=amounts, x_code=values) == (("x_code",) if is_key else ())


def test_an_identifier_by_name_needs_few_rows() -> None:
    values = [str(n * n * 7919) for n in range(10)]
    assert key(amount=["1.5"] * 10, order_id=values) == ("order_id",)
    assert key(amount=["1.5"] * 9, order_id=values[:9]) == ()
    assert key(amount=["1.5"] * 10, zip_code=values) == ()


def test_columns_together_are_none_where_they_have_much_room() -> None:
    stations, days = [f"s{n % 20}" for n in range(400)], [f"2020-01-{1 + n // 20:02d}" for n in range(400)]
    assert key(station=stations, day=days) == ("station", "day")
    one, other = ([str(CHANCE.randrange(199)) for _ in range(400)] for _ in range(2))
    pairs = dict.fromkeys(zip(one, other, strict=True))
    assert key(a=[pair[0] for pair in pairs], b=[pair[1] for pair in pairs]) == ()


@pytest.mark.parametrize(
    ("values", "required"),
    [
        ([f"2020-02-2{n}" for n in range(5)], True),
        ([f"2020-02-2{n}" for n in range(4)], False),
        (["2020-02-21", "2020-02-20", *(f"2020-02-2{n}" for n in range(2, 7))], False),
    ],
)
def test_a_time_that_goes_on_from_row_to_row_is_required(values: list[str], required: bool) -> None:
    frame = pl.DataFrame({"n": ["1"] * len(values), "t": values})
    assert infer(frame, name="n", table="t").contract.columns[1].required is required
