"""Keeps `Children` equal to the cluster: one list and then a watch for each kind of child.

kopf's own watcher hides where a repeated listing ends, so a child that vanished between two watches would stay believed alive;
here a listing replaces what was known.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from .children import Change, Children, Identity, PipelineKey
from .cluster import Cluster
from .errors import ApiError, Gone
from .kinds import OBSERVED_KINDS, WATCHED_KINDS

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 30.0
# Between two streams: a server that ends each stream at once must not be asked without a pause.
PAUSE_SECONDS = 0.1
# What a watch showed is believed for so long after it failed. Even where nothing happens a bookmark comes each minute.
BLIND_SECONDS = 120.0

logger = logging.getLogger(__name__)


class Watches:
    """The watches on all kinds of children, in each namespace of several or in all at once.

    `changed` is called with each change, `blind` when `trouble` has begun to tell of a kind that was known before.
    """

    def __init__(
        self,
        cluster: Cluster,
        children: Children,
        changed: Callable[[Change], None],
        blind: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watches = [
            _Watch(cluster, children, kind, namespace, changed, blind, clock) for namespace in cluster.scope.parts for kind in WATCHED_KINDS
        ]

    async def run(self) -> None:
        """Follow all kinds for ever."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())

    async def tried(self) -> None:
        """Wait until each kind has been listed once, or could not be."""
        for watch in self._watches:
            await watch.tried.wait()

    def trouble(self) -> ApiError | None:
        """Why some kind of child is not known, or no longer; None when all have been listed and are watched."""
        return next((watch.error for watch in self._watches if watch.error and (watch.is_blind or not watch.listed)), None)


class _Watch:
    def __init__(
        self,
        cluster: Cluster,
        children: Children,
        kind: str,
        namespace: str | None,
        changed: Callable[[Change], None],
        blind: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._children = children
        self._kind = kind
        self._namespace = namespace
        self._changed = changed
        self._blind = blind
        self._clock = clock
        self._version = ""
        self._failing_since: float | None = None
        self.is_blind = False
        self.listed = False
        self.tried = asyncio.Event()
        self.error: ApiError | None = None

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                async for event, live in self._cluster.watch_children(self._kind, self._namespace, self._version):
                    self._version = live["metadata"]["resourceVersion"]
                    failures = 0
                    self._sees()
                    self._take(event, live)
                self._sees()
                await asyncio.sleep(PAUSE_SECONDS)
            except Gone:
                self._version = ""
            except ApiError as error:
                self.error = error
                self.tried.set()
                self._fails()
                delay = max(error.retry_after, min(BACKOFF_BASE_SECONDS * 2.0**failures, BACKOFF_CAP_SECONDS))
                failures += 1
                logger.warning("%s; next try in %.1f s", error, delay)
                await asyncio.sleep(delay)

    def _sees(self) -> None:
        """The stream is open, or ended as it should."""
        self._failing_since, self.is_blind, self.error = None, False, None

    def _fails(self) -> None:
        now = self._clock()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if not self.is_blind and now - self._failing_since >= BLIND_SECONDS:
            self.is_blind = True
            self._blind()

    async def _list(self) -> None:
        present: set[Identity] = set()
        changed: set[PipelineKey] = set()
        version = ""
        async for page, version in self._cluster.list_children(self._kind, self._namespace):  # noqa: B007 - the last page's version is used below
            for live in page:
                present.add((live["metadata"]["namespace"], live["metadata"]["name"]))
                if change := self._children.put(live):
                    changed |= {change.pipeline, change.bereft or change.pipeline}
        changed |= self._children.retain(self._kind, present, self._namespace)
        self._version, self.listed = version, True
        self.tried.set()
        for pipeline in changed:
            self._changed(Change(pipeline))

    def _take(self, event: str, live: dict[str, object]) -> None:
        if event == "BOOKMARK":
            return
        change = self._children.drop(live) if event == "DELETED" else self._children.put(live)
        if change:
            # What we never write we never mend.
            self._changed(replace(change, reported=True) if self._kind in OBSERVED_KINDS else change)
