"""What people said of diagnoses, kept as cases: what a case says of its own incident, and of a report that is like it.

```
knowledge/judged:{incident_id} = {kind: "judged", incident_id, verdict: right|wrong, failure_class, cause, note, by, at,
  believed_class, believed_cause,      # what was believed when it was judged; of a named cause, by itself
  alike, family, words,                # by what a later report is found and compared
  pipeline, check, column, system}
```
A correction is of a belief: it counts where a report is alike and the same is believed of it again (or nothing is
known). Alike are findings of the same check of the same pipeline and column, and messages of the same system with
mostly the same words; what was said of the incident itself goes before all that was said of others. What people said
never makes a diagnosis surer than ``RELIED_ON_MAX``: no remedy that changes data runs by itself because of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.classify import records, wording
from services.classify.diagnosis import EVIDENCE_MAX, Diagnosis, Evidence, cause_of, diagnosed
from shared.domain.causes import CAUSES
from shared.domain.ids import derive
from shared.domain.incident import FailureClass, Origin
from shared.domain.masking import one_line
from shared.events.types import IncidentJudged, IncidentOpened
from shared.ports.state import State
from shared.ports.state_store import Document, Where

KNOWLEDGE: Final = "knowledge"
RELIED_ON_MAX: Final = 0.75
DOUBTED_MAX: Final = 0.5  # below what is acted upon
JUDGEMENTS_MAX: Final = 10  # of one incident
CASES_MAX: Final = 200
_WORDS_MAX: Final = 80
_LIKE: Final = 0.6  # share of words that two messages have in common
_CORRECTS: Final = 0.9
_AGREES: Final = 0.9


class Precedent(NamedTuple):
    """A judged case and how much a report is like it (0 … 1)."""

    case: Document
    likeness: float
    because: str
    own: bool = False  # said of this very incident


def case_key(incident: str) -> str:
    """Key of the document with what people said of an incident."""
    return f"judged:{incident}"


def judge(state: State, incident: Document, event: IncidentJudged, by_itself: Diagnosis) -> bool:
    """Keep what a person said, in the incident and as a case; a later word replaces an earlier one.

    ``by_itself`` is what is believed of the incident without anybody's word. False when nothing changes: the same was
    said before, or something later.
    """
    names = ("verdict", "failure_class", "cause", "note", "by", "believed_class", "believed_cause")
    said = {name: getattr(event, name) for name in names}
    known: list[Document] = incident.get("feedback", [])
    if known and event.time < known[-1]["at"]:
        return False
    about = ("incident_id", "family", "pipeline", "check", "column", "system")
    case = {
        "kind": "judged",
        **said,
        **_relative(event, incident["origin"], by_itself),
        **{name: incident.get(name, "") for name in about},
        "alike": _alike(incident["origin"], incident["family"], incident.get("system", ""), incident["pipeline"]),
        "words": _words(str(incident.get("message", ""))),
    }
    before = state.get(KNOWLEDGE, case_key(incident["incident_id"]))
    if before is not None and {**before, "at": 0} == {**case, "at": 0}:
        return False
    incident["feedback"] = [*known, {**said, "at": event.time}][-JUDGEMENTS_MAX:]
    state.put(records.INCIDENTS, incident["incident_id"], incident)
    state.put(KNOWLEDGE, case_key(incident["incident_id"]), {**case, "at": event.time})
    return True


def _relative(event: IncidentJudged, origin: str, by_itself: Diagnosis) -> Document:
    """The verdict on what is believed without anybody's word, when a cause was named or confirmed.

    Once an incident was corrected, people see the correction: who confirms that says that the belief behind it is
    wrong. A plain "wrong" stays what it is, of what was seen.
    """
    right = event.verdict == "right"
    given = (event.believed_class, event.believed_cause) if right else (event.failure_class, event.cause)
    named = _corrected({"failure_class": given[0], "cause": given[1]}, origin)
    if not named:
        return {}
    believed = {"believed_class": str(by_itself.failure_class), "believed_cause": by_itself.cause}
    if named == by_itself.cause:
        return {"verdict": "right", **believed}
    return {"verdict": "wrong", "failure_class": given[0], "cause": given[1], **believed}


def _alike(origin: str, family: str, system: str, pipeline: str) -> str:
    """What a case and a report must have in common to be compared at all."""
    if origin in (Origin.VIOLATION, Origin.DATASET):
        return derive("family", family, length=24)
    return derive("system", origin, (system or pipeline).casefold(), length=24)


def _words(message: str) -> list[str]:
    return sorted(dict.fromkeys(wording.words(wording.visible(message))))[:_WORDS_MAX]


def precedents(state: State, report: IncidentOpened, incident: Document) -> list[Precedent]:
    """Judged cases that are like the report, the likest and newest first; before them what was said of itself."""
    family = records.family_of(report)
    alike = _alike(report.origin, family, report.system, report.pipeline)
    stored = state.query(KNOWLEDGE, [Where("alike", "==", alike)], limit=CASES_MAX)
    words = set(_words(report.message)) if stored else set()
    others = [each.data for each in stored if each.key != case_key(incident["incident_id"])]
    near = [each for each in (_compared(case, report, family, words) for case in others) if each is not None]
    near.sort(key=lambda each: (-round(each.likeness, 2), -each.case["at"], each.case["incident_id"]))
    own = state.get(KNOWLEDGE, case_key(incident["incident_id"])) if incident.get("feedback") else None
    return [Precedent(own, 1.0, "", own=True), *near] if own is not None else near


def _compared(case: Document, report: IncidentOpened, family: str, words: set[str]) -> Precedent | None:
    if report.origin in (Origin.VIOLATION, Origin.DATASET):
        about = f"{report.check} {report.column}".strip()
        return Precedent(case, 1.0, f"the same check of the same pipeline ({about})")
    known = set(case["words"])
    if not words and not known:
        return Precedent(case, 1.0, "the same kind of report") if case["family"] == family else None
    likeness = len(words & known) / max(len(words | known), 1)
    if likeness < _LIKE:
        return None
    return Precedent(case, likeness, f"{likeness:.0%} of its words are the same")


def weighed(diagnosis: Diagnosis, origin: str, found: Sequence[Precedent]) -> Diagnosis:
    """The diagnosis with what people said of such failures before; as it was when nobody said anything that counts."""
    refuted: set[str] = set()
    for each in found:
        again = diagnosis.cause == each.case["believed_cause"]
        corrected = _corrected(each.case, origin)
        if each.case["verdict"] == "right" and again:
            return _confirmed(diagnosis, each)
        if corrected and corrected == diagnosis.cause:
            return _confirmed(diagnosis, each)
        if corrected and corrected not in refuted and (again or diagnosis.failure_class == FailureClass.UNKNOWN):
            return _replaced(diagnosis, corrected, each)
        if each.case["verdict"] == "wrong" and not corrected:
            refuted.add(each.case["believed_cause"])
            if again:
                return _doubted(diagnosis, each)
    return diagnosis


def _corrected(case: Document, origin: str) -> str:
    """The cause that a person named, or the one that the named class is for whoever saw it; "" when none was named."""
    if case["cause"] in CAUSES:
        return str(case["cause"])
    if case["failure_class"] in set(FailureClass):
        return cause_of(FailureClass(case["failure_class"]), origin)
    return ""


def _evidence(each: Precedent, said: str, weight: float) -> Evidence:
    who = one_line(str(each.case["by"]), 60)
    value = f"{who} said of this incident: {said}"
    if not each.own:
        value = f"{each.case['incident_id']}: {who} said {said}; {each.because}"
    return Evidence("person", "feedback", value[:200], round(weight, 3))


def _with(diagnosis: Diagnosis, evidence: Evidence, confidence: float, told: str, cause: str = "") -> Diagnosis:
    pieces = [evidence, *diagnosis.evidence]
    made = diagnosed(cause or diagnosis.cause, confidence, f"{told} {diagnosis.explanation}".strip(), pieces)
    if evidence not in made.evidence:  # heavier pieces are many; what people said is always shown
        made = made._replace(evidence=(*made.evidence[: EVIDENCE_MAX - 1], evidence))
    return made


def _said(each: Precedent, what: str) -> str:
    about = "" if each.own else f" of {each.case['incident_id']}, which is like it,"
    return f"{one_line(str(each.case['by']), 60)} said{about} that {what}."


def _confirmed(diagnosis: Diagnosis, each: Precedent) -> Diagnosis:
    weight = _AGREES * each.likeness
    surer = diagnosis.confidence + (1 - diagnosis.confidence) * weight / 2
    if diagnosis.failure_class == FailureClass.UNKNOWN:
        surer = 0.0  # that nothing is known of it does not become surer
    confidence = max(diagnosis.confidence, min(surer, RELIED_ON_MAX))
    what = f"{diagnosis.cause} is right"
    return _with(diagnosis, _evidence(each, what, weight), confidence, _said(each, what))


def _doubted(diagnosis: Diagnosis, each: Precedent) -> Diagnosis:
    what = f"{diagnosis.cause} is wrong"
    confidence = min(diagnosis.confidence / 2, DOUBTED_MAX)
    return _with(diagnosis, _evidence(each, what, each.likeness), confidence, _said(each, what))


def _replaced(diagnosis: Diagnosis, cause: str, each: Precedent) -> Diagnosis:
    weight = _CORRECTS * each.likeness
    what = f"it is {cause}, not {each.case['believed_cause']}"
    told = f"{_said(each, what)} By itself it looks like {diagnosis.cause}:"
    return _with(diagnosis, _evidence(each, what, weight), min(weight, RELIED_ON_MAX), told, cause)
