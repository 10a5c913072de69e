"""Precedents: what was decided once about a remedy with a certain signature holds for later batches of the pipeline.

```
healings/p{hash} = {kind: "question", about: "pipeline|remedy", pipeline, remedy, question, wake_at,
  wake: [answer keys whose waiting incidents are to be looked at again],
  answers: {answer key: {signature, state, remedy_id, by, reason, at, rename, decided_by_values}}}
```
A question is what is to be decided (which delivered column is each of these missing ones), an answer one way to settle
it. States of an answer: ``asked`` (a proposal waits), ``standing`` (the precedent), ``rejected``, ``expired``,
``withdrawn`` (undone, failed, or nobody waits for it any more).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.remediate.records import HEALINGS, Finding, Remedy, load_remedy
from shared.domain.ids import derive
from shared.domain.remedy import RemedyState
from shared.ports.state import State
from shared.ports.state_store import Where

if TYPE_CHECKING:
    from services.remediate.plans import Case, Plan

ANSWERS_MAX = 20
QUESTIONS_MAX = 100
POLICY = "policy"


@dataclass(slots=True)
class Answer:
    """One way to settle a question, and what became of it."""

    key: str
    signature: str
    state: str = ""
    remedy_id: str = ""  # the remedy that is asked about, or that made the precedent
    by: str = ""  # a person, or the policy
    reason: str = ""
    at: int = 0
    rename: dict[str, str] = field(default_factory=dict)
    decided_by_values: bool = False

    def document(self) -> dict[str, Any]:
        """What is kept of it."""
        names = ("signature", "state", "remedy_id", "by", "reason", "at", "rename", "decided_by_values")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Question:
    """All that was said about one question in one pipeline."""

    key: str
    pipeline: str
    remedy: str
    question: str
    answers: dict[str, Answer] = field(default_factory=dict)
    wake: list[str] = field(default_factory=list)
    wake_at: int = 0

    def answer(self, signature: str) -> Answer:
        """The answer with that signature, as new if nobody gave it yet."""
        key = derive("answer", self.key, signature, length=24)
        return self.answers.setdefault(key, Answer(key, signature))

    def in_state(self, *states: str) -> list[Answer]:
        """Answers in one of the states, the newest first."""
        return sorted((each for each in self.answers.values() if each.state in states), key=lambda each: -each.at)

    def call(self, answer: Answer, now: int) -> None:
        """Have the incidents that wait for an answer looked at again, by the next ticks."""
        if answer.key not in self.wake:
            self.wake.append(answer.key)
        self.wake_at = now

    def save(self, state: State) -> None:
        """Write the document; what is neither asked nor decided goes first when there are too many answers."""
        known = {each.key: each for each in self.answers.values() if each.state}
        for each in sorted(known.values(), key=lambda each: (each.state in ("asked", "standing", "rejected"), each.at)):
            if len(known) > ANSWERS_MAX:
                del known[each.key]
        document = {
            "kind": "question",
            "about": _about(self.pipeline, self.remedy),
            "pipeline": self.pipeline,
            "remedy": self.remedy,
            "question": self.question,
            "answers": {key: each.document() for key, each in known.items()},
            "wake": self.wake,
            "wake_at": self.wake_at,
        }
        state.put(HEALINGS, self.key, document)


def _about(pipeline: str, remedy: str) -> str:
    return f"{pipeline}|{remedy}"


def question_key(pipeline: str, remedy: str, question: str) -> str:
    """Key of the document about a question."""
    return "p" + derive("question", pipeline, remedy, question, length=24)


def load_question(state: State, key: str) -> Question | None:
    """The question with that key, if anything was said about it."""
    found = state.get(HEALINGS, key)
    if found is None or found.get("kind") != "question":
        return None
    answers = {key: Answer(key=key, **told) for key, told in found["answers"].items()}
    return Question(
        key, found["pipeline"], found["remedy"], found["question"], answers, list(found["wake"]), found["wake_at"]
    )


def question_of(state: State, pipeline: str, remedy: str, question: str) -> Question:
    """The question, as new if nothing was said about it yet."""
    key = question_key(pipeline, remedy, question)
    return load_question(state, key) or Question(key, pipeline, remedy, question)


def question_of_plan(state: State, pipeline: str, remedy: str, plan: Plan) -> Question | None:
    """The question that a plan answers; None when each case is one of its own."""
    if not plan.signature or not pipeline:
        return None
    return question_of(state, pipeline, remedy, plan.question or plan.signature)


def question_of_remedy(state: State, record: Remedy) -> tuple[Question, Answer] | None:
    """The question and answer that a remedy speaks to; None for a remedy without a signature."""
    signature = str(record.plan.get("signature", ""))
    if not signature or not record.pipeline:
        return None
    question = str(record.plan.get("question", "")) or signature
    found = question_of(state, record.pipeline, record.remedy, question)
    return found, found.answer(signature)


def answer_of_plan(state: State, case: Case, remedy: str, plan: Plan) -> Answer:
    """What was decided before about the same as the plan; an answer without a state where nothing was."""
    asked = question_of_plan(state, case.finding.pipeline, remedy, plan)
    answer = asked.answer(plan.signature) if asked is not None else Answer("", "")
    return answer if answer.state else _answer_of_reading(state, case, remedy, plan) or answer


def _answer_of_reading(state: State, case: Case, remedy: str, plan: Plan) -> Answer | None:
    """What a person approved in an earlier reading holds when the same bytes are read in the same way again."""
    healing, readings = case.healing, case.readings
    if healing is None or not readings or readings[-1] not in readings[:-1]:
        return None
    alike = [each for each in healing.attempts if readings[min(each.reading, len(readings)) - 1] == readings[-1]]
    known = [load_remedy(state, remedy_id) for attempt in alike for remedy_id in attempt.remedies]
    same = [each for each in known if each is not None and (each.remedy, each.plan) == (remedy, plan.told())]
    approved = [each for each in same if each.state == RemedyState.VERIFIED and each.decided_by not in ("", POLICY)]
    if not approved or any(each.undone_by for each in same):
        return None
    return Answer("", plan.signature, "standing", approved[-1].remedy_id, approved[-1].decided_by)


def asked(state: State, record: Remedy, now: int) -> str:
    """A proposal is made: others with the same signature will wait for it. The answer's key, or ""."""
    found = question_of_remedy(state, record)
    if found is None:
        return ""
    question, answer = found
    answer.state, answer.remedy_id, answer.by, answer.reason, answer.at = "asked", record.remedy_id, "", "", now
    answer.rename = dict(record.plan.get("rename", {}))
    answer.decided_by_values = bool(record.plan.get("decided_by_values", False))
    question.save(state)
    return answer.key


