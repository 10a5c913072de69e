"""What an entry of the knowledge base says of a failure that is told in the words of its title.

An entry is written by our own people, a message by anybody. So an entry votes only where its title, word for word
(masked, stemmed, in any order), is the whole message or its first line, it names a cause, and whoever wrote it may
decide about remedies. It counts more than words that are less sure than it is, and never changes what codes decide,
nor makes a diagnosis surer than ``RELIED_ON_MAX``.
"""

from __future__ import annotations

from typing import Final

from services.classify import people, wording
from services.classify.diagnosis import EVIDENCE_MAX, Diagnosis, Evidence, diagnosed
from services.classify.judged import KNOWLEDGE, RELIED_ON_MAX
from shared.domain.causes import CAUSES
from shared.domain.ids import derive
from shared.domain.incident import FailureClass, Origin
from shared.domain.masking import excerpt, one_line
from shared.events.types import IncidentOpened
from shared.ports.definitions import Definitions
from shared.ports.state import State
from shared.ports.state_store import Document, Where

_WORDS_MIN: Final = 4  # fewer say too little to be about one failure
_ENTRIES_MAX: Final = 20
_NAMES: Final = 0.7  # how surely an entry's cause is that of a failure told in its words
_AGREES: Final = 0.5


def alike(text: str) -> str:
    """The same for texts of the same words; "" where they are too few."""
    words = sorted(set(wording.words(wording.visible(excerpt(text)))))
    return derive("title", *words, length=24) if len(words) >= _WORDS_MIN else ""


def weighed(diagnosis: Diagnosis, report: IncidentOpened, state: State, definitions: Definitions) -> Diagnosis:
    """The diagnosis with what an entry says of such failures; as it was when none does."""
    if report.origin in (Origin.VIOLATION, Origin.DATASET, Origin.DEAD_LETTER) or not report.message:
        return diagnosis
    entry = _entry(report, state, definitions)
    if entry is None:
        return diagnosis
    cause, title = str(entry["cause"]), one_line(str(entry["title"]), 100)
    said = f"The entry “{title}” of the knowledge base says that it is {cause}."
    if diagnosis.cause == cause and diagnosis.failure_class != FailureClass.UNKNOWN:
        surer = min(diagnosis.confidence + (1 - diagnosis.confidence) * _AGREES / 2, RELIED_ON_MAX)
        return _with(diagnosis, entry, _AGREES, max(diagnosis.confidence, surer), said, cause)
    if _is_doubtful(diagnosis):
        return _with(diagnosis, entry, _NAMES, _NAMES, f"{said} By itself it looks like {diagnosis.cause}:", cause)
    return _with(diagnosis, entry, 0.0, diagnosis.confidence, "", diagnosis.cause)


def _is_doubtful(diagnosis: Diagnosis) -> bool:
    by_words = all(each.source == "words" for each in diagnosis.evidence)
    return diagnosis.failure_class == FailureClass.UNKNOWN or (by_words and diagnosis.confidence < _NAMES)


def _entry(report: IncidentOpened, state: State, definitions: Definitions) -> Document | None:
    """The newest entry that is about it; None where there is none, or such name different causes."""
    told = {alike(report.message), alike(report.message.strip().partition("\n")[0])} - {""}
    if not told:
        return None
    stored = state.query(KNOWLEDGE, [Where("alike", "in", sorted(told))], limit=_ENTRIES_MAX)
    found = [each.data for each in stored if _counts(each.data, report, definitions)]
    if len({each["cause"] for each in found}) != 1:
        return None
    return max(found, key=lambda each: (each["at"], each["entry_id"]))


def _counts(entry: Document, report: IncidentOpened, definitions: Definitions) -> bool:
    holds = entry["kind"] == "entry" and not entry["withdrawn"] and entry["cause"] in CAUSES
    about = entry["pipeline"] in ("", report.pipeline)
    return holds and about and people.may_judge(definitions, str(entry["by"]))


def _with(diagnosis: Diagnosis, entry: Document, weight: float, confidence: float, said: str, cause: str) -> Diagnosis:
    value = f"{entry['entry_id']} “{one_line(str(entry['title']), 100)}”: {entry['cause']}"
    piece = Evidence("knowledge", str(entry["entry_kind"]), value[:200], weight)
    explanation = f"{said} {diagnosis.explanation}".strip()
    made = diagnosed(cause, confidence, explanation, [piece, *diagnosis.evidence])
    if piece not in made.evidence:
        made = made._replace(evidence=(*made.evidence[: EVIDENCE_MAX - 1], piece))
    return made
