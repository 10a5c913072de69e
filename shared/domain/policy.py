"""The policy: what remedies may do by themselves. Without a ``policy.yaml`` the defaults here hold."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from shared.domain.pipeline import Definition, Names, check_cron, duration_seconds
from shared.domain.remedy import Mode, Tier


def _duration(value: str) -> str:
    duration_seconds(value)
    return value


Duration = Annotated[str, Field(description="a number and s, m, h, d or w: 90s, 30m, 2h, 7d")]


class Thresholds(Definition):
    """Least ``p(cause) × p(success | cause, remedy)`` at which a remedy runs by itself."""

    safe: float = Field(default=0.0, ge=0, le=1, description="safe remedies, in guarded and autonomous mode")
    guarded: float = Field(default=0.8, ge=0, le=1, description="guarded remedies in guarded mode")
    autonomous: float = Field(default=0.6, ge=0, le=1, description="guarded remedies in autonomous mode")


class Budget(Definition):
    """How many remedies may run by themselves."""

    remedies_per_hour: int = Field(default=200, ge=0, description="of one pipeline")
    remedies_per_hour_all: int = Field(default=1000, ge=0, description="of all pipelines together")


class Caps(Definition):
    """Upper bounds over what any pipeline's ``healing`` asks for."""

    rows_max: int = Field(default=10_000_000, ge=0)
    rows_share_max: float = Field(default=1.0, ge=0, le=1)
    cost_max: float = Field(default=10.0, ge=0, description="US dollars per remedy")
    dollars_per_tib: float = Field(default=6.25, ge=0, description="price of a tebibyte that is read or loaded again")
    candidates_max: int = Field(default=4, ge=1, le=20, description="remedies tried on one incident before a person")


class CircuitBreaker(Definition):
    """After ``failures`` unverified remedies of one kind within ``window``, none runs by itself for ``pause``."""

    failures: int = Field(default=3, ge=1, le=1000)
    window: Duration = "1h"
    pause: Duration = "1h"

    @field_validator("window", "pause")
    @classmethod
    def _durations(cls, value: str) -> str:
        return _duration(value)

    @property
    def window_seconds(self) -> int:
        """The window in seconds."""
        return duration_seconds(self.window)

    @property
    def pause_seconds(self) -> int:
        """The pause in seconds."""
        return duration_seconds(self.pause)


class FreezeWindow(Definition):
    """A time in which nothing guarded runs by itself: either ``from`` and ``to``, or ``cron`` and ``lasts``."""

    name: str = ""
    start: str = Field(default="", alias="from", description="ISO 8601 with zone, 2026-12-24T00:00:00Z")
    end: str = Field(default="", alias="to")
    cron: str = Field(default="", description="start of a repeating window, UTC")
    lasts: str = Field(default="", description="length of a repeating window, such as 8h")
    pipelines: Names = Field(default=(), description="names; empty: all")

    @model_validator(mode="after")
    def _either(self) -> FreezeWindow:
        from datetime import datetime

        dated, repeating = bool(self.start or self.end), bool(self.cron or self.lasts)
        if (
            dated == repeating
            or (dated and not (self.start and self.end))
            or (repeating and not (self.cron and self.lasts))
        ):
            raise ValueError("a freeze window needs either from and to, or cron and lasts | write one of the two pairs")
        if repeating:
            check_cron(self.cron)
            duration_seconds(self.lasts)
            return self
        try:
            moments = [datetime.fromisoformat(text) for text in (self.start, self.end)]
        except ValueError:
            raise ValueError("from and to are moments | such as 2026-12-24T00:00:00Z") from None
        if any(moment.tzinfo is None for moment in moments):
            raise ValueError("from and to need a time zone | such as 2026-12-24T00:00:00Z")
        if moments[0] >= moments[1]:
            raise ValueError("a freeze window ends before it starts | exchange from and to")
        return self


class Prior(Definition):
    """Beta prior of a remedy's success before anything was verified."""

    remedy: str = Field(min_length=1)
    cause: str = Field(default="", description="a finer cause; empty: any")
    successes: float = Field(gt=0, le=1000)
    failures: float = Field(gt=0, le=1000)


class Approvals(Definition):
    """How long a proposal waits, and who may decide."""

    expire_after: Duration = "7d"
    people: Names = Field(default=(), description="who may approve; empty: anyone with access to the store")

    @field_validator("expire_after")
    @classmethod
    def _durations(cls, value: str) -> str:
        return _duration(value)

    @property
    def expire_after_seconds(self) -> int:
        """Waiting time in seconds."""
        return duration_seconds(self.expire_after)


class RemedyRule(Definition):
    """A stricter tier, or none at all, for one remedy (and one pipeline)."""

    remedy: str = Field(min_length=1)
    pipelines: Names = ()
    tier: Tier | None = Field(default=None, strict=False, description="may only be stricter than the remedy's own")
    action: Literal["allow", "propose", "forbid"] = "allow"


class Policy(Definition):
    """One policy file; every key is optional."""

    mode_max: Mode = Field(default=Mode.AUTONOMOUS, strict=False, description="no pipeline goes further than this")
    thresholds: Thresholds = Thresholds()
    budget: Budget = Budget()
    caps: Caps = Caps()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    approvals: Approvals = Approvals()
    freeze: tuple[FreezeWindow, ...] = ()
    rules: tuple[RemedyRule, ...] = ()
    added_remedies: Annotated[Names, Field(description="remedies of installed packages that may be used")] = ()
    priors: tuple[Prior, ...] = ()
    prior_default: Annotated[tuple[float, float], Field(description="successes and failures of an unknown remedy")] = (
        2.0,
        1.0,
    )

    def mode(self, asked: Mode) -> Mode:
        """The mode a pipeline gets when it asks for ``asked``."""
        order = list(Mode)
        return order[min(order.index(asked), order.index(self.mode_max))]

    def tier(self, remedy: str, own: Tier, pipeline: str) -> Tier:
        """The tier of a remedy in a pipeline: its own, or a stricter one of a rule."""
        order = list(Tier)
        asked = [own, *(rule.tier for rule in self._rules(remedy, pipeline) if rule.tier is not None)]
        return max(asked, key=order.index)

    def action(self, remedy: str, pipeline: str) -> Literal["allow", "propose", "forbid"]:
        """The strictest action of the rules that name this remedy."""
        order: list[Literal["allow", "propose", "forbid"]] = ["allow", "propose", "forbid"]
        return max((rule.action for rule in self._rules(remedy, pipeline)), key=order.index, default="allow")

    def prior(self, remedy: str, cause: str) -> tuple[float, float] | None:
        """Written successes and failures for (remedy, cause), then for the remedy alone; None: not written."""
        for wanted in (cause, ""):
            for prior in self.priors:
                if prior.remedy == remedy and prior.cause == wanted:
                    return prior.successes, prior.failures
        return None

    def _rules(self, remedy: str, pipeline: str) -> list[RemedyRule]:
        return [r for r in self.rules if r.remedy == remedy and (not r.pipelines or pipeline in r.pipelines)]


@lru_cache(maxsize=8)
def parse_policy(text: str, path: str) -> Policy:
    """Read a policy file; an empty text is the default policy. Raises ``DefinitionError`` with a position."""
    from shared.domain.definition_file import parse_document
    from shared.domain.definition_model import read_model

    return read_model(parse_document(text, path), Policy) if text.strip() else Policy()
