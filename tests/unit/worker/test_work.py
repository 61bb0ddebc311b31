"""One job through the worker, with a store in memory."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from fibapp.jobs import Bounds
from fibapp.store import StoreAway
from fibapp.store.claims import Claim, Held, Refusal, Result
from fibworker.slots import ENDINGS, Phase, Slot
from fibworker.tasks import shown
from fibworker.work import Asked, Worker

BOUNDS = Bounds(recursive=30, fast=1000)


class MemoryStore:
    """Answers as the store would; `away` is how many questions fail first, `begun` the n of jobs that somebody began before."""

    def __init__(self, *answers: Claim | Refusal, away: int = 0, accepts: bool = True, begun: Sequence[int] = ()) -> None:
        self._begun = begun
        self._answers = answers
        self._away = away
        self._accepts = accepts
        self.asked: list[str] = []
        self.written: list[tuple[str, str]] = []

    def claim(self, ids: Sequence[UUID], _worker: str) -> dict[UUID, Claim | Refusal]:
        self._ask("claim")
        return dict(zip(ids, self._answers, strict=True))

    def store(self, _token: UUID, results: Sequence[Result]) -> set[UUID]:
        self._ask("store")
        self.written += [("done", result.text) for result in results]
        return {result.job_id for result in results} if self._accepts else set()

    def store_unclaimed(self, claims: Sequence[Claim], results: Sequence[Result], _worker: str) -> set[UUID]:
        self._ask("store unclaimed")
        new = [result for claim, result in zip(claims, results, strict=True) if claim.n not in self._begun]
        self.written += [("done", result.text) for result in new]
        return {result.job_id for result in new}

    def fail(self, _held: Held, error: str, _duration_ms: float | None = None) -> bool:
        self._ask("fail")
        self.written.append(("failed", error))
        return self._accepts

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        if self._away:
            self._away -= 1
            raise StoreAway("the database is out of reach")


def claim(n: int, algorithm: str = "recursive") -> Claim:
    return Claim(uuid4(), uuid4(), n, algorithm)


def again(n: int = 5) -> Asked:
    """A job that was delivered before, so that it has to be claimed."""
    return Asked(uuid4(), n, "recursive", redelivered=True)


def first(n: int) -> Asked:
    """A job that is delivered for the first time."""
    return Asked(uuid4(), n, "recursive", redelivered=False)


def worker(store: MemoryStore, slot: Slot) -> Worker:
    return Worker(store, slot, BOUNDS, "worker@test")  # type: ignore[arg-type]


def endings(slot: Slot) -> dict[str, int]:
    return {name: count for name, count in zip(ENDINGS, slot.counters().endings, strict=True) if count}


def test_a_job_is_computed_and_stored_once() -> None:
    slot, store = Slot.create(), MemoryStore(claim(10))
    assert worker(store, slot).work(again()).text == "55"
    assert store.written == [("done", "55")]
    assert endings(slot) == {"done": 1}
    assert slot.read().phase == Phase.IDLE
    assert slot.read().held is None


def test_a_database_that_is_away_is_waited_for() -> None:
    slot, store = Slot.create(), MemoryStore(claim(7), away=3)
    assert worker(store, slot).work(again()).text == "13"
    assert store.written == [("done", "13")]


@pytest.mark.parametrize("refusal", ["duplicate", "poison", "unknown"])
def test_a_refused_claim_computes_nothing(refusal: Refusal) -> None:
    slot, store = Slot.create(), MemoryStore(refusal)
    assert worker(store, slot).work(again()).ending == refusal
    assert store.written == []
    assert endings(slot) == {refusal: 1}


def test_a_result_that_comes_too_late_is_dropped() -> None:
    slot, store = Slot.create(), MemoryStore(claim(5), accepts=False)
    assert worker(store, slot).work(again()).ending == "refused"
    assert endings(slot) == {"refused": 1}


def test_the_row_decides_and_the_worker_checks_the_bounds_again() -> None:
    slot, store = Slot.create(), MemoryStore(claim(31))
    outcome = worker(store, slot).work(again())
    assert outcome.ending == "failed"
    assert "0..30" in outcome.text
    assert store.written == [("failed", outcome.text)]


def test_brief_jobs_share_one_claim_and_one_commit() -> None:
    slot, store = Slot.create(), MemoryStore(claim(10), "duplicate", claim(31), claim(7))
    asked = [again() for _ in range(4)]
    outcomes = worker(store, slot).work_together(asked)
    assert [outcomes[each.job_id].ending for each in asked] == ["done", "duplicate", "failed", "done"]
    assert store.asked == ["claim", "fail", "store"]
    assert endings(slot) == {"done": 2, "failed": 1, "duplicate": 1}
    assert slot.read().phase == Phase.IDLE


def test_a_brief_job_that_is_new_is_claimed_and_stored_with_one_question() -> None:
    slot, store = Slot.create(), MemoryStore(away=2)
    assert worker(store, slot).work(first(10)).text == "55"
    assert store.asked == ["store unclaimed"] * 3, "asked until there is an answer"
    assert store.written == [("done", "55")]
    assert endings(slot) == {"done": 1}
    assert slot.read().phase == Phase.IDLE


@pytest.mark.parametrize("n", [21, 29])
def test_what_takes_longer_than_a_claim_is_claimed(n: int) -> None:
    slot, store = Slot.create(), MemoryStore(claim(n))
    worker(store, slot).work(first(n))
    assert store.asked == ["claim", "store"]


def test_what_may_have_crashed_or_is_not_new_or_not_computable_is_claimed() -> None:
    slot, store = Slot.create(), MemoryStore(claim(9), "duplicate", claim(31), begun=[8])
    asked = [first(7), again(9), first(8), first(-1)]
    outcomes = worker(store, slot).work_together(asked)
    assert [outcomes[each.job_id].ending for each in asked] == ["done", "done", "duplicate", "failed"]
    assert store.asked == ["store unclaimed", "claim", "fail", "store"]
    assert endings(slot) == {"done": 2, "failed": 1, "duplicate": 1}


def test_flower_sees_a_short_text() -> None:
    assert shown("6765") == 6765
    assert shown("duplicate") == "duplicate"
    assert shown("1" * 100) == int("1" * 100)
    long = shown("12345" * 1000)
    assert isinstance(long, str)
    assert len(long) < 100
    assert "(5000 digits)" in long
