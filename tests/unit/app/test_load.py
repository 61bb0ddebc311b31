"""The load of a pipeline, when it is news, and how many wait for it without many looking."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from fibapp.api import watch
from fibapp.api.watch import Crowded, Watch
from fibapp.broker import BrokerError, Cause
from fibapp.costs import OVERHEAD_SECONDS, Coefficient, Costs
from fibapp.load import Busy, Load, Work, measure, pod_of
from fibapp.store import StoreAway
from tests.waiting import eventually

SECOND = (1 - OVERHEAD_SECONDS) / ((1 + 5**0.5) / 2) ** 30
COSTS = Costs(recursive=Coefficient(SECOND))
"""F(30) takes a second, F(31) about 1.6."""


def test_nothing_to_do() -> None:
    load = measure([], COSTS)
    assert load == Load(0, 0, 0.0, 0.0, 0.0, {})
    assert load.idle


def test_what_waits_and_what_runs() -> None:
    load = measure(
        [
            Work(None, "recursive", 30, 5, 12.5),
            Work(None, "recursive", 31, 1, 3.0),
            Work("worker@one", "recursive", 30, 1, 0.25),
            Work("worker-1@two", "recursive", 31, 1, 99.0),
            Work("worker-2@two", "recursive", 30, 2, 0.5),
        ],
        COSTS,
    )
    assert (load.queued, load.running, load.oldest_wait_seconds, load.idle) == (6, 4, 12.5, False)
    assert load.seconds == pytest.approx(6.617, abs=0.01)
    assert load.running_seconds == pytest.approx(0.75 + 0 + 1.5)
    assert {pod: busy.jobs for pod, busy in load.busy.items()} == {"one": 1, "two": 3}
    assert load.busy["one"].remaining_seconds == pytest.approx(0.75)
    assert load.busy["two"].remaining_seconds == pytest.approx(1.5), "its processes work at the same time"
    assert load.document()["busy"]["one"] == {"jobs": 1, "remaining_seconds": 0.75}


@pytest.mark.parametrize(("node", "pod"), [("worker@demo-worker-7d-x2", "demo-worker-7d-x2"), ("worker-12@pod", "pod")])
def test_the_pod_of_a_node_name(node: str, pod: str) -> None:
    assert pod_of(node) == pod


def load(queued: int = 100, running: int = 10, seconds: float = 50.0, pods: tuple[str, ...] = ("a", "b")) -> Load:
    return Load(queued, running, seconds, 5.0, 1.0, {pod: Busy(1, 1.0) for pod in pods})


BEFORE = load().version


@pytest.mark.parametrize(
    ("now", "news"),
    [
        pytest.param(load(), False, id="the same"),
        pytest.param(load(pods=("b", "a")), False, id="the same pods in another order"),
        pytest.param(load(queued=109), False, id="queued a little more"),
        pytest.param(load(queued=111), True, id="queued more"),
        pytest.param(load(queued=89), True, id="queued less"),
        pytest.param(load(queued=0, seconds=0), True, id="nothing queued any more"),
        pytest.param(load(running=11), False, id="a tenth more running"),
        pytest.param(load(running=8), True, id="running fewer"),
        pytest.param(load(seconds=54.9), False, id="a little more work"),
        pytest.param(load(seconds=70), True, id="as many jobs, longer ones"),
        pytest.param(load(pods=("a", "c")), True, id="another pod is busy"),
        pytest.param(load(pods=("a",)), True, id="one pod fewer is busy"),
    ],
)
def test_news(now: Load, news: bool) -> None:
    assert now.is_news(BEFORE) is news


def test_a_broker_that_takes_no_messages_is_news_and_so_is_its_recovery() -> None:
    well, alarm = load(), replace(load(), broker=BrokerError(Cause.ALARM, "low on disk"))
    other = replace(load(), broker=BrokerError(Cause.ALARM, "low on memory"))
    assert alarm.is_news(well.version)
    assert well.is_news(alarm.version)
    assert other.is_news(alarm.version)
    assert not alarm.is_news(alarm.version)
    assert (well.document()["broker"], alarm.document()["broker"]) == (None, {"cause": "alarm", "words": "low on disk"})


@pytest.mark.parametrize("seen", [None, "", "1", "1:2:3", "1:2:x:y", BEFORE + ":more"])
def test_an_unknown_version_is_answered_at_once(seen: str | None) -> None:
    assert load().is_news(seen)


def test_from_nothing_the_first_job_is_news() -> None:
    nothing, one = measure([], COSTS), measure([Work(None, "recursive", 1, 1, 0.0)], COSTS)
    assert one.is_news(nothing.version)
    assert nothing.is_news(one.version)
    assert not nothing.is_news(nothing.version)


class Bell:
    """An ear that hears when the test rings, and tells whether somebody listens."""

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.listening = threading.Event()

    def wait(self, seconds: float) -> bool:
        self.listening.set()
        heard = self.rung.wait(min(seconds, 0.05))
        self.rung.clear()
        return heard

    def close(self) -> None:
        self.listening.clear()


class Polls:
    """Polls on threads, over a load that the test sets."""

    def __init__(self) -> None:
        self.now = measure([], COSTS)
        self.looks = 0
        self.bell = Bell()
        self.watch = Watch(self.look, self.bell)
        self.answers: list[Any] = []

    def look(self) -> Load:
        self.looks += 1
        return self.now

    def begin(self, seen: str | None, seconds: float) -> None:
        def poll() -> None:
            try:
                self.answers.append(self.watch.wait(seen, seconds))
            except Crowded as crowded:
                self.answers.append(crowded)

        threading.Thread(target=poll, daemon=True).start()


def test_a_ring_wakes_all_who_wait_with_one_look() -> None:
    polls = Polls()
    for _ in range(5):
        polls.begin(polls.now.version, 60)
    eventually(polls.bell.listening.is_set, "somebody to listen")
    eventually(lambda: polls.looks, "the first look")
    looks = polls.looks
    polls.now = load()
    polls.bell.rung.set()
    eventually(lambda: len(polls.answers) == 5, "all answers", 10, 0.01)
    assert polls.answers == [load()] * 5
    assert polls.looks <= looks + 2


def test_while_nothing_moves_nobody_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOVING_SECONDS", 0.001)
    polls = Polls()
    assert polls.watch.wait(polls.now.version, 0.2) == polls.now
    assert polls.looks == 1


def test_what_was_not_announced_is_seen_while_there_is_something_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOVING_SECONDS", 0.01)
    polls = Polls()
    polls.now = load()
    polls.begin(polls.now.version, 60)
    eventually(lambda: polls.looks > 1, "looks in a row", interval=0.01)
    polls.now = measure([], COSTS)
    eventually(lambda: polls.answers == [polls.now], "the end of the work", interval=0.01)


def test_a_crowd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_WAITING", 2)
    polls = Polls()
    for _ in range(3):
        polls.begin(polls.now.version, 60)
    eventually(lambda: polls.answers, "an answer")
    assert isinstance(polls.answers[0], Crowded)


def test_a_store_that_is_away_is_said_to_the_one_who_asks() -> None:
    def away() -> Load:
        raise StoreAway("gone")

    with pytest.raises(StoreAway):
        Watch(away, Bell()).wait(None, 60)
