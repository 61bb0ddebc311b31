"""Which pipelines this process may work on: never one that another operator works on at the same time.

An operator for named namespaces holds the Lease `fibpipeline-operator` in each of them. One for the whole cluster holds the Lease
`fibpipeline-operator-cluster-wide` in the namespace `default`, and keeps out of every namespace with an install of its own, which it knows
by the Leases there. Such an install goes before: it takes its Lease although the cluster-wide operator may be at work, and begins when that
one must have noticed. Where its Lease has not been renewed for longer than a crash loop pauses, the cluster-wide operator puts its own name
into it and takes the namespace over.

As in client-go's leader election no two machines' clocks are compared: a Lease has expired when it was seen unchanged for its duration.
https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
"""

import asyncio
import datetime
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self

from .errors import ApiError
from .resources.objects import Object
from .scope import Scope

NAMESPACE_LEASE: Final = "fibpipeline-operator"
CLUSTER_LEASE: Final = "fibpipeline-operator-cluster-wide"
# Where every install of a cluster finds it, and that no cluster lacks or forbids to write to.
CLUSTER_LEASE_NAMESPACE: Final = "default"
CLUSTER_WIDE: Final = "cluster-wide-operator"
"""The holder of a namespace's Lease that the cluster-wide operator has taken over."""

DURATION_SECONDS: Final = 30
RENEW_SECONDS = 10.0
# Work stops when the Lease could not be renewed for so long: well before anybody else may take it.
DEADLINE_SECONDS = 20.0
RETRY_SECONDS = 2.0
REQUEST_SECONDS = 8.0
# After this a cluster-wide operator has noticed a new install in a namespace, or has stopped because it could not look.
YIELD_SECONDS = 25.0
# Longer than the longest pause of a crash loop, 5 minutes: a rollout to and fro between two installs would be worse than waiting.
TAKE_OVER_SECONDS = 360.0

logger = logging.getLogger(__name__)


class LeaseApi(Protocol):
    """What is asked of the API server."""

    async def read(self, kind: str, namespace: str, name: str) -> Object | None: ...

    async def list_leases(self, name: str) -> list[Object]: ...

    async def write_lease(self, namespace: str, name: str, live: Object | None, spec: Object) -> Object: ...


@dataclass(frozen=True)
class Identity:
    """Who holds a Lease: `kubectl get leases` shows it."""

    install: str
    process: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The pod's name is enough, since at most one operator runs in a pod: after a crash it goes on with its own Lease at once."""
        process = environment.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        return cls(environment.get("POD_NAMESPACE") or socket.gethostname(), process)

    def __str__(self) -> str:
        return f"{self.install}/{self.process}"


def install_of(holder: str) -> str:
    """The install that a holder belongs to."""
    return holder.partition("/")[0]


