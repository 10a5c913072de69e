"""A project of orders for one bad thing at a time, run through the real command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.end_to_end.command import Ended, mend
from tests.unit.mend.small_project import HEADER, SmallProject, lines

GOOD = HEADER + lines(1, 20)
RUN = ("run", "pipelines/orders.yaml", "--root", "store", "--wait", "0")


class Orders(SmallProject):
    """The small project with commands as processes of their own."""

    def __init__(self, folder: Path, mode: str = "append") -> None:
        super().__init__(folder, mode, healing="guarded")

    def replace(self, file: str, before: str, after: str) -> None:
        """Change a definition file."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    def mend(self, *arguments: object, before: tuple[str, ...] = ()) -> Ended:
        """Run any command in the project's folder."""
        return mend(*arguments, cwd=self.folder, before=before)

    def run_it(self, *arguments: object, before: tuple[str, ...] = ()) -> Ended:
        """``mend run``, with nothing of a crash on either output."""
        ended = self.mend(*RUN, *arguments, before=before)
        assert "Traceback" not in ended.said
        assert "internal_error" not in ended.said
        assert "\x1b" not in ended.said
        return ended

    def account(self) -> dict[str, Any]:
        """An audit that is ok; each record is in one place."""
        ended = self.mend("audit", "--root", "store", "--json")
        found = ended.json
        assert ended.code == 0, found["problems"]
        assert found["ok"] is True
        places = ("rows_loaded", "rows_quarantined", "rows_discarded", "rows_in_flight")
        assert found["rows_read"] == sum(found[place] for place in places)
        return found

    def assert_rows(self, *, loaded: int, quarantined: int = 0, discarded: int = 0, in_flight: int = 0) -> None:
        """The audit counts these rows and no others."""
        found = self.account()
        counted = {name.removeprefix("rows_"): count for name, count in found.items() if name.startswith("rows_")}
        wanted = {"loaded": loaded, "quarantined": quarantined, "discarded": discarded, "in_flight": in_flight}
        assert counted == {"read": sum(wanted.values()), **wanted}
