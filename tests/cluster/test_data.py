"""What holds data is never lost by accident: volumes and credentials through switches, losses, successors and deletions."""

import json
import re
from typing import Any

import pytest

from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.cluster.kubectl import Kubectl
from tests.waiting import eventually

URIS = {"rabbitmq": "amqp://user@elsewhere", "postgresql": "postgresql://user@elsewhere/db"}
EXTERNAL = {component: {"external": {"secretName": f"my-{component}"}} for component in URIS}


def claims(namespace: Namespace) -> dict[str, str]:
    """The uids of the volumes by name, those that are on their way out not counted."""
    items = json.loads(namespace.kubectl("get", "pvc", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in items if "deletionTimestamp" not in item["metadata"]}


def with_volumes(namespace: Namespace, spec: dict[str, Any] | None = None) -> dict[str, str]:
    """Wait for a pipeline with both volumes; returns their uids."""
    namespace.apply(spec)
    settled(namespace)
    eventually(lambda: len(claims(namespace)) == 2, "the claims")
    return claims(namespace)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_an_external_broker_and_store_and_back(operator: OperatorProcess, namespace: Namespace, masked: Any, policy: str) -> None:
    spec = {"deletionPolicy": policy}
    volumes = with_volumes(namespace, spec)
    clean, passwords = masked(namespace.children()), namespace.passwords()

    def own() -> set[str]:
        return {key for key in namespace.children() if "rabbitmq" in key or "postgresql" in key}

    before = own()
    namespace.apply({**spec, **EXTERNAL})
    eventually(lambda: namespace.condition().get("reason") == "SecretNotFound", "the Secrets to be missed")
    assert (own(), claims(namespace)) == (before, volumes), "nothing is deleted for Secrets that do not exist"
    for component, uri in URIS.items():
        namespace.kubectl("create", "secret", "generic", f"my-{component}", f"--from-literal=uri={uri}")

    def switched() -> bool:
        assert own() == before, "nor before the external ones are in use"
        return all(names_of_secrets(namespace, component) == {"my-rabbitmq", "my-postgresql"} for component in ("api", "worker"))

    eventually(switched, "API and workers to get the external ones", seconds=60)

    def pruned() -> bool:
        namespace.play_ready()
        return own() == {"Secret/demo-rabbitmq", "Secret/demo-postgresql"}

    eventually(pruned, "their children to be pruned, all but the credentials", seconds=60)
    eventually(lambda: namespace.condition("DatabaseReady").get("reason") == "External", "the status to say so")
    assert claims(namespace) == volumes, "they go with the FibPipeline and with nothing else"
    namespace.apply(spec)
    eventually(lambda: masked(namespace.children()) == clean, "the children to come back as they were")
    assert namespace.passwords() == passwords
    settled(namespace)
    assert claims(namespace) == volumes


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_volumes_and_credentials_go_with_the_pipeline_as_its_policy_says_and_with_no_statefulset(
    operator: OperatorProcess, namespace: Namespace, policy: str
) -> None:
    volumes = with_volumes(namespace, {"deletionPolicy": policy})
    passwords = namespace.passwords()
    uid = namespace.pipeline()["metadata"]["uid"]

    def owners() -> set[str]:
        items = json.loads(namespace.kubectl("get", "pvc", "-o", "json"))["items"]
        return {owner["uid"] for item in items for owner in item["metadata"].get("ownerReferences", [])}

    eventually(lambda: owners() == ({uid} if policy == "Delete" else set()), "the volumes to have their owner")
    before = namespace.children()["StatefulSet/demo-postgresql"]["metadata"]["uid"]
    namespace.kubectl("delete", "statefulset", "demo-postgresql")

    def is_made_again() -> bool:
        there = namespace.children().get("StatefulSet/demo-postgresql")
        return there is not None and bool(there["metadata"]["uid"] != before)

    eventually(is_made_again, "it to be made again")
    settled(namespace)
    assert claims(namespace) == volumes
    namespace.kubectl("delete", "fib", "demo")
    if policy == "Delete":
        eventually(lambda: (claims(namespace), namespace.passwords()) == ({}, {}), "both to go with it", seconds=60)
    else:
        eventually(lambda: "Deployment/demo-api" not in namespace.children(), "its children to go", seconds=60)
        assert (claims(namespace), namespace.passwords()) == (volumes, passwords)


def test_what_lost_its_owner_is_adopted_as_it_is(operator: OperatorProcess, namespace: Namespace) -> None:
    volumes = with_volumes(namespace)
    passwords = namespace.passwords()

    def uids() -> dict[str, str]:
        return {key: child["metadata"]["uid"] for key, child in namespace.children().items()}

    before, pods = uids(), {pod["metadata"]["uid"] for pod in namespace.pods("api")}
    namespace.kubectl("delete", "fib", "demo", "--cascade=orphan")
    namespace.apply()
    uid = namespace.pipeline()["metadata"]["uid"]

    def is_adopted() -> bool:
        owners = {key: child["metadata"].get("ownerReferences", []) for key, child in namespace.children().items()}
        return all([owner["uid"] for owner in of] == [uid] for key, of in owners.items() if not key.startswith("Secret/"))

    eventually(is_adopted, "the children to be the new pipeline's", seconds=60)
    settled(namespace)
    assert uids() == before
    assert {pod["metadata"]["uid"] for pod in namespace.pods("api")} == pods
    assert (namespace.passwords(), claims(namespace)) == (passwords, volumes)
    assert namespace.condition().get("reason") not in ("Conflict", "Progressing")


def test_a_restored_volume_without_labels_gets_no_new_password(operator: OperatorProcess, namespace: Namespace) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-demo-postgresql-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}},
    }
    namespace.kubectl("create", "--filename=-", stdin=json.dumps(claim))
    namespace.apply()
    eventually(lambda: namespace.condition().get("reason") == "SecretNotFound", "the lack to be named")
    assert "PersistentVolumeClaim data-demo-postgresql-0 holds data" in namespace.condition()["message"]
    assert namespace.passwords() == {}


