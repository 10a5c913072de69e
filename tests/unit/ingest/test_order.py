"""Goal: the order key sorts deliveries as their names and arrivals do, whatever the names are."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.ingest.order import NAME_CHARACTERS_MAX, Neighbour, duplicate_of, seq_of

Order = Literal["name", "arrival"]
names = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=12)
moments = st.integers(0, 2**62)


def seq(name: str, arrived: int = 0, order: Order = "name", uri: str = "u", generation: str = "g") -> str:
    return seq_of(order, name, arrived, uri, generation)


@given(one=names, other=names, first=moments, second=moments)
@example(one="day", other="day 0", first=2**60, second=0)
@example(one="day", other="day 2.csv", first=1, second=1)
@example(one="day", other="day!", first=1, second=1)
@example(one="day", other="day  0", first=1, second=1)
@example(one="é", other="z", first=1, second=1)
@example(one="\U0001f600", other="\uffff", first=1, second=1)
def test_by_name_then_arrival(one: str, other: str, first: int, second: int) -> None:
    if one != other or first != second:
        assert (seq(one, first) < seq(other, second)) == ((one, first) < (other, second))


@given(one=names, other=names, first=moments, second=moments)
def test_by_arrival_then_name(one: str, other: str, first: int, second: int) -> None:
    if one != other or first != second:
        earlier = seq(one, first, "arrival") < seq(other, second, "arrival")
        assert earlier == ((first, one) < (second, other))


@given(one=names, other=names)
def test_the_store_and_the_warehouse_sort_as_python_does(one: str, other: str) -> None:
    """Both compare UTF-8 bytes."""
    assert (seq(one) < seq(other)) == (seq(one).encode() < seq(other).encode())


def test_equal_names_in_different_folders_are_told_apart() -> None:
    assert seq("a.csv", 1, uri="x/a.csv") != seq("a.csv", 1, uri="y/a.csv")
    assert seq("a.csv", 1, generation="1") != seq("a.csv", 1, generation="2")
    assert seq("a.csv", 1) == seq("a.csv", 1)


@pytest.mark.parametrize("order", ["name", "arrival"])
@pytest.mark.parametrize("name", ["", "a\tb", "a\nb\x00", "x" * 100_000, "\u202egpj.exe"])
def test_strange_names_make_bounded_keys(name: str, order: Order) -> None:
    made = seq(name, 2**62, order)
    assert made.count("\t") == 2
    assert len(made) <= NAME_CHARACTERS_MAX + 50
    assert "\n" not in made
    assert "\x00" not in made


X, Y = Neighbour("b1", "x"), Neighbour("b2", "y")


@pytest.mark.parametrize(
    ("mode", "sha256", "first", "before", "expected"),
    [
        ("append", "x", X, Y, "b1"),
        ("append", "x", X, None, "b1"),
        ("append", "z", None, X, ""),
        ("upsert", "x", X, Y, ""),  # X, Y, X ends at X
        ("upsert", "y", None, Y, "b2"),
        ("overwrite", "x", X, Y, ""),
        ("overwrite", "y", None, Y, "b2"),
        ("overwrite", "y", Y, None, ""),
    ],
)
def test_what_repeats(
    mode: Literal["append", "upsert", "overwrite"],
    sha256: str,
    first: Neighbour | None,
    before: Neighbour | None,
    expected: str,
) -> None:
    assert duplicate_of(mode, sha256, 1, first, before) == expected
    assert duplicate_of(mode, sha256, 0, first, before) == "", "an empty delivery never repeats anything"
