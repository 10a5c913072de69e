"""The files of a judged attempt: rows that pass as values, the others as they were staged, each with every reason."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from services.validate.findings import DatasetFinding, Rule
from services.validate.release import VALUE_CHARACTERS_MAX, VIOLATIONS
from services.validate.terms import Terms
from shared.domain import paths
from shared.domain.reading import ROW
from shared.ports.ports import Ports
from shared.ports.warehouse import BATCH_COLUMN, SEQ_COLUMN
from tests.simulation.planes import rows_file
from tests.simulation.planes.rows_file import Row, Rows


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule and the positions of the rows that break it."""

    rule: Rule
    places: list[int]


class PlainFiles:
    """The passed and the quarantined file of one attempt."""

    def __init__(self, terms: Terms, ports: Ports) -> None:
        self._terms = terms
        self._objects = ports.objects
        self._passed = paths.passed(terms.event.batch_id, terms.event.attempt)
        self._quarantine = paths.quarantine(terms.event.batch_id, terms.event.attempt)
        self.rows_passed = 0
        self.rows_quarantined = 0

    def write(self, staged: Rows, passing: list[Row], failures: list[Broken], held: DatasetFinding | None) -> None:
        """Release the rows that no failure marks; when ``held``, none."""
        passing = [] if held else passing
        if passing:
            event, columns = self._terms.event, self._terms.contract.columns
            names = [ROW, *[column.name for column in columns], BATCH_COLUMN, SEQ_COLUMN]
            types = ["integer", *[str(column.logical_type) for column in columns], "string", "string"]
            marked = [[*row, event.batch_id, event.seq] for row in passing]
            rows_file.write(self._objects, paths.part(self._passed, 0), Rows(names, types, marked))
        aside = self._aside(staged, failures, held)
        if aside:
            names, types = [*staged.columns, VIOLATIONS], [*staged.types, "list"]
            rows_file.write(self._objects, paths.part(self._quarantine, 0), Rows(names, types, aside))
        self.rows_passed, self.rows_quarantined = len(passing), len(aside)

    def _aside(self, staged: Rows, failures: list[Broken], held: DatasetFinding | None) -> list[Row]:
        """The rows set aside, each with its reasons."""
        reasons: dict[int, list[dict[str, Any]]] = defaultdict(list)
        blamed: set[int] = set()
        delivered = {new: old for old, new in self._terms.renamed.items()}
        for each in failures:
            rule = each.rule
            known = [delivered.get(name, name) for name in rule.columns]
            cells = [staged.place(name) for name in known if name in staged.columns]
            for place in each.places:
                row = staged.rows[place]
                value = row[cells[0]] if len(cells) == 1 else " | ".join(row[cell] or "" for cell in cells) or None
                reasons[place].append(_reason(rule.check, rule.column, value, rule.explanation))
            if rule.severity == "error":
                blamed.update(each.places)
        if held is not None:
            for place in range(len(staged.rows)):
                if place not in blamed:
                    reasons[place].append(_reason(held.check, held.column, None, held.message))
        aside = range(len(staged.rows)) if held is not None else sorted(blamed)
        return [[*staged.rows[place], reasons[place]] for place in aside]

    def finish(self) -> tuple[list[str], list[str]]:
        """Paths of the passed and of the quarantined files; what an interrupted run left besides is removed."""
        kept = []
        for folder, rows in ((self._passed, self.rows_passed), (self._quarantine, self.rows_quarantined)):
            path = paths.part(folder, 0)
            if not rows:
                self._objects.delete(path)
            kept.append([path] if rows else [])
        return kept[0], kept[1]


def _reason(check_name: str, column: str, value: str | None, explanation: str) -> dict[str, Any]:
    shown = value[:VALUE_CHARACTERS_MAX] if value is not None else None
    return {"check": check_name, "column": column, "value": shown, "explanation": explanation}
