"""What the last batches before a delivery held: levels and identities, to tell which column continues which.

Few rows make no profile that may be kept, since it would nearly be their cells; they are read from where they passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.validate.identities import ROWS_MAX, Identity, identities
from shared.domain import paths
from shared.ports.state_store import Where

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from services.validate.baseline import Baseline
    from shared.domain.contract import Contract
    from shared.events.types import BatchStaged
    from shared.ports.object_store import ObjectStore
    from shared.ports.ports import Ports

BATCHES_MAX = 10
GAP_MAX = 3  # deliveries held since the last released one, beyond which that says nothing of what comes next
NUMERIC = ("integer", "number")


@dataclass(frozen=True, slots=True)
class RecentRows:
    """The last batches, oldest first: their profiles, and the numbers of those that are small."""

    profiles: tuple[Mapping[str, Any], ...]
    frames: tuple[pl.DataFrame | None, ...]

    def levels(self, column: str) -> list[float]:
        """The mean of each batch that has one."""
        found = []
        for profile, frame in zip(self.profiles, self.frames, strict=True):
            level = profile.get(column, {}).get("mean")
            if level is None and frame is not None and column in frame.columns:
                level = frame[column].mean()
            if level is not None:
                found.append(float(level))
        return found

    def identities(self, column: str) -> list[Identity]:
        """What the column kept to in all the rows at hand."""
        import polars as pl

        frames = [frame for frame in self.frames if frame is not None and frame.width]
        if not frames:
            return []
        steps = len(frames) == len(self.frames) and all(frame.height == 1 for frame in frames)
        return identities(pl.concat(frames, how="diagonal").tail(ROWS_MAX), column, steps=steps)

    @property
    def last(self) -> dict[str, float]:
        """The newest row's numbers, when every batch is one row."""
        frames = [frame for frame in self.frames if frame is not None]
        if not frames or len(frames) < len(self.frames) or any(frame.height != 1 for frame in frames):
            return {}
        return {name: value for name, value in frames[-1].row(0, named=True).items() if value is not None}


def recent_rows(event: BatchStaged, ports: Ports, baseline: Baseline, contract: Contract) -> RecentRows:
    """The newest batches of the baseline; nothing when several deliveries since then were not released."""
    objects = ports.objects
    since = [Where("pipeline", "==", event.pipeline), Where("seq", "<", event.seq)]
    if baseline.places:
        since.append(Where("seq", ">", baseline.places[0].seq))
        between = ports.state.query("deliveries", since, order_by="seq", limit=GAP_MAX + 1)
        if len(between) > GAP_MAX:
            return RecentRows((), ())
    numeric = [column.name for column in contract.columns if column.logical_type in NUMERIC]
    newest = list(zip(baseline.profiles, baseline.places, strict=False))[:BATCHES_MAX]
    profiles = tuple(profile for profile, _ in reversed(newest))
    frames = tuple(
        _numbers(objects, place.batch_id, place.attempt, numeric) if place.rows <= ROWS_MAX else None
        for _, place in reversed(newest)
    )
    return RecentRows(profiles, frames)


def _numbers(objects: ObjectStore, batch_id: str, attempt: int, names: list[str]) -> pl.DataFrame | None:
    import polars as pl

    parts = []
    for info in list(objects.list(paths.passed(batch_id, attempt))):
        with objects.read(info.path) as stream:
            rows = pl.read_parquet(stream)
        have = [name for name in names if name in rows.columns and rows.schema[name].is_numeric()]
        parts.append(rows.select(pl.col(have).cast(pl.Float64)))
    return pl.concat(parts, how="diagonal") if parts else None
