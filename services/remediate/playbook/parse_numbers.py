"""parse_numbers: decimal commas, thousands marks, currencies, percent; the whole column decides which it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.cells import failing_texts, mixed, plan_of_mapping, share_explained
from shared.domain.remedy import Tier

if TYPE_CHECKING:
    import polars as pl

_SPACE = "[ \u00a0\u202f\u2009]"
_CURRENCY = "(?:[$€£¥₹]|CHF|EUR|USD|GBP|kr)"
_EITHER = r"^[+-]?[1-9]\d{0,2}[.,]\d{3}$"  # thousands or three decimals
_PLAIN = r"^[+-]?(?:\d+(?:\.\d+)?|\.\d+)$"


class Notation(NamedTuple):
    """A way to write numbers: what it looks like, the marks that mean nothing, the decimal mark."""

    name: str
    pattern: str
    drop: str  # a regular expression of what is taken out
    decimal: str


_NOTATIONS = (
    Notation("decimal_comma", r"^[+-]?\d*,\d+$", "", ","),
    Notation("thousands_comma", r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$", ",", "."),
    Notation("thousands_point", r"^[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?$", r"\.", ","),
    Notation("thousands_space", rf"^[+-]?\d{{1,3}}(?:{_SPACE}\d{{3}})+(?:\.\d+)?$", _SPACE, "."),
    Notation("thousands_space_comma", rf"^[+-]?\d{{1,3}}(?:{_SPACE}\d{{3}})+,\d+$", _SPACE, ","),
    Notation("thousands_apostrophe", r"^[+-]?\d{1,3}(?:['’]\d{3})+(?:\.\d+)?$", "['’]", "."),
    Notation("plain", _PLAIN, "", "."),
)


class _ParseNumbers(Played):
    def plan(self, case: Case) -> Plan | None:
        """The notation that fits most failing texts, if no other reads the same texts as other numbers."""
        import polars as pl

        found = failing_texts(case, self.name)
        if found is None or found[0].logical_type not in ("integer", "number"):
            return None
        column, staged, values = found
        parsed = parse(values, whole=column.logical_type == "integer")
        if parsed is None:
            return None
        numbers, names, confidence = parsed
        if mixed(case):  # both decimal marks are proven: what fits both stays as it is
            doubtful = values.get_column("value").str.strip_chars().str.contains(_EITHER)
            numbers = pl.select(pl.when(~doubtful).then(numbers)).to_series()
        if case.decimal_comma:
            numbers = numbers.str.replace(".", ",", literal=True)
        mapping = values.select(pl.col("value").alias("old")).with_columns(
            numbers.alias("new"), pl.lit(confidence).alias("confidence")
        )
        doubt = "; the marks could also mean the other thing" if confidence < 0.6 else ""
        sentence = f"Read {{column}} as {', '.join(names)} and write plain numbers in {{rows}} rows{doubt}"
        sure = 0.95 if share_explained(values, numbers) >= 0.5 else 0.0
        mapping = mapping.drop_nulls("new")
        return plan_of_mapping(case, self.name, column, staged, mapping, sentence, {"formats": names}, sure)


def parse(values: pl.DataFrame, *, whole: bool) -> tuple[pl.Series, list[str], float] | None:
    """Plain numbers (point as decimal mark) for the failing texts, null where none fits; the notations; how sure."""
    import polars as pl

    texts = values.get_column("value")
    weights = values.get_column("rows").cast(pl.Int64)
    core, dressed = _undressed(texts)
    reads = {each.name: _read(core, each, whole=whole) for each in _NOTATIONS}
    counts = {name: int(weights.filter(read.is_not_null()).sum()) for name, read in reads.items()}
    named = [each for each in _NOTATIONS if counts[each.name] and each.name != "plain"]
    best = max(named, key=lambda each: counts[each.name], default=None)
    plain = _sign(reads["plain"], core).filter(dressed != "")
    if best is None and plain.null_count() == len(plain):
        return None
    confidence = 0.95
    result = pl.Series([None] * len(texts), dtype=pl.String)
    names: list[str] = []
    if best is not None:
        result, names = reads[best.name], [best.name]
        confidence = min(_sureness(best, named, reads), confidence)
        if whole and best.name == "thousands_point" and not bool(core.str.contains(r"\.\d{3}\.\d{3}").any()):
            confidence = 0.6  # 1.234 may as well be a number with a fraction
        same_marks = [each for each in named if each.decimal == best.decimal and each.name != best.name]
        for other in sorted(same_marks, key=lambda each: -counts[each.name]):
            fresh = result.is_null() & reads[other.name].is_not_null()
            names += [other.name] if fresh.any() else []
            result = _or(result, reads[other.name])
    result = _or(result, pl.select(pl.when(dressed != "").then(reads["plain"]).otherwise(None)).to_series())
    names += [
        kind for kind in ("currency", "percent", "parentheses", "trailing_minus") if bool((dressed == kind).any())
    ]
    result = _signed(result, dressed)
    if bool((dressed == "percent").any()):
        confidence = min(confidence, 0.7)  # 12 % may mean 12 or 0.12; a person or autonomy decides
    return (result, names, confidence) if result.null_count() < len(result) else None


def _or(first: pl.Series, second: pl.Series) -> pl.Series:
    import polars as pl

    return pl.select(pl.coalesce([first, second])).to_series()


def _sureness(best: Notation, named: list[Notation], reads: dict[str, pl.Series]) -> float:
    """Low when another decimal mark reads as many of the same texts, and as other numbers."""
    mine = reads[best.name]
    for other in named:
        if other.decimal == best.decimal:
            continue
        both = mine.is_not_null() & reads[other.name].is_not_null()
        differ = both & (mine != reads[other.name]).fill_null(False)
        only_mine = mine.is_not_null() & reads[other.name].is_null()
        only_other = mine.is_null() & reads[other.name].is_not_null()
        if bool(differ.any()) and (not bool(only_mine.any()) or bool(only_other.any())):
            return 0.5
        if bool(only_other.any()):
            return 0.6
    return 0.95


def _undressed(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The texts without currency, percent, parentheses and trailing minus, and which of these each had."""
    import polars as pl

    stripped = texts.str.strip_chars()
    currency = stripped.str.contains(rf"^{_CURRENCY}\s*[+-]?[\d.]|\d\s*{_CURRENCY}$|^[+-]{_CURRENCY}")
    percent = stripped.str.ends_with("%")
    parentheses = stripped.str.contains(r"^\([^()]+\)$")
    trailing = stripped.str.contains(r"\d-$")
    kind = pl.select(
        pl.when(currency)
        .then(pl.lit("currency"))
        .when(percent)
        .then(pl.lit("percent"))
        .when(parentheses)
        .then(pl.lit("parentheses"))
        .when(trailing)
        .then(pl.lit("trailing_minus"))
        .when(stripped != texts)
        .then(pl.lit("spaces"))
        .otherwise(pl.lit(""))
    ).to_series()
    core = stripped.str.replace_all(rf"\s*{_CURRENCY}\s*", "").str.replace(r"\s*%$", "")
    core = core.str.replace(r"^\(([^()]+)\)$", "${1}").str.replace(r"^(.*\d)-$", "${1}")
    return core, kind


