"""The documents that clients send and receive."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fibapp.jobs import INLINE_DIGITS, Algorithm, State

DEFAULT_PAGE = 50
MAX_PAGE = 200


class JobIn(BaseModel):
    """A number to compute."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"example": {"n": 30, "algorithm": "recursive"}})

    n: Annotated[int, Field(description="Which Fibonacci number: F(0)=0, F(1)=1. The largest allowed n depends on the algorithm.")]
    algorithm: Annotated[
        Algorithm, Field(description="`recursive` is slow on purpose, its time grows by 1.618 with each n; `fast` doubles.")
    ] = "recursive"


class BatchIn(BaseModel):
    """Many numbers, accepted all or none."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"example": {"jobs": [{"n": 25}, {"n": 26}]}})

    jobs: Annotated[list[JobIn], Field(min_length=1)]


class JobOut(BaseModel):
    """A job."""

    id: UUID
    n: int
    algorithm: Algorithm
    state: State
    result: Annotated[str | None, Field(description=f"The number in decimal, when done and of at most {INLINE_DIGITS} digits")]
    digits: Annotated[int | None, Field(description="How many decimal digits the number has")]
    result_url: Annotated[str | None, Field(description="Where the whole number is, when done")]
    error: Annotated[str | None, Field(description="Why the job failed, in words")]
    attempts: Annotated[int, Field(description="How often a worker began")]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: Annotated[float | None, Field(description="Computing time of the last attempt in milliseconds")]
    worker: Annotated[str | None, Field(description="The worker of the last attempt")]


class BatchOut(BaseModel):
    """The accepted jobs, in the order given."""

    jobs: list[JobOut]


class ListQuery(BaseModel):
    """Which jobs a list shows."""

    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    before: Annotated[int | None, Field(ge=0, description="Where the page begins: from the `next` of the page before")] = None


class PageOut(BaseModel):
    """Some jobs, newest first."""

    jobs: list[JobOut]
    next: Annotated[str | None, Field(description="Address of the following page, null at the end")]


class ScalingOut(BaseModel):
    """What the operator decided about the workers."""

    workers: Annotated[int, Field(description="How many there are")]
    floor: Annotated[int, Field(description="The fewest that the work that waits asks for")]
    min: Annotated[int, Field(description="The fewest that the pipeline allows")]
    max: Annotated[int, Field(description="The most that the pipeline allows")]
    sentence: Annotated[str, Field(description="Why, in one sentence")]
    at: Annotated[datetime, Field(description="When it was decided")]


class RecursiveCostOut(BaseModel):
    """Seconds = `overhead_seconds` + `coefficient` * `base`^n."""

    coefficient: float
    base: float
    measured: Annotated[int, Field(description="How many finished jobs it was learned from; 0: assumed, none were measured yet")]


class FastCostOut(BaseModel):
    """Seconds = `overhead_seconds` + `coefficient` * n^`exponent`."""

    coefficient: float
    exponent: float
    measured: Annotated[int, Field(description="How many finished jobs it was learned from; 0: assumed, none were measured yet")]


class CostsOut(BaseModel):
    """How long one worker process is expected to take for a job, by algorithm."""

    overhead_seconds: float
    recursive: RecursiveCostOut
    fast: FastCostOut


class StatsOut(BaseModel):
    """How many jobs are in each state, and what is known about scaling."""

    queued: int
    running: int
    done: int
    failed: int
    cancelled: int
    total: int
    scaling: Annotated[ScalingOut | None, Field(description="Null while the operator does not say")]
    costs: CostsOut


class ProblemOut(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
