"""The watches keep the store equal to the cluster, whatever happens between two of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fiboperator import watches
from fiboperator.children import Change, Children
from fiboperator.errors import ApiError, Gone
from fiboperator.kinds import WATCHED_KINDS
from fiboperator.scope import Scope
from fiboperator.watches import Watches

Object = dict[str, Any]


def service(name: str, version: int) -> Object:
    labels = {"app.kubernetes.io/instance": "demo"}
    metadata = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(version), "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata}


class ScriptedCluster:
    """Lists and streams for Services as scripted; every other kind is empty and silent. `done` is set when the script has ended."""

    def __init__(self, *script: Any) -> None:
        self.scope = Scope()
        self.script = list(script)
        self.done = asyncio.Event()
        self.asked: list[str] = []

    async def list_children(self, kind: str, namespace: str | None) -> AsyncIterator[tuple[list[Object], str]]:
        if kind != "Service":
            yield [], "1"
            return
        self.asked.append("list")
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield answer, "10"

    async def watch_children(self, kind: str, namespace: str | None, version: str) -> AsyncIterator[tuple[str, Object]]:
        if kind != "Service" or not self.script:
            if kind == "Service":
                self.done.set()
            await asyncio.Event().wait()
        self.asked.append(f"watch from {version}")
        for event in self.script.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "BACKOFF_BASE_SECONDS", 0.0)
    monkeypatch.setattr(watches, "PAUSE_SECONDS", 0.0)


async def follow(*script: Any) -> tuple[ScriptedCluster, set[str], list[Change], Watches]:
    """Run the script to its end; returns what was asked, the Services known then, the changes told, the watches."""
    cluster, children, told = ScriptedCluster(*script), Children(), list[Change]()
    watched = Watches(cluster, children, told.append)  # type: ignore[arg-type]
    task = asyncio.create_task(watched.run())
    await asyncio.wait_for(cluster.done.wait(), 5)
    task.cancel()
    return cluster, {name for _, name in children.of(("ns", "demo"))}, told, watched


async def test_a_list_and_then_what_changes() -> None:
    cluster, known, told, _ = await follow(
        [service("a", 5)],
        [("ADDED", service("b", 11)), ("BOOKMARK", service("", 20)), ("DELETED", service("a", 21))],
    )
    assert known == {"b"}
    assert told == [Change(("ns", "demo"))] * 3
    assert cluster.asked == ["list", "watch from 10"]


async def test_a_stream_that_ends_is_resumed_where_it_was() -> None:
    cluster, _, told, _ = await follow([service("a", 5)], [("BOOKMARK", service("", 30))], [("MODIFIED", service("a", 31))])
    assert cluster.asked == ["list", "watch from 10", "watch from 30"]
    assert told == [Change(("ns", "demo")), Change(("ns", "demo"), reported=True)]


async def test_after_a_gap_what_is_not_listed_any_more_is_gone() -> None:
    cluster, known, told, _ = await follow([service("a", 5), service("b", 6)], [Gone()], [service("b", 6)])
    assert cluster.asked == ["list", "watch from 10", "list"]
    assert known == {"b"}
    assert told == [Change(("ns", "demo"))] * 2, "once for the first list, once for the loss; an unchanged object is no news"


async def test_an_error_is_tried_again_and_told_until_the_list_succeeds() -> None:
    refused = ApiError("list Service", 403, "Forbidden", "cannot list services")
    cluster, known, _, watched = await follow(refused, [service("a", 5)], [ApiError("watch Service", 0, "Unreachable", "reset")])
    assert cluster.asked == ["list", "list", "watch from 10"]
    assert known == {"a"}
    assert watched.trouble() is None, "what is listed is known, even while the stream is down"


async def test_a_kind_that_cannot_be_listed_is_trouble() -> None:
    refused = ApiError("list Service", 403, "Forbidden", "cannot list services")
    cluster = ScriptedCluster(*[refused] * 10_000)
    watched = Watches(cluster, Children(), lambda _: None)  # type: ignore[arg-type]
    task = asyncio.create_task(watched.run())
    await asyncio.wait_for(watched.tried(), 5)
    assert watched.trouble() is refused
    task.cancel()


async def test_a_kind_that_is_no_longer_watched_is_trouble_after_a_while_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ApiError("watch Service", 403, "Forbidden", "cannot watch services")
    now, blind, cluster = [0.0], list[float](), ScriptedCluster([])
    times = iter([0.0, 60.0, 119.0, 121.0, 122.0])

    async def watch_children(kind: str, namespace: str | None, version: str) -> AsyncIterator[tuple[str, Object]]:
        if kind != "Service":
            await asyncio.Event().wait()
        for moment in times:
            now[0] = moment
            raise refused
        yield "BOOKMARK", service("", 20)
        cluster.done.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(cluster, "watch_children", watch_children)
    watched = Watches(cluster, Children(), lambda _: None, lambda: blind.append(now[0]), lambda: now[0])  # type: ignore[arg-type]
    told = list[bool]()
    monkeypatch.setattr(watches.logger, "warning", lambda *_: told.append(watched.trouble() is refused))
    task = asyncio.create_task(watched.run())
    await asyncio.wait_for(cluster.done.wait(), 5)
    task.cancel()
    assert told == [False, False, False, True, True]
    assert blind == [121.0]
    assert watched.trouble() is None, "a bookmark shows that it works again"


def test_every_kind_is_watched_once() -> None:
    assert len(WATCHED_KINDS) == len(set(WATCHED_KINDS.values()))
