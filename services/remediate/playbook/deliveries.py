"""Remedies of whole deliveries: another reading of the same bytes, or the bytes fetched again."""

from __future__ import annotations

import json
from typing import Any

from services.remediate.plans import Case, Fit, Plan, Played
from shared.domain.reading import ReadingOptions, ReadingUnknown
from shared.domain.remedy import Tier

TRIES_MAX = 5


class _OtherReading(Played):
    def plan(self, case: Case) -> Plan | None:
        """The best reading that the content suggests and that was not made yet."""
        if case.healing is None or (case.finding.cause in ("ragged_rows", "unknown") and _few(case)):
            return None
        told = case.finding.evidence("alternatives")
        for entry in told if isinstance(told, list) else case.alternatives:
            options = _options(entry)
            if options is None or options.to_json() in case.readings:
                continue
            return Plan(
                action="reading",
                sentence=f"Read the delivery again as {_said(options)}",
                rows=case.healing.rows_total(),
                reading_options_json=options.to_json(),
                signature=options.to_json(),
            )
        return None


def _few(case: Case) -> bool:
    """True when most records fit: bad lines, or a mere warning, are no reason to read the good ones otherwise."""
    return 2 * case.finding.rows_failed < case.finding.rows


def _options(entry: Any) -> ReadingOptions | None:
    try:
        return ReadingOptions.from_json(entry if isinstance(entry, str) else json.dumps(entry))
    except ReadingUnknown:
        return None


def _said(options: ReadingOptions) -> str:
    if options.format != "csv":
        return options.format
    delimiter = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar", " ": "space"}.get(options.delimiter, "other")
    decimal = ", decimal comma" if options.decimal == "," else ""
    header = "" if options.header else ", no header"
    return f"CSV ({options.encoding}, {delimiter}-delimited{decimal}{header})"


class _Refetch(Played):
    def plan(self, case: Case) -> Plan | None:
        """Ask the source for the object again, a few times; a newer delivery takes this one's place."""
        if case.healing is None or not case.uri:
            return None
        return Plan(
            action="refetch",
            sentence="Fetch the delivery again and use the newer one when it is whole",
            rows=case.healing.rows_total(),
            details={"tries_max": TRIES_MAX},
        )


OTHER_READING = _OtherReading(
    name="other_reading",
    tier=Tier.SAFE,
    stage="delivery",
    times_max=4,
    fits={
        "wrong_dialect": Fit(19, 1, "The content itself suggests the other dialect."),
        "unreadable_delivery": Fit(2, 2, "Bytes that one reading cannot take another one may."),
        "ragged_rows": Fit(1, 3, "Many misfits may be a wrong delimiter; a few are just bad lines."),
        "unknown": Fit(1, 2, "Worth a look when the content suggests another dialect."),
    },
)

REFETCH = _Refetch(
    name="refetch",
    tier=Tier.SAFE,
    stage="delivery",
    fits={
        "truncated_delivery": Fit(6, 2, "A delivery that was cut off is often sent again."),
        "unreadable_delivery": Fit(2, 2, "A damaged delivery is sometimes sent again."),
        "empty_delivery": Fit(2, 3, "An empty delivery is sometimes followed by a full one."),
    },
)
