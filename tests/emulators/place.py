"""A project on the emulators: its two buckets, and the settings by which a process finds everything."""

from __future__ import annotations

from pathlib import Path

from shared.adapters.gcp.object_store import bucket_of
from tests.emulators.running import Emulators

FOLDER = "shop"


class Place:
    """``project`` keeps it apart from others on the same emulators. Its buckets are made when something is put in."""

    def __init__(self, emulators: Emulators, project: str) -> None:
        self.project = project
        self._storage = f"http://{emulators.storage}"
        self._made = False
        self.environment = {
            **emulators.environment(),
            "GOOGLE_CLOUD_PROJECT": project,
            "MEND_BACKEND": "gcp",
            "MEND_ROOT": f"gs://{project}-objects",
            "MEND_PROJECT": f"gs://{project}-project/{FOLDER}",
        }

    def uri(self, name: str) -> str:
        """The address of a file in the project folder."""
        return f"gs://{self.project}-project/{FOLDER}/{name}"

    def put(self, path: Path, name: str) -> None:
        """Put a file into the project folder."""
        if not self._made:
            for bucket in ("objects", "project"):
                bucket_of(self.project, f"{self.project}-{bucket}", self._storage).create()
            self._made = True
        bucket = bucket_of(self.project, f"{self.project}-project", self._storage)
        bucket.blob(f"{FOLDER}/{name}").upload_from_filename(str(path))
