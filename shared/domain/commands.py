"""Commands that stand in texts for people: a decision is made where the store is."""

from __future__ import annotations

import re
import shlex

_COMMAND = re.compile(
    r"\bmend (?:(?:approve|reject|undo|explain|replay|quarantine show) [a-z][0-9a-f]{6,40}|incidents)\b(?! --root)"
)


def at_root(text: str, root: str) -> str:
    """The text with ``--root ROOT`` after each command of ours in it, so that it can be typed as it stands.

    >>> at_root("Begin with: mend explain i0123456789ab", "demo-run")
    'Begin with: mend explain i0123456789ab --root demo-run'
    """
    if not root:
        return text
    return _COMMAND.sub(lambda found: f"{found.group()} --root {shlex.quote(root)}", text)
