"""Makes the corpus of what was provoked: `python -m benchmarks.corpus.collect` writes `corpus.jsonl`.

Machine paths are replaced, messages that are the same once masked are kept once, and a case that failed with something
else than it was meant to (a module that is not there, a mistake in the case) is labelled by what its message says.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.corpus.provoke import BUILD
from services.classify import wording
from shared.domain.ids import derive

OUT = Path(__file__).with_name("corpus.jsonl")
_CHARACTERS_MAX = 1_600
_PATHS = (
    (re.compile(r"(?:/[\w.-]+)*/env-\w+/lib/python3\.\d+/site-packages"), "/usr/lib/python3/site-packages"),
    (re.compile(r"(?:/[\w.-]+)*/env-\w+/bin"), "/usr/bin"),
    (re.compile(r"/\w+/\.pyenv/versions/[\d.]+/lib/python3\.\d+"), "/usr/lib/python3.11"),
    (re.compile(r"(?:/[\w.-]+)*/node/node_modules"), "/srv/app/node_modules"),
    (re.compile(r"/tmp/corpus-servers/full"), "/mnt/scratch"),
    (re.compile(r"/tmp/(?:case|corpus)-[\w.-]+"), "/srv/job"),
    (re.compile(r"(?<![\w.}$-])/(?:work|root|farm|home/\w+|Users/\w+)(?=/|\b)"), "/srv/etl"),
    (re.compile(r"/tmp/\w+"), "/srv/job"),
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What a message says beyond doubt, whatever the case was meant to provoke.
_SAYS = (
    ("missing_dependency", r"ModuleNotFoundError: No module|Missing optional dependency|: command not found"),
    ("data_corruption", r"JSONDecodeError: "),
    ("schema_mismatch", r"extra data after last expected column|missing data for column|Data truncated for"),
    ("resource_exhaustion", r"OutOfMemoryError: Java heap space|Too many open files"),
    ("authentication_failure", r"Access denied for user '[^']*'@'[^']*' \(using password"),
    ("unknown", r"You have an error in your SQL syntax|[sS]yntax ?[eE]rror\)? ?(?:at or near|at end of input)"),
    ("missing_dependency", r"FileNotFoundError: \[Errno 2\] No such file or directory"),
    ("unknown", r"\b(?:NameError: name|AttributeError: module|AttributeError: '\w+' object|UnboundLocalError)"),
)
_MISTAKEN = re.compile(
    r"IndentationError: |NameError: name '(?!undefined|nothing)|takes \d+ positional argument but \d+ were given"
)
_CLIENT = re.compile(r"^run_\w+")  # the same statement through another client is the same case
_UNKNOWN_IS_MEANT = ("missing_dependency", "schema_mismatch")


def rows(raw: Path) -> Iterator[dict[str, str]]:
    """Every message that was provoked or written."""
    for path in sorted(raw.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            message = _clean(row["message"])
            if len(re.findall(r"[A-Za-z]{2,}", message)) >= 2 and not _MISTAKEN.search(message):
                label = _label(message, row["label"])
                system = row["system"]
                how = "provoked" if row["case"] and not _written(row["case"]) else "documented"
                group = derive(_CLIENT.sub("", row["case"]) or message, length=8)
                yield {"message": message, "label": label, "system": system, "how": how, "case": group}


def _written(case: str) -> bool:
    """Whether the case raises a library's error with a text of its documentation instead of provoking it."""
    return bool(re.match(r"raise |(?:aws_error|gcs_http|status_of|throw )\(?", case)) or "; raise " in case


def _clean(message: str) -> str:
    text = _COLOURS.sub("", message).strip()
    for pattern, replacement in _PATHS:
        text = pattern.sub(replacement, text)
    if len(text) > _CHARACTERS_MAX:
        text = f"{text[: _CHARACTERS_MAX // 2]}\n{text[-_CHARACTERS_MAX // 2 :]}"
    return text


def _label(message: str, meant: str) -> str:
    tail = message[-400:]
    for label, pattern in _SAYS:
        if re.search(pattern, tail) and not (label == "unknown" and meant in _UNKNOWN_IS_MEANT):
            return label
    return meant


def collected(raw: Path) -> list[dict[str, str]]:
    """The corpus: each masked text once per label and system."""
    seen: Counter[tuple[str, ...]] = Counter()
    found: list[dict[str, str]] = []
    for row in rows(raw):
        shape = (" ".join(wording.words(row["message"])), row["label"])
        seen[shape] += 1
        if seen[shape] == 1:
            found.append(row)
    return found


def main() -> int:
    """Write the corpus and say what is in it."""
    found = collected(BUILD / "raw")
    OUT.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
    labels = Counter(row["label"] for row in found)
    systems = Counter(row["system"] for row in found)
    how = Counter(row["how"] for row in found)
    print(f"{len(found)} messages of {len(systems)} systems; {dict(how)}")
    print("  " + ", ".join(f"{label} {count}" for label, count in labels.most_common()))
    print("  " + ", ".join(f"{system} {count}" for system, count in systems.most_common(60)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
