"""A wait that signal handlers may end."""

import sys
import time
from types import FrameType
from typing import Any

import pytest

from fibapp.bell import Bell


@pytest.mark.timeout(20, method="thread")
def test_a_handler_may_ring_at_any_moment_of_the_wait() -> None:
    bell, rung = Bell(), set[tuple[str, int]]()

    def interrupt(frame: FrameType, _event: str, _argument: Any) -> Any:
        """Ring once before each line that the wait comes to, whatever locks it holds there, as a signal handler would."""
        line = frame.f_code.co_filename, frame.f_lineno
        if line not in rung:
            rung.add(line)
            bell.ring()
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        for _ in range(3):
            bell.wait(0.01)
    finally:
        sys.settrace(before)
    assert len(rung) > 3


def test_rings_before_the_wait_end_it_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    bell.wait(3600)
    begun = time.monotonic()
    bell.wait(0.01)
    assert time.monotonic() - begun >= 0.01
