"""How working processes are started: as copies of this process while that is safe, as fresh interpreters afterwards."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

logger = logging.getLogger(__name__)


class Process(Protocol):
    """A process that was started; `subprocess.Popen` is one, too."""

    pid: int

    def poll(self) -> int | None:
        """Its status once it has ended: the exit code, or the negative number of the signal that ended it."""

    def terminate(self) -> None:
        """Send it SIGTERM, unless it has ended."""

    def kill(self) -> None:
        """Send it SIGKILL, unless it has ended."""


class Starter:
    """Starts processes whose standard input ends with this process, so that they can leave with it however it ends."""

    def __init__(self) -> None:
        self._their_end, self._our_end = os.pipe()

    def fork(self, work: Callable[[], int]) -> Process:
        """A copy of this process that calls `work` and exits with what that returns.

        It need not import anything anew. But it must be taken before this process has threads or connections: a thread's locks would
        stay closed in the copy, and a connection would have two users.
        """
        pid = os.fork()
        if pid:
            return _Forked(pid)
        status = 1
        try:
            os.setsid()
            os.dup2(self._their_end, 0)
            os.close(self._our_end)
            status = work()
        except BaseException:
            logger.exception("unexpected end of a working process")
        finally:
            os._exit(status)

    def execute(self, arguments: Sequence[str], descriptor: int) -> Process:
        """A fresh interpreter, with `descriptor` open."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=self._their_end,
            pass_fds=[descriptor],
            start_new_session=True,  # a Ctrl-C at a terminal is ours alone
        )


class _Forked:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)
