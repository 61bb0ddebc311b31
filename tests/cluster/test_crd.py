"""The CRD on a real API server: what it fills in, what it refuses and in which words, what kubectl shows."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.kubectl import Kubectl
from tests.pipelines import ROOT, fibpipeline

CRD = "fibpipelines.fibpipeline.io"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def here(kubectl: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a namespace of this module's own."""
    name = f"crd-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    yield kubectl.within(name)
    kubectl("delete", "namespace", name, "--wait=false")


def pipeline(spec: Any, name: str = "demo") -> dict[str, Any]:
    return {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {"name": name}, "spec": spec}


def created(here: Kubectl, spec: dict[str, Any]) -> dict[str, Any]:
    """A new pipeline, really there."""
    body = pipeline(spec, f"p{secrets.token_hex(4)}")
    here("apply", "--filename=-", stdin=json.dumps(body))
    return body


def admit(here: Kubectl, body: dict[str, Any]) -> None:
    here("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(body))


def refusal(here: Kubectl, body: dict[str, Any]) -> str:
    """What a person reads whose `kubectl apply` is refused."""
    return here.refused("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(body))


def read(here: Kubectl, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(here("get", *arguments, "--output=json"))
    return found


def test_it_is_established(here: Kubectl) -> None:
    conditions = {condition["type"]: condition["status"] for condition in read(here, "crd", CRD)["status"]["conditions"]}
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert (conditions["NamesAccepted"], conditions["Established"]) == ("True", "True")


@pytest.mark.parametrize("spec", [{}, None], ids=["empty", "null"])
def test_an_empty_spec_becomes_a_complete_one(here: Kubectl, spec: Any) -> None:
    shown = here("create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(pipeline(spec)))
    # The unit tests rest on a defaulting of their own: here it meets the real one.
    assert json.loads(shown)["spec"] == fibpipeline()["spec"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted(here: Kubectl, path: Any) -> None:
    here("apply", "--dry-run=server", "--filename", str(path))


ACCEPTED = {
    "plain numbers": {"worker": {"resources": {"requests": {"cpu": 1}, "limits": {"cpu": 2, "memory": 2147483648}}}},
    "equal request and limit": {"api": {"resources": {"requests": {"cpu": "0.5"}}}},
    "image by digest": {"postgresql": {"image": "registry.example.com:5000/postgres@sha256:" + "0a" * 32}},
    "null classes": {"rabbitmq": {"storage": {"storageClassName": None}}, "ingress": {"className": None}},
    "no workers at rest": {"worker": {"replicas": 0, "autoscaling": {"enabled": False}}},
    "many workers on a store of their own": {
        "worker": {"concurrency": 32, "autoscaling": {"maxReplicas": 1000}},
        "postgresql": {"external": {"secretName": "store"}},
    },
    "as many workers as the store has connections for": {"worker": {"autoscaling": {"maxReplicas": 1000}}},
    "min equals max": {"worker": {"autoscaling": {"minReplicas": 10}}},
    "toleration of everything": {"worker": {"tolerations": [{"operator": "Exists"}]}},
}


@pytest.mark.parametrize("spec", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(here: Kubectl, spec: dict[str, Any]) -> None:
    admit(here, pipeline(spec))


def _nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


# (field below spec, value, what the message must say besides the field)
REFUSED: list[tuple[str, Any, str]] = [
    ("image", "registry.example.com/app:latest", "a tag or a digest"),
    ("image", "registry.example.com/app", "a tag or a digest"),
    ("rabbitmq.image", "", "a tag or a digest"),
    ("postgresql.image", "postgres: 18", "without spaces"),
    ("imagePullPolicy", "Sometimes", '"Always", "IfNotPresent", "Never"'),
    ("imagePullSecrets", [{"name": "a"}, {"name": "a"}], "Duplicate value"),
    ("deletionPolicy", "Keep", '"Retain", "Delete"'),
    ("paused", "yes", "must be of type boolean"),
    ("fibonacci.maxRecursiveN", 51, "less than or equal to 50"),
    ("fibonacci.maxRecursiveN", -1, "greater than or equal to 0"),
    ("fibonacci.maxN", 10_000_001, "less than or equal to 10000000"),
    ("api.replicas", 0, "greater than or equal to 1"),
    ("worker.replicas", -1, "greater than or equal to 0"),
    ("worker.replicas", 2**31, "less than or equal to 1000"),
    ("worker.replicas", "3", "must be of type integer"),
    ("worker.concurrency", 33, "less than or equal to 32"),
    ("worker.terminationGracePeriodSeconds", 1701, "less than or equal to 1700"),
    ("worker.terminationGracePeriodSeconds", 29, "greater than or equal to 30"),
    ("worker.autoscaling.minReplicas", 0, "greater than or equal to 1"),
    ("worker.autoscaling.minReplicas", 11, "minReplicas (11) must be at most maxReplicas (10)"),
    ("worker.autoscaling.behavior.scaleUp.policies", [], "at least 1 item"),
    ("worker.autoscaling.behavior.scaleDown.policies", [{"type": "Pods", "value": 0, "periodSeconds": 60}], "greater than or equal to 1"),
    ("worker.autoscaling.behavior.scaleDown.stabilizationWindowSeconds", 3601, "less than or equal to 3600"),
    ("worker.resources.limits.cpu", "400m", "limits.cpu (400m) must be at least requests.cpu (500m)"),
    ("worker.resources.limits.memory", "500Mi", "limits.memory (500Mi) must be at least requests.memory (512Mi)"),
    ("worker.resources.requests.cpu", "0", "an amount of CPU of at least 1m"),
    ("worker.resources.requests.cpu", 0, "an amount of CPU of at least 1m"),
    ("worker.resources.requests.memory", "1XB", "an amount of memory of at least 16Mi"),
    ("worker.resources.requests.memory", "-1Gi", "an amount of memory of at least 16Mi"),
    ("worker.resources.requests.memory", "512m", "an amount of memory of at least 16Mi"),
    ("rabbitmq.storage.size", "1XB", "a size of at least 16Mi"),
    ("rabbitmq.storage.size", "-1Gi", "a size of at least 16Mi"),
    ("postgresql.storage.size", "0", "a size of at least 16Mi"),
    ("postgresql.storage.storageClassName", "Fast Disk", "lower-case letters"),
    ("postgresql.external.secretName", "My_Secret", "lower-case letters"),
    ("postgresql.database", "my-jobs", "only lower-case letters"),
    ("postgresql.database", "postgres", "not be one of PostgreSQL's own"),
    ("ingress.host", "http://fib.example.com", "no scheme, port, path"),
    ("ingress.host", "fib_.example.com", "must be a DNS name"),
    ("ingress.host", "10.0.0.1", "IP address"),
    ("ingress.annotations", {"fibpipeline.io/applied": "x"}, "the operator's own"),
    ("worker", {"concurrency": 32, "autoscaling": {"maxReplicas": 61}}, "at most 2000 connections to PostgreSQL"),
    ("worker", {"concurrency": 2, "replicas": 667, "autoscaling": {"enabled": False}}, "at most 2000 connections to PostgreSQL"),
    ("worker.tolerations", [{"operator": "Exists", "key": "a", "value": "b"}], "value must be left out when operator is Exists"),
    ("worker.tolerations", [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}], "tolerationSeconds needs effect NoExecute"),
    ("worker.tolerations", [{"operator": "Equal"}], "a toleration needs a key"),
    ("postgresql.tolerations", [{"operator": "Equal"}], "a toleration needs a key"),
    ("api.priorityClassName", "Very High", "lower-case letters"),
    ("flower.podAnnotations", {"fibpipeline.io/config": "x"}, "the operator's own"),
    ("rabbitmq.serviceAccountAnnotations", {"fibpipeline.io/applied": "x"}, "the operator's own"),
    ("worker.podLabels", {"app.kubernetes.io/instance": "other"}, "choose another key"),
    ("worker.podLabels", {"pod-template-hash": "x"}, "choose another key"),
    # Refused, not dropped in silence.
    ("worker.replica", 3, 'unknown field "spec.worker.replica"'),
    ("worker.affinity.nodeAfinity", {}, 'unknown field "spec.worker.affinity.nodeAfinity"'),
    ("api.env", [{"name": "FIB_BROKER_URL", "value": "x"}], 'unknown field "spec.api.env"'),
]


@pytest.mark.parametrize(("path", "value", "words"), REFUSED, ids=[f"{path}={str(value)[:30]}" for path, value, _ in REFUSED])
def test_refused_in_words_that_help(here: Kubectl, path: str, value: Any, words: str) -> None:
    message = refusal(here, pipeline(_nested(path, value)))
    assert f"spec.{path}" in message
    assert words in message


@pytest.mark.parametrize("spec", [[], "x"], ids=["list", "text"])
def test_a_spec_of_another_type_is_refused(here: Kubectl, spec: Any) -> None:
    assert "must be of type object" in refusal(here, pipeline(spec))


@pytest.mark.parametrize(
    ("name", "words"),
    [("a" * 42, "at most 41 characters"), ("0demo", "start with a lower-case letter"), ("de.mo", "no dots")],
)
def test_a_name_that_its_children_could_not_bear_is_refused(here: Kubectl, name: str, words: str) -> None:
    message = refusal(here, pipeline({}, name))
    assert "metadata.name" in message
    assert words in message


def test_the_longest_name_is_accepted(here: Kubectl) -> None:
    admit(here, pipeline({}, "a" * 41))


# (before, after, field, what the message must say)
CHANGES: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({}, {"rabbitmq": {"storage": {"size": "5Gi"}}}, "rabbitmq.storage.size", "cannot shrink 10Gi to 5Gi"),
    (
        {"postgresql": {"storage": {"size": "2048Mi"}}},
        {"postgresql": {"storage": {"size": "1Gi"}}},
        "postgresql.storage.size",
        "cannot shrink",
    ),
    ({}, {"postgresql": {"storage": {"storageClassName": "fast"}}}, "postgresql.storage.storageClassName", "is immutable"),
    ({"rabbitmq": {"storage": {"storageClassName": "fast"}}}, {}, "rabbitmq.storage.storageClassName", "is immutable"),
    ({}, {"postgresql": {"database": "jobs"}}, "postgresql.database", "is immutable"),
]


@pytest.mark.parametrize(("before", "after", "path", "words"), CHANGES, ids=[f"{path}: {words}" for *_, path, words in CHANGES])
def test_a_change_that_the_volumes_could_not_follow_is_refused(
    here: Kubectl, before: dict[str, Any], after: dict[str, Any], path: str, words: str
) -> None:
    body = created(here, before)
    message = refusal(here, {**body, "spec": {"paused": True, **after}})
    assert f"spec.{path}" in message
    assert words in message


@pytest.mark.parametrize("size", ["10240Mi", "11Gi"], ids=["the same in other words", "larger"])
def test_a_volume_may_grow(here: Kubectl, size: str) -> None:
    body = created(here, {})
    body["spec"]["rabbitmq"] = {"storage": {"size": size, "storageClassName": None}}
    here("replace", "--filename=-", stdin=json.dumps(body))


def test_explain_reads_like_a_manual(here: Kubectl) -> None:
    text = " ".join(here("explain", "fib.spec.worker.autoscaling").split())
    assert "minReplicas <integer> The fewest worker pods" in text
    assert "From 1 to 1000, at most maxReplicas. Default: 3. Example: 1." in text


def test_get_prints_the_columns(here: Kubectl) -> None:
    name = created(here, {})["metadata"]["name"]
    condition = {"status": "True", "reason": "Available", "message": "All is well.", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {
        "url": "http://fib.example.com/api",
        "version": "0.1.0",
        "api": {"ready": "2/2"},
        "worker": {"ready": "3/3"},
        "conditions": [
            {**condition, "type": "Ready"},
            {**condition, "type": "AutoscalingActive", "reason": "ValidMetricFound"},
            {**condition, "type": "BrokerReady", "reason": "External"},
            {**condition, "type": "DatabaseReady", "reason": "Progressing"},
        ],
    }
    patch = json.dumps({"status": status})
    here("patch", "fib", name, "--subresource=status", "--type=merge", "--patch", patch)
    narrow = here("get", "fib", name).splitlines()
    assert narrow[0].split() == ["NAME", "READY", "STATUS", "API", "WORKERS", "URL", "AGE"]
    assert narrow[1].split()[:-1] == [name, "True", "Available", "2/2", "3/3", "http://fib.example.com/api"]
    wide = here("get", "fib", name, "--output=wide").splitlines()
    assert wide[0].split()[6:-1] == ["AUTOSCALE", "BROKER", "DATABASE", "VERSION", "MESSAGE"]
    assert wide[1].split()[6:-1] == ["ValidMetricFound", "External", "Progressing", "0.1.0", "All", "is", "well."]


def test_it_is_found_by_its_short_name_and_among_all(here: Kubectl) -> None:
    name = created(here, {})["metadata"]["name"]
    assert f"fibpipeline.fibpipeline.io/{name}" in here("get", "all", "--output=name")
    assert here("get", "fib", name, "--output=name").strip() == f"fibpipeline.fibpipeline.io/{name}"


def test_scale_sets_the_workers(here: Kubectl) -> None:
    name = created(here, {})["metadata"]["name"]
    selector = "app.kubernetes.io/component=worker"
    patch = json.dumps({"status": {"worker": {"replicas": 3, "selector": selector}}})
    here("patch", "fib", name, "--subresource=status", "--type=merge", "--patch", patch)
    scale = read(here, "fib", name, "--subresource=scale")
    assert (scale["spec"]["replicas"], scale["status"]) == (3, {"replicas": 3, "selector": selector})
    here("scale", f"fib/{name}", "--replicas=5")
    assert read(here, "fib", name)["spec"]["worker"]["replicas"] == 5


def test_scale_holds_to_the_bound(here: Kubectl) -> None:
    name = created(here, {})["metadata"]["name"]
    assert "less than or equal to 1000" in here.refused("scale", f"fib/{name}", "--replicas=1001")
