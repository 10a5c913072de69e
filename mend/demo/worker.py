"""The demonstration's working process: runs pipelines until nothing is left to do; made to be killed.

``python -m mend.demo.worker STORE [PIPELINE[=URI] …]``; further ``--signal FILE`` reports a failure from elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mend import project
from mend.runner import due, run_events
from shared.ports.event_bus import SIGNALS_TOPIC, Message

WAIT_SECONDS = 5.0  # a retry that is due later is left to the next process


def main(arguments: list[str]) -> None:
    """Work through what is named, and through what an earlier process left over."""
    process = project.open_process(project.of_root(Path(arguments[0])))
    signals = [Path(name.removeprefix("--signal=")) for name in arguments[1:] if name.startswith("--signal=")]
    named = [name.partition("=") for name in arguments[1:] if not name.startswith("--signal=")]
    messages = [Message(SIGNALS_TOPIC, path.read_bytes(), {}) for path in signals]
    events = [due(process, pipeline, uri, "mend demo") for pipeline, _, uri in named]
    run_events(process, list(events), WAIT_SECONDS, messages=messages)


if __name__ == "__main__":
    main(sys.argv[1:])
