"""The operator's manifests: the rights it has, no more and no less, and a pod that any cluster admits."""

from typing import Any

import yaml

from demo import clusters
from fiboperator import names
from fiboperator.kinds import APPLIED_KINDS, OBSERVED_KINDS
from fiboperator.leases import CLUSTER_LEASE, NAMESPACE_LEASE
from fiboperator.main import HEALTH_PORT, METRICS_PORT
from lab import images
from tests.pipelines import CRD, ROOT

OBJECTS = {
    (body["kind"], body["metadata"]["name"]): body
    for body in yaml.safe_load_all((ROOT / "deploy/install.yaml").read_text(encoding="utf-8"))
}
NAME = "fibpipeline-operator"
ROLE = OBJECTS["ClusterRole", NAME]
DISCOVERY = OBJECTS["ClusterRole", f"{NAME}-discovery"]
POD = OBJECTS["Deployment", NAME]["spec"]["template"]
SEE = {"list", "watch"}
WATCH = {"get", *SEE}
OWN = {"create", "patch", "delete"}


def _rights(role: dict[str, Any]) -> dict[tuple[str, ...], set[str]]:
    """(group, resource) -> verbs, or (group, resource, name) where only that object is meant."""
    return {
        (group, resource, *rule.get("resourceNames", [])): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def _resource(kind: str) -> tuple[str, str]:
    api_version, plural = {**APPLIED_KINDS, **OBSERVED_KINDS}[kind]
    return api_version.rpartition("/")[0], plural


def test_every_kind_of_child_may_be_watched_and_written() -> None:
    rights = _rights(ROLE)
    for kind in APPLIED_KINDS:
        assert rights[_resource(kind)] == WATCH | (OWN - {"delete"} if kind == "Secret" else OWN), kind


def test_of_what_others_make_only_stuck_pods_may_be_deleted_and_busy_ones_marked() -> None:
    rights = _rights(ROLE)
    assert rights[_resource("Pod")] == SEE | {"patch", "delete"}
    assert rights[_resource("PersistentVolumeClaim")] == WATCH | {"patch"}


def test_there_is_no_other_right() -> None:
    children = {_resource(kind) for kind in {**APPLIED_KINDS, **OBSERVED_KINDS}}
    assert {key: verbs for key, verbs in _rights(ROLE).items() if key not in children} == {
        (names.GROUP, names.PLURAL): WATCH,
        (names.GROUP, f"{names.PLURAL}/status"): {"patch"},
        (names.GROUP, f"{names.PLURAL}/finalizers"): {"update"},
        ("apps", "deployments/scale"): {"patch"},
        ("events.k8s.io", "events"): {"create", "list"},
        ("coordination.k8s.io", "leases"): {"create"},
        ("coordination.k8s.io", "leases", NAMESPACE_LEASE): {"get", "patch"},
    }
    assert _rights(DISCOVERY) == {
        ("apiextensions.k8s.io", "customresourcedefinitions"): SEE,
        ("coordination.k8s.io", "leases", NAMESPACE_LEASE): {"list"},
        ("coordination.k8s.io", "leases", CLUSTER_LEASE): {"get", "patch"},
    }


def test_the_roles_are_bound_to_the_operator_alone() -> None:
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": OBJECTS["ServiceAccount", NAME]["metadata"]["namespace"]}
    bindings = [body for (kind, _), body in OBJECTS.items() if kind == "ClusterRoleBinding"]
    assert {binding["roleRef"]["name"] for binding in bindings} == {ROLE["metadata"]["name"], DISCOVERY["metadata"]["name"]}
    assert all(binding["subjects"] == [account] for binding in bindings)


def test_editors_and_viewers_of_a_namespace_get_its_pipelines() -> None:
    edit, view = OBJECTS["ClusterRole", "fibpipeline-edit"], OBJECTS["ClusterRole", "fibpipeline-view"]
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    assert f"{aggregate}view" not in edit["metadata"]["labels"]
    assert {f"{aggregate}{role}" for role in ("admin", "edit", "view")} <= set(view["metadata"]["labels"])
    assert all(verbs <= WATCH for verbs in _rights(view).values())


def test_the_installed_crd_is_the_one_of_this_checkout() -> None:
    assert OBJECTS["CustomResourceDefinition", CRD["metadata"]["name"]]["spec"] == CRD["spec"]


def test_the_pod_is_reached_where_it_listens() -> None:
    [container] = POD["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"health": HEALTH_PORT, "metrics": METRICS_PORT}
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    [rule] = OBJECTS["NetworkPolicy", NAME]["spec"]["ingress"]
    assert rule["ports"] == [{"port": METRICS_PORT, "protocol": "TCP"}]


def test_the_image_decides_what_runs() -> None:
    [container] = POD["spec"]["containers"]
    assert "command" not in container
    assert "args" not in container


def test_the_api_pods_admit_the_operator_by_its_label_and_namespace() -> None:
    assert POD["metadata"]["labels"] == {names.NAME_LABEL: names.MANAGER}
    variables = {variable["name"]: variable for variable in POD["spec"]["containers"][0]["env"]}
    assert variables["POD_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"


def test_one_operator_at_a_time() -> None:
    spec = OBJECTS["Deployment", NAME]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_no_registry_can_serve_an_image_under_the_names_that_stand_here() -> None:
    """Under a name of a public registry anybody could, who registers it: https://www.rfc-editor.org/rfc/rfc2606"""
    [container] = POD["spec"]["containers"]
    variables = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    for image in (container["image"], variables["FIBPIPELINE_APP_IMAGE"]):
        assert image.partition("/")[0].endswith(".invalid")


def test_everything_that_builds_or_loads_the_images_has_the_names_of_the_manifests() -> None:
    [container] = POD["spec"]["containers"]
    app = next(variable["value"] for variable in container["env"] if variable["name"] == "FIBPIPELINE_APP_IMAGE")
    assert {"operator": container["image"], "app": app} == clusters.IMAGES
    assert {target: images.project_image(target) for target in images.PROJECT} == clusters.IMAGES
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"--tag {image} ." in makefile for image in clusters.IMAGES.values())
