"""What scaling asks of the store: the work that is left, how long finished jobs took, and the decision to show."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from fibapp.costs import Measured
from fibapp.jobs import ALGORITHMS
from fibapp.load import Work
from fibapp.store.engine import Database

LATEST = 200
"""So many finished jobs of each algorithm are looked at."""
FRESH_SECONDS = 60
"""An unchanged decision is written again only after this time."""
VALID_SECONDS = 180
"""A decision that nobody confirmed for this long is not shown: it may no longer be true."""

# A job whose lease ran out was lost with its worker: it waits like the others. n comes first because numbers are sorted faster.
WORK = text(
    """SELECT NULL AS worker, algorithm, n, count(*) AS jobs, extract(epoch FROM now() - min(created_at)) AS seconds
    FROM jobs WHERE state = 'queued' OR (state = 'running' AND lease_until < now()) GROUP BY n, algorithm
    UNION ALL SELECT worker, algorithm, n, count(*), extract(epoch FROM now() - min(started_at))
    FROM jobs WHERE state = 'running' AND lease_until >= now() GROUP BY n, algorithm, worker"""
)
# The index jobs_measured holds exactly these; shorter jobs would tell more of the clock than of the work. With the algorithms joined, or
# in an order that another index has, too, the planner may take that, and read a million rows.
MEASURED = text(
    " UNION ALL ".join(
        f"""(SELECT algorithm, n, duration_ms / 1000 AS seconds FROM jobs
        WHERE algorithm = '{algorithm}' AND state = 'done' AND duration_ms >= 2 ORDER BY finished_at DESC LIMIT :latest)"""  # noqa: S608
        for algorithm in ALGORITHMS
    )
)
# Not by the conflict's own condition: that would lock the row each time, which is a write, too.
NOTE = text(
    """INSERT INTO scaling (workers, floor, min, max, sentence, at)
    SELECT :workers, :floor, :min, :max, :sentence, :at WHERE NOT EXISTS (
        SELECT FROM scaling WHERE (workers, floor, min, max, sentence) = (:workers, :floor, :min, :max, :sentence)
        AND noted_at > now() - :fresh * interval '1 second')
    ON CONFLICT (one) DO UPDATE SET workers = excluded.workers, floor = excluded.floor, min = excluded.min, max = excluded.max,
        sentence = excluded.sentence, at = excluded.at, noted_at = now()"""
)
CONFIRM = text("UPDATE scaling SET noted_at = now() WHERE noted_at <= now() - :fresh * interval '1 second'")
DECISION = text("SELECT workers, floor, min, max, sentence, at FROM scaling WHERE noted_at > now() - :valid * interval '1 second'")


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers the operator wants, and why in one sentence."""

    workers: int
    floor: int
    min: int
    max: int
    sentence: str
    at: datetime


class LoadStore:
    """The jobs as a whole. Every method may raise StoreAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def work(self) -> list[Work]:
        """Everything that waits or runs, grouped."""
        with self._database.connection() as connection:
            return [Work(row.worker, row.algorithm, row.n, row.jobs, float(row.seconds)) for row in connection.execute(WORK)]

    def measured(self) -> list[Measured]:
        """The latest finished jobs that took long enough to tell. Costs the same however many jobs there are."""
        with self._database.connection() as connection:
            return [Measured(row.algorithm, row.n, row.seconds) for row in connection.execute(MEASURED, {"latest": LATEST})]

    def note(self, decision: Decision) -> None:
        """Keep the decision for the page; writes nothing while it stays the same, but for a sign of life once a minute."""
        values = {name: getattr(decision, name) for name in Decision.__slots__}
        with self._database.connection() as connection:
            connection.execute(NOTE, {**values, "fresh": FRESH_SECONDS})

    def confirm(self) -> None:
        """The operator is there, so its decision holds; written at most once a minute."""
        with self._database.connection() as connection:
            connection.execute(CONFIRM, {"fresh": FRESH_SECONDS})

    def decision(self) -> Decision | None:
        """The present decision; None when there is none or nobody confirmed it lately."""
        with self._database.connection() as connection:
            row = connection.execute(DECISION, {"valid": VALID_SECONDS}).first()
        return Decision(*row) if row else None
