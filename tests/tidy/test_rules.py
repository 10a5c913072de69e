"""Each house rule catches what it forbids and lets its neighbour pass: a rule that cannot fail is no rule."""

import pytest

from tests.tidy import rules
from tests.tidy.test_tidy import Rule
from tests.tidy.tree import Source

OPENING = '"""What it is."""\n'
LONG_FUNCTION = OPENING + "def judge():\n" + "    x = 1\n" * 60

# rule, path, offending text, text of the same path that passes
CASES = [
    (rules.short_module, "shared/domain/batch.py", "x = 1\n" * 401, "x = 1\n" * 400),
    (rules.short_functions, "shared/domain/batch.py", LONG_FUNCTION, LONG_FUNCTION.removesuffix("    x = 1\n")),
    (rules.short_entry_point, "services/load/main.py", "x = 1\n" * 41, "x = 1\n" * 40),
    (rules.opens_with_a_sentence, "mend/main.py", "x = 1\n", OPENING),
    (rules.opens_with_a_sentence, "mend/main.py", '"""what it is"""\n', OPENING),
    (rules.telling_names, "shared/domain/batch.py", "class BatchManager: ...\n", "class Batch: ...\n"),
    (rules.no_print, "services/load/handlers.py", "print(1)\n", "log(1)\n"),
    (
        rules.no_broad_except,
        "services/load/x.py",
        "try: f()\nexcept Exception: g()\n",
        "try: f()\nexcept OSError: g()\n",
    ),
    (
        rules.no_broad_except,
        "services/load/x.py",
        "try: f()\nexcept: g()\n",
        "try: f()\nexcept (OSError, KeyError): g()\n",
    ),
    (rules.no_broad_except, "mend/x.py", "try: f()\nexcept (KeyError, BaseException): g()\n", ""),
    (rules.no_assert, "shared/domain/batch.py", "assert 1\n", "check(1)\n"),
    (rules.no_clock_no_chance, "services/load/x.py", "import time\n", "import datetime\n"),
    (rules.no_clock_no_chance, "services/load/x.py", "from random import choice\n", "from math import pi\n"),
    (rules.no_clock_no_chance, "services/load/x.py", "datetime.datetime.now(UTC)\n", "ports.clock.now()\n"),
    (rules.no_clock_no_chance, "shared/domain/x.py", "x = uuid.uuid4()\n", "x = uuid.uuid5(a, b)\n"),
    (rules.finished, "docs/commands.md", "TO" + "DO: write this\n", "To do this, type\n"),
    (rules.no_machine_path, "docs/commands.md", "see /" + "work/main\n", "see /network/main and work/main\n"),
    (rules.no_machine_path, "tests/unit/x.py", "open('/" + "root/x')\n", "open(root / 'x')\n"),
    (
        rules.links_lead_somewhere,
        "docs/x.md",
        "[a](gone.md)\n",
        "[a](../README.md#top) [b](https://x.org) [c](#here)\n",
    ),
    (rules.targets_have_help, "Makefile", ".PHONY: demo\ndemo: setup\n\tmend demo\n", "demo: setup ## See it.\n"),
    (rules.targets_have_help, "Makefile", "demo: setup\n\tmend demo\n", "UV := uv\n.venv/bin: x\n"),
]


@pytest.mark.parametrize(("rule", "path", "bad", "good"), CASES)
def test_rule_bites(rule: Rule, path: str, bad: str, good: str) -> None:
    assert rule(Source(path, bad)), "the rule did not notice"
    assert not rule(Source(path, good)), "the rule is too strict"


@pytest.mark.parametrize(
    "path", ["shared/utils.py", "shared/common/x.py", "mend/batch_helpers.py", "services/load/data.py"]
)
def test_empty_file_names_are_noticed(path: str) -> None:
    assert rules.telling_names(Source(path, OPENING))


def test_the_runtime_alone_may_catch_everything() -> None:
    broad = "try: f()\nexcept Exception: g()\n"
    assert not rules.no_broad_except(Source("shared/runtime/loop.py", broad))
