"""The Celery task: `fib_job`."""

from typing import Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Reject

from fibapp.queue import TASK
from fibworker.work import Asked, Worker

SHOWN_DIGITS = 100


def register(app: Celery, worker: Worker) -> None:
    """Let `app` answer `fib_job` messages with `worker`."""

    @app.task(name=TASK, bind=True, acks_late=True)  # type: ignore[untyped-decorator]
    def fib_job(self: Any, n: int, algorithm: str = "recursive") -> int | str:
        """Compute the job whose id is the message's; if n and algorithm in the message are not the row's, the row decides."""
        redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
        outcome = worker.work(Asked(UUID(self.request.id), n, algorithm, redelivered))
        if outcome.ending == "poison":
            # The row says `failed`; the message goes to the dead-letter queue, for somebody to look at.
            raise Reject(f"job {self.request.id} crashed too often", requeue=False)
        return shown(outcome.text)


def shown(text: str) -> int | str:
    """What Flower shows: the number, a long one shortened (an integer of more than 4300 digits would turn success into failure)."""
    if len(text) <= SHOWN_DIGITS:
        return int(text) if text.isdigit() else text
    return f"{text[:20]}...{text[-20:]} ({len(text)} digits)"
