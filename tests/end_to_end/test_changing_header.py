"""Goal: a feed of one-row files whose header changes is bearable: names that mislead are a person's, once, for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command import Ended, mend

pytestmark = pytest.mark.slow
DAYS = 24
FIRST = ("moment", "hospital", "home", "now_ill", "new_now_ill")
# Day by which a header holds: the name that each measure has then.
SECOND = {"now_ill": "total_now_ill"}
THIRD = {"now_ill": "total_ill", "new_now_ill": "change_total_ill"}


def row(day: int) -> dict[str, str]:
    """Those ill now are in hospital or at home; new ones are more than the change, since some recover."""
    hospital, home, before = 100 + day * day, 80 + 3 * day, 100 + (day - 1) ** 2 + 80 + 3 * (day - 1)
    total = hospital + home
    clock = " " if day < 12 else "T"
    cells = {"moment": f"2020-03-{day:02}{clock}18:00:00", "hospital": hospital, "home": home, "now_ill": total}
    return {name: str(value) for name, value in {**cells, "new_now_ill": total - before}.items()}


def write(folder: Path, day: int) -> None:
    names: dict[str, str] = {} if day < 10 else SECOND if day < 16 else THIRD
    cells = {names.get(name, name): text for name, text in row(day).items()}
    if day >= 10:
        cells["beds"] = str(500 + day)
    if day >= 16:
        cells["new_ill"] = str(int(row(day)["new_now_ill"]) + 9)
    if day >= 18:
        cells["note"] = ""
    text = f"{','.join(cells)}\n{','.join(cells.values())}\n"
    (folder / f"daily-{day:02}.csv").write_text(text, encoding="utf-8")


class Feed:
    """The project, its source and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "landing"
        self.source.mkdir()
        for day in range(1, DAYS + 1):
            write(self.source, day)
        assert self.mend("init", "landing/*.csv", "--name", "ill").code == 0

    def mend(self, *arguments: str) -> Ended:
        return mend(*arguments, cwd=self.folder)

    def run_it(self) -> dict[str, Any]:
        return self.mend("run", "pipelines/ill.yaml", "--root", "store", "--json").json

    def proposals(self) -> list[dict[str, Any]]:
        found = json.loads(self.mend("incidents", "--root", "store", "--json").out)
        listed = found["incidents"] if isinstance(found, dict) else found
        return [remedy for each in listed for remedy in each["remedies"] if remedy["state"] == "proposed"]

    def audit(self) -> dict[str, Any]:
        ended = self.mend("audit", "--root", "store", "--json")
        assert ended.code == 0
        return ended.json


def test_one_decision_works_off_all_that_wait_and_holds_for_what_comes_later(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    result = feed.run_it()
    assert result["totals"]["rows_loaded"] == 15
    waiting = [each for each in result["incidents"] if each["state"] == "waiting"]
    assert len(waiting) == DAYS - 15
    (proposal,) = feed.proposals()
    assert "total_ill → now_ill" in proposal["plan_text"]
    assert "change_total_ill → new_now_ill" in proposal["plan_text"]
    assert "new_now_ill = now_ill - the now_ill before" in proposal["plan_text"]
    assert feed.mend("approve", proposal["id"], "--by", "ada", "--root", "store").code == 0
    assert feed.audit()["rows_loaded"] == DAYS
    write(feed.source, DAYS + 1)
    after = feed.run_it()
    assert after["totals"]["rows_loaded"] == DAYS + 1
    newest = max(after["batches"], key=lambda each: str(each["input"]))
    assert (newest["attempts"], newest["incidents"]) == (1, [])
    assert feed.audit()["ok"] is True
