"""Log-based metrics, dashboards and alerts, as ``infra/monitoring/`` has them, and what takes them away."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mend.deploy.steps import Step, Target, Words, gcloud, shell

ROOT: Final = Path(__file__).resolve().parents[2]
MONITORING: Final = "infra/monitoring"
_POLICIES: Final = "alpha monitoring policies"
_DASHBOARDS: Final = "monitoring dashboards"
_MARK: Final = "mend"  # a label of an alert: the hash of the file that it was made of


def metrics(target: Target) -> Iterator[Step]:
    """What is counted from log lines. An alert on what is younger than ten minutes may be refused: so these first."""
    for path in _files("metrics"):
        how = f"--config-from-file={MONITORING}/metrics/{path.name}"
        yield Step(
            f"metric {path.stem}",
            gcloud(target, "logging metrics create", path.stem, how),
            gcloud(target, "logging metrics describe", path.stem),
            update=gcloud(target, "logging metrics update", path.stem, how),
        )


def shown(target: Target) -> Iterator[Step]:
    """Dashboards, and alerts."""
    for path in _files("dashboards"):
        made = gcloud(target, f"{_DASHBOARDS} create", f"--config-from-file={MONITORING}/dashboards/{path.name}")
        listed = _listed(target, _DASHBOARDS, path)
        there = ("sh", "-c", f"{shell(listed)} | grep -q .")
        yield Step(f"dashboard {path.stem}", made, there, update=_redrawn(target, path))
    for path in _files("alerts"):
        mark = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        file = f"--policy-from-file={MONITORING}/alerts/{path.name}"
        made = gcloud(target, f"{_POLICIES} create", file, f"--user-labels={_MARK}={mark}")
        there = ("sh", "-c", f"{shell(_listed(target, _POLICIES, path))} | grep -q .")
        same = ("sh", "-c", f"{shell(_listed(target, _POLICIES, path, mark))} | grep -q .")
        update = _judged_anew(target, path, file, mark)
        yield Step(f"alert {path.stem}", made, there, update=update, same=same, patient=True)


def destroyed(target: Target) -> Iterator[Step]:
    """What takes all of it away, whoever is named in it."""
    for kind, folder, command in (("alert", "alerts", _POLICIES), ("dashboard", "dashboards", _DASHBOARDS)):
        for path in _files(folder):
            listed = shell(_listed(target, command, path))
            delete = shell(gcloud(target, f"{command} delete", "--quiet"))
            every = f'found=$({listed}) && printf "%s\\n" "$found" | xargs -r -n 1 {delete}'
            yield Step(f"{kind} {path.stem}", ("sh", "-c", every))
    for path in _files("metrics"):
        yield Step(f"metric {path.stem}", gcloud(target, "logging metrics delete", path.stem, "--quiet"))


def _redrawn(target: Target, path: Path) -> Words:
    """A dashboard is changed by who says which state of it is changed."""
    described = _of_each(target, f"{_DASHBOARDS} describe", "--format=value(etag)")
    update = _of_each(target, f"{_DASHBOARDS} update")
    config = f'--config="{{\\"etag\\": \\"$etag\\", $(sed 1d {MONITORING}/dashboards/{path.name})"'
    return _each(target, _DASHBOARDS, path, f"etag=$({described}) && {update} {config}")


def _judged_anew(target: Target, path: Path, file: str, mark: str) -> Words:
    """A policy is replaced by the file's; whom it tells is not in the file, and stays."""
    described = _of_each(target, f"{_POLICIES} describe", "--format=value(notificationChannels.list())")
    update = _of_each(target, f"{_POLICIES} update", file, f"--update-user-labels={_MARK}={mark}")
    kept = '${channels:+"--set-notification-channels=$channels"}'
    return _each(target, _POLICIES, path, f"channels=$({described}) && {update} {kept}")


def _of_each(target: Target, command: str, *words: str) -> str:
    return f'gcloud {command} "$each" {shell((*words, f"--project={target.project}"))}'


def _each(target: Target, kind: str, path: Path, done: str) -> Words:
    return (
        "sh",
        "-c",
        f"found=$({shell(_listed(target, kind, path))}) && for each in $found; do {done} || exit 1; done",
    )


def _files(folder: str) -> list[Path]:
    return sorted((ROOT / MONITORING / folder).glob("*.json"))


def _listed(target: Target, kind: str, path: Path, mark: str = "") -> Words:
    """Those of the file's name, and of its content where a mark is given."""
    wanted = f'displayName="Mendline: {path.stem}"' + (f' AND userLabels.{_MARK}="{mark}"' if mark else "")
    return gcloud(target, f"{kind} list", f"--filter={wanted}", "--format=value(name)")
