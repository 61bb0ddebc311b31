"""What the API asks of the store: accept jobs, show them, cancel and retry them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, TextClause, text

from fibapp.jobs import CANCELLABLE, INLINE_DIGITS, RETRYABLE, Job, NewJob, State
from fibapp.migrations import REVISIONS, TABLES
from fibapp.store.engine import Database, SchemaMissing
from fibapp.store.outbox import CHANNEL

# A long result stays where it is: reading it for a list would cost megabytes.
COLUMNS = f"""id, seq, n, algorithm, state, CASE WHEN digits <= {INLINE_DIGITS} THEN result END AS result, digits, error, attempts,
    created_at, started_at, finished_at, duration_ms, worker"""

INSERT = text(
    f"""INSERT INTO jobs (id, n, algorithm, client)
    SELECT id, n, algorithm, :client
    FROM unnest(CAST(:ids AS uuid[]), CAST(:ns AS integer[]), CAST(:algorithms AS text[])) AS new (id, n, algorithm)
    RETURNING {COLUMNS}"""  # noqa: S608  only constants are interpolated
)
INSERT_AND_ANNOUNCE = text(f"SELECT pg_notify('{CHANNEL}', ''); {INSERT}")
INSERT_KEY = text(
    """INSERT INTO idempotency_keys (key, fingerprint, job_ids) VALUES (:key, :fingerprint, CAST(:ids AS uuid[]))
    ON CONFLICT (key) DO NOTHING RETURNING key"""
)
FIND_KEY = text("SELECT fingerprint, job_ids FROM idempotency_keys WHERE key = :key")
FIND = text(f"SELECT {COLUMNS} FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY seq")  # noqa: S608
PAGE = text(f"SELECT {COLUMNS} FROM jobs WHERE seq < :before ORDER BY seq DESC LIMIT :limit")  # noqa: S608
PAGE_OF_STATE = text(f"SELECT {COLUMNS} FROM jobs WHERE state = :state AND seq < :before ORDER BY seq DESC LIMIT :limit")  # noqa: S608
RESULT = text("SELECT state, result FROM jobs WHERE id = :id")
CANCEL = text(
    f"""UPDATE jobs SET state = 'cancelled', finished_at = now(), due_at = NULL, lease_until = NULL, token = NULL
    WHERE id = :id AND state = ANY(:states) RETURNING {COLUMNS}"""  # noqa: S608
)
RETRY = text(
    f"""UPDATE jobs SET state = 'queued', crashes = 0, publishes = 0, error = NULL, started_at = NULL, finished_at = NULL,
        duration_ms = NULL, worker = NULL, due_at = now()
    WHERE id = :id AND state = ANY(:states) RETURNING {COLUMNS}"""  # noqa: S608
)
COUNT_STATES = text("SELECT state, count(*) FROM jobs GROUP BY state")
COUNT_QUEUED_OF_CLIENT = text(
    "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE client = :client AND state = 'queued' LIMIT :limit) AS counted"
)
# The tables are looked up when the statement is parsed; nothing of them is read.
PING = text(f"SELECT version_num FROM alembic_version LEFT JOIN (SELECT FROM {', '.join(TABLES)} WHERE false) AS tables ON true")  # noqa: S608


class KeyReused(Exception):
    """The idempotency key was used before, with another request."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first; `next` is where the following page begins, None at the end."""

    jobs: list[Job]
    next: int | None


