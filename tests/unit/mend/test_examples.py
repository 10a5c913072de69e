"""Goal: the examples do what their page says. Method: run a copy of them with all services."""

from __future__ import annotations

import shutil
from pathlib import Path

from mend import audit, project, report, runner


def test_the_orders_example_ends_as_its_page_says(tmp_path: Path) -> None:
    folder = tmp_path / "orders"
    shutil.copytree(Path(__file__).parents[3] / "examples" / "orders", folder)
    for name in ("customers", "orders"):
        found, definition = project.of_pipeline(folder / "pipelines" / f"{name}.yaml", tmp_path / "store")
        process = project.open_process(found)
        runner.run_pipeline(process, definition.pipeline, wait_seconds_max=0.5)
    store = report.Store(process.store, process.objects)
    sums = report.totals(report.batches(store, "orders"))
    assert (sums["rows_read"], sums["rows_loaded"], sums["rows_quarantined"]) == (13, 11, 2)
    waiting = [entry["cause"] for entry in report.incidents(store) if report.waits_for_person([entry])]
    assert sorted(waiting) == ["orphan_rows", "out_of_range"]
    table = process.warehouse.query("SELECT status, COUNT(*) AS n FROM shop.orders GROUP BY status ORDER BY status")
    assert table.to_pydict() == {"status": ["cancelled", "open", "paid"], "n": [1, 3, 7]}
    assert audit.audit(process).ok
    process.close()


def test_lines_that_do_not_add_up_to_their_orders_are_held(tmp_path: Path) -> None:
    folder = tmp_path / "order_lines"
    shutil.copytree(Path(__file__).parents[3] / "examples" / "order_lines", folder)
    for name in ("totals", "lines"):
        found, definition = project.of_pipeline(folder / "pipelines" / f"{name}.yaml", tmp_path / "store")
        process = project.open_process(found)
        runner.run_pipeline(process, definition.pipeline, wait_seconds_max=0.5)
    store = report.Store(process.store, process.objects)
    sums = report.totals(report.batches(store, "lines"))
    assert (sums["rows_read"], sums["rows_loaded"], sums["rows_quarantined"]) == (5, 3, 2)
    (incident,) = report.incidents(store)
    assert (incident["check"], incident["cause"]) == ("quality:sql", "rule_broken")
    assert audit.audit(process).ok
    process.close()
