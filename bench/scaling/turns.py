"""Turns of a contender: work is submitted, and what happens is watched until the pipeline rests again."""

import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx

from bench.processes import BenchError
from bench.scaling.pipeline import CALM_SECONDS, FEWEST, MOST, PATIENCE_SECONDS, Pipeline, all_pods_alike, until
from fibapp.costs import Measured, learn

BURST_JOBS, BURST_JOB_SECONDS = 300, 1.0
WARM_UP_JOBS, WARM_UP_N = 20, 30
LARGEST_N = 40
TRICKLE_JOBS, TRICKLE_SECONDS = 20, 1.0
BRIEF_JOBS, BRIEF_N = 300, 24
LONG_JOBS, LONG_N = 20, 35
SLOW_JOBS, SLOW_N = 2, 39
JOBS_A_WORKER = 20
"""What KEDA's scaler takes where no queueLength is given (keda.sh/docs/2.0/scalers/rabbitmq-queue)."""
BACKLOG, CPU_ONLY = 30, 86_400
REACTION_JOBS = 40
"""Long ones: some 400 s of work, for which all workers are wanted."""
LOOK_SECONDS = 0.4
STATS_SECONDS = 2.0
"""/api/stats may be a second old: so long it may still tell of the time before the jobs came."""

Curve = list[tuple[float, float]]


@dataclass
class Run:
    """What was seen of one turn. Times are seconds since the first jobs were accepted."""

    workers: Curve = field(default_factory=lambda: [(0.0, float(FEWEST))])
    queued: Curve = field(default_factory=lambda: [(0.0, 0.0)])
    drained: float = 0.0
    """How long the work that counts took."""
    asked: float = 0.0
    """When the last worker of the highest number was asked for."""
    longest_wait: float = 0.0
    interrupted: int = 0
    """Jobs that were begun more than once."""
    left: dict[str, datetime] = field(default_factory=dict)
    """When each pod was told to stop."""
    stopped_busy: int = 0
    """Pods that were told to stop while they held a job."""

    @property
    def worker_seconds(self) -> float:
        """Workers that were asked for, summed over the time."""
        return area(self.workers)

    @property
    def most(self) -> int:
        """The highest number of workers that were asked for."""
        return round(max(workers for _, workers in self.workers))


def area(curve: Curve) -> float:
    """The area under a curve of steps."""
    return sum(value * (later - at) for (at, value), (later, _) in pairwise(curve))


def seconds(job: dict[str, Any], event: str) -> float:
    """From the submission of a job to that event."""
    return (datetime.fromisoformat(job[event]) - datetime.fromisoformat(job["created_at"])).total_seconds()


def computed_at(moment: datetime, pod: str, job: dict[str, Any]) -> bool:
    """Did that pod compute the job at that moment? A worker is called `worker@POD`."""
    if job["worker"].partition("@")[2] != pod:
        return False
    return datetime.fromisoformat(job["started_at"]) < moment < datetime.fromisoformat(job["finished_at"])


def follow(pipeline: Pipeline, run: Run, step: Callable[[float, int, dict[str, Any]], bool]) -> None:
    """Watch until `step`, called with the seconds, the workers and the stats of each look, is content."""
    begun, told = time.monotonic(), ""
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            workers, stats, said, leaving = pipeline.workers(), pipeline.stats(), pipeline.sentence(), pipeline.leaving()
        except httpx.HTTPError:  # a busy machine may miss a probe: look again
            continue
        now = time.monotonic() - begun
        if workers > run.most:
            run.asked = now
        run.workers.append((now, workers))
        run.queued.append((now, stats["queued"]))
        run.left |= dict.fromkeys(leaving - run.left.keys(), datetime.now(UTC))
        if said != told:
            print(f"  {now:6.1f} s  {said}", file=sys.stderr, flush=True)
            told = said
        if now >= STATS_SECONDS and step(now, workers, stats):
            return
        if now > PATIENCE_SECONDS:
            raise BenchError(f"the pipeline does not come to rest: {said}")


def is_over(workers: int, stats: dict[str, Any]) -> bool:
    """Has the pipeline nothing to do, and its fewest workers again?"""
    return workers == FEWEST and not stats["queued"] and not stats["running"]


def judge(pipeline: Pipeline, run: Run, jobs: int, counting: slice) -> None:
    """Fill in what the jobs say, newest first; `counting` are those whose end is the end of the work."""
    found = pipeline.latest(jobs)
    run.drained = max(seconds(job, "finished_at") for job in found[counting])
    run.longest_wait = max(seconds(job, "started_at") for job in found)
    run.interrupted = sum(job["attempts"] > 1 for job in found)
    run.stopped_busy = sum(any(computed_at(at, pod, job) for job in found) for pod, at in run.left.items())


