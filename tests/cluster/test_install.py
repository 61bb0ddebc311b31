"""deploy/install.yaml is deploy/base, rendered, and a real API server admits all of it."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.pipelines import ROOT

OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy/install.yaml").read_text()))
IDS = [f"{body['kind']}/{body['metadata']['name']}" for body in OBJECTS]
NAMESPACE = next(body for body in OBJECTS if body["kind"] == "Namespace")
DEPLOYMENT = next(body for body in OBJECTS if body["kind"] == "Deployment")


@pytest.fixture(scope="module")
def here(kubectl: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a namespace as strict as the operator's own."""
    name = f"install-{secrets.token_hex(3)}"
    metadata = {"name": name, "labels": NAMESPACE["metadata"]["labels"]}
    kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
    yield kubectl.within(name)
    kubectl("delete", "namespace", name, "--wait=false")


def test_it_is_rendered_from_the_base(kubectl: Kubectl) -> None:
    rendered = list(yaml.safe_load_all(kubectl("kustomize", str(ROOT / "deploy/base"))))
    assert rendered == OBJECTS, "run `make manifests`"


@pytest.mark.parametrize("install", ["namespaced", "namespaces"])
def test_an_install_for_some_namespaces_takes_nothing_along_that_others_need(kubectl: Kubectl, install: str) -> None:
    def objects(folder: str) -> set[tuple[str, str]]:
        rendered = yaml.safe_load_all(kubectl("kustomize", str(ROOT / "deploy" / folder)))
        return {(body["kind"], body["metadata"]["name"]) for body in rendered}

    shared = objects("shared")
    assert ("CustomResourceDefinition", "fibpipelines.fibpipeline.io") in shared
    assert shared <= {(body["kind"], body["metadata"]["name"]) for body in OBJECTS}
    assert not objects(install) & shared, "`kubectl delete -k` of one team would delete the pipelines of all"


@pytest.mark.parametrize("body", OBJECTS, ids=IDS)
def test_the_api_server_admits_each_object(here: Kubectl, body: dict[str, Any]) -> None:
    """Strictly: an unknown field is an error. Namespaced objects are tried in a namespace that exists."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
    here("apply", "--dry-run=server", "--validate=strict", "--filename=-", stdin=json.dumps({**body, "metadata": metadata}))


def test_pod_security_admits_the_operator(here: Kubectl) -> None:
    """A pod is refused where a Deployment would only be warned about."""
    template = DEPLOYMENT["spec"]["template"]
    metadata = {"name": "operator", "labels": template["metadata"]["labels"]}
    spec = {**template["spec"], "serviceAccountName": "default"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    here("wait", "serviceaccount/default", "--for=create", "--timeout=30s")
    here("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(body))
    unsafe = {**body, "spec": {**spec, "hostNetwork": True}}
    assert 'violates PodSecurity "restricted' in here.refused("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(unsafe))


def test_the_operator_may_not_do_more_than_it_must(kubectl: Kubectl) -> None:
    """As the API server decides, not as the manifest reads."""
    account = f"--as=system:serviceaccount:{NAMESPACE['metadata']['name']}:{DEPLOYMENT['metadata']['name']}"
    assert kubectl("auth", "can-i", "patch", "statefulsets.apps", "--namespace=default", account).strip() == "yes"
    for verb, resource in (
        ("delete", "persistentvolumeclaims"),
        ("create", "pods/exec"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("update", "fibpipelines.fibpipeline.io"),
        ("delete", "secrets"),
        ("list", "nodes"),
    ):
        assert kubectl.refused("auth", "can-i", verb, resource, "--namespace=default", account).startswith("no"), (verb, resource)
