"""Operators side by side: of another version, for the whole cluster, for some namespaces. Never do two of them work on one pipeline."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from fiboperator.leases import CLUSTER_LEASE, CLUSTER_LEASE_NAMESPACE, NAMESPACE_LEASE
from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.cluster.kubectl import Kubectl
from tests.waiting import eventually

Start = Callable[..., OperatorProcess]


@pytest.fixture
def start(operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts operators of a name and a version each; at the end all of them give their Leases back."""
    started: list[OperatorProcess] = []

    def begin(name: str, *namespaces: str, version: str = "0.1.0") -> OperatorProcess:
        process = OperatorProcess(operator_kubeconfig, tmp_path / f"{name}.log")
        process.variables |= {
            "POD_NAME": name,
            "POD_NAMESPACE": f"install-{name}",
            "FIBPIPELINE_NAMESPACES": ",".join(namespaces),
            "FIBPIPELINE_APP_IMAGE": f"fibpipeline/app:{version}",
        }
        started.append(process)
        return process.start()

    yield begin
    for process in started:
        process.stop()


def image(namespace: Namespace) -> str:
    """The image of the workers."""
    template = namespace.children()["Deployment/demo-worker"]["spec"]["template"]
    return str(template["spec"]["containers"][0]["image"])


def works(operator: OperatorProcess) -> None:
    eventually(lambda: operator.readiness().startswith("working"), "the operator to work", seconds=60)


def writes(operator: OperatorProcess) -> float:
    """How many writes of any kind it has sent."""
    lines = httpx.get(f"http://127.0.0.1:{operator.metrics_port}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("fibpipeline_writes_total"))


def test_of_two_versions_for_the_cluster_one_works_and_the_other_takes_over_once(
    start: Start, namespace: Namespace, kubectl: Kubectl
) -> None:
    first = start("first")
    works(first)
    second = start("second", version="0.2.0")
    namespace.apply()
    settled(namespace)
    assert image(namespace) == "fibpipeline/app:0.1.0"
    assert second.readiness() == (
        f"waiting: Lease {CLUSTER_LEASE} in namespace {CLUSTER_LEASE_NAMESPACE} is held by install-first/first"
    ), "healthy, and says for whom it waits"
    assert "is held by install-first/first" in second.log.read_text()
    assert writes(second) == 0
    shown = kubectl("get", "leases", "-A", "--field-selector", f"metadata.name={CLUSTER_LEASE}")
    assert shown.split()[4:7] == [CLUSTER_LEASE_NAMESPACE, CLUSTER_LEASE, "install-first/first"]
    first.stop()
    eventually(lambda: image(namespace) == "fibpipeline/app:0.2.0", "the second to take over at once", seconds=15)
    before = settled(namespace)
    start("third")
    namespace.kubectl("delete", "service", "demo-api")
    eventually(lambda: "Service/demo-api" in namespace.children(), "the second to repair")
    assert image(namespace) == "fibpipeline/app:0.2.0", "no rollout back"
    assert settled(namespace)["Deployment/demo-worker"] == before["Deployment/demo-worker"]


@pytest.fixture
def other(kubectl: Kubectl, api: httpx.Client) -> Iterator[Namespace]:
    """A second namespace."""
    name = f"t-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield Namespace(kubectl, api, name)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.timeout(400)
def test_a_cluster_wide_operator_leaves_a_namespace_to_its_own_install_and_takes_over_when_that_is_gone(
    start: Start, namespace: Namespace, other: Namespace
) -> None:
    wide = start("wide")
    works(wide)
    for each in (namespace, other):
        each.apply()
        settled(each)
    own = start("own", namespace.name, version="0.2.0")
    eventually(lambda: image(namespace) == "fibpipeline/app:0.2.0", "the namespace's own operator to work", seconds=60)
    assert own.readiness().startswith("working")
    namespace.kubectl("annotate", "fib", "demo", "touched=yes")
    left = eventually(lambda: namespace.condition("ManagedElsewhere"), "the condition")
    assert (left["status"], left["reason"]) == ("True", "ManagedElsewhere")
    assert "The operator in install-wide leaves this pipeline alone: it belongs to the operator in install-own" in left["message"]
    assert namespace.condition()["reason"] == "WaitingForBroker", "what the install at work says stays"
    before = settled(namespace)
    namespace.kubectl("annotate", "fib", "demo", "touched=again", "--overwrite")
    after = settled(namespace)
    assert {**after, "FibPipeline/demo": ""} == {**before, "FibPipeline/demo": ""}, "and nothing is rolled to and fro"
    other.kubectl("delete", "service", "demo-api")
    eventually(lambda: "Service/demo-api" in other.children(), "the other namespace to be served as before")
    own.stop()
    namespace.kubectl("delete", "lease", NAMESPACE_LEASE)
    eventually(lambda: image(namespace) == "fibpipeline/app:0.1.0", "the cluster-wide operator to take over", seconds=90)
    eventually(lambda: namespace.condition("ManagedElsewhere") == {}, "the condition to be taken back")


@pytest.mark.timeout(400)
def test_lists_of_namespaces_are_served_and_what_they_have_in_common_by_one_only(
    start: Start, namespace: Namespace, other: Namespace
) -> None:
    first = start("first", namespace.name, other.name)
    works(first)
    second = start("second", other.name, version="0.2.0")
    for each in (namespace, other):
        each.apply()
        settled(each)
        assert image(each) == "fibpipeline/app:0.1.0"
    assert "is held by install-first/first" in second.readiness()
    assert eventually(lambda: other.condition("ManagedElsewhere"), "the condition")["status"] == "True"
    assert namespace.condition("ManagedElsewhere") == {}
    other.kubectl("delete", "service", "demo-api")
    eventually(lambda: "Service/demo-api" in other.children(), "a repair in the second namespace of the list")
