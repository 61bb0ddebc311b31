"""Of two operators with one namespace in common, never both work on it; whoever waits takes over, and nobody is asked to compare clocks."""

import asyncio
import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from fiboperator import leases
from fiboperator.errors import ApiError
from fiboperator.leases import (
    CLUSTER_LEASE,
    CLUSTER_LEASE_NAMESPACE,
    CLUSTER_WIDE,
    DEADLINE_SECONDS,
    DURATION_SECONDS,
    NAMESPACE_LEASE,
    TAKE_OVER_SECONDS,
    YIELD_SECONDS,
    Identity,
    Leases,
)
from fiboperator.scope import Scope

Object = dict[str, Any]


class MemoryApi:
    """The Leases of a cluster, and the time."""

    def __init__(self) -> None:
        self.leases: dict[tuple[str, str], Object] = {}
        self.now = 1000.0
        self.away: set[str] = set()
        """The processes that the API server does not answer."""
        self.writes = 0
        self._versions = itertools.count(1)

    def of(self, process: str) -> "Client":
        return Client(self, process)

    def holder(self, namespace: str = "a") -> str:
        return str(self.leases[namespace, NAMESPACE_LEASE]["spec"]["holderIdentity"])


class Client:
    def __init__(self, api: MemoryApi, process: str) -> None:
        self._api, self._process = api, process

    def _ask(self) -> None:
        if self._process in self._api.away:
            raise ApiError("read Lease", 0, "Unreachable", "no answer")

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        self._ask()
        return copy.deepcopy(self._api.leases.get((namespace, name)))

    async def list_leases(self, name: str) -> list[Object]:
        self._ask()
        return [copy.deepcopy(lease) for (_, named), lease in self._api.leases.items() if named == name]

    async def write_lease(self, namespace: str, name: str, live: Object | None, spec: Object) -> Object:
        self._ask()
        there = self._api.leases.get((namespace, name))
        if (there or {}).get("metadata") != (live or {}).get("metadata"):
            raise ApiError("write", 409, "Conflict", "it is another by now")
        self._api.writes += 1
        metadata = {"namespace": namespace, "name": name, "resourceVersion": str(next(self._api._versions))}
        made = {"metadata": metadata, "spec": {**(live or {}).get("spec", {}), **spec}}
        self._api.leases[namespace, name] = made
        return copy.deepcopy(made)


class Process:
    """One operator's Leases."""

    def __init__(self, api: MemoryApi, name: str, *namespaces: str, install: str = "") -> None:
        self.api, self.name = api, name
        identity = Identity(install or name, name)
        self.leases = Leases(api.of(name), Scope(namespaces), identity, lambda: None, lambda: api.now)

    async def look(self) -> None:
        """What `run` does in a round."""
        task = asyncio.create_task(self.leases.run())
        for _ in range(30):
            await asyncio.sleep(0)
        task.cancel()

    def works(self, namespace: str = "a") -> bool:
        return self.leases.holds(namespace)


async def pass_time(api: MemoryApi, seconds: float, *processes: Process) -> None:
    """Let time go by with a round of each process every 2 s, and look that no two work in one namespace."""
    end = api.now + seconds
    while api.now < end:
        api.now += 2.0
        for process in processes:
            await process.look()
            for namespace in ("a", "b", "c"):
                assert sum(each.works(namespace) for each in processes) <= 1, f"{namespace} at {api.now}"


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi()


async def test_of_two_for_the_whole_cluster_one_waits_and_says_for_whom(api: MemoryApi) -> None:
    first, second = Process(api, "first"), Process(api, "second")
    await pass_time(api, 10, first, second)
    assert (first.works(), second.works()) == (True, False)
    waiting = f"waiting: Lease {CLUSTER_LEASE} in namespace {CLUSTER_LEASE_NAMESPACE} is held by first/first"
    assert second.leases.words() == waiting
    assert first.leases.words().startswith("working")


async def test_a_released_lease_is_taken_at_once_and_one_of_a_killed_process_when_it_expires(api: MemoryApi) -> None:
    first, second, third = (Process(api, name) for name in ("first", "second", "third"))
    await pass_time(api, 4, first, second)
    await first.leases.release()
    assert not first.works()
    await pass_time(api, 2, second)
    assert second.works()
    await pass_time(api, DURATION_SECONDS - 4, third)
    assert not third.works(), "the second was killed, but nobody can know yet"
    await pass_time(api, 8, third)
    assert third.works()


async def test_a_pod_that_starts_again_after_a_crash_goes_on_with_its_own_lease(api: MemoryApi) -> None:
    await pass_time(api, 2, Process(api, "pod-1"))
    again = Process(api, "pod-1")
    await again.look()
    assert again.works()


async def test_whoever_cannot_renew_stops_before_another_may_begin_and_goes_on_when_nobody_did(api: MemoryApi) -> None:
    first, second = Process(api, "first"), Process(api, "second")
    await pass_time(api, 4, first, second)
    api.away = {"first", "second"}
    await pass_time(api, DEADLINE_SECONDS + 2, first, second)
    assert not first.works()
    api.away = set()
    await pass_time(api, 2, first, second)
    assert first.works(), "the API server was away for all: nothing changes hands"
    api.away = {"first"}
    await pass_time(api, DURATION_SECONDS + 6, first, second)
    assert second.works(), "the first alone is cut off"
    api.away = set()
    await pass_time(api, 10, first, second)
    assert (first.works(), second.works()) == (False, True)


