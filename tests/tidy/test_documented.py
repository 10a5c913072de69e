"""What a user or an engineer meets is written down: every event, every command, every service, every setting."""

import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.tidy.tree import ROOT

SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/__init__.py"))


def _commands() -> list[str]:
    """The names behind `mend`, with those of its groups ("quarantine list")."""
    from typer.main import get_command

    from mend.main import app

    names: list[str] = []

    def walk(command: object, prefix: tuple[str, ...]) -> None:
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            names.append(" ".join((*prefix, name)))
            walk(inner, (*prefix, name))

    walk(get_command(app), ())
    return names


@pytest.mark.skipif(find_spec("shared.events.types") is None, reason="no events yet")
def test_every_event_is_described() -> None:
    from shared.events import types

    models = [model for model in vars(types).values() if isinstance(model, type) and model.__module__ == types.__name__]
    names = sorted(name for model in models if (name := getattr(model, "TYPE", "")))
    assert names, "no event model has a TYPE; has shared/events/types.py changed its shape?"
    text = (ROOT / "schemas/README.md").read_text() if (ROOT / "schemas/README.md").exists() else ""
    missing = [name for name in names if f"`{name}`" not in text]
    assert not missing, f"describe in schemas/README.md, as `type` with who sends it, who hears it and why: {missing}"


@pytest.mark.skipif(find_spec("mend.main") is None, reason="no command line yet")
def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/commands.md").read_text() if (ROOT / "docs/commands.md").exists() else ""
    missing = [name for name in _commands() if not re.search(rf"`mend {re.escape(name)}\b", text)]
    assert not missing, f"describe in docs/commands.md, as `mend name …` with an example and its exit codes: {missing}"


@pytest.mark.skipif(find_spec("mend.main") is None, reason="no command line yet")
def test_no_command_is_documented_that_is_not_there() -> None:
    text = (ROOT / "docs/commands.md").read_text() if (ROOT / "docs/commands.md").exists() else ""
    known = {name.split()[0] for name in _commands()}
    gone = sorted(set(re.findall(r"^#+ .*`mend ([a-z-]+)", text, re.MULTILINE)) - known)
    assert not gone, f"docs/commands.md describes commands that do not exist: {gone}"


@pytest.mark.skipif(find_spec("shared.runtime.settings") is None, reason="no settings yet")
def test_every_setting_is_documented() -> None:
    from shared.runtime.settings import PREFIX, Settings

    text = (ROOT / "docs/settings.md").read_text() if (ROOT / "docs/settings.md").exists() else ""
    missing = [name for name in Settings.model_fields if f"`{PREFIX}{name.upper()}`" not in text]
    assert not missing, f"describe in docs/settings.md, as `{PREFIX}NAME` with default, unit and a sentence: {missing}"
    unexplained = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not unexplained, f"give each setting a description with its unit: {unexplained}"


_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SET = re.compile(r"(?:^|[\s;(])([A-Z][A-Z_]*)=|\bfor ([A-Z]+) in|\bread .*? ([A-Z][A-Z_]*)(?=;|$)", re.MULTILINE)
_PLACEHOLDER = re.compile(r"(?<![\w$\"'{])[A-Z][A-Z_]{2,}(?![\w=}])")
_WORDS = {"POST"}  # what a command wants in capitals


def _typed(text: str) -> Iterator[str]:
    """What a page says to type: its indented blocks, and commands within sentences."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("    "):
            block.append(line)
            continue
        yield from ["\n".join(block)] if block else []
        block = []
        yield from re.findall(r"`((?:gcloud|bq|curl|make|(?:\.venv/bin/)?mend) [^`]+)`", line)


def test_what_the_guide_says_to_type_can_be_pasted() -> None:
    """No word is left to be filled in, no variable is used before it is set, and the page's first command is a form."""
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    first, *rest = _typed(text)
    assert first.split()[:4] == ["gcloud", "pubsub", "topics", "publish"]
    known = {"HOME"}
    for typed in rest:
        names = {name for found in _SET.findall(typed) for name in found if name}
        used = set(re.findall(r"\$\{?([A-Z][A-Z_]*)", typed))
        left = set(_PLACEHOLDER.findall(_QUOTED.sub(" ", typed))) - _WORDS - names
        assert "…" not in typed, typed
        assert not left, f"{left} stands for something else in: {typed}"
        assert used <= known | names, f"{used - known - names} is not set yet in: {typed}"
        known |= names
    assert text.count("my-project") == 1, "said once, and a variable from there on"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_what_it_does(service: str) -> None:
    readme = ROOT / "services" / service / "README.md"
    assert readme.is_file(), (
        f"write {readme.relative_to(ROOT)}: events in and out, collections owned, failures, how to run it alone"
    )
