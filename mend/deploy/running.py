"""Runs the steps of a deployment on this machine, and says beforehand what they will not find here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mend.deploy import refusals
from mend.deploy.steps import PRELUDE, STAGED, TAG, Step

ROOT: Final = Path(__file__).resolve().parents[2]
_FILE: Final = re.compile(r"--(?:config|definition-file|config-from-file|policy-from-file)=(.+)")
_FOLDER: Final = re.compile(rf"{STAGED}/([a-z]+)")
_SDK: Final = "https://cloud.google.com/sdk/docs/install"
_COMPONENT: Final = re.compile(r"\bgcloud (alpha|beta) ")


class ProjectUnknown(Exception):
    """gcloud does not know the project; the message is its own."""


def missing(steps: Sequence[Step], root: Path = ROOT) -> str:
    """What is not on this machine and a step needs, and what to do about it; "" when all is there."""
    words = [word for step in steps for word in step.make]
    for program in ("gcloud", "bq"):
        if program in words and shutil.which(program) is None:
            return f"{program} is not installed, or not on the PATH: {_SDK}"
    if parts := _components_missing({part for step in steps for part in _COMPONENT.findall(step.shell())}):
        return f"gcloud lacks its components {' and '.join(parts)}: gcloud components install {' '.join(parts)}"
    named = dict.fromkeys(found[1] for found in map(_FILE.fullmatch, words) if found)
    absent = [each for each in named if not (root / each).exists()]
    if absent:
        return f"there is no {absent[0]} in {root}: mend deploy works in a copy of the repository, after make setup"
    folders = dict.fromkeys(found[1] for found in map(_FOLDER.fullmatch, words) if found)
    unstaged = [each for each in folders if not (root / STAGED / each / TAG).is_file()]
    if unstaged:
        stage = f"make stage SERVICE={unstaged[0]}" if len(unstaged) == 1 else "make stage"
        return f"nothing is staged for {', '.join(unstaged)}: {stage}"
    return ""


def _components_missing(wanted: set[str]) -> list[str]:
    """Those of gcloud's components that are not on this machine: without one gcloud asks whether to install it."""
    if not wanted:
        return []
    answer = subprocess.run(["gcloud", "version", "--format=json"], capture_output=True, text=True, check=False)
    try:
        there = json.loads(answer.stdout)
    except ValueError:
        return []  # it does not say: the step that needs one will
    return sorted(wanted - there.keys())


def number_of(project: str) -> str:
    """The project's number, which only Google knows."""
    asked = ["gcloud", "projects", "describe", project, "--format=value(projectNumber)"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise ProjectUnknown(answer.stderr.strip()[-500:])
    return answer.stdout.strip()


def done(step: Step, environment: Mapping[str, str], *, gone_is_fine: bool) -> bool:
    """Run one step in the repository's folder, wherever one is; ``gone_is_fine``: what is not there is taken away."""
    how = subprocess.PIPE if gone_is_fine else None
    ended = subprocess.run(
        ["sh", "-c", PRELUDE + step.shell()], cwd=ROOT, env=dict(environment), stderr=how, text=True, check=False
    )
    said = ended.stderr or ""
    gone = ended.returncode != 0 and gone_is_fine and refusals.is_absent(said)
    sys.stderr.write("" if gone else said)
    return ended.returncode == 0 or gone
