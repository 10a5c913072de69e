"""The pattern that a text column's values follow, where so many different ones follow it that the next will too.

Different values count, never rows: a thousand times the same word says nothing of the next word. That no value of n
breaks a pattern says that fewer than some 3/n do (the rule of three, Hanley and Lippman-Hand 1983), which no number of
values makes into none; so only such patterns are tried as things are made by: a code's shape, an address, a number.
Patterns use what all engines read alike: no classes of Unicode, no looking around.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.domain.text_formats import TEXT_FORMATS

if TYPE_CHECKING:
    import polars as pl

SHAPE_VALUES_MIN = 50
WIDTH_VALUES_MIN = 100
KIND_VALUES_MIN = 100
SHAPE_CHARACTERS_MAX = 60

# The narrowest first; a letter is one of any script: whatever is not ASCII counts as one.
_KINDS = (
    r"^[^@\s]+@[^@\s]+$",
    r"[^@\s]@[^@\s]",
    r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$",
    r"[0-9]",
    r"[A-Za-z]|[^\x00-\x7F]",
)
# Formats with the number of different values that speaks for them: of those that nothing else looks like, few do.
_FORMATS = {"uuid": 20, "ipv6": 20, "ipv4": 50, "email": 100, "uri": 100}
_LARGE_OCTET = r"(?:^|\.)[12][0-9]{2}(?:\.|$)"  # version numbers have none
_THOUSANDS = r"[0-9][., ][0-9]{3}(?:[^0-9]|$)"
_PART = re.compile(r"[a9]|[^a9]+")
_SPECIAL = re.compile(r"([\\.^$|?*+()\[\]{}])")


def pattern_of(known: pl.Series) -> str:
    """A pattern that all the texts have, "" where none has enough different ones behind it."""
    values = known.unique()
    if len(values) < SHAPE_VALUES_MIN:
        return ""
    shape = _shape(values)
    if shape or len(values) < KIND_VALUES_MIN:
        return shape
    return next((kind for kind in _KINDS if values.str.contains(kind).all()), "")


def format_of(known: pl.Series) -> str:
    """The standard's format that all the texts have, "" where none has enough different ones behind it."""
    values = known.unique()
    for name, least in _FORMATS.items():
        if len(values) >= least and _has(values, name):
            large = values.str.contains(_LARGE_OCTET).sum() if name == "ipv4" else len(values)
            return name if 2 * large > len(values) else ""
    return ""


def _has(values: pl.Series, name: str) -> bool:
    form = TEXT_FORMATS[name]
    first = values.head(SHAPE_VALUES_MIN)
    return all(bool(some.str.contains(each).all()) for some in (first, values) for each in form.all_of) and not any(
        bool(values.str.contains(each).any()) for each in form.none_of
    )


def _shape(values: pl.Series) -> str:
    """The one shape of all values as a pattern: runs of letters and of digits, and what stands between them.

    Without digits it is no code's but a word's, and words have no shape.
    """
    if values.str.contains(r"[^\x20-\x7E]").any() or values.str.contains(_THOUSANDS).all():
        return ""  # 1.200 and 3.500 are followed by 900
    shapes = values.str.replace_all(r"[0-9]+", "9").str.replace_all(r"[A-Za-z]+", "a").unique()
    if len(shapes) > 1 or "9" not in shapes[0] or len(shapes[0]) > SHAPE_CHARACTERS_MAX:
        return ""
    parts = _PART.findall(shapes[0])
    groups = "".join({"a": "([A-Za-z]+)", "9": "([0-9]+)"}.get(part, _literal(part)) for part in parts)
    runs = values.str.extract_groups(f"^{groups}$").struct.unnest().get_columns()
    written = [_run(runs.pop(0), part) if part in ("a", "9") else _literal(part) for part in parts]
    return f"^{''.join(written)}$"


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _run(run: pl.Series, part: str) -> str:
    """Letters of the case that all have. As many as all have, but digits only where zeros fill them up, and letters
    from two: others count on, 999 is followed by 1000 and column Z by AA.
    """
    if part == "a":
        kind = next(kind for kind in ("[A-Z]", "[a-z]", "[A-Za-z]") if run.str.contains(f"^{kind}+$").all())
    else:
        kind = "[0-9]"
    lengths = run.str.len_bytes().unique()
    filled = lengths[0] > 1 if part == "a" else bool(run.str.starts_with("0").any())
    counted = len(lengths) == 1 and filled and len(run) >= WIDTH_VALUES_MIN
    return f"{kind}{{{lengths[0]}}}" if counted else f"{kind}+"
