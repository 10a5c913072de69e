"""A challenger in shadow: another text model reads the same reports, and both verdicts are kept.

It decides nothing: what it says is written into the incident under ``shadow`` and read by ``mend learn --shadow``
alone. One that cannot be read, or fails on a report, is said in the log once and left out from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from services.classify import text_model
from services.classify.decision import diagnose
from services.classify.diagnosis import Diagnosis
from services.classify.text_model import TextModel
from shared.domain.errors import DefinitionError, InvariantBroken
from shared.domain.incident import Origin
from shared.events.types import IncidentOpened
from shared.ports.state_store import Document
from shared.runtime import settings

# What parts that do not fit each other raise, when they are read or when they meet a message.
_BROKEN: Final = (DefinitionError, InvariantBroken, ValueError, TypeError, LookupError, ArithmeticError)


@dataclass(slots=True)
class Challenger:
    """The model that the settings name; ``model`` is None when there is none, or it failed."""

    model: TextModel | None
    wrong: str = ""  # what is to be said of it in the log, once


@cache
def chosen() -> Challenger:
    """The challenger of this process, read once."""
    folder = settings.load().text_model_challenger
    if not folder:
        return Challenger(None)
    try:
        return Challenger(text_model.load(Path(folder)))
    except _BROKEN as error:
        return Challenger(None, f"{type(error).__name__}: {error}")


def shadow(report: IncidentOpened, champion: Diagnosis, note: Callable[[str, str], None]) -> Document | None:
    """Both verdicts on a report that was told in words, without what people said of such failures; None = none."""
    if not report.message or report.origin in (Origin.VIOLATION, Origin.DATASET):
        return None
    challenger = chosen()
    found = None
    if challenger.model is not None:
        try:
            with text_model.using(challenger.model):
                found = _beside(champion, challenger.model.version, diagnose(report))
        except _BROKEN as error:
            challenger.model, challenger.wrong = None, f"{type(error).__name__}: {error}"
    if challenger.wrong:
        note("challenger", f"the challenger is left out, and the model in use goes on: {challenger.wrong}")
        challenger.wrong = ""
    return found


def _beside(champion: Diagnosis, version: str, challenger: Diagnosis) -> Document:
    return {
        "champion": {"version": text_model.chosen().version, **_said(champion)},
        "challenger": {"version": version, **_said(challenger)},
    }


def _said(diagnosis: Diagnosis) -> Document:
    names = {"failure_class": str(diagnosis.failure_class), "cause": diagnosis.cause}
    return {**names, "confidence": diagnosis.confidence}
