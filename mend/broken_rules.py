"""What is wrong with a delivery as a whole: everything it is held for, and every broken rule with its rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.validate.findings import DatasetFinding
    from shared.runtime.wiring import Process


def finding_told(finding: DatasetFinding) -> dict[str, Any]:
    """As a verdict's document tells it."""
    return {"check": finding.check, "message": finding.message, "holds": finding.holds}


def broken_rules(findings: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Every broken rule on the whole batch, from (check, column, evidence) of the findings."""
    return [
        {"check": name, "column": column, **rule} for name, column, seen in findings for rule in seen.get("rules", ())
    ]


def held_for(reason: str, findings: Iterable[Mapping[str, Any]]) -> str:
    """Everything that a delivery is held for, what decided first."""
    return ", ".join(dict.fromkeys([reason, *(str(each["check"]) for each in findings if each.get("holds"))]))


def broken_of(process: Process, batch_id: str) -> list[dict[str, Any]]:
    """As ``broken_rules``, of what validate told of a batch."""
    from shared.ports.state_store import Where

    found = process.store.query("incidents", (Where("batch_id", "==", batch_id),), limit=1_000)
    told = ((str(each.data["check"]), str(each.data["column"]), each.data["evidence_json"]) for each in found)
    return broken_rules((name, column, json.loads(text or "{}")) for name, column, text in told)
