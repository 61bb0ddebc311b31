"""What is looked at beyond the children, and what it costs."""

from typing import Any

import pytest

from fiboperator.evidence import LOOK_AGAIN_SECONDS, PATIENCE_SECONDS, ROTATION_SECONDS, gather
from fiboperator.spec import parse
from tests.pipelines import fibpipeline
from tests.unit.fiboperator.world import World

CREATED, AT_ONCE, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:05Z"
NAMES = {
    "rabbitmq": {"external": {"secretName": "both"}},
    "postgresql": {"external": {"secretName": "store"}},
    "ingress": {"tls": {"secretName": "both"}},
}


# amqp://host, postgresql://host
URIS = {"both": "YW1xcDovL2hvc3Q=", "store": "cG9zdGdyZXNxbDovL2hvc3Q="}


def secret(name: str, *keys: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "flask-celery", "resourceVersion": "1", "uid": name}
    return {"kind": "Secret", "metadata": metadata, "data": {key: URIS.get(name, "eA==") for key in keys}}


async def look(world: World, spec: Any = None, live: Any = None, now: str = LATER) -> Any:
    return await gather(world.cluster, parse(fibpipeline(spec)), live or {}, now)  # type: ignore[arg-type]


async def test_a_pipeline_that_names_no_secret_costs_no_request() -> None:
    world = World()
    found = await look(world)
    assert (found.lacking, found.told, found.retry, world.cluster.reads) == ({}, {}, None, [])


async def test_each_secret_that_the_spec_names_is_looked_at_once() -> None:
    world = World()
    world.cluster.objects["Secret", "both"] = secret("both", "uri", "tls.crt")
    found = await look(world, NAMES)
    assert found.lacking == {"both": "lacks tls.key", "store": "does not exist"}
    assert found.retry == LOOK_AGAIN_SECONDS
    assert sorted(world.cluster.reads) == ["Secret both", "Secret store"]
    world.cluster.objects["Secret", "both"] = secret("both", "uri", "tls.crt", "tls.key")
    world.cluster.objects["Secret", "store"] = secret("store", "uri")
    found = await look(world, NAMES)
    assert (found.lacking, found.retry) == ({}, ROTATION_SECONDS)


async def test_a_certificate_is_of_no_interest_without_a_way_in() -> None:
    world = World()
    await look(world, {"ingress": {"enabled": False, "tls": {"secretName": "cert"}}})
    assert world.cluster.reads == []


@pytest.mark.parametrize(("now", "told", "retry"), [(AT_ONCE, {}, PATIENCE_SECONDS), (LATER, {"x"}, LOOK_AGAIN_SECONDS)])
async def test_events_are_read_only_when_the_trouble_lasts(now: str, told: Any, retry: float) -> None:
    world = World()
    live = {
        "kind": "StatefulSet",
        "metadata": {"name": "demo-rabbitmq", "generation": 1, "creationTimestamp": CREATED},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 0},
    }
    world.cluster.warnings["StatefulSet", "demo-rabbitmq"] = "x"
    found = await look(world, None, {("StatefulSet", "demo-rabbitmq"): live}, now)
    assert (set(found.told.values()), found.retry) == (set(told), retry)
