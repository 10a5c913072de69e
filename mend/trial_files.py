"""The files of the project in which a contract is tried, and the places of messages in the user's own contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from shared.domain.errors import DefinitionError

if TYPE_CHECKING:
    from shared.domain.contract import Contract

NAME = "trial"
CONTRACT = f"contracts/{NAME}.odcs.yaml"
_PIPELINE = """\
pipeline: {name}
source: {{kind: files, uri: {uri}, order: name{reading}}}
contract: {contract}
destination: {{table: {table}, mode: append}}
on_violation: {{rows: quarantine, score_below: 0}}
healing: {{mode: observe}}
alerts: {{channels: [jsonl]}}
"""


class TrialFiles:
    """A pipeline for the trial, and its contract: the user's own file, or what of it can be judged alone."""

    def __init__(self, folder: Path, contract_file: Path, contract: Contract) -> None:
        self._folder, self._file, self._contract = folder, contract_file, contract
        self._lines: dict[int, int] = {}  # of the contract as it is written here: lines of the user's
        self.given: Mapping[str, Path] = {}  # files that stand elsewhere, by the names that they have here

    def write(self, uri: str, reading: str, table: str = "", beside: Mapping[str, Path] | None = None) -> None:
        """Write them; without a ``table`` there is no warehouse but the tables ``beside`` it."""
        from mend.beside_tables import judged_alone
        from services.validate.checkable import checkable
        from shared.domain.contract import parse_contract, write_contract
        from shared.domain.contract_reading import table_names

        for each in ("pipelines", "contracts"):
            (self._folder / each).mkdir()
        text = _PIPELINE.format(
            name=NAME,
            uri=json.dumps(uri),
            contract=CONTRACT,
            table=table or f"{NAME}.{NAME}",
            reading=f", format: {reading}" if reading else "",
        )
        (self._folder / f"pipelines/{NAME}.yaml").write_text(text, encoding="utf-8")
        contract = checkable(self._contract, str(self._file))
        kept = contract if table else judged_alone(contract, str(self._file), beside or {})
        if kept == contract and len(table_names(text_of(self._file), str(self._file))) == 1:
            self.given = {CONTRACT: self._file.resolve()}
            return
        alone = write_contract(kept)
        (self._folder / CONTRACT).write_text(alone, encoding="utf-8")
        # Rules that are not checked are written as rules again.
        written = checkable(parse_contract(alone, CONTRACT), CONTRACT)
        for here, own in zip(written.quality, kept.quality, strict=True):
            self._lines[here.line] = own.line
        for checked, owned in zip(written.custom_checks, kept.custom_checks, strict=True):
            self._lines[checked.line] = owned.line

    def placed(self, message: str) -> str:
        """A message with the user's own file and line in place of this one's."""
        start = f"{CONTRACT}:"
        if not message.startswith(start):
            return message
        line, colon, rest = message.removeprefix(start).partition(":")
        known = self._lines.get(int(line), 0 if self._lines else int(line)) if line.isdecimal() else 0
        return f"{self._file}:{known}{colon}{rest}" if known else f"{self._file}:{rest}"

    def own(self, error: DefinitionError) -> DefinitionError:
        """The error with the user's own file and line."""
        if error.path != CONTRACT:
            return error
        line = self._lines.get(error.line, 0) if self._lines else error.line
        return DefinitionError(str(self._file), line, error.column, error.message, error.hint)


def text_of(file: Path) -> str:
    """A contract's text; ``DefinitionError`` when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(str(file), 0, 0, f"cannot be read: {error}", "name an ODCS file (YAML)") from error
