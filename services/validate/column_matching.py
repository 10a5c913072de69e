"""Missing and unexpected columns: what each unexpected one holds, and which missing one it may be."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

from services.validate.casting import TextRules, cast_frame, cast_texts
from services.validate.column_checks import cell_rules, failing_cells
from services.validate.profile import BatchProfile, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from services.validate.drift import Baseline
    from services.validate.staged_rows import Chunk
    from shared.domain.contract import Column, Contract

NAMES_SHOWN = 200
NAME_CHARACTERS = 200
COLUMNS_TRIED = 60  # of each kind; beyond that only names are compared
ROWS_TRIED = 4_096  # of a chunk, evenly spaced, when a column is tried as each missing one
CANDIDATES_PER_COLUMN = 3
CANDIDATES_SHOWN = 60
# From the narrowest: the first that all values fit is the column's type.
TYPES_TRIED = ("boolean", "integer", "number", "date", "timestamp", "time")


class Mismatch(NamedTuple):
    """Contract columns that did not come, and delivered ones that nobody expects."""

    missing: tuple[Column, ...]
    unexpected: tuple[str, ...]


def compare_columns(delivered: Sequence[str], contract: Contract, accepted: Iterable[str]) -> Mismatch:
    """By exact name; an accepted new column may be absent."""
    have, optional = set(delivered), set(accepted)
    missing = tuple(column for column in contract.columns if column.name not in have and column.name not in optional)
    known = set(contract.column_names)
    return Mismatch(missing, tuple(name for name in delivered if name not in known))


def name_similarity(left: str, right: str) -> float:
    """0 … 1: letters in order, or words in any order, whichever is nearer."""
    one, two = _words(left), _words(right)
    if not one or not two:
        return 0.0
    letters = difflib.SequenceMatcher(None, "".join(one), "".join(two), autojunk=False).ratio()
    words = 2 * len(set(one) & set(two)) / (len(set(one)) + len(set(two)))
    return rounded(max(letters, words))


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name
    return re.findall(r"[a-z]+|[0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain).lower())


class ColumnTrial:
    """Looks through all rows at the unexpected columns: of which type they are, and whether they fit a missing one."""

    def __init__(self, mismatch: Mismatch, rules: TextRules) -> None:
        self._mismatch = mismatch
        self._rules = rules
        self._tried = mismatch.unexpected[:COLUMNS_TRIED]
        self._rows = 0
        self._nulls: dict[str, int] = {}
        self._as_type: dict[tuple[str, str], int] = {}
        self._sampled: dict[str, int] = {}
        self._fits: dict[tuple[str, str], int] = {}
        self._profiles: dict[tuple[str, str], BatchProfile] = {}

    def add(self, chunk: Chunk) -> None:
        """Take in a chunk's rows."""
        import polars as pl

        rows = chunk.rows.filter(~chunk.raw)
        self._rows += rows.height
        for name in self._tried:
            cells = rows[name]
            if cells.dtype == pl.String:
                cells = cells.filter(~cells.is_in(list(self._rules.null_values)))
            cells = cells.drop_nulls()
            self._nulls[name] = self._nulls.get(name, 0) + rows.height - cells.len()
            for kind in TYPES_TRIED:
                self._count(self._as_type, (name, kind), _typed_count(cells, kind, self._rules))
            sample = cells.gather_every(max(1, cells.len() // ROWS_TRIED))
            self._sampled[name] = self._sampled.get(name, 0) + sample.len()
            for column in self._mismatch.missing[:COLUMNS_TRIED]:
                self._try(sample, name, column)

    def _count(self, counts: dict[tuple[str, str], int], key: tuple[str, str], number: int) -> None:
        counts[key] = counts.get(key, 0) + number

    def _try(self, cells: pl.Series, name: str, column: Column) -> None:
        cast = cast_frame(cells.alias(column.name).to_frame(), [column], self._rules)
        failed = cast.frame[column.name].is_null()
        for failure in failing_cells(cast.frame, cell_rules([column], ()), {}):
            failed = failed | failure.mask
        self._count(self._fits, (column.name, name), cells.len() - int(failed.sum()))
        self._profiles.setdefault((column.name, name), BatchProfile()).add(cast.frame)

    def unexpected(self) -> list[dict[str, Any]]:
        """Type profile of each unexpected column."""
        return [self._described(name) for name in self._mismatch.unexpected[:NAMES_SHOWN]]

    def _described(self, name: str) -> dict[str, Any]:
        if name not in self._nulls or not self._rows:
            return {"name": name[:NAME_CHARACTERS], "logical_type": "string", "null_share": 0.0, "shares": {}}
        values = self._rows - self._nulls[name]
        shares = {kind: rounded(self._as_type[name, kind] / values) for kind in TYPES_TRIED if values}
        fitting = [kind for kind, share in shares.items() if share == 1.0 and not _only_digits(kind, shares)]
        return {
            "name": name[:NAME_CHARACTERS],
            "logical_type": fitting[0] if fitting else "string",
            "null_share": rounded(self._nulls[name] / self._rows),
            "shares": {kind: share for kind, share in shares.items() if share},
        }

    def candidates(self, baseline: Baseline) -> list[dict[str, Any]]:
        """Which unexpected column may be which missing one, best first."""
        found: list[dict[str, Any]] = []
        for column in self._mismatch.missing[:COLUMNS_TRIED]:
            own = [self._candidate(column, name, baseline) for name in self._tried]
            own.sort(key=_rank, reverse=True)
            found += own[:CANDIDATES_PER_COLUMN]
        found.sort(key=_rank, reverse=True)
        return found[:CANDIDATES_SHOWN]

    def _candidate(self, column: Column, name: str, baseline: Baseline) -> dict[str, Any]:
        synonyms = {_plain(word) for word in (*column.synonyms, column.logical_name) if word}
        values = self._sampled.get(name, 0)
        item: dict[str, Any] = {
            "missing": column.name[:NAME_CHARACTERS],
            "delivered": name[:NAME_CHARACTERS],
            "synonym": _plain(name) in synonyms,
            "name_similarity": max(name_similarity(name, word) for word in (column.name, *column.synonyms)),
            "fits_share": rounded(self._fits.get((column.name, name), 0) / values) if values else 0.0,
            "null_share": rounded(self._nulls.get(name, 0) / self._rows) if self._rows else 0.0,
            "null_allowed": column.nullable,
        }
        profile = self._profiles.get((column.name, name))
        similar = _profile_similarity(profile.document().get(column.name, {}) if profile else {}, baseline, column.name)
        return item if similar is None else item | {"profile_similarity": similar}


def _typed_count(cells: pl.Series, kind: str, rules: TextRules) -> int:
    import polars as pl

    from shared.domain.contract import Column

    column = Column(name="x", logical_type=kind)  # type: ignore[arg-type]
    bare = rules._replace(null_values=())
    if cells.dtype == pl.String:
        return cells.len() - cast_texts(cells, column, bare).null_count()
    return cells.len() - cast_frame(cells.alias("x").to_frame(), [column], bare).frame["x"].null_count()


def _only_digits(kind: str, shares: Mapping[str, float]) -> bool:
    """0 and 1 are numbers before they are truth values."""
    return kind == "boolean" and shares.get("integer", 0.0) == 1.0


def _plain(name: str) -> str:
    return "".join(_words(name)) or name


def _rank(item: Mapping[str, Any]) -> tuple[float, str, str]:
    likeness = 0.5 * float(item["name_similarity"]) + 0.3 * float(item["fits_share"])
    likeness += 0.2 * float(item.get("profile_similarity", 0.5)) + (1.0 if item["synonym"] else 0.0)
    return likeness, str(item["missing"]), str(item["delivered"])


def _profile_similarity(facts: Mapping[str, Any], baseline: Baseline, column: str) -> float | None:
    """1 when mean and spread are the earlier batches' medians, falling with their ratio; None when unknown."""
    from statistics import median

    means, spreads = baseline.facts(column, "mean"), baseline.facts(column, "spread")
    if "mean" not in facts or not means or not spreads:
        return None
    width = max(median(spreads), 1e-9)
    distance = abs(facts["mean"] - median(means)) / width
    ratio = min(facts["spread"], width) / max(facts["spread"], width)
    return rounded(ratio / (1 + distance))
