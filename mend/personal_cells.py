"""Masks whole columns of personal data at once; the rules are those of ``personal_values`` and ``personal_data``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.domain.personal_data import JSON_KEY, PERSONAL, PUBLIC, PersonalColumns, kind_of_name
from shared.domain.personal_values import CARD_ISSUERS, DNI_LETTERS, IBAN_LENGTHS, ODD_WEIGHTS, SHAPES, hidden

if TYPE_CHECKING:
    import polars as pl

QUOTED_CHARACTERS_MIN = 3  # a shorter value is part of too many words to be looked for in an explanation


def masked_column(cells: pl.Series, treatment: str) -> pl.Series:
    """The column as people may see it: marks for personal data, all else (and nulls) as it is.

    A column of another type than text keeps its type where nothing is masked, and becomes text otherwise.
    """
    import polars as pl

    if treatment == PUBLIC:
        return cells
    if not treatment and any(kind_of_name(name) for name in _fields(cells.dtype)):
        treatment = PERSONAL
    if not treatment and cells.dtype != pl.String and not cells.dtype.is_nested():
        return cells  # a number, a date or a truth says nothing of a person by its pattern
    texts = _texts(cells)
    frame = pl.DataFrame({"text": texts, "kind": _kinds(texts) if not treatment else [treatment] * len(texts)})
    characters = pl.col("text").str.len_chars().cast(pl.String)
    told = pl.format("<{}, {} characters>", pl.col("kind"), characters)
    masked = frame.select(pl.when(pl.col("kind").is_not_null()).then(told).otherwise(pl.col("text"))).to_series()
    if not treatment and cells.dtype != pl.String and bool((masked == texts).all()):
        return cells
    return masked.alias(cells.name)


def masked_violations(violations: pl.Series, columns: PersonalColumns) -> pl.Series:
    """Lists of violations with their values masked as the cells are, and their explanations free of personal data."""
    import polars as pl

    name = violations.name
    long = violations.alias("each").to_frame().with_row_index("place").explode("each").drop_nulls("each").unnest("each")
    fields = [field for field in long.columns if field != "place"]
    parts = []
    for part in long.with_row_index("order").partition_by("column"):  # as many as there are columns with a reason
        value = part.get_column("value")
        seen = masked_column(value, columns.of(str(part.get_column("column")[0] or ""))).alias("value")
        was, value_told = pl.col("was").fill_null(""), pl.col("value").fill_null("")
        quoted = (
            pl.col("explanation").str.split(was).list.join(value_told)
        )  # a replacement with a text of each row's own
        told = pl.when((was != value_told) & (was.str.len_chars() >= QUOTED_CHARACTERS_MIN)).then(quoted)
        shown = part.with_columns(seen, value.alias("was"))
        parts.append(shown.with_columns(told.otherwise(pl.col("explanation")).alias("explanation")).drop("was"))
    if not parts:
        return violations
    whole = pl.concat(parts).sort("order")
    # Once the values are out of them, there are as many explanations as there are rules.
    for field in ("column", "explanation"):
        said = {text: hidden(text) for text in whole.get_column(field).drop_nulls().unique().to_list()}
        whole = whole.with_columns(pl.col(field).replace(said))
    lists = whole.group_by("place", maintain_order=True).agg(pl.struct(fields).alias(name))
    places = violations.to_frame().with_row_index("place").drop(name)
    return places.join(lists, on="place", how="left", maintain_order="left").get_column(name)


def _fields(kind: pl.DataType) -> Iterator[str]:
    """The names of the fields in nested cells, however deep."""
    import polars as pl

    if isinstance(kind, pl.List | pl.Array):
        yield from _fields(kind.inner)  # type: ignore[arg-type]
    elif isinstance(kind, pl.Struct):
        for field in kind.fields:
            yield field.name
            yield from _fields(field.dtype)  # type: ignore[arg-type]


def _texts(cells: pl.Series) -> pl.Series:
    import polars as pl

    from services.validate.native_casting import texts_of

    if not cells.dtype.is_nested():
        return texts_of(cells)
    wrapped = cells.alias("v").to_frame().select(pl.struct("v").struct.json_encode().str.head(-1).str.slice(5))
    return pl.select(pl.when(cells.is_not_null()).then(wrapped.to_series())).to_series()


def _kinds(texts: pl.Series) -> pl.Series:
    """For each text the kind of the first personal data in it, as a mark tells it; null without any."""
    import polars as pl

    found = pl.Series("kind", [None], dtype=pl.String).new_from_index(0, len(texts))
    frame = texts.alias("text").to_frame().with_row_index("place").drop_nulls()
    for shape in SHAPES:
        here = frame.select("place", "text", pl.col("text").str.extract_all(shape.pattern).alias("found"))
        here = here.filter(pl.col("found").list.len() > 0).explode("found")
        if shape.check:
            squeezed = here.get_column("found").str.replace_all("[ -]", "").str.to_uppercase()
            here = here.filter(_CHECKS[shape.check](squeezed))
        if not here.height:
            continue
        whole = pl.col("found") == pl.col("text").str.strip_chars()
        kind = pl.when(whole).then(pl.lit(shape.kind)).otherwise(pl.lit(f"text with {shape.kind}"))
        hits = here.unique("place", keep="first", maintain_order=True).select("place", kind.alias("kind"))
        found = found.scatter(hits.get_column("place"), hits.get_column("kind"))
        frame = frame.join(hits, on="place", how="anti")
    places = _records(frame)
    return found.scatter(places, [PERSONAL] * len(places))


def _records(frame: pl.DataFrame) -> pl.Series:
    """The places of texts that are JSON whose keys name personal data."""
    import polars as pl

    json = frame.filter(pl.col("text").str.contains(r"^\s*[\[{]"))
    keys = json.select("place", pl.col("text").str.extract_all(JSON_KEY).alias("key")).explode("key").drop_nulls()
    keys = keys.with_columns(pl.col("key").str.extract(JSON_KEY))
    personal = [key for key in keys.get_column("key").unique().to_list() if kind_of_name(key)]
    return keys.filter(pl.col("key").is_in(personal)).get_column("place").unique(maintain_order=True)


def _ibans(texts: pl.Series) -> pl.Series:
    """True where a text begins with an IBAN of its country's length with the right remainder."""
    import polars as pl

    text, length = pl.col("text"), pl.col("length")
    known = text.str.head(2).replace_strict(IBAN_LENGTHS, default=4, return_dtype=pl.Int64)  # 4: of no country
    frame = texts.alias("text").to_frame().with_columns(known.alias("length"))
    turned = text.str.slice(4, length - 4) + text.str.head(4)
    digits = turned.str.replace_many({chr(ord("A") + each): str(10 + each) for each in range(26)})
    # 34 characters of at most two digits, in pieces that an integer holds.
    padded = frame.select(digits.str.pad_start(72, "0").alias("digits"), pl.lit(0, pl.Int64).alias("rest"))
    for start in range(0, 72, 9):
        piece = pl.col("digits").str.slice(start, 9).cast(pl.Int64, strict=False)
        padded = padded.with_columns(rest=(pl.col("rest") * 10**9 + piece) % 97)
    whole = frame.select((length > 4) & (text.str.len_chars() >= length)).to_series()
    return whole & (padded.get_column("rest") == 1).fill_null(False)


