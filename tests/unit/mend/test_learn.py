"""Goal: a model is trained, judged on what it has not seen, kept whole, and used when one says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skops.io
from typer.testing import CliRunner, Result

from mend.learning import calibration, catalogue, exam, report, training
from mend.learning.calibration import LABELS
from mend.learning.exam import Answers, Exam
from mend.learning.training import Example
from mend.main import app
from services.classify import text_model
from shared.domain.errors import DefinitionError
from shared.domain.incident import FailureClass

WORDS = {
    "disk_space_full": ["no space left on device while writing {}", "disk quota of {} exceeded on the volume"],
    "permission_denied": ["access to {} denied for this role", "not authorized to read {}, grant missing"],
    "network_timeout": ["connection to {} reset by peer", "could not reach {}, no route to host"],
}


def mend(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["learn", *map(str, arguments)])


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    rows = [
        {"message": text.format(f"thing{number}"), "label": label, "system": f"s{number}", "case": f"{label} {number}"}
        for label, texts in WORDS.items()
        for number in range(12)
        for text in texts
    ]
    file = tmp_path / "messages.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_model_is_kept_with_what_it_was_made_of(messages: Path, tmp_path: Path) -> None:
    ended = mend("--messages", messages, "--out", tmp_path / "models", "--json")
    assert ended.exit_code == 0, ended.output
    record = json.loads(ended.stdout)
    folder = Path(record["folder"])
    assert folder.name == record["version"]
    assert record["accuracy"] > 0.5
    assert {each.name for each in (folder / "report").iterdir()} == {
        "report.json", "report.html", "reliability.png", "confusion.png"
    }  # fmt: skip
    assert all((folder / "report" / name).read_bytes()[1:4] == b"PNG" for name in ("reliability.png", "confusion.png"))
    machine = skops.io.load(folder / "estimator.skops", trusted=[])
    model = text_model.load(folder)
    assert machine.coef_.shape == (len(set(machine.classes_)), len(model.vocabulary) + 2 * len(FailureClass))
    assert model.believe("no space left on device while writing x", {}).failure_class == "disk_space_full"
    listed = json.loads(mend("--list", "--out", tmp_path / "models", "--json").stdout)["models"]
    assert [each["version"] for each in listed] == [record["version"]]
    assert (record["judged"], record["calibration"] in calibration.WAYS) == (72, True)
    assert set(record["compared"]) == {"ours", "forest", "isotonic", "none", *calibration.WAYS}
    again = training.export(training.train(training.examples_of(messages)), tmp_path / "again")
    assert again == record["version"], "the same training is the same model"
    assert [each.name for each in (tmp_path / "models").iterdir()] == [record["version"]]


def test_it_is_used_when_one_says_so(messages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = training.export(training.train(training.examples_of(messages)), tmp_path / "model")
    shipped = text_model.load(text_model.FOLDER).version
    for chosen, expected in ((str(tmp_path / "model"), version), ("", shipped)):
        monkeypatch.setenv("MEND_TEXT_MODEL", chosen)
        text_model.chosen.cache_clear()
        assert text_model.current().version == expected
    text_model.chosen.cache_clear()


@pytest.mark.parametrize("damage", ["gone", "empty", "junk"])
def test_a_model_that_cannot_be_read(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    if damage != "gone":
        folder.mkdir()
        (folder / "model.json").write_text("{}")
        (folder / "weights.npz").write_bytes(b"" if damage == "empty" else b"PK\x03\x04junk")
    with pytest.raises(DefinitionError, match="no text model"):
        text_model.load(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "too few"),
        ('{"message": "x", "label": "disk_space_full"}\n' * 9, "too few"),
        ('{"message": "x", "label": "no_such_class"}\n', "jsonl:1: no_such_class is no failure class (labels: "),
        ('{"message": 7, "label": "unknown"}\n', "messages.jsonl:1: is no object with message and label"),
        ('{"message": "x", "label": ["unknown"]}\n', "messages.jsonl:1: is no object with message and label"),
        ("# a runbook\n", "messages.jsonl:1: is no JSON (JSON lines: "),
        ("[1]\n", "messages.jsonl:1: is no object with message and label"),
    ],
)
def test_messages_that_teach_nothing(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "messages.jsonl"
    file.write_text(text)
    ended = mend("--messages", file, "--out", tmp_path / "models")
    assert ended.exit_code != 0
    assert said in str(ended.exception)
    assert not (tmp_path / "models").exists()
    assert mend("--messages", tmp_path / "nowhere").exit_code != 0


SYSTEMS = ("alpha", "bravo", "carol", "delta", "echos", "foxes", "golfs", "hotel", "india", "julia")


@pytest.mark.parametrize("several", [True, False])
def test_it_is_less_sure_where_it_does_not_know_the_system(tmp_path: Path, several: bool) -> None:
    """Each system has words of its own: who knows them is always right, and who does not guesses."""
    labels = ("disk_space_full", "permission_denied")
    file = tmp_path / "messages.jsonl"
    with file.open("w") as out:
        for place, word in enumerate(SYSTEMS):
            for case in range(8):
                about = {"label": labels[place % 2], "system": word if several else "one", "case": f"{word} {case}"}
                out.write(json.dumps({"message": f"{word}lor {word}mip {word}tux", **about}) + "\n")
    training.export(training.train(training.examples_of(file)), tmp_path / "model")
    model = text_model.load(tmp_path / "model")
    known = model.believe("bravolor bravomip bravotux", {}).confidence
    strange = model.believe("quzlor quzmip quztux", {}).confidence
    assert known > 0.85
    assert strange < 0.75 if several else strange > 0.95, "of one system alone none is strange"


@pytest.fixture
def small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few known failures are enough where it is counted who judges whom."""
    few = tuple(each for label in FailureClass for each in _of(catalogue.entries(), label)[:12])
    monkeypatch.setattr(catalogue, "entries", lambda: few)


