"""Where the emulators are: two in a Google Cloud SDK, two in a Python environment of their own."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.packaging.environments import find_uv
from tests.tidy.tree import ROOT

FOLDER = ROOT / "build" / "emulators"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_USUAL_PLACES = (
    "/usr/lib/google-cloud-sdk",
    "/usr/share/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "/snap/google-cloud-sdk/current",
)


class EmulatorMissing(Exception):
    """Something that the emulators need is not on this machine; the text says what to do."""


def java_emulator(component: str, jar_pattern: str, main_class: str) -> list[str]:
    """The command that starts an emulator of the SDK, without its arguments."""
    java = shutil.which("java")
    if java is None:
        raise EmulatorMissing("no java: install a JRE 11 or newer")
    for root in _sdk_roots():
        jars = sorted((root / "platform" / component).glob(jar_pattern))
        if jars:
            return [java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(jars[-1]), main_class]
    raise EmulatorMissing(
        f"no {component}: gcloud components install {component}, or the apt package google-cloud-cli-…"
    )


def python_emulator(name: str) -> str:
    """The program of an emulator from PyPI; its environment is built when the list of requirements has changed."""
    stamp = FOLDER / ".built"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "emulators.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several may want it at once
        if not stamp.is_file() or stamp.read_text() != digest:
            _build(FOLDER)
            stamp.write_text(digest)
    return str(FOLDER / "bin" / name)


def home() -> Path:
    """A home folder whose DuckDB finds its extension without a network."""
    return FOLDER / "home"


def _sdk_roots() -> list[Path]:
    gcloud = shutil.which("gcloud")
    named = [os.environ.get("CLOUDSDK_ROOT_DIR", ""), str(Path(gcloud).resolve().parents[1]) if gcloud else ""]
    return [Path(each) for each in (*named, *_USUAL_PLACES) if each and Path(each).is_dir()]


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    uv = find_uv()
    python = str(folder / "bin" / "python")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "-r", str(REQUIREMENTS)],
    ):
        built = subprocess.run(command, env=environment, capture_output=True, text=True)
        if built.returncode != 0:
            raise EmulatorMissing(f"the emulators' environment cannot be built: {built.stderr[-2_000:]}")
    for extension in folder.glob("lib/python*/site-packages/duckdb_extension_spatial/extensions/*/*.duckdb_extension"):
        place = folder / "home" / ".duckdb" / "extensions" / extension.parent.name / "linux_amd64"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(extension, place)