def names_of_secrets(namespace: Namespace, component: str) -> set[str]:
    """The Secrets that a component's pods get."""
    [projected] = [volume for volume in pod_spec(namespace, component)["volumes"] if volume["name"] == "secrets"]
    return {source["secret"]["name"] for source in projected["projected"]["sources"]}


def pod_spec(namespace: Namespace, component: str) -> dict[str, Any]:
    return dict(namespace.children()[f"Deployment/demo-{component}"]["spec"]["template"]["spec"])


DAMAGES = {
    "deleted": ("delete", "secret", "demo-postgresql"),
    "key removed": ("patch", "secret", "demo-postgresql", "--type=json", '-p=[{"op":"remove","path":"/data/password"}]'),
    "value emptied": ("patch", "secret", "demo-postgresql", '-p={"data":{"password":""}}'),
    "no text": ("patch", "secret", "demo-postgresql", '-p={"data":{"admin-password":"/w=="}}'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_row_26_a_lost_credential_is_never_made_up_again_over_data(
    operator: OperatorProcess, namespace: Namespace, damage: tuple[str, ...]
) -> None:
    with_volumes(namespace)
    before = namespace.passwords()
    saved = namespace.kubectl("get", "secret", "demo-postgresql", "-o", "json")
    namespace.kubectl(*damage)
    eventually(lambda: namespace.condition().get("reason") == "SecretNotFound", "the loss to be told")
    damaged = namespace.passwords()
    assert "Restore the Secret from a backup" in namespace.condition()["message"]
    namespace.kubectl("annotate", "fib", "demo", "look=again")
    eventually(lambda: namespace.pipeline()["metadata"]["annotations"]["look"], "the touch")
    assert namespace.passwords() == damaged, "nothing is made up"
    body = json.loads(saved)
    del body["metadata"]["resourceVersion"], body["metadata"]["uid"]
    namespace.kubectl("delete", "--ignore-not-found", "secret", "demo-postgresql")
    namespace.kubectl("create", "-f", "-", stdin=json.dumps(body))
    eventually(lambda: namespace.condition().get("reason") == "WaitingForBroker", "the restored Secret to be accepted")
    assert namespace.passwords() == before


def test_starting_empty_as_the_condition_says(operator: OperatorProcess, namespace: Namespace) -> None:
    volumes = with_volumes(namespace)
    before = namespace.passwords()
    namespace.kubectl("delete", "secret", "demo-postgresql")
    eventually(lambda: namespace.condition().get("reason") == "SecretNotFound", "the loss to be told")
    [remedy] = re.findall(r"kubectl (-n .*)", namespace.condition()["message"])
    namespace.kubectl(*remedy.split(" "))
    settled(namespace)
    eventually(lambda: "data-demo-postgresql-0" in claims(namespace), "a new volume")
    after = namespace.passwords()
    assert after["Secret/demo-postgresql"] != before["Secret/demo-postgresql"]
    assert after["Secret/demo-rabbitmq"] == before["Secret/demo-rabbitmq"]
    assert claims(namespace)["data-demo-postgresql-0"] != volumes["data-demo-postgresql-0"]
    assert claims(namespace)["data-demo-rabbitmq-0"] == volumes["data-demo-rabbitmq-0"]


@pytest.mark.parametrize("operator_is_up", [True, False], ids=["operator up", "operator down"])
def test_row_19_a_successor_of_the_same_name_owns_all_that_it_has(
    operator: OperatorProcess, namespace: Namespace, operator_is_up: bool
) -> None:
    volumes = with_volumes(namespace)
    passwords, first = namespace.passwords(), namespace.pipeline()["metadata"]["uid"]
    if not operator_is_up:
        operator.kill()
    namespace.kubectl("delete", "fib", "demo", "--timeout=5s")
    namespace.apply()
    second = namespace.pipeline()["metadata"]["uid"]
    assert second != first
    if not operator_is_up:
        operator.start()

    def owners() -> set[str]:
        return {owner["uid"] for child in namespace.children().values() for owner in child["metadata"].get("ownerReferences", [])}

    eventually(lambda: owners() == {second} and namespace.converged(), "everything to be the successor's", seconds=90)
    settled(namespace)
    assert owners() == {second}
    assert (namespace.passwords(), claims(namespace)) == (passwords, volumes)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_namespace_goes_with_the_operator_gone(operator: OperatorProcess, namespace: Namespace, kubectl: Kubectl, policy: str) -> None:
    with_volumes(namespace, {"deletionPolicy": policy})
    operator.kill()
    kubectl("delete", "namespace", namespace.name, "--timeout=90s")
    kubectl("create", "namespace", namespace.name)


def test_paused_leaves_everything_as_it_is_and_says_so(operator: OperatorProcess, namespace: Namespace) -> None:
    with_volumes(namespace)
    namespace.apply({"paused": True, "api": {"replicas": 5}})
    eventually(lambda: namespace.pipeline()["status"]["observedGeneration"] == 2, "the status to be of this generation")
    namespace.kubectl("delete", "service", "demo-api")
    passes = operator.passes()
    namespace.kubectl("annotate", "fib", "demo", "look=again")
    eventually(lambda: operator.passes() > passes, "another pass")
    assert "Service/demo-api" not in namespace.children()
    assert namespace.children()["Deployment/demo-api"]["spec"]["replicas"] == 2
    namespace.apply({"paused": False, "api": {"replicas": 5}})
    eventually(lambda: "Service/demo-api" in namespace.children(), "the work to go on")
    eventually(lambda: namespace.children()["Deployment/demo-api"]["spec"]["replicas"] == 5, "the change to be applied")
