"""The taxonomy is one file, and it is whole: what the classifier can say stands in it, and what it names exists.

Method: every cause that stands in the classifier's code or tables is collected, the code by its syntax tree.
"""

import ast
from pathlib import Path

import pytest

import services.classify
from services.classify import codes, dataset_findings, diagnosis, exception_types
from services.remediate.registry import REMEDIES
from shared.domain.causes import CAUSES, CLASSES, failure_class_of
from shared.domain.incident import FailureClass

FOLDER = Path(services.classify.__file__).parent
GENERAL = {"release", "hold_for_person"}  # they fit anything, and stand where nothing finer does
# Calls whose cause is no literal: it comes from a table that is collected here, from a list of hypotheses, or is what a
# person named (the last one; the command refuses names that are not in the file).
FROM_TABLES = {"cause", "cause_of", "cause or diagnosis.cause"}


def _calls() -> list[ast.Call]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.py")]
    return [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("diagnosed", "_plain")
    ]


def _hypotheses() -> set[str]:
    """The first elements of the tuples that `violations._type_hypotheses` builds."""
    tree = ast.parse((FOLDER / "violations.py").read_text(encoding="utf-8"))
    function = next(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_type_hypotheses"
    )
    firsts = [node.elts[0] for node in ast.walk(function) if isinstance(node, ast.Tuple) and len(node.elts) == 5]
    return {node.value for node in firsts if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def emitted() -> set[str]:
    """Every cause that the classifier can say."""
    literal = {
        call.args[0].value
        for call in _calls()
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }
    tables = {
        *diagnosis._EXTERNAL.values(),
        *(cause for table in diagnosis._BY_ORIGIN.values() for cause in table.values()),
        *exception_types.OWN.values(),
        *codes.DESTINATION_REASONS.values(),
        *(cause for cause, _ in dataset_findings._PROBLEMS.values()),
    }
    return literal | tables | _hypotheses()


def test_no_cause_escapes_the_collection() -> None:
    for call in _calls():
        first = call.args[0]
        known = isinstance(first, ast.Constant) or ast.unparse(first).partition("(")[0] in FROM_TABLES
        assert known, f"collect where {ast.unparse(first)} comes from"
    assert len(_hypotheses()) >= 5
    assert len(emitted()) > 40


def test_every_cause_that_is_emitted_is_in_the_file_and_marked_so() -> None:
    assert emitted() <= CAUSES.keys()
    assert emitted() == {cause.name for cause in CAUSES.values() if cause.recognised}


def test_every_class_is_in_the_file_and_has_a_cause() -> None:
    assert set(CLASSES) == set(FailureClass)
    assert {cause.failure_class for cause in CAUSES.values()} == set(FailureClass)
    assert all(each.meaning.endswith(".") and each.evidence for each in CLASSES.values())


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_told_whole_and_its_remedies_are_those_of_the_registry(name: str) -> None:
    cause = CAUSES[name]
    assert cause.meaning.endswith(".")
    assert cause.evidence
    assert cause.advice.endswith(".")
    assert cause.remedies
    known = {remedy.name for remedy in REMEDIES}
    assert set(cause.remedies) <= known
    finer = [remedy.name for remedy in REMEDIES if name in remedy.fits]
    assert [each for each in cause.remedies if each not in GENERAL] == finer


def test_causes_asked_for_by_name_are_there() -> None:
    wanted = (
        *("column_renamed", "unit_changed", "encoding_broken", "late_delivery", "partial_delivery"),
        *("duplicate_delivery", "null_burst", "category_drift", "key_mismatch", "timezone_shifted"),
        *("columns_shifted", "leading_zeros_lost"),
    )
    assert set(wanted) <= CAUSES.keys()


def test_a_name_that_is_not_in_the_file_is_of_no_class() -> None:
    assert failure_class_of("no_such_cause") == FailureClass.UNKNOWN
