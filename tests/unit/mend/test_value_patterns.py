"""Goal: a pattern is claimed only where enough different values follow it, and no wider or narrower than they say."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

import polars as pl
import pytest

from mend.inference import infer
from mend.value_patterns import KIND_VALUES_MIN, SHAPE_VALUES_MIN, WIDTH_VALUES_MIN, format_of, pattern_of
from shared.domain.text_formats import fits

HAS_LETTER = r"[A-Za-z]|[^\x00-\x7F]"


def of(values: Iterable[str]) -> str:
    return pattern_of(pl.Series(list(values), dtype=pl.String))


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        ([f"INV-{n}" for n in range(950, 1_200)], "^[A-Z]{3}-[0-9]+$"),
        ([f"INV-{n}" for n in range(100, 400)], "^[A-Z]{3}-[0-9]+$"),  # 999 is followed by 1000
        ([f"{n:03d}c{n % 7:02d}" for n in range(150)], "^[0-9]{3}[a-z]+[0-9]{2}$"),  # column z is followed by aa
        ([f"{n:03d}c{n % 7:02d}" for n in range(WIDTH_VALUES_MIN - 1)], "^[0-9]+[a-z]+[0-9]+$"),
        ([f"{letter}x({n}).*" for n, letter in enumerate("aB" * 80)], r"^[A-Za-z]{2}\([0-9]+\)\.\*$"),
        ([f"a{n}@x.org" for n in range(40)] + [f"b.c{n}@y.co.uk" for n in range(100)], r"^[^@\s]+@[^@\s]+$"),
        ([f"a{n}@x.org; b@y.org" if n % 9 else f"{n}@x.org" for n in range(150)], r"[^@\s]@[^@\s]"),
        ([f"https://x.org/{'a' * (n % 9)}/{n}" for n in range(150)], r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$"),
        ([f"{'A-' * (n % 3)}{n}{'b' * (n % 5)}" for n in range(150)], "[0-9]"),
        ([f"{'ab ' * (n % 3)}{chr(0x430 + n % 30)}{n if n % 9 else ''}é{'x' * n}" for n in range(150)], HAS_LETTER),
        ([f"{n},{n % 10}00" for n in range(100, 300)], "[0-9]"),  # 1,200 and 3,500 are followed by 900
        (["word " * (n % 3) + "?" * n for n in range(150)], ""),
        (["same-1"] * 10_000, ""),
    ],
)
def test_the_narrowest_that_all_values_have(values: list[str], pattern: str) -> None:
    found = of(values)
    assert found == pattern
    assert all(re.search(found, value) for value in values)  # another engine than the one that judges agrees


UUIDS = [str(uuid.UUID(int=n << 64 | n)) for n in range(200)]
IPV4 = [f"192.168.{n % 7}.{n}" for n in range(200)]
IPV6 = [f"2001:db8::{n:x}" for n in range(200)]
EMAILS = [f"ann.{n}@example.org" for n in range(200)]
URIS = [f"https://example.org/{n}?q=a%20b" for n in range(200)]


@pytest.mark.parametrize(
    ("values", "least", "form"),
    [
        (UUIDS, 20, "uuid"),
        (IPV6, 20, "ipv6"),
        (IPV4, 50, "ipv4"),
        (EMAILS, 100, "email"),
        (URIS, 100, "uri"),
        ([f"{n % 9}.{n % 5}.{n % 7}.{n}" for n in range(100)], 200, ""),  # as versions are numbered
        ([f"host{n}.example.org" for n in range(200)], 201, ""),  # any word is a host name
        ([f"{n:08d}" for n in range(200)], 201, ""),  # and many are base64
    ],
)
def test_a_format_is_claimed_where_enough_different_values_have_it(values: list[str], least: int, form: str) -> None:
    assert format_of(pl.Series(values)) == form
    assert format_of(pl.Series(values[: least - 1] * 100)) == ""
    for odd in ("-", "x y", "ann@@example.org"):
        assert format_of(pl.Series([*values, odd])) == ""
    if form:
        assert format_of(pl.Series(values[:least])) == form
        assert all(fits(value, form) for value in values)


def test_an_inferred_contract_names_the_format_in_the_place_of_a_pattern() -> None:
    rows = pl.DataFrame({"id": UUIDS, "at": IPV4, "who": EMAILS, "page": URIS, "code": [f"A-{n}" for n in range(200)]})
    found = infer(rows, name="t", table="t").contract
    told = {column.name: (column.format, bool(column.pattern)) for column in found.columns}
    assert told == {
        "id": ("uuid", False),
        "at": ("ipv4", False),
        "who": ("email", False),
        "page": ("uri", False),
        "code": ("", True),
    }


def test_few_different_values_say_nothing() -> None:
    codes = [f"INV-{n}" for n in range(SHAPE_VALUES_MIN)]
    assert of(codes)
    assert not of(codes[1:] * 100)
    mixed = [f"{'A-' * (n % 3)}{n}" for n in range(KIND_VALUES_MIN)]
    assert of(mixed)
    assert not of(mixed[1:])


@pytest.mark.parametrize("odd", ["-", "", "no"])
def test_one_value_that_has_it_not_is_enough(odd: str) -> None:
    codes = [f"{n}-{n}" for n in range(500)]
    assert of(codes) == "^[0-9]+-[0-9]+$"
    assert of([*codes, odd]) == ""
