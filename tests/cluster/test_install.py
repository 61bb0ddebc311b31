"""deploy/install.yaml is deploy/base, rendered, and a real API server admits all of it."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.kubectl import kubectl, refused
from tests.pipelines import ROOT

OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy/install.yaml").read_text()))
IDS = [f"{body['kind']}/{body['metadata']['name']}" for body in OBJECTS]
NAMESPACE = next(body for body in OBJECTS if body["kind"] == "Namespace")
DEPLOYMENT = next(body for body in OBJECTS if body["kind"] == "Deployment")


@pytest.fixture(scope="module")
def here() -> Iterator[str]:
    """The option that names a namespace as strict as the operator's own."""
    name = f"install-{secrets.token_hex(3)}"
    metadata = {"name": name, "labels": NAMESPACE["metadata"]["labels"]}
    kubectl("create", "--filename=-", stdin={"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield f"--namespace={name}"
    kubectl("delete", "namespace", name, "--wait=false")


def test_it_is_rendered_from_the_base() -> None:
    rendered = list(yaml.safe_load_all(kubectl("kustomize", str(ROOT / "deploy/base")).stdout))
    assert rendered == OBJECTS, "run `make manifests`"


@pytest.mark.parametrize("body", OBJECTS, ids=IDS)
def test_the_api_server_admits_each_object(here: str, body: dict[str, Any]) -> None:
    """Strictly: an unknown field is an error. Namespaced objects are tried in a namespace that exists."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
    kubectl("apply", here, "--dry-run=server", "--validate=strict", "--filename=-", stdin={**body, "metadata": metadata})


def test_pod_security_admits_the_operator(here: str) -> None:
    """A pod is refused where a Deployment would only be warned about."""
    template = DEPLOYMENT["spec"]["template"]
    metadata = {"name": "operator", "labels": template["metadata"]["labels"]}
    spec = {**template["spec"], "serviceAccountName": "default"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kubectl("wait", here, "serviceaccount/default", "--for=create", "--timeout=30s")
    kubectl("apply", here, "--dry-run=server", "--filename=-", stdin=body)
    unsafe = {**body, "spec": {**spec, "hostNetwork": True}}
    assert 'violates PodSecurity "restricted' in refused("apply", here, "--dry-run=server", "--filename=-", stdin=unsafe)


def test_the_operator_may_not_do_more_than_it_must() -> None:
    """As the API server decides, not as the manifest reads."""
    account = f"--as=system:serviceaccount:{NAMESPACE['metadata']['name']}:{DEPLOYMENT['metadata']['name']}"
    assert kubectl("auth", "can-i", "patch", "statefulsets.apps", "--namespace=default", account).stdout.strip() == "yes"
    for verb, resource in (
        ("delete", "persistentvolumeclaims"),
        ("create", "pods/exec"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("update", "fibpipelines.fibpipeline.io"),
        ("delete", "secrets"),
        ("list", "nodes"),
    ):
        assert refused("auth", "can-i", verb, resource, "--namespace=default", account).startswith("no"), (verb, resource)
