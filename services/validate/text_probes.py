"""Whether failing texts would fit once spaces, case, Unicode forms or one letter are put right."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

NULL_WORDS = (
    "na", "n/a", "#n/a", "#na",
    "null", "none", "nan", "nil", "-", "--", "?", ".", "missing", "unknown", "(null)", "\\n",
)  # fmt: skip
ALLOWED_MAX = 50_000
NEAR_DISTINCT_MAX = 1_000
LETTERS_LOST = r"\x{FFFD}|\p{L}\?+\p{L}"
_NUMBERED = r"^[^0-9]*([0-9]{2,})$"
_INVISIBLE = r"[\p{Cf}\x{FFFD}]"


def normalisations() -> dict[str, Callable[[pl.Expr], pl.Expr]]:
    """The ways to put a text into a comparable form."""

    def strip(text: pl.Expr) -> pl.Expr:
        return text.str.strip_chars().str.replace_all(r"\s+", " ")

    def casefold(text: pl.Expr) -> pl.Expr:
        return text.str.to_lowercase()

    def unicode(text: pl.Expr) -> pl.Expr:
        return text.str.normalize("NFKC").str.replace_all(_INVISIBLE, "")

    return {
        "strip": strip,
        "casefold": casefold,
        "unicode": unicode,
        "any": lambda text: casefold(strip(unicode(text))),
    }


def whitespace_free() -> pl.Expr:
    """``value`` without spaces around it."""
    import polars as pl

    return pl.col("value").str.strip_chars()


def null_word() -> pl.Expr:
    """True for words that people write for "nothing"."""
    import polars as pl

    return pl.col("value").str.strip_chars().str.to_lowercase().is_in(NULL_WORDS)


def membership_probes(allowed: pl.Series) -> dict[str, pl.Expr]:
    """Share that is a single allowed value after each normalisation."""
    import polars as pl

    if allowed.len() > ALLOWED_MAX:
        return {}
    probes = {}
    for name, normal in normalisations().items():
        forms = allowed.to_frame("value").select(normal(pl.col("value")).alias("form"))
        single = forms.group_by("form").agg(pl.len().alias("n")).filter(pl.col("n") == 1)["form"]
        probes[f"normalised.{name}"] = normal(pl.col("value")).is_in(single.implode())
    probes["leading_zeros_share"] = _zeros_lost(allowed)
    probes["other_prefix_share"] = _otherwise_prefixed(allowed)
    probes["letters_lost_share"] = _letters_lost()
    return probes


def _zeros_lost(allowed: pl.Series) -> pl.Expr:
    """True for digits that are exactly one allowed code once zeros are put in front of them."""
    import polars as pl

    codes = allowed.to_frame("value").filter(pl.col("value").str.contains(r"^[0-9]+$"))
    bare = codes.with_columns(bare=pl.col("value").str.strip_chars_start("0"))
    single = bare.group_by("bare").agg(pl.len().alias("n"), pl.col("value").first())
    lost = single.filter((pl.col("n") == 1) & pl.col("value").str.starts_with("0"))["bare"]
    return pl.col("value").str.contains(r"^[1-9][0-9]*$") & pl.col("value").is_in(lost.implode())


def _otherwise_prefixed(allowed: pl.Series) -> pl.Expr:
    """True for numbers that are exactly one allowed key's once what stands before the digits is taken off both."""
    import polars as pl

    def bare(text: pl.Expr) -> pl.Expr:
        return text.str.extract(_NUMBERED, 1)

    keys = allowed.to_frame("value").select(bare(pl.col("value")).alias("bare")).drop_nulls()
    single = keys.group_by("bare").agg(pl.len().alias("n")).filter(pl.col("n") == 1)["bare"]
    return bare(pl.col("value")).is_in(single.implode())


def _letters_lost() -> pl.Expr:
    """True for words with a replacement sign, or with question marks between letters."""
    import polars as pl

    return pl.col("value").str.contains(LETTERS_LOST)


def pattern_probes(fits: Callable[[pl.Expr], pl.Expr]) -> dict[str, pl.Expr]:
    """Share that fits a pattern or format after each normalisation (for case: in upper or in lower case)."""
    import polars as pl

    text = pl.col("value")
    forms = normalisations()
    clean = forms["strip"](forms["unicode"](text))

    def either_case(form: pl.Expr) -> pl.Expr:
        return fits(form.str.to_uppercase()) | fits(form.str.to_lowercase())

    return {
        "normalised.strip": fits(forms["strip"](text)),
        "normalised.casefold": either_case(text),
        "normalised.unicode": fits(forms["unicode"](text)),
        "normalised.any": fits(clean) | either_case(clean),
        "letters_lost_share": _letters_lost(),
    }


def near_match_share(values: Iterable[tuple[str, int]], allowed: Iterable[str]) -> float:
    """Share of cells (distinct texts with their counts) that have exactly one allowed value within one edit.

    Texts with one letter left out find each other, so that no pair is compared that is not nearly equal.
    """
    cells: Counter[str] = Counter()
    for text, count in values:
        cells[text] += count
    words = set(allowed)
    # The shorter side is kept by its forms, the longer one only looked up.
    kept, asked = sorted((cells.keys(), words), key=len)
    forms: dict[str, list[str]] = defaultdict(list)
    for each in kept:
        for form in _without_one(each):
            forms[form].append(each)
    found: Counter[str] = Counter()  # allowed values within one edit, by text
    for each in asked:
        for other in {other for form in _without_one(each) for other in forms.get(form, ())}:
            if within_one_edit(each, other):
                found[other if asked is words else each] += 1
    total = cells.total()
    return sum(cells[text] for text, near in found.items() if near == 1) / total if total else 0.0


def _without_one(text: str) -> set[str]:
    short = text[:60]
    return {short, *(short[:place] + short[place + 1 :] for place in range(len(short)))}


def within_one_edit(left: str, right: str) -> bool:
    """True when one letter inserted, deleted, replaced or two neighbours swapped make the texts equal."""
    if left == right:
        return True
    if len(left) > len(right):
        left, right = right, left
    start = 0
    while start < len(left) and left[start] == right[start]:
        start += 1
    rest_left, rest_right = left[start:], right[start:]
    if len(left) == len(right):
        swapped = (
            rest_left[1:2] == rest_right[:1] and rest_left[:1] == rest_right[1:2] and rest_left[2:] == rest_right[2:]
        )
        return rest_left[1:] == rest_right[1:] or swapped
    return len(right) - len(left) == 1 and rest_left == rest_right[1:]
