"""``mend contract``: judge data by a contract alone, infer one, compare two, and see how a pipeline's changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from mend.commands.options import Json, Root
from mend.output import Exit, console, counted, print_json, print_table, progress_bar
from shared.domain.errors import DefinitionError, DefinitionMissing, ForeignFailure
from shared.domain.masking import clean, one_line, visible

if TYPE_CHECKING:
    from collections.abc import Collection

    from mend.contract_plan import Step
    from mend.contract_trial import Engine, Tried
    from shared.domain.contract import Contract

app = typer.Typer(
    name="contract",
    help="Judge data by a contract alone, infer a contract from data, compare two contracts.",
    no_args_is_help=True,
)
_CHANGES = ("kind", "column", "what", "no longer compatible")

Data = Annotated[str, typer.Argument(help="A file, a folder, a pattern in quotes, or a web address.")]
DataOrTable = Annotated[
    str,
    typer.Argument(help="A file, folder, pattern in quotes or web address; or table:DATASET.TABLE of the warehouse."),
]
SchemaName = Annotated[
    str, typer.Option("--schema-name", help="The table that is meant, of a contract that describes several.")
]


@app.command("test")
def judge(
    data: DataOrTable,
    contract: Annotated[
        Path | None, typer.Option("--contract", help="ODCS file (default: the only one here or in contracts/).")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, max=1_000, help="Failing rows to show, per delivery.")] = 20,
    values: Annotated[bool, typer.Option("--values", help="Show cell values too.")] = False,
    engine: Annotated[
        str, typer.Option("--engine", help="memory, streamed, staged (files), warehouse (tables); default: by size.")
    ] = "auto",
    failing: Annotated[
        Path | None,
        typer.Option("--failing", help="Parquet file for the number, check and column of every failing row."),
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option("--table", help="A table that the contract names, as a file: orders=orders.csv. May repeat."),
    ] = None,
    schema_name: SchemaName = "",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Judge data by a contract, row by row; nothing is loaded, healed or kept. Exit code 1 when anything fails."""
    from mend.beside_tables import given_tables
    from mend.contract_trial import TABLE, Engine, contract_in, judged_contract, trial

    if engine not in get_args(Engine):
        raise typer.BadParameter(f"is one of {', '.join(get_args(Engine))}", param_hint="--engine")
    file = contract_in(contract)
    of_warehouse = data.removeprefix(TABLE) if data.startswith(TABLE) else ""
    rules = judged_contract(file, schema_name or of_warehouse, exactly=bool(schema_name))
    how = cast("Engine", engine)
    _refuse_engine(data, engine)
    beside = given_tables(tables or [], rules, str(file))
    if data.startswith(TABLE):
        if beside:
            raise typer.BadParameter("a table is compared with those of its warehouse", param_hint="--table")
        if failing is not None:
            raise typer.BadParameter(
                "rows of a table have no numbers; see the query that finds them", param_hint="--failing"
            )
        tried = _of_table(root, file, rules, of_warehouse, how)
    else:
        with progress_bar(quiet=as_json) as progress:
            tried = trial(
                file, rules, data, rows_shown=limit, values=values, engine=how, failing=failing, tables=beside,
                progress=progress,
            )  # fmt: skip
    ok = all(each.state == "passed" for each in tried)
    unchecked = _unchecked(rules, str(file), None if of_warehouse else beside)
    if as_json:
        told = {"ok": ok, "contract": str(file), "id": rules.id, "version": rules.version}
        print_json({**told, "deliveries": [each.document() for each in tried], "not_checked": unchecked})
    else:
        for each in tried:
            show(each)
        for sentence in unchecked:
            console().print(f"not checked: {sentence}")
    raise typer.Exit(Exit.DONE if ok else Exit.FAILED)


