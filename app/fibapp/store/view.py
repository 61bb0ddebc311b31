"""What the page asks of the store. Every answer is bounded and comes from an index, however many jobs there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from fibapp.jobs import INLINE_DIGITS, Job
from fibapp.store.engine import Database
from fibapp.store.jobs import COLUMNS

MOST_PROCESSES = 200
MOST_UNPUBLISHED = 1000
HEAD_DIGITS = 400
"""So much of a long number is shown; the rest is fetched on request."""

# What one process claimed together it computes in order: the first one left is the one it is at.
COMPUTING = text(
    """SELECT DISTINCT ON (worker) worker, id, n, algorithm, extract(epoch FROM now() - started_at)::float8 AS seconds,
        count(*) OVER (PARTITION BY worker) AS jobs
    FROM jobs WHERE state = 'running' AND lease_until >= now() ORDER BY worker, started_at, seq LIMIT :most"""
)
# A published job's next date is at least one backoff away, so the index leads to these first.
UNPUBLISHED = text(
    """SELECT count(*) AS jobs, coalesce(extract(epoch FROM now() - min(since)), 0)::float8 AS seconds FROM (
        SELECT created_at AS since FROM jobs WHERE due_at <= now() + interval '10 seconds' AND state = 'queued' AND published_at IS NULL
        ORDER BY due_at LIMIT :most) AS waiting"""
)
DETAILS = text(
    f"""SELECT {COLUMNS}, published_at, publishes, crashes, CASE WHEN digits > {INLINE_DIGITS} THEN left(result, {HEAD_DIGITS}) END AS head
    FROM jobs WHERE id = :id"""  # noqa: S608  only constants are interpolated
)


@dataclass(frozen=True, slots=True)
class Computing:
    """What a worker process is at, for how many seconds, and how many jobs it holds in all."""

    worker: str
    id: UUID
    n: int
    algorithm: str
    seconds: float
    jobs: int


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Queued jobs that the broker never confirmed (counted up to a limit), and the age of the oldest in seconds."""

    jobs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Details:
    """A job with its way through the pipeline; `head` is the beginning of a long result."""

    job: Job
    published_at: datetime | None
    publishes: int
    crashes: int
    head: str | None


class ViewStore:
    """The pipeline as its watchers see it. Every method may raise StoreAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def computing(self) -> list[Computing]:
        """The worker processes that hold a job, by name."""
        with self._database.connection() as connection:
            return [Computing(**row) for row in connection.execute(COMPUTING, {"most": MOST_PROCESSES}).mappings()]

    def unpublished(self) -> Unpublished:
        """What waits to be taken by the broker."""
        with self._database.connection() as connection:
            return Unpublished(**connection.execute(UNPUBLISHED, {"most": MOST_UNPUBLISHED}).mappings().one())

    def details(self, job_id: UUID) -> Details | None:
        """The job, or None."""
        with self._database.connection() as connection:
            row = connection.execute(DETAILS, {"id": job_id}).mappings().first()
        if row is None:
            return None
        values: Mapping[str, Any] = dict(row)
        job = Job(**{name: values[name] for name in Job.__slots__})
        return Details(job, values["published_at"], values["publishes"], values["crashes"], values["head"])
