"""Faults at exact moments, and protections switched off. A process started with this folder on PYTHONPATH and SABOTAGE=name,name
breaks in the named ways.

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


def no_late_ack() -> None:
    """A message is acknowledged when its job begins, as Celery does by default."""
    from fibworker import tasks

    register = tasks.register

    def register_early(app: Any, worker: Any) -> None:
        register(app, worker)
        app.tasks["fib_job"].acks_late = False

    tasks.register = register_early


def no_note_of_the_dead() -> None:
    """Nobody tells the store that the process computing a job died: what Celery does without reject on worker lost."""
    from fibapp.store.claims import ClaimStore

    ClaimStore.crashed = lambda *_: None  # type: ignore[method-assign]


def no_republish() -> None:
    """The relay publishes each job once in its life."""
    _rewrite("outbox", "RESERVE", "(:stale OR publishes = 0 OR state = 'running')", "(:stale OR TRUE) AND published_at IS NULL")


def no_republish_of_expired() -> None:
    """The relay publishes again only what was given back, not what was lost with its worker or on the way."""
    _rewrite(
        "outbox", "RESERVE", "(:stale OR publishes = 0 OR state = 'running')", "publishes = 0 AND state = 'queued' AND (:stale OR TRUE)"
    )


def no_guard() -> None:
    """Whoever has a result stores it, whether the job is still its own or not."""
    _rewrite("claims", "STORE", "AND token = :token AND state = 'running'", "AND (:token IS NOT NULL)")


def no_mandatory() -> None:
    """The broker may drop a message that no queue takes."""
    from kombu.transport.pyamqp import Channel

    publish = Channel.basic_publish

    def publish_anyhow(self: Any, *arguments: Any, **options: Any) -> Any:
        return publish(self, *arguments, **{**options, "mandatory": False})

    Channel.basic_publish = publish_anyhow


def no_end_of_leases() -> None:
    """Who claimed a job has it for ever."""
    from fibapp.store.claims import ClaimStore

    prepare = ClaimStore.__init__

    def prepare_for_ever(self: Any, database: Any, *, lease_seconds: float, max_crashes: int) -> None:
        prepare(self, database, lease_seconds=1000 * lease_seconds, max_crashes=max_crashes)

    ClaimStore.__init__ = prepare_for_ever  # type: ignore[method-assign]


def _rewrite(module: str, statement: str, old: str, new: str) -> None:
    from importlib import import_module

    from sqlalchemy import text

    home = import_module(f"fibapp.store.{module}")
    sql = str(getattr(home, statement))
    if old not in sql:
        raise AssertionError(f"{statement} no longer holds {old!r}: this sabotage does nothing")
    setattr(home, statement, text(sql.replace(old, new)))


SABOTAGES = {
    each.__name__: each
    for each in (
        api_dies_after_commit,
        relay_dies_before_mark,
        poison,
        no_late_ack,
        no_note_of_the_dead,
        no_republish,
        no_republish_of_expired,
        no_guard,
        no_mandatory,
        no_end_of_leases,
    )
}

if names := os.environ.get("SABOTAGE"):
    for name in names.split(","):
        SABOTAGES[name]()