def _of(entries: Sequence[catalogue.Known], label: FailureClass) -> list[catalogue.Known]:
    return [each for each in entries if each.failure_class == label]


@pytest.mark.usefixtures("small_catalogue")
def test_the_exam_asks_for_all_messages_those_too_that_training_leaves_out(messages: Path, tmp_path: Path) -> None:
    """Three messages have the label of another class: training does not believe them, the exam counts them as wrong."""
    said = "no space left on device while writing odd"
    lying = [{"message": f"{said}{each}", "label": "network_timeout", "case": f"lie {each}"} for each in range(3)]
    file = tmp_path / "lying.jsonl"
    file.write_text(messages.read_text() + "".join(json.dumps(row) + "\n" for row in lying))
    examples = training.examples_of(file)
    trained, found = training.train(examples), report.figures(exam.sit(examples))
    assert sum(each.weight == 1.0 for each in trained.examples) < 75
    assert found["messages"] == 75
    wrong = found["confusion"]["counts"][LABELS.index(FailureClass.NETWORK_TIMEOUT)]
    assert wrong[LABELS.index(FailureClass.DISK_SPACE_FULL)] == 3
    assert found["accuracy"] <= 72 / 75


def test_a_message_is_learned_without_its_exceptions_name_too(messages: Path, tmp_path: Path) -> None:
    """The shorter form belongs to the message's case, is never judged, and is believed as the message is."""
    rows = [
        {
            "message": "shop.errors.LoadError: the disk quota of b is exceeded",
            "label": "disk_space_full",
            "case": "named",
        },
        {"message": "LoadError: two words", "label": "disk_space_full", "case": "short"},
    ]
    file = tmp_path / "named.jsonl"
    file.write_text(messages.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    given = training.examples_of(file)
    lesson = training.lesson_of(given)
    assert lesson.examples[: len(given)] == tuple(given)
    (bare,) = lesson.examples[len(given) :]
    (whole,) = (at for at, each in enumerate(given) if each.case == "named")
    assert (bare.text, bare.case, bare.weight < 1.0) == ("the disk quota of b is exceeded", "named", True)
    assert lesson.believed[-1] == lesson.believed[whole]
    assert len(lesson.counts) == len(lesson.believed) == len(given) + 1


@pytest.mark.usefixtures("small_catalogue")
def test_how_sure_it_may_be_is_learned_from_messages_too_that_are_not_believed(messages: Path, tmp_path: Path) -> None:
    said = "no space left on device while writing odd"
    lying = [{"message": f"{said}{each}", "label": "network_timeout", "case": f"lie {each}"} for each in range(3)]
    file = tmp_path / "lying.jsonl"
    file.write_text(messages.read_text() + "".join(json.dumps(row) + "\n" for row in lying))
    trained = training.train(training.examples_of(file))
    assert sum(each.weight == 1.0 for each in trained.examples) < 75
    assert len(trained.heard_labels) == 75 * 2, "judged by models that knew the system, and by such that did not"


def test_no_message_is_judged_by_a_training_that_saw_its_case(messages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[tuple[set[str], set[str]]] = []
    monkeypatch.setattr(exam.training, "train", lambda rest: rest)

    def answered(rest: Sequence[Example], asked: Sequence[Example]) -> dict[str, Answers]:
        rounds.append(({each.case for each in rest}, {each.case for each in asked}))
        return {exam.OURS: Answers(np.full(len(asked), 1), np.full(len(asked), 0.5))}

    monkeypatch.setattr(exam, "_answered", answered)
    sat = exam.sit(training.examples_of(messages))
    assert len(rounds) == 5
    assert not any(seen & asked for seen, asked in rounds)
    assert set.union(*(asked for _, asked in rounds)) == {each.case for each in sat.messages}
    assert (sat.answers[exam.OURS].said == 1).all(), "every message has an answer"


@pytest.mark.parametrize(
    ("useful", "way"),
    [("chance", "temperature"), ("shifted", "platt"), ("sign", "signs")],
)
def test_the_way_of_calibrating_is_chosen_by_what_holds(useful: str, way: str) -> None:
    """Beliefs that hold as often as their chance says; half as often; and such that another sign tells apart."""
    chance = np.random.default_rng(3)
    signs = np.zeros((4_000, 8 + len(FailureClass)))
    top = chance.uniform(0.3, 0.98, len(signs))
    signs[:, 0], signs[:, 1] = 1.0, np.log(top / (1 - top))
    signs[:, 6] = chance.uniform(0, 1, len(signs))
    holds = {"chance": top, "shifted": top / 2, "sign": 0.1 + 0.85 * (signs[:, 6] > 0.5)}[useful]
    right = chance.uniform(0, 1, len(signs)) < holds
    groups = [f"case {row // 4}" for row in range(len(signs))]
    assert calibration.chosen_way(signs, right, groups) == way


def test_the_report_counts_what_was_said_and_what_is_true() -> None:
    """Known answers: four messages, of which one is taken for another class and one is not acted upon."""
    first, second = 0, 1
    labels = [first, first, second, second]
    examples = tuple(Example("t", label, f"c{row}", "s", np.zeros(1)) for row, label in enumerate(labels))
    ours = Answers(np.array([first, second, second, second]), np.array([0.95, 0.95, 0.95, 0.5]))
    found = report.figures(Exam(examples, {exam.OURS: ours}))
    assert (found["messages"], found["accuracy"], found["coverage"]) == (4, 0.75, 0.75)
    assert found["selective_accuracy"] == 0.6667
    names = found["confusion"]["labels"]
    assert found["per_class"][names[first]] == {"messages": 2, "precision": 1.0, "recall": 0.5, "f1": 0.6667}
    assert found["per_class"][names[second]] == {"messages": 2, "precision": 0.6667, "recall": 1.0, "f1": 0.8}
    assert found["confusion"]["counts"][first][:2] == [1, 1]
    assert [(each["messages"], each["sure"], each["right"]) for each in found["reliability"]] == [
        (1, 0.5, 1.0), (3, 0.95, 0.6667)
    ]  # fmt: skip
    assert found["ece"] == pytest.approx(0.25 * 0.5 + 0.75 * abs(0.95 - 0.6667), abs=1e-3)
