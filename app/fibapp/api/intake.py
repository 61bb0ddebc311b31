"""Accepting jobs: bounds, the quota of a client and idempotency, in one place for API and page."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from uuid import uuid4

from fibapp.api.models import JobIn
from fibapp.api.problems import Problem, invalid, malformed
from fibapp.jobs import Bounds, Job, NewJob
from fibapp.metrics import ACCEPTED
from fibapp.store.jobs import JobStore, KeyReused
from fibapp.store.wakeup import Notifier

MAX_KEY_LENGTH = 255
RECOUNT_SECONDS = 1.0
QUOTA_RETRY_SECONDS = 10
MAX_REMEMBERED_CLIENTS = 10_000


@dataclass(slots=True)
class _Count:
    at: float
    queued: int


class Intake:
    """Turns valid requests into stored jobs. One for the process, used by many threads."""

    def __init__(self, store: JobStore, notifier: Notifier, bounds: Bounds, *, max_batch: int, max_queued: int) -> None:
        self._store = store
        self._notifier = notifier
        self.bounds = bounds
        self.max_batch = max_batch
        self._max_queued = max_queued
        self._counts: dict[str, _Count] = {}
        self._lock = Lock()

    def accept(self, wanted: Sequence[JobIn], client: str, key: str | None) -> tuple[list[Job], bool]:
        """Store `wanted`, all or none; False when `key` was seen before and its jobs are returned. Raises Problem or StoreAway."""
        if len(wanted) > self.max_batch:
            raise invalid(f"jobs holds {len(wanted)} entries; at most {self.max_batch} are allowed.", field="jobs", maximum=self.max_batch)
        for position, job in enumerate(wanted):
            self.check_bounds(job, f"jobs.{position}.n" if len(wanted) > 1 else "n")
        self._check_quota(client, len(wanted))
        jobs = [NewJob(uuid4(), job.n, job.algorithm) for job in wanted]
        announced = False
        if key is None:
            announced = self._notifier.is_quiet()
            stored, new = self._store.add(jobs, client, announce=announced), True
        else:
            stored, new = self._add_once(jobs, client, key)
        if new:
            self._notifier.accepted(announced=announced)
            for accepted in stored:
                ACCEPTED.labels(accepted.algorithm).inc()
        return stored, new

    def check_bounds(self, job: JobIn, field: str = "n") -> None:
        """Is n within the bounds of its algorithm? Raises Problem, which names `field`."""
        largest = self.bounds.largest(job.algorithm)
        if not 0 <= job.n <= largest:
            raise invalid(
                f"{field} must be an integer 0..{largest} for algorithm {job.algorithm}; given was {job.n}.",
                field=field,
                minimum=0,
                maximum=largest,
                value=str(job.n),
            )

    def _check_quota(self, client: str, more: int) -> None:
        # Counted afresh once a second; in between this process adds what it accepts.
        now = time.monotonic()
        with self._lock:
            count = self._counts.get(client)
        if count is None or now - count.at > RECOUNT_SECONDS:
            count = _Count(now, self._store.count_queued(client, self._max_queued + 1))
        if count.queued + more > self._max_queued:
            raise Problem(
                429,
                "Too many queued jobs",
                f"This client has {count.queued} queued jobs; with {more} more it would exceed {self._max_queued}. Wait for some to run.",
                headers={"Retry-After": str(QUOTA_RETRY_SECONDS)},
                maximum=self._max_queued,
            )
        with self._lock:
            if len(self._counts) >= MAX_REMEMBERED_CLIENTS:
                self._counts.clear()
            self._counts[client] = _Count(count.at, count.queued + more)

    def _add_once(self, jobs: Sequence[NewJob], client: str, key: str) -> tuple[list[Job], bool]:
        if not key.isprintable() or not 0 < len(key) <= MAX_KEY_LENGTH:
            raise malformed(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable characters.")
        fingerprint = hashlib.sha256(repr([(job.n, job.algorithm) for job in jobs]).encode()).hexdigest()
        try:
            return self._store.add_once(jobs, client, key, fingerprint)
        except KeyReused:
            raise Problem(422, "Idempotency-Key reused", "This Idempotency-Key was used before, with another request.") from None
