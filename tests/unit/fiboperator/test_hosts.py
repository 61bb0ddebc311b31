"""Which pipeline's Ingress serves a host."""

from typing import Any

import pytest

from fiboperator.children import Children
from fiboperator.errors import ApiError
from fiboperator.hosts import Hosts, PipelineKey
from fiboperator.reconcile import SLOW_RETRY_SECONDS
from tests.unit.fiboperator.world import World

FIRST, SECOND = ("team-a", "demo"), ("team-b", "demo")


def ingress(pipeline: PipelineKey, created: str, host: str = "", class_name: str = "", version: int = 1) -> dict[str, Any]:
    namespace, name = pipeline
    labels = {"app.kubernetes.io/instance": name, "app.kubernetes.io/component": "api"}
    metadata = {"namespace": namespace, "name": name, "creationTimestamp": created, "uid": f"uid-{namespace}", "labels": labels}
    return {
        "kind": "Ingress",
        "metadata": {**metadata, "resourceVersion": str(version)},
        "spec": {
            **({"ingressClassName": class_name} if class_name else {}),
            "rules": [{**({"host": host} if host else {}), "http": {"paths": []}}],
        },
    }


OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def hosts(*ingresses: tuple[PipelineKey, dict[str, Any]]) -> Hosts:
    found = Hosts()
    for pipeline, live in ingresses:
        found.put(pipeline, live)
    return found


def test_the_older_ingress_keeps_its_host() -> None:
    for order in ((FIRST, SECOND), (SECOND, FIRST)):
        created = {FIRST: OLD, SECOND: NEW}
        found = hosts(*((pipeline, ingress(pipeline, created[pipeline])) for pipeline in order))
        assert found.holder(FIRST, "", None) is None
        assert found.holder(SECOND, "", None) == FIRST


def test_equally_old_ingresses_are_told_apart_by_their_names() -> None:
    found = hosts((FIRST, ingress(FIRST, OLD)), (SECOND, ingress(SECOND, OLD)))
    assert (found.holder(FIRST, "", None), found.holder(SECOND, "", None)) == (None, FIRST)


def test_other_hosts_and_other_classes_are_no_rivals() -> None:
    found = hosts((FIRST, ingress(FIRST, OLD, class_name="nginx")))
    assert found.holder(SECOND, "", "traefik") is None
    assert found.holder(SECOND, "fib.example.com", "nginx") is None
    assert found.holder(SECOND, "", "nginx") == FIRST
    assert found.holder(SECOND, "", None) == FIRST, "the default class may be nginx"
    found.put(SECOND, ingress(SECOND, NEW, class_name="traefik"))
    assert found.holder(SECOND, "", None) is None, "the API server filled in the default class"


def test_an_ingress_that_moves_to_a_host_does_not_take_it_from_its_holder() -> None:
    found = hosts((FIRST, ingress(FIRST, OLD, host="other.example.com")), (SECOND, ingress(SECOND, NEW)))
    assert found.holder(FIRST, "", None) == SECOND
    found = hosts((FIRST, ingress(FIRST, OLD, class_name="traefik")), (SECOND, ingress(SECOND, NEW, class_name="nginx")))
    assert found.holder(FIRST, "", "nginx") == SECOND


def test_who_waits_for_a_host_is_called_when_it_is_free() -> None:
    called: list[PipelineKey] = []
    children = Children(Hosts(called.append))
    children.put(ingress(FIRST, OLD))
    assert children.hosts.holder(SECOND, "", None) == FIRST
    children.put(ingress(FIRST, OLD, version=2))
    assert called == [], "nothing moved"
    children.put(ingress(FIRST, OLD, host="fib.example.com", version=3))
    assert called == [SECOND]
    assert children.hosts.holder(SECOND, "", None) is None
    assert children.hosts.holder(SECOND, "fib.example.com", None) == FIRST
    children.drop(ingress(FIRST, OLD, host="fib.example.com", version=4))
    assert called == [SECOND, SECOND]
    children.hosts.forget(SECOND)


def test_of_two_that_appear_at_once_the_first_to_be_seen_is_called_too() -> None:
    called: list[PipelineKey] = []
    found = Hosts(called.append)
    found.put(SECOND, ingress(SECOND, NEW))
    found.put(FIRST, ingress(FIRST, OLD))
    assert called == [SECOND]


def test_a_relisting_frees_the_host_of_what_is_gone() -> None:
    called: list[PipelineKey] = []
    children = Children(Hosts(called.append))
    children.put(ingress(FIRST, OLD))
    children.hosts.holder(SECOND, "", None)
    children.retain("Ingress", set())
    assert called == [SECOND]


async def test_a_second_default_pipeline_has_no_ingress_no_url_and_says_who_has_the_host() -> None:
    world = World()
    world.elsewhere = [ingress(FIRST, OLD)]
    world.watch()
    assert await world.reconcile() is None, "no timer: it is called when the host is free"
    assert ("Ingress", "demo") not in world.cluster.objects
    exposed = world.condition("Exposed")
    assert (exposed["status"], exposed["reason"]) == ("False", "HostTaken")
    assert "Ingress team-a/demo is older and serves every host" in exposed["message"]
    assert "spec.ingress.host" in exposed["message"]
    assert "kubectl -n flask-celery port-forward svc/demo-api" in exposed["message"]
    assert world.condition()["reason"] == "WaitingForBroker", "nothing else is concerned"
    assert "url" not in world.cluster.objects["FibPipeline", "demo"]["status"]
    await world.reconcile()
    assert world.cluster.written == []
    world.restart()
    await world.reconcile()
    assert world.cluster.written == [], "nor does a restart write"
    world.elsewhere = []
    world.watch()
    await world.reconcile()
    assert ("Ingress", "demo") in world.cluster.objects
    assert world.condition("Exposed")["reason"] == "NoAddress"


async def test_the_younger_of_two_ingresses_goes_and_its_address_is_not_believed() -> None:
    world = World({"ingress": {"host": "fib.example.com"}})
    await world.reconcile()
    world.cluster.objects["Ingress", "demo"]["metadata"]["creationTimestamp"] = NEW
    world.cluster.objects["Ingress", "demo"]["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.elsewhere = [ingress(FIRST, OLD, host="fib.example.com")]
    world.watch()
    await world.reconcile()
    assert "delete Ingress demo" in world.cluster.written
    assert world.condition("Exposed")["reason"] == "HostTaken"
    assert "url" not in world.cluster.objects["FibPipeline", "demo"]["status"]


@pytest.mark.parametrize("action", ["create Ingress", "apply Ingress"])
async def test_a_refused_ingress_stops_nothing_else(action: str) -> None:
    world = World()
    if action == "apply Ingress":
        await world.reconcile()
    refused = ApiError(action, 400, "BadRequest", 'admission webhook "validate.nginx.ingress.kubernetes.io" denied the request')
    world.cluster.failures[action] = refused
    world.submit({"ingress": {"annotations": {"a": "b"}}, "flower": {"readOnly": False}})
    assert await world.reconcile() == SLOW_RETRY_SECONDS
    assert ("Deployment", "demo-flower") in world.cluster.objects
    exposed = world.condition("Exposed")
    assert (exposed["status"], exposed["reason"]) == ("False", "Refused")
    assert "validate.nginx.ingress.kubernetes.io" in exposed["message"]
    assert world.condition()["reason"] == "WaitingForBroker"
    world.cluster.failures.clear()
    await world.reconcile()
    assert world.cluster.objects["Ingress", "demo"]["metadata"]["annotations"]["a"] == "b"
    assert world.condition("Exposed")["reason"] == "NoAddress"
