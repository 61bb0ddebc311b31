"""The operator's promises on a real API server: everything is made, kept, repaired, pruned and left behind as the spec says."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.conftest import Namespace, OperatorProcess, settled
from tests.waiting import eventually

Mask = Callable[[dict[str, dict[str, Any]]], dict[str, Any]]


def test_a_minimal_pipeline_gets_all_its_children_and_a_status(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    kinds = [key.partition("/")[0] for key in namespace.children()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "ConfigMap": 1,
        "Deployment": 3,
        "HorizontalPodAutoscaler": 1,
        "Ingress": 1,
        "NetworkPolicy": 5,
        "PodDisruptionBudget": 2,
        "Secret": 3,
        "Service": 7,
        "ServiceAccount": 5,
        "StatefulSet": 2,
    }
    pipeline = namespace.pipeline()
    assert "finalizers" not in pipeline["metadata"]
    assert [name for name in pipeline["metadata"].get("annotations", {}) if "kubectl" not in name] == []
    assert pipeline["status"]["observedGeneration"] == 1
    assert namespace.condition()["reason"] == "WaitingForBroker"
    table = namespace.kubectl("get", "fibpipelines")
    assert table.split()[:7] == ["NAME", "READY", "STATUS", "API", "WORKERS", "URL", "AGE"]
    assert "demo   False   WaitingForBroker   0/2   0/3" in table


def test_rows_3_and_10_an_unchanged_pipeline_costs_no_write_and_neither_does_a_restart(
    operator: OperatorProcess, namespace: Namespace
) -> None:
    namespace.apply()
    before = settled(namespace)
    operator.stop()
    operator.start()
    eventually(lambda: operator.passes() >= 1, "the first pass after the restart")
    assert namespace.versions() == before
    passes = operator.passes()
    namespace.kubectl("annotate", "fib", "demo", "touched=yes")
    eventually(lambda: operator.passes() > passes, "a pass because of the touch")
    touched = namespace.versions()
    assert {**touched, "FibPipeline/demo": ""} == {**before, "FibPipeline/demo": ""}


@pytest.mark.parametrize(
    "kind",
    [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    ],
)
def test_row_7_a_deleted_child_comes_back(operator: OperatorProcess, namespace: Namespace, masked: Mask, kind: str) -> None:
    namespace.apply()
    settled(namespace)
    clean = masked(namespace.children())
    victim = next(key for key in clean if key.startswith(f"{kind}/"))
    namespace.kubectl("delete", victim, "--cascade=background")
    eventually(lambda: masked(namespace.children()) == clean, f"{victim} to come back")


def test_row_8_a_field_of_ours_is_restored_and_one_of_others_is_left_alone(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    patch = {"metadata": {"annotations": {"injected": "yes"}}, "spec": {"replicas": 7}}
    namespace.kubectl("patch", "deployment", "demo-api", "--type=merge", "-p", json.dumps(patch))

    def api() -> dict[str, Any]:
        return namespace.children()["Deployment/demo-api"]

    eventually(lambda: api()["spec"]["replicas"] == 2, "the replicas to be restored")
    assert api()["metadata"]["annotations"]["injected"] == "yes"


@pytest.mark.parametrize("kind, ports", [("Service", "/spec/ports"), ("Deployment", "/spec/template/spec/containers/0/ports")])
def test_row_8_an_entry_whose_key_somebody_changed_is_restored(
    operator: OperatorProcess, namespace: Namespace, kind: str, ports: str
) -> None:
    namespace.apply()
    settled(namespace)

    def live() -> Any:
        found: Any = namespace.children()[f"{kind}/demo-api"]
        for step in ports.split("/")[1:]:
            found = found[int(step) if step.isdigit() else step]
        return found

    before = live()
    patch = [{"op": "replace", "path": f"{ports}/0/{'port' if kind == 'Service' else 'containerPort'}", "value": 81}]
    namespace.kubectl("patch", kind, "demo-api", "--type=json", "--patch", json.dumps(patch))
    eventually(lambda: live() == before, "the port to be restored, and no second one beside it")


def test_row_9_the_workers_number_belongs_to_the_autoscaler(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    namespace.kubectl("scale", "deployment", "demo-worker", "--replicas=8")
    namespace.apply({"api": {"replicas": 3}})
    settled(namespace)
    assert namespace.children()["Deployment/demo-worker"]["spec"]["replicas"] == 8


def test_kubectl_scale_sets_the_workers_when_autoscaling_is_off(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply({"worker": {"autoscaling": {"enabled": False}}})
    settled(namespace)
    assert "HorizontalPodAutoscaler/demo-worker" not in namespace.children()
    namespace.kubectl("scale", "fib/demo", "--replicas=5")
    eventually(lambda: namespace.children()["Deployment/demo-worker"]["spec"]["replicas"] == 5, "five workers")


@pytest.mark.parametrize("operator_is_up", [True, False], ids=["operator up", "operator down"])
def test_row_6_deleting_returns_at_once_and_keeps_volumes_and_credentials(
    operator: OperatorProcess, namespace: Namespace, operator_is_up: bool
) -> None:
    namespace.apply()
    settled(namespace)
    before = namespace.passwords()
    if not operator_is_up:
        operator.kill()
    namespace.kubectl("delete", "fib", "demo", "--timeout=5s")
    eventually(lambda: set(namespace.children()) == set(before), "the children to be collected, all but the credentials")
    claims = namespace.kubectl("get", "pvc", "-o", "name").split()
    assert claims == ["persistentvolumeclaim/data-demo-postgresql-0", "persistentvolumeclaim/data-demo-rabbitmq-0"]
    if not operator_is_up:
        operator.start()
    namespace.apply()
    settled(namespace)
    assert namespace.passwords() == before, "a pipeline created again adopts them"


def test_with_policy_delete_nothing_stays(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply({"deletionPolicy": "Delete"})
    settled(namespace)
    namespace.kubectl("delete", "fib", "demo", "--timeout=5s")
    eventually(lambda: namespace.children() == {}, "everything to be collected, the credentials too")
    eventually(lambda: namespace.kubectl("get", "pvc", "-o", "name") == "", "the volumes to go")


def test_rows_4_and_5_what_changed_while_it_was_away_is_seen(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    operator.kill()
    for replicas in (3, 4, 5):
        namespace.apply({"api": {"replicas": replicas}})
    namespace.kubectl("delete", "service", "demo-flower")
    namespace.kubectl(
        "patch", "service", "demo-api", "--type=merge", "-p", '{"spec":{"selector":{"app.kubernetes.io/component":"nobody"}}}'
    )
    operator.start()
    eventually(lambda: namespace.children()["Deployment/demo-api"]["spec"]["replicas"] == 5, "the last state of the spec")
    eventually(lambda: "Service/demo-flower" in namespace.children(), "the deleted Service")
    service = namespace.children()["Service/demo-api"]
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "api"


def test_row_14_the_api_server_is_killed_and_comes_back(operator: OperatorProcess, namespace: Namespace, control_plane: Any) -> None:
    namespace.apply()
    settled(namespace)
    control_plane.kill_apiserver()
    control_plane.start_apiserver()
    namespace.apply({"api": {"replicas": 4}})
    eventually(lambda: namespace.children()["Deployment/demo-api"]["spec"]["replicas"] == 4, "the change", seconds=90)
    namespace.kubectl("delete", "service", "demo-api")
    eventually(lambda: "Service/demo-api" in namespace.children(), "the watches to work again", seconds=90)


def test_row_20_a_foreign_object_is_left_alone_and_named(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "demo-postgresql", "--from-literal=mine=yes")
    before = json.loads(namespace.kubectl("get", "configmap", "demo-postgresql", "-o", "json"))
    namespace.apply()
    eventually(lambda: namespace.condition().get("reason") == "Conflict", "the conflict to be told")
    assert "ConfigMap demo-postgresql" in namespace.condition()["message"]
    after = json.loads(namespace.kubectl("get", "configmap", "demo-postgresql", "-o", "json"))
    for item in (before, after):
        del item["metadata"]["resourceVersion"]
        item["metadata"].pop("managedFields", None)
    assert after == before
    namespace.kubectl("delete", "configmap", "demo-postgresql")
    namespace.kubectl("annotate", "fib", "demo", "look=again")
    eventually(namespace.converged, "the pipeline to go on")


def test_row_22_switching_parts_off_prunes_them_and_on_again_restores_them(
    operator: OperatorProcess, namespace: Namespace, masked: Mask
) -> None:
    namespace.apply()
    settled(namespace)
    clean = masked(namespace.children())
    namespace.apply({"flower": {"enabled": False}, "ingress": {"enabled": False}, "worker": {"autoscaling": {"enabled": False}}})
    gone = {"Deployment/demo-flower", "Service/demo-flower", "Ingress/demo", "HorizontalPodAutoscaler/demo-worker"}
    eventually(lambda: not gone & set(namespace.children()), "the parts to be pruned")
    namespace.apply({"flower": {"enabled": True}, "ingress": {"enabled": True}, "worker": {"autoscaling": {"enabled": True}}})
    eventually(lambda: masked(namespace.children()) == clean, "the parts to come back as they were")


def test_every_pod_template_is_accepted_under_restricted(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    namespace.kubectl("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=restricted")
    for key, child in namespace.children().items():
        if key.startswith(("Deployment/", "StatefulSet/")):
            template = child["spec"]["template"]
            claims = [{"name": "data", "emptyDir": {}}] if key.startswith("StatefulSet/") else []
            spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], *claims]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": template["metadata"]["labels"]}, "spec": spec}
            namespace.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_secrets_stay_secret(operator: OperatorProcess, namespace: Namespace) -> None:
    namespace.apply()
    settled(namespace)
    shown = operator.log.read_text() + namespace.kubectl("get", "fib,events,deployments,statefulsets,configmaps", "-o", "yaml")
    for data in namespace.passwords().values():
        for key in ("password", "admin-password", "cookie-secret"):
            if key in data:
                assert base64.b64decode(data[key]).decode() not in shown


@pytest.mark.parametrize("kind", ["configmap", "serviceaccount"])
def test_row_20_not_even_an_empty_foreign_object_is_taken_over(operator: OperatorProcess, namespace: Namespace, kind: str) -> None:
    namespace.kubectl("create", kind, "demo-postgresql")
    before = json.loads(namespace.kubectl("get", kind, "demo-postgresql", "-o", "json"))
    namespace.apply()
    eventually(lambda: namespace.condition().get("reason") == "Conflict", "the conflict to be told")
    assert json.loads(namespace.kubectl("get", kind, "demo-postgresql", "-o", "json")) == before


def test_creation_costs_one_request_a_child_and_four_more(operator: OperatorProcess, namespace: Namespace, control_plane: Any) -> None:
    namespace.apply()
    settled(namespace)
    user = "system:serviceaccount:fibpipeline-system:fibpipeline-operator"
    lines = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    mine = [line for line in lines if line["user"]["username"] == user and line.get("objectRef", {}).get("namespace") == namespace.name]
    first = sorted({(line["verb"], line["objectRef"]["resource"], line["objectRef"].get("subresource", "")) for line in mine})
    reads = [line for line in mine if line["verb"] == "get"]
    assert sorted(line["objectRef"]["name"] for line in reads) == ["data-demo-postgresql-0", "data-demo-rabbitmq-0"], "restored ones?"
    assert {verb for verb, _, _ in first} <= {"create", "patch", "get"}, first
    others = [line for line in mine if line["objectRef"].get("subresource")]
    assert len(mine) - len(others) - len(reads) == len(namespace.children())
    assert [line["objectRef"]["subresource"] for line in others].count("scale") == 1


def test_row_23_a_spec_rolled_there_and_back_leaves_no_trace(operator: OperatorProcess, namespace: Namespace, masked: Mask) -> None:
    namespace.apply()
    settled(namespace)
    clean = masked(namespace.children())
    placement = {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}], "concurrency": 3}
    ingress = {"host": "fib.example.com", "annotations": {"a": "b"}, "tls": {"secretName": "cert"}}
    namespace.apply({"worker": placement, "ingress": ingress, "deletionPolicy": "Delete", "imagePullSecrets": [{"name": "pull"}]})
    eventually(lambda: namespace.children()["Ingress/demo"]["spec"].get("tls"), "the other spec to be applied")
    settled(namespace)
    namespace.apply()
    eventually(lambda: masked(namespace.children()) == clean, "the children to be what they were")
