"""Each protection switched off in turn: then the promise breaks. A promise that was never seen broken is worth nothing.

Every case runs two pipelines side by side through the same faults. They differ in one protection only: with it nothing is lost,
without it something is. Most protections have another behind them, so that the product loses nothing when one fails; where that is
so, the case names the other and switches it off in both pipelines.
"""

import os
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.services.pipeline import Pipeline
from tests.services.process import Process
from tests.services.promise import Verdict
from tests.waiting import eventually

JOBS = 120
SEED = 4711
LONG = 34
"""An n that takes long enough to be found running."""


@dataclass(slots=True)
class Run:
    """One pipeline on its way through the faults."""

    pipeline: Pipeline
    relay: str
    """How the relay is sabotaged, and the workers."""
    worker: str
    accepted: list[str] = field(default_factory=list)

    def start_relay(self) -> None:
        """Start the relay; returns when it declared the queue."""
        self.pipeline.start_relay(sabotage=self.relay)
        eventually(lambda: "fib" in {queue["name"] for queue in self.pipeline.manage("GET", "queues/{vhost}")}, "the queue")

    def start_worker(self, concurrency: int = 1, *, wait: bool = True) -> Process:
        """Start a worker with `concurrency` processes."""
        return self.pipeline.start_worker(concurrency=concurrency, sabotage=self.worker, wait=wait)

    def submit(self, long: int = 0) -> None:
        """Have `JOBS` jobs accepted, the first `long` of them long ones."""
        draw = random.Random(SEED)
        self.accepted = self.pipeline.submit_many([LONG] * long + draw.choices([2, 15, 20, 23], k=JOBS - long))

    def until_published(self) -> None:
        """Wait until the broker confirmed a message for every job (of one that was claimed sooner this is not noted)."""
        condition = "published_at IS NULL AND state = 'queued'"
        eventually(lambda: self.pipeline.count(condition, self.accepted) == 0, "every job to be published")

    def until_begun(self, times: int) -> None:
        """Wait until long jobs were begun `times` times in all."""

        def begun() -> bool:
            rows = self.pipeline.rows("n, attempts", self.accepted)
            return bool(sum(row["attempts"] for row in rows if row["n"] == LONG) >= times)

        eventually(begun, f"long jobs to be begun {times} times", 60, 0.02)


def late_ack(run: Run) -> None:
    """Workers die with messages in their hands whose jobs they could not claim yet, the database being away."""
    run.start_relay()
    run.submit()
    run.until_published()
    with run.pipeline.closed_database():
        worker = run.start_worker(3)
        eventually(lambda: run.pipeline.log("worker").count("; next try in 0.05 s") >= 3, "three processes to hold a message")
        worker.close()
    run.start_worker()


def reject_on_worker_lost(run: Run) -> None:
    """Working processes are killed in the middle of a job, again and again; the supervisor lives."""
    run.start_relay()
    worker = run.start_worker()
    run.submit(long=2)
    for strike in (1, 2):
        run.until_begun(strike)
        for child in worker.children():
            os.kill(child, signal.SIGKILL)


def republish(run: Run) -> None:
    """The queue is deleted with messages in it, as when the broker loses its volume."""
    run.start_relay()
    worker = run.start_worker()
    run.submit()
    run.until_published()
    eventually(lambda: run.pipeline.count("state = 'done'", run.accepted) >= 5, "the first to be done", interval=0.01)
    run.pipeline.manage("DELETE", "queues/{vhost}/fib")
    assert worker.running


def mandatory(run: Run) -> None:
    """The queue is deleted behind the relay, which goes on publishing."""
    run.start_relay()
    run.pipeline.manage("DELETE", "queues/{vhost}/fib")
    run.submit()
    run.until_published()
    run.start_worker()


def lease(run: Run) -> None:
    """A whole worker dies in the middle of its jobs."""
    run.start_relay()
    worker = run.start_worker(2)
    run.submit(long=2)
    run.until_begun(2)
    worker.close()
    run.start_worker()


