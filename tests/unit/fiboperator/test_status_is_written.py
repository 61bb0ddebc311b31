"""The status is written whatever else fails: never does the last word of better times stay."""

import asyncio
import copy
from typing import Any, Never

import pytest

from fiboperator import evidence
from fiboperator.autoscale import Reading
from fiboperator.children import Change
from fiboperator.errors import ApiError
from tests.unit.fiboperator.world import KEY, World

AWAY = ApiError("list the events", 503, "ServiceUnavailable", "etcd of the events is away")


async def refuse(*_: Any) -> Never:
    raise AWAY


async def hang(*_: Any) -> Never:
    await asyncio.Event().wait()
    raise AssertionError


async def in_trouble(spec: Any = None) -> World:
    """A pipeline whose broker lost its pod and does not say why."""
    world = World(spec)
    await world.reconcile()
    broker = world.cluster.objects["StatefulSet", "demo-rabbitmq"]
    broker["status"] = {"observedGeneration": 1, "replicas": 0}
    broker["metadata"] |= {"resourceVersion": str(next(world.cluster.versions)), "creationTimestamp": "2026-01-01T00:00:00Z"}
    world.watch()
    return world


@pytest.mark.parametrize("answer", [refuse, hang])
async def test_events_that_cannot_be_read_keep_no_status_back(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "EXPLANATION_SECONDS", 0.01)
    world = await in_trouble()
    monkeypatch.setattr(world.cluster, "last_warning", answer)
    world.submit({"flower": {"enabled": False}}, generation=2)
    await world.reconcile()
    assert world.condition()["observedGeneration"] == 2
    assert world.condition("BrokerReady")["status"] == "False"


async def test_an_event_that_cannot_be_posted_fails_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(world.cluster, "post_event", refuse)
    world.cluster.objects["ConfigMap", "demo-postgresql"] = {
        "kind": "ConfigMap",
        "metadata": {"name": "demo-postgresql", "namespace": KEY[0], "resourceVersion": "7", "uid": "f"},
    }
    await world.reconcile()
    assert world.condition()["reason"] == "Conflict"


@pytest.mark.parametrize("answer", [refuse, hang])
async def test_what_a_secret_holds_that_cannot_be_read_now_is_unknown(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "EXPLANATION_SECONDS", 0.01)
    world = World()
    world.cluster.objects["Secret", "mine"] = {
        "kind": "Secret",
        "metadata": {"name": "mine", "namespace": KEY[0], "resourceVersion": "7", "uid": "s"},
        "data": {"uri": "eA=="},
    }
    world.submit({"postgresql": {"external": {"secretName": "mine"}}})
    await world.reconcile()
    read = world.cluster.read

    async def one_fails(kind: str, namespace: str, name: str) -> Any:
        return await (answer() if name == "mine" else read(kind, namespace, name))

    monkeypatch.setattr(world.cluster, "read", one_fails)
    world.submit({"postgresql": {"external": {"secretName": "mine"}}, "flower": {"enabled": False}}, generation=3)
    await world.reconciler(KEY)
    database, ready = world.condition("DatabaseReady"), world.condition()
    assert (database["status"], database["reason"]) == ("Unknown", "SecretUnseen")
    assert ready["status"] != "True"
    assert ready["observedGeneration"] == 3


async def test_a_paused_pipeline_with_an_autoscaler_of_somebody_elses_making_gets_its_status() -> None:
    world = World()
    await world.reconcile()
    autoscaler = world.cluster.objects["HorizontalPodAutoscaler", "demo-worker"]
    autoscaler["spec"]["metrics"] = [{"type": "External", "external": {"metric": {"name": "queue"}}}]
    autoscaler["status"] = {
        "conditions": [{"type": kind, "status": "True"} for kind in ("AbleToScale", "ScalingActive")],
        "currentMetrics": [{"type": "External", "external": {"current": {"value": "3"}}}, {"type": ""}],
    }
    autoscaler["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.loads.reading = Reading(away="no API pod answers")
    world.submit({"paused": True}, generation=2)
    world.watch()
    await world.reconcile()
    assert world.condition()["observedGeneration"] == 2
    assert world.condition("AutoscalingActive")["reason"] == "Paused"


async def test_an_edit_that_arrives_inside_the_reply_to_a_status_write_is_acted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.reconcile()
    stored = copy.deepcopy(world.cluster.objects["FibPipeline", "demo"])
    stored["spec"]["api"]["replicas"] = 9
    stored["metadata"] |= {"generation": 2, "resourceVersion": str(next(world.cluster.versions))}
    world.cluster.objects["FibPipeline", "demo"] = stored

    async def apply_status(_: Any, status: Any) -> Any:
        # As server-side apply does it: onto the object that is stored now, whatever the writer knew of it.
        body = {**copy.deepcopy(world.cluster.objects["FibPipeline", "demo"]), "status": status}
        body["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
        world.cluster.objects["FibPipeline", "demo"] = body
        return copy.deepcopy(body)

    monkeypatch.setattr(world.cluster, "apply_status", apply_status)
    broker = world.cluster.objects["StatefulSet", "demo-rabbitmq"]
    broker["status"] = {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1}
    broker["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()
    assert await world.reconcile() == 0, "at once, by the present spec"
    assert world.reconciler.observe(stored) is None, "the watch brings nothing that is newer"
    assert world.reconciler.observe(world.cluster.objects["FibPipeline", "demo"]) in (None, Change(KEY, reported=True))
    await world.reconcile()
    assert world.cluster.objects["Deployment", "demo-api"]["spec"]["replicas"] == 9
    assert world.condition()["observedGeneration"] == 2
