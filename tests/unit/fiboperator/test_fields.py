"""What a change of each field of the spec touches: every field has a row, and nothing else than what it names is written."""

from typing import Any

import pytest
from pydantic import BaseModel

from fiboperator.names import Component
from fiboperator.resources import Context, Release, desired, generated_components
from fiboperator.spec import Spec, parse
from tests.pipelines import SCHEMA, fibpipeline

RELEASE = Release("0.1.0", "fibpipeline/app:0.1.0")
API, WORKER, FLOWER = "Deployment/demo-api", "Deployment/demo-worker", "Deployment/demo-flower"
BROKER, STORE = "StatefulSet/demo-rabbitmq", "StatefulSet/demo-postgresql"
HPA, INGRESS = "HorizontalPodAutoscaler/demo-worker", "Ingress/demo"
PODS = {API, WORKER, FLOWER, BROKER, STORE}
SECRETS = {"Secret/demo-rabbitmq", "Secret/demo-postgresql", "Secret/demo-flower"}
BROKERS = {f"{kind}/demo-rabbitmq" for kind in ("Secret", "ServiceAccount", "Service", "StatefulSet", "NetworkPolicy")}
STORES = {f"{kind}/demo-postgresql" for kind in ("Secret", "ConfigMap", "ServiceAccount", "Service", "StatefulSet", "NetworkPolicy")}
FLOWERS = {f"{kind}/demo-flower" for kind in ("Secret", "ServiceAccount", "Service", "Deployment", "NetworkPolicy")}
BEHAVIOR = {"scaleDown": {"stabilizationWindowSeconds": 60}}
AFFINITY = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}

# field -> (another value than the default, the children that change, appear or go)
FIELDS: dict[str, tuple[Any, set[str]]] = {
    "image": ("mine/app:2", {API, WORKER, FLOWER}),
    "imagePullPolicy": ("Always", PODS),
    "imagePullSecrets": ([{"name": "pull"}], PODS),
    "paused": (True, set()),
    "deletionPolicy": ("Delete", SECRETS),
    "fibonacci.maxRecursiveN": (30, {API, WORKER}),
    "fibonacci.maxN": (1000, {API, WORKER}),
    "rabbitmq.image": ("rabbitmq:5", {BROKER}),
    "rabbitmq.storage.size": ("11Gi", {BROKER}),
    "rabbitmq.storage.storageClassName": ("fast", {BROKER}),
    "rabbitmq.resources.requests.cpu": ("300m", {BROKER}),
    "rabbitmq.resources.requests.memory": ("600Mi", {BROKER}),
    "rabbitmq.resources.limits.cpu": ("600m", {BROKER}),
    "rabbitmq.resources.limits.memory": ("2Gi", {BROKER, "Secret/demo-rabbitmq"}),
    "rabbitmq.external.secretName": (
        "mine",
        {*BROKERS, "Service/demo-rabbitmq-headless", API, WORKER, FLOWER}
        | {f"NetworkPolicy/demo-{component}" for component in ("api", "worker", "flower")},
    ),
    "postgresql.image": ("postgres:19", {STORE}),
    "postgresql.database": ("jobs", {STORE, "Secret/demo-postgresql"}),
    "postgresql.storage.size": ("21Gi", {STORE}),
    "postgresql.storage.storageClassName": ("fast", {STORE}),
    "postgresql.resources.requests.cpu": ("1100m", {STORE}),
    "postgresql.resources.requests.memory": ("3Gi", {STORE}),
    "postgresql.resources.limits.cpu": ("3", {STORE}),
    "postgresql.resources.limits.memory": ("5Gi", {STORE}),
    "postgresql.external.secretName": (
        "mine",
        {*STORES, "Service/demo-postgresql-headless", API, WORKER, "NetworkPolicy/demo-api", "NetworkPolicy/demo-worker"},
    ),
    "api.replicas": (3, {API}),
    "api.resources.requests.cpu": ("310m", {API}),
    "api.resources.requests.memory": ("257Mi", {API}),
    "api.resources.limits.cpu": ("600m", {API}),
    "api.resources.limits.memory": ("600Mi", {API}),
    "worker.replicas": (4, set()),  # through /scale, and only with autoscaling off
    "worker.concurrency": (2, {WORKER}),
    "worker.resources.requests.cpu": ("600m", {WORKER}),
    "worker.resources.requests.memory": ("600Mi", {WORKER}),
    "worker.resources.limits.cpu": ("2", {WORKER}),
    "worker.resources.limits.memory": ("2Gi", {WORKER}),
    "worker.autoscaling.enabled": (False, {HPA}),
    "worker.autoscaling.minReplicas": (4, {HPA}),
    "worker.autoscaling.maxReplicas": (11, {HPA}),
    "worker.autoscaling.targetCPUUtilizationPercentage": (80, {HPA}),
    "worker.autoscaling.backlogTargetSeconds": (60, set()),  # the operator's own arithmetic
    "worker.autoscaling.behavior": (BEHAVIOR, {HPA}),
    "worker.terminationGracePeriodSeconds": (100, {WORKER}),
    "flower.enabled": (False, {*FLOWERS, INGRESS}),
    "flower.readOnly": (False, {FLOWER}),
    "flower.resources.requests.cpu": ("110m", {FLOWER}),
    "flower.resources.requests.memory": ("130Mi", {FLOWER}),
    "flower.resources.limits.cpu": ("400m", {FLOWER}),
    "flower.resources.limits.memory": ("300Mi", {FLOWER}),
    "ingress.enabled": (False, {INGRESS}),
    "ingress.className": ("traefik", {INGRESS}),
    "ingress.host": ("fib.example.com", {INGRESS}),
    "ingress.annotations": ({"a": "b"}, {INGRESS}),
    "ingress.tls.secretName": ("cert", {INGRESS}),
}
for component, workload in (("rabbitmq", BROKER), ("postgresql", STORE), ("api", API), ("worker", WORKER), ("flower", FLOWER)):
    FIELDS |= {
        f"{component}.nodeSelector": ({"disk": "ssd"}, {workload}),
        f"{component}.tolerations": ([{"operator": "Exists"}], {workload}),
        f"{component}.affinity": (AFFINITY, {workload}),
        f"{component}.priorityClassName": ("production", {workload}),
        f"{component}.podAnnotations": ({"a": "b"}, {workload}),
        f"{component}.podLabels": ({"a": "b"}, {workload}),
        f"{component}.serviceAccountAnnotations": ({"a": "b"}, {f"ServiceAccount/demo-{component}"}),
    }


