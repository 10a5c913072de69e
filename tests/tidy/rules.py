"""The house rules, each a pure function from one file to its offences; an offence says where, what, and what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.tidy.tree import ROOT, Source

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
# All events stand on one page, so that they can be read side by side.
ON_ONE_PAGE = {"shared/events/types.py"}
ENTRY_POINT_LINES_MAX = 40
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}
# Spelled so that this file keeps its own rule.
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E)\b")
MACHINE_PATH = re.compile(r"(?<![\w.}$-])/(?:work|root|farm|home/\w+|Users/\w+|tmp/bri\w*)/")
# Text that was written by others, or that holds hashes and addresses only.
NOT_PROSE = {"LICENSE", "uv.lock"}
UNTIMED = ("services", "shared/domain", "shared/events")
CHANCE_MODULES = {"time", "random", "secrets"}
CHANCE_CALLS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid.uuid1", "uuid.uuid4", "os.urandom",
}  # fmt: skip


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def short_module(source: Source) -> list[str]:
    """A module fits in a reader's head."""
    lines = source.text.count("\n")
    if lines <= MODULE_LINES_MAX or source.path in ON_ONE_PAGE:
        return []
    return [f"{source.path}: {lines} lines; move one noun into a module of its own (at most {MODULE_LINES_MAX})"]


def short_functions(source: Source) -> list[str]:
    """A function fits on a screen."""
    offences = []
    for function in _functions(source.tree):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            offences.append(
                f"{source.path}:{function.lineno}: {function.name} has {lines} lines; "
                f"move its branchless part into a function of its own (at most {FUNCTION_LINES_MAX})"
            )
    return offences


def short_entry_point(source: Source) -> list[str]:
    """An entry point binds and does nothing else."""
    lines = source.text.count("\n")
    if not PurePosixPath(source.path).match("services/*/main.py") or lines <= ENTRY_POINT_LINES_MAX:
        return []
    return [f"{source.path}: {lines} lines; an entry point only binds (at most {ENTRY_POINT_LINES_MAX}), move the rest"]


def opens_with_a_sentence(source: Source) -> list[str]:
    """A module opens with one sentence that says what it is."""
    opening = ast.get_docstring(source.tree)
    if not opening:
        return [f"{source.path}: no docstring; open the module with one sentence that says what it is"]
    if not re.search(r"[.:!?)]\"?$", opening.split("\n\n")[0].strip()):
        return [
            f"{source.path}: the docstring opens without a whole sentence; end its first paragraph with a full stop"
        ]
    return []


def telling_names(source: Source) -> list[str]:
    """A file is named with the field's noun."""
    path = PurePosixPath(source.path)
    offences = []
    for part in (*path.parts[:-1], path.stem):
        if part == "data" or EMPTY_NAMES.intersection(part.lower().split("_")):
            offences.append(f"{source.path}: {part!r} says nothing; name it with the noun it is about")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and re.search(r"(?:Utils?|Helpers?|Manager|Common|Misc)$", node.name):
            offences.append(f"{source.path}:{node.lineno}: class {node.name}; name it with the noun it is about")
    return offences


def no_print(source: Source) -> list[str]:
    """Services and the kernel speak through logs and channels."""
    if source.folder not in ("services", "shared"):
        return []
    return [
        f"{source.path}:{node.lineno}: print(); write a log line, or show it from mend/"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "pprint")
    ]


def no_broad_except(source: Source) -> list[str]:
    """Only the runtime turns what nobody foresaw into a redelivery."""
    if source.path.startswith("shared/runtime/"):
        return []
    offences = []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else ""
        if not caught or re.search(r"\b(?:Exception|BaseException)\b", caught):
            offences.append(f"{source.path}:{node.lineno}: except {caught}; name the errors that are expected here")
    return offences


def no_assert(source: Source) -> list[str]:
    """An invariant in product code survives `python -O`."""
    return [
        f"{source.path}:{node.lineno}: assert; use shared.domain.checks.check, which python -O does not strip"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assert)
    ]


def no_clock_no_chance(source: Source) -> list[str]:
    """Time, ids and chance are arguments, so that the whole pipeline runs under a seed."""
    if not source.path.startswith(tuple(f"{folder}/" for folder in UNTIMED)):
        return []
    offences = []
    for node in ast.walk(source.tree):
        used: set[str] = set()
        if isinstance(node, ast.Import):
            used = CHANCE_MODULES.intersection(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            used = CHANCE_MODULES.intersection([node.module or ""])
        elif isinstance(node, ast.Call):
            used = CHANCE_CALLS.intersection([".".join(ast.unparse(node.func).split(".")[-2:])])
        for name in used:
            offences.append(f"{source.path}:{node.lineno}: {name}; take it from ports.clock or ports.ids")
    return offences


def finished(source: Source) -> list[str]:
    """What is not finished is in the tracker, not in the text."""
    if source.path in NOT_PROSE:
        return []
    return [
        f"{source.path}:{number}: {match.group()}; finish it, or say in a sentence what does not work yet"
        for number, line in enumerate(source.text.splitlines(), 1)
        for match in UNFINISHED.finditer(line)
    ]


def no_machine_path(source: Source) -> list[str]:
    """Nothing here knows on which machine it was written."""
    return [
        f"{source.path}:{number}: {match.group()}; use a path relative to the repository, or tmp_path in tests"
        for number, line in enumerate(source.text.splitlines(), 1)
        for match in MACHINE_PATH.finditer(line)
    ]


def links_lead_somewhere(source: Source) -> list[str]:
    """A link in a document leads to a file that is there."""
    if not source.path.endswith(".md"):
        return []
    offences = []
    for target in re.findall(r"\]\(([^)\s]+)\)", source.text):
        path = target.split("#")[0]
        elsewhere = not path or "://" in path or path.startswith("mailto:")
        if not elsewhere and not (ROOT / PurePosixPath(source.path).parent / path).resolve().exists():
            offences.append(f"{source.path}: the link to {target} leads nowhere")
    return offences


def targets_have_help(source: Source) -> list[str]:
    """Whoever types `make` sees what every target does."""
    targets = set(re.findall(r"^\.PHONY: (.+)$", source.text, re.MULTILINE))
    names = {name for line in targets for name in line.split()}
    names |= set(re.findall(r"^([A-Za-z][\w-]*):(?!=)", source.text, re.MULTILINE))
    helped = set(re.findall(r"^([A-Za-z][\w-]*):.*## \S", source.text, re.MULTILINE))
    return [f"{source.path}: target {name}; write `## what it does` on its line" for name in sorted(names - helped)]
