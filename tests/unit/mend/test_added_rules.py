"""Goal: a package's check and remedy work as ours do, and what is wrong with one is said and loses nothing.

The example of the documentation, with its metadata laid out in a folder as an installer leaves it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mend.audit import audit
from services.remediate.added_remedies import added_remedy
from tests.unit.mend.small_project import CONTRACT, SmallProject

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "added_rules"
CARD = """{name: city, logicalType: string, quality: [{type: custom, engine: mendline,
        implementation: {check: CHECK, arguments: {digits: 4}}, description: the check digit must be right}]}"""
YEAR = "{name: amount, logicalType: number, logicalTypeOptions: {minimum: 1900}}"
BROKEN = """
import polars as pl

from services.remediate.plans import Fit
from shared.domain.remedy import Tier


def raises(rows, column, arguments):
    raise KeyError(rows[column][0])


def short(rows, column, arguments):
    return pl.Series([True])


class Remedy:
    tier = Tier.GUARDED
    fits = {"": Fit(19, 1, "always")}

    def plan(self, case):
        raise ValueError("Rome")


REMEDY = Remedy()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example and a broken package, found by their metadata."""
    folder = tmp_path / "installed"
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
        for group, named in points.items()
    )
    for name, content in {"added_rules": (EXAMPLE / "added_rules.py").read_text(), "broken_rules": BROKEN}.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(content)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        broken = "[mendline.checks]\nraises = broken_rules:raises\nshort = broken_rules:short\n"
        broken += "[mendline.remedies]\nbroken = broken_rules:REMEDY\nnormalise_text = broken_rules:REMEDY\n"
        (info / "entry_points.txt").write_text(text if name == "added_rules" else broken)
    monkeypatch.syspath_prepend(str(folder))
    added_remedy.cache_clear()


def _project(folder: Path, *, check: str = "luhn", policy: str = "") -> SmallProject:
    project = SmallProject(folder, healing="guarded, rows_share_max: 1.0")
    contract = CONTRACT.replace("{name: city, logicalType: string}", CARD.replace("CHECK", check))
    contract = contract.replace("{name: amount, logicalType: number}", YEAR)
    (folder / "contracts" / "orders.odcs.yaml").write_text(contract)
    if policy:
        (folder / "policy.yaml").write_text(policy)
    return project


ROWS = "id,city,amount,day\n1,7997,2024,2024-01-02\n2,7993,2024,2024-01-02\n3,1230,24,2024-01-02\n4,,2023,2024-01-02\n"


def test_a_check_sets_rows_aside_and_a_remedy_mends_others(installed: None, tmp_path: Path) -> None:
    project = _project(tmp_path, policy="added_remedies: [expand_years]\n")
    project.deliver("a.csv", ROWS)
    process = project.run()
    shown = {row["id"]: row["amount"] for chunk in process.warehouse.dump("shop.orders") for row in chunk.to_pylist()}
    assert shown == {1: 2024.0, 3: 2024.0, 4: 2023.0}
    found = audit(process)
    assert (found.problems, found.counts["rows_quarantined"]) == ([], 1)
    remedies = {stored.data["remedy"]: stored.data for stored in process.store.query("remedies")}
    assert remedies["expand_years"]["state"] == "verified"
    assert remedies["expand_years"]["cost"] >= 0.0


def test_a_remedy_that_the_policy_does_not_name_is_not_used(installed: None, tmp_path: Path) -> None:
    project = _project(tmp_path)
    project.deliver("a.csv", ROWS)
    remedies = {stored.data["remedy"] for stored in project.run().store.query("remedies")}
    assert "expand_years" not in remedies


@pytest.mark.parametrize("check", ["raises", "short", "nobodys"])
def test_a_check_that_does_not_answer_is_an_incident_and_no_pass(installed: None, tmp_path: Path, check: str) -> None:
    project = _project(tmp_path, check=check)
    project.deliver("a.csv", ROWS)
    process = project.run()
    assert list(process.warehouse.dump("shop.orders")) == []
    told = [str(stored.data.get("message", "")) for stored in process.store.query("incidents")]
    assert any(check in text and "contracts/orders.odcs.yaml" in text for text in told), told
    assert not any("7997" in text for text in told)


def test_a_remedy_that_fails_leaves_the_rows_and_says_so(installed: None, tmp_path: Path) -> None:
    project = _project(tmp_path, policy="added_remedies: [broken]\n")
    project.deliver("a.csv", ROWS)
    process = project.run()
    assert audit(process).counts["rows_quarantined"] == 2
    notes = " ".join(str(stored.data.get("note", "")) for stored in process.store.query("healings"))
    assert "Rome" not in notes
    closed = [stored.data for stored in process.store.query("incidents") if stored.data.get("state") == "escalated"]
    assert closed


@pytest.mark.parametrize("name", ["normalise_text", "nobodys"])
def test_one_that_cannot_be_used_is_left_out_and_said(installed: None, tmp_path: Path, name: str) -> None:
    project = _project(tmp_path, policy=f"added_remedies: [{name}]\n")
    project.deliver("a.csv", ROWS)
    process = project.run()
    assert audit(process).counts["rows_quarantined"] == 2
    closed = [str(stored.data.get("close_explanation", "")) for stored in process.store.query("incidents")]
    assert any(name in text for text in closed), closed


def test_a_cost_above_the_cap_is_asked_about(installed: None, tmp_path: Path) -> None:
    policy = "added_remedies: [expand_years]\ncaps: {cost_max: 0.5, dollars_per_tib: 1000000000000}\n"
    project = _project(tmp_path, policy=policy)
    project.deliver("a.csv", ROWS)
    remedies = [stored.data for stored in project.run().store.query("remedies")]
    (asked,) = [each for each in remedies if each["remedy"] == "expand_years"]
    assert asked["state"] == "proposed"
    assert "dollars" in asked["reason"]
