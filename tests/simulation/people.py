"""What people do in a simulated world: they decide, take back, release what is held, and replay what failed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.domain.causes import CAUSES
from shared.events.codec import topic_of
from shared.events.types import EVENT_TYPES, IncidentJudged, RemedyDecided, RetryRequested
from tests.simulation.shown import same_table
from tests.simulation.watch import UNTYPED

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


_FOOLS = 0.3
_FOOLS_SPEAK = 0.5
_REPLAYS_EARLY = 0.5


class People:
    """Everybody who has a say in one world, under its dice."""

    def __init__(self, simulation: Simulation) -> None:
        self.world = simulation
        self.store = simulation.store
        self.chance = simulation.chance
        self.words = random.Random(f"words {simulation.seed}")
        self.replays = random.Random(f"replays {simulation.seed}")
        self.fools = self.words.random() < _FOOLS  # somebody calls failures whatever comes to mind
        self.misled = False  # they did
        self.said: Counter[str] = Counter()
        self._replays: set[str] = set()  # at rest

    def decide(self) -> None:
        """A person says something about a diagnosis, a remedy, or a held batch."""
        if self.fools and self.words.random() < _FOOLS_SPEAK and self.judge():
            return
        chance = self.chance
        choices: list[tuple[str, str, str]] = []
        for key, data in sorted(self.store.documents("remedies").items()):
            weight = {"proposed": 4, "applied": 1, "verified": 1}.get(data["state"], 0)
            said = chance.choice(["approve", "approve", "reject"]) if data["state"] == "proposed" else "undo"
            choices += [(key, said, data.get("batch_id", ""))] * weight
            if data["state"] in ("expired", "rejected", "undone", "failed"):
                choices.append((key, chance.choice(["approve", "undo"]), data.get("batch_id", "")))
        for key, data in sorted(self.store.documents("healings").items()):
            attempts = data.get("attempts") or []
            if attempts and attempts[-1]["verdict"] == "held" and chance.random() < 0.3:
                choices.append((f"release:{key}", "approve", key))
        if choices:
            self.say(*chance.choice(choices))

    def judge(self) -> bool:
        """Call a diagnosis of rows right or wrong, and now and then name another cause, without any reason."""
        known = sorted(self.store.documents("incidents").items())
        about = [(key, each) for key, each in known if each.get("origin") in ("dataset", "violation")]
        about = [(key, each) for key, each in about if "failure_class" in each]
        if not about:
            return False
        incident, believed = self.words.choice(about)
        verdict, cause = self.words.choice(["right", "wrong", "wrong"]), self.words.choice(sorted(CAUSES))
        named = verdict == "wrong" and self.words.random() < 0.8
        fields = {"failure_class": str(CAUSES[cause].failure_class), "cause": cause} if named else {}
        self.misled = True
        self.said[f"people: {verdict}"] += 1
        self.world.tell(f"ada: {incident} ({believed['cause']}) is {verdict} {fields.get('cause', '')}")
        self.world.asked += 1
        name = f"judge {self.world.seed} {self.world.asked}"
        envelope = {"id": name, "time": self.world.clock.now(), "subject": incident, "correlation_id": name}
        told = {"believed_class": believed["failure_class"], "believed_cause": believed["cause"], **fields}
        self.world.publish(IncidentJudged(**envelope, incident_id=incident, verdict=verdict, by="ada", **told))
        return True

    def say(self, remedy: str, decision: str, batch: str, by: str = "ada") -> None:
        """Publish a decision, now and then twice."""
        self.world.meddled.add(batch)
        if batch and decision == "approve":
            self.world.touched.add(batch)
        self.world.tell(f"{by}: {decision} {remedy}")
        self.said[f"people: {decision}{' a held batch' if remedy.startswith('release:') else ''}"] += 1
        for _ in range(self.chance.choice([1, 1, 2])):
            self.world.asked += 1
            about = f"say {self.world.seed} {self.world.asked}"
            said = {"subject": remedy, "remedy_id": remedy, "decision": decision, "by": by}
            self.world.publish(RemedyDecided(id=about, time=self.world.clock.now(), correlation_id=about, **said))

    def replayed(self) -> bool:
        """Publish once more every dead letter that was not handled since, or of which others never heard."""
        asked = [key for key in self._dead_letters() if key not in self._replays]
        self._replays.update(asked)
        found = [self._replay(key) for key in asked]
        return any(found)

    def replay_at_once(self) -> None:
        """Now and then somebody replays a dead letter while things still go wrong: the event may die again."""
        if self.replays.random() < _REPLAYS_EARLY:
            for key in list(self._dead_letters()):
                if self.replays.random() < _REPLAYS_EARLY:
                    self._replay(key)

    def _dead_letters(self) -> Iterator[str]:
        """Incidents of dead letters that were not handled since, or of which others never heard."""
        receipts = self.store.documents("receipts")
        for key, incident in sorted(self.store.documents("incidents").items()):
            name, event_id = incident.get("service", ""), incident.get("event_id", "")
            known = receipts.get(f"{name}:{event_id}", {"state": "failing", "published": False})
            done = known["state"] != "failing" and known["published"]
            if incident.get("origin") == "dead_letter" and not done:
                yield key

    def _replay(self, key: str) -> bool:
        """Have the bus carry an incident's event once more; whether there is one."""
        incident = self.store.documents("incidents")[key]
        event_id = incident["event_id"]
        carried = [each for each in self.world.bus.published if each.attributes.get("ce-id") == event_id]
        events = [each for each in carried if each.topic not in UNTYPED]
        self.world.tell(f"replay {incident.get('event_topic')} {event_id} for {incident.get('service')}")
        self.said["people: replay a dead letter"] += 1
        self.world.bus.publish(events[:1])
        return bool(events)

    def retried(self) -> bool:
        """The bug is mended: what a service failed at for good is handled again, as `mend replay` would have it."""
        asked: dict[str, tuple[str, str]] = {}
        for key, incident in self.store.documents("incidents").items():
            if incident.get("origin") == "internal" and incident.get("event_id"):
                proposal = self.store.documents("healings").get(key, {}).get("proposal", "")
                state = self.store.documents("remedies").get(proposal, {}).get("state")
                asked[str(incident["event_id"])] = (proposal, str(state))
        for key, receipt in sorted(self.store.documents("receipts").items()):
            if receipt["state"] != "failed" or not receipt.get("event") or key in self._replays:
                continue
            self._replays.add(key)
            proposal, state = asked.get(str(receipt["event_id"]), ("", ""))
            self.world.tell(f"replay of {receipt['event_type']} for {receipt['service']}, which failed at it")
            self.said["people: replay what failed"] += 1
            if state == "proposed":
                self.say(proposal, "approve", "")
                return True
            self.world.asked += 1
            about = f"retry {self.world.seed} {self.world.asked}"
            topic = topic_of(EVENT_TYPES[receipt["event_type"]])
            fields = {"service": receipt["service"], "event_id": receipt["event_id"], "event_topic": topic}
            envelope = {"id": about, "time": self.world.clock.now(), "subject": about, "correlation_id": about}
            self.world.publish(RetryRequested(**envelope, remedy_id="", **fields))
            return True
        return False

    def back_and_forth(self) -> list[str]:
        """What a person approves and then takes back leaves the table as it was; twice.

        A reading that is taken back is judged anew: beside parents that came meanwhile more of it may be loaded.
        """
        for _ in range(2):
            known = sorted(self.store.documents("remedies").items())
            asked = [(key, data) for key, data in known if data["state"] == "proposed" and data.get("batch_id")]
            if not asked:
                return []
            key, data = self.chance.choice(asked)
            before, beside = self.world.shown(data["pipeline"]), self._parents(data["batch_id"])
            self.say(key, "approve", data["batch_id"])
            self.world.rest()
            problems = self.world.judged(f"after {data['remedy']} was approved")
            ran = self._applied()
            self.say(key, "undo", data["batch_id"])
            self.world.rest()
            problems += self.world.judged(f"after {data['remedy']} was undone")
            only = ran == self._applied() == {name for name, each in known if each["applied_at"]} | {key}
            only = only and beside == self._parents(data["batch_id"])
            if not problems and only and not same_table(before, self.world.shown(data["pipeline"])):
                problems.append(f"undo: that of {data['remedy']} {key} left another table than there was before")
            if problems:
                return problems
        return []

    def _parents(self, batch: str) -> list[str]:
        """The tables beside which the batch's standing reading was judged."""
        attempts = self.store.documents("healings").get(batch, {}).get("attempts", [])
        return next((each["snapshots"] for each in attempts if each["state"] != "withdrawn"), [])

    def _applied(self) -> set[str]:
        return {name for name, each in self.store.documents("remedies").items() if each["applied_at"]}
