"""Which checks each side ran, by kind, and how many rows it found failing, read from its own answer.

As a program it writes our side's last verdict; in a process of its own, since what the measuring process holds would
count as its children's memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Kinds = dict[str, dict[str, Any]]

_DATACONTRACT = {
    "field_is_present": "column present",
    "field_required": "required",
    "field_minimum": "range",
    "field_maximum": "range",
    "field_min_length": "length",
    "field_max_length": "length",
    "field_regex": "pattern",
    "field_enum": "enum",
    "field_relationships": "foreign key",
    "primary_key_unique": "unique",
    "row_count": "row count",
}
_OURS = {"relationship": "foreign key", "minimum": "range", "maximum": "range", "primary_key": "unique"}


def of_ours(verdict: dict[str, Any], rules: list[dict[str, Any]]) -> Kinds:
    """The contract's rules, with the rows that the verdict says broke them."""
    baseline = len(verdict["baseline"])
    ran = [rule for rule in rules if not rule["check"].startswith("shift") or baseline >= 5]
    failed = [
        (_OURS.get(each["check"], each["check"]), each["column"], each["rows_failed"]) for each in verdict["findings"]
    ]
    kinds = _collected([(rule["check"], rule.get("column", ""), 0) for rule in ran])
    _add(kinds, failed)
    return kinds


def of_datacontract(answer: dict[str, Any], columns: int) -> Kinds:
    """The checks it reports on flights; types hold because it casts every cell on reading."""
    checks = [each for each in answer["checks"] if each["model"] == "flights"]
    kinds = _collected([(_DATACONTRACT.get(each["type"], each["type"]), each["field"] or "", 0) for each in checks])
    failed = [each for each in checks if each["result"] != "passed"]
    _add(kinds, [(_DATACONTRACT[each["type"]], each["field"], each["diagnostics"]["value"]) for each in failed])
    kinds["type"] = {"rules": columns, "failed": {}, "how": "the reader's cast: one bad cell ends the test"}
    return kinds


def of_great_expectations(answer: list[dict[str, Any]]) -> Kinds:
    """The expectations it reports."""
    kinds = _collected([(each["check"], each["column"], 0) for each in answer])
    _add(kinds, [(each["check"], each["column"], each["failed"]) for each in answer if each["failed"]])
    return kinds


def _collected(checks: Iterable[tuple[str, str, int]]) -> Kinds:
    kinds: Kinds = {}
    for check, _, _ in checks:
        kinds.setdefault(check, {"rules": 0, "failed": {}})["rules"] += 1
    return kinds


def _add(kinds: Kinds, failed: Iterable[tuple[str, str, int]]) -> None:
    for check, column, rows in failed:
        kinds.setdefault(check, {"rules": 1, "failed": {}})["failed"][column] = rows


def _last_verdict(root: Path, name: str) -> dict[str, Any]:
    from mend import project, report

    process = project.open_process(project.of_root(root))
    found = report.batches(report.Store(process.store, process.objects), "flights")
    batch = next(each for each in found if each["input"].endswith(name))
    verdict = process.store.get("verdicts", f"{batch['batch_id']}:1")
    process.close()
    assert verdict is not None
    return {**dict(verdict.data), "batch": {key: batch[key] for key in batch if key.startswith("rows_")}}


if __name__ == "__main__":
    print(json.dumps(_last_verdict(Path(sys.argv[1]), sys.argv[2])))
