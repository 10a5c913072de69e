"""Messages by the hand that wrote the catalogue: they show that it works, not how well it does on strangers."""

import sys

import pytest

from mend.learning import catalogue
from services.classify import spoken, text_features, text_model, wording
from shared.domain.incident import ACTING_CONFIDENCE, FailureClass
from shared.domain.masking import MESSAGE_CHARACTERS_MAX, excerpt, mask

MESSAGES = (
    ("permission_denied", "spark", "java.nio.file.AccessDeniedException: /mnt/lake/bronze/orders"),
    ("permission_denied", "snowflake", "003001 (42501): SQL access control error: Insufficient privileges on RAW"),
    ("permission_denied", "gcs", "403 GET https://storage.example/b/x: svc does not have storage.objects.get access"),
    ("permission_denied", "nfs", "cp: cannot create regular file '/exports/out.csv': Permission denied"),
    ("authentication_failure", "postgres", 'FATAL: password authentication failed for user "loader"'),
    ("authentication_failure", "api", "401 Client Error: Unauthorized for url: https://api.example/v1/orders"),
    ("authentication_failure", "aws", "The security token included in the request is expired"),
    ("network_timeout", "postgres", 'could not connect to server: Connection refused. Is it running on "db7"?'),
    ("network_timeout", "http", "HTTPSConnectionPool(host='x', port=443): Max retries exceeded: NewConnectionError"),
    ("network_timeout", "dns", "socket.gaierror: [Errno -3] Temporary failure in name resolution"),
    ("network_timeout", "gateway", "upstream returned HTTP 502 Bad Gateway"),
    ("timeout_exceeded", "bq", "504 Deadline Exceeded: context deadline exceeded after 600s waiting for the job"),
    ("timeout_exceeded", "postgres", "psycopg.errors.QueryCanceled: canceling statement due to statement timeout"),
    ("timeout_exceeded", "airflow", "airflow.exceptions.AirflowTaskTimeout: Timeout, PID: 311"),
    ("rate_limiting", "api", "429 Client Error: Too Many Requests for url: https://api.example/v2/items?page=9"),
    ("rate_limiting", "aws", "ThrottlingException: Rate exceeded"),
    ("rate_limiting", "bigquery", "Exceeded rate limits: too many table update operations for this table"),
    ("resource_exhaustion", "postgres", "FATAL: sorry, too many clients already"),
    ("resource_exhaustion", "kubernetes", "0/6 nodes are available: 6 Insufficient memory, 2 Insufficient cpu"),
    ("resource_exhaustion", "os", "OSError: [Errno 24] Too many open files: 'part-0099.parquet'"),
    ("memory_leak", "netty", "LEAK: ByteBuf.release() was not called before it's garbage-collected"),
    ("memory_leak", "java", "java.lang.OutOfMemoryError: GC overhead limit exceeded"),
    ("disk_space_full", "kafka", "java.io.IOException: No space left on device"),
    ("disk_space_full", "sqlite", "sqlite3.OperationalError: database or disk is full"),
    ("disk_space_full", "oracle", "ORA-01653: unable to extend table SALES.ORDERS by 1024 in tablespace USERS"),
    ("schema_mismatch", "postgres", 'ERROR: column "discount" of relation "orders" does not exist'),
    ("schema_mismatch", "bigquery", "Provided Schema does not match Table p:d.t. Cannot add fields (field: coupon)"),
    ("schema_mismatch", "delta", "A schema mismatch detected when writing to the Delta table (Table ID: 8f)"),
    ("data_corruption", "pyarrow", "ArrowInvalid: Parquet magic bytes not found in footer. The file is corrupted."),
    ("data_corruption", "mysql", "ERROR 1062 (23000): Duplicate entry '17' for key 'PRIMARY'"),
    ("data_corruption", "gzip", "gzip: orders.csv.gz: unexpected end of file"),
    ("missing_dependency", "python", "ModuleNotFoundError: No module named 'orjson'"),
    ("missing_dependency", "postgres", 'psycopg2.errors.UndefinedTable: relation "stg.orders" does not exist'),
    ("missing_dependency", "bash", "run.sh: line 4: gsutil: command not found"),
    ("configuration_error", "kafka", "ConfigException: No resolvable bootstrap urls given in bootstrap.servers"),
    ("configuration_error", "argparse", "load.py: error: the following arguments are required: --date"),
    ("unknown", "python", "ZeroDivisionError: division by zero"),
    ("unknown", "python", "AttributeError: 'NoneType' object has no attribute 'split'"),
    ("unknown", "job", "Job 4711 ended. Look at the log."),
    ("unknown", "mail", "Dear team, the lunch on Friday is moved to one o'clock"),
)  # fmt: skip


