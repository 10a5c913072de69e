"""Goal: data drawn twice from one distribution raises an alarm in at most 2 % of cases, and wrong data still does.

Method: a contract is inferred from one draw and judges the next by the product's own casts, checks and keys.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import polars as pl
import pytest

from mend.inference import Inferred, infer
from services.validate.casting import TextRules, cast_frame
from services.validate.column_checks import cell_rules, failing_cells

SIZES = (5, 12, 40, 120, 400, 1000)
CASES = 180  # drawings of every distribution
ALARMS_MAX = 0.02
FIRST = (
    "Anna",
    "Bob",
    "Chen",
    "Dora",
    "Emil",
    "Fatma",
    "Gus",
    "Hana",
    "Igor",
    "José",
    "Kim",
    "Lena",
    "Mia",
    "Ned",
    "Zoë",
)
LAST = ("Adams", "Bauer", "Costa", "Dvorak", "Eco", "Fox", "Gill", "Hall", "Ito", "Jung", "O'Hara", "Smith-Jones", "Wu")
WORDS = (
    "late",
    "Delivery",
    "paid",
    "CALL",
    "back",
    "the",
    "customer",
    "again",
    "24h",
    "(urgent)",
    "no",
    "Reply",
    "yet",
)

Draw = Callable[[int], list[str]]


def _categories(chance: random.Random, weights: list[float]) -> Draw:
    names = [f"kind {chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(len(weights))]
    return lambda count: chance.choices(names, weights, k=count)


def long_tail(chance: random.Random) -> Draw:
    """Zipf, 60 categories."""
    return _categories(chance, [1 / (n + 1) ** chance.uniform(0.8, 2) for n in range(60)])


def steep_tail(chance: random.Random) -> Draw:
    """Each category rarer than the one before by the same factor."""
    factor = chance.uniform(0.05, 0.7)
    return _categories(chance, [factor**n for n in range(12)])


def uniform_categories(chance: random.Random) -> Draw:
    return _categories(chance, [1.0] * chance.randint(2, 40))


def nearly_constant(chance: random.Random) -> Draw:
    rare = math.exp(chance.uniform(-7, -3))
    return _categories(chance, [1.0, rare, rare, rare])


def integers(chance: random.Random) -> Draw:
    """Some about zero, some far above."""
    middle, spread = chance.uniform(-5, 60), chance.uniform(1, 20)
    return lambda count: [str(round(chance.gauss(middle, spread))) for _ in range(count)]


def counts(chance: random.Random) -> Draw:
    rate = chance.uniform(0.1, 8)
    return lambda count: [str(int(chance.expovariate(1 / rate))) for _ in range(count)]


def mostly_zero(chance: random.Random) -> Draw:
    """Changes of a balance: rare, up or down."""
    rare = math.exp(chance.uniform(-6, -1))
    return lambda count: [
        str(chance.choice((-3, -2, -1, 1, 2, 3)) if chance.random() < rare else 0) for _ in range(count)
    ]


def decimals(chance: random.Random) -> Draw:
    digits = chance.randint(1, 4)
    return lambda count: [f"{chance.lognormvariate(1, 2):.{digits}f}" for _ in range(count)]


def amounts(chance: random.Random) -> Draw:
    """Whole ones without a point."""
    return lambda count: [f"{round(chance.lognormvariate(2, 1) * 4) / 4:g}" for _ in range(count)]


def dates(chance: random.Random) -> Draw:
    start, layout = date(2019, 1, 1), chance.choice(("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d %b %Y"))
    return lambda count: [(start + timedelta(chance.randrange(2_000))).strftime(layout) for _ in range(count)]


def counted_codes(chance: random.Random) -> Draw:
    """Numbers that go on from one draw to the next, past powers of ten."""
    following = chance.choice((1, 950, 9_400, 99_000))

    def draw(count: int) -> list[str]:
        nonlocal following
        following += count
        return [f"INV-{number}" for number in range(following - count, following)]

    return draw


def filled_codes(chance: random.Random) -> Draw:
    """From a thousand to a thousand million different ones."""
    digits = chance.randint(3, 9)
    return lambda count: [f"{chance.choice('AB')}{chance.randrange(10**digits):0{digits}d}" for _ in range(count)]


def grouped_numbers(chance: random.Random) -> Draw:
    return lambda count: [f"{chance.lognormvariate(9, 1):,.2f}" for _ in range(count)]


def names(chance: random.Random) -> Draw:
    return lambda count: [f"{chance.choice(FIRST)} {chance.choice(LAST)}" for _ in range(count)]


def addresses(chance: random.Random) -> Draw:
    return lambda count: [
        f"{chance.choice(LAST)}.{chance.randrange(9_999)}@{chance.choice(WORDS)}.org" for _ in range(count)
    ]


def free_text(chance: random.Random) -> Draw:
    return lambda count: [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) for _ in range(count)]


def flags(chance: random.Random) -> Draw:
    words, share = chance.choice((("Y", "N"), ("true", "false"), ("0", "1"))), chance.uniform(0.02, 0.98)
    return lambda count: [words[chance.random() < share] for _ in range(count)]


DISTRIBUTIONS = (
    long_tail, steep_tail, uniform_categories, nearly_constant, integers, counts, mostly_zero, decimals, amounts, dates,
    counted_codes, filled_codes, grouped_numbers, names, addresses, free_text, flags,
)  # fmt: skip


def with_nulls(draw: Draw, share: float, chance: random.Random) -> Draw:
    return lambda count: ["" if chance.random() < share else value for value in draw(count)]


def alarms(inferred: Inferred, values: list[str]) -> list[str]:
    """The checks of the contract that these values break."""
    contract = inferred.contract
    staged = pl.DataFrame({contract.columns[0].name: values})
    cast = cast_frame(staged, contract.columns, TextRules(inferred.null_values))
    found = ["type" for mask in cast.failed.values() if mask.any()]
    found += [
        failure.rule.check for failure in failing_cells(cast.frame, cell_rules(contract.columns, ()), cast.failed)
    ]
    if contract.primary_key and cast.frame.n_unique() < cast.frame.height:
        found.append("unique")
    return found


def learnt(values: list[str], name: str = "x") -> Inferred:
    return infer(pl.DataFrame({name: values}, schema={name: pl.String}), name="n", table="t")


def cases(distribution: Callable[[random.Random], Draw], name: str = "") -> Iterator[list[str]]:
    """What every case alarms about; some of the columns have nulls."""
    for case in range(CASES):
        chance = random.Random(f"{distribution.__name__}:{case}")
        draw = distribution(chance)
        if case % 3 == 0:
            draw = with_nulls(draw, chance.choice((0.02, 0.05, 0.3)), chance)
        size = SIZES[case % len(SIZES)]
        yield alarms(learnt(draw(size), name or chance.choice(("x", "state", "code"))), draw(size))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_what_is_drawn_twice_alarms_seldom(distribution: Callable[[random.Random], Draw]) -> None:
    found = [told for told in cases(distribution) if told]
    assert len(found) <= ALARMS_MAX * CASES, found


@pytest.mark.parametrize(
    ("distribution", "wrong", "checks", "at_least"),
    [
        (uniform_categories, "kind ??", {"enum"}, 5),  # of ten draws; some have more categories than are listed
        (flags, "maybe", {"enum", "type"}, 10),
        (integers, "12 apples", {"type"}, 10),
        (decimals, "#VALUE!", {"type"}, 10),
        (counts, "-1", {"range"}, 10),
        (dates, "yesterday", {"type"}, 10),
        (counted_codes, "INV-", {"pattern"}, 10),
        (filled_codes, "A12B", {"pattern"}, 10),
        (addresses, "unknown", {"pattern"}, 10),
        (names, "12345", {"pattern"}, 10),
    ],
)
def test_what_is_wrong_is_still_noticed(
    distribution: Callable[[random.Random], Draw], wrong: str, checks: set[str], at_least: int
) -> None:
    found = [set(alarms(learnt(distribution(random.Random(case))(1_000)), [wrong])) for case in range(10)]
    assert sum(bool(each & checks) for each in found) >= at_least, found


@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.6, 0.3, 0.08, 0.02), (0.7, 0.2, 0.07, 0.03)])
def test_a_status_of_a_thousand_rows_gets_its_values(shares: tuple[float, ...]) -> None:
    states = ("lost", "open", "paid", "sent")
    values = random.Random(1).choices(states, shares, k=1_000)
    assert learnt(values).contract.columns[0].enum == states
    assert learnt(sorted(values)).contract.columns[0].enum == ()  # sorted by it: others may follow
    assert learnt([*values, "new"]).contract.columns[0].enum == ()


def test_different_values_are_never_a_list() -> None:
    column = learnt([f"state {chr(97 + n)}" for n in range(20)]).contract.columns[0]
    assert (column.enum, column.pattern, column.required) == ((), "", False)
