"""One process of a pipeline, to be killed, frozen and read."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class Process:
    """One process of the pipeline and its log."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as stream:
            self._popen = subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.port = 0
        """Where it answers health and metrics, for a worker or a relay."""
        self.health = ""
        """Answers 200 when it is ready."""

    @property
    def running(self) -> bool:
        """Has it not ended?"""
        return self._popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Signal the process itself, not its children."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self._popen.wait(10)

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end; returns the status."""
        return self._popen.wait(seconds)

    def children(self) -> list[int]:
        """Pids of the direct children."""
        tasks = Path(f"/proc/{self.pid}/task")
        return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]

    def freeze(self) -> None:
        """SIGSTOP the process and its children."""
        for pid in (self.pid, *self.children()):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT them."""
        for pid in (*self.children(), self.pid):
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and its children, whatever they do."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in self.children():
                os.kill(pid, signal.SIGKILL)
        if self.running:
            self.kill()
