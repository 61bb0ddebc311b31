"""The pool: brief jobs together, all others alone, and nobody waits behind them."""

import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from fibworker.pool import TOGETHER, Pool, pool_of

BRIEF, LONG = 5, 35


class Hub:
    """An event loop that does at once what it is asked to do."""

    def call_soon(self, function: Any, *arguments: Any) -> None:
        function(*arguments)


class Consumer:
    """Counts what it fetches ahead."""

    prefetch = 1

    def __init__(self) -> None:
        self.asked: list[int] = []

    def fetch(self, count: int) -> None:
        self.prefetch = count
        self.asked.append(count)


class Request:
    """Celery's request of one message."""

    def __init__(self) -> None:
        self.id = str(uuid4())
        self.name = "fib_job"
        self.happened: list[str] = []
        self.ended = threading.Event()

    def on_accepted(self, _pid: int, _at: float) -> None:
        self.happened.append("accepted")

    def on_success(self, outcome: str) -> None:
        self.happened.append(outcome)
        self.ended.set()

    def reject(self, *, requeue: bool) -> None:
        assert requeue
        self.happened.append("given back")
        self.ended.set()


class Worker:
    """Notes which jobs are done together."""

    def __init__(self) -> None:
        self.together: list[int] = []

    def work_together(self, ids: list[UUID]) -> None:
        self.together.append(len(ids))


class Bench:
    """A pool under test."""

    def __init__(self) -> None:
        self.worker = Worker()
        self.consumer = Consumer()
        self.pool: Pool = pool_of(self.worker)(limit=1)  # type: ignore[arg-type]
        self.pool.consumer = self.consumer
        self.pool.register_with_event_loop(Hub())
        self.gate = threading.Event()
        self.begun = threading.Event()

    def send(self, n: int, *, blocks: bool = False) -> Request:
        """Hand the pool a message; with `blocks` its job runs until the gate opens."""
        request = Request()

        def target(*_: object) -> str:
            if blocks:
                self.begun.set()
                assert self.gate.wait(10)
            return "done"

        body = json.dumps([[n], {"algorithm": "recursive"}, {}])
        self.pool.on_apply(target, (None, request.id, {}, body, "application/json", "utf-8"), {}, callback=request.on_success)
        return request


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.gate.set()
    bench.pool.on_stop()


def test_what_waits_is_done_together_and_acknowledged_afterwards(bench: Bench) -> None:
    requests = [bench.send(BRIEF) for _ in range(3)]
    bench.pool.on_start()
    assert all(request.ended.wait(10) for request in requests)
    assert bench.worker.together == [3]
    assert [request.happened for request in requests] == [["accepted", "done"]] * 3


def test_a_run_of_brief_jobs_is_fetched_ahead_until_a_long_one_comes(bench: Bench) -> None:
    bench.pool.on_start()
    for _ in range(TOGETHER):
        assert bench.send(BRIEF).ended.wait(10)
    assert bench.consumer.asked == [TOGETHER]
    assert bench.send(LONG).ended.wait(10)
    assert bench.consumer.asked == [TOGETHER, 1]


def test_what_waits_behind_a_long_job_goes_to_others(bench: Bench) -> None:
    long, brief, second = bench.send(LONG, blocks=True), bench.send(BRIEF), bench.send(LONG)
    bench.pool.on_start()
    assert bench.begun.wait(10)
    late = bench.send(BRIEF)
    assert brief.happened == ["accepted", "done"]
    assert second.happened == ["given back"]
    assert late.happened == ["given back"]
    bench.gate.set()
    assert long.ended.wait(10)
    assert long.happened == ["accepted", "done"]
    assert bench.send(BRIEF).ended.wait(10)


def test_what_comes_while_brief_jobs_run_does_not_wait_behind_a_long_one(bench: Bench) -> None:
    came: list[Request] = []
    bench.worker.work_together = lambda ids: came.append(bench.send(BRIEF))  # type: ignore[method-assign, assignment]
    requests = [bench.send(BRIEF), bench.send(BRIEF), bench.send(LONG)]
    bench.pool.on_start()
    assert all(request.ended.wait(10) for request in requests)
    assert [request.happened for request in came] == [["given back"]]


def test_a_message_that_says_nothing_sensible_is_taken_for_a_long_job(bench: Bench) -> None:
    request = Request()
    bench.pool.on_apply(lambda *_: "done", (None, request.id, {}, b"null"), {}, callback=request.on_success)
    bench.pool.on_start()
    assert request.ended.wait(10)
    assert bench.worker.together == []