def _cards(texts: pl.Series) -> pl.Series:
    import polars as pl

    padded = pl.col("text").str.pad_start(20, "0")
    total = pl.lit(0, pl.Int64)
    for place in range(20):
        number = padded.str.slice(place, 1).cast(pl.Int64, strict=False) * (1 if place % 2 else 2)
        total = total + number - pl.when(number > 9).then(9).otherwise(0)
    good = pl.col("text").str.contains(CARD_ISSUERS) & (total % 10 == 0)
    return texts.alias("text").to_frame().select(good.fill_null(False)).to_series()


def _codici_fiscali(texts: pl.Series) -> pl.Series:
    import polars as pl

    evens = {each: int(each, 36) - (0 if each.isdigit() else 10) for each in ODD_WEIGHTS}
    total = pl.lit(0, pl.Int64)
    for place in range(15):
        weights = evens if place % 2 else ODD_WEIGHTS
        total = total + pl.col("text").str.slice(place, 1).replace_strict(weights, default=0, return_dtype=pl.Int64)
    right = pl.lit("ABCDEFGHIJKLMNOPQRSTUVWXYZ").str.slice(total % 26, 1)
    return (
        texts.alias("text").to_frame().select((right == pl.col("text").str.slice(15, 1)).fill_null(False)).to_series()
    )


def _dnis(texts: pl.Series) -> pl.Series:
    import polars as pl

    number = pl.col("text").str.head(8).str.replace_many({"X": "0", "Y": "1", "Z": "2"}).cast(pl.Int64, strict=False)
    right = pl.lit(DNI_LETTERS).str.slice(number % 23, 1)
    return texts.alias("text").to_frame().select((right == pl.col("text").str.slice(8, 1)).fill_null(False)).to_series()


_CHECKS = {"iban": _ibans, "luhn": _cards, "codice": _codici_fiscali, "dni": _dnis}
