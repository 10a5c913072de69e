"""What a person says of a diagnosis: kept, shown in the incident's story, and refused where it makes no sense."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mend.main import app
from shared.domain.errors import DefinitionMissing
from tests.unit.mend.small_project import HEADER, SmallProject, lines


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = SmallProject(tmp_path, healing="observe")
    rows = lines(1, 40).replace("2024-01-", "no day ")
    made.deliver("a.csv", HEADER + rows)
    made.run()
    return made


def mend(project: SmallProject, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--root", str(project.root)])


def incident(project: SmallProject) -> str:
    stored = project.process().store.query("incidents")
    return next(each.key for each in stored if each.data.get("check") == "type")


def said(project: SmallProject, *arguments: str) -> dict[str, Any]:
    found = mend(project, "feedback", incident(project), "--by", "ada", *arguments, "--json")
    assert found.exit_code == 0, found.output
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def test_feedback_is_kept_and_shown(project: SmallProject) -> None:
    told = said(project, "--cause", "timezone_shifted", "--note", "they moved to UTC")
    assert (told["feedback"]["verdict"], told["feedback"]["failure_class"]) == ("wrong", "data_corruption")
    text = mend(project, "explain", incident(project)).output
    believed = f"{told['feedback']['believed_class']}/{told['feedback']['believed_cause']}"
    assert f"ada: {believed} is wrong; it was data_corruption/timezone_shifted (they moved to UTC)" in text


def test_said_again_it_changes_nothing_and_a_later_word_replaces_it(project: SmallProject) -> None:
    first = said(project, "--wrong")
    assert said(project, "--wrong") == first
    assert (
        "said before; nothing changed" in mend(project, "feedback", incident(project), "--wrong", "--by", "ada").output
    )
    second = said(project, "--right")
    assert second["feedback"]["verdict"] == "right"
    assert [each["verdict"] for each in second["before"]] == ["wrong"]
    shown = mend(project, "explain", incident(project)).output
    assert shown.index("is right") < shown.index("before, ada")


def test_the_incident_itself_is_diagnosed_anew_and_said_twice_it_stays(project: SmallProject) -> None:
    found = mend(project, "feedback", incident(project), "--cause", "timezone_shifted", "--by", "ada")
    assert "it is taken for data_corruption/timezone_shifted now, 75 % sure" in found.output
    text = mend(project, "explain", incident(project)).output
    assert "data_corruption / timezone_shifted, 75 % sure" in text
    assert "ada said of this incident: it is timezone_shifted, not" in text
    told = said(project, "--wrong", "--cause", "timezone_shifted")
    assert told["before"] == []
    assert told["diagnosis"] == {"failure_class": "data_corruption", "cause": "timezone_shifted", "confidence": 0.75}
    assert said(project, "--right")["diagnosis"]["cause"] == "timezone_shifted"


def test_what_a_person_named_is_healed_by_the_remedy_that_fits_it(tmp_path: Path) -> None:
    made = SmallProject(tmp_path, healing="propose")
    made.deliver("a.csv", HEADER + lines(1, 40).replace("2024-01-", "no day "))
    made.run()
    key = incident(made)
    asked = {each.key: each.data for each in made.process().store.query("remedies")}
    assert asked
    assert mend(made, "feedback", key, "--cause", "duplicate_rows", "--by", "ada").exit_code == 0
    stored = made.process().store.get("incidents", key)
    finding = made.process().store.get("healings", key)
    assert stored is not None
    assert finding is not None
    assert (stored.data["cause"], finding.data["cause"]) == ("duplicate_rows", "duplicate_rows")
    after = {each.key: each.data for each in made.process().store.query("remedies")}
    assert not [each for each in after.values() if each["state"] == "proposed" and each["cause"] != "duplicate_rows"]
    assert {each: after[each]["state"] for each in asked} == dict.fromkeys(asked, "expired")


def test_of_one_that_is_healed_the_word_is_only_kept(tmp_path: Path) -> None:
    made = SmallProject(tmp_path, healing="guarded")
    made.deliver("a.csv", HEADER + lines(1, 40).replace("2024-01-01", "2024-01-01 "))
    process = made.run()
    (healed,) = [each for each in process.store.query("incidents") if each.data.get("state") == "healed"]
    found = mend(made, "feedback", healed.key, "--cause", "unit_changed", "--by", "ada")
    assert "it is healed, so its diagnosis stays" in found.output
    after = made.process().store.get("incidents", healed.key)
    assert after is not None
    assert after.data["cause"] == healed.data["cause"]
    assert after.data["feedback"][-1]["cause"] == "unit_changed"


def test_the_next_failure_like_it_is_diagnosed_with_it(project: SmallProject) -> None:
    first = said(project, "--cause", "timezone_shifted")["incident_id"]
    project.deliver("b.csv", HEADER + lines(41, 80).replace("2024-01-", "no day "))
    process = project.run()
    found = [each.data for each in process.store.query("incidents") if each.data.get("check") == "type"]
    (newest,) = [each for each in found if each["incident_id"] != first]
    assert newest["cause"] == "timezone_shifted"
    text = mend(project, "explain", newest["incident_id"]).output
    assert f"ada said of {first}, which is like it" in text
    assert "Times are hours away from what they were" in text


def test_naming_the_class_that_was_believed_is_saying_right(project: SmallProject) -> None:
    stored = project.process().store.get("incidents", incident(project))
    assert stored is not None
    told = said(project, "--class", stored.data["failure_class"])
    assert (told["feedback"]["verdict"], told["feedback"]["cause"]) == ("right", stored.data["cause"])


def test_an_incident_that_is_not_there_is_refused(project: SmallProject) -> None:
    found = mend(project, "feedback", "i000000000000", "--right")
    assert isinstance(found.exception, DefinitionMissing)
    assert "there is no incident i000000000000" in str(found.exception)


def test_the_policy_says_whose_word_counts(project: SmallProject) -> None:
    policy = project.folder / "policy.yaml"
    policy.write_text("approvals: {people: [ada]}\n", encoding="utf-8")
    refused = mend(project, "feedback", incident(project), "--wrong", "--by", "mallory")
    assert refused.exit_code == 1
    assert "mallory may not decide here" in refused.output
    policy.write_text("approvals: {people: [ada\n", encoding="utf-8")
    assert mend(project, "feedback", incident(project), "--wrong", "--by", "ada").exit_code == 1
    policy.write_text("approvals: {people: [ada]}\n", encoding="utf-8")
    assert said(project, "--wrong")["before"] == []


@pytest.mark.parametrize(
    ("arguments", "said_so"),
    [
        ([], "say one of --right, --wrong"),
        (["--right", "--wrong"], "say one of --right, --wrong"),
        (["--class", "disk_full_space"], "there is no class disk_full_space"),
        (["--cause", "unit_chaned"], "there is no cause unit_chaned"),
        (["--class", "disk_space_full", "--cause", "unit_changed"], "is a cause of"),
        (["--right", "--class", "disk_space_full"], "that is wrong"),
    ],
)
def test_what_makes_no_sense_is_refused(project: SmallProject, arguments: list[str], said_so: str) -> None:
    found = mend(project, "feedback", incident(project), *arguments)
    assert found.exit_code == 2
    assert said_so in " ".join(found.output.replace("│", " ").split())
    stored = project.process().store.get("incidents", incident(project))
    assert stored is not None
    assert "feedback" not in stored.data
