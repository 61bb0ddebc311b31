"""What a worker asks of the store: claim a job, keep the claim, store the result once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import TextClause, text

from fibapp.store.engine import Database, unhurried

# A job whose lease ran out was lost with its worker, which counts as a crash. Only a claim fails a job for its crashes, so that the
# message that led here can go to the dead-letter queue.
CLAIM = unhurried(
    """UPDATE jobs SET
        crashes = crashes + (state = 'running')::int,
        state = CASE WHEN crashes + (state = 'running')::int >= :max_crashes THEN 'failed' ELSE 'running' END,
        error = CASE WHEN crashes + (state = 'running')::int >= :max_crashes THEN
            format('crashed %s times; the last time: %s', crashes + (state = 'running')::int, coalesce(error, 'its worker was lost')) END,
        attempts = attempts + CASE WHEN crashes + (state = 'running')::int >= :max_crashes THEN 0 ELSE 1 END,
        worker = CASE WHEN crashes + (state = 'running')::int >= :max_crashes THEN worker ELSE :worker END,
        finished_at = CASE WHEN crashes + (state = 'running')::int >= :max_crashes THEN now() END,
        due_at = CASE WHEN crashes + (state = 'running')::int >= :max_crashes THEN NULL ELSE now() + :lease * interval '1 second' END,
        lease_until = now() + :lease * interval '1 second',
        token = :token, started_at = now(), duration_ms = NULL
    WHERE id = ANY(CAST(:ids AS uuid[])) AND (state = 'queued' OR (state = 'running' AND lease_until < now()))
    RETURNING id, state, n, algorithm"""
)
WHY_NOT = text("SELECT id, state, crashes FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")
RENEW = unhurried(
    """UPDATE jobs SET lease_until = now() + :lease * interval '1 second', due_at = now() + :lease * interval '1 second'
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[])) AS held (id, token)
    WHERE jobs.id = held.id AND jobs.token = held.token AND jobs.state = 'running' RETURNING jobs.id"""
)
STORE = text(
    """UPDATE jobs SET state = 'done', result = new.result, digits = length(new.result), error = NULL, finished_at = now(),
        duration_ms = new.duration_ms, writes = writes + 1, due_at = NULL, lease_until = NULL
    FROM unnest(CAST(:ids AS uuid[]), CAST(:results AS text[]), CAST(:durations AS float8[])) AS new (id, result, duration_ms)
    WHERE jobs.id = new.id AND token = :token AND state = 'running' RETURNING jobs.id"""
)
# Claim and result in one: for jobs that cost less than a claim. Only what nobody ever began: whatever may have crashed once is counted
# by a claim. Numbers that are not the row's are nobody's result. With "state = 'queued'" the planner may read the whole backlog by an
# index.
STORE_UNCLAIMED = text(
    """UPDATE jobs SET state = 'done', result = new.result, digits = length(new.result), attempts = 1, worker = :worker, token = :token,
        started_at = now() - new.duration_ms * interval '1 millisecond', finished_at = now(), duration_ms = new.duration_ms,
        writes = writes + 1, due_at = NULL, lease_until = NULL
    FROM unnest(CAST(:ids AS uuid[]), CAST(:ns AS int[]), CAST(:algorithms AS text[]), CAST(:results AS text[]),
        CAST(:durations AS float8[])) AS new (id, n, algorithm, result, duration_ms)
    WHERE jobs.id = new.id AND jobs.n = new.n AND jobs.algorithm = new.algorithm AND attempts = 0
        AND state NOT IN ('running', 'done', 'failed', 'cancelled') RETURNING jobs.id"""
)
FAIL = text(
    """UPDATE jobs SET state = 'failed', error = :error, finished_at = now(), duration_ms = :duration_ms, due_at = NULL, lease_until = NULL
    WHERE id = :id AND token = :token AND state = 'running' RETURNING id"""
)
STORED_BY = text("SELECT id FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND token = :token AND state = ANY('{done,failed}')")
CRASHED = text(
    """UPDATE jobs SET state = 'queued', crashes = crashes + 1, error = :reason, token = NULL, lease_until = NULL,
        publishes = 0, due_at = now()
    WHERE id = :id AND token = :token AND state = 'running'"""
)
RELEASE = text(
    """UPDATE jobs SET state = 'queued', token = NULL, lease_until = NULL, publishes = 0, due_at = now()
    WHERE id = :id AND token = :token AND state = 'running'"""
)
RELEASE_OTHERS = text(
    """UPDATE jobs SET state = 'queued', token = NULL, lease_until = NULL, publishes = 0, due_at = now()
    WHERE id <> :id AND token = :token AND state = 'running'"""
)

Refusal = Literal["duplicate", "poison", "unknown"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to compute a job until the lease ends; `token` proves it when storing."""

    job_id: UUID
    token: UUID
    n: int
    algorithm: str


