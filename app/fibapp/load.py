"""The load of a pipeline: what waits, what runs, how long that will take, and when it is news. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from fibapp.broker import BrokerError
from fibapp.costs import Costs
from fibapp.jobs import Algorithm

NEWS = 0.1
"""A figure that changed by more than this share is news."""


@dataclass(frozen=True, slots=True)
class Work:
    """Jobs that are alike: waiting when `worker` is None, otherwise running in the process of that Celery node name."""

    worker: str | None
    algorithm: Algorithm
    n: int
    jobs: int
    seconds: float
    """Since the oldest of them was submitted, or claimed when they run."""


@dataclass(frozen=True, slots=True)
class Busy:
    """What one worker pod runs, and the seconds it is expected to need still."""

    jobs: int
    remaining_seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """Figures of one moment; seconds are those of one worker process."""

    queued: int
    running: int
    seconds: float
    running_seconds: float
    oldest_wait_seconds: float
    busy: dict[str, Busy]
    broker: BrokerError | None = None
    """What keeps the broker from taking messages."""

    @property
    def idle(self) -> bool:
        """Is there nothing to do?"""
        return not self.queued and not self.running

    @property
    def version(self) -> str:
        """The material figures. Every API pod says the same of the same state, and can tell later what has changed since."""
        pods = crc32("\n".join(sorted(self.busy)).encode())
        broker = f":{crc32(f'{self.broker.cause}:{self.broker.words}'.encode()):08x}" if self.broker else ""
        return f"{self.queued}:{self.running}:{self.seconds:.3f}:{pods:08x}{broker}"

    def is_news(self, seen: str | None) -> bool:
        """Has somebody who saw the version `seen` to be told? A version that says nothing here is another release's: then yes."""
        mine, theirs = self.version.split(":"), (seen or "").split(":")
        try:
            before = [float(figure) for figure in theirs[:3]]
        except ValueError:
            return True
        if theirs[3:] != mine[3:]:
            return True
        return any(_differs(old, float(new)) for old, new in zip(before, mine[:3], strict=True))

    def document(self) -> dict[str, Any]:
        """The answer to the operator."""
        return {
            "version": self.version,
            "queued": self.queued,
            "running": self.running,
            "seconds": round(self.seconds, 3),
            "running_seconds": round(self.running_seconds, 3),
            "oldest_wait_seconds": round(self.oldest_wait_seconds, 3),
            "busy": {
                pod: {"jobs": busy.jobs, "remaining_seconds": round(busy.remaining_seconds, 3)} for pod, busy in sorted(self.busy.items())
            },
            "broker": {"cause": self.broker.cause.value, "words": self.broker.words} if self.broker else None,
        }


def measure(work: Sequence[Work], costs: Costs, broker: BrokerError | None = None) -> Load:
    """The load that `work` is; `broker` is what keeps the broker from taking more of it."""
    waiting = [each for each in work if each.worker is None]
    nodes: dict[str, list[Work]] = defaultdict(list)
    for each in work:
        if each.worker is not None:
            nodes[each.worker].append(each)
    # What a process claimed together it does one after another; the processes of a pod work at the same time.
    remaining = {node: max(0.0, _expected(mine, costs) - max(each.seconds for each in mine)) for node, mine in nodes.items()}
    pods: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        pods[pod_of(node)].append(node)
    return Load(
        queued=sum(each.jobs for each in waiting),
        running=sum(each.jobs for mine in nodes.values() for each in mine),
        seconds=_expected(waiting, costs),
        running_seconds=sum(remaining.values()),
        oldest_wait_seconds=max((each.seconds for each in waiting), default=0.0),
        busy={
            pod: Busy(sum(each.jobs for node in mine for each in nodes[node]), max(remaining[node] for node in mine))
            for pod, mine in pods.items()
        },
        broker=broker,
    )


def pod_of(node: str) -> str:
    """The pod of a Celery node name: `worker@POD` or, of several processes, `worker-2@POD`."""
    return node.partition("@")[2]


def _expected(work: Sequence[Work], costs: Costs) -> float:
    return sum(each.jobs * costs.seconds(each.algorithm, each.n) for each in work)


def _differs(old: float, new: float) -> bool:
    return (old == 0) != (new == 0) or abs(new - old) > NEWS * abs(old)
