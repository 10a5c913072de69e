"""What a deployment's steps ask of gcloud and bq: stand-ins for both note every command, word by word."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mend.deploy.steps import PRELUDE, Step
from tests.tidy.tree import ROOT

NOTHING_IS_THERE = "case $* in *describe*|*list*) exit 1 ;; esac"
ALL_IS_THERE = "case $* in *list*|*describe*) echo something ;; esac"
_NOTE = 'printf "%s\\0" "${0##*/}" "$@" >> "$HEARD"; printf "\\n\\0" >> "$HEARD"'


class Heard(NamedTuple):
    """How the steps ended, what they said, and every command that they gave."""

    code: int
    said: str
    commands: list[tuple[str, ...]]

    def having(self, *words: str) -> list[tuple[str, ...]]:
        """The commands in which these words are, or are said as part of one."""
        return [each for each in self.commands if all(word in " ".join(each) for word in words)]


def heard(steps: Iterable[Step], folder: Path, answering: str) -> Heard:
    """Run steps one after the other; ``answering`` is what both programs do, in lines of shell. Nobody waits."""
    programs, notes = folder / "bin", folder / "heard"
    programs.mkdir(exist_ok=True)
    notes.write_bytes(b"")
    for name in ("gcloud", "bq"):
        (programs / name).write_text(f"#!/bin/sh\n{_NOTE}\n{answering}\n")
        (programs / name).chmod(0o755)
    script = "".join(f"{step.shell()}\n" for step in steps)
    known = {"PATH": f"{programs}:/usr/bin:/bin", "HEARD": str(notes), "NUMBER": "123"}
    waiting = f"sleep() {{ echo waited $1 >> {folder}/waits; }}\nset -e\n"
    ended = subprocess.run(
        ["sh"], input=PRELUDE + waiting + script, cwd=ROOT, env=known, capture_output=True, text=True, timeout=120
    )
    lines = notes.read_bytes().decode().split("\0\n\0")
    commands = [tuple(line.split("\0")) for line in lines if line]
    return Heard(ended.returncode, ended.stdout + ended.stderr, commands)
