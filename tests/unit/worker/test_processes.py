"""How working processes are started, and how they end."""

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from fibworker.processes import Process, Starter
from tests.waiting import eventually

# A supervisor that is killed as soon as it has started its processes, which wait for the end of their standard input.
SUPERVISOR = """
import os
from fibworker.processes import Starter

PROGRAM = "import os, sys; sys.stdin.read(); os.write(1, b'left ')"

def work():
    exec(PROGRAM)
    return 0

starter = Starter()
for start in {starts}:
    start()
os.kill(os.getpid(), 9)
"""
COPY, INTERPRETER = "lambda: starter.fork(work)", 'lambda: starter.execute(["-c", PROGRAM], os.open("/dev/null", os.O_RDONLY))'
STARTS = {"copies": f"[{COPY}, {COPY}]", "interpreters": f"[{INTERPRETER}, {INTERPRETER}]", "both": f"[{COPY}, {INTERPRETER}]"}


def status(process: Process) -> int:
    codes: list[int] = []

    def ended() -> bool:
        codes.extend(code for code in [process.poll()] if code is not None)
        return bool(codes)

    eventually(ended, "the end of the process", 10, interval=0.01)
    return codes[0]


def rest() -> int:
    signal.pause()
    return 0


def fail() -> int:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("code", [0, 3])
def test_a_copy_exits_with_what_its_work_returns(code: int) -> None:
    assert status(Starter().fork(lambda: code)) == code


def test_a_copy_whose_work_fails_tells_of_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    assert status(Starter().fork(fail)) == 1


@pytest.mark.parametrize(("end", "number"), [(Process.terminate, signal.SIGTERM), (Process.kill, signal.SIGKILL)])
def test_a_copy_that_a_signal_ended_tells_which(end: Callable[[Process], None], number: signal.Signals) -> None:
    process = Starter().fork(rest)
    assert process.poll() is None
    getattr(process, end.__name__)()
    assert status(process) == -number
    getattr(process, end.__name__)()  # another process may have its number by now: no signal is sent
    assert process.poll() == -number


@pytest.mark.parametrize("starts", STARTS.values(), ids=STARTS)
def test_processes_whose_supervisor_is_killed_hear_of_it(starts: str) -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR.format(starts=starts)], stdout=subprocess.PIPE, text=True) as supervisor:
        said, _ = supervisor.communicate(timeout=20)  # until the last one has closed the pipe
    assert said.split() == ["left", "left"]
