"""Programs that a benchmark starts: Python processes of their own, with a log, that end with the benchmark."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[1]
T = TypeVar("T")


class BenchError(Exception):
    """A benchmark cannot go on; the text says why."""


class Program:
    """`python ARGUMENTS...` in a process group of its own."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        path = os.pathsep.join(str(folder) for folder in (ROOT, ROOT / "app", ROOT / "worker"))
        with log.open("ab") as stream:
            # setpriv: the program must not outlive a benchmark that is killed.
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", sys.executable, *arguments],
                env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": path, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
                text=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Has it not ended?"""
        return self._popen.poll() is None

    def answer(self, seconds: float = 120) -> str:
        """Wait for its end; what it printed."""
        out, _ = self._popen.communicate(timeout=seconds)
        if self._popen.returncode:
            raise BenchError(f"the process ended with status {self._popen.returncode}; its log:\n{self.tail()}")
        return out

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]

    def kill(self) -> None:
        """SIGKILL the process and all of its group, as the end of its container would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait(10)

    def count_processes(self) -> int:
        """How many processes it consists of."""
        return 1 + len(_descendants(self._popen.pid))

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in (self.pid, *_descendants(self.pid))]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def _descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [further for child in children for further in _descendants(child)]


def wait_until(what: str, condition: Callable[[], T | None], seconds: float = 60, interval: float = 0.05) -> T:
    """The first true value of `condition`, asked every `interval` seconds. Raises BenchError after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise BenchError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(interval)
    return value
