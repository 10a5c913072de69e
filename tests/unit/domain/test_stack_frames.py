"""Goal: of a deep stack that says where it happened, what happened is still shown."""

import pytest

from shared.domain.masking import MESSAGE_CHARACTERS_MAX, excerpt
from shared.domain.stack_frames import is_frame, without_frames

FRAMES = (
    '  File "job.py", line 75, in run',
    "\tat org.h2.message.DbException.get(DbException.java:554)",
    "\tat java.base/jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)",
    "\tat java.base/java.lang.reflect.Proxy$$Lambda$180/0x00007f3e4e046760.apply(Unknown Source)",
    "\t... 7 more",
    "    at Object.parse (/srv/app/node_modules/x/src/parse.js:1094:23)",
    "    at async load (file:///srv/app/load.mjs:3:5)",
    "    at new Promise (<anonymous>)",
    "    at node:internal/process/execution:100:14",
    "    at [eval]:19:23",
    "   at Shop.Load.Run(String name) in C:\\shop\\Load.cs:line 12",
    "\tfrom /usr/lib/ruby/3.1.0/open-uri.rb:741:in `buffer_open'",
    "#0 job.php(2): SplFileObject->__construct()",
    "#1 {main}",
    "\t/usr/lib/go-1.19/src/runtime/malloc.go:1029 +0x57e fp=0xc0 sp=0xc0",
    "runtime.mallocgc(0x4000000, 0x45c640, 0x1)",
    "goroutine 1 [running]:",
)
TELLING = (
    "Caused by: java.net.UnknownHostException: db.invalid",
    "    at end of input",
    "connection failed at 10.0.0.3",
    "#1 priority: disk full",
    "main: error in line 12",
    "from orders.csv:12 a column is missing",
    "  [cause]: Error: connect ECONNREFUSED 127.0.0.1:9",
    "",
)


@pytest.mark.parametrize("line", FRAMES)
def test_a_frame(line: str) -> None:
    assert is_frame(line)
    assert without_frames(f"it failed\n{line}\nfor want of rights") == "it failed\nfor want of rights"


@pytest.mark.parametrize("line", TELLING)
def test_what_tells_something_is_no_frame(line: str) -> None:
    assert not is_frame(line)
    assert without_frames(f"it failed\n{line}") == f"it failed\n{line}"


def test_the_code_below_a_frame_of_pythons_goes_with_it() -> None:
    text = '  File "job.py", line 7, in run\n    load(1)\n    ^^^^^^^\nValueError: no\n    value'
    assert without_frames(text) == "ValueError: no\n    value"


def test_where_there_are_only_frames_they_stay() -> None:
    assert without_frames("\n".join(FRAMES)) == "\n".join(FRAMES)


def test_below_a_deep_stack_its_cause_is_shown() -> None:
    deep = "\n".join("\tat org.postgresql.core.v3.Factory.open(ConnectionFactoryImpl.java:9)" for _ in "x" * 40)
    said = ("PSQLException: The connection attempt failed.", "Caused by: java.net.UnknownHostException: db.invalid")
    shown = excerpt(f"{said[0]}\n{deep}\n{said[1]}\n{deep}")
    assert shown == "\n".join(said)
    short = f"{said[0]}\n\tat x.Y.z(Y.java:1)"
    assert excerpt(short) == short, "what fits is shown as it is"
    assert len(excerpt(deep)) <= MESSAGE_CHARACTERS_MAX
