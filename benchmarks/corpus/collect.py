"""Makes `corpus.jsonl` of what was provoked: `python -m benchmarks.corpus.collect`; with `--add`, adds to it.

Machine paths are replaced, messages that are the same once masked are kept once, and a case that failed with something
else than it was meant to (a module that is not there, a mistake in the case) is labelled by what its message says.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    (re.compile(r"/tmp/mend-emulators-\w+"), "/srv/emulators"),
    (re.compile(r"(?<![\w.}$-])/(?:work|root|farm|home/\w+|Users/\w+)(?=/|\b)"), "/srv/etl"),
    (re.compile(r"/tmp/\w+"), "/srv/job"),
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What a message says beyond doubt, whatever the case was meant to provoke.
_SAYS = (
    ("missing_dependency", r"ModuleNotFoundError: No module|Missing optional dependency|: command not found"),
    ("missing_dependency", r"Use pip, conda, or your preferred package|ENOENT: no such file|^\[Errno 2\] No such file"),
    ("missing_dependency", r"\[PATH_NOT_FOUND\]"),
    ("data_corruption", r"JSONDecodeError: "),
    ("schema_mismatch", r"extra data after last expected column|missing data for column|Data truncated for"),
    ("schema_mismatch", r"Unknown column '[^']*' in '"),
    ("resource_exhaustion", r"OutOfMemoryError: Java heap space|Too many open files"),
    ("resource_exhaustion", r"too many clients already|Too many connections(?! from)"),
    ("authentication_failure", r"Access denied for user '[^']*'@'[^']*' \(using password"),
    ("configuration_error", r"Unrecognized configs: |unrecognized configuration parameter|No connection adapters were"),
    ("configuration_error", r"No such option:? '|Invalid value for '--|Unknown result backend|Job name should match"),
    (
        "configuration_error",
        r"cannot run inside a transaction block|is not a valid name in|can't be set to the value of",
    ),
    ("network_timeout", r"(?:Operational|Refused)Error: \[Errno 111\] Connection refused$|ConnectionResetError\(104, "),
    (
        "network_timeout",
        r"Unable to bootstrap from|Could not connect to the endpoint URL|Can't connect to local server",
    ),
    (
        "unknown",
        r"a coroutine was expected|isinstance\(\) arg 2|tokio runtime does not support forked|max_buffer_size'$",
    ),
    ("unknown", r"IndexError: (?:list )?index out of range|SyntaxError: invalid syntax|server encountered an internal"),
    ("unknown", r"You have an error in your SQL syntax|[sS]yntax ?[eE]rror\)? ?(?:at or near|at end of input)"),
    ("missing_dependency", r"FileNotFoundError: \[Errno 2\] No such file or directory"),
)
_MISTAKE = re.compile(r"\b(?:NameError: name|AttributeError: module|AttributeError: '\w+' object|UnboundLocalError)")
_MISTAKE_IS_MEANT = ("missing_dependency", "schema_mismatch")  # a column or a function that is not there
_MISTAKEN = re.compile(
    r"IndentationError: |^unexpected indent|execute_in_process|NameError: name '(?!undefined|nothing)"
    r"|takes \d+ positional argument but \d+ were given|has pseudo-type void"
)
_RAISED = re.compile(r"raise |(?:aws_error|gcs_http|status_of|throw )\(?|print\(\"")
_ANSWERED = re.compile(r"; raise |serve\([45]\d\d, ?[^)\s]")  # or a server's answer that was written down
_CLIENT = re.compile(r"^run_\w+")  # the same statement through another client is the same case


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
    return bool(_RAISED.match(case) or _ANSWERED.search(case))


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
        if re.search(pattern, tail, re.MULTILINE):
            return label
    return "unknown" if _MISTAKE.search(tail) and meant not in _MISTAKE_IS_MEANT else meant


def added(found: Iterable[dict[str, str]], known: list[dict[str, str]]) -> list[dict[str, str]]:
    """The corpus as it is, labelled by what its messages say, and after it what it does not have.

    Each masked text stands once under a label.
    """
    told = ({**row, "label": _label(row["message"], row["label"])} for row in known)
    seen: set[tuple[str, str]] = set()
    kept = []
    for row in (*told, *found):
        shape = (" ".join(wording.words(row["message"])), row["label"])
        if shape not in seen and not _MISTAKEN.search(row["message"]):
            kept.append(row)
        seen.add(shape)
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the corpus and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus.collect", description=__doc__)
    parser.add_argument("--add", action="store_true", help="keep what is in the corpus, and add what was provoked")
    given = parser.parse_args(arguments)
    known = [json.loads(line) for line in OUT.read_text(encoding="utf-8").splitlines()] if given.add else []
    found = added(rows(BUILD / "raw"), known)
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