def _read(system: str, message: str) -> tuple[str, float]:
    found = spoken.read(mask(message), system)
    return (str(found.failure_class), found.weight) if found else ("unknown", 0.0)


def test_most_messages_are_recognised_and_few_wrongly() -> None:
    wrong = [(label, _read(system, text), text) for label, system, text in MESSAGES if _read(system, text)[0] != label]
    sure = [each for each in wrong if each[1][1] >= 0.6]
    assert len(wrong) <= len(MESSAGES) * 0.1, wrong
    assert len(sure) <= 1, sure  # a heap that is full may be too small, or leaking: the words do not tell


def test_the_catalogue_has_entries_of_every_class_and_none_twice() -> None:
    entries = catalogue.entries()
    for failure_class in FailureClass:
        assert sum(entry.failure_class == failure_class for entry in entries) >= 20, failure_class
    texts = [(entry.system, entry.text) for entry in entries]
    assert len(set(texts)) == len(texts)
    assert all(wording.words(entry.text) for entry in entries)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "{", "}" * 9, '{"a": 1}', "\n\n", "''", "🙂" * 300, "Traceback (most recent call last):"]
)
def test_odd_texts_are_unknown(text: str) -> None:
    """Nothing is said of them that anybody would act on."""
    found = spoken.read(text, "")
    assert found is None or found.weight < ACTING_CONFIDENCE


def test_numbers_ids_paths_hosts_and_times_do_not_matter() -> None:
    one = "2024-05-01 10:00:01 could not open /srv/a/b.csv on 10.0.0.1: id 8f14e45fceea167a5a36dedd4bea2543"
    two = "2023-01-31 23:59:59 could not open /mnt/x/y.txt on 10.9.9.9: id c9f0f895fb98ab9159f51fd0297e236d"
    assert wording.words(one) == wording.words(two)


def test_the_root_of_a_traceback_comes_first() -> None:
    text = (
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    run()\n"
        "ConnectionRefusedError: [Errno 111] Connection refused\n\nDuring handling of the above exception, another "
        "exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 2, in g\nValueError: no value"
    )  # fmt: skip
    assert _read("python", text)[0] == "network_timeout"


@pytest.mark.parametrize("error", ["ERROR 1146 (42S02) at line 1: Table 'shop.orders' does not exist", "ERROR: no"])
def test_a_statement_that_a_client_repeats_says_nothing_of_what_is_wrong_with_it(error: str) -> None:
    line = "-" * 14
    assert text_features.told(f"{line}\nload data infile 'x' into table orders\n{line}\n\n{error}") == error


def test_lines_between_rules_are_kept_where_no_client_repeats_a_statement() -> None:
    line = "-" * 14
    assert "disk quota exceeded" in text_features.told(f"{line}\ndisk quota exceeded\n{line}\nsee the manual")


def test_all_of_unicode_is_read_and_little_of_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends every character there is fills no memory, and is read as before."""
    shown = wording._Shown()
    monkeypatch.setattr(wording, "_SHOWN", shown)
    assert wording.visible("\N{HANGUL SYLLABLE HIH}") == "\N{HANGUL SYLLABLE HIH}"
    for start in range(0, sys.maxunicode, 2_400):
        wording.visible("".join(chr(number) for number in range(start, min(start + 2_400, sys.maxunicode + 1))))
    assert len(shown) == 10_000
    syllable, tag = "\N{HANGUL SYLLABLE HIH}", "\N{TAG LATIN CAPITAL LETTER A}"
    assert wording.visible(f"a\N{ZERO WIDTH SPACE}b\tc{syllable}{tag}") == f"ab c{syllable}"


RAISED = """Traceback (most recent call last):
  File "job.py", line 75, in run
    load()
