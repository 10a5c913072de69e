"""The taxonomy of failures: classes, and the causes that a diagnosis can name, each under one class.

The classifier chooses among these from evidence; a remedy says which of them it can help. All of it is data
(``taxonomy.toml``). A name is a promise: it is written into history and posteriors and is never given another meaning.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from shared.domain.checks import check
from shared.domain.incident import FailureClass

_FILE = Path(__file__).with_name("taxonomy.toml")
_CAUSE_KEYS = {"class", "definition", "evidence", "remedies", "advice", "recognised"}
_CLASS_KEYS = {"definition", "evidence"}


class Cause(NamedTuple):
    """Why something failed, as fine as a remedy needs to know it."""

    name: str
    failure_class: FailureClass
    meaning: str
    evidence: str  # by what it is seen
    remedies: tuple[str, ...]  # that fit, in the order in which they are tried
    advice: str  # what a person does where no remedy may
    recognised: bool  # False: no evidence decides it by itself, a person names it


class ClassMeaning(NamedTuple):
    """What a failure class is, and by what it is seen."""

    failure_class: FailureClass
    meaning: str
    evidence: str


@cache
def _told() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _cause(name: str, told: dict[str, Any]) -> Cause:
    check(set(told) <= _CAUSE_KEYS, f"taxonomy.toml: {name} has unknown keys")
    return Cause(
        name,
        FailureClass(told["class"]),
        told["definition"],
        told["evidence"],
        tuple(told["remedies"]),
        told["advice"],
        bool(told.get("recognised", True)),
    )


def _class(name: str, told: dict[str, Any]) -> ClassMeaning:
    check(set(told) <= _CLASS_KEYS, f"taxonomy.toml: {name} has unknown keys")
    return ClassMeaning(FailureClass(name), told["definition"], told["evidence"])


CAUSES: dict[str, Cause] = {name: _cause(name, told) for name, told in _told()["causes"].items()}
CLASSES: dict[FailureClass, ClassMeaning] = {
    FailureClass(name): _class(name, told) for name, told in _told()["classes"].items()
}
UNKNOWN = CAUSES["unknown"]


def failure_class_of(cause: str) -> FailureClass:
    """The failure class of a cause; ``unknown`` for a name that is not in the table."""
    return CAUSES.get(cause, UNKNOWN).failure_class
