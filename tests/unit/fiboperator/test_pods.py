"""Every pod of every example and the operator's own: hardened, with an identity of its own, spread, and never in the way of a drain."""

from typing import Any

import pytest
import yaml

from tests.pipelines import ROOT
from tests.unit.fiboperator.test_desired import children, templates

Found = dict[tuple[str, str], dict[str, Any]]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
FOUND = {path.stem: children(list(yaml.safe_load_all(path.read_text()))[-1]["spec"]) for path in EXAMPLES}
INSTALL: Found = {
    (body["kind"], body["metadata"]["name"]): body
    for body in yaml.safe_load_all((ROOT / "deploy/install.yaml").read_text(encoding="utf-8"))
}
OPERATOR = "fibpipeline-operator"
TEMPLATES = {
    f"{where}/{template['spec']['serviceAccountName']}": template
    for where, found in {**FOUND, "install": INSTALL}.items()
    for template in templates(found)
}
each_pod = pytest.mark.parametrize("spec", [template["spec"] for template in TEMPLATES.values()], ids=list(TEMPLATES))
each_example = pytest.mark.parametrize("found", FOUND.values(), ids=list(FOUND))


def selected(by: dict[str, Any], found: Found) -> list[dict[str, Any]]:
    """The workloads whose pods a policy selects."""
    labels = by["spec"]["selector"]["matchLabels"].items()
    workloads = [child for (kind, _), child in found.items() if kind in ("Deployment", "StatefulSet")]
    return [child for child in workloads if labels <= child["spec"]["template"]["metadata"]["labels"].items()]


@each_pod
def test_it_has_no_privilege_and_nothing_of_its_node(spec: dict[str, Any]) -> None:
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] >= 999
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"emptyDir", "secret", "configMap", "projected"}
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


@each_pod
def test_no_program_is_the_first_process_which_would_miss_a_signal_to_stop_while_it_starts(spec: dict[str, Any]) -> None:
    assert spec["shareProcessNamespace"] is True


@each_pod
def test_only_the_operator_is_given_a_token(spec: dict[str, Any]) -> None:
    assert spec["automountServiceAccountToken"] is (spec["serviceAccountName"] == OPERATOR)
    sources = [source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    assert not any("serviceAccountToken" in source for source in sources)


@each_example
def test_a_component_has_a_service_account_of_its_own_without_rights_or_token(found: Found) -> None:
    used = [template["spec"]["serviceAccountName"] for template in templates(found)]
    made = [name for kind, name in found if kind == "ServiceAccount"]
    assert sorted(used) == sorted(made), "each exactly once"
    assert all(found["ServiceAccount", name]["automountServiceAccountToken"] is False for name in made)
    assert not any(kind.endswith(("Role", "RoleBinding")) for kind, _ in found)


@each_pod
def test_it_runs_on_linux_nodes_alone(spec: dict[str, Any]) -> None:
    assert spec["nodeSelector"]["kubernetes.io/os"] == "linux"


@each_pod
def test_a_scratch_directory_cannot_fill_the_node(spec: dict[str, Any]) -> None:
    assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)


@each_example
def test_a_node_autoscaler_may_remove_the_nodes_of_pods_that_keep_nothing(found: Found) -> None:
    for template in templates(found):
        component = template["metadata"]["labels"]["app.kubernetes.io/component"]
        scratch = {volume["name"] for volume in template["spec"]["volumes"] if "emptyDir" in volume}
        named = template["metadata"]["annotations"].get("cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes", "")
        assert named.split(",") == ([""] if component in ("rabbitmq", "postgresql") else sorted(scratch))


def test_the_placement_of_each_component_reaches_its_pods_and_no_others() -> None:
    placement = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "production",
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "podLabels": {"cost-center": "research"},
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn"},
    }
    before = children()
    for component in ("rabbitmq", "postgresql", "api", "worker", "flower"):
        after = children({component: placement})
        changed = {name for key, child in after.items() if child != before[key] for name in [key[1]]}
        assert changed == {f"demo-{component}"}
        [template] = [each for each in templates(after) if each["spec"]["serviceAccountName"] == f"demo-{component}"]
        pod, metadata = template["spec"], template["metadata"]
        assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "disk": "ssd"}
        assert (pod["tolerations"], pod["affinity"]) == (placement["tolerations"], placement["affinity"])
        assert pod["priorityClassName"] == "production"
        assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
        assert metadata["labels"]["cost-center"] == "research"
        assert after["ServiceAccount", f"demo-{component}"]["metadata"]["annotations"] == placement["serviceAccountAnnotations"]


@each_example
def test_a_drain_is_slowed_and_never_stopped(found: Found) -> None:
    """A budget that asks for a number of pods to stay would stop the drain of a lone pod's node for ever."""
    budgets = [child for (kind, _), child in found.items() if kind == "PodDisruptionBudget"]
    for budget in budgets:
        assert "minAvailable" not in budget["spec"]
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "nor may pods that are broken anyway stop it"
        [workload] = selected(budget, found)
        assert workload["kind"] == "Deployment", "broker and store are one pod each: a budget could only forbid to move it"
    assert {budget["metadata"]["labels"]["app.kubernetes.io/component"] for budget in budgets} == {"api", "worker"}


@each_example
def test_what_runs_more_than_once_is_spread_over_nodes_where_there_are_several(found: Found) -> None:
    for component in ("api", "worker"):
        [template] = [each for each in templates(found) if each["metadata"]["labels"]["app.kubernetes.io/component"] == component]
        [constraint] = template["spec"]["topologySpreadConstraints"]
        assert constraint["topologyKey"] == "kubernetes.io/hostname"
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway", "on one node they all run"
        assert constraint["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
