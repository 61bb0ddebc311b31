"""The work queue to the letter."""

import asyncio

import pytest

from fiboperator.queue import BACKOFF_CAP_SECONDS, WorkQueue


async def test_a_key_added_twice_gets_one_pass() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_key_added_while_its_pass_runs_gets_another_one_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0, "never two passes for one key at a time"
    queue.done(key)
    assert await queue.get() == "a"


async def test_a_waiting_worker_is_woken() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(waiting, 1) == "a"


async def test_the_earlier_of_two_delays_holds() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 3600)
    queue.add_after("a", 0)
    queue.add_after("a", 3600)
    assert await asyncio.wait_for(queue.get(), 1) == "a"


async def test_an_immediate_wish_cancels_the_delayed_one() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.01)
    queue.add("a")
    queue.done(await queue.get())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.05)


async def test_a_delayed_wish_adds_nothing_to_a_pass_that_waits_or_begins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add_after("a", 0.01)
    queue.done(await queue.get())
    queue.add_after("b", 0.01)
    queue.add("b")
    queue.done(await queue.get())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.05)


async def test_a_delayed_wish_during_a_pass_outlives_it() -> None:
    queue: WorkQueue[str] = WorkQueue()
    passes: list[str] = []
    twice = asyncio.Event()

    async def handle(key: str) -> None:
        passes.append(key)
        if len(passes) == 1:
            queue.add_after(key, 0.01)
        else:
            twice.set()

    worker = asyncio.create_task(queue.work(handle))
    queue.add("a")
    await asyncio.wait_for(twice.wait(), 1)
    worker.cancel()


async def test_the_backoff_doubles_up_to_its_cap_and_is_forgotten_on_success() -> None:
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(lambda: now)
    delays = []
    for _ in range(12):
        delays.append(queue.add_failed("a"))
        now += delays[-1]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == BACKOFF_CAP_SECONDS
    assert queue.add_failed("b") == 0.5, "each key has its own"
    assert queue.add_failed("c", at_least=7) == 7, "the server asked for more"
    queue.forget("a")
    assert queue.add_failed("a") == 0.5
    for key in "abc":
        queue.forget(key)


async def test_passes_that_fail_before_the_delay_is_over_do_not_lengthen_it() -> None:
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(lambda: now)
    assert queue.add_failed("a") == 0.5
    now = 0.25
    assert [queue.add_failed("a") for _ in range(10)] == [0.25] * 10
    now = 0.5
    assert queue.add_failed("a") == 1.0
    queue.forget("a")


async def test_a_failed_pass_is_tried_again_and_does_not_end_the_worker() -> None:
    queue: WorkQueue[str] = WorkQueue()
    passes: list[str] = []
    enough = asyncio.Event()

    async def handle(key: str) -> None:
        passes.append(key)
        if passes == ["bad"]:
            raise RuntimeError("broken once")
        if passes.count("bad") == 2 and "good" in passes:
            enough.set()

    worker = asyncio.create_task(queue.work(handle))
    queue.add("bad")
    queue.add("good")
    await asyncio.wait_for(enough.wait(), 5)
    worker.cancel()


async def test_a_pass_that_returns_a_delay_is_repeated() -> None:
    queue: WorkQueue[str] = WorkQueue()
    twice = asyncio.Event()
    passes = 0

    async def handle(_: str) -> float | None:
        nonlocal passes
        passes += 1
        if passes == 2:
            twice.set()
            return None
        return 0.0

    worker = asyncio.create_task(queue.work(handle))
    queue.add("a")
    await asyncio.wait_for(twice.wait(), 1)
    worker.cancel()


async def test_it_is_stuck_when_keys_wait_and_no_pass_ends() -> None:
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(clock=lambda: now)
    now = 1000.0
    assert not queue.is_stuck(60), "nothing waits"
    queue.add("a")
    queue.add("b")
    queue.done(await queue.get())
    now = 1050.0
    assert not queue.is_stuck(60)
    now = 1061.0
    assert queue.is_stuck(60)
    assert queue.oldest_wait() == 61
