"""Secrets from the environment, or from a file that nobody else may read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from shared.domain.errors import DefinitionError

ENVIRONMENT_PREFIX = "MEND_SECRET_"


class LocalSecrets:
    """``teams-webhook`` is ``MEND_SECRET_TEAMS_WEBHOOK`` in the environment, else a line of ``<root>/.mend/secrets``.

    Such a line is ``teams-webhook=…``. The file is read anew each time, so that a secret can be changed while Mendline
    runs. In it, empty lines and lines that begin with ``#`` say nothing; spaces around name and value do not count.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._file = root / ".mend" / "secrets"
        self._environment = environment

    def get(self, name: str) -> str | None:
        """The secret's value; None when it is nowhere, or empty."""
        variable = ENVIRONMENT_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())
        return self._environment.get(variable) or self._read().get(name) or None

    def _read(self) -> dict[str, str]:
        path = str(self._file)
        try:
            with self._file.open("rb") as stream:
                if os.fstat(stream.fileno()).st_mode & 0o077:
                    raise DefinitionError(path, 0, 0, "others may read the secrets", f"type: chmod 600 {path}")
                text = stream.read().decode("utf-8")
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError:
            # Not chained: the error would carry the file's content.
            raise DefinitionError(path, 0, 0, "is not UTF-8 text", "save the file as UTF-8") from None
        except OSError as error:
            raise DefinitionError(path, 0, 0, f"cannot be read: {error.strerror}", "check its permissions") from error
        found = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, equals, value = line.partition("=")
            if not equals:
                raise DefinitionError(path, number, 0, "is not a line NAME=VALUE", "write one secret a line")
            found[name.strip()] = value.strip()
        return found
