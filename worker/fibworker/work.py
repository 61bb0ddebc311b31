"""Jobs, from message to stored result: claim, compute, store once."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from uuid import UUID, uuid4

from fibapp.backoff import Backoff
from fibapp.jobs import Bounds
from fibapp.store import StoreAway
from fibapp.store.claims import Claim, ClaimStore, Held, Refusal, Result
from fibworker import fibonacci
from fibworker.slots import Now, Phase, Slot

logger = logging.getLogger(__name__)

Ending = Literal["done", "failed", "refused"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, a text for people (the number, or why there is none) and the seconds it was computed."""

    ending: Ending | Refusal
    text: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message asks for. Its n and algorithm are not trusted: they have to be the row's, or the row decides."""

    job_id: UUID
    n: int
    algorithm: str
    redelivered: bool
    """Somebody had the message before, and may have crashed over it."""

    @property
    def needs_no_claim(self) -> bool:
        """Is the job done sooner than claimed, and is there nothing that a claim would have to count?"""
        return not self.redelivered and fibonacci.is_brief(self.n, self.algorithm)


class Worker:
    """Works on one job, or on several brief ones together."""

    def __init__(self, store: ClaimStore, slot: Slot, bounds: Bounds, name: str) -> None:
        self._store = store
        self._slot = slot
        self._bounds = bounds
        self._name = name

    def work(self, asked: Asked) -> Outcome:
        """Do one job whatever it takes."""
        return self.work_together([asked])[asked.job_id]

    def work_together(self, asked: Sequence[Asked]) -> dict[UUID, Outcome]:
        """Do these jobs with one commit of their results, after one claim where a claim is needed.

        They share their fate: a crash gives all of them back, so each should be brief.
        """
        self._slot.write(Now(Phase.CLAIMING, since=time.monotonic()))
        outcomes = self._do_unclaimed([each for each in asked if each.needs_no_claim])
        if left := [each.job_id for each in asked if each.job_id not in outcomes]:
            outcomes.update(self._claim_and_do(left))
        for outcome in outcomes.values():
            self._slot.count(outcome.ending, outcome.seconds)
        self._slot.write(Now(Phase.IDLE))
        return outcomes

    def _do_unclaimed(self, asked: Sequence[Asked]) -> dict[UUID, Outcome]:
        """Do what no claim is needed for; jobs that turn out to need one are left out."""
        token = uuid4()
        claims: list[Claim] = []
        results: list[Result] = []
        for each in asked:
            claim = Claim(each.job_id, token, each.n, each.algorithm)
            text, ending, seconds = self._compute(claim)
            if ending == "done":
                claims.append(claim)
                results.append(Result(each.job_id, text, seconds * 1000))
        if not results:
            return {}
        stored = self._insist(lambda: self._store.store_unclaimed(claims, results, self._name))
        return {each.job_id: Outcome("done", each.text, each.duration_ms / 1000) for each in results if each.job_id in stored}

    def _claim_and_do(self, ids: Sequence[UUID]) -> dict[UUID, Outcome]:
        answers = self._insist(lambda: self._store.claim(ids, self._name))
        since = time.monotonic()
        results: list[Result] = []
        outcomes: dict[UUID, Outcome] = {}
        for job_id, claim in answers.items():
            if isinstance(claim, str):
                if claim == "unknown":
                    logger.warning(
                        "a message asks for job %s, which this pipeline's database does not know; it goes to the dead letters", job_id
                    )
                outcomes[job_id] = Outcome(claim, claim)
                continue
            held = Held(job_id, claim.token)
            self._slot.write(Now(Phase.COMPUTING, held, since))
            text, ending, seconds = self._compute(claim)
            if ending == "done":
                results.append(Result(job_id, text, seconds * 1000))
            else:
                outcomes[job_id] = self._fail(held, text, seconds, since)
        if results:
            outcomes.update(self._store_all(held.token, results, since))
        return outcomes

    def _store_all(self, token: UUID, results: list[Result], since: float) -> dict[UUID, Outcome]:
        # From here on the work exists: a database that is away is waited for, until the supervisor's time limit.
        self._slot.write(Now(Phase.STORING, Held(results[-1].job_id, token), since))
        stored = self._insist(lambda: self._store.store(token, results))
        outcomes: dict[UUID, Outcome] = {}
        for result in results:
            ending: Ending = "done" if result.job_id in stored else "refused"
            if ending == "refused":
                logger.info("job %s was cancelled or taken over; its result is dropped", result.job_id)
            outcomes[result.job_id] = Outcome(ending, result.text, result.duration_ms / 1000)
        return outcomes

    def _fail(self, held: Held, words: str, seconds: float, since: float) -> Outcome:
        self._slot.write(Now(Phase.STORING, held, since))
        kept = self._insist(lambda: self._store.fail(held, words, seconds * 1000))
        return Outcome("failed" if kept else "refused", words, seconds)

    def _compute(self, claim: Claim) -> tuple[str, Ending, float]:
        """The number or why there is none, and the seconds it took."""
        largest = self._bounds.recursive if claim.algorithm == "recursive" else self._bounds.fast
        text, begun = "", time.perf_counter()
        ending: Ending = "done"
        try:
            text = fibonacci.decimal(claim.n, claim.algorithm, largest=largest)
        except (fibonacci.OutOfBounds, MemoryError) as error:
            text, ending = str(error) or "out of memory", "failed"
        return text, ending, time.perf_counter() - begun

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
