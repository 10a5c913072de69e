"""What a command's start costs, and that nothing is lost by saving there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mend import main


@pytest.mark.parametrize(
    ("arguments", "made"),
    [(["run", "x"], {"run"}), ([], None), (["--help"], None), (["ron"], None), (["contract", "check"], None)],
)
def test_only_the_command_that_is_asked_for_is_made(
    arguments: list[str], made: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything, groups = list(main.app.registered_commands), list(main.app.registered_groups)
    monkeypatch.setattr(main.app, "registered_commands", everything)
    monkeypatch.setattr(main.app, "registered_groups", groups)
    main._narrow(arguments)
    names = {each.callback.__name__ for each in main.app.registered_commands if each.callback}
    assert names == (made or {each.callback.__name__ for each in everything if each.callback})
    assert len(main.app.registered_groups) == (0 if made else len(groups))


def test_a_narrowed_command_still_says_its_name_and_a_wrong_one_all() -> None:
    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "mend", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert "mend audit" in said("audit", "--help")
    assert "No such command 'rum'" in said("rum")


def test_libraries_start_no_threads_that_spin_unless_asked() -> None:
    code = "from shared.runtime.settings import calm_libraries; calm_libraries(); import os; "
    code += "import numpy; print(os.environ['OPENBLAS_NUM_THREADS'])"
    for given, told in ((None, "1"), ("3", "3")):
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
        environment |= {"OPENBLAS_NUM_THREADS": given} if given else {}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == told
