"""One answer for many watchers."""

import gzip
import threading
from collections.abc import Callable

import pytest

from fibapp.api.shared import MOST, Shared


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def counted(texts: list[str]) -> tuple[Callable[[], str], list[int]]:
    """Makes `texts` one after another; the list grows with each call."""
    calls: list[int] = []

    def make() -> str:
        calls.append(1)
        return texts[min(len(calls), len(texts)) - 1]

    return make, calls


def test_an_answer_is_made_once_a_second() -> None:
    clock = Clock()
    shared = Shared(clock)
    make, calls = counted(["a", "b"])
    first = shared.get("key", make)
    clock.now += 0.9
    assert shared.get("key", make) is first
    assert len(calls) == 1
    clock.now += 0.2
    second = shared.get("key", make)
    assert (second.body, gzip.decompress(second.packed), len(calls)) == (b"b", b"b", 2)
    assert second.etag != first.etag


def test_the_same_text_keeps_its_validator() -> None:
    clock = Clock()
    shared = Shared(clock)
    make, _ = counted(["a"])
    first = shared.get("key", make)
    clock.now += 2
    assert shared.get("key", make).etag == first.etag


def test_keys_do_not_mix_and_only_so_many_are_kept() -> None:
    shared = Shared(Clock())
    keys = [str(number) for number in range(MOST + 10)]
    assert [shared.get(key, key.title).body.decode() for key in keys] == keys
    make, calls = counted(["again"])
    assert shared.get("0", make).body == b"again", "the first was forgotten"
    assert len(calls) == 1


def test_a_failure_is_shared_and_then_tried_again() -> None:
    clock = Clock()
    shared = Shared(clock)
    calls: list[int] = []

    def fail() -> str:
        calls.append(1)
        raise OSError("away")

    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            shared.get("key", fail)
    assert len(calls) == 1
    clock.now += 2
    assert shared.get("key", lambda: "back").body == b"back"


def test_what_was_forgotten_is_made_anew() -> None:
    shared = Shared(Clock())
    make, calls = counted(["a", "b"])
    shared.get("key", make)
    shared.forget()
    assert (shared.get("key", make).body, len(calls)) == (b"b", 2)


def test_those_who_come_at_the_same_time_wait_for_one() -> None:
    shared = Shared(Clock())
    begun, finish = threading.Event(), threading.Event()
    calls: list[int] = []

    def make() -> str:
        calls.append(1)
        begun.set()
        assert finish.wait(10)
        return "a"

    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(shared.get("key", make).body)) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    finish.set()
    for thread in threads:
        thread.join(10)
    assert (bodies, len(calls)) == ([b"a"] * 8, 1)
