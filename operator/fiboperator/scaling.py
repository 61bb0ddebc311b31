"""What a pass does about the number of workers: the floor, the order in which pods leave, and why. Applies what `autoscale` decides."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from . import autoscale, names
from .autoscale import Reading
from .blocking import Told
from .children import ChildKey, Children, PipelineKey, of_component
from .cluster import Cluster
from .explain import NOT_THERE, explain
from .health import Verdict
from .loadpoll import Settled
from .names import Component
from .resources.objects import Object
from .spec import Pipeline

# A sentence whose figures moved but whose meaning did not is written at most this often.
TELL_SECONDS = 15.0

Live = Mapping[ChildKey, Object]


class Loads(Protocol):
    """Where the load of pipelines comes from."""

    def follow(self, key: PipelineKey) -> Reading: ...

    def forget(self, key: PipelineKey) -> None: ...

    def settle(self, key: PipelineKey, settled: Settled, decision: Object) -> None: ...


@dataclass(frozen=True)
class _Told:
    verdict: Verdict
    state: tuple[int, int, bool, bool]
    at: float

    def same_but_for_words(self, other: "_Told") -> bool:
        return (self.verdict.ready, self.verdict.reason, self.state) == (other.verdict.ready, other.verdict.reason, other.state)


class Scaling:
    """The workers' number, one pipeline at a time."""

    def __init__(self, cluster: Cluster, children: Children, loads: Loads, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._children = children
        self._loads = loads
        self._clock = clock
        self._told: dict[PipelineKey, _Told] = {}

    def reading(self, pipeline: Pipeline) -> Reading:
        """What is known of the load now. A pass looks once, so that it does and tells the same."""
        return self._loads.follow((pipeline.namespace, pipeline.name))

    async def keep_busy(self, pipeline: Pipeline, reading: Reading, live: Live, floor: int) -> None:
        """Mark the pods with much left to do, while pods may have to leave, so that idle ones go first.

        Before the floor is lowered: once it is, the autoscaler may act at any moment.
        """
        if reading.load is None:
            return
        changes = autoscale.changed_marks(reading.load, _marks(pipeline, live, floor))
        marked = await asyncio.gather(
            *(self._cluster.annotate(live["Pod", pod], {names.DELETION_COST: cost}) for pod, cost in changes.items())
        )
        for pod in marked:
            if pod:
                self._children.put(pod)

    def floor(self, pipeline: Pipeline, reading: Reading, live: Live) -> int:
        """The fewest workers that should run."""
        return autoscale.floor(reading, pipeline.spec.worker, live_floor(pipeline, live))

    async def raise_workers(self, pipeline: Pipeline, floor: int) -> None:
        """Raise the workers to the floor; without autoscaling set them to exactly that number."""
        deployment = self._children.get((pipeline.namespace, pipeline.name), _worker_key(pipeline))
        if deployment is None:
            return
        present = deployment["spec"].get("replicas", 1)
        if present < floor or (present != floor and not pipeline.spec.worker.autoscaling.enabled):
            with self._children.writing(deployment):
                self._children.put(await self._cluster.scale(deployment, floor))

    def tell(
        self, pipeline: Pipeline, reading: Reading, live: Live, told: Told, previous: Verdict | None, now: str
    ) -> tuple[Verdict, float | None]:
        """Why there are as many workers as there are; the API is told too.

        `told` is what Events say of children in trouble, `previous` what the status says so far, `now` an RFC 3339 time. The second
        value is the delay in seconds after which a sentence that moved too early is due.
        """
        worker, verdict = pipeline.spec.worker, explain(pipeline, reading, live, told)
        low, high = worker.bounds
        key, deployment = (pipeline.namespace, pipeline.name), _deployment(pipeline, live)
        floor = min(max(live_floor(pipeline, live) or low, low), high)
        workers = deployment["spec"].get("replicas", 1) if deployment else 0
        delay = None
        if worker.autoscaling.enabled and reading == Reading() and previous is not None and previous.reason != NOT_THERE:
            verdict = previous  # said before a restart, with more knowledge than there is now
        else:
            verdict, delay = self._paced(key, verdict, (floor, workers, pipeline.spec.paused, reading.load is None))
        decision = {
            "workers": workers,
            "floor": floor,
            "min": low,
            "max": high,
            "sentence": verdict.message[:1000],
            "at": now,
        }
        self._loads.settle(key, Settled(reading, worker, floor, _marks(pipeline, live, floor)), decision)
        return verdict, delay

    def forget(self, key: PipelineKey) -> None:
        """The pipeline is gone."""
        self._told.pop(key, None)
        self._loads.forget(key)

    def _paced(self, key: PipelineKey, verdict: Verdict, state: tuple[int, int, bool, bool]) -> tuple[Verdict, float | None]:
        fresh = _Told(verdict, state, self._clock())
        told = self._told.setdefault(key, fresh)
        wait = told.at + TELL_SECONDS - fresh.at
        if verdict != told.verdict and told.same_but_for_words(fresh) and wait > 0:
            return told.verdict, wait
        if (verdict, state) != (told.verdict, told.state):
            self._told[key] = fresh
        return verdict, None


def _worker_key(pipeline: Pipeline) -> ChildKey:
    return "Deployment", names.child_name(pipeline.name, Component.WORKER)


def _deployment(pipeline: Pipeline, live: Live) -> Object | None:
    return live.get(_worker_key(pipeline))


def live_floor(pipeline: Pipeline, live: Live) -> int | None:
    """The floor that holds now: the autoscaler's minReplicas; None while there is no autoscaler."""
    autoscaler = live.get(("HorizontalPodAutoscaler", names.child_name(pipeline.name, Component.WORKER)))
    return autoscaler["spec"].get("minReplicas", 1) if autoscaler else None


def _marks(pipeline: Pipeline, live: Live, floor: int) -> dict[str, str | None]:
    """The deletion costs on the workers' pods while some may have to leave; empty otherwise."""
    deployment, pods = _deployment(pipeline, live), of_component(live, "Pod", Component.WORKER)
    if deployment is None or not autoscale.is_shrinking(floor, deployment, pods):
        return {}
    return autoscale.deletion_marks(pods)
