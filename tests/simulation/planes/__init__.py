"""Data planes: what the services' rows are made of."""

from __future__ import annotations

from tests.simulation.planes.plane import Plane


def plane_named(name: str) -> Plane:
    """``real`` (Polars, Parquet, DuckDB) or ``plain`` (lists, which are fast)."""
    if name == "real":
        from tests.simulation.planes.real import RealPlane

        return RealPlane()
    from tests.simulation.planes.plain import PlainPlane

    return PlainPlane()
