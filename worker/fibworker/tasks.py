"""The Celery task: `fib_job`."""

from typing import Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Reject

from fibapp.queue import TASK
from fibworker.work import Asked, Worker

SHOWN_DIGITS = 100
DEAD_LETTERS = {"poison": "crashed too often", "unknown": "is in no row of this pipeline's database"}
"""Whose messages go to the dead-letter queue, for somebody to look at, and why: a crashed one's row says `failed` as well."""


def register(app: Celery, worker: Worker) -> None:
    """Let `app` answer `fib_job` messages with `worker`."""

    @app.task(name=TASK, bind=True, acks_late=True)  # type: ignore[untyped-decorator]
    def fib_job(self: Any, n: int, algorithm: str = "recursive") -> int | str:
        """Compute the job whose id is the message's; if n and algorithm in the message are not the row's, the row decides."""
        redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
        outcome = worker.work(Asked(UUID(self.request.id), n, algorithm, redelivered))
        if why := DEAD_LETTERS.get(outcome.ending):
            raise Reject(f"job {self.request.id} {why}", requeue=False)
        return shown(outcome.text)


def shown(text: str) -> int | str:
    """What Flower shows: the number, a long one shortened (an integer of more than 4300 digits would turn success into failure)."""
    if len(text) <= SHOWN_DIGITS:
        return int(text) if text.isdigit() else text
    return f"{text[:20]}...{text[-20:]} ({len(text)} digits)"
