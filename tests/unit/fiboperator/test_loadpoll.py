"""When the load of a pipeline calls for a pass. No sockets here: tests/cluster has them."""

import socket
from typing import Any

from fiboperator import autoscale
from fiboperator.autoscale import Load, Reading
from fiboperator.loadpoll import (
    AWAY_SECONDS,
    BACKOFF_CAP_SECONDS,
    BUSY_WAIT_SECONDS,
    IDLE_WAIT_SECONDS,
    Followed,
    News,
    Settled,
    _kept_alive,
)
from fiboperator.spec import parse
from tests.pipelines import fibpipeline

WORKER = parse(fibpipeline()).spec.worker
DECISION = {"workers": 3, "floor": 3, "min": 3, "max": 10, "sentence": "3 of 3-10 workers: nothing is queued"}


def load(queued: int = 0, seconds: float = 0, **busy: float) -> Load:
    pods: dict[str, Any] = {pod: {"jobs": 1, "remaining_seconds": left} for pod, left in busy.items()}
    running_seconds = sum(busy.values())
    return Load(
        version=f"{queued}:{seconds}", queued=queued, running=len(busy), seconds=seconds, running_seconds=running_seconds, busy=pods
    )


def settle(followed: Followed, marks: dict[str, str | None] | None = None) -> None:
    """A pass did what the reading asks for."""
    present = followed.settled.floor if followed.settled else 3
    floor = autoscale.floor(followed.reading, WORKER, present)
    followed.settled = Settled(followed.reading, WORKER, floor, marks or {})


def test_only_what_changes_the_decision_calls_for_a_pass() -> None:
    followed = Followed()
    assert followed.heard(load()) is News.DEEDS, "no pass has seen any load yet"
    settle(followed)
    assert followed.heard(load()) is News.NONE
    assert followed.heard(load(300, 300)) is News.DEEDS
    settle(followed)
    assert followed.heard(load(299, 299)) is News.NONE
    assert followed.heard(load(200, 200)) is News.WORDS
    settle(followed)
    assert followed.heard(load()) is News.DEEDS
    settle(followed)
    assert followed.heard(load()) is News.NONE


def test_who_is_busy_matters_only_while_pods_may_have_to_leave() -> None:
    followed = Followed()
    followed.heard(load(a=100))
    settle(followed)
    assert followed.heard(load(b=100)) is News.NONE
    settle(followed, marks={"a": None, "b": "103"})
    assert followed.heard(load(a=100)) is News.DEEDS


def test_what_a_pass_could_not_do_is_not_asked_of_it_at_every_poll() -> None:
    followed = Followed()
    followed.heard(load(300, 300))
    followed.settled = Settled(followed.reading, WORKER, 3, {})
    assert followed.heard(load(300, 300)) is News.NONE, "the queue tries again by itself"


def test_an_api_that_is_away_for_a_moment_is_no_news_and_then_it_is_once() -> None:
    followed = Followed()
    followed.heard(load(300, 300))
    settle(followed)
    assert followed.failed("no API pod answers", now=100) is News.NONE
    assert followed.failed("no API pod answers", now=100 + AWAY_SECONDS - 1) is News.NONE
    assert followed.reading.load is not None
    assert followed.failed("no API pod answers", now=100 + AWAY_SECONDS) is News.DEEDS
    assert followed.reading == Reading(away="no API pod answers")
    settle(followed)
    assert followed.failed("no API pod answers", now=500) is News.NONE
    assert followed.heard(load(300, 300)) is News.DEEDS
    assert followed.failed("no API pod answers", now=501) is News.NONE, "the patience begins anew"


def test_failures_are_repeated_less_and_less() -> None:
    followed = Followed()
    delays = []
    for now in range(10):
        followed.failed("no API pod answers", now)
        delays.append(followed.backoff())
    assert delays[:4] == [0.5, 1, 2, 4]
    assert delays[-1] == BACKOFF_CAP_SECONDS
    followed.heard(load())
    followed.failed("no API pod answers", 100)
    assert followed.backoff() == delays[0]


def test_the_question_carries_what_is_known_and_nothing_else() -> None:
    followed = Followed()
    followed.decision = {"floor": 3}
    assert (followed.question(0), followed.patience()) == ({"wait": "0.0"}, 0)
    followed.heard(load())
    assert (followed.question(600), followed.patience()) == ({"since": "0:0", "wait": "600.0"}, IDLE_WAIT_SECONDS)
    followed.heard(load(3, 3))
    assert followed.patience() == BUSY_WAIT_SECONDS, "what runs is getting less"


def test_an_app_of_the_release_before_is_told_the_decision_with_the_question() -> None:
    followed = Followed(decision={"floor": 3})
    followed.heard(load(3, 3))
    followed.answered({"version": "3:3"})
    assert followed.old_question(55) == {"seen": "3:3", "wait": 55, "decision": {"floor": 3}}
    assert not followed.has_to_push


def test_a_decision_is_pushed_until_the_api_has_it() -> None:
    followed = Followed(decision={**DECISION, "at": "now"})
    assert not followed.has_to_push, "it may not be there yet"
    followed.answered({"decision": None})
    assert followed.has_to_push
    followed.answered({"decision": {**DECISION, "at": "then"}})
    assert not followed.has_to_push, "the time alone is no news"
    followed.decision = {**DECISION, "floor": 4}
    assert followed.has_to_push
    followed.failed("no API pod answers", 0)
    assert not followed.has_to_push, "it is asked first"
    followed.answered({"decision": {**DECISION, "sentence": "older"}})
    assert followed.has_to_push


def test_an_api_pod_that_vanishes_without_a_word_is_noticed_within_a_minute() -> None:
    with _kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9000))) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, pause, tries = (
            connection.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + pause * tries <= 60
