"""What is killed, and when: drawn from a seed and a number alone, so that both repeat it."""

from __future__ import annotations

import random
from typing import NamedTuple

PIPELINES = ("orders", "orders", "visits", "stock")  # upsert has the most to lose
# Of a hundred kills.
SHARES = {
    "effect": 36,  # one `mend run`, at an exact effect on the disk
    "time": 10,  # one `mend run`, at a moment of its time
    "row": 6,  # several kills in a row
    "start": 6,  # the first start of all, while the store is made
    "pair": 14,  # one of two `mend run`, while the other works
    "group": 6,  # two `mend run` at once, by a signal to their process group
    "up": 8,  # `mend up`, or the `mend run` beside it
    "lock": 6,  # while another process holds a lock; or that other process
    "command": 8,  # undo, approve, audit, status
}
COMMANDS = {"orders": ("undo", "undo", "audit", "status"), "visits": ("undo", "audit"), "stock": ("approve",)}


class Kill(NamedTuple):
    """One case. Shares are of what an undisturbed run takes: of its effects on the disk, or of its seconds."""

    seed: int
    number: int
    way: str
    pipelines: tuple[str, ...]
    victim: int = 0  # which of several processes
    effects: tuple[float, ...] = ()
    half: bool = False  # a write is done by half
    seconds: float = 0.0  # share
    command: str = ""
    pick: float = 0.0  # which remedy
    lock: str = ""  # store | warehouse
    holder_dies: bool = False

    @property
    def again(self) -> str:
        """The command that repeats it."""
        return f"make kill SEED={self.seed} ONLY={self.number}"

    @property
    def title(self) -> str:
        """What happens in it, for people."""
        where = [f"effect {share:.1%}{' by half' if self.half else ''}" for share in self.effects]
        where += [f"time {self.seconds:.1%}"] if self.seconds else []
        more = [self.command] * bool(self.command) + [f"{self.lock} lock"] * bool(self.lock)
        more += ["the holder dies"] * self.holder_dies + [f"victim {self.victim + 1}"] * (len(self.pipelines) > 1)
        return f"{self.number:>5} {self.way:<8} {'+'.join(self.pipelines):<15} {', '.join([*where, *more])}"


def drawn(seed: int, number: int) -> Kill:
    """The numbered case of a seed."""
    chance = random.Random(f"{seed} {number}")
    way = chance.choices(list(SHARES), list(SHARES.values()))[0]
    pipeline = chance.choice(PIPELINES)
    kill = Kill(seed, number, way, (pipeline,), effects=(chance.random(),), half=chance.random() < 0.3)
    if way == "time":
        return kill._replace(effects=(), half=False, seconds=max(0.001, 1.02 * chance.random()))
    if way == "row":
        return kill._replace(effects=tuple(chance.random() for _ in range(chance.randint(2, 4))))
    if way == "start":
        return kill._replace(pipelines=("customers",), effects=(chance.random() ** 2,))  # early ones above all
    if way in {"pair", "group"}:
        both = (pipeline, chance.choice((pipeline, chance.choice(PIPELINES))))
        paired = kill._replace(pipelines=both, victim=chance.randrange(2))
        return paired if way == "pair" else paired._replace(effects=(), half=False, seconds=0.2 + 1.2 * chance.random())
    if way == "up":
        return kill._replace(pipelines=("up", pipeline), victim=chance.randrange(2))
    if way == "lock":
        lock = chance.choice(("store", "warehouse"))
        holder = chance.random() < 0.5
        return kill._replace(effects=(), half=False, seconds=0.1 + chance.random(), lock=lock, holder_dies=holder)
    if way == "command":
        return kill._replace(command=chance.choice(COMMANDS[pipeline]), pick=chance.random())
    return kill