pyarrow.lib.ArrowInvalid: Schema at index 1 was different:
price: double
"""


@pytest.mark.parametrize("below", ["", "PermissionError: [Errno 13] Permission denied\n", "exit code 137 OOMKilled"])
def test_an_exception_is_that_which_stands_below_the_frames(below: str) -> None:
    told = text_features.told(RAISED + below)
    assert told.startswith("pyarrow.lib.ArrowInvalid: Schema at index 1 was different:\nprice: double")


def test_of_two_tracebacks_the_last_tells() -> None:
    assert text_features.told(f"{RAISED}{RAISED.replace('ArrowInvalid', 'ArrowKeyError')}").startswith(
        "pyarrow.lib.ArrowKey"
    )
    assert text_features.told("at the end\n" + RAISED.partition("pyarrow")[0]) == "at the end"


@pytest.mark.parametrize(
    ("message", "clauses"),
    [
        ('upload of the file failed {"status": 403}', ["upload of the file failed"]),
        ('{"status": 403} upload of the file failed', ["upload of the file failed"]),
        ('upload of the file failed\n{"status": 403}', ["upload of the file failed"]),
        ('{"error": "denied"}', ['{"error": "denied"}']),
        ('{"error": "denied"}\nall is well with it', ['{"error": "denied"}', "all is well with it"]),
        ("KafkaError{code=X,[1]}\nall is well with it", ["KafkaError{code=X,[1]}", "all is well with it"]),
        ("it could not be sent KafkaError{code=X, [1]}", ["it could not be sent KafkaError{code=X, [1]}"]),
        ("TypeError: fetch failed {\n  [cause]: refused\n}", ["TypeError: fetch failed {", "[cause]: refused"]),
        ("upload of the file failed {[{[", ["upload of the file failed"]),
        ("{[{[ a", ["{[{[ a"]),
    ],
)
def test_json_is_left_out_where_it_stands_beside_words(message: str, clauses: list[str]) -> None:
    assert wording.clauses(message) == clauses


def test_a_sentence_that_is_quoted_in_json_is_read() -> None:
    """Some libraries tell of a failure in nothing else; a status or a code among it is no sentence."""
    refused = excerpt("asked for orders, got {'C': '42501', 'M': 'permission denied for table orders', 'status': 403}")
    assert wording.clauses(refused) == ["asked for orders, got '… permission denied for table …'"]


def test_what_was_cut_out_ends_no_clause_and_quotes_no_more() -> None:
    text = excerpt("NoHostAvailable: ('Unable to connect to any servers', {'db7': 'connection refused by host'})")
    assert text.count("…") == 5
    assert len(wording.clauses(text)) == 1
    assert {"unabl", "connect", "refus"} <= set(text_features.tokens(spoken.prepared(text)))


def test_the_whole_says_how_surely_what_a_beginning_named() -> None:
    """What is appended does not change the class; it can make it doubtful, never surer than the whole makes it."""
    surely = "OSError: [Errno 28] No space left on device"
    alone, more = (spoken.read(mask(text), "") for text in (surely, f"{surely}\nPermission denied (publickey)"))
    assert alone is not None
    assert more is not None
    assert (more.failure_class, more.weight < alone.weight) == (alone.failure_class, True)
    model, votes = text_model.current(), spoken.votes(f"{surely}\nPermission denied (publickey)", "")
    told = spoken.prepared(f"{surely}\nPermission denied (publickey)")
    assert model.confidence_in(FailureClass.DISK_SPACE_FULL, told, votes) == more.weight


def test_a_long_line_does_not_displace_the_others() -> None:
    said = "Connection refused while connecting to host db-3 on port 5432"
    for flood in ("x" * 15_000, "permission denied " * 900, "\n" * 9_000 + "denied", " " * 9_000 + "denied"):
        for text in (f"{said}\n{flood}", f"{flood}\n{said}"):
            shown = excerpt(text)
            assert said in shown
            assert len(shown) <= MESSAGE_CHARACTERS_MAX


def test_of_many_lines_the_first_and_the_last_are_shown() -> None:
    shown = excerpt("\n".join(f"line {number} of a long report" for number in range(100)))
    assert shown.startswith("line 0 of a long report\n")
    assert shown.endswith("\nline 99 of a long report")
    assert len(shown) <= MESSAGE_CHARACTERS_MAX
    assert len(excerpt("x" * 1_000)) <= MESSAGE_CHARACTERS_MAX


def test_what_was_masked_is_shown_as_what_it_is() -> None:
    told = [
        text_features.shown(name) for name in text_features.counted("waited 30 seconds 7 times at 10:15:00 in /a/b")
    ]
    assert [name for name in told if "<" in name and " " not in name] == ["<duration>", "<number>", "<time>", "<path>"]
    found = spoken.read("Connection timed out after 30 seconds to host db-7", "etl")
    assert found is not None
    said = next(clue.evidence.value for clue in found.clues if clue.evidence.field == "words")
    assert "<number>" in said or "<duration>" in said
    assert not any(word.startswith("z") for word in said.split())
