"""kopf's decorators and settings, nothing else: watch, enqueue, health, metrics. Run: `python -m fiboperator`."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import kopf
from prometheus_client import start_http_server

from . import deafness, metrics, names
from .children import Change, Children, PipelineKey
from .cluster import Cluster
from .errors import ApiError, NotHeld
from .hosts import Hosts
from .leases import NAMESPACE_LEASE, Identity, Leases
from .listening import any_address, serve_health
from .loadpoll import URL, LoadPolls, News
from .queue import WorkQueue
from .reconcile import Reconciler
from .resources import Release
from .scaling import TELL_SECONDS
from .scope import Scope
from .stateless import NoDiffBase, NoProgress
from .watches import Watches

CONCURRENT_PASSES = 8
# What children report comes in crowds, a rollout's first steps within 0.1 to 0.4 s: one pass tells all of it. What somebody did to them is
# mended at once.
REPORTED_SECONDS = 0.5
STUCK_SECONDS = 120.0
METRICS_PORT = 9090
HEALTH_PORT = 8080

logger = logging.getLogger(__name__)


class Operator:
    """The running parts, made at startup: connections exist only inside the event loop."""

    def __init__(self, cluster: Cluster, queue: WorkQueue[PipelineKey]) -> None:
        children = Children(Hosts(queue.add))
        self.cluster = cluster
        self.queue = queue
        self.watches = Watches(cluster, children, self.changed, self._blind)
        self.loads = LoadPolls(self._heard, os.environ.get("FIBPIPELINE_LOAD_URL") or URL)
        self.reconciler = Reconciler(cluster, children, _release(), self.watches.trouble, self.loads)
        self.leases = Leases(cluster, cluster.scope, Identity.of(os.environ), self._leases_changed)
        self._reconcile = _measured(self.reconciler)
        self._left: set[PipelineKey] = set()
        cluster.guard(self.leases.holds)
        self.tasks = [asyncio.create_task(self.watches.run()), asyncio.create_task(self._work())]
        self.tasks.append(asyncio.create_task(self.leases.run()))
        self.tasks.append(asyncio.create_task(deafness.listen(self.reconciler.heads, cluster.pipeline_heads, self._take)))

    def changed(self, change: Change) -> None:
        """Ask for a pass: at once, or when all that belongs together has been reported."""
        if change.bereft:
            self.queue.add(change.bereft)
        if change.reported:
            self.queue.add_after(change.pipeline, REPORTED_SECONDS)
        else:
            self.queue.add(change.pipeline)

    def _blind(self) -> None:
        """What is known of the children is no longer believed: that stands in no child, so each pipeline must be told."""
        for key in self.reconciler.pipelines:
            self.queue.add(key)

    def _heard(self, key: PipelineKey, news: News) -> None:
        if news is News.DEEDS:
            self.queue.add(key)
        elif news is News.WORDS:
            self.queue.add_after(key, TELL_SECONDS)

    def gone(self, key: PipelineKey, uid: str) -> None:
        """A FibPipeline was deleted."""
        self.reconciler.forget(key, uid)
        self.queue.forget(key)

    async def _take(self, key: PipelineKey) -> None:
        """Read a FibPipeline of which no watch told."""
        if body := await self.cluster.read(names.KIND, *key):
            if change := self.reconciler.observe(body):
                self.changed(change)
        elif known := self.reconciler.heads().get(key):
            self.gone(key, known[0])

    def _leases_changed(self) -> None:
        """Look at each pipeline that may be worked on again, and leave those alone that may not be any more."""
        for key in self.reconciler.pipelines:
            if self.leases.holds(key[0]):
                if key in self._left:
                    self._left.discard(key)
                    self.queue.add(key)
            elif key not in self._left:
                self._left.add(key)
                self.reconciler.rest(key)
        self._left &= self.reconciler.pipelines.keys()

    async def _pass(self, key: PipelineKey) -> float | None:
        """One pass, where no other operator may be at work. Otherwise the pipeline is looked at when that has changed."""
        if self.leases.holds(key[0]):
            try:
                await self.reconciler.claim(key, self.leases.me.install)
                return await self._reconcile(key)
            except NotHeld as stopped:
                logger.warning("Stopped before it could %s: the Lease is not held any more", stopped)
        self._left.add(key)
        self.reconciler.rest(key)
        if other := self.leases.other_install(key[0]):
            await self.reconciler.leave(key, self.leases.me.install, other, NAMESPACE_LEASE)
        return None

    async def _work(self) -> None:
        await self.watches.tried()  # before that every child would look missing
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENT_PASSES):
                group.create_task(self.queue.work(self._pass))

    def trouble(self) -> str | None:
        """Why the process should be restarted; None while its tasks live and the queue moves."""
        ended = [task for task in self.tasks if task.done()]
        if ended:
            return f"a task ended: {ended[0].exception()!r}"
        if self.queue.is_stuck(STUCK_SECONDS):
            return f"no pass has ended for {STUCK_SECONDS:.0f} s although pipelines wait"
        return None

    async def stop(self) -> None:
        """End the tasks and close the connections."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.loads.close()
        await self.leases.release()  # last of all: from then on another may be at work
        await self.cluster.close()


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Connect, start the watches on the children and the workers of the queue."""
    settings.posting.enabled = False
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 590
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    settings.process.ultimate_exiting_timeout = 10
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    scope = Scope.of(os.environ)
    settings.scanning.disabled = not scope.clusterwide
    queue: WorkQueue[PipelineKey] = WorkQueue()
    memo.operator = Operator(await Cluster.connect(scope), queue)
    metrics.QUEUE_LENGTH.set_function(queue.__len__)
    metrics.QUEUE_AGE.set_function(queue.oldest_wait)
    metrics.PIPELINES.set_function(memo.operator.reconciler.pipelines.__len__)
    start_http_server(int(os.environ.get("FIBPIPELINE_METRICS_PORT", METRICS_PORT)), any_address(), registry=metrics.REGISTRY)
    memo.health = await serve_health(
        int(os.environ.get("FIBPIPELINE_HEALTH_PORT", HEALTH_PORT)), memo.operator.trouble, memo.operator.leases.words
    )


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """Leave nothing open."""
    await memo.health.cleanup()
    await memo.operator.stop()


@kopf.on.event(names.GROUP, names.VERSION, names.PLURAL)
async def notice(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A FibPipeline appeared, changed or went: take it in and ask for a pass. Never more: kopf does not repeat a failed event."""
    operator: Operator = memo.operator
    body: dict[str, Any] = dict(event["object"])
    key = (body["metadata"]["namespace"], body["metadata"]["name"])
    if event["type"] == "DELETED":
        operator.gone(key, body["metadata"]["uid"])
    elif change := operator.reconciler.observe(body):
        operator.changed(change)


def _release() -> Release:
    return Release(
        version=version("fibpipeline-operator"),
        app_image=os.environ["FIBPIPELINE_APP_IMAGE"],
        namespace=os.environ.get("POD_NAMESPACE", ""),
    )


def _measured(handle: Callable[[PipelineKey], Awaitable[float | None]]) -> Callable[[PipelineKey], Awaitable[float | None]]:
    async def measured(key: PipelineKey) -> float | None:
        with metrics.DURATION.time():
            try:
                delay = await handle(key)
            except ApiError as error:
                metrics.PASSES.labels(error.reason or "ApiError").inc()
                raise
            except Exception:
                metrics.PASSES.labels("Failed").inc()
                raise
            metrics.PASSES.labels("Done").inc()
            return delay

    return measured
