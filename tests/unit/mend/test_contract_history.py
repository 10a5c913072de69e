"""Goal: it is known which version of a contract judged which deliveries, and how they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from mend.main import app
from tests.unit.mend.small_project import HEADER, SmallProject, lines


def history(project: SmallProject, pipeline: str) -> tuple[int, list[dict[str, Any]]]:
    ended = CliRunner().invoke(app, ["contract", "history", pipeline, "--root", str(project.root), "--json"])
    return ended.exit_code, json.loads(ended.stdout)["versions"] if ended.exit_code == 0 else []


def test_each_version_with_what_it_judged(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="observe")
    project.deliver("a.csv", HEADER + lines(1, 20))
    project.deliver("b.csv", HEADER + lines(21, 30))
    project.run()
    name = "orders"
    code, (first,) = history(project, name)
    assert (code, first["batches"], first["rows"], first["rows_passed"], first["score"]) == (0, 2, 30, 30, 100.0)
    assert first["current"]
    assert 0 < first["since"] <= first["until"]
    (file,) = (project.folder / "contracts").glob("*.yaml")
    text = file.read_text(encoding="utf-8")
    assert "version: 1.0.0" in text
    file.write_text(text.replace("version: 1.0.0", "version: 2.0.0"), encoding="utf-8")
    code, (first, second) = history(project, name)
    assert (first["current"], second["current"]) == (False, True)
    assert (second["batches"], second["rows"], second["score"]) == (0, 0, None)
    assert (first["version"], second["version"]) == ("1.0.0", "2.0.0")
    project.clock.sleep(3_600)
    project.deliver("c.csv", HEADER + lines(31, 40) + "41,too,few\n")
    project.run()
    code, (first, second) = history(project, name)
    assert (first["batches"], second["batches"], second["rows"], second["rows_passed"]) == (2, 1, 11, 10)
    assert second["score"] < 100
    assert first["contract"].partition("@")[0] == second["contract"].partition("@")[0]
    assert second["since"] > first["until"]
    shown = CliRunner().invoke(app, ["contract", "history", name, "--root", str(project.root)]).output
    assert second["contract"] in shown


def test_what_each_version_changed(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="observe")
    file = project.folder / "contracts" / "orders.odcs.yaml"
    first = file.read_text(encoding="utf-8")
    second = first.replace("{name: city, logicalType: string}", "{name: city, logicalType: string, required: true}")
    third = second.replace("1.0.0", "2.0.0").replace("amount, logicalType: number", "amount, logicalType: string")
    fourth = third.replace("      - {name: day, logicalType: date}\n", "")
    for number, text in enumerate((first, second, third), start=1):
        file.write_text(text, encoding="utf-8")
        project.deliver(f"{number}.csv", HEADER + lines(10 * number, 10 * number + 5))
        project.run().close()
        project.clock.sleep(60)
    file.write_text(fourth, encoding="utf-8")
    _, found = history(project, "orders")
    told = [[(each["kind"], each["column"], each["breaks"]) for each in version["changes"]] for version in found]
    assert told == [
        [],
        [("degrading", "city", ["backward"])],
        [("breaking", "amount", ["backward", "forward"]), ("harmless", "", [])],
        [("breaking", "day", ["backward", "forward"])],
    ]
    assert [each["not_compared"] for each in found] == ["it is the first that is known", "", "", ""]
    counts = [tuple(each[kind] for kind in ("breaking", "degrading", "harmless")) for each in found]
    assert counts == [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 0, 0)]
    kept = project.files("contract_texts/*/orders.odcs.yaml")
    assert sorted(each.read_text(encoding="utf-8") for each in kept) == sorted([first, second, third])
    shown = CliRunner().invoke(app, ["contract", "history", "orders", "--root", str(project.root)]).output
    assert "was number, is string" in " ".join(shown.split())
    project.deliver("9.csv", HEADER + lines(90, 95))
    before = {each: each.stat().st_mtime_ns for each in kept}
    file.write_text(third, encoding="utf-8")
    project.run().close()
    assert {each: each.stat().st_mtime_ns for each in kept} == before
    kept[0].unlink()
    _, found = history(project, "orders")
    lost = next(number for number, each in enumerate(found) if each["not_compared"] == "its text was not kept")
    assert [each["changes"] for each in found[lost : lost + 2]] == [[], []]
    assert lost == len(found) - 1 or found[lost + 1]["not_compared"] == "the version before it is not known"


def test_columns_that_are_accepted_make_a_version_too(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="guarded")
    project.deliver("1.csv", HEADER + lines(1, 5))
    project.run().close()
    project.clock.sleep(60)
    project.deliver("2.csv", HEADER.replace("\n", ",extra\n") + lines(6, 9).replace("\n", ",7\n"))
    project.run().close()
    _, found = history(project, "orders")
    assert [(each["batches"], each["accepted_columns"], each["current"]) for each in found] == [
        (1, [], False),
        (1, ["extra:integer"], True),
    ]
    (change,) = found[1]["changes"]
    assert (change["kind"], change["column"]) == ("degrading", "extra")
    assert change["what"].startswith("is new (integer), and may be empty")


def test_a_pipeline_that_is_none(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, healing="observe")
    project.deliver("a.csv", HEADER + lines(1, 5))
    project.run()
    ended = CliRunner().invoke(app, ["contract", "history", "nobody", "--root", str(project.root)])
    assert "there is no such pipeline" in str(ended.exception)
