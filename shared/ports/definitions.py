"""The files that users write: pipelines, contracts, the policy, transforms."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class DefinitionText(NamedTuple):
    """A definition file as it stands now; ``version`` is the first 12 hex digits of its SHA-256."""

    path: str
    text: str
    version: str


class Definitions(Protocol):
    """Paths are relative to the project folder; one that leads out of it is refused."""

    def read(self, path: str) -> DefinitionText:
        """The file's text. ``DefinitionMissing`` when there is none, ``DefinitionError`` when it is not UTF-8 text
        or larger than 1 MB."""

    def list(self, folder: str) -> list[str]:
        """Paths of the ``*.yaml`` and ``*.yml`` files in ``folder``, sorted."""