def guard(run: Run) -> None:
    """A worker stands still until others have done its jobs, and then stores what it computed, too."""
    run.start_relay()
    frozen = run.start_worker(2)
    run.submit(long=2)
    run.until_begun(2)
    children = frozen.children()
    frozen.freeze()
    run.start_worker()
    eventually(lambda: run.pipeline.count("state = 'done'", run.accepted) == JOBS, "others to do all jobs", 60)
    # The supervisor, which would notice and end its processes, stands still a little longer.
    for child in children:
        os.kill(child, signal.SIGCONT)

    def stored_or_dropped() -> bool:
        stored = run.pipeline.count("writes > 1", run.accepted)
        return stored + run.pipeline.log("worker").count("its result is dropped") == 2

    eventually(stored_or_dropped, "the late results", 60)
    frozen.thaw()


@dataclass(frozen=True, slots=True)
class Case:
    """A protection, how it is switched off, and what has to be off in both pipelines for that to show."""

    strike: Callable[[Run], None]
    relay_off: str = ""
    worker_off: str = ""
    relay_backing: str = ""
    stuck: str = "FALSE"
    """The condition under which nothing will ever move an unfinished job again, given that no message is left."""
    settings: dict[str, str] = field(default_factory=dict)
    broken: Callable[[Verdict], int] = lambda verdict: len(verdict.lost)


CASES = {
    # Behind it: the relay, which publishes again what is not claimed in time or whose lease ended.
    "late ack": Case(late_ack, worker_off="no_late_ack", relay_backing="no_republish", stuck="published_at IS NOT NULL"),
    # A process that computes is a worker of its own here, with its own connection, so Celery's setting has nothing to do. What does
    # its work is the supervisor's note. Behind it: the end of the lease, after which the relay publishes again.
    "reject on worker lost": Case(
        reject_on_worker_lost,
        worker_off="no_note_of_the_dead",
        relay_backing="no_republish_of_expired",
        stuck="publishes > 0 OR state = 'running'",
        settings={"FIB_LEASE_SECONDS": "60"},
    ),
    "relay publishes again": Case(republish, relay_off="no_republish", stuck="published_at IS NOT NULL"),
    # Behind it: the relay again, which compares the queue with the rows.
    "mandatory": Case(mandatory, relay_off="no_mandatory", relay_backing="no_republish", stuck="published_at IS NOT NULL"),
    "lease": Case(lease, worker_off="no_end_of_leases", stuck="state = 'running' AND lease_until > now() + interval '10 minutes'"),
    # Behind it: the supervisor, which ends a process whose lease went to another. It is too late in this case.
    "guarded store": Case(guard, worker_off="no_guard", broken=lambda verdict: len(verdict.twice)),
}


@pytest.mark.parametrize("protection", CASES)
def test_the_promise_breaks_without(protection: str, pipelines: Callable[..., Pipeline], tell: Callable[[str], None]) -> None:
    case = CASES[protection]
    runs = [
        Run(pipelines(**case.settings), _names(case.relay_backing, relay_off), worker_off)
        for relay_off, worker_off in (("", ""), (case.relay_off, case.worker_off))
    ]
    with ThreadPoolExecutor(2) as pool:
        kept, broken = pool.map(lambda run: outcome(run, case), runs)
    assert kept.kept, f"with {protection}: {kept}"
    assert kept.done == JOBS
    assert case.broken(broken) > 0, f"without {protection} the promise was kept: this test proves nothing"
    assert not broken.wrong
    tell(f"without {protection}: {broken.accepted} accepted, {len(broken.lost)} lost, {len(broken.twice)} stored twice; with it 0 and 0")


def outcome(run: Run, case: Case) -> Verdict:
    """Let the faults happen, wait until nothing moves any more, and judge."""
    pipeline = run.pipeline
    pipeline.migrate()
    pipeline.start_api()
    case.strike(run)

    def at_rest() -> bool:
        """All jobs final; or no message left, and none to come for those that are not."""
        if pipeline.count("state IN ('queued', 'running')", run.accepted) == 0:
            return True
        # The queue is served in order by one process, so after this job it holds no message accepted before.
        pipeline.until(pipeline.submit(1), "done", 60)
        moving = f"state IN ('queued', 'running') AND NOT ({case.stuck})"
        return pipeline.depth() == 0 and pipeline.count(moving, run.accepted) == 0

    # With all its protections a pipeline has to come to its end; without, it has to come to rest.
    if run.relay == case.relay_backing and not run.worker:
        eventually(lambda: pipeline.count("state IN ('queued', 'running')", run.accepted) == 0, "every job to be final", 90)
    else:
        eventually(at_rest, "the pipeline to rest", 90)
    return pipeline.judge(run.accepted)


def _names(*names: str) -> str:
    return ",".join(name for name in names if name)
