"""What a job is: its states, its bounds and the one document that describes it everywhere."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from uuid import UUID

Algorithm = Literal["recursive", "fast"]
State = Literal["queued", "running", "done", "failed", "cancelled"]

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
STATES: tuple[State, ...] = get_args(State)
CANCELLABLE: tuple[State, ...] = ("queued", "running")
RETRYABLE: tuple[State, ...] = ("failed", "cancelled")

INLINE_DIGITS = 100
"""Results up to this many digits travel inside the job document; longer ones have a URL of their own."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest n of each algorithm; the same values reach API and worker."""

    recursive: int
    fast: int

    def largest(self, algorithm: Algorithm) -> int:
        """The largest n that `algorithm` may be asked for."""
        return self.recursive if algorithm == "recursive" else self.fast


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is about to be accepted."""

    id: UUID
    n: int
    algorithm: Algorithm


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job, without the digits of a long result."""

    id: UUID
    seq: int
    n: int
    algorithm: Algorithm
    state: State
    result: str | None
    digits: int | None
    error: str | None
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: float | None
    worker: str | None

    def document(self, base: str = "/api") -> dict[str, Any]:
        """The job as every client sees it; times are RFC 3339 in UTC, `duration_ms` is the work of the last attempt."""
        done = self.state == "done"
        return {
            "id": str(self.id),
            "n": self.n,
            "algorithm": self.algorithm,
            "state": self.state,
            "result": self.result,
            "digits": self.digits,
            "result_url": f"{base}/jobs/{self.id}/result" if done else None,
            "error": self.error,
            "attempts": self.attempts,
            "created_at": rfc3339(self.created_at),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
            "duration_ms": None if self.duration_ms is None else round(self.duration_ms, 3),
            "worker": self.worker,
        }


def rfc3339(moment: datetime | None) -> str | None:
    """`moment` in UTC with a trailing Z, to the millisecond."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
