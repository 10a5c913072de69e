"""One step of a deployment: a command of gcloud or bq, and what tells that there is nothing to do."""

from __future__ import annotations

import re
import shlex
from typing import Final, NamedTuple

from mend.deploy.description import SETTLE_SECONDS, SPANS_ENDPOINT, WAIT_SECONDS

NUMBER: Final = "${NUMBER}"  # of the project; only Google knows it
STAGED: Final = "build/stage"
TAG: Final = ".tag"  # in a staged folder: what its image is called, made of all that is in it
# What the shell fills in itself.
_LIVE: Final = re.compile(r"\$\{NUMBER\}|\$\(cat [a-z/]+/\.tag\)")
# What every step may use. An account, an agent of Google's or a metric that was made a moment ago is not known
# everywhere for up to ten minutes. Only what is said of such things is waited for: who may not hears it at once.
PRELUDE: Final = r"""
patiently() {
  for wait in 10 20 40 80 160 300 0; do
    if said=$("$@" 2>&1); then return 0; fi
    case $wait$said in
      0*) break ;;
      *ccount*'not exist'* | *User*'not exist'*) sleep "$wait" ;;
      *'Cannot find metric'* | *ropagat* | *'Service Agent'*) sleep "$wait" ;;
      *) break ;;
    esac
  done
  printf '%s\n' "$said" >&2
  return 1
}
"""
AS_SAID: Final = 'printf "%s\\n" "$said" >&2'
Words = tuple[str, ...]


class Step(NamedTuple):
    """One command, and what is asked before it.

    ``exists`` succeeds when the thing is there (empty: it does no harm to make it again), and then ``update`` makes it
    as it should be now. ``same`` succeeds when it is so already. ``patient``: it may need what was made just before.
    """

    what: str
    make: Words
    exists: Words = ()
    services: tuple[str, ...] = ()  # those that need it when one of them is deployed alone
    update: Words = ()
    same: Words = ()
    patient: bool = False

    def shell(self) -> str:
        """The step as one line of shell, after ``PRELUDE``."""
        made = f"patiently {shell(self.make)}" if self.patient else shell(self.make)
        if self.exists and self.update:
            made = f"if {shell(self.exists)} >/dev/null 2>&1; then {shell(self.update)}; else {made}; fi"
        elif self.exists:
            made = f"{shell(self.exists)} >/dev/null 2>&1 || {made}"
        return f"{shell(self.same)} >/dev/null 2>&1 || {made}" if self.same else made


def unless(command: str, said: str) -> Words:
    """The command, whose failure is none when it says ``said``."""
    return ("sh", "-c", f"said=$({command} 2>&1) || case $said in *'{said}'*) ;; *) {AS_SAID}; exit 1 ;; esac")


SIGNALS: Final = "mend-signals"
SIGNALS_SERVICE: Final = "ingest"
SECRETS_GRANTED: Final = "MEND_GRANTED_SECRETS"
DATASETS_GRANTED: Final = "MEND_GRANTED_DATASETS"


