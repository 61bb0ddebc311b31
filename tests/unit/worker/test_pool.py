"""The pool: brief jobs together, all others alone, and nobody waits behind them."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from fibapp.store.claims import Refusal
from fibworker import pool
from fibworker.pool import TOGETHER, Pool, pool_of
from fibworker.work import Asked, Ending, Outcome

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

    def on_success(self, outcome: tuple[bool, str, float]) -> None:
        failed, result, _ = outcome
        self.happened.append("failed" if failed else f"done {result}")
        self.ended.set()

    def reject(self, *, requeue: bool) -> None:
        self.happened.append("given back" if requeue else "dead letter")
        self.ended.set()


class Worker:
    """Notes which jobs are done together."""

    def __init__(self) -> None:
        self.together: list[int] = []
        self.ending: Ending | Refusal = "done"

    def work_together(self, asked: list[Asked]) -> dict[UUID, Outcome]:
        self.together.append(len(asked))
        return {each.job_id: Outcome(self.ending, "5", 0.001) for each in asked}


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

        def target(*_: object) -> tuple[bool, str, float]:
            if blocks:
                self.begun.set()
                assert self.gate.wait(10)
            return False, "5", 0.001

        told = {"id": request.id, "args": [n], "kwargs": {"algorithm": "recursive"}, "delivery_info": {"redelivered": False}}
        self.pool.on_apply(target, (None, request.id, told, b"", "application/json", "utf-8"), {}, callback=request.on_success)
        return request


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.gate.set()
    bench.pool.on_stop()


def test_a_lone_job_waits_for_no_company_and_a_crowd_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LINGER_SECONDS", 3600.0)
    bench.pool.on_start()
    assert bench.send(BRIEF).ended.wait(10), "nobody else comes"
    first = bench.send(BRIEF, blocks=True)
    assert bench.begun.wait(10)
    crowd = [bench.send(BRIEF) for _ in range(TOGETHER)]
    bench.gate.set()
    assert all(request.ended.wait(10) for request in (first, *crowd))
    late = [bench.send(BRIEF) for _ in range(TOGETHER)]
    assert all(request.ended.wait(10) for request in late), "a full batch waits for nobody"
    assert bench.worker.together == [TOGETHER, TOGETHER]


def test_what_waits_is_done_together_and_acknowledged_afterwards(bench: Bench) -> None:
    requests = [bench.send(BRIEF) for _ in range(3)]
    bench.pool.on_start()
    assert all(request.ended.wait(10) for request in requests)
    assert bench.worker.together == [3]
    assert [request.happened for request in requests] == [["accepted", "done 5"]] * 3


def test_what_crashed_too_often_goes_to_the_dead_letter_queue(bench: Bench) -> None:
    bench.worker.ending = "poison"
    requests = [bench.send(BRIEF) for _ in range(2)]
    bench.pool.on_start()
    assert all(request.ended.wait(10) for request in requests)
    assert [request.happened for request in requests] == [["accepted", "dead letter"]] * 2


def test_a_run_of_brief_jobs_is_fetched_ahead_until_a_long_one_comes(bench: Bench) -> None:
    bench.pool.on_start()
    for _ in range(TOGETHER):
        assert bench.send(BRIEF).ended.wait(10)
    assert bench.consumer.asked == [2 * TOGETHER]
    assert bench.send(LONG).ended.wait(10)
    assert bench.consumer.asked == [2 * TOGETHER, 1]


def test_what_waits_behind_a_long_job_goes_to_others(bench: Bench) -> None:
    long, brief, second = bench.send(LONG, blocks=True), bench.send(BRIEF), bench.send(LONG)
    bench.pool.on_start()
    assert bench.begun.wait(10)
    late = bench.send(BRIEF)
    assert brief.happened == ["accepted", "done 5"]
    assert second.happened == ["given back"]
    assert late.happened == ["given back"]
    bench.gate.set()
    assert long.ended.wait(10)
    assert long.happened == ["accepted", "done 5"]
    assert bench.send(BRIEF).ended.wait(10)


def test_what_comes_while_brief_jobs_run_does_not_wait_behind_a_long_one(bench: Bench) -> None:
    came: list[Request] = []
    do_together = bench.worker.work_together

    def while_others_come(asked: list[Asked]) -> dict[UUID, Outcome]:
        came.append(bench.send(BRIEF))
        return do_together(asked)

    bench.worker.work_together = while_others_come  # type: ignore[method-assign]
    requests = [bench.send(BRIEF), bench.send(BRIEF), bench.send(LONG)]
    bench.pool.on_start()
    assert all(request.ended.wait(10) for request in requests)
    assert [request.happened for request in came] == [["given back"]]


def test_a_message_that_says_nothing_sensible_is_taken_for_a_long_job(bench: Bench) -> None:
    request = Request()
    bench.pool.on_apply(lambda *_: (False, "5", 0.001), (None, request.id, {}, b"null"), {}, callback=request.on_success)
    bench.pool.on_start()
    assert request.ended.wait(10)
    assert bench.worker.together == []
