"""Rows that fail, as ``mend contract test`` tells them: all counted, all named in a file on request, some shown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from services.validate.release import failing_rows, with_reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from services.validate.findings import DatasetFinding, Failure
    from services.validate.staged_rows import Chunk
    from shared.ports.object_store import ObjectStore

Key = tuple[str, str]  # check and column


class _OfChunk(NamedTuple):
    failed: int
    counts: Mapping[Key, int]
    shown: pl.DataFrame | None  # as in quarantine: staged cells and all reasons


class FailingRows:
    """By chunk, so that a chunk that is judged again replaces what it brought; of rows that pass nothing is kept.

    With ``objects`` every failing row's number and reasons are written there, a file for each chunk below ``folder``.
    """

    def __init__(self, shown: int, objects: ObjectStore | None = None, folder: str = "") -> None:
        self._shown = shown
        self._objects = objects
        self._folder = folder
        self._chunks: dict[int, _OfChunk] = {}
        self._explanations: dict[Key, str] = {}

    def write(
        self,
        chunk: Chunk,
        typed: pl.DataFrame,
        failures: Sequence[Failure],
        held: DatasetFinding | None,
        delivered: Mapping[str, str],
    ) -> None:
        """Take a judged chunk; when ``held``, all of its rows fail."""
        import polars as pl

        failing = failing_rows(chunk.rows.height, failures)
        if failing is None:
            failing = pl.repeat(False, chunk.rows.height, dtype=pl.Boolean, eager=True)
        masks = self._masks(failures, failing, held)
        aside = failing if held is None else ~failing | failing
        counts = {key: int((mask & aside).sum()) for key, mask in masks.items()}
        shown = None
        if self._shown and failing.any():  # what waits only because the whole is held is counted, not shown
            places = failing.arg_true().head(self._shown)
            few = [failure._replace(mask=failure.mask.gather(places)) for failure in failures]
            shown = next(with_reasons(chunk.rows[places], few, None, held, delivered))
        self._chunks[chunk.number] = _OfChunk(int(aside.sum()), counts, shown)
        if self._objects is not None:
            self._name(chunk, masks, aside)

    def _masks(
        self, failures: Sequence[Failure], failing: pl.Series, held: DatasetFinding | None
    ) -> dict[Key, pl.Series]:
        """The rows that break a check on a column by any of its rules; ``held`` is for those without an error."""
        masks: dict[Key, pl.Series] = {}
        for rule, mask in failures:
            masks[rule.key] = masks[rule.key] | mask if rule.key in masks else mask
            self._explain(rule.key, rule.explanation)
        if held is not None:
            key = (held.check, held.column)
            masks[key] = masks[key] | ~failing if key in masks else ~failing
            self._explain(key, held.message)
        return masks

    def _explain(self, key: Key, explanation: str) -> None:
        self._explanations[key] = min(self._explanations.get(key, explanation), explanation)

    def _name(self, chunk: Chunk, masks: Mapping[Key, pl.Series], aside: pl.Series) -> None:
        import polars as pl

        numbers = chunk.rows["_mend_row"]
        named = [
            pl.DataFrame({"row": numbers.filter(mask & aside)}).with_columns(
                pl.lit(check).alias("check"), pl.lit(column).alias("column")
            )
            for (check, column), mask in masks.items()
        ]
        path = f"{self._folder}/part-{chunk.number:05}.parquet"
        if self._objects is None or not named:
            return
        with self._objects.write(path) as stream:
            pl.concat(named).sort("row", maintain_order=True).write_parquet(stream, compression="snappy")

    @property
    def rows(self) -> int:
        """How many rows fail."""
        return sum(each.failed for each in self._chunks.values())

    @property
    def reasons(self) -> list[dict[str, object]]:
        """``{"check", "column", "rows", "explanation"}`` of every check that a failing row breaks, most rows first."""
        counts: Counter[Key] = Counter()
        for each in self._chunks.values():
            counts.update(each.counts)
        found = sorted((-rows, *key) for key, rows in counts.items() if rows)
        return [
            {"check": check, "column": column, "rows": -rows, "explanation": self._explanations[check, column]}
            for rows, check, column in found
        ]

    def named(self) -> Iterator[pl.DataFrame]:
        """``row``, ``check`` and ``column`` of every failing row, in order; nothing without ``objects``."""
        import polars as pl

        for info in self._objects.list(f"{self._folder}/") if self._objects is not None else ():
            with self._objects.read(info.path) as stream:  # type: ignore[union-attr]
                yield pl.read_parquet(stream)

    def shown(self) -> Iterator[pl.DataFrame]:
        """The first failing rows of each chunk, in order."""
        for _, each in sorted(self._chunks.items()):
            if each.shown is not None:
                yield each.shown
