"""The table of settings in docs/settings.md, made from the settings themselves: ``python -m mend.settings_page``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

from shared.runtime.settings import PREFIX, Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
BEGIN = "<!-- made by python -m mend.settings_page -->"
END = "<!-- end -->"


def table() -> str:
    """One row a setting: its variable, its type with bounds, its default, what it means."""
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        bounds = [_bound(each) for each in field.metadata]
        kind = ", ".join(part for part in (_type(field.annotation), *bounds) if part)
        default = "empty" if field.default == "" else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {kind} | {default} | {field.description} |")
    return "\n".join(rows)


def page(text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _type(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{each}`" for each in get_args(annotation))
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "text")  # type: ignore[call-overload, no-any-return]


def _bound(constraint: object) -> str:
    signs = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for name, words in signs.items():
        limit = getattr(constraint, name, None)
        if limit is not None:
            return f"{words} {limit:,}"
    return ""


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is current\n")