def warm_up(pipeline: Pipeline) -> int:
    """Let the pipeline learn what a job costs here; returns the n whose recursion takes a worker about a second."""
    pipeline.submit({WARM_UP_N: WARM_UP_JOBS})
    until(lambda: pipeline.stats()["done"] == WARM_UP_JOBS, "the first jobs")
    durations = [job["duration_ms"] / 1000 for job in pipeline.latest(WARM_UP_JOBS)]
    costs = learn([Measured("recursive", WARM_UP_N, duration) for duration in durations])
    return costs.recursive_n(BURST_JOB_SECONDS, LARGEST_N)


def burst(pipeline: Pipeline, target: int, n: int) -> Run:
    """300 jobs of F(n), then one a second, then silence."""
    pipeline.apply(backlogTargetSeconds=target)
    run, trickled, empty_at = Run(), 0, 0.0
    pipeline.submit({n: BURST_JOBS})

    def step(now: float, workers: int, stats: dict[str, Any]) -> bool:
        nonlocal trickled, empty_at
        if trickled == TRICKLE_JOBS:
            return is_over(workers, stats)
        if not empty_at and not stats["queued"]:
            empty_at = now
        if empty_at and now - empty_at >= trickled * TRICKLE_SECONDS:
            pipeline.submit({n: 1})
            trickled += 1
        return False

    follow(pipeline, run, step)
    judge(pipeline, run, BURST_JOBS + TRICKLE_JOBS, slice(TRICKLE_JOBS, None))
    return run


def reaction(pipeline: Pipeline) -> tuple[float, int]:
    """Seconds from the request with a burst until all workers are asked for, and in how many steps; all is undone then."""
    begun, seen = time.monotonic(), [FEWEST]
    pipeline.submit({LONG_N: REACTION_JOBS})
    while seen[-1] < MOST:
        seen.append(pipeline.workers())
        if time.monotonic() - begun > PATIENCE_SECONDS:
            raise BenchError("the workers are not asked for")
    took = time.monotonic() - begun
    pipeline.cancel_all()
    until(lambda: pipeline.floor() == FEWEST, "the floor to be low again")
    pipeline.set_workers(FEWEST)  # as the autoscaler would, later
    until(pipeline.is_calm, "rest")
    return took, len(set(seen)) - 1


def mix(pipeline: Pipeline, *, by_count: bool) -> tuple[Run, Run]:
    """A crowd of brief jobs, then few long ones. By seconds of work, or by the count of jobs, as queue-based scalers do."""
    pipeline.apply(enabled=not by_count, backlogTargetSeconds=BACKLOG)
    count = Counting(pipeline) if by_count else None
    runs = []
    for n, jobs in ((BRIEF_N, BRIEF_JOBS), (LONG_N, LONG_JOBS)):
        run = Run()
        pipeline.submit({n: jobs})

        def step(now: float, workers: int, stats: dict[str, Any]) -> bool:
            if count:
                count.decide(now, workers, stats)
            return is_over(workers, stats)

        follow(pipeline, run, step)
        judge(pipeline, run, jobs, slice(None))
        runs.append(run)
    brief, long = runs
    return brief, long


class Counting:
    """A scaler that counts jobs: up at once, down when fewer were enough for as long as the autoscaler would wait."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._enough: Curve = []

    def decide(self, now: float, workers: int, stats: dict[str, Any]) -> None:
        """Scale by what is queued and running."""
        wanted = min(max(math.ceil((stats["queued"] + stats["running"]) / JOBS_A_WORKER), FEWEST), MOST)
        self._enough = [(at, each) for at, each in self._enough if 0 <= now - at < CALM_SECONDS] + [(now, wanted)]
        highest = int(max(each for _, each in self._enough))
        if highest != workers and (highest > workers or self._enough[0][0] + CALM_SECONDS - 1 <= now):
            self._pipeline.scale(highest)


def scale_in(pipeline: Pipeline, n: int, *, idle_first: bool) -> Run:
    """Many jobs of F(n) and two slow ones: some workers leave while others are in the middle of a job."""
    pipeline.apply(backlogTargetSeconds=BACKLOG)
    off: AbstractContextManager[None] = nullcontext() if idle_first else all_pods_alike()
    with off:
        run = Run()
        pipeline.submit({n: BURST_JOBS // 3, SLOW_N: SLOW_JOBS})
        follow(pipeline, run, lambda _now, workers, stats: is_over(workers, stats))
    judge(pipeline, run, BURST_JOBS // 3 + SLOW_JOBS, slice(None))
    return run
