"""How many workers the work needs, and which of them should leave last: pure rules on the load that the API reported."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from . import names
from .resources.objects import Object
from .spec import Worker

HOLD_SHARE: Final = 0.1
"""Workers once asked for are kept until the work left for each falls under this share of the target: noise moves nothing."""
BRIEF_SECONDS: Final = 2.0
"""A job that needs no longer is over before its pod could be told to stop."""
BUSY_COST: Final = 100


Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Busy(BaseModel):
    """What one worker pod runs: `remaining_seconds` is what its longest process is expected to need still."""

    model_config = ConfigDict(frozen=True)

    jobs: Count
    remaining_seconds: Seconds


class BrokerError(BaseModel):
    """Why the broker takes no messages, as the relay observed it."""

    model_config = ConfigDict(frozen=True)

    cause: str
    """`alarm`, `refused` or `unreachable`; a newer app may know more."""
    words: Annotated[str, AfterValidator(lambda words: words[:500])]


class Load(BaseModel):
    """The answer of the API; all seconds are those of one worker process."""

    model_config = ConfigDict(frozen=True)

    version: Annotated[str, Field(max_length=200)]
    queued: Count
    running: Count
    seconds: Seconds
    running_seconds: Seconds
    busy: dict[str, Busy]
    broker: BrokerError | None = None
    """Release 0.1 of the app does not report it."""

    @property
    def jobs(self) -> int:
        return self.queued + self.running


@dataclass(frozen=True)
class Reading:
    """What is known of a pipeline's load. Neither field: it was not asked yet."""

    load: Load | None = None
    away: str = ""
    """Why the load has been out of reach for a while."""


def work(load: Load, worker: Worker) -> float:
    """The seconds of work that the target is about: all that is queued and, of what runs, what falls within the target.

    Of a running job more is no reason for more workers: it has its worker, and can use no second one.
    """
    target = worker.autoscaling.backlog_target_seconds
    soon = sum(min(busy.jobs, worker.concurrency) * min(busy.remaining_seconds, target) for busy in load.busy.values())
    return load.seconds + min(load.running_seconds, soon)


def needed(load: Load, worker: Worker) -> int:
    """The workers that get the work done within the target, bounds aside; never more than there are jobs for."""
    processes = min(math.ceil(work(load, worker) / worker.autoscaling.backlog_target_seconds), load.jobs)
    return math.ceil(processes / worker.concurrency)


def floor(reading: Reading, worker: Worker, present: int | None) -> int:
    """The fewest workers that should run; `present` is the floor that holds now.

    Up at once. Down when the jobs or the work no longer occupy the workers, so that a queue being drained is drained to its end.
    """
    low, high = worker.bounds
    load = reading.load
    if load is None:
        wanted = low if reading.away or present is None else present
    else:
        wanted = max(needed(load, worker), _held(load, worker, present or 0))
    return min(max(wanted, low), high)


def _held(load: Load, worker: Worker, present: int) -> int:
    enough = HOLD_SHARE * worker.autoscaling.backlog_target_seconds * present * worker.concurrency
    return min(present, math.ceil(load.jobs / worker.concurrency)) if work(load, worker) >= enough else 0


def is_shrinking(floor: int, deployment: Object, pods: Iterable[Object]) -> bool:
    """Whether pods may have to leave: more run than are wanted, or the autoscaler is free to want fewer."""
    wanted = deployment["spec"].get("replicas", 1)
    return bool(floor < wanted or sum("deletionTimestamp" not in pod["metadata"] for pod in pods) > max(wanted, floor))


def deletion_marks(pods: Iterable[Object]) -> dict[str, str | None]:
    """The deletion cost that stands on each pod that is not leaving already."""
    return {
        pod["metadata"]["name"]: pod["metadata"].get("annotations", {}).get(names.DELETION_COST)
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def changed_marks(load: Load, marks: Mapping[str, str | None]) -> dict[str, str | None]:
    """The pods whose deletion cost is not what it should be, with the right one: none for idle pods, so that they leave first.

    Coarse (steps of a factor of four) and not at all for brief jobs: each change is a write.
    """
    wanted = {pod: _cost(load.busy.get(pod), mark is not None) for pod, mark in marks.items()}
    return {pod: cost for pod, cost in wanted.items() if cost != marks[pod]}


def _cost(busy: Busy | None, marked: bool) -> str | None:
    if busy is None or (busy.remaining_seconds < BRIEF_SECONDS and not marked):
        return None
    steps = math.log(max(busy.remaining_seconds, BRIEF_SECONDS) / BRIEF_SECONDS, 4)
    return str(BUSY_COST + 1 + int(steps))


def amount(load: Load, worker: Worker) -> str:
    """The work in words, so coarse that it changes only when somebody would care."""
    if not load.jobs:
        return "nothing is queued"
    seconds = work(load, worker)
    digits = max(1, math.floor(math.log10(max(seconds, 1))) - 1)
    rounded = f"{round(seconds, -digits):,.0f} s" if seconds >= 10 else "under 10 s"
    return f"{rounded} of queued and running work, {worker.autoscaling.backlog_target_seconds} s wanted"
