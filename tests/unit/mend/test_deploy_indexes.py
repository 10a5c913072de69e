"""Every query that needs an index of several fields has one in the deployment: Firestore's emulator would not tell.

Method: the example project runs on a laptop with a store that refuses what has no index (as every process of
``tests/support/local_ports.py`` has one).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from mend import report
from mend.runner import run_pipeline
from services.notify.gauges import gauges
from services.notify.overdue import overdue
from shared.ports.definitions import DefinitionText
from shared.runtime import wiring
from shared.runtime.settings import load
from tests.support.indexed_store import MADE, IndexedStore, Shape
from tests.tidy.tree import ROOT


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
        store = IndexedStore(process.store)
        run_pipeline(replace(process, store=store), pipeline, wait_seconds_max=1.0)
        for asked in (pipeline, ""):  # as mend status does
            assert report.batches(report.Store(store, process.objects), asked)
        gauges(store, process.clock.now())
        overdue(store, Promising(process.definitions), process.metrics, process.clock.now())
        shapes |= store.shapes
    assert shapes, "the run asked nothing"
    assert shapes <= MADE, f"add to mend/deploy/description.py: {sorted(shapes - MADE)}"