class Lock:
    """One Lease: taken, renewed, and released at the end. `yields` is for how long its first holder must wait for others to notice."""

    def __init__(self, api: LeaseApi, namespace: str, name: str, me: Identity, yields: float, clock: Callable[[], float]) -> None:
        self.namespace, self.name = namespace, name
        self.holder = ""
        self._api = api
        self._me = str(me)
        self._yields = yields
        self._clock = clock
        self._mine: Object | None = None
        self._seen: tuple[tuple[str, str], float] = (("", ""), clock())
        self._begins = self._ends = float("-inf")

    def __str__(self) -> str:
        return f"Lease {self.name} in namespace {self.namespace}"

    @property
    def held(self) -> bool:
        """Whether work is allowed at this moment."""
        return self._begins <= self._clock() < self._ends

    @property
    def begins_in(self) -> float:
        """In how many seconds work is allowed; 0 when it is, or nobody knows."""
        now = self._clock()
        return max(0.0, self._begins - now) if now < self._ends else 0.0

    async def round(self) -> None:
        """Take or renew the Lease, or see who holds it. Raises ApiError when the API server does not let us know."""
        began = self._clock()
        live, self._mine = self._mine or await self._api.read("Lease", self.namespace, self.name), None
        pause = self._pause_before_work(live, began)
        if pause is None:
            self._ends = float("-inf")
            return
        spec = _spec(self._me, live)
        try:
            taken = await self._api.write_lease(self.namespace, self.name, live, spec)
        except ApiError as error:
            if error.status in (404, 409):
                return  # somebody else has written it: look first
            raise
        if began >= self._ends:
            self._begins = began + pause
        self._ends = began + DEADLINE_SECONDS
        self._mine, self.holder = taken, self._me

    async def release(self) -> None:
        """Give the Lease back, so that the next one need not wait for it to expire."""
        live, self._mine, self._ends = self._mine, None, float("-inf")
        if live is None and self.holder == self._me:  # a renewal was cut off: it may have arrived
            live = await self._api.read("Lease", self.namespace, self.name)
        if live is not None and _holder(live) == self._me:
            await self._api.write_lease(self.namespace, self.name, live, {"holderIdentity": "", "renewTime": _now()})

    def _pause_before_work(self, live: Object | None, now: float) -> float | None:
        """For how long to wait after the Lease was taken; None when it is another's."""
        first = 0.0 if now < self._ends else self._yields
        if live is None:
            return first
        self.holder, renewed = _holder(live), str(live["spec"].get("renewTime", ""))
        if (self.holder, renewed) != self._seen[0]:
            self._seen = (self.holder, renewed), now
        if self.holder == CLUSTER_WIDE:
            return first
        if self.holder in ("", self._me):
            return 0.0
        expired = now - self._seen[1] > live["spec"].get("leaseDurationSeconds", DURATION_SECONDS)
        return 0.0 if expired else None


