"""The causes that a diagnosis can name, each under one failure class: the words classify and remediate share.

The classifier chooses among these from evidence; a remedy says which of them it can help. A name is a promise: it is
written into history and posteriors and is never given another meaning.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.domain.incident import FailureClass


class Cause(NamedTuple):
    """Why something failed, as fine as a remedy needs to know it."""

    name: str
    failure_class: FailureClass
    meaning: str


_SCHEMA = FailureClass.SCHEMA_MISMATCH
_DATA = FailureClass.DATA_CORRUPTION

_COLUMNS = (
    Cause("column_renamed", _SCHEMA, "A contract column is missing and a column of the delivery looks like it."),
    Cause("column_added", _SCHEMA, "The delivery has a column that the contract does not know."),
    Cause("column_missing", _SCHEMA, "A contract column is missing and nothing in the delivery looks like it."),
    Cause("type_changed", _SCHEMA, "Most values of a column are of another type than the contract says."),
    Cause("type_wider", _SCHEMA, "Values fit a wider type of the same kind, such as a number where integers were."),
)

_READING = (
    Cause("wrong_dialect", _SCHEMA, "The file was read with the wrong delimiter, encoding, header or decimal mark."),
    Cause("ragged_rows", _DATA, "Some records have more or fewer fields than the header."),
    Cause("truncated_delivery", _DATA, "The delivery ends before it is complete."),
    Cause("empty_delivery", _DATA, "The delivery holds no record."),
    Cause("unreadable_delivery", _DATA, "The bytes are of no format that can be read."),
)

_CELLS = (
    Cause("date_format_changed", _DATA, "Dates or times are written in another format than expected."),
    Cause("number_format_changed", _DATA, "Numbers carry decimal commas, thousands marks, currencies or percent."),
    Cause("value_not_normalised", _DATA, "Values differ from allowed ones only by case, spaces or Unicode form."),
    Cause("value_misspelled", _DATA, "Values are a few letters away from an allowed one."),
    Cause("value_unknown", _DATA, "Values are not in the allowed set and nothing allowed is near them."),
    Cause("null_burst", _DATA, "Values are missing where they are required."),
    Cause("out_of_range", _DATA, "Values lie outside the allowed range or length."),
    Cause("pattern_broken", _DATA, "Values do not have the form that the contract demands."),
    Cause("unit_changed", _DATA, "A column's numbers are all larger or smaller by the factor between two units."),
)

_ROWS = (
    Cause("orphan_rows", _DATA, "Rows refer to keys that their parent table lacks."),
    Cause("parent_missing", FailureClass.MISSING_DEPENDENCY, "The table that rows refer to does not exist yet."),
    Cause("duplicate_rows", _DATA, "Rows occur more than once, equal in every cell."),
    Cause("conflicting_keys", _DATA, "Rows share a key and differ in other cells."),
)

_DATASET = (
    Cause("distribution_shifted", _DATA, "A column's mean or spread left the range of earlier deliveries."),
    Cause("row_count_off", _DATA, "The delivery has far more or fewer rows than it should."),
    Cause("score_low", _DATA, "The batch as a whole scores below what its pipeline demands."),
    Cause("rule_broken", _DATA, "Rows break a rule over several columns or over the whole dataset."),
)

_SOURCES = (
    Cause("source_unavailable", FailureClass.NETWORK_TIMEOUT, "The source did not answer, or not in time."),
    Cause("source_missing", FailureClass.MISSING_DEPENDENCY, "What should be read is not at the source."),
    Cause("source_forbidden", FailureClass.PERMISSION_DENIED, "The source refuses us the right to read."),
    Cause("source_login_failed", FailureClass.AUTHENTICATION_FAILURE, "The source does not accept our credentials."),
    Cause("source_rate_limited", FailureClass.RATE_LIMITING, "The source wants fewer requests."),
)

_DESTINATIONS = (
    Cause("destination_refused", FailureClass.CONFIGURATION_ERROR, "The warehouse refused the load."),
    Cause("destination_schema", _SCHEMA, "The table's columns or types cannot take the rows."),
    Cause("destination_forbidden", FailureClass.PERMISSION_DENIED, "The warehouse refuses us the right to write."),
    Cause("destination_quota", FailureClass.RATE_LIMITING, "The warehouse's quota is used up."),
    Cause("destination_unavailable", FailureClass.NETWORK_TIMEOUT, "The warehouse did not answer, or not in time."),
)

_EXTERNAL = (
    Cause("external_permission", FailureClass.PERMISSION_DENIED, "A job elsewhere lacks a right."),
    Cause("external_authentication", FailureClass.AUTHENTICATION_FAILURE, "A job elsewhere could not log in."),
    Cause("external_network", FailureClass.NETWORK_TIMEOUT, "A job elsewhere could not reach something."),
    Cause("external_timeout", FailureClass.TIMEOUT_EXCEEDED, "A job elsewhere ran longer than it may."),
    Cause("external_rate_limit", FailureClass.RATE_LIMITING, "A job elsewhere was slowed down or refused for a quota."),
    Cause(
        "external_resources", FailureClass.RESOURCE_EXHAUSTION, "A job elsewhere had too little CPU, memory or slots."
    ),
    Cause("external_memory", FailureClass.MEMORY_LEAK, "A job elsewhere used ever more memory until it was stopped."),
    Cause("external_disk", FailureClass.DISK_SPACE_FULL, "A job elsewhere ran out of disk space."),
    Cause("external_schema", _SCHEMA, "A job elsewhere met columns or types that it does not know."),
    Cause("external_data", _DATA, "A job elsewhere met bad content."),
    Cause(
        "external_dependency", FailureClass.MISSING_DEPENDENCY, "A job elsewhere lacks a library, table or upstream."
    ),
    Cause("external_configuration", FailureClass.CONFIGURATION_ERROR, "A job elsewhere is configured wrongly."),
    Cause("external_failure", FailureClass.UNKNOWN, "A job elsewhere failed, and its report does not say why."),
)

_OWN = (
    Cause("definition_wrong", FailureClass.CONFIGURATION_ERROR, "A pipeline, contract or policy file is wrong."),
    Cause("definition_missing", FailureClass.MISSING_DEPENDENCY, "A file that a definition refers to is not there."),
    Cause("limit_exceeded", FailureClass.RESOURCE_EXHAUSTION, "Something is larger than Mendline's limits allow."),
    Cause("disk_full", FailureClass.DISK_SPACE_FULL, "Mendline's own store has no space left."),
    Cause("internal_error", FailureClass.UNKNOWN, "Mendline itself failed where it should not."),
    Cause("dead_letter", FailureClass.UNKNOWN, "An event used up its deliveries; it can be handled again."),
    Cause("dead_letter_unreplayable", _DATA, "A message used up its deliveries and is no event of ours."),
    Cause("unknown", FailureClass.UNKNOWN, "The evidence fits no known failure."),
)

CAUSES: dict[str, Cause] = {
    cause.name: cause
    for cause in (
        *_COLUMNS,
        *_READING,
        *_CELLS,
        *_ROWS,
        *_DATASET,
        *_SOURCES,
        *_DESTINATIONS,
        *_EXTERNAL,
        *_OWN,
    )
}

UNKNOWN = CAUSES["unknown"]


def failure_class_of(cause: str) -> FailureClass:
    """The failure class of a cause; ``unknown`` for a name that is not in the table."""
    return CAUSES.get(cause, UNKNOWN).failure_class
