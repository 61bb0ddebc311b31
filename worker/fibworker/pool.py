"""The pool of a working process: one thread for jobs, which does brief ones together.

Messages come one at a time until a run of brief jobs shows that fetching, claiming and committing cost more than computing; then
several are fetched ahead and done with one commit. The first job that is not brief ends that: the messages that wait
behind it go back to the queue, for other workers, before it begins.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol
from uuid import UUID

from celery.concurrency.base import BasePool
from celery.worker.state import task_ready

from fibworker import fibonacci
from fibworker.tasks import DEAD_LETTERS, shown
from fibworker.work import Asked, Worker

logger = logging.getLogger(__name__)

TOGETHER = 64
"""How many brief jobs are fetched and done together at most: well under 64 ms of work."""

LINGER_SECONDS = 0.003
"""How long the next messages are waited for while they come in crowds: fewer, larger commits cost less. A lone job never waits."""

ALONE_IN_A_ROW = 8
"""After so many jobs without company the crowd is over. Not after one: while a crowd begins the next message is often just on its way."""


class Fetching(Protocol):
    """What the pool asks of Celery's consumer."""

    prefetch: int

    def fetch(self, count: int) -> None:
        """Let the broker send `count` messages ahead. For the event loop's thread."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way through the pool, as Celery hands it over."""

    request: Any
    target: Callable[..., Any]
    arguments: tuple[Any, ...]
    brief: Asked | None
    """What is asked for, when that is a brief job."""


class Pool(BasePool):  # type: ignore[misc]
    """Celery's pool interface. `worker` is set by the subclass that `pool_of` makes."""

    worker: Worker
    body_can_be_buffer = True
    signal_safe = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.consumer: Fetching | None = None
        self._hub: Any = None
        self._waiting: SimpleQueue[Message | None] = SimpleQueue()
        self._enough = threading.Event()
        self._brief_in_a_row = 0
        self._alone_in_a_row = ALONE_IN_A_ROW
        self._at_length = False
        self._stopping = False
        self._door = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)

    def on_start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def on_stop(self) -> None:
        """Finish the jobs in hand; messages not begun stay unacknowledged, so the broker gives them to others."""
        self._waiting.put(None)
        self._enough.set()
        self._thread.join()

    def register_with_event_loop(self, hub: Any) -> None:
        """Celery's event loop is there."""
        self._hub = hub

    def on_apply(self, target: Callable[..., Any], args: Any = None, _kwargs: Any = None, callback: Any = None, **_: Any) -> None:
        """A message came. Celery calls this on its event loop's thread."""
        message = Message(callback.__self__, target, tuple(args), _brief(args[2]))
        with self._door:
            if not self._at_length:
                self._waiting.put(message)
                if self._waiting.qsize() >= TOGETHER - 1:
                    self._enough.set()
                return
        _reject(message, requeue=True)

    def _serve(self) -> None:
        try:
            while not self._stopping and (batch := self._take()):
                self._do(batch)
        except BaseException:
            # Without this thread the process would look alive and do nothing: better that the supervisor starts another.
            logger.exception("unexpected end of the thread for jobs")
            os._exit(1)

    def _do(self, batch: list[Message]) -> None:
        brief = [message for message in batch if message.brief]
        others = [message for message in batch if not message.brief]
        self._choose_pace(len(brief), bool(others))
        if brief:
            self._work(brief)
        if others:
            self._send_away(others[1:])
            self._work(others[:1])

    def _take(self) -> list[Message]:
        """What waits now, at least one; nothing at the end."""
        taken = [self._waiting.get()]
        if taken[0] and self._alone_in_a_row < ALONE_IN_A_ROW:
            self._wait_for_company()
        while len(taken) < TOGETHER and not self._waiting.empty():
            taken.append(self._waiting.get())
        batch = [message for message in taken if message]
        if len(batch) < len(taken):
            return []  # told to stop
        self._alone_in_a_row = 0 if len(batch) > 1 else self._alone_in_a_row + 1
        return batch

    def _wait_for_company(self) -> None:
        """Return when as many wait as are done together, or when no more come.

        A look now and then: to be woken by each would cost more than the work itself.
        """
        self._enough.clear()
        waiting = -1
        while waiting < self._waiting.qsize() < TOGETHER - 1:
            waiting = self._waiting.qsize()
            self._enough.wait(LINGER_SECONDS)

    def _send_away(self, messages: list[Message]) -> None:
        """Let nobody wait: neither these nor what came meanwhile nor what comes before the job at length ends."""
        with self._door:
            self._at_length = True
            while not self._waiting.empty():
                message = self._waiting.get()
                if message is None:
                    self._stopping = True
                else:
                    messages.append(message)
        for message in messages:
            _reject(message, requeue=True)

    def _choose_pace(self, brief: int, others: bool) -> None:
        if self.consumer is None:
            return
        self._brief_in_a_row = 0 if others else self._brief_in_a_row + brief
        # Twice as many as are done together: the next ones come while these are claimed and stored.
        wanted = 2 * TOGETHER if self._brief_in_a_row >= TOGETHER else 1
        if wanted != self.consumer.prefetch:
            self._hub.call_soon(self.consumer.fetch, wanted)

    def _work(self, messages: list[Message]) -> None:
        for message in messages:
            message.request.on_accepted(os.getpid(), time.monotonic())
        if len(messages) == 1:
            (message,) = messages
            endings = [message.target(*message.arguments)]
        else:
            endings = self._work_together(messages)
        self._at_length = False
        for message, ending in zip(messages, endings, strict=True):
            if ending is None:
                _reject(message, requeue=False)
            else:
                message.request.on_success(ending)  # acknowledges, on the event loop's thread

    def _work_together(self, messages: list[Message]) -> list[tuple[bool, str, float] | None]:
        """What Celery's tracer would say of each (failed, result, seconds), without the time it takes; None: dead letter."""
        outcomes = self.worker.work_together([message.brief for message in messages if message.brief])
        return [
            None if outcome.ending in DEAD_LETTERS else (False, repr(shown(outcome.text)), outcome.seconds)
            for outcome in (outcomes[UUID(message.request.id)] for message in messages)
        ]


def pool_of(worker: Worker) -> type[Pool]:
    """The pool class through which Celery lets `worker` work."""
    return type("JobPool", (Pool,), {"worker": worker, "__module__": __name__})


def _reject(message: Message, *, requeue: bool) -> None:
    """Give a message up: to the queue again when it was not begun, or to the dead-letter queue."""
    task_ready(message.request)
    message.request.reject(requeue=requeue)


def _brief(request: dict[str, Any]) -> Asked | None:
    """What the message asks for when that is brief, as it says. The row decides in the end."""
    try:
        (n,), algorithm = request["args"], request["kwargs"]["algorithm"]
        asked = Asked(UUID(request["id"]), n, algorithm, redelivered=bool(request["delivery_info"]["redelivered"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return asked if fibonacci.is_brief(n, algorithm) else None
