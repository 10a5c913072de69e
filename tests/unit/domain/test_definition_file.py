"""A user's YAML file is read safely, and whatever is wrong in it is named with its exact line and column."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.definition_file import DEPTH_MAX, FILE_BYTES_MAX, parse_document, resolve, suggestion
from shared.domain.errors import DefinitionError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)

MALFORMED: list[tuple[str | bytes, int, int, str, str]] = [
    # text, line, column, part of the message, part of the hint
    ("a: 1\nb: [1, 2\nc: 3", 3, 2, "inline list is not closed", "opened on line 2"),
    ("a: {b: 1\nc", 2, 2, "inline mapping is not closed", "}"),
    ("a: 1\nb:\n  c: 1\n  d: 2\nb: 3", 5, 1, 'key "b" is written twice (first on line 2)', "keep one"),
    ("x:\n  - {a: 1, a: 2}", 2, 12, 'key "a" is written twice', "keep one"),
    ("a:\n\tb: 1", 2, 1, "a tab", "spaces"),
    ("a: 'x", 1, 6, "ends inside a quoted text", "close the quote"),
    ("a: b: c", 1, 5, "a colon where no key can stand", "indentation"),
    ("a: 1\n b: 2", 2, 3, "a colon where no key can stand", "indentation"),
    ("key\nb: 1", 2, 2, "a colon where no key can stand", "line above has a colon"),
    ("a:\n  - 1\n - 2", 3, 2, "indentation does not fit", "align"),
    ("a: @b", 1, 4, "cannot begin a value", "quote"),
    ("- 1", 1, 1, "a list, not keys and values", "key: value"),
    ("just text", 1, 1, "text, not keys and values", "key: value"),
    ("", 1, 1, "empty", "key: value"),
    ("# only a remark\n", 1, 1, "empty", "key: value"),
    ("a: *x", 1, 4, "anchor that does not exist", "define"),
    ("a: &x [*x]", 1, 8, "contains itself", "write the value out"),
    ("a: &x {b: *x}", 1, 11, "contains itself", "write the value out"),
    (BOMB, 6, 0, "once anchors are expanded", "fewer"),
    ("a: !!python/object/apply:os.system [x]", 1, 4, "tag", "plain values"),
    ("a: !custom x", 1, 4, "tag", "plain values"),
    ("---\na: 1\n---\nb: 2", 3, 1, "second document", "one file"),
    ("a: 1\nb: \x07", 2, 4, "control character", "text file"),
    ("\x00\x01", 1, 1, "control character", "text file"),
    ("a: .inf", 1, 4, "infinity", "quote"),
    ("a: 1e999", 1, 4, "too large", "quote"),
    ("1: a", 1, 1, "a key that is a whole number", "quote"),
    ("? [a]\n: b", 1, 3, "as a key", "quote"),
    ("~: b", 1, 1, "a key that is nothing", "quote"),
    ('a: "\\ud800"', 1, 4, "lone surrogate", "character itself"),
    ("a: " + "[" * 5000, 1, DEPTH_MAX + 3, "nested deeper", "flatten"),
    ("a: 1\n<<: 5", 2, 5, "merges mappings only", "anchored"),
    (b"a: 1\nb: caf\xe9", 2, 7, "not UTF-8", "UTF-8"),
    (b"\xff\xfea\x00:\x00", 1, 1, "not UTF-8", "UTF-8"),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), MALFORMED)
def test_what_is_wrong_is_named_with_its_place(
    text: str | bytes, line: int, column: int, message: str, hint: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_document(text, "p.yaml")
    error = caught.value
    assert (error.path, error.line) == ("p.yaml", line)
    assert column in (0, error.column)
    assert message in error.message
    assert hint in error.hint
    assert str(error).startswith(f"p.yaml:{line}:")


def test_without_libyaml_the_same_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    for text, line, column, message, hint in MALFORMED:
        test_what_is_wrong_is_named_with_its_place(text, line, column, message, hint)


def test_a_file_beyond_the_bound_is_refused() -> None:
    with pytest.raises(DefinitionError, match="larger than"):
        parse_document("a: " + "x" * FILE_BYTES_MAX, "p.yaml")


def test_scalars_follow_yaml_1_2() -> None:
    text = "a: NO\nb: 12:30\nc: 007\nd: 1_000\ne: 2020-01-01\nf: 1e3\ng: '1'\nh: true\ni: ~\nj: 0x1F\nk: -3\nl: .5"
    assert parse_document(text, "p").root.plain() == {
        "a": "NO",
        "b": "12:30",
        "c": "007",
        "d": 1000,
        "e": "2020-01-01",
        "f": 1000.0,
        "g": "1",
        "h": True,
        "i": None,
        "j": 31,
        "k": -3,
        "l": 0.5,
    }


def test_a_very_long_number_is_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000


def test_anchors_and_merges_are_read() -> None:
    text = "base: &b {k: 1, l: 2}\nuse:\n  <<: *b\n  l: 3\nmore: [*b, *b]"
    plain = parse_document(text, "p").root.plain()
    assert plain["use"] == {"k": 1, "l": 3}
    assert plain["more"] == [{"k": 1, "l": 2}] * 2


def test_positions_of_keys_and_of_what_is_missing() -> None:
    document = parse_document("\ufeffé: {b: [1, 22]}\nc:\n  - d: 5\n", "p")
    assert document.position(("é",)) == (1, 1)
    assert document.position(("é", "b")) == (1, 5)
    assert document.position(("é", "b", 1)) == (1, 12)
    assert document.position(("c", 0, "d")) == (3, 5)
    assert document.position(("c", 0, "absent", "deeper")) == (3, 5)
    assert document.position(("absent",)) == (1, 1)


def test_suggestion_is_the_nearest_or_the_list() -> None:
    assert suggestion("requierd", ["required", "unique"]) == 'did you mean "required"?'
    assert suggestion("ClusterBy", ["cluster_by"]) == 'did you mean "cluster_by"?'
    assert suggestion("zzz", ["b", "a"]) == "known here: a, b"


@given(st.text(max_size=200) | st.binary(max_size=200) | st.text(alphabet="ab:-[]{},&*!|>'\"#%@ \n\t?~0<", max_size=60))
def test_any_text_gives_data_or_a_definition_error(text: str | bytes) -> None:
    with contextlib.suppress(DefinitionError):
        parse_document(text, "p.yaml")