def _refuse_engine(data: str, engine: str) -> None:
    """An engine that does not judge such data would be left out in silence."""
    from mend.contract_trial import PARQUET_ENDINGS, TABLE

    ending = "" if any(mark in data for mark in "*?[") else Path(data).suffix.lower()
    if data.startswith(TABLE):
        fits = engine != "staged"
    else:
        # Of a folder or a pattern it shows later, and what is not Parquet is staged.
        fits = engine in ("auto", "staged") or (engine != "warehouse" and ending in ("", *PARQUET_ENDINGS))
    if not fits:
        raise typer.BadParameter("does not judge such data; see mend contract test --help", param_hint="--engine")


def _of_table(root: Path | None, file: Path, rules: Contract, table: str, engine: Engine) -> list[Tried]:
    from mend import project
    from mend.contract_table import in_words_of
    from mend.contract_trial import table_trial

    owner = project.open_process(project.of_root(root))
    tried = table_trial(file, rules, table, owner.warehouse, engine=engine)
    for each in tried:
        each.query = in_words_of(owner.settings.backend, each.query)
    return tried


def _unchecked(rules: Contract, path: str, beside: Collection[str] | None) -> list[str]:
    """What the contract says and this look cannot judge: said, never skipped in silence.

    ``beside`` are the tables that are given; None: all of a warehouse.
    """
    from mend.beside_tables import not_compared
    from shared.domain.service_levels import service_levels

    told = [f"{rule.column}: {clean(rule.what)}" if rule.column else clean(rule.what) for rule in rules.unsupported]
    told += [clean(each, 300) for each in not_compared(rules, path, beside)] if beside is not None else []
    for promised, why in service_levels(rules)[1]:
        told.append(clean(f"{promised.property} {promised.value} {promised.unit}".strip() + f": {why}"))
    return told


def show(each: Tried) -> None:
    """The verdict on a delivery, for a person."""
    from mend.contract_trial import SAME_CONTENT

    out = console()
    name = one_line(each.input)
    if each.held_for.startswith(SAME_CONTENT):
        out.print(f"{name}: {each.state}, {one_line(each.held_for)}")
        return
    if each.state == "passed":
        out.print(f"{name}: passed, {counted(each.rows_read, 'row')}, score {each.score:g}")
        _show_whole(each)
        return
    held = f", held as a whole for {each.held_for}" if each.held_for else ""
    out.print(f"{name}: {each.state}, {each.rows_failed:,} of {counted(each.rows_read, 'row')} fail{held}")
    _show_whole(each)
    columns = ("check", "column", "rows", "explanation")
    print_table("why", columns, [[check[column] for column in columns] for check in each.checks])
    rows = [[row["row"], "; ".join(_reason(reason) for reason in row["reasons"])] for row in each.rows]
    print_table("rows", ("row", "reasons"), rows, personal=True)
    if each.query:
        out.print("the rows that fail, in the warehouse:")
        # Made of the contract, whose patterns no masking may damage; no cell stands in it.
        out.print(visible(each.query), soft_wrap=True, markup=False, highlight=False)
    elif each.rows_failed > len(each.rows) and each.rows:
        out.print(f"… and {each.rows_failed - len(each.rows):,} rows more: --limit N, or --json")


def _show_whole(each: Tried) -> None:
    from mend.evidence_words import rows_named, rule_named

    for message in each.whole:
        console().print(f"  {clean(message, 2_000)}")
    for rule in each.broken:
        if rule.get("rows"):
            told = f"{rule['check']} {rule['column']}, {rule_named(rule)}: {rows_named(rule)}"
            console().print(f"  {clean(told)}", soft_wrap=True)


def _reason(reason: dict[str, str]) -> str:
    told = f"{reason['check']} {reason['column']}".strip()
    return f"{told} [{reason['value']}]" if "value" in reason else told


