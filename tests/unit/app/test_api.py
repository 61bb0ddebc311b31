"""The API over a store in memory: what it accepts, what it answers, and when the store is away."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from fibapp.api.intake import Intake
from fibapp.api.models import JobIn
from fibapp.api.problems import Problem
from fibapp.jobs import Bounds, Job, NewJob, rfc3339
from fibapp.store.jobs import KeyReused

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)


def job(new: NewJob, **changes: object) -> Job:
    values: dict[str, object] = {
        "id": new.id,
        "seq": 1,
        "n": new.n,
        "algorithm": new.algorithm,
        "state": "queued",
        "result": None,
        "digits": None,
        "error": None,
        "attempts": 0,
        "created_at": MOMENT,
        "started_at": None,
        "finished_at": None,
        "duration_ms": None,
        "worker": None,
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


class MemoryJobs:
    """Accepts jobs and remembers keys."""

    def __init__(self, queued: int = 0) -> None:
        self.queued = queued
        self.counted = 0
        self.announced = 0
        self.keys: dict[str, tuple[str, list[Job]]] = {}

    def add(self, jobs: Sequence[NewJob], _client: str, *, announce: bool = False) -> list[Job]:
        self.announced += announce
        return [job(new) for new in jobs]

    def add_once(self, jobs: Sequence[NewJob], client: str, key: str, fingerprint: str) -> tuple[list[Job], bool]:
        if key in self.keys:
            if self.keys[key][0] != fingerprint:
                raise KeyReused(key)
            return self.keys[key][1], False
        self.keys[key] = fingerprint, self.add(jobs, client)
        return self.keys[key][1], True

    def count_queued(self, _client: str, _limit: int) -> int:
        self.counted += 1
        return self.queued


class Bell:
    """Counts how often the relay would be woken."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.rings = 0

    def is_quiet(self) -> bool:
        return self.quiet

    def accepted(self, *, announced: bool = False) -> None:
        self.rings += not announced


def intake(store: MemoryJobs, bell: Bell | None = None) -> Intake:
    return Intake(store, bell or Bell(), Bounds(recursive=40, fast=1000), max_batch=3, max_queued=10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "algorithm", "largest"), [(-1, "recursive", 40), (41, "recursive", 40), (1001, "fast", 1000), (-5, "fast", 1000)]
)
def test_bounds_are_named(n: int, algorithm: str, largest: int) -> None:
    with pytest.raises(Problem) as caught:
        intake(MemoryJobs()).accept([JobIn.model_validate({"n": n, "algorithm": algorithm})], "a", None)
    assert caught.value.status == 422
    assert caught.value.members == {"field": "n", "minimum": 0, "maximum": largest, "value": str(n)}


@pytest.mark.parametrize(("n", "algorithm"), [(0, "recursive"), (40, "recursive"), (0, "fast"), (1000, "fast")])
def test_the_bounds_themselves_are_allowed(n: int, algorithm: str) -> None:
    bell = Bell()
    stored, new = intake(MemoryJobs(), bell).accept([JobIn.model_validate({"n": n, "algorithm": algorithm})], "a", None)
    assert ([job.n for job in stored], new, bell.rings) == ([n], True, 1)


def test_a_batch_is_limited_and_its_entries_are_named() -> None:
    with pytest.raises(Problem, match="at most 3"):
        intake(MemoryJobs()).accept([JobIn(n=1)] * 4, "a", None)
    with pytest.raises(Problem) as caught:
        intake(MemoryJobs()).accept([JobIn(n=1), JobIn(n=99)], "a", None)
    assert caught.value.members["field"] == "jobs.1.n"


def test_a_key_gives_the_same_job_and_wakes_nobody_twice() -> None:
    store, bell = MemoryJobs(), Bell()
    accept = intake(store, bell).accept
    first, new = accept([JobIn(n=3)], "a", "key")
    again, repeated = accept([JobIn(n=3)], "a", "key")
    assert (first, new, repeated, bell.rings) == (again, True, False, 1)
    with pytest.raises(Problem, match="another request"):
        accept([JobIn(n=4)], "a", "key")


@pytest.mark.parametrize("quiet", [True, False])
def test_a_job_is_announced_by_its_own_commit_or_by_the_notifier(quiet: bool) -> None:
    store, bell = MemoryJobs(), Bell(quiet=quiet)
    intake(store, bell).accept([JobIn(n=3)], "a", None)
    assert (store.announced, bell.rings) == ((1, 0) if quiet else (0, 1))


@pytest.mark.parametrize("key", ["", "k" * 256, "a\x00b", "a\nb"])
def test_a_strange_key_is_refused(key: str) -> None:
    with pytest.raises(Problem) as caught:
        intake(MemoryJobs()).accept([JobIn(n=3)], "a", key)
    assert caught.value.status == 400


def test_the_quota_counts_once_a_second_and_what_was_accepted_since() -> None:
    store = MemoryJobs(queued=5)
    accept = intake(store).accept
    for _ in range(5):
        accept([JobIn(n=1)], "a", None)
    with pytest.raises(Problem) as caught:
        accept([JobIn(n=1)], "a", None)
    assert caught.value.status == 429
    assert caught.value.headers["Retry-After"]
    assert store.counted == 1


def test_the_job_document() -> None:
    new = NewJob(UUID(int=7), 30, "recursive")
    queued = job(new).document()
    assert queued["result_url"] is None
    assert queued["created_at"] == "2026-01-02T03:04:05.678Z"
    done = job(new, state="done", result="832040", digits=6, duration_ms=91.23456, finished_at=MOMENT).document()
    assert (done["result"], done["duration_ms"]) == ("832040", 91.235)
    assert done["result_url"] == f"/api/jobs/{UUID(int=7)}/result"
    assert set(queued) == set(done)


def test_times_are_utc() -> None:
    assert rfc3339(datetime.fromisoformat("2026-07-01T12:00:00+02:00")) == "2026-07-01T10:00:00.000Z"
    assert rfc3339(None) is None