class JobStore:
    """The jobs as the API sees them. Every method may raise StoreAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, jobs: Sequence[NewJob], client: str, *, announce: bool = False) -> list[Job]:
        """Accept `jobs`, all or none; they are committed when this returns. The rows are the outbox the relay publishes from.

        With `announce` the commit wakes the relay.
        """
        with self._database.connection() as connection:
            return _insert(connection, jobs, client, INSERT_AND_ANNOUNCE if announce else INSERT)

    def add_once(self, jobs: Sequence[NewJob], client: str, key: str, fingerprint: str) -> tuple[list[Job], bool]:
        """Accept `jobs` unless `key` was seen: then the jobs of the first request are returned, and False.

        Raises KeyReused when the first request had another fingerprint. Of requests in parallel the first insert wins; the unique
        index makes the others wait for its commit.
        """
        with self._database.transaction() as connection:
            ids = [job.id for job in jobs]
            if connection.execute(INSERT_KEY, {"key": key, "fingerprint": fingerprint, "ids": ids}).first():
                return _insert(connection, jobs, client), True
            seen = connection.execute(FIND_KEY, {"key": key}).one()
            if seen.fingerprint != fingerprint:
                raise KeyReused(key)
            return [_job(row) for row in connection.execute(FIND, {"ids": seen.job_ids}).mappings()], False

    def find(self, job_id: UUID) -> Job | None:
        """The job, or None."""
        with self._database.connection() as connection:
            return _first(connection.execute(FIND, {"ids": [job_id]}).mappings().first())

    def page(self, *, limit: int, before: int | None = None, state: State | None = None) -> Page:
        """Up to `limit` jobs older than position `before`, newest first. Costs the same however many jobs there are."""
        values: dict[str, Any] = {"limit": limit + 1, "before": before if before is not None else 2**63 - 1}
        statement = PAGE
        if state is not None:
            statement, values["state"] = PAGE_OF_STATE, state
        with self._database.connection() as connection:
            jobs = [_job(row) for row in connection.execute(statement, values).mappings()]
        return Page(jobs[:limit], jobs[limit - 1].seq if len(jobs) > limit else None)

    def result(self, job_id: UUID) -> tuple[State, str | None] | None:
        """State and full decimal text of a job, or None when there is no such job."""
        with self._database.connection() as connection:
            row = connection.execute(RESULT, {"id": job_id}).first()
        return (row.state, row.result) if row else None

    def cancel(self, job_id: UUID) -> Job | None:
        """Cancel a job that is not finished; None when there is none such. A worker's later result is refused by the missing token."""
        with self._database.connection() as connection:
            return _first(connection.execute(CANCEL, {"id": job_id, "states": list(CANCELLABLE)}).mappings().first())

    def retry(self, job_id: UUID) -> Job | None:
        """Queue a failed or cancelled job again; None when there is none such."""
        with self._database.connection() as connection:
            return _first(connection.execute(RETRY, {"id": job_id, "states": list(RETRYABLE)}).mappings().first())

    def count_states(self) -> dict[str, int]:
        """How many jobs are in each state; states without jobs are missing."""
        with self._database.connection() as connection:
            return {str(row[0]): int(row[1]) for row in connection.execute(COUNT_STATES)}

    def count_queued(self, client: str, limit: int) -> int:
        """How many jobs of `client` are queued, counted up to `limit`."""
        with self._database.connection() as connection:
            return int(connection.execute(COUNT_QUEUED_OF_CLIENT, {"client": client, "limit": limit}).scalar_one())

    def ping(self) -> None:
        """Return when the database answers and has this release's schema, or a later one. Raises SchemaMissing."""
        with self._database.connection() as connection:
            revision = connection.execute(PING).scalar()
        if revision is None or revision in REVISIONS[:-1]:
            raise SchemaMissing(f"the database has the schema of revision {revision}, this release needs {REVISIONS[-1]}")


def _insert(connection: Connection, jobs: Sequence[NewJob], client: str, statement: TextClause = INSERT) -> list[Job]:
    values = {
        "ids": [job.id for job in jobs],
        "ns": [job.n for job in jobs],
        "algorithms": [job.algorithm for job in jobs],
        "client": client,
    }
    return [_job(row) for row in connection.execute(statement, values).mappings()]


def _first(row: RowMapping | None) -> Job | None:
    return _job(row) if row is not None else None


def _job(row: RowMapping) -> Job:
    return Job(**row)
