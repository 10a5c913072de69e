"""The shop that kills happen in, and what it ends with when nobody is killed, found out once per folder."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.end_to_end.command import Ended, mend
from tests.end_to_end.shop import Shop, make_shop, opened_shop
from tests.kills import doomed

ALL = ("orders", "visits", "stock")


class Undisturbed(NamedTuple):
    """A command without a kill: what the shop ends with, and what it took."""

    tables: dict[str, Any]
    accounts: dict[str, Any]
    seconds: float
    effects: int
    code: int


class World:
    """Folders with shops in each of the states that kills start from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bare = Shop(make_shop(folder / "bare"))
        self.opened = opened_shop(folder / "opened")
        self.ended: dict[str, Shop] = {}  # by pipeline: after its run
        self._known: dict[str, Undisturbed] = {}

    def copy(self, shop: Shop) -> Shop:
        """A shop of one's own."""
        return shop.copy(Path(tempfile.mkdtemp(dir=self.folder)) / "shop")

    def run(self, pipeline: str) -> Undisturbed:
        """A pipeline's run."""
        if pipeline not in self._known:
            mine = self.copy(self.bare if pipeline == "customers" else self.opened)
            self._known[pipeline] = self._measured(mine, mine.arguments(pipeline), (pipeline,))
            self.ended[pipeline] = mine
        return self._known[pipeline]

    def every(self) -> Undisturbed:
        """One run of each pipeline after the other."""
        if "all" not in self._known:
            mine = self.copy(self.opened)
            for pipeline in ALL:
                assert mend(*mine.arguments(pipeline), cwd=mine.folder).code == 3
            self._known["all"] = Undisturbed(*looked_at(mine, ALL), 0.0, 0, 3)
        return self._known["all"]

    def after(self, pipeline: str) -> Shop:
        """The shop after the pipeline's run."""
        self.run(pipeline)
        return self.ended[pipeline]

    def command(self, pipeline: str, arguments: tuple[str, ...]) -> Undisturbed:
        """A command after the pipeline's run."""
        name = " ".join((pipeline, *arguments))
        if name not in self._known:
            mine = self.copy(self.after(pipeline))
            self._known[name] = self._measured(mine, arguments, (pipeline,))
        return self._known[name]

    def remedies(self, pipeline: str, state: str) -> list[str]:
        """Remedies in a state after the pipeline's run."""
        path = self.after(pipeline).root / ".mend" / "store.db"
        sql = """SELECT key FROM documents WHERE collection = 'remedies' AND json_extract(data, '$.state') = ?
            AND json_extract(data, '$.pipeline') = ? ORDER BY key"""
        with closing(sqlite3.connect(path)) as connection:
            found = [str(row[0]) for row in connection.execute(sql, (state, pipeline))]
        assert found, f"no remedy of {pipeline} is {state}"
        return found

    def _measured(self, mine: Shop, arguments: tuple[object, ...], pipelines: tuple[str, ...]) -> Undisturbed:
        counted = mine.folder / "effects"
        ended = mend(*arguments, cwd=mine.folder, environment=doomed.counting(counted) if doomed.library() else None)
        assert ended.code in {0, 3}, ended.said
        effects = int(counted.read_text()) if counted.exists() else 0
        assert effects or doomed.library() is None, "no effect was counted: every kill would come at the first one"
        return Undisturbed(*looked_at(mine, pipelines), ended.seconds, effects, ended.code)


def looked_at(shop: Shop, pipelines: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tables and accounts of pipelines; the audit must agree."""
    accounts = {each: shop.account(each) for each in pipelines}
    return {each: shop.table(each) for each in pipelines}, accounts


def differences(shop: Shop, pipelines: tuple[str, ...], expected: Undisturbed, *, drift: bool) -> list[str]:
    """What is not as in the undisturbed run; ``drift=False`` leaves shifts out (whom they compare depends on order)."""
    tables, accounts = looked_at(shop, pipelines)
    found = []
    for each in pipelines:
        if tables[each] != expected.tables[each]:
            found.append(f"table {each}: {len(tables[each])} rows, {len(expected.tables[each])} expected, or others")
        for part in ("batches", "incidents"):
            mine, theirs = accounts[each][part], expected.accounts[each][part]
            if part == "incidents" and not drift:
                mine, theirs = ([one for one in many if one[1] != "shift"] for many in (mine, theirs))
            if mine != theirs:
                found.append(f"{part} of {each}: {_apart(mine, theirs)}")
    return found


def _apart(mine: list[Any], theirs: list[Any]) -> str:
    more, less = [each for each in mine if each not in theirs], [each for each in theirs if each not in mine]
    return f"more: {json.dumps(more)[:500]}; missing: {json.dumps(less)[:500]}"


def assert_ended(ended: Ended, *codes: int) -> None:
    """It ended as it should, and no stack was shown."""
    assert ended.code in codes, f"exit code {ended.code}, expected one of {codes}\n{ended.said[-3000:]}"
    assert "Traceback" not in ended.said, ended.said[-3000:]
