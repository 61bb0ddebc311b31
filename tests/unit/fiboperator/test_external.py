"""An external broker or store is believed only when its Secret is right, and replaces the own one only when it is in use."""

import base64
import copy
from typing import Any

import pytest

from fiboperator import external
from fiboperator.evidence import LOOK_AGAIN_SECONDS, ROTATION_SECONDS
from fiboperator.names import Component
from fiboperator.spec import parse
from tests.pipelines import fibpipeline
from tests.unit.fiboperator.world import World

EXTERNAL = {"postgresql": {"external": {"secretName": "mine"}}}
OWN = ("StatefulSet", "demo-postgresql")


def named(world: World, **data: str) -> None:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": "mine", "namespace": "flask-celery", "uid": "m", "resourceVersion": "1"}
    world.cluster.objects["Secret", "mine"] = {"kind": "Secret", "metadata": metadata, "data": encoded}


def roll_out(world: World, component: str, **status: int) -> None:
    """The Deployment's controller reports."""
    live = world.cluster.objects["Deployment", f"demo-{component}"]
    count = live["spec"]["replicas"]
    numbers = {"replicas": count, "updatedReplicas": count, "readyReplicas": count, "availableReplicas": count}
    live["status"] = {"observedGeneration": live["metadata"]["generation"], **numbers, **status}
    live["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()


@pytest.mark.parametrize(
    ("data", "lack"),
    [
        (None, "does not exist"),
        ({}, "lacks uri"),
        ({"uri": ""}, "lacks uri"),
        ({"uri": "amqp://host"}, "has a uri that does not begin with postgresql://"),
        ({"uri": "host:5432/db"}, "has a uri that does not begin with postgresql://"),
        ({"uri": "postgresql:///db"}, "has a uri that names no host"),
        ({"uri": "postgresql://host:port/db"}, "has a uri that cannot be read"),
    ],
    ids=str,
)
async def test_a_named_secret_that_is_missing_or_wrong_stops_the_pass_before_anything_is_written(data: Any, lack: str) -> None:
    world = World({"deletionPolicy": "Delete"})
    await world.reconcile()
    before = copy.deepcopy({key: body for key, body in world.cluster.objects.items() if key[0] != "FibPipeline"})
    if data is not None:
        named(world, **data)
    world.submit({**EXTERNAL, "deletionPolicy": "Delete"}, generation=2)
    assert await world.reconcile() == LOOK_AGAIN_SECONDS
    assert world.cluster.written == ["status"]
    assert {key: world.cluster.objects[key] for key in before} == before
    message = world.condition()["message"]
    assert f"Secret mine in namespace flask-celery, named by spec.postgresql.external.secretName, {lack}." in message
    assert "kubectl -n flask-celery create secret generic mine --from-literal=uri=postgresql://..." in message
    assert (world.condition()["reason"], world.condition("Stalled")["status"]) == ("SecretNotFound", "True")


async def test_a_secret_that_cannot_be_looked_at_stops_the_pass_too(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.reconcile()
    world.submit(EXTERNAL, generation=2)
    read = world.cluster.read

    async def fail(kind: str, namespace: str, name: str) -> Any:
        if name == "mine":
            raise TimeoutError
        return await read(kind, namespace, name)

    monkeypatch.setattr(world.cluster, "read", fail)
    await world.reconcile()
    assert world.cluster.written == ["status"]


async def test_the_own_store_is_kept_until_the_external_one_is_in_use() -> None:
    world = World()
    await world.reconcile()
    named(world, uri="postgresql://u:p@elsewhere/db")
    world.submit(EXTERNAL, generation=2)

    async def step() -> bool:
        await world.reconcile()
        return OWN in world.cluster.objects

    assert await step(), "nothing of it in the pass that switches"
    assert "apply Deployment demo-api" in world.cluster.written
    for behind in ({"updatedReplicas": 1}, {"readyReplicas": 0}, {"replicas": 9}, {"observedGeneration": 0}):
        roll_out(world, "worker")
        roll_out(world, "api", **behind)
        assert await step(), behind
    roll_out(world, "api")
    roll_out(world, "worker", updatedReplicas=1)
    assert await step(), "workers still use the old one"
    roll_out(world, "worker")
    assert not await step()
    gone = {action for action in world.cluster.written if action.startswith("delete")}
    assert f"delete {OWN[0]} {OWN[1]}" in gone
    assert not [action for action in gone if "PersistentVolumeClaim" in action or "Secret" in action]
    await world.reconcile()
    assert world.cluster.written == []


async def test_a_pod_at_its_last_job_keeps_the_own_store() -> None:
    world = World()
    await world.reconcile()
    named(world, uri="postgresql://u:p@elsewhere/db")
    world.submit(EXTERNAL, generation=2)
    await world.reconcile()
    labels = world.cluster.objects["Deployment", "demo-worker"]["spec"]["template"]["metadata"]["labels"]
    metadata = {"name": "demo-worker-1", "namespace": "flask-celery", "uid": "p", "resourceVersion": "2", "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    world.cluster.objects["Pod", "demo-worker-1"] = pod
    roll_out(world, "api")
    roll_out(world, "worker")
    await world.reconcile()
    assert OWN in world.cluster.objects
    del world.cluster.objects["Pod", "demo-worker-1"]
    world.watch()
    await world.reconcile()
    assert OWN not in world.cluster.objects


async def test_what_has_nothing_to_do_with_the_switch_is_pruned_at_once() -> None:
    world = World()
    await world.reconcile()
    named(world, uri="postgresql://u:p@elsewhere/db")
    world.submit({**EXTERNAL, "flower": {"enabled": False}}, generation=2)
    await world.reconcile()
    assert "delete Deployment demo-flower" in world.cluster.written
    assert OWN in world.cluster.objects


@pytest.mark.parametrize(
    ("component", "uri"),
    [
        (Component.RABBITMQ, "amqps://u:p@host:5671/vhost"),
        (Component.POSTGRESQL, "postgresql://u:p@[::1]:5432/db"),
        (Component.POSTGRESQL, "postgresql:///db?host=/run/postgresql"),
        (Component.POSTGRESQL, "postgresql+psycopg2://host/db?sslmode=require"),
    ],
)
def test_uris_that_the_app_takes_have_no_flaw(component: Component, uri: str) -> None:
    assert external.flaw(component, {"data": {"uri": base64.b64encode(uri.encode()).decode()}}) == ""


async def test_a_rotated_password_replaces_the_pods_that_read_it_and_no_others() -> None:
    world = World(EXTERNAL)
    named(world, uri="postgresql://fib:old@db/fib")
    assert await world.reconcile() is not None
    await world.reconcile()
    assert world.cluster.written == []
    named(world, uri="postgresql://fib:new@db/fib")
    assert await world.reconcile() == ROTATION_SECONDS, "nobody tells of the next one"
    assert [action for action in world.cluster.written if action != "status"] == [
        "apply Deployment demo-api",
        "apply Deployment demo-worker",
    ]
    await world.reconcile()
    assert world.cluster.written == []


def test_the_mark_of_a_password_tells_nothing_of_it_to_other_pipelines() -> None:
    secret = {"data": {"uri": base64.b64encode(b"postgresql://fib:x@db/fib").decode()}}
    one, other = parse(fibpipeline()), parse(fibpipeline(None, uid="another"))
    assert external.fingerprint(one, secret) == external.fingerprint(one, secret)
    assert external.fingerprint(one, secret) != external.fingerprint(other, secret)
