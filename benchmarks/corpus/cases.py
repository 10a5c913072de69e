"""Case files: which failure to provoke, in what, and of which class it is.

```
system: requests
runner: python          # python | shell | node | java | sql
env: base               # which environment; sql: which clients
mode: fork              # python: fork (a child per case) | inline
setup:
    import requests     # indented lines
[network_timeout]
requests.get(HTTP + "/reset")
with open("x") as file:         a case may go on in lines indented by four; `@system` at its end names another system
        file.read()
```
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "cases"
LABELS = frozenset(
    {
        *("permission_denied", "authentication_failure", "network_timeout", "timeout_exceeded", "rate_limiting"),
        *("resource_exhaustion", "memory_leak", "disk_space_full", "schema_mismatch", "data_corruption"),
        *("missing_dependency", "configuration_error", "unknown"),
    }
)
_OTHER_SYSTEM = re.compile(r"\s+@([\w.-]+)$")


@dataclass(frozen=True)
class Case:
    """One failure to provoke."""

    case: str
    label: str
    system: str


@dataclass
class CaseFile:
    """The cases of one file, and how they are run."""

    name: str
    heads: dict[str, str] = field(default_factory=dict)
    setup: str = ""
    cases: list[Case] = field(default_factory=list)


def read(path: Path) -> CaseFile:
    """The case file, checked. ``ValueError`` names the line that is none."""
    found = CaseFile(path.stem)
    label, in_setup, setup, lines = "", False, [], path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("[") and line.rstrip().endswith("]") and line.strip("[] ") in LABELS:
            label, in_setup = line.strip("[] "), False
        elif not label and in_setup and line.startswith("    "):
            setup.append(line[4:])
        elif not label:
            key, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"{path.name}:{number}: {line!r} is no heading")
            in_setup = key == "setup"
            found.heads[key] = value.strip()
        elif line.startswith("    ") and found.cases:
            last = found.cases[-1]
            other = _OTHER_SYSTEM.search(line)
            more = line[4 : other.start() if other else None]
            found.cases[-1] = Case(f"{last.case}\n{more}", last.label, other[1] if other else last.system)
        else:
            other = _OTHER_SYSTEM.search(line)
            text = line[: other.start()] if other else line
            found.cases.append(Case(text, label, other[1] if other else found.heads.get("system", path.stem)))
    found.setup = "\n".join(setup)
    return found


def all_files(folder: Path = FOLDER) -> list[CaseFile]:
    """Every case file, by name."""
    return [read(path) for path in sorted(folder.glob("*.txt"))]
