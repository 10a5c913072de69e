"""What `mend taxonomy` tells of classes and causes, and how it refuses a name that is neither."""

import json

from typer.testing import CliRunner

from mend.main import app
from shared.domain.causes import CAUSES
from shared.domain.errors import DefinitionMissing
from shared.domain.incident import FailureClass


def told(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["taxonomy", *arguments])
    assert found.exit_code == 0, found.output
    return found.output


def test_all_classes_and_causes_are_listed() -> None:
    found = json.loads(told("--json"))
    assert [each["failure_class"] for each in found["classes"]] == [str(each) for each in FailureClass]
    assert sorted(cause["cause"] for each in found["classes"] for cause in each["causes"]) == sorted(CAUSES)
    assert "timezone_shifted *" in told()


def test_one_cause_says_what_it_is_how_it_is_seen_and_what_helps() -> None:
    text = told("unit_changed")
    assert "data_corruption / unit_changed" in text
    assert "remedies that fit: convert_unit" in text
    assert "mend feedback" not in text
    assert "a person names it: mend feedback INCIDENT --cause sign_flipped" in told("sign_flipped")
    assert json.loads(told("unit_changed", "--json"))["remedies"] == ["convert_unit"]


def test_a_class_lists_its_own_causes_alone() -> None:
    (only,) = json.loads(told("disk_space_full", "--json"))["classes"]
    assert [cause["cause"] for cause in only["causes"]] == ["external_disk", "disk_full"]


def test_an_unknown_name_is_refused_with_a_near_one() -> None:
    found = CliRunner().invoke(app, ["taxonomy", "unit_changd"])
    assert isinstance(found.exception, DefinitionMissing)
    assert 'did you mean "unit_changed"?' in str(found.exception)
