"""normalise_text: spaces, Unicode form, case and broken encodings, when the result is certainly what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.remediate.plans import Case, Fit, Plan, Played
from services.remediate.playbook.allowed_values import allowed_values
from services.remediate.playbook.cells import failing_texts, plan_of_mapping
from shared.domain.contract import Column
from shared.domain.remedy import Tier
from shared.domain.text_formats import TEXT_FORMATS

if TYPE_CHECKING:
    import polars as pl

MOJIBAKE_TEXTS_MAX = 20_000
_INVISIBLE = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
_NULL_WORDS = ["", "na", "n/a", "null", "none", "nan", "-", "--", "?", "#n/a", "nil"]


class _NormaliseText(Played):
    def plan(self, case: Case) -> Plan | None:
        """Clean texts that then fit: an allowed value, the pattern or format, the length, or the type."""
        import polars as pl

        found = failing_texts(case, self.name)
        if found is None:
            return None
        column, staged, values = found
        texts = values.get_column("value")
        known = allowed_values(case, column)
        folded = fold_to(texts, known) if known is not None else None
        fitting = _fitting(case.finding.check, column, texts)
        if folded is None and fitting is None:
            return None
        new = pl.select(pl.coalesce([each for each in (folded, fitting) if each is not None])).to_series()
        mapping = values.select(pl.col("value").alias("old")).with_columns(
            new.alias("new"), pl.lit(0.97).alias("confidence")
        )
        sentence = "Clean spaces, case and Unicode form of {values} texts in {column}, {rows} rows"
        return plan_of_mapping(case, self.name, column, staged, mapping.drop_nulls("new"), sentence, {}, 0.97)


def clean(texts: pl.Series) -> pl.Series:
    """NFKC, no invisible characters, no spaces around, single spaces inside."""
    cleaned = texts.str.normalize("NFKC").str.replace_all(_INVISIBLE, "").str.replace_all(r"\s+", " ")
    return cleaned.str.strip_chars()


def fold(texts: pl.Series) -> pl.Series:
    """What stays of a text when case, spaces and punctuation do not count, but where they change a number: 1-2, -5."""
    marked = clean(texts).str.to_lowercase().str.replace_all(r"^[^\p{L}\p{N}]*[-\u2212][^\p{L}\p{N}]*(\d)", "\0\0${1}")
    for _ in range(2):  # a digit between two marks is taken by the first
        marked = marked.str.replace_all(r"(\d)[^\p{L}\p{N}\x00]+(\d)", "${1}\0${2}")
    return marked.str.replace_all(r"[^\p{L}\p{N}\x00]+", "")


def fold_to(texts: pl.Series, known: pl.Series) -> pl.Series:
    """The one allowed value that differs from each text by case, spaces, punctuation or broken encoding only."""
    import polars as pl

    keys = pl.DataFrame({"fold": fold(known), "new": known}).filter(pl.col("fold") != "")
    single = keys.group_by("fold").agg(pl.col("new").first(), pl.len().alias("many")).filter(pl.col("many") == 1)
    asked = pl.DataFrame({"value": texts, "fold": fold(texts)})
    direct = asked.join(single, on="fold", how="left", maintain_order="left").get_column("new")
    missing = texts.filter(direct.is_null())
    if len(missing) == 0 or len(missing) > MOJIBAKE_TEXTS_MAX:
        return direct
    mended = pl.DataFrame({"value": missing, "fold": fold(unbroken(missing))}).join(single, on="fold", how="left")
    second = asked.join(
        mended.select("value", pl.col("new").alias("mended")), on="value", how="left", maintain_order="left"
    )
    return pl.select(pl.coalesce([direct, second.get_column("mended")])).to_series()


def unbroken(texts: pl.Series) -> pl.Series:
    """Texts whose encoding was taken for another one (`ZÃ¼rich`), put right; one pass over distinct texts."""
    import polars as pl

    told = texts.to_list()
    if all(text is None or text.isascii() for text in told):  # nothing was broken, and the engine need not be loaded
        return pl.Series(told, dtype=pl.String)
    import ftfy

    return pl.Series([ftfy.fix_encoding(text) if text else text for text in told], dtype=pl.String)


def _fitting(check: str, column: Column, texts: pl.Series) -> pl.Series | None:
    import polars as pl

    cleaned = clean(texts)
    if check == "pattern" and column.pattern:
        mended = clean(unbroken(texts)) if len(texts) <= MOJIBAKE_TEXTS_MAX else cleaned
        tries = [cleaned, cleaned.str.to_uppercase(), cleaned.str.to_lowercase(), mended]
        fits = [_where(each, _matches(each, column.pattern)) for each in tries]
        return pl.select(pl.coalesce(fits)).to_series()
    if check == "format" and column.format in TEXT_FORMATS:
        has = TEXT_FORMATS[column.format]
        kept = [cleaned.str.contains(each) for each in has.all_of]
        kept += [~cleaned.str.contains(each) for each in has.none_of]
        return _where(cleaned, pl.select(pl.all_horizontal(kept)).to_series())
    if check == "length":
        count = cleaned.str.len_chars()
        fits_length = (count >= (column.min_length or 0)) & (count <= (column.max_length or 2**31))
        return _where(cleaned, fits_length)
    if check == "type":
        words = cleaned.str.to_lowercase().is_in(_NULL_WORDS)
        plain = cleaned.str.contains(_TYPES.get(column.logical_type, r"^$"))
        as_null = words if column.nullable else pl.Series([False] * len(texts), dtype=pl.Boolean)
        empty = pl.select(pl.when(as_null).then(pl.lit("")).otherwise(None)).to_series()
        return pl.select(pl.coalesce([_where(cleaned, plain), empty])).to_series()
    return None


_TYPES = {
    "integer": r"^[+-]?\d{1,18}(?:\.0+)?$",
    "number": r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$",
    "date": r"^\d{4}-\d{2}-\d{2}$",
    "time": r"^\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?$",
    "timestamp": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?$",
    "boolean": r"^(?i:true|false|t|f|yes|no|y|n|1|0)$",
}


def _matches(texts: pl.Series, pattern: str) -> pl.Series:
    """Where the pattern is found, by the engine if it knows the pattern's syntax, else by Python on distinct texts."""
    import re

    import polars as pl

    try:
        return texts.str.contains(pattern)
    except pl.exceptions.ComputeError:
        known = re.compile(pattern)
        return pl.Series([bool(known.search(text)) for text in texts.to_list()], dtype=pl.Boolean)


def _where(texts: pl.Series, fits: pl.Series) -> pl.Series:
    import polars as pl

    return pl.select(pl.when(fits).then(texts).otherwise(None)).to_series()


NORMALISE_TEXT = _NormaliseText(
    name="normalise_text",
    tier=Tier.GUARDED,
    stage="rows",
    fits={
        "value_not_normalised": Fit(48, 2, "Only case, spaces and Unicode form change, and the result is allowed."),
        "value_misspelled": Fit(48, 2, "Whatever differs by case or punctuation only is safer than the nearest word."),
        "value_unknown": Fit(48, 2, "Some unknown values are allowed ones with broken encoding."),
        "orphan_rows": Fit(48, 2, "A key that differs from a parent's by case or spaces means that parent."),
        "pattern_broken": Fit(24, 1, "Spaces and case often are all that breaks a pattern."),
        "out_of_range": Fit(12, 1, "Spaces around a text make it too long."),
        "number_format_changed": Fit(6, 1, "Spaces and null words are no numbers."),
        "date_format_changed": Fit(6, 1, "Spaces and null words are no dates."),
        "type_changed": Fit(4, 1, "Spaces and null words break every type."),
        "null_burst": Fit(12, 1, "Words such as NA are nulls of another system."),
    },
)
