"""One job, from message to stored result: claim, compute, store once."""

import logging
import time
from collections.abc import Callable
from typing import Literal, TypeVar
from uuid import UUID

from fibapp.backoff import Backoff
from fibapp.jobs import Bounds
from fibapp.store import StoreAway
from fibapp.store.claims import Claim, ClaimStore, Held, Refusal
from fibworker import fibonacci
from fibworker.slots import Now, Phase, Slot

logger = logging.getLogger(__name__)

Ending = Literal["done", "failed", "refused"]
T = TypeVar("T")


class Worker:
    """Works on one job at a time."""

    def __init__(self, store: ClaimStore, slot: Slot, bounds: Bounds, name: str) -> None:
        self._store = store
        self._slot = slot
        self._bounds = bounds
        self._name = name

    def work(self, job_id: UUID) -> tuple[Ending | Refusal, str]:
        """Do the job whatever it takes; returns how it ended and a short text for people (the number, or why not)."""
        self._slot.write(Now(Phase.CLAIMING, since=time.monotonic()))
        claim = self._insist(lambda: self._store.claim(job_id, self._name))
        if isinstance(claim, str):
            self._end(claim, 0.0)
            return claim, claim
        held, since = Held(claim.job_id, claim.token), time.monotonic()
        self._slot.write(Now(Phase.COMPUTING, held, since))
        begun = time.perf_counter()
        text, ending = self._compute(claim)
        seconds = time.perf_counter() - begun
        # From here on the work exists: a database that is away is waited for, until the supervisor's time limit.
        self._slot.write(Now(Phase.STORING, held, since))
        write = self._store.store if ending == "done" else self._store.fail
        if not self._insist(lambda: write(held, text, seconds * 1000)):
            logger.info("job %s was cancelled or taken over; its result is dropped", job_id)
            ending = "refused"
        self._end(ending, seconds)
        return ending, text

    def _compute(self, claim: Claim) -> tuple[str, Ending]:
        largest = self._bounds.recursive if claim.algorithm == "recursive" else self._bounds.fast
        try:
            return fibonacci.decimal(claim.n, claim.algorithm, largest=largest), "done"
        except (fibonacci.OutOfBounds, MemoryError) as error:
            return str(error) or "out of memory", "failed"

    def _end(self, ending: Ending | Refusal, seconds: float) -> None:
        self._slot.count(ending, seconds)
        self._slot.write(Now(Phase.IDLE))

    def _insist(self, ask: Callable[[], T]) -> T:
        """Ask the store until it answers. Every question is safe to repeat; not asking again would lose the message with the job."""
        backoff = Backoff(0.05, 2.0)
        while True:
            try:
                return ask()
            except StoreAway as error:
                wait = backoff.next()
                logger.warning("%s; next try in %.2f s", error, wait)
                time.sleep(wait)
