"""One step of a deployment: a command of gcloud or bq, and what tells that there is nothing to do."""

from __future__ import annotations

import shlex
from typing import Final, NamedTuple

from mend.deploy.description import SETTLE_SECONDS, SPANS_ENDPOINT, WAIT_SECONDS

NUMBER: Final = "${NUMBER}"  # of the project; only Google knows it
Words = tuple[str, ...]


class Step(NamedTuple):
    """One command; ``exists`` succeeds when there is nothing to do (empty: it does no harm to run it again)."""

    what: str
    make: Words
    exists: Words = ()
    service: str = ""  # the service that needs it alone

    def shell(self) -> str:
        """The step as one line of shell."""
        made = shell(self.make)
        return f"{shell(self.exists)} >/dev/null 2>&1 || {made}" if self.exists else made


SIGNALS: Final = "mend-signals"
SIGNALS_SERVICE: Final = "ingest"


class Target(NamedTuple):
    """Where to deploy, and what is asked for beside.

    ``signals_secret`` and ``signals_accounts`` say whom the function that takes signals believes; where one of them is
    given anybody can reach it, otherwise the platform lets nobody in without a role.
    """

    project: str
    region: str
    spans: bool = False  # whether every handled event is sent to Cloud Trace
    signals_secret: str = ""  # name of the secret that reports are signed with
    signals_accounts: tuple[str, ...] = ()  # addresses of accounts whose tokens are believed

    @property
    def objects(self) -> str:
        """The bucket of deliveries and what is made of them."""
        return f"gs://{self.project}-mend-objects"

    @property
    def definitions(self) -> str:
        """The bucket of the project folder, in which deliveries may land too."""
        return f"gs://{self.project}-mend-project"

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
        return "--set-env-vars=" + ",".join(f"{name}={value}" for name, value in variables.items())

    def command(self, service: str = "") -> str:
        """The command of ours that deploys there what is asked for, or one service of it."""
        words = ["mend", "deploy", "--project", self.project, "--region", self.region]
        words += ["--service", service] if service else []
        words += ["--spans"] if self.spans else []
        if service in ("", SIGNALS_SERVICE):
            words += [f"--signals-secret={self.signals_secret}"] if self.signals_secret else []
            words += [f"--signals-from={account}" for account in self.signals_accounts]
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
    if NUMBER not in word:
        return shlex.quote(word)
    parts = word.split(NUMBER)
    if all(shlex.quote(part) == part for part in parts if part):
        return f'"{word}"'
    return f'"{NUMBER}"'.join(shlex.quote(part) if part else "" for part in parts)