class Target(NamedTuple):
    """Where to deploy, and what is asked for beside.

    ``signals_secret`` and ``signals_accounts`` say whom the function that takes signals believes; where one of them is
    given anybody can reach it, otherwise the platform lets nobody in without a role. ``secrets`` and ``datasets`` are
    all that the services may read and write; none named: every one of the project.
    """

    project: str
    region: str
    spans: bool = False  # whether every handled event is sent to Cloud Trace
    signals_secret: str = ""  # name of the secret that reports are signed with
    signals_accounts: tuple[str, ...] = ()  # addresses of accounts whose tokens are believed
    secrets: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    @property
    def objects(self) -> str:
        """The bucket of deliveries and what is made of them."""
        return f"gs://{self.project}-mend-objects"

    @property
    def definitions(self) -> str:
        """The bucket of the project folder, in which deliveries may land too."""
        return f"gs://{self.project}-mend-project"

    @property
    def builds(self) -> str:
        """The bucket of folders that images are built from."""
        return f"gs://{self.project}-mend-builds"

    @property
    def settings(self) -> str:
        """The flag that gives a process its settings."""
        variables = {
            "MEND_BACKEND": "gcp",
            "MEND_PROJECT_ID": self.project,
            "MEND_ROOT": self.objects,
            "MEND_PROJECT": self.definitions,
            "MEND_LOCATION": self.region,
            "MEND_SETTLE_SECONDS": str(SETTLE_SECONDS),
            "MEND_WAIT_SECONDS": str(WAIT_SECONDS),
        }
        if self.spans:
            variables["MEND_OTLP_ENDPOINT"] = SPANS_ENDPOINT
        # No process reads these two: `mend doctor` sees by them what was granted.
        variables |= {SECRETS_GRANTED: " ".join(self.secrets)} if self.secrets else {}
        variables |= {DATASETS_GRANTED: " ".join(self.datasets)} if self.datasets else {}
        return "--set-env-vars=" + ",".join(f"{name}={value}" for name, value in variables.items())

    def command(self, service: str = "") -> str:
        """The command of ours that deploys there what is asked for, or one service of it."""
        words = ["mend", "deploy", "--project", self.project, "--region", self.region]
        words += ["--service", service] if service else []
        words += ["--spans"] if self.spans else []
        if service in ("", SIGNALS_SERVICE):
            words += [f"--signals-secret={self.signals_secret}"] if self.signals_secret else []
            words += [f"--signals-from={account}" for account in self.signals_accounts]
        words += [f"--secret={name}" for name in self.secrets]
        words += [f"--dataset={name}" for name in self.datasets]
        return shlex.join(words)

    def is_open(self, function: str) -> bool:
        """Whether anybody can reach the function, which then judges its callers itself."""
        return function == SIGNALS and bool(self.signals_secret or self.signals_accounts)

    def judging(self, function: str) -> str:
        """The settings by which a function judges its callers, as further variables."""
        variables = {}
        if self.is_open(function) and self.signals_secret:
            variables["MEND_SIGNALS_SECRET"] = self.signals_secret
        if self.is_open(function) and self.signals_accounts:
            variables["MEND_SIGNALS_AUDIENCE"] = self.url(function)
            variables["MEND_SIGNALS_ACCOUNTS"] = " ".join(self.signals_accounts)
        return "".join(f",{name}={value}" for name, value in variables.items())

    def account(self, name: str) -> str:
        """A service account's address."""
        return f"mend-{name}@{self.project}.iam.gserviceaccount.com"

    def url(self, function: str) -> str:
        """A function's address."""
        return f"https://{function}-{NUMBER}.{self.region}.run.app"


def granted(target: Target, account: str, role: str) -> Words:
    """Give a service account a role in the whole project."""
    member = (f"--member=serviceAccount:{account}", f"--role={role}", "--condition=None")
    return ("gcloud", "projects", "add-iam-policy-binding", target.project, *member, "--quiet")


def asking(target: Target) -> Words:
    """BigQuery, asked in GoogleSQL."""
    return ("bq", f"--location={target.region}", f"--project_id={target.project}", "query", "--use_legacy_sql=false")


def region(target: Target) -> Words:
    """The flag that says where."""
    return (f"--region={target.region}",)


def gcloud(target: Target, command: str, *words: str) -> Words:
    """A command of gcloud in the project; ``command`` is split at spaces, ``words`` are taken as they are."""
    return ("gcloud", *command.split(), *words, f"--project={target.project}")


def shell(words: Words) -> str:
    """Words as a shell reads them back, but for the project's number, which the shell itself fills in."""
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    live = _LIVE.findall(word)
    first, *others = (shlex.quote(part) if part else "" for part in _LIVE.split(word))
    if all(shlex.quote(part) == part for part in _LIVE.split(word) if part) and live:
        return f'"{word}"'
    return first + "".join(f'"{each}"{part}' for each, part in zip(live, others, strict=True)) or "''"
