"""Two pipelines on one host, on a real API server."""

import secrets
from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.cluster.kubectl import Kubectl
from tests.cluster.test_status import told
from tests.waiting import eventually

EVERY_HOST = {"ingress": {"host": ""}}


@pytest.fixture
def neighbour(kubectl: Kubectl, api: httpx.Client) -> Iterator[Namespace]:
    """Another namespace."""
    name = f"t-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield Namespace(kubectl, api, name)
    kubectl("delete", "namespace", name, "--wait=false")


def test_the_second_default_pipeline_has_no_ingress_until_the_first_is_gone(
    operator: OperatorProcess, namespace: Namespace, neighbour: Namespace
) -> None:
    namespace.apply(EVERY_HOST)
    settled(namespace)
    neighbour.apply(EVERY_HOST)
    assert f"Ingress {namespace.name}/demo is older and serves every host" in told(neighbour, "Exposed", "HostTaken")
    settled(neighbour)
    assert "Ingress/demo" in namespace.children()
    assert "Ingress/demo" not in neighbour.children()
    assert neighbour.condition("APIReady")["reason"] == "Progressing", "nothing else is concerned"
    namespace.kubectl("delete", "fib", "demo")
    told(neighbour, "Exposed", "NoAddress")
    assert "Ingress/demo" in neighbour.children()


def test_a_refused_ingress_stops_nothing_else(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.kubectl("create", "quota", "none", "--hard=count/ingresses.networking.k8s.io=0")
    eventually(lambda: namespace.kubectl("get", "quota", "none", "-o", "jsonpath={.status.hard}"), "the quota to count")
    namespace.apply()
    assert "exceeded quota: none" in told(namespace, "Exposed", "QuotaExceeded")
    assert namespace.condition()["reason"] == "WaitingForBroker"
    assert "url" not in namespace.pipeline()["status"]
