"""The knowledge base at the command line: added, taken from files, searched, versioned, learned, and harmless."""

import csv
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mend import knowledge_files
from mend.knowledge import Entry
from mend.knowledge_search import near, search
from mend.main import app
from shared.domain.errors import DefinitionError, DefinitionMissing
from shared.domain.knowledge import TEXT_CHARACTERS_MAX, KnowledgeKind
from tests.unit.mend.small_project import HEADER, SmallProject, lines

MARKDOWN = """\
Before the first heading nothing counts.

# Dates in another format
kind: runbook
cause: date_format_changed

Ask the sender which comes first.

```
# no heading
```

# Who to call

Call Ada.
"""


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A project in which one incident was healed and one was not."""
    made = SmallProject(tmp_path_factory.mktemp("healed"), healing="guarded")
    made.deliver("a.csv", HEADER + lines(1, 200))
    rows = lines(201, 400).splitlines()
    for index in range(40):
        number, city, amount, day = rows[index].split(",")
        rows[index] = ",".join([number, city, amount, "/".join(reversed(day.split("-")))])
    made.deliver("b.csv", HEADER + "\n".join(rows) + "\n1,2,3,4,5,6\n")
    made.run()
    return made


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = SmallProject(tmp_path)
    made.deliver("a.csv", HEADER + lines(1, 3))
    made.run()
    return made


def mend(project: SmallProject, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--root", str(project.root)])


def told(project: SmallProject, *arguments: str) -> dict[str, Any]:
    found = mend(project, "knowledge", *arguments, "--json")
    assert found.exit_code == 0, found.output
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


def workbook(file: Path, rows: list[list[str | float]]) -> Path:
    """The smallest XLSX that spreadsheets accept."""
    kinds = {str: 't="inlineStr"><is><t>{}</t></is>', float: "><v>{}</v>"}
    sheet = "".join(
        "<row>" + "".join(f"<c {kinds[type(cell)].format(cell)}</c>" for cell in row) + "</row>" for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kin = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{kin}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{kin}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kin}"><sheets><sheet name="one" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0"?>{text}')
    return file


# ── adding ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_is_added_edited_shown_and_taken_back(project: SmallProject, tmp_path: Path) -> None:
    file = tmp_path / "dates.md"
    file.write_text("# Dates\n\nAsk the sender.\n", encoding="utf-8")
    (first,) = told(project, "add", str(file), "--kind", "runbook", "--by", "ada")["entries"]
    assert (first["state"], first["title"], first["version"]) == ("added", "Dates", 1)
    assert told(project, "add", str(file), "--kind", "runbook")["entries"][0]["state"] == "unchanged"
    edit = ("add", "--text", "Ask the sender twice.", "--title", "dates", "--kind", "runbook", "--by", "bob")
    assert told(project, *edit)["entries"][0]["version"] == 2
    shown = told(project, "show", first["id"])
    assert (shown["text"], [each["by"] for each in shown["versions"]]) == ("Ask the sender twice.", ["ada", "bob"])
    assert told(project, "show", first["id"], "--version", "1")["text"] == "Ask the sender."
    assert "Ask the sender." in mend(project, "knowledge", "show", first["id"][:6], "--version", "1").output
    told(project, "remove", first["id"])
    assert told(project, "list")["entries"] == []
    assert told(project, "search", "sender")["entries"] == []
    assert isinstance(mend(project, "knowledge", "show", first["id"]).exception, DefinitionMissing)
    assert told(project, *edit)["entries"][0]["version"] == 4


@pytest.mark.parametrize("kind", KnowledgeKind)
def test_every_kind_can_be_added_and_listed_alone(healed: SmallProject, kind: KnowledgeKind) -> None:
    told(healed, "add", "--text", f"Something for {kind}.", "--kind", kind)
    found = told(healed, "list", "--kind", kind)["entries"]
    assert {each["kind"] for each in found} == {kind}
    assert [each["text"] for each in found if not each["learned"]] == [f"Something for {kind}."]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--text", "x", "--kind", "rumour"], "there is no kind rumour"),
        (["--text", "x"], "the kind is missing"),
        (["--text", " ", "--kind", "runbook"], "is missing"),
        (["--text", "x", "--kind", "runbook", "--cause", "gremlins"], "there is no cause gremlins"),
        (["--text", "x" * (TEXT_CHARACTERS_MAX + 1), "--title", "t", "--kind", "runbook"], "is too long"),
        (["no_such_file.md", "--kind", "runbook"], "cannot be read"),
    ],
)
def test_what_cannot_be_kept_is_refused(project: SmallProject, arguments: list[str], said: str) -> None:
    found = mend(project, "knowledge", "add", *arguments)
    assert isinstance(found.exception, DefinitionError)
    assert said in str(found.exception)
    assert told(project, "list")["entries"] == []


# ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_has_one_entry_under_each_heading(project: SmallProject, tmp_path: Path) -> None:
    file = tmp_path / "book.md"
    file.write_text(MARKDOWN, encoding="utf-8")
    done = told(project, "import", str(file), "--kind", "escalation_procedure")["entries"]
    assert [(each["kind"], each["title"]) for each in done] == [
        ("runbook", "Dates in another format"),
        ("escalation_procedure", "Who to call"),
    ]
    shown = told(project, "show", done[0]["id"])
    assert (shown["cause"], shown["source"]) == ("date_format_changed", "book.md")
    assert shown["text"].endswith("# no heading\n```")
    again = told(project, "import", str(file), "--kind", "escalation_procedure")["entries"]
    assert {each["state"] for each in again} == {"unchanged"}


def test_a_teams_own_table_is_taken_as_it_is(project: SmallProject, tmp_path: Path) -> None:
    file = tmp_path / "incidents.csv"
    file.write_text(
        'Incident;Symptom;Resolution\n"Unit of amount";"cents; not euros";×0.01\n;;\n', encoding="utf-8-sig"
    )
    (entry,) = told(project, "import", str(file), "--kind", "past_incident")["entries"]
    assert told(project, "show", entry["id"])["text"] == "Symptom: cents; not euros\nResolution: ×0.01"


def test_a_spreadsheet_is_read(project: SmallProject, tmp_path: Path) -> None:
    rows: list[list[str | float]] = [["Title", "Kind", "Port"], ["Old warehouse", "Infrastructure note", 5432.0]]
    file = workbook(tmp_path / "notes.xlsx", rows)
    (entry,) = told(project, "import", str(file))["entries"]
    assert entry["kind"] == "infrastructure_note"
    assert told(project, "show", entry["id"])["text"] == "Port: 5432"


def test_a_spreadsheet_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = workbook(tmp_path / "bomb.xlsx", [["Title", "Text"], ["a", "b" * 5_000]])
    monkeypatch.setattr(knowledge_files, "UNPACKED_BYTES_MAX", 4_000)
    with pytest.raises(DefinitionError, match="unpacks to more than"):
        knowledge_files.read(file, "runbook")


def test_without_its_library_a_spreadsheet_is_refused_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(DefinitionError, match=r"needs the library python-calamine.*mendline\[xlsx\]"):
        knowledge_files.read(workbook(tmp_path / "notes.xlsx", [["Title"]]))


def test_a_broken_file_adds_nothing_at_all(project: SmallProject, tmp_path: Path) -> None:
    cases = {
        "rows.csv": "title,text,kind\none,first,runbook\ntwo,,runbook\n",
        "head.csv": "what,why\na,b\n",
        "quotes.csv": 'title,text\n"a"b,c\n',
        "empty.csv": "",
        "none.md": "no heading at all\n",
        "book.xlsx": "no workbook",
        "book.docx": "another format",
        "list.json": '{"entries": 1}',
        "torn.json": '{"entries": [',
        "one.json": '{"entries": [{"title": "a", "text": "b"}, 7]}',
    }
    said = (
        *("rows.csv:3: the text is missing", "no column is the title", "is no CSV", "holds no entry"),
        *("holds no entry", "cannot be read as XLSX", "is no file of entries"),
        *("holds no list of at most 5,000 entries", "is no JSON", "one.json, entry 2: the title is missing"),
    )
    for (name, text), wanted in zip(cases.items(), said, strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
        found = mend(project, "knowledge", "import", str(tmp_path / name), "--kind", "runbook")
        assert isinstance(found.exception, DefinitionError), name
        assert wanted in str(found.exception)
    assert told(project, "list")["entries"] == []


@pytest.mark.parametrize("ending", ["csv", "md", "json"])
def test_what_is_exported_can_be_imported_elsewhere(
    healed: SmallProject, project: SmallProject, tmp_path: Path, ending: str
) -> None:
    hostile = "=HYPERLINK(1)\n# a heading\n'quoted', \"and\" more"
    told(healed, "add", "--text", hostile, "--title", "=1+1", "--kind", "runbook")
    file = tmp_path / f"all.{ending}"
    count = told(healed, "export", str(file))["entries"]
    told(project, "import", str(file))
    theirs, ours = (told(each, "list")["entries"] for each in (healed, project))
    assert len(ours) == count == len(theirs)
    names = ("kind", "title", "cause", "pipeline")
    assert [[each[name] for name in names] for each in ours] == [[each[name] for name in names] for each in theirs]
    if ending != "md":  # where a heading in a text is set one level down
        assert [each["text"] for each in ours] == [each["text"] for each in theirs]
    if ending == "csv":
        with file.open(newline="", encoding="utf-8") as stream:
            assert not [cell for row in csv.reader(stream) for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert isinstance(mend(healed, "knowledge", "export", str(file)).exception, DefinitionError)


# ── searching ──────────────────────────────────────────────────────────────────────────────────────────────────────

BOOK = [
    Entry("k1", "runbook", "Dates in another format", "Ask which comes first.", cause="date_format_changed"),
    Entry("k2", "runbook", "Disk full", "Free space, then replay the events that failed in the orders pipeline."),
    Entry("k3", "best_practice", "Amounts", "Write amounts in euros with a decimal point, and dates as ISO."),
]


def test_the_nearest_comes_first_and_says_why() -> None:
    found = search(BOOK, "date formats")
    assert [each.entry.id for each in found] == ["k1", "k3"]
    assert found[0].because == "the words formats, date"
    assert search(BOOK, "spaceship") == []
    assert search(BOOK, "the of and") == []
    assert search([], "date") == []


def test_an_incident_is_near_by_cause_by_kind_or_by_many_words() -> None:
    incident = {"cause": "date_format_changed", "check": "type", "column": "day", "family": "f1", "explanation": "…"}
    assert [each.entry.id for each in near(BOOK, "i1", incident)] == ["k1"]
    past = Entry("i2", "past_incident", "another story", "entirely", family="f1", learned=True)
    own = past._replace(id="i1")
    found = near([*BOOK, past, own], "i1", incident)
    assert {each.entry.id for each in found} == {"i2", "k1"}
    assert "the same check or failure as this one" in next(each.because for each in found if each.entry.id == "i2")
    unknown = {"cause": "unknown", "message": "no free space: replay failed for events"}
    assert [each.entry.id for each in near(BOOK, "i1", unknown)] == ["k2"]
    assert near(BOOK, "i1", {"cause": "unknown", "message": "events failed"}) == []


def test_what_we_say_of_all_that_we_do_not_know_makes_none_near() -> None:
    """Two failures that share nothing but our own words for both; the same words in a message do count."""
    ours = "lab failed, and nothing in the report is like a failure that is known."
    past = Entry("i2", "past_incident", "i2 signal: hr, external_failure", f"{ours}\nparrot fell", "external_failure")
    about = {"cause": "external_failure", "explanation": ours, "message": "the kettle boiled over"}
    assert near([*BOOK, past], "i1", about) == []
    assert [each.entry.id for each in near([past], "i1", {**about, "message": ours})] == ["i2"]


# ── learned ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_healed_incident_is_a_past_incident_and_one_that_is_not_is_none(healed: SmallProject) -> None:
    stored = {each.data.get("check"): each.key for each in healed.process().store.query("incidents")}
    learned = {each["id"]: each for each in told(healed, "list")["entries"] if each["learned"]}
    assert stored["type"] in learned
    assert stored["well_formed"] not in learned
    entry = learned[stored["type"]]
    assert (entry["kind"], entry["cause"]) == ("past_incident", "date_format_changed")
    assert "Healed by parse_dates (policy)" in entry["text"]
    assert "2024-01-" not in entry["text"]
    assert healed.process().store.get("knowledge", f"entry:{stored['type']}") is None
    precedent = [each for each in learned.values() if each["kind"] == "team_expertise"]
    assert len(precedent) == 1
    assert "parse_dates" in precedent[0]["title"]


def test_a_judged_incident_is_known_though_it_was_not_healed(healed: SmallProject) -> None:
    stored = {each.data.get("check"): each.key for each in healed.process().store.query("incidents")}
    mend(healed, "feedback", stored["well_formed"], "--cause", "columns_shifted", "--by", "ada")
    entry = told(healed, "show", stored["well_formed"])
    assert entry["cause"] == "columns_shifted"
    assert "ada: data_corruption/ragged_rows is wrong" in entry["text"]


def test_explain_shows_what_is_known_of_such_failures(healed: SmallProject) -> None:
    told(healed, "add", "--text", "Ask which comes first.", "--title", "Days and months", "--kind", "runbook",
         "--cause", "date_format_changed")  # fmt: skip
    key = next(each.key for each in healed.process().store.query("incidents") if each.data.get("check") == "type")
    text = mend(healed, "explain", key).output
    assert "known, runbook k" in text
    assert "Days and months" in text
    assert "near because of the same cause, date_format_changed" in text
    nearest = json.loads(mend(healed, "explain", key, "--json").output)["believed"]["near"]
    assert key not in {each["id"] for each in nearest}


# ── hostile text ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_hostile_text_is_shown_as_text_and_nothing_of_it_runs(project: SmallProject, tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07[red]x[/red] $(touch pwned) `touch pwned` {{7*7}} \u202eback\n\x1b[2Jsecond line"
    told(project, "add", "--text", hostile, "--title", "\x1b[2J[bold]title", "--kind", "runbook", "--by", "\x1b[1mada")
    for arguments in (["list"], ["search", "touch", "$(touch pwned)", "title"], ["show", "k"]):
        words = told(project, "list")["entries"][0]["id"] if arguments == ["show", "k"] else ""
        found = mend(project, "knowledge", *([arguments[0], words] if words else arguments))
        assert found.exit_code == 0, found.output
        assert "\x1b" not in found.output
        assert "\u202e" not in found.output
        assert "[bold]title" in found.output
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("pwned").exists()