def _read(core: pl.Series, notation: Notation, *, whole: bool) -> pl.Series:
    """Plain numbers of the texts that look like the notation."""
    import polars as pl

    number = core.str.replace_all(notation.drop, "") if notation.drop else core
    if notation.decimal == ",":
        number = number.str.replace(",", ".", literal=True)
    number = number.str.replace(r"^([+-]?)\.", "${1}0.")
    fits = core.str.contains(notation.pattern)
    if whole:
        fits = fits & number.str.contains(r"^[+-]?\d+(?:\.0*)?$")
        number = number.str.replace(r"\.0*$", "")
    return pl.select(pl.when(fits).then(number).otherwise(None)).to_series()


def _sign(numbers: pl.Series, core: pl.Series) -> pl.Series:
    return numbers if len(numbers) == len(core) else core


def _signed(numbers: pl.Series, dressed: pl.Series) -> pl.Series:
    """Minus signs for parentheses and trailing minus."""
    import polars as pl

    negative = dressed.is_in(["parentheses", "trailing_minus"])
    return pl.select(pl.when(negative).then(pl.lit("-") + numbers).otherwise(numbers)).to_series()


PARSE_NUMBERS = _ParseNumbers(
    name="parse_numbers",
    tier=Tier.GUARDED,
    stage="rows",
    fits={
        "number_format_changed": Fit(38, 2, "Marks in numbers follow few conventions, and a column keeps to one."),
        "type_changed": Fit(3, 1, "A type that changed may be a number written differently."),
        "unknown": Fit(2, 2, "Worth a look when texts fail to become numbers."),
    },
)
