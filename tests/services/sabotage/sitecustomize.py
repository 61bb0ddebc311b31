"""Faults at exact moments. A process started with this folder on PYTHONPATH and SABOTAGE=name breaks in the named way.

Nothing in the product knows of this: Python imports `sitecustomize` by itself when it starts.
"""

import os
import signal
from typing import Any

POISON = 13
"""The n that kills the process computing it."""


def die(*_: Any, **__: Any) -> Any:
    """End this process as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)


def api_dies_after_commit() -> None:
    """Between COMMIT and the answer."""
    from fibapp.store.wakeup import Notifier

    Notifier.accepted = die  # type: ignore[method-assign]


def relay_dies_before_mark() -> None:
    """Between the broker's confirm and the note that the job was published."""
    from fibapp.store.outbox import Outbox

    Outbox.published = die  # type: ignore[method-assign]


def poison() -> None:
    """A job that kills whoever computes it."""
    from fibworker import fibonacci

    compute = fibonacci.decimal

    def decimal(n: int, algorithm: str, *, largest: int) -> str:
        return die() if n == POISON else compute(n, algorithm, largest=largest)

    fibonacci.decimal = decimal


SABOTAGES = {each.__name__: each for each in (api_dies_after_commit, relay_dies_before_mark, poison)}

if name := os.environ.get("SABOTAGE"):
    for part in name.split(","):
        SABOTAGES[part]()