@app.command("infer")
def infer_contract(
    data: Data,
    out_file: Annotated[Path | None, typer.Option("--out", help="File to write (default: print the contract).")] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the table (default: from the files).")] = "",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Deliveries to infer from, first by name.")] = 7,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """A contract inferred from data, prudently: what a small sample cannot support is not claimed."""
    from mend.initialise import inferred_from
    from shared.runtime import settings, wiring

    _refuse_to_overwrite(out_file, force=force)
    with progress_bar(quiet=as_json or out_file is None) as progress:
        try:
            found = inferred_from(data, name, samples, wiring.source_of(settings.load()), progress)
        except ForeignFailure as error:
            raise DefinitionError(data, 0, 0, f"cannot be read: {error.message}", "name a file or a folder") from error
    if out_file is not None:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        out_file.write_text(found.text, encoding="utf-8")
    if as_json:
        told = {"file": str(out_file or ""), "columns": len(found.contract.columns), "rows": found.rows}
        print_json({**told, "notes": list(found.notes), "contract": found.text})
    elif out_file is None:
        typer.echo(found.text, nl=False)
    else:
        out = console()
        columns = counted(len(found.contract.columns), "column")
        out.print(f"{out_file}: {columns}, inferred from {counted(found.rows, 'row')}")
        for note in found.notes:
            out.print(f"note: {note}")


@app.command("diff")
def diff_contracts(
    before: Annotated[Path, typer.Argument(help="The contract as it was.")],
    after: Annotated[Path, typer.Argument(help="The contract as it is to be.")],
    mode: Annotated[str, typer.Option("--mode", help="What must stay true: backward, forward, full or none.")] = "",
    as_plan: Annotated[bool, typer.Option("--plan", help="Say what the destination table needs, in SQL.")] = False,
    table: Annotated[str, typer.Option("--table", help="The destination, dataset.table (default: AFTER's).")] = "",
    schema_name: SchemaName = "",
    as_json: Json = False,
) -> None:
    """What changed between two contracts: breaking, degrading or harmless. Exit code 1 when anything is breaking.

    With --mode exit code 1 says instead that something breaks that compatibility. --plan prints and never executes.
    """
    from mend.contract_changes import KINDS, Mode, changes, incompatible
    from mend.contract_plan import plan
    from mend.contract_trial import read_contract_file

    for file in (before, after):
        if not file.is_file():
            raise DefinitionMissing(f"{file}: there is no such contract")
    if mode not in ("", *get_args(Mode)):
        raise typer.BadParameter(f"one of {', '.join(get_args(Mode))}", param_hint="--mode")
    old, new = (read_contract_file(file, schema_name, exactly=bool(schema_name)) for file in (before, after))
    found, steps = changes(old, new), plan(old, new, table) if as_plan else None
    broken = incompatible(found, cast("Mode", mode)) if mode else []
    counts: dict[str, Any] = {kind: sum(each.kind == kind for each in found) for kind in KINDS}
    if as_json:
        told: dict[str, Any] = {"mode": mode, "compatible": not broken} if mode else {}
        told |= {} if steps is None else {"plan": [each._asdict() for each in steps]}
        print_json({**counts, **told, "changes": [each._asdict() for each in found]})
    else:
        rows = [[each.kind, each.column, each.what, ", ".join(each.breaks)] for each in found]
        print_table("changes", _CHANGES, rows)
        if mode:
            console().print(f"{mode}: " + (f"{len(broken)} changes break it" if broken else "compatible"))
        if steps is not None:
            _show_plan(steps)
    failed = bool(broken) if mode else bool(counts["breaking"])
    raise typer.Exit(Exit.FAILED if failed else Exit.DONE)


def _show_plan(steps: list[Step]) -> None:
    by = {"you": "before the next load", "load": "the next load does it", "nobody": "nothing is to be done"}
    out = console()
    out.print("plan of the table" + ("" if steps else ": it stays as it is"))
    for step in steps:
        about = f"{one_line(step.column)} " if step.column else ""
        out.print(f"-- {by[step.by]}: {about}{clean(step.what, 2_000)}")
        for statement in step.statements:
            # What is not to be executed as it stands stays a comment.
            out.print(statement if step.by == "you" else f"--   {statement}")


