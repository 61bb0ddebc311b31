"""P13: jobs with big numbers, beside the same numbers in pure CPython."""

import http.client
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.ours import Ours, post
from bench.processes import wait_until
from bench.stage import Stage
from bench.table import Row, figure, lower, times

JOBS = 5
SMALL, BIG, HUGE = 35, 1_000_000, 10_000_000
WORK = (
    """SELECT duration_ms, extract(epoch FROM finished_at - started_at)::float * 1000, digits FROM jobs WHERE id = %s AND state = 'done'"""
)


def run(stage: Stage, rounds: int) -> list[Row]:
    """Real jobs, and CPython in this process, in turn. A job's work is what the worker measures; `stored` includes writing the result."""
    work: dict[int, list[float]] = {SMALL: [], BIG: [], HUGE: []}
    stored: dict[int, list[float]] = {SMALL: [], BIG: [], HUGE: []}
    plain: dict[int, list[float]] = {SMALL: [], BIG: []}
    with Ours(stage, FIB_MAX_N=str(HUGE)) as ours:
        ours.start_api()
        ours.start_relay()
        ours.start_workers()
        for _ in range(rounds):
            for n in work:
                found = [_job(ours, n) for _ in range(JOBS)]
                work[n].append(median(ms for ms, _ in found))
                stored[n].append(median(ms for _, ms in found))
            plain[SMALL].append(_milliseconds(lambda: str(_recursive(SMALL))))
            plain[BIG].append(_milliseconds(lambda: _text(_doubling(BIG))))
    return [
        _beside("n=35, work", work[SMALL], "recursion", plain[SMALL], ">= 300x", lambda _, ratio: ratio >= 300),
        _beside("n=1,000,000, work", work[BIG], "CPython", plain[BIG], "<= 40 ms and >= 15x", lambda ms, ratio: ms <= 40 and ratio >= 15),
        _beside("the same, claim to stored", stored[BIG], "CPython", plain[BIG], "<= 40 ms", lambda ms, _: ms <= 40),
        Row("P13", "n=10,000,000, work", f"{figure(median(work[HUGE]))} ms", "", "", "<= 500 ms", median(work[HUGE]) <= 500),
        Row("P13", "the same, claim to stored", f"{figure(median(stored[HUGE]))} ms", "", "", "", None),
    ]


def _beside(what: str, ours: list[float], name: str, other: list[float], goal: str, met: Callable[[float, float], bool]) -> Row:
    ms, ratio = median(ours), lower(ours, other)
    return Row("P13", what, f"{figure(ms)} ms", f"{name} {figure(median(other))} ms", times(ratio), goal, met(ms, ratio))


def _job(ours: Ours, n: int) -> tuple[float, float]:
    """Milliseconds of work, and from claim to stored result."""
    client = http.client.HTTPConnection("127.0.0.1", ours.api_port, timeout=30)
    job = post(client, "/api/jobs", {"n": n, "algorithm": "fast"})["id"]
    client.close()
    with ours.cursor() as cursor:

        def done() -> tuple[float, float, int] | None:
            cursor.execute(WORK, (job,))
            row: tuple[float, float, int] | None = cursor.fetchone()
            return row

        duration, stored, _ = wait_until(f"job n={n}", done, interval=0.01)
    return duration, stored


def _milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _recursive(n: int) -> int:
    return n if n < 2 else _recursive(n - 1) + _recursive(n - 2)


def _doubling(n: int) -> int:
    a, b = 0, 1
    for bit in bin(n)[2:]:
        a, b = a * (2 * b - a), a * a + b * b
        if bit == "1":
            a, b = b, a + b
    return a


def _text(value: int) -> str:
    sys.set_int_max_str_digits(0)
    return str(value)