def children(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    pipeline = parse(fibpipeline(spec))
    credentials = {
        component: dict.fromkeys(("password", "admin-password", "cookie-secret"), "x") for component in generated_components(pipeline)
    }
    floor = pipeline.spec.worker.floor
    return {f"{child['kind']}/{child['metadata']['name']}": child for child in desired(Context(pipeline, credentials, RELEASE, floor))}


def fields(schema: dict[str, Any], model: type[BaseModel] | None, path: str = "") -> list[str]:
    """The fields of the CRD down to those that the operator passes on as they are."""
    found = []
    aliases = {field.alias: field.annotation for field in model.model_fields.values()} if model else {}
    for name, inner in schema["properties"].items():
        annotation = aliases.get(name)
        deeper = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        if "properties" in inner and (deeper or model is None or annotation == dict[str, str | int]):
            found += fields(inner, annotation if deeper else None, f"{path}{name}.")
        else:
            found.append(f"{path}{name}")
    return found


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def test_every_field_has_its_row() -> None:
    assert sorted(FIELDS) == sorted(fields(SCHEMA["properties"]["spec"], Spec))


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_changes_what_it_concerns_and_nothing_else(field: str) -> None:
    value, expected = FIELDS[field]
    before, after = children(), children(nested(field, value))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == expected


def test_the_row_of_a_field_is_about_another_value() -> None:
    defaults = fibpipeline()["spec"]
    for field, (value, _) in FIELDS.items():
        present: Any = defaults
        for name in field.split("."):
            present = present.get(name) if present else None
        assert present != value, field


def test_every_component_is_concerned_by_some_field() -> None:
    concerned = {name for _, expected in FIELDS.values() for name in expected}
    assert {f"demo-{component}" for component in Component} <= {name.partition("/")[2] for name in concerned}
