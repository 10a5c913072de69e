"""Provokes every failure of the case files: `python -m benchmarks.corpus.provoke --envs FOLDER`.

`--envs` holds one virtual environment per name (`env-base`, `env-airflow` …); what is not there is left out, and the
messages kept from an earlier run stay (`messages.jsonl` is made by `benchmarks.corpus.collect`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus import cases, programs, sql_clients
from benchmarks.corpus.servers import Servers

BUILD = Path("build") / "corpus"
_WORKER = Path(__file__).with_name("python_worker.py")
_FILE_SECONDS = 1_500


def provoked(file: cases.CaseFile, envs: Path, addresses: dict[str, Any], full: Path) -> Iterator[dict[str, str]]:
    """Each case with its message; a case that did not fail has an empty one."""
    runner = file.heads.get("runner", "python")
    if runner == "python":
        yield from _by_python(file, envs, addresses, full)
    elif runner == "text":
        yield from programs.written(file)
    elif runner == "sql":
        yield from sql_clients.run(file, envs, addresses, _by_python)
    else:
        yield from programs.run(file, runner, envs, addresses, full)


def _by_python(file: cases.CaseFile, envs: Path, addresses: dict[str, Any], full: Path) -> Iterator[dict[str, str]]:
    interpreter = envs.resolve() / f"env-{file.heads.get('env', 'base')}" / "bin" / "python"
    if not interpreter.exists():
        print(f"{file.name}: {interpreter} is not there", file=sys.stderr)
        return
    request = {
        "setup": file.setup,
        "mode": file.heads.get("mode", "fork"),
        "addresses": addresses,
        "full": str(full),
        "cases": [{"case": each.case, "label": each.label, "system": each.system} for each in file.cases],
    }
    if request["mode"] == "alone":  # what starts threads cannot be forked: a new interpreter for each case
        for each in file.cases:
            one = cases.CaseFile(file.name, {**file.heads, "mode": "inline"}, file.setup, [each])
            yield from _by_python(one, envs, addresses, full)
        return
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        asked, answered = Path(folder) / "request.json", Path(folder) / "answer.jsonl"
        asked.write_text(json.dumps(request))
        answered.touch()
        command = [str(interpreter), str(_WORKER), str(asked), str(answered)]
        log = BUILD / f"{file.name}.log"
        with log.open("wb") as out:
            try:
                subprocess.run(command, cwd=folder, stdout=out, stderr=out, timeout=_FILE_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                print(f"{file.name}: not at its end after {_FILE_SECONDS} s", file=sys.stderr)
        for line in answered.read_text().splitlines():
            yield json.loads(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the files asked for; each writes `build/corpus/raw/NAME.jsonl`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus.provoke", description=__doc__)
    parser.add_argument("--envs", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="names of case files")
    given = parser.parse_args(arguments)
    (BUILD / "raw").mkdir(parents=True, exist_ok=True)
    servers = Servers(Path(tempfile.gettempdir()) / "corpus-servers", str(given.envs.resolve() / "env-base/bin/python"))
    addresses = servers.start()
    try:
        for file in cases.all_files():
            if given.only and file.name not in given.only:
                continue
            rows = list(provoked(file, given.envs, addresses, servers.folder / "full"))
            (BUILD / "raw" / f"{file.name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            silent = [row["case"] for row in rows if not row["message"]]
            print(f"{file.name}: {len(rows)} cases, {len(silent)} did not fail", *silent[:400], sep="\n    ")
    finally:
        servers.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
