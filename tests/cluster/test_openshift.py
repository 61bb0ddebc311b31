"""A cluster that gives the pods of each namespace user ids of a range of its own, as OpenShift does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Namespace, OperatorProcess
from tests.cluster.kubectl import Kubectl
from tests.pipelines import ROOT
from tests.waiting import eventually

GROUP = "security.openshift.io"
COMPONENTS = ("rabbitmq", "postgresql", "api", "worker", "flower")
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"securitycontextconstraints.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Cluster",
        "names": {"kind": "SecurityContextConstraints", "plural": "securitycontextconstraints"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
    },
}
# What the SCC restricted-v2 does: no id outside of the namespace's range, which nobody can know beforehand.
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "restricted-v2"},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
        },
        "validations": [
            {
                "expression": " && ".join(
                    f"(!has(object.spec.securityContext.{field}) || object.spec.securityContext.{field} >= 1000650000)"
                    for field in ("runAsUser", "runAsGroup", "fsGroup")
                ),
                "message": "must be in the ranges: [1000650000, 1000659999]",
            }
        ],
    },
}
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "restricted-v2"},
    "spec": {"policyName": "restricted-v2", "validationActions": ["Deny"]},
}


@pytest.fixture
def openshift(kubectl: Kubectl) -> Iterator[None]:
    """The API group that only OpenShift has, and its rule for ids."""
    for body in (CRD, POLICY, BINDING):
        kubectl("apply", "--filename=-", stdin=json.dumps(body))
    kubectl("wait", f"crd/{CRD['metadata']['name']}", "--for=condition=Established", "--timeout=30s")
    yield
    for body in (BINDING, POLICY, CRD):
        kubectl("delete", "--wait", "--filename=-", stdin=json.dumps(body))
    eventually(lambda: GROUP not in kubectl("get", "--raw", "/apis"), "the API group to be gone")


def test_the_pods_of_all_components_are_admitted(openshift: None, stopped_operator: OperatorProcess, namespace: Namespace) -> None:
    foreign = ("run", "p", "--image=x", "--dry-run=server", '--overrides={"spec":{"securityContext":{"runAsUser":999}}}')

    def is_in_force() -> bool:
        try:
            return "must be in the ranges" in namespace.kubectl.refused(*foreign)
        except AssertionError:  # accepted: the API server takes a moment to learn of a policy
            return False

    eventually(is_in_force, "the rule to be in force")
    stopped_operator.start()
    namespace.apply()
    for component in COMPONENTS:
        [pod, *_] = eventually(lambda component=component: namespace.pods(component), f"the pods of {component}")  # type: ignore[misc]
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True


def test_its_install_may_change_the_owners_of_volumes_and_credentials(kubectl: Kubectl) -> None:
    rendered = list(yaml.safe_load_all(kubectl("kustomize", str(ROOT / "deploy/openshift"))))
    [role] = [body for body in rendered if (body["kind"], body["metadata"]["name"]) == ("ClusterRole", "fibpipeline-operator")]
    assert {"apiGroups": [""], "resources": ["persistentvolumeclaims", "secrets"], "verbs": ["delete"]} in role["rules"]


def test_its_install_leaves_the_ids_of_the_operators_pod_to_the_cluster(kubectl: Kubectl) -> None:
    rendered = {body["kind"]: body for body in yaml.safe_load_all(kubectl("kustomize", str(ROOT / "deploy/openshift")))}
    security = rendered["Deployment"]["spec"]["template"]["spec"]["securityContext"]
    assert security == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
