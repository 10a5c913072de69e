"""Random CSV, from junk to nearly tidy, and random ways to read it."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.domain.reading import ReadingOptions

_TOKENS = [
    b",", b";", b'"', b'""', b"\n", b"\r", b"\r\n", b"\\", b"a", b"bc", b" ", "é".encode(), b"\xff", b"\0", b"'",
    b'","', b'"\n"', "\ufeff".encode(),
]  # fmt: skip
_ACCIDENTS = [b"", b"", b'"', b",", b"\n", b"\xff", b'a"b', b',"x']

junk = st.lists(st.sampled_from(_TOKENS), max_size=30).map(b"".join)
_cells = st.lists(st.sampled_from([b",", b'"', b"\n", b"a", b"1", b"", "ü".encode()]), max_size=4).map(b"".join)


@st.composite
def tidy(draw: st.DrawFn) -> bytes:
    """Mostly well-formed CSV with quoting as writers do it, an accident somewhere in it."""
    width = draw(st.integers(1, 3))
    lines = []
    for _ in range(draw(st.integers(1, 8))):
        fields = [draw(_cells) for _ in range(width)]
        lines.append(b",".join(b'"' + f.replace(b'"', b'""') + b'"' if set(f) & set(b',"\n') else f for f in fields))
    content = draw(st.sampled_from([b"\n", b"\r\n", b"\r"])).join(lines)
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.sampled_from(_ACCIDENTS)) + content[place:]


_MARKS = [
    (",", '"', ""),
    (",", '"', ""),
    (";", '"', ""),
    (",", "'", ""),
    (",", "", ""),
    (",", '"', "\\"),
    (",", "", "\\"),
]

reading_options = st.builds(
    lambda marks, header, skip, names: ReadingOptions(
        delimiter=marks[0],
        quote=marks[1],
        escape=marks[2],
        header=header,
        skip_lines=skip,
        column_names=() if header else names,
    ),
    st.sampled_from(_MARKS),
    st.booleans(),
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from([(), ("x",), ("x", "y")]),
)
