"""Progress in words: what is going on, and how long it has taken."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_start = time.monotonic()


def say(text: str) -> None:
    """Print one line with the seconds since the program started."""
    print(f"[{time.monotonic() - _start:6.1f} s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and say what it took; a failure is told by whoever catches it."""
    say(f"{name} ...")
    begin = time.monotonic()
    yield
    say(f"{name}: done in {time.monotonic() - begin:.1f} s")
