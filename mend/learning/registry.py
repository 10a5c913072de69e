"""Trained models in a folder: each version with its artifact, what it was made of, and its report."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.domain.errors import DefinitionError

if TYPE_CHECKING:
    from mend.learning.training import Trained

RECORD: Final = "record.json"
REPORT: Final = "report"


def keep(trained: Trained, found: dict[str, Any], messages: Path, folder: Path) -> dict[str, Any]:
    """Write the version's folder, whole or not at all, and return its record. The same training is the same version."""
    import skops.io

    from mend.learning import report
    from mend.learning.training import export

    unfinished = folder / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    version = export(trained, unfinished)
    (unfinished / REPORT).mkdir()
    report.draw(found, unfinished / REPORT)
    (unfinished / REPORT / "report.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    skops.io.dump(trained.fitted.machine, unfinished / "estimator.skops")
    skops.io.dump(trained.fitted.pieces.machine, unfinished / "pieces.skops")
    record = {
        "version": version,
        "made_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "messages": messages.name,
        "messages_sha256": hashlib.sha256(messages.read_bytes()).hexdigest(),
        "examples": len(trained.examples),
        "judged": found["messages"],
        "left_out": found["messages"] - sum(each.weight == 1.0 for each in trained.examples),
        "calibration": trained.calibration.way,
        "compared": found["compared"],
        **{name: found[name] for name in ("accuracy", "macro_f1", "coverage", "selective_accuracy", "ece")},
    }
    (unfinished / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    place = folder / version
    shutil.rmtree(place, ignore_errors=True)
    unfinished.rename(place)
    return {**record, "folder": str(place)}


def records(folder: Path) -> list[dict[str, Any]]:
    """The versions in a folder, oldest first. ``DefinitionError`` names a record that cannot be read."""
    found = []
    for file in sorted(folder.glob(f"*/{RECORD}")):
        try:
            found.append({**json.loads(file.read_text(encoding="utf-8")), "folder": str(file.parent)})
        except (OSError, ValueError) as error:
            raise DefinitionError(str(file), 0, 0, f"cannot be read: {error}", "remove that folder") from error
    return sorted(found, key=lambda each: (each["made_at"], each["version"]))
