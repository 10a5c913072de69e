"""Everything that comes before the clock: inputs, project, prepared store, rules.

It runs as a process of its own: what the measuring process itself holds would count as its children's memory.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks import inputs, project, rules


def prepare(folder: Path, given: Path | None, times: int) -> None:
    """Write ``inputs/``, ``project/``, ``store/`` and ``rules.json`` into the folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    rows = inputs.write_inputs(folder / "inputs", environment, given, times)
    made = project.write_project(folder / "project", rows)
    wanted = rules.listed(project.contract(rows), rows / "baseline")
    (folder / "rules.json").write_text(json.dumps(wanted, indent=1), encoding="utf-8")
    project.prepare_store(made, rows, folder / "store", environment)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None, int(sys.argv[3]))
