"""What the relay asks of the store: which jobs need a message, and when to look again."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from fibapp.store.engine import Database, unhurried

CHANNEL = "fib_jobs"

# Reserving moves `due_at` a little into the future in its own short transaction, so that no row stays locked while the broker is asked
# (a worker that claims, or a user who cancels, would wait for it) and a relay that dies in between costs seconds, not the job.
# What was never published, or given back by a worker, or lost with one, is due for sure; `stale` says whether the rest is too.
RESERVE = unhurried(
    """UPDATE jobs SET due_at = now() + :hold * interval '1 second'
    WHERE id IN (
        SELECT id FROM jobs WHERE due_at <= now() AND (:stale OR publishes = 0 OR state = 'running')
        ORDER BY due_at, seq LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING id, seq, n, algorithm, publishes"""
)
PUBLISHED = unhurried(
    """UPDATE jobs SET publishes = publishes + 1, published_at = now(),
        due_at = now() + least(:base * power(2, least(publishes, 16)), :cap) * (0.9 + 0.2 * random()) * interval '1 second'
    WHERE id = ANY(CAST(:ids AS uuid[])) AND (state = 'queued' OR (state = 'running' AND lease_until < now()))"""
)
POSTPONE = unhurried(
    """UPDATE jobs SET due_at = now() + least(:base * power(2, least(publishes, 16)), :cap) * interval '1 second'
    WHERE id IN (SELECT id FROM jobs WHERE due_at <= now() AND publishes > 0 AND state = 'queued' LIMIT :limit FOR UPDATE SKIP LOCKED)"""
)
RETURNED = unhurried("UPDATE jobs SET due_at = now() WHERE id = ANY(CAST(:ids AS uuid[])) AND state = ANY('{queued,running}')")
STALE = text("SELECT 1 FROM jobs WHERE due_at <= now() AND publishes > 0 AND state = 'queued' LIMIT 1")
COUNT_WAITING = text("SELECT count(*) FROM jobs WHERE state = 'queued' AND publishes > 0")
MISSING = unhurried(
    """UPDATE jobs SET due_at = now() WHERE state = 'queued' AND publishes > 0 AND due_at > now()
    AND published_at < now() - :grace * interval '1 second'"""
)
NEXT_DUE = text("SELECT extract(epoch FROM min(due_at) - now()) FROM jobs WHERE due_at IS NOT NULL")
NOTIFY = unhurried("SELECT pg_notify(:channel, '')")
FORGET_KEYS = text("DELETE FROM idempotency_keys WHERE created_at < now() - :hours * interval '1 hour'")


@dataclass(frozen=True, slots=True)
class Due:
    """A job that needs a message."""

    id: UUID
    n: int
    algorithm: str
    publishes: int


class Outbox:
    """The queue of messages to be, kept in the job rows. Every method may raise StoreAway."""

    def __init__(self, database: Database, *, hold_seconds: float, base_seconds: float, cap_seconds: float) -> None:
        """`hold_seconds`: how long a reserved job stays out of sight of other relays; `base`/`cap`: growing wait before a re-publish."""
        self._database = database
        self._hold = hold_seconds
        self._backoff = {"base": base_seconds, "cap": cap_seconds}

    def reserve(self, limit: int, *, stale: bool) -> list[Due]:
        """Up to `limit` jobs that need a message now, oldest first; no other relay gets them for a while."""
        with self._database.connection() as connection:
            rows = connection.execute(RESERVE, {"hold": self._hold, "limit": limit, "stale": stale}).all()
        return [Due(row.id, row.n, row.algorithm, row.publishes) for row in sorted(rows, key=lambda row: row.seq)]

    def published(self, ids: Sequence[UUID]) -> None:
        """The broker confirmed these: look again only after a wait that doubles each time."""
        self._execute(PUBLISHED, {"ids": list(ids), **self._backoff})

    def returned(self, ids: Sequence[UUID]) -> None:
        """The broker did not take these: they are due at once."""
        self._execute(RETURNED, {"ids": list(ids)})

    def has_stale(self) -> bool:
        """Is some job still queued although its message was published long ago?"""
        with self._database.connection() as connection:
            return connection.execute(STALE).first() is not None

    def postpone_stale(self, limit: int) -> None:
        """Leave stale jobs alone for another wait: their messages are known to be in the broker."""
        self._execute(POSTPONE, {"limit": limit, **self._backoff})

    def count_waiting(self) -> int:
        """How many queued jobs should have a message in the broker."""
        with self._database.connection() as connection:
            return int(connection.execute(COUNT_WAITING).scalar_one())

    def hasten_missing(self, grace_seconds: float) -> int:
        """Make every queued job due whose message was published more than `grace_seconds` ago; returns how many."""
        with self._database.connection() as connection:
            return int(connection.execute(MISSING, {"grace": grace_seconds}).rowcount)

    def next_due(self) -> float | None:
        """Seconds until the next job becomes due (negative: overdue), None when none will."""
        with self._database.connection() as connection:
            seconds = connection.execute(NEXT_DUE).scalar_one()
        return None if seconds is None else float(seconds)

    def notify(self) -> None:
        """Wake the relays."""
        self._execute(NOTIFY, {"channel": CHANNEL})

    def forget_keys(self, hours: float) -> None:
        """Drop idempotency keys older than `hours`."""
        self._execute(FORGET_KEYS, {"hours": hours})

    def _execute(self, statement: object, values: dict[str, object]) -> None:
        with self._database.connection() as connection:
            connection.execute(statement, values)  # type: ignore[call-overload]
