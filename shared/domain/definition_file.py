"""Reads a user's YAML file into plain data while remembering the line and column of every key.

Nothing here trusts the file: no object is constructed, size, depth and expansion through anchors are bounded, duplicate
keys are refused. Plain scalars follow YAML 1.2 (``NO`` is the text NO, ``12:30`` is text, ``007`` keeps its zeros).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

from shared.domain.errors import DefinitionError

FILE_BYTES_MAX = 8 * 1024 * 1024  # a contract of 10,000 columns has about two
NODES_MAX = 1_000_000
DEPTH_MAX = 60
NUMBER_CHARACTERS_MAX = 60

Scalar: TypeAlias = str | int | float | bool | None
Path: TypeAlias = tuple[str | int, ...]

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_TRUE = re.compile(r"(?:true|True|TRUE)\Z")
_FALSE = re.compile(r"(?:false|False|FALSE)\Z")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_OLD_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n"})


@dataclass(slots=True)
class Node:
    """One place of the file: a scalar, a list or a mapping, and where it stands."""

    line: int
    column: int
    scalar: Scalar = None
    text: str = ""  # a scalar as it is written, without quotes
    items: list[Node] | None = None
    entries: dict[str, Node] | None = None
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    size: int = 1  # nodes once anchors are expanded

    def plain(self) -> Any:
        """The node as str, int, float, bool, None, list and dict."""
        if self.entries is not None:
            return {key: node.plain() for key, node in self.entries.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.scalar


@dataclass(slots=True)
class Document:
    """One parsed file."""

    path: str
    root: Node

    def node(self, path: Path) -> Node:
        """The deepest existing node on ``path``."""
        node = self.root
        for step in path:
            below = step_into(node, step)
            if below is None:
                return node
            node = below
        return node

    def position(self, path: Path) -> tuple[int, int]:
        """Line and column (from 1) of the key at ``path``, or of the deepest place on it that the file has."""
        node, place = self.root, (self.root.line, self.root.column)
        for step in path:
            below = step_into(node, step)
            if below is None:
                return place
            place = node.keys[step] if isinstance(step, str) and step in node.keys else (below.line, below.column)
            node = below
        return place

    def error(self, path: Path, message: str, hint: str = "") -> DefinitionError:
        """A ``DefinitionError`` that points at ``path``."""
        line, column = self.position(path)
        return DefinitionError(self.path, line, column, message, hint)


def parse_document(text: str | bytes, path: str) -> Document:
    """Parse one YAML document; the root must be a mapping. Raises ``DefinitionError`` with the exact position."""
    source = _decoded(text, path)
    if len(source) > FILE_BYTES_MAX:
        raise DefinitionError(path, 0, 0, f"the file is larger than {FILE_BYTES_MAX} characters", "split it")
    root = _tree(source, path)
    if root is None:
        raise DefinitionError(path, 1, 1, "the file is empty", "write `key: value` lines")
    if root.entries is None:
        raise DefinitionError(
            path, root.line, root.column, f"the file holds {shape(root)}, not keys and values", "write `key: value`"
        )
    return Document(path, root)


def suggestion(word: str, known: Iterable[str]) -> str:
    """``did you mean "x"?``, or the list of what is known when nothing is near."""
    names = sorted(set(known))
    folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{folded[near[0]]}"?'
    if not names:
        return "no keys are known here"
    return "known here: " + ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def shape(node: Node) -> str:
    """What a node is, in words for a message."""
    if node.entries is not None:
        return "a mapping"
    if node.items is not None:
        return "a list"
    return shape_of(node.scalar)


def shape_of(value: object) -> str:
    """What a plain value is, in words for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar (YAML 1.2 core, plus ``1_000``); raises ``ValueError`` when it is no value."""
    if _NULL.match(text):
        return None
    if _TRUE.match(text):
        return True
    if _FALSE.match(text):
        return False
    if len(text) > NUMBER_CHARACTERS_MAX:
        return text
    if _INTEGER.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _NOT_FINITE.match(text):
        raise ValueError("infinity and not-a-number are no values of a definition")
    if _FLOAT.match(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError("the number is too large")
        return number
    return text


def step_into(node: Node, step: str | int) -> Node | None:
    """The node one key or index below, if there is one."""
    if isinstance(step, str):
        return None if node.entries is None else node.entries.get(step)
    return node.items[step] if node.items is not None and 0 <= step < len(node.items) else None


def _decoded(text: str | bytes, path: str) -> str:
    if isinstance(text, str):
        source = text
    else:
        try:
            source = text.decode("utf-8")
        except UnicodeDecodeError as error:
            before = text[: error.start]
            line = before.count(b"\n") + 1
            column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
            raise DefinitionError(path, line, column, "bytes that are not UTF-8", "save the file as UTF-8") from None
    return source.removeprefix("\ufeff")


def _tree(source: str, path: str) -> Node | None:
    """Parse with libyaml when it is there; the pure parser repeats a failure, so that messages never differ."""
    fast = getattr(yaml, "CSafeLoader", None)
    if fast is not None:
        try:
            return _Builder(path).build(yaml.parse(source, Loader=fast))
        except (yaml.YAMLError, UnicodeEncodeError):
            pass
    try:
        return _Builder(path).build(yaml.parse(source, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _syntax_error(error, source, path) from None


_PLAIN_PROBLEMS = {
    "cannot start any token": ("a character that cannot begin a value", "indent with spaces, and quote special text"),
    "mapping values are not allowed": (
        "a colon where no key can stand",
        "check the indentation and that the line above has a colon, or quote the text",
    ),
    "could not find expected ':'": ("a line that is not `key: value`", "put a colon and a space after the key"),
    "expected <block end>": ("this line's indentation does not fit the lines above", "align it with its siblings"),
    "unexpected end of stream": ("the file ends inside a quoted text", "close the quote"),
    "expected ',' or '}'": ("an inline mapping is not closed", "add a comma or }"),
    "expected ',' or ']'": ("an inline list is not closed", "add a comma or ]"),
    "undefined alias": ("an alias to an anchor that does not exist", "define the &anchor before its *alias"),
}


def _syntax_error(error: yaml.YAMLError, source: str, path: str) -> DefinitionError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        problem = error.problem or error.context or "not YAML"
        for part, (message, advice) in _PLAIN_PROBLEMS.items():
            hint = advice
            if part in problem:
                if "'\\t'" in problem:
                    return DefinitionError(path, line, column, "a tab in the indentation", "indent with spaces")
                opened = error.context_mark
                if opened is not None and opened.line + 1 < line and "inline" in message:
                    hint = f"{hint}; opened on line {opened.line + 1}"
                return DefinitionError(path, line, column, message, hint)
        return DefinitionError(path, line, column, f"not YAML: {problem}")
    position = getattr(error, "position", None)
    if isinstance(position, int):
        before = source[:position]
        return DefinitionError(
            path,
            before.count("\n") + 1,
            len(before) - before.rfind("\n"),
            "a control character, which YAML does not allow",
            "is this a text file? delete the character, or write it as an escape in double quotes",
        )
    return DefinitionError(path, 0, 0, "not YAML")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    node: Node
    anchor: str | None
    key: str | None = None  # a key that still waits for its value
    key_place: tuple[int, int] = (0, 0)
    merged: dict[str, Node] = field(default_factory=dict)


class _Builder:
    """Builds nodes from parser events with a stack of its own, so that deep nesting cannot exhaust Python's."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._root: Node | None = None
        self._documents = 0

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            mark = event.start_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
            match event:
                case yaml.DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        self._refuse(line, column, "a second document in the file", "write one file per definition")
                case yaml.ScalarEvent():
                    self._scalar(event, line, column)
                case yaml.AliasEvent():
                    self._alias(event, line, column)
                case yaml.SequenceStartEvent():
                    self._push(event, Node(line, column, items=[]))
                case yaml.MappingStartEvent():
                    self._push(event, Node(line, column, entries={}))
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._pop()
        root = self._root
        return None if root is not None and root.entries is None and root.items is None and root.text == "" else root

    def _push(self, event: yaml.CollectionStartEvent, node: Node) -> None:
        self._no_tag(event.tag, node.line, node.column)
        if len(self._stack) >= DEPTH_MAX:
            self._refuse(node.line, node.column, f"nested deeper than {DEPTH_MAX} levels", "flatten it")
        top = self._stack[-1] if self._stack else None
        if top is not None and top.node.entries is not None and top.key is None:
            self._refuse(node.line, node.column, "a list or mapping as a key", "quote it if { or [ is meant as text")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(node, event.anchor))

    def _pop(self) -> None:
        done = self._stack.pop()
        if done.node.entries is not None:
            for key, node in done.merged.items():
                if key not in done.node.entries:
                    done.node.entries[key] = node
                    done.node.keys[key] = (node.line, node.column)
        if done.anchor is not None:
            self._anchors[done.anchor] = done.node
        self._place(done.node)

    def _scalar(self, event: yaml.ScalarEvent, line: int, column: int) -> None:
        self._no_tag(event.tag, line, column)
        node = Node(line, column, text=event.value)
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            self._refuse(line, column, "half a character (a lone surrogate escape)", "write the character itself")
        top = self._stack[-1] if self._stack else None
        is_key = top is not None and top.node.entries is not None and top.key is None
        try:
            node.scalar = resolve(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            self._refuse(line, column, str(error), "quote it if text is meant")
        if is_key and not isinstance(node.scalar, str):
            self._refuse(line, column, f"a key that is {shape(node)}", "quote it if text is meant")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._place(node)

    def _alias(self, event: yaml.AliasEvent, line: int, column: int) -> None:
        if event.anchor not in self._anchors:
            self._refuse(line, column, "an alias to an anchor that does not exist", "define &anchor before its *alias")
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse(line, column, "an anchor that contains itself", "write the value out")
        self._place(node, alias=(line, column))

    def _place(self, node: Node, alias: tuple[int, int] | None = None) -> None:
        place = alias or (node.line, node.column)
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        top.node.size += node.size
        if top.node.size > NODES_MAX:
            self._refuse(*place, f"more than {NODES_MAX} values once anchors are expanded", "write fewer aliases")
        if top.node.items is not None:
            top.node.items.append(node)
        elif top.key is None:
            self._take_key(top, node, place)
        else:
            self._take_value(top, node, place)

    def _take_key(self, top: _Open, node: Node, place: tuple[int, int]) -> None:
        if not isinstance(node.scalar, str):
            self._refuse(*place, f"a key that is {shape(node)}", "quote it if text is meant")
        if node.scalar in top.node.keys:
            first = top.node.keys[node.scalar][0]
            self._refuse(*place, f'key "{node.scalar}" is written twice (first on line {first})', "keep one of them")
        top.key, top.key_place = node.scalar, place

    def _take_value(self, top: _Open, node: Node, place: tuple[int, int]) -> None:
        key, entries = top.key, top.node.entries
        top.key = None
        if key is None or entries is None:
            return
        if key != "<<":
            entries[key] = node
            top.node.keys[key] = top.key_place
            return
        for source in [node] if node.items is None else node.items:
            if source.entries is None:
                self._refuse(*place, "`<<` merges mappings only", "point it at an anchored mapping")
            for name, value in source.entries.items():
                top.merged.setdefault(name, value)

    def _no_tag(self, tag: str | None, line: int, column: int) -> None:
        if tag is not None and tag not in ("!", "tag:yaml.org,2002:str"):
            self._refuse(line, column, "a YAML tag (!…)", "write plain values only")

    def _refuse(self, line: int, column: int, message: str, hint: str) -> NoReturn:
        raise DefinitionError(self._path, line, column, message, hint)