@dataclass(frozen=True, slots=True)
class Held:
    """A job and the token it was claimed with."""

    job_id: UUID
    token: UUID


@dataclass(frozen=True, slots=True)
class Result:
    """A computed number in decimal, and the milliseconds it took."""

    job_id: UUID
    text: str
    duration_ms: float


class ClaimStore:
    """The jobs as a worker sees them. Every method may raise StoreAway and is safe to repeat."""

    def __init__(self, database: Database, *, lease_seconds: float, max_crashes: int) -> None:
        self._database = database
        self._lease = lease_seconds
        self._max_crashes = max_crashes

    def claim(self, ids: Sequence[UUID], worker: str) -> dict[UUID, Claim | Refusal]:
        """Take the jobs, all with one token, or learn for each why not.

        A refusal is "duplicate" (finished, cancelled or held by another), "poison" (crashed too often) or "unknown": no such job here.
        """
        token = uuid4()
        values = {"ids": list(ids), "token": token, "worker": worker, "lease": self._lease, "max_crashes": self._max_crashes}
        answers: dict[UUID, Claim | Refusal] = dict.fromkeys(ids, "duplicate")
        with self._database.connection() as connection:
            taken = connection.execute(CLAIM, values).all()
            for row in taken:
                answers[row.id] = Claim(row.id, token, row.n, row.algorithm) if row.state == "running" else "poison"
            if len(taken) < len(answers):
                refused = [job_id for job_id, answer in answers.items() if answer == "duplicate"]
                known = {row.id: row for row in connection.execute(WHY_NOT, {"ids": refused})}
                for job_id in refused:
                    found = known.get(job_id)
                    if found is None:
                        answers[job_id] = "unknown"
                    elif found.state == "failed" and found.crashes >= self._max_crashes:
                        answers[job_id] = "poison"
        return answers

    def renew(self, held: Sequence[Held]) -> set[UUID]:
        """Prolong the leases; returns the jobs still held. The others were cancelled or taken over: their work is in vain."""
        values = {"ids": [h.job_id for h in held], "tokens": [h.token for h in held], "lease": self._lease}
        with self._database.connection() as connection:
            return set(connection.execute(RENEW, values).scalars())

    def store(self, token: UUID, results: Sequence[Result]) -> set[UUID]:
        """Write the results of jobs claimed with `token`, and return those whose claim still stood.

        Also those that an earlier try with this very token committed unheard.
        """
        ids = [result.job_id for result in results]
        texts, durations = [result.text for result in results], [result.duration_ms for result in results]
        return self._finish(STORE, ids, {"token": token, "ids": ids, "results": texts, "durations": durations})

    def store_unclaimed(self, claims: Sequence[Claim], results: Sequence[Result], worker: str) -> set[UUID]:
        """Claim jobs that nobody ever began and write their results with one commit; returns the jobs that were such.

        `claims` say what was computed; they share one token of the caller's own, by which a repeated question knows its own deed.
        """
        values = {
            "token": claims[0].token,
            "worker": worker,
            "ids": [claim.job_id for claim in claims],
            "ns": [claim.n for claim in claims],
            "algorithms": [claim.algorithm for claim in claims],
            "results": [result.text for result in results],
            "durations": [result.duration_ms for result in results],
        }
        return self._finish(STORE_UNCLAIMED, [claim.job_id for claim in claims], values)

    def fail(self, held: Held, error: str, duration_ms: float | None = None) -> bool:
        """End the job with a reason in words, if the claim still stands."""
        values = {"id": held.job_id, "token": held.token, "error": error, "duration_ms": duration_ms}
        return bool(self._finish(FAIL, [held.job_id], values))

    def crashed(self, held: Held, reason: str) -> None:
        """The process that computed the job died: count it and queue the job again; the next claim decides whether that was too often."""
        with self._database.connection() as connection:
            connection.execute(CRASHED, {"id": held.job_id, "token": held.token, "reason": reason})

    def release(self, held: Held) -> None:
        """Give the job back unfinished (a shutdown): it is an attempt, but nobody's failure."""
        with self._database.connection() as connection:
            connection.execute(RELEASE, {"id": held.job_id, "token": held.token})

    def release_others(self, held: Held) -> None:
        """Give back, unfinished, every other job that was claimed together with this one."""
        with self._database.connection() as connection:
            connection.execute(RELEASE_OTHERS, {"id": held.job_id, "token": held.token})

    def _finish(self, statement: TextClause, ids: list[UUID], values: dict[str, object]) -> set[UUID]:
        with self._database.connection() as connection:
            written = set(connection.execute(statement, values).scalars())
            if len(written) < len(ids):
                written.update(connection.execute(STORED_BY, {"ids": ids, "token": values["token"]}).scalars())
            return written