@app.command("history")
def contract_history(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")], root: Root = None, as_json: Json = False
) -> None:
    """The versions of its contract that a pipeline's batches were judged by: since when, what changed, how they did."""
    from mend import project
    from mend.contract_history import versions
    from mend.story_text import moment

    process = project.open_process(project.of_root(root))
    found = versions(process.store, process.definitions, process.objects, pipeline)
    if not found:
        raise DefinitionMissing(f"{pipeline}: no batch of it was judged, and there is no such pipeline; mend status")
    if as_json:
        print_json({"pipeline": pipeline, "versions": found})
        return
    columns = ("version", "contract", "since", "until", "batches", "rows", "passed", "score", "accepted beside it", "")
    rows = [
        [
            each["version"],
            each["contract"],
            *(moment(each[name]) for name in ("since", "until")),
            *(each[name] for name in ("batches", "rows", "rows_passed")),
            "" if each["score"] is None else f"{each['score']:.1f}",
            ", ".join(each["accepted_columns"]),
            "now" if each["current"] else "",
        ]
        for each in found
    ]
    print_table("contract versions", columns, rows)
    for each in found[1:]:
        _show_changes(each)


def _show_changes(version: dict[str, Any]) -> None:
    """What makes a version another one than that before it."""
    name = one_line(f"{version['contract']} {version['version']}".strip())
    if version["not_compared"] or not version["changes"]:
        why = version["not_compared"] or "nothing that is checked"
        console().print(f"{name}: {'not compared, ' if version['not_compared'] else 'changed '}{clean(why, 500)}")
        return
    rows = [[each["kind"], each["column"], each["what"], ", ".join(each["breaks"])] for each in version["changes"]]
    print_table(f"changed by {name}", _CHANGES, rows)


@app.command("mutate")
def mutate_data(
    data: Data,
    contract: Annotated[
        Path | None, typer.Option("--contract", help="ODCS file (default: the only one here or in contracts/).")
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write the contract with the suggested rules to this file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    rows: Annotated[
        int, typer.Option("--rows", min=20, max=100_000, help="Rows of the data that are corrupted.")
    ] = 1_000,
    at_least: Annotated[
        float, typer.Option("--at-least", min=0, max=100, help="Exit code 1 below this percentage.")
    ] = 0,
    schema_name: SchemaName = "",
    as_json: Json = False,
) -> None:
    """Corrupt data in every way that means something, and tell what the contract would not notice."""
    from mend.contract_mutation import mutate
    from mend.contract_trial import contract_in, judged_contract
    from shared.domain.contract import write_contract
    from shared.runtime import settings, wiring

    _refuse_to_overwrite(out_file, force=force)
    rules = judged_contract(contract_in(contract), schema_name, exactly=bool(schema_name))
    with progress_bar(quiet=as_json) as progress:
        score = mutate(rules, data, wiring.source_of(settings.load()), rows=rows, progress=progress)
    if out_file is not None:
        out_file.write_text(write_contract(score.improved), encoding="utf-8")
    if as_json:
        told = {"percent": score.percent, "percent_with_rules": score.percent_with_rules, "rows": score.rows}
        counts = {"corruptions": len(score.outcomes), "noticed": score.noticed}
        print_json({**told, **counts, "outcomes": [each._asdict() for each in score.outcomes]})
    else:
        missed = [each for each in score.outcomes if not each.noticed_by]
        rest = [[each.column, each.corruption, each.what, each.rule or "no single rule"] for each in missed]
        print_table("not noticed", ("column", "corruption", "what", "a rule that would"), rest)
        out = console()
        out.print(f"{score.noticed} of {len(score.outcomes)} corruptions are noticed: {score.percent:g}%")
        if any(each.rule for each in missed):
            out.print(f"with the rules above: {score.percent_with_rules:g}%; --out FILE writes the contract with them")
    raise typer.Exit(Exit.DONE if score.percent >= at_least else Exit.FAILED)


def _refuse_to_overwrite(file: Path | None, *, force: bool) -> None:
    if file is not None and file.exists() and not force:
        raise DefinitionError(str(file), 0, 0, "is there already", "choose another name, or say --force")