async def test_a_lease_that_somebody_else_took_is_lost_at_once(api: MemoryApi) -> None:
    first = Process(api, "first")
    await first.look()
    api.leases[CLUSTER_LEASE_NAMESPACE, CLUSTER_LEASE]["metadata"]["resourceVersion"] = "new"
    api.leases[CLUSTER_LEASE_NAMESPACE, CLUSTER_LEASE]["spec"]["holderIdentity"] = "thief"
    await pass_time(api, 4, first)
    assert not first.works()


async def test_lists_that_overlap_share_nothing(api: MemoryApi) -> None:
    first, second = Process(api, "first", "a", "b"), Process(api, "second", "b", "c")
    await pass_time(api, YIELD_SECONDS + 4, first, second)
    assert [first.works(name) for name in "abc"] == [True, True, False]
    assert [second.works(name) for name in "abc"] == [False, False, True]
    assert (second.leases.other_install("b"), second.leases.other_install("c")) == ("first", None)


async def test_another_replica_of_the_same_install_is_no_other_install(api: MemoryApi) -> None:
    first, second = Process(api, "pod-1", "a", install="ours"), Process(api, "pod-2", "a", install="ours")
    await pass_time(api, YIELD_SECONDS + 4, first, second)
    assert first.works() and not second.works()
    assert second.leases.other_install("a") is None


async def test_a_cluster_wide_operator_keeps_out_of_a_namespace_with_its_own(api: MemoryApi) -> None:
    wide, own = Process(api, "wide"), Process(api, "own", "a")
    await pass_time(api, 4, wide)
    assert wide.works("a"), "until somebody else comes"
    await pass_time(api, YIELD_SECONDS + 10, own, wide)
    assert (wide.works("a"), wide.works("b"), own.works("a")) == (False, True, True)
    assert wide.leases.other_install("a") == "own"
    assert wide.leases.other_install("b") is None


async def test_a_cluster_wide_operator_that_cannot_look_for_others_stops(api: MemoryApi) -> None:
    wide, own = Process(api, "wide"), Process(api, "own", "a")
    await pass_time(api, 4, wide)
    api.away = {"wide"}
    await pass_time(api, YIELD_SECONDS + 10, own, wide)
    assert own.works("a") and not wide.works("a")


async def gone_by_time(api: MemoryApi, wide: Process, own: Process) -> None:
    await own.leases.release()
    await pass_time(api, TAKE_OVER_SECONDS - 10, wide)
    assert not wide.works("a"), "it may be a rollout, or the pause of a crash loop"
    await pass_time(api, 20, wide)


async def gone_by_hand(api: MemoryApi, wide: Process, own: Process) -> None:
    del api.leases["a", NAMESPACE_LEASE]
    await pass_time(api, DURATION_SECONDS + 6, wide)


@pytest.mark.parametrize("gone", [gone_by_time, gone_by_hand])
async def test_it_takes_over_when_that_install_is_gone_and_gives_back_when_it_returns(api: MemoryApi, gone: Callable[..., Any]) -> None:
    wide, own = Process(api, "wide"), Process(api, "own", "a")
    await pass_time(api, YIELD_SECONDS + 10, own, wide)
    await gone(api, wide, own)
    assert wide.works("a")
    assert gone is gone_by_hand or api.holder() == CLUSTER_WIDE
    back = Process(api, "own-2", "a", install="own")
    await pass_time(api, YIELD_SECONDS + 10, back, wide)
    assert back.works("a") and not wide.works("a")


async def test_a_namespaces_own_operator_that_comes_back_in_time_need_not_wait(api: MemoryApi) -> None:
    wide, own = Process(api, "wide"), Process(api, "own", "a")
    await pass_time(api, YIELD_SECONDS + 10, own, wide)
    await own.leases.release()
    back = Process(api, "own-2", "a", install="own")
    await pass_time(api, 2, back, wide)
    assert back.works("a")


async def test_at_rest_only_the_renewal_is_written(api: MemoryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        api.now += seconds
        if len(slept) == 10:
            raise asyncio.CancelledError

    monkeypatch.setattr(leases.asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await Process(api, "only").leases.run()
    assert slept == [leases.RENEW_SECONDS] * 10
    assert api.writes == 10


def test_the_times_leave_no_gap() -> None:
    assert leases.RENEW_SECONDS + leases.REQUEST_SECONDS < DEADLINE_SECONDS < YIELD_SECONDS < DURATION_SECONDS < TAKE_OVER_SECONDS
    assert TAKE_OVER_SECONDS > 300, "the longest pause of a crash loop"


def test_who_holds_it_is_the_pod_or_one_process_on_a_machine() -> None:
    pod = {"POD_NAME": "operator-x", "POD_NAMESPACE": "fibpipeline-system"}
    assert str(Identity.of(pod)) == "fibpipeline-system/operator-x"
    assert Identity.of({}) != Identity.of({})


@pytest.mark.parametrize(
    ("environment", "namespaces"),
    [
        ({}, ()),
        ({"FIBPIPELINE_NAMESPACE": "a"}, ("a",)),
        ({"FIBPIPELINE_NAMESPACES": " b, a,,b "}, ("b", "a")),
        ({"FIBPIPELINE_NAMESPACES": "b", "FIBPIPELINE_NAMESPACE": "a"}, ("b", "a")),
    ],
)
def test_the_scope_is_a_list_of_namespaces_or_the_cluster(environment: dict[str, str], namespaces: tuple[str, ...]) -> None:
    scope = Scope.of(environment)
    assert scope.namespaces == namespaces
    assert scope.clusterwide is not bool(namespaces)
    assert scope.parts == (namespaces or (None,))