def decided(state: State, record: Remedy, verdict: str, by: str, reason: str, now: int) -> None:
    """A person said yes (``standing``) or no (``rejected``), or nobody did in time (``expired``)."""
    found = question_of_remedy(state, record)
    if found is None:
        return
    question, answer = found
    if answer.state == "asked" and answer.remedy_id != record.remedy_id:
        return  # another proposal asks the same
    answer.state, answer.remedy_id, answer.by, answer.reason, answer.at = verdict, record.remedy_id, by, reason, now
    answer.rename = dict(record.plan.get("rename", {}))
    question.call(answer, now)
    question.save(state)


def proved(state: State, record: Remedy, now: int) -> None:
    """A remedy that the policy let run was verified: it is a precedent now, unless somebody said otherwise."""
    found = question_of_remedy(state, record)
    if found is None or record.precedent:
        return
    question, answer = found
    if answer.state in ("standing", "rejected"):
        return
    waited = answer.state == "asked"
    answer.state, answer.remedy_id, answer.by, answer.at = "standing", record.remedy_id, POLICY, now
    answer.rename = dict(record.plan.get("rename", {}))
    if waited:
        question.call(answer, now)
    question.save(state)


def withdrawn(state: State, record: Remedy, reason: str, now: int) -> bool:
    """The remedy that made a precedent was undone, or failed, or its proposal is void: later ones are asked again."""
    found = question_of_remedy(state, record)
    if found is None:
        return False
    question, answer = found
    if answer.remedy_id != record.remedy_id or answer.state not in ("standing", "asked"):
        return False
    if answer.state == "asked":
        question.call(answer, now)
    answer.state, answer.reason, answer.at = "withdrawn", reason, now
    question.save(state)
    return True


def open_questions(state: State, pipeline: str, remedy: str) -> list[Question]:
    """What is asked about a remedy in a pipeline now."""
    found = state.query(HEALINGS, [Where("about", "==", _about(pipeline, remedy))], limit=QUESTIONS_MAX)
    known = [load_question(state, each.key) for each in found]
    return [each for each in known if each is not None and each.in_state("asked")]


def delivered_names(finding: Finding) -> set[str]:
    """The columns of a delivery that the contract does not know, as far as the evidence names them."""
    unexpected = [each for each in finding.evidence("unexpected") or [] if isinstance(each, dict)]
    candidates = [each for each in finding.evidence("candidates") or [] if isinstance(each, dict)]
    return {str(each.get("name", "")) for each in unexpected} | {str(each.get("delivered", "")) for each in candidates}


def learned_renames(state: State, finding: Finding) -> dict[str, str]:
    """What the pipeline knows of other names by now: missing column → the one such name that was delivered."""
    document = state.get("contracts", finding.pipeline) or {}
    here, missing = delivered_names(finding), {str(each) for each in finding.evidence("missing") or []}
    options: dict[str, set[str]] = {}
    for each in document.get("renames", []):
        if each["wanted"] in missing and each["delivered"] in here:
            options.setdefault(each["wanted"], set()).add(each["delivered"])
    return {wanted: names.pop() for wanted, names in options.items() if len(names) == 1}
