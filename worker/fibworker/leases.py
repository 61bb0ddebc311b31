"""The supervisor's one connection to the store: renews the leases of running jobs and writes down what happened to the others."""

import logging
import queue
import threading
import time
from collections.abc import Callable

from fibapp.backoff import Backoff
from fibapp.store import StoreAway
from fibapp.store.claims import ClaimStore, Held

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
YOUNG_SECONDS = 1.0
"""Jobs younger than this need no renewal, so short jobs cost nothing."""


class LeaseKeeper(threading.Thread):
    """Talks to the store on a thread of its own, so that a database that is away never delays the supervisor."""

    def __init__(self, store: ClaimStore, running: Callable[[], list[tuple[Held, float]]], lost: Callable[[Held], None]) -> None:
        """`running` lists the jobs with the seconds they run; `lost` is told of jobs that are no longer ours to compute."""
        super().__init__(name="leases", daemon=True)
        self._store = store
        self._running = running
        self._lost = lost
        self._notes: queue.SimpleQueue[tuple[Callable[[], object], Held] | None] = queue.SimpleQueue()

    def crashed(self, held: Held, reason: str) -> None:
        """Note that the process computing the job died."""
        self._notes.put((lambda: self._store.crashed(held, reason), held))

    def failed(self, held: Held, reason: str) -> None:
        """Note that the job failed for good."""
        self._notes.put((lambda: self._store.fail(held, reason), held))

    def released(self, held: Held) -> None:
        """Note that the job goes back to the queue through nobody's fault."""
        self._notes.put((lambda: self._store.release(held), held))

    def released_others(self, held: Held) -> None:
        """Note that the jobs claimed together with this one go back to the queue."""
        self._notes.put((lambda: self._store.release_others(held), held))

    def finish(self, seconds: float) -> None:
        """Write the remaining notes, for at most `seconds`; what stays unwritten is found when the lease ends."""
        self._notes.put(None)
        self.join(seconds)

    def run(self) -> None:
        """Renew and write until `finish`."""
        backoff = Backoff(0.1, EVERY_SECONDS)
        renewed = time.monotonic()
        while True:
            try:
                note = self._notes.get(timeout=max(0.0, renewed + EVERY_SECONDS - time.monotonic()))
            except queue.Empty:
                renewed = time.monotonic()
                self._renew()
                continue
            if note is None:
                return
            write, held = note
            try:
                write()
                backoff.reset()
            except StoreAway as error:
                logger.warning("could not note the end of job %s: %s", held.job_id, error)
                self._notes.put(note)
                time.sleep(backoff.next())

    def _renew(self) -> None:
        held = [job for job, seconds in self._running() if seconds >= YOUNG_SECONDS]
        if not held:
            return
        try:
            kept = self._store.renew(held)
        except StoreAway as error:
            logger.warning("could not renew %d leases: %s", len(held), error)
            return
        for job in held:
            if job.job_id not in kept:
                self._lost(job)
