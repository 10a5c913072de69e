"""Starts `mend run` for each pipeline named, at once, in this process's group: ``python -m tests.kills.together``."""

import sys
from pathlib import Path

from tests.end_to_end.command import Running


def main() -> None:
    """Wait for all."""
    running = [
        Running("run", f"pipelines/{each}.yaml", "--root", "store", "--json", cwd=Path.cwd()) for each in sys.argv[1:]
    ]
    for each in running:
        each.wait()


if __name__ == "__main__":
    main()
