"""Which pipelines are due when an object has landed in a bucket."""

from __future__ import annotations

import fnmatch
import re
from pathlib import PurePosixPath

from shared.domain.errors import DefinitionError
from shared.domain.pipeline import PIPELINE_NAME, parse_pipeline
from shared.ports.ports import Ports


def due_for(uri: str, ports: Ports) -> list[tuple[str, str]]:
    """Pipelines to whose source the object belongs, each with what of the source is due; none for an object of ours.

    A pipeline whose file cannot be read might be one of them, and keeps nobody else's object from being taken: it is
    due as a whole, which fails with file and line, and finds the object once the file is mended and that is replayed.
    A file that is not called as its pipeline is read by no service.
    """
    found: list[tuple[str, str]] = []
    for path in ports.definitions.list("pipelines"):
        name = PurePosixPath(path).stem
        if path != f"pipelines/{name}.yaml" or not re.fullmatch(PIPELINE_NAME, name):
            continue
        try:
            pipeline = parse_pipeline(ports.definitions.read(path).text, path)
        except DefinitionError:
            found.append((name, ""))
            continue
        pattern = pipeline.source.uri
        whole = pattern if "://" in pattern else f"gs://*/{pattern}"
        if pattern and pipeline.pipeline == name and fnmatch.fnmatchcase(uri, whole):
            found.append((name, uri))
    return found
