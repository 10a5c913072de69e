"""Which other spellings of numbers failing cells have; each probe is true for a text of its form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_SIGN = "[+-]?"
_SPACE = r"[ \x{00A0}\x{202F}\x{2009}]"
_SYMBOL = r"(?:[$€£¥₹]|[A-Z]{3}|kr|zł|Kč)"
_ANY = r"[0-9](?:[0-9.,'’]|[ \x{00A0}\x{202F}\x{2009}])*"

FORMATS: dict[str, str] = {
    "decimal_comma": rf"^{_SIGN}[0-9]*,[0-9]+$",
    "thousands_comma": rf"^{_SIGN}[0-9]{{1,3}}(?:,[0-9]{{3}})+(?:\.[0-9]+)?$",
    "thousands_point": rf"^{_SIGN}[0-9]{{1,3}}(?:\.[0-9]{{3}})+(?:,[0-9]+)?$",
    "thousands_space": rf"^{_SIGN}[0-9]{{1,3}}(?:{_SPACE}[0-9]{{3}})+(?:\.[0-9]+)?$",
    "thousands_space_comma": rf"^{_SIGN}[0-9]{{1,3}}(?:{_SPACE}[0-9]{{3}})+,[0-9]+$",
    "thousands_apostrophe": rf"^{_SIGN}[0-9]{{1,3}}(?:['’][0-9]{{3}})+(?:\.[0-9]+)?$",
    "currency": rf"^{_SIGN}(?:{_SYMBOL}{_SPACE}?{_SIGN}{_ANY}|{_ANY}{_SPACE}?{_SYMBOL})$",
    "percent": rf"^{_SIGN}{_ANY}%$",
    "parentheses": rf"^\({_ANY}\)$",
    "trailing_minus": rf"^{_ANY}-$",
}


def number_probes(logical_type: str) -> dict[str, pl.Expr]:
    """Probes on a text column ``value``."""
    import polars as pl

    text = pl.col("value")
    probes = {f"number_formats.{name}": text.str.contains(pattern) for name, pattern in FORMATS.items()}
    probes["number_ambiguous_share"] = text.str.contains(rf"^{_SIGN}[0-9]{{1,3}},[0-9]{{3}}$")
    if logical_type == "integer":
        probes["number_share"] = text.cast(pl.Float64, strict=False).is_finite()
        probes["integer_overflow_share"] = text.str.contains(rf"^{_SIGN}[0-9]{{19,}}$")
    return probes