class Elsewhere:
    """For a cluster-wide operator: the namespaces with an install of their own, by the Leases there."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._fresh_until = float("-inf")
        self._known: dict[str, tuple[str, str, float]] = {}  # holder, time of renewal, and when that was first seen
        self._vanished: dict[str, float] = {}

    @property
    def known(self) -> bool:
        """Whether what is known is recent enough to rely on."""
        return self._clock() < self._fresh_until

    def holder(self, namespace: str) -> str | None:
        """Who has a namespace; empty when its install has released its Lease, None when there is no install."""
        return self._known[namespace][0] if namespace in self._known else None

    def update(self, leases: list[Object], asked_at: float) -> list[Object]:
        """Take in all Leases of namespaces, as listed. Returns those whose install is gone: they are to be taken over."""
        now = self._clock()
        self._fresh_until = asked_at + DEADLINE_SECONDS
        listed = {lease["metadata"]["namespace"]: lease for lease in leases if _holder(lease) != CLUSTER_WIDE}
        for namespace in [*self._known]:
            if namespace in listed:
                self._vanished.pop(namespace, None)
            elif now - self._vanished.setdefault(namespace, now) > DURATION_SECONDS:
                self.forget(namespace)  # deleted, and whoever held it knows by now
        gone = []
        for namespace, lease in listed.items():
            state = _holder(lease), str(lease["spec"].get("renewTime", ""))
            if self._known.get(namespace, ("", "", 0.0))[:2] != state or namespace not in self._known:
                self._known[namespace] = (*state, now)
            elif now - self._known[namespace][2] > TAKE_OVER_SECONDS:
                gone.append(lease)
        return gone

    def forget(self, namespace: str) -> None:
        """The namespace is ours."""
        self._known.pop(namespace, None)
        self._vanished.pop(namespace, None)


class Leases:
    """All Leases of this process."""

    def __init__(
        self, api: LeaseApi, scope: Scope, me: Identity, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.me = me
        self._api = api
        self._changed = changed
        self._clock = clock
        self._elsewhere = Elsewhere(clock) if scope.clusterwide else None
        if scope.clusterwide:
            self._locks = {"": Lock(api, CLUSTER_LEASE_NAMESPACE, CLUSTER_LEASE, me, 0.0, clock)}
        else:
            self._locks = {name: Lock(api, name, NAMESPACE_LEASE, me, YIELD_SECONDS, clock) for name in scope.namespaces}
        self._said: dict[str, str] = {}

    def holds(self, namespace: str) -> bool:
        """Whether this process may work on the pipelines of a namespace at this moment."""
        lock = self._locks.get("" if self._elsewhere else namespace)
        if lock is None or not lock.held:
            return False
        return self._elsewhere is None or (self._elsewhere.known and self._elsewhere.holder(namespace) is None)

    def other_install(self, namespace: str) -> str | None:
        """The other install that has a namespace; None when none is known, or it is another process of our own."""
        if self._elsewhere:
            holder = self._elsewhere.holder(namespace)
            return None if holder is None else install_of(holder) or namespace
        holder = self._locks[namespace].holder if namespace in self._locks else ""
        return None if holder in ("", CLUSTER_WIDE) or install_of(holder) == self.me.install else install_of(holder)

    def words(self) -> str:
        """For the log and `/readyz`: what is held, and who is waited for."""
        return "; ".join(self._words_of(lock) for lock in self._locks.values())

    async def run(self) -> None:
        """Take and renew the Leases for ever."""
        while True:
            await asyncio.gather(*(self._round(key, lock) for key, lock in self._locks.items()))
            if self._elsewhere:
                await self._look_elsewhere(self._elsewhere)
            self._changed()
            pauses = [lock.begins_in for lock in self._locks.values() if lock.begins_in]
            settled = all(lock.held for lock in self._locks.values()) and (self._elsewhere is None or self._elsewhere.known)
            await asyncio.sleep(min([*pauses, RENEW_SECONDS if settled else RETRY_SECONDS]))

    async def release(self) -> None:
        """Give all Leases back."""
        for outcome in await asyncio.gather(*(lock.release() for lock in self._locks.values()), return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.warning("A Lease could not be released, it expires in %d s: %s", DURATION_SECONDS, outcome)

    async def _round(self, key: str, lock: Lock) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await lock.round()
        except TimeoutError:
            self._say(key, f"{lock}: the API server did not answer in {REQUEST_SECONDS:.0f} s. {_AWAY}")
        except ApiError as error:
            self._say(key, f"{error}. {_AWAY}")
        else:
            self._say(key, self._words_of(lock))

    async def _look_elsewhere(self, elsewhere: Elsewhere) -> None:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                gone = elsewhere.update(await self._api.list_leases(NAMESPACE_LEASE), asked_at)
                for lease in gone if self._locks[""].held else []:
                    namespace = lease["metadata"]["namespace"]
                    await self._api.write_lease(namespace, NAMESPACE_LEASE, lease, _spec(CLUSTER_WIDE, lease))
                    elsewhere.forget(namespace)
                    logger.warning("The install for namespace %s is gone: the cluster-wide operator takes its pipelines over", namespace)
        except TimeoutError:
            self._say("elsewhere", f"list Lease: the API server did not answer in {REQUEST_SECONDS:.0f} s. {_AWAY}")
        except ApiError as error:
            if error.status not in (404, 409):
                self._say("elsewhere", f"{error}. {_AWAY}")
        else:
            self._said.pop("elsewhere", None)

    def _words_of(self, lock: Lock) -> str:
        if lock.held:
            return f"working: {lock} is held"
        if lock.begins_in:
            return f"waiting: {lock} is held, work begins when a cluster-wide operator must have noticed"
        return f"waiting: {lock} is held by {lock.holder or 'nobody yet'}"

    def _say(self, key: str, message: str) -> None:
        if self._said.get(key) != message:
            self._said[key] = message
            logger.info(message) if message.startswith("working") else logger.warning(message)


_AWAY: Final = f"Without an answer for {DEADLINE_SECONDS:.0f} s nothing is written until it can be renewed."


def _holder(lease: Object) -> str:
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def _spec(holder: str, live: Object | None) -> Object:
    before, now = (live or {}).get("spec", {}), _now()
    if before.get("holderIdentity") == holder:
        return {"renewTime": now}
    transitions = before.get("leaseTransitions", 0) + 1 if live else 0
    return {
        "holderIdentity": holder,
        "leaseDurationSeconds": DURATION_SECONDS,
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": transitions,
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
