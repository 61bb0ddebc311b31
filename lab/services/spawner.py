"""Children that die with the program, whichever thread asked for them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue


class Spawner:
    """Starts children from one thread that lives as long as the program.

    A child's parent-death signal comes at the end of the *thread* that started it, so a short-lived one must not.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def __call__(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="lab-services", daemon=True)
                self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((start, future))
        return future.result()

    def _serve(self) -> None:
        while True:
            start, future = self._work.get()
            try:
                future.set_result(start())
            except BaseException as error:
                future.set_exception(error)


spawn = Spawner()
