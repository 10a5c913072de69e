"""A message as features: words, pairs of neighbours and codes, the same in training and in service."""

from __future__ import annotations

import itertools
import re
from collections import Counter

from services.classify import wording
from shared.domain import stack_frames

CHARACTERS_MAX = 900
_WORDS_MAX = 90
_FRAME = re.compile(
    r"^\s*(?:File ['\"][^\n]*|at [\w$.<>/]+\([^\n]*|at [^\n]*:\d+:\d+\)?|[~^]+|\[SQL: [^\n]*|…"
    r"|\(Background on this error[^\n]*|-{8,}|The above exception was the direct cause [^\n]*"
    r"|During handling of the above exception[^\n]*)\s*$"
)
# A database's client repeats the statement before it says what is wrong with it.
_ECHO = re.compile(r"\A\s*-{8,}\n(?:[^\n]*\n){1,40}?-{8,}\s*\n+(?=[^\n]*ERROR)")
_PYTHON_FRAME = re.compile(r"^\s*File ['\"].*, line \d+, in ")
_CODE_LINE = re.compile(r"^    \S")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Timeout|Exit|Interrupt|Warning|Failure|[a-z])(?:: |$)")
_TRACEBACK = "Traceback (most recent call last)"
_MASKS = (
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s'\")\]>]*"), " zurl "),
    (re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), " zid "),
    (re.compile(r"\[?\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\]?"),
     " ztime "),
    (re.compile(r"\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b"), " ztime "),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), " zhost "),
    (re.compile(r"\b[\w-]+(?:\.[\w-]+)+:\d{2,5}\b"), " zhost "),
    (re.compile(r"(?i)(?<![\w/.])(?:[a-z]:)?[\\/](?:[\w.@$~+*%=-]+[\\/])*[\w.@$~+*%=-]+[\\/]?"), " zpath "),
    (re.compile(r"(?i)\b[\w.-]+\.(?:csv|json|parquet|gz|zip|xlsx?|txt|sql|avro|orc|db|tmp|log|ya?ml)\b"), " zfile "),
    (re.compile(r"(?i)\b(?:0x[0-9a-f]+|(?=[a-f]*\d[0-9a-f]*[a-f]|\d+[a-f])[0-9a-f]{8,})\b"), " zid "),
    (re.compile(r"'… ([^'\n]{0,300}) …'"), r" zquote \1 "),
    (re.compile(r"'…'|'[^'\n]{0,200}'|\"[^\"\n]{0,200}\"|`[^`\n]{0,200}`|«[^»\n]{0,200}»"), " zquote "),
)  # fmt: skip
_SIZE = re.compile(r"(?i)\b\d+(?:[.,]\d+)?\s?(?:[kmgt]i?b|bytes|mb/s)\b")
_DURATION = re.compile(r"(?i)\b\d+(?:[.,]\d+)?\s?(?:ms|s|secs?|seconds?|min|minutes?|hours?|h|m)\b")
_STATUS = re.compile(r"(?<![\w.-])([1-5]\d\d)(?![\w.%-])")
_VENDOR = re.compile(
    r"\b(ORA|Errno|errno|ERROR|Code|code|SQLSTATE|exit code|status)[-_ :=\[(]*0*(\d{1,5}|[0-9A-Z]{5})\b"
)
_NUMBER = re.compile(r"\d+")
_PERCENT = re.compile(r"\b\d+(?:[.,]\d+)?\s?%")
_SHOWN = re.compile(r"\bz(url|id|time|host|path|file|quote|percent|size|duration|num)\b")
_TOKEN = re.compile(r"[a-z]+|#[a-z0-9]+")
_JOINED = re.compile(r"\b[A-Za-z]+(?:[A-Z][a-z]+|Error|Exception)+\b")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")
_APOSTROPHE = re.compile(r"(?i)n['’]t\b")
_DROPPED_WORDS = """
a an the of to is was are be been it its this that as in on at by for java lang org com net io
"""
_DROPPED = frozenset(_DROPPED_WORDS.split())


def told(message: str) -> str:
    """What a message tells, without the frames of its stack; what a traceback ends with comes first."""
    text = _ECHO.sub("", wording.visible(message))
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1:
        frames = [at for at, line in enumerate(lines) if _TRACEBACK in line or _PYTHON_FRAME.match(line)]
        kept = [
            (at, line)
            for at, line in enumerate(lines)
            if not (_FRAME.match(line) or stack_frames.is_frame(line) or _TRACEBACK in line)
            and not (frames and _CODE_LINE.match(line))
        ]
        told_lines = [line for _, line in kept] or lines[-1:]
        if frames:
            # What looks like an exception below the one that was raised was not raised there.
            raised = [place for place, (at, line) in enumerate(kept) if at > frames[-1] and _RAISED.match(line)]
            first = raised[0] if raised else len(told_lines) - 1
            told_lines = told_lines[first:] + told_lines[:first]
        text = "\n".join(told_lines)
    return text[:CHARACTERS_MAX]


def tokens(text: str) -> list[str]:
    """The words and codes of a text in order, with what differs from case to case masked."""
    codes = [f"#{kind[:4]}{value}" for kind, value in _VENDOR.findall(text)]
    joined = [name.lower() for name in _JOINED.findall(text)]
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    text = _PERCENT.sub(" zpercent ", _SIZE.sub(" zsize ", text))
    text = _DURATION.sub(" zduration ", text)
    text = _STATUS.sub(r" #s\1 ", text)
    text = _APOSTROPHE.sub(" not", text)
    spread = _CAMEL.sub(" ", text).lower()
    spread = re.sub(r"(?<![#\w])\d+", " znum ", spread)
    found = [wording.stem(word) if word[0] not in "#z" else word for word in _TOKEN.findall(spread)]
    found = [word for word in found if word not in _DROPPED and len(word) > 1][:_WORDS_MAX]
    return [*found, *(f"#{name.lower()}" for name in codes), *(f"={name[:40]}" for name in joined[:6])]


def counted(text: str) -> Counter[str]:
    """How often each feature stands in a text: words, codes, joined names, and pairs of neighbours."""
    words = tokens(text)
    found: Counter[str] = Counter(words)
    plain = [word for word in words if word[0] != "="]
    found.update(f"{one} {two}" for one, two in itertools.pairwise(plain))
    return found


def shown(name: str) -> str:
    """A feature as people read it: ``after zduration`` is after <duration>."""
    return _SHOWN.sub(lambda found: f"<{'number' if found[1] == 'num' else found[1]}>", name)
