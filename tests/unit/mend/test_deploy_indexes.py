"""Every query that needs an index of several fields has one in the deployment: Firestore's emulator would not tell.

Method: the example project runs on a laptop with a store that notes the shapes of its queries.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mend import report
from mend.deploy.description import INDEXES
from mend.runner import run_pipeline
from services.notify.gauges import gauges
from services.notify.overdue import overdue
from shared.ports.definitions import DefinitionText
from shared.ports.state_store import Stored, Where
from shared.runtime import wiring
from shared.runtime.settings import load
from tests.tidy.tree import ROOT

Shape = tuple[str, tuple[str, ...], str, str]


class NotingStore:
    """The store, and the queries that were asked of it and one field's index does not answer."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.shapes: set[Shape] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        equal = tuple(sorted(each.field for each in where if each.op == "=="))
        ranged = {each.field for each in where if each.op in ("<", "<=", ">", ">=")} | ({order_by} - {""})
        for field in ranged - set(equal):
            if equal:
                self.shapes.add((collection, equal, field, "descending" if descending else "ascending"))
        assert len(ranged) <= 1, "a range over one field in the order of another"
        return self._store.query(collection, where, order_by, descending, limit)  # type: ignore[no-any-return]


class Promising:
    """The project's pipelines, which all promise that something comes."""

    def __init__(self, definitions: Any) -> None:
        self._definitions = definitions
        self.list = definitions.list

    def read(self, path: str) -> DefinitionText:
        found: DefinitionText = self._definitions.read(path)
        kept = [line for line in found.text.splitlines() if not line.startswith("alerts")]
        return found._replace(text="\n".join([*kept, "alerts: {freshness: 1h}"]))


def test_every_query_has_its_index(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "orders", tmp_path / "project")
    settings = load({}, root=str(tmp_path / "store"), project=str(tmp_path / "project"))
    shapes: set[Shape] = set()
    for pipeline in ("customers", "orders"):
        process = wiring.build(settings)
        noting = NotingStore(process.store)
        run_pipeline(replace(process, store=noting), pipeline, wait_seconds_max=1.0)
        for asked in (pipeline, ""):  # as mend status does
            assert report.batches(report.Store(noting, process.objects), asked)
        gauges(noting, process.clock.now())
        overdue(noting, Promising(process.definitions), process.metrics, process.clock.now())
        shapes |= noting.shapes
    made = {(name, tuple(sorted(fields)), order, way) for name, fields, order, way in INDEXES}
    assert shapes, "the run asked nothing"
    assert shapes <= made, f"add to mend/deploy/description.py: {sorted(shapes - made)}"
