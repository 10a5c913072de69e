"""The violation profile of a finding: counts and shares that say what kind of failure it is, and never a cell value.

Everything is counted on distinct texts with their counts, chunk by chunk, so that memory does not grow with the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.validate import number_probes, text_probes
from services.validate.casting import TextRules, cast_texts
from services.validate.column_checks import bounds_of, has_format, pattern_supported
from services.validate.date_probes import DateForms
from services.validate.profile import rounded
from services.validate.units import unit_ratio
from shared.domain.text_formats import TEXT_FORMATS

if TYPE_CHECKING:
    import polars as pl

    from services.validate.baseline import Baseline
    from services.validate.findings import Failure, Rule
    from services.validate.profile import BatchProfile
    from services.validate.relationships import Parent
    from services.validate.staged_rows import Chunk
    from shared.domain.contract import Column

DISTINCT_MAX = 10_000
PROBED_MAX = 20_000  # distinct texts looked at per chunk
TYPES_TRIED = ("integer", "number", "boolean", "date", "timestamp")
_MOMENTS = ("date", "timestamp", "time")


class Evidence:
    """Collects what is known of one finding of one attempt."""

    def __init__(self, rule: Rule, column: Column | None, parent: Parent | None) -> None:
        self.rule = rule
        self.rows_failed = 0
        self.rows_digest = 0  # equal for findings on the same rows
        self.facts: dict[str, Any] = {}  # set from outside, such as the groups of a key
        self._column = column
        self._parent = parent
        self._first = self._last = 0
        self._distinct: pl.Series | None = None
        self._lengths = [0, 0, 0, 0]  # least, greatest, sum, texts
        self._probed = 0
        self._counts: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._dates = DateForms(column) if column is not None and self._about_moments(column) else None
        self._near: pl.DataFrame | None = None
        self._probes = self._make_probes()

    def _about_moments(self, column: Column) -> bool:
        return self.rule.check == "type" and column.logical_type in _MOMENTS

    def add(self, chunk: Chunk, cells: pl.Series | None, typed: pl.DataFrame, failure: Failure) -> None:
        """Take in the failing rows of a chunk; ``cells`` are their texts, None when it has no cells of its own."""
        rows = chunk.rows["_mend_row"].filter(failure.mask)
        low, high = int(rows.min()), int(rows.max())  # type: ignore[arg-type]
        self._first, self._last = (min(self._first, low) if self._first else low), max(self._last, high)
        self.rows_failed += rows.len()
        self.rows_digest ^= int(rows.hash(5).bitwise_xor() or 0)  # type: ignore[arg-type]
        if self.rule.check == "well_formed":
            kinds = chunk.rows["_mend_misfit"].filter(failure.mask).fill_null("unknown").value_counts()
            for kind, count in kinds.iter_rows():
                self._kinds[kind] = self._kinds.get(kind, 0) + count
        if cells is not None:
            self._add_texts(cells.drop_nulls())
        if self.rule.check == "range" and self._column is not None:
            self._add_sides(typed[self._column.name].filter(failure.mask), self._column)

    def _add_texts(self, texts: pl.Series) -> None:
        import polars as pl

        if not texts.len():
            return
        counted = texts.alias("value").to_frame().group_by("value", maintain_order=True).agg(pl.len().alias("count"))
        lengths = counted.select(pl.col("value").str.len_chars().alias("n"), "count")
        low, high = int(lengths["n"].min()), int(lengths["n"].max())  # type: ignore[arg-type]
        characters = int((lengths["n"].cast(pl.Int64) * lengths["count"]).sum())
        old = self._lengths
        self._lengths = [
            min(old[0], low) if old[3] else low,
            max(old[1], high),
            old[2] + characters,
            old[3] + texts.len(),
        ]
        hashes = counted["value"].hash(7)
        seen = hashes if self._distinct is None else pl.concat([self._distinct, hashes]).unique(maintain_order=True)
        self._distinct = seen.head(DISTINCT_MAX + 1)
        probed = counted.head(PROBED_MAX)
        self._probed += int(probed["count"].sum())
        if self._dates is not None:
            self._dates.add(probed)
        if self._probes:
            hits = probed.select(
                (pl.col("count") * probe.fill_null(False)).sum().alias(name) for name, probe in self._probes.items()
            )
            for name, count in hits.row(0, named=True).items():
                self._counts[name] = self._counts.get(name, 0) + int(count)
        if self._allowed() is not None:
            held = counted if self._near is None else pl.concat([self._near, counted])
            together = held.group_by("value", maintain_order=True).agg(pl.col("count").sum())
            self._near = together.head(text_probes.NEAR_DISTINCT_MAX + 1)

    def _add_sides(self, values: pl.Series, column: Column) -> None:
        for sign, bound in bounds_of(column):
            if bound is None:
                continue
            compare = {">=": values < bound, ">": values <= bound, "<=": values > bound, "<": values >= bound}
            side = "below_share" if sign.startswith(">") else "above_share"
            self._counts[side] = self._counts.get(side, 0) + int(compare[sign].sum())

    def _allowed(self) -> pl.Series | None:
        """The allowed texts of an enumeration or of a parent's single text key."""
        import polars as pl

        column = self._column
        if self.rule.check == "enum" and column is not None and column.logical_type == "string":
            return pl.Series([str(value) for value in column.enum], dtype=pl.String)
        keys = self._parent.keys if self._parent is not None else None
        if self.rule.check == "relationship" and keys is not None and keys.width == 1:
            texts = keys.to_series()
            return texts if texts.dtype == pl.String else None
        return None

    def _make_probes(self) -> dict[str, pl.Expr]:
        import polars as pl

        column, check = self._column, self.rule.check
        allowed = self._allowed()
        if allowed is not None:
            return text_probes.membership_probes(allowed)
        if column is None:
            return {}
        if check == "pattern" and pattern_supported(column.pattern):
            return text_probes.pattern_probes(lambda text: text.str.contains(column.pattern))
        if check == "format":
            return text_probes.pattern_probes(lambda text: has_format(text, TEXT_FORMATS[column.format]))
        if check == "length":
            length = text_probes.normalisations()["strip"](pl.col("value")).str.len_chars()
            fits = length >= (column.min_length or 0)
            return {"normalised.strip": fits & (length <= column.max_length) if column.max_length is not None else fits}
        if check == "multiple_of":
            number = pl.col("value").cast(pl.Float64, strict=False)
            return {"whole_share": number == number.round()}
        return self._type_probes(column) if check == "type" else {}

    def _type_probes(self, column: Column) -> dict[str, pl.Expr]:
        probes = {"null_word_share": text_probes.null_word(), "whitespace_share": _castable(column, strip=True)}
        if column.logical_type in ("integer", "number"):
            return probes | number_probes.number_probes(column.logical_type)
        if column.logical_type in _MOMENTS:
            return probes
        from shared.domain.contract import Column as AnyColumn

        for kind in TYPES_TRIED:
            probes[f"as_type_share.{kind}"] = _castable(AnyColumn(name="value", logical_type=kind))  # type: ignore[arg-type]
        return probes

    def evidence(self, rows: int, profile: BatchProfile, baseline: Baseline, alternatives: int) -> dict[str, Any]:
        """The finding's whole profile as plain JSON."""
        column = self._column.name if self._column is not None else ""
        found: dict[str, Any] = {
            "check": self.rule.check,
            "column": self.rule.column,
            "columns": list(self.rule.columns),
            "logical_type": self._column.logical_type if self._column is not None else "",
            "severity": self.rule.severity,
            "rows": rows,
            "rows_failed": self.rows_failed,
            "share_failed": rounded(self.rows_failed / rows) if rows else 0.0,
            "row_first": self._first,
            "row_last": self._last,
            "null_share": rounded(profile.null_share(column)),
            "distinct_failed": min(self._distinct.len(), DISTINCT_MAX) if self._distinct is not None else 0,
            "distinct_capped": self._distinct is not None and self._distinct.len() > DISTINCT_MAX,
            "length_min": self._lengths[0],
            "length_max": self._lengths[1],
            "length_mean": rounded(self._lengths[2] / self._lengths[3]) if self._lengths[3] else 0.0,
        }
        earlier = baseline.null_share(column) if column else {}
        if earlier:
            found["baseline"] = earlier
        found["hypotheses"] = self._hypotheses(profile, baseline, alternatives)
        return found

    def _hypotheses(self, profile: BatchProfile, baseline: Baseline, alternatives: int) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.facts)
        if alternatives and self.rule.check in ("type", "well_formed"):
            found["alternatives_count"] = alternatives
        if self._kinds:
            found["kinds"] = dict(sorted(self._kinds.items()))
        for name, count in self._counts.items():
            if count:
                share = rounded(
                    count / (self.rows_failed if name.endswith(("below_share", "above_share")) else self._probed)
                )
                _place(found, name, share)
        if "number_formats" in found:
            found["number_formats"].sort(key=lambda item: (-item["share"], item["format"]))
        if self._dates is not None and self._column is not None:
            found |= self._dates.evidence(profile.columns.get(self._column.name))
        allowed = self._allowed()
        if allowed is not None:
            found |= self._nearness(allowed)
        if self._parent is not None:
            found |= {
                "parent_table": self._parent.table,
                "parent_columns": list(self._parent.parent_columns),
                "parent_missing": self._parent.keys is None,
                "parent_keys": self._parent.keys.height if self._parent.keys is not None else 0,
            }
        if self.rule.check == "range" and self._column is not None:
            units = unit_ratio(profile.document().get(self._column.name, {}), baseline, self._column.name)
            if units:
                found["unit_ratio"] = units
        return found

    def _nearness(self, allowed: pl.Series) -> dict[str, Any]:
        found: dict[str, Any] = {"allowed": allowed.len()}
        if self._near is None or allowed.len() > text_probes.ALLOWED_MAX:
            return found
        values = self._near.head(text_probes.NEAR_DISTINCT_MAX).iter_rows()
        found["near_match_share"] = rounded(text_probes.near_match_share(values, allowed))
        if self._near.height > text_probes.NEAR_DISTINCT_MAX:
            found["near_capped"] = True
        return found


def _castable(column: Column, *, strip: bool = False) -> pl.Expr:
    """True for texts that become a value of the column's type."""
    import polars as pl

    def cast(values: pl.Series) -> pl.Series:
        return cast_texts(values, column, TextRules(null_values=())).is_not_null()

    text = text_probes.whitespace_free() if strip else pl.col("value")
    return text.map_batches(cast, return_dtype=pl.Boolean)


def _place(found: dict[str, Any], name: str, share: float) -> None:
    """Put a share where the evidence's shape wants it: a list of formats, a table of shares, or a share alone."""
    group, _, key = name.partition(".")
    if not key:
        found[group] = share
    elif group == "number_formats":
        found.setdefault(group, []).append({"format": key, "share": share})
    else:
        found.setdefault(group, {})[key] = share
