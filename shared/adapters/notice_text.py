"""A notice cut to what a person reads and cleaned of what could be mistaken for something else."""

from __future__ import annotations

from shared.domain.masking import clean
from shared.ports.channel import Notice

TITLE_CHARACTERS_MAX = 200
SUMMARY_CHARACTERS_MAX = 2_000
FACTS_MAX = 20
FACT_TITLE_CHARACTERS_MAX = 80
FACT_VALUE_CHARACTERS_MAX = 400
COMMAND_CHARACTERS_MAX = 400
LINK_CHARACTERS_MAX = 2_000


def bounded(notice: Notice) -> Notice:
    """The notice with every text bounded, without control and invisible characters, and only a web link."""
    link = notice.link
    if not link.startswith(("https://", "http://")) or len(link) > LINK_CHARACTERS_MAX or not link.isprintable():
        link = ""
    return notice._replace(
        title=_line(notice.title, TITLE_CHARACTERS_MAX),
        summary=clean(notice.summary, SUMMARY_CHARACTERS_MAX),
        facts=tuple(
            (_line(title, FACT_TITLE_CHARACTERS_MAX), clean(value, FACT_VALUE_CHARACTERS_MAX))
            for title, value in notice.facts[:FACTS_MAX]
        ),
        command=_line(notice.command, COMMAND_CHARACTERS_MAX),
        link=link,
    )


def _line(text: str, characters_max: int) -> str:
    return " ".join(clean(text, characters_max).split())
