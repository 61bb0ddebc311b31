"""The CRD as a manual, as the home of the defaults, and as a contract with the operator."""

import json
import re
from typing import Any

import jsonschema
import pytest

from fiboperator import spec as operator_spec
from fiboperator import status
from fiboperator.evidence import Evidence
from fiboperator.health import Verdict
from fiboperator.resources import Context, Release, desired, generate, generated_components
from fiboperator.resources.worker import SHUTDOWN_MARGIN_SECONDS
from tests.openapi import Schema, is_leaf, strict, walk
from tests.pipelines import CRD, SCHEMA, defaulted, fibpipeline

VERSION = CRD["spec"]["versions"][0]
SPEC = SCHEMA["properties"]["spec"]
STATUS = SCHEMA["properties"]["status"]
SPEC_FIELDS = list(walk(SPEC, "spec"))
SPEC_LEAVES = [(path, schema) for path, schema in SPEC_FIELDS if is_leaf(schema)]
LABEL_LENGTH = 63

SCALE_UP = [{"type": "Percent", "value": 100, "periodSeconds": 30}, {"type": "Pods", "value": 2, "periodSeconds": 30}]
SCALE_DOWN = [{"type": "Percent", "value": 50, "periodSeconds": 60}]

# What every component's pods have.
PLACEMENT: dict[str, Any] = {
    "nodeSelector": {},
    "tolerations": [],
    "priorityClassName": "",
    "podAnnotations": {},
    "podLabels": {},
    "serviceAccountAnnotations": {},
}
DEFAULTS: dict[str, Any] = {
    "spec.image": "",
    "spec.imagePullPolicy": "IfNotPresent",
    "spec.imagePullSecrets": [],
    "spec.paused": False,
    "spec.deletionPolicy": "Retain",
    "spec.fibonacci.maxRecursiveN": 40,
    "spec.fibonacci.maxN": 1000000,
    "spec.rabbitmq.image": "rabbitmq:4.3-management",
    "spec.rabbitmq.storage.size": "10Gi",
    "spec.rabbitmq.resources.requests.cpu": "250m",
    "spec.rabbitmq.resources.requests.memory": "512Mi",
    "spec.rabbitmq.resources.limits.cpu": "500m",
    "spec.rabbitmq.resources.limits.memory": "1Gi",
    "spec.rabbitmq.external.secretName": "",
    "spec.postgresql.image": "postgres:18",
    "spec.postgresql.database": "fib",
    "spec.postgresql.storage.size": "20Gi",
    "spec.postgresql.resources.requests.cpu": "1",
    "spec.postgresql.resources.requests.memory": "2Gi",
    "spec.postgresql.resources.limits.cpu": "2",
    "spec.postgresql.resources.limits.memory": "4Gi",
    "spec.postgresql.external.secretName": "",
    "spec.api.replicas": 2,
    "spec.api.resources.requests.cpu": "300m",
    "spec.api.resources.requests.memory": "256Mi",
    "spec.api.resources.limits.cpu": "500m",
    "spec.api.resources.limits.memory": "512Mi",
    "spec.worker.replicas": 3,
    "spec.worker.concurrency": 1,
    "spec.worker.resources.requests.cpu": "500m",
    "spec.worker.resources.requests.memory": "512Mi",
    "spec.worker.resources.limits.cpu": "1",
    "spec.worker.resources.limits.memory": "1Gi",
    "spec.worker.autoscaling.enabled": True,
    "spec.worker.autoscaling.minReplicas": 3,
    "spec.worker.autoscaling.maxReplicas": 10,
    "spec.worker.autoscaling.targetCPUUtilizationPercentage": 70,
    "spec.worker.autoscaling.backlogTargetSeconds": 30,
    "spec.worker.autoscaling.behavior.scaleUp.stabilizationWindowSeconds": 60,
    "spec.worker.autoscaling.behavior.scaleUp.selectPolicy": "Max",
    "spec.worker.autoscaling.behavior.scaleUp.policies": SCALE_UP,
    "spec.worker.autoscaling.behavior.scaleDown.stabilizationWindowSeconds": 300,
    "spec.worker.autoscaling.behavior.scaleDown.selectPolicy": "Max",
    "spec.worker.autoscaling.behavior.scaleDown.policies": SCALE_DOWN,
    "spec.worker.terminationGracePeriodSeconds": 300,
    "spec.flower.enabled": True,
    "spec.flower.readOnly": True,
    "spec.flower.resources.requests.cpu": "100m",
    "spec.flower.resources.requests.memory": "128Mi",
    "spec.flower.resources.limits.cpu": "300m",
    "spec.flower.resources.limits.memory": "256Mi",
    "spec.ingress.enabled": True,
    "spec.ingress.host": "",
    "spec.ingress.annotations": {},
    "spec.ingress.tls.secretName": "",
    **{
        f"spec.{component}.{name}": default
        for component in ("rabbitmq", "postgresql", "api", "worker", "flower")
        for name, default in PLACEMENT.items()
    },
}
# Leaving these out has a meaning of its own.
WITHOUT_DEFAULT = {"spec.rabbitmq.storage.storageClassName", "spec.postgresql.storage.storageClassName", "spec.ingress.className"}


def _filled(schema: Schema) -> Any:
    """What the leaves' defaults alone make of an empty object."""
    if is_leaf(schema):
        return schema["default"]
    return {name: _filled(inner) for name, inner in schema["properties"].items() if "default" in inner}


def _is_optional(path: str) -> bool:
    """Parts of list items and of `affinity` exist only where a person writes them."""
    return "[]" in path or ".affinity." in path


def test_every_leaf_has_the_agreed_default() -> None:
    found = {path: schema["default"] for path, schema in SPEC_LEAVES if "default" in schema}
    assert found == DEFAULTS


def test_a_leaf_without_default_is_meant_to_have_none() -> None:
    missing = {path for path, schema in SPEC_LEAVES if "default" not in schema and not _is_optional(path) and not path.endswith(".*")}
    assert missing == WITHOUT_DEFAULT


@pytest.mark.parametrize(
    ("path", "schema"), [(path, schema) for path, schema in SPEC_FIELDS if not is_leaf(schema) and not _is_optional(path)]
)
def test_the_default_of_an_object_agrees_with_those_of_its_leaves(path: str, schema: Schema) -> None:
    assert defaulted(schema["default"], schema) == _filled(schema), path


def test_a_partial_override_keeps_the_other_defaults() -> None:
    pipeline = fibpipeline({"worker": {"resources": {"requests": {"cpu": "250m"}}}})
    assert pipeline["spec"]["worker"]["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }


def test_every_field_is_described() -> None:
    silent = {path for path, schema in walk(SCHEMA, "fib") if not schema.get("description")}
    # Kubernetes allows no description on an object's own metadata.
    assert silent == {"fib.metadata", "fib.metadata.name"}


@pytest.mark.parametrize(("path", "schema"), [(path, schema) for path, schema in SPEC_LEAVES if not path.endswith((".*", "[]"))])
def test_a_description_tells_default_example_and_bounds(path: str, schema: Schema) -> None:
    text = schema["description"]
    assert "Example: " in text
    assert f"Default: {_written(schema)}" in text
    if schema.get("type") == "integer" and "minimum" in schema:
        assert f"From {schema['minimum']} to {schema['maximum']}" in text


def _written(schema: Schema) -> str:
    if "default" not in schema:
        return "none."
    default = schema["default"]
    if isinstance(default, str):
        return f"{default or json.dumps(default)}."
    # A list of policies is told in words.
    return "" if isinstance(default, list) and default else f"{json.dumps(default)}."


def test_strings_lists_and_maps_are_bounded() -> None:
    """The API server estimates the cost of rules from these bounds; without them it refuses the CRD."""
    for path, schema in SPEC_FIELDS:
        if schema.get("type") == "string":
            assert "maxLength" in schema or "enum" in schema, path
        assert "items" not in schema or "maxItems" in schema, path
        assert "additionalProperties" not in schema or "maxProperties" in schema, path


def test_names_and_categories() -> None:
    names = CRD["spec"]["names"]
    assert CRD["metadata"]["name"] == f"{names['plural']}.{CRD['spec']['group']}" == "fibpipelines.fibpipeline.io"
    assert (names["kind"], names["shortNames"], names["categories"]) == ("FibPipeline", ["fib"], ["all"])
    assert (CRD["spec"]["scope"], VERSION["name"]) == ("Namespaced", "v1")


def test_columns() -> None:
    columns = VERSION["additionalPrinterColumns"]
    assert [column["name"] for column in columns if not column.get("priority")] == ["Ready", "Status", "API", "Workers", "URL", "Age"]
    assert [column["name"] for column in columns if column.get("priority")] == ["Autoscale", "Broker", "Database", "Version", "Message"]


def test_columns_and_scale_read_fields_that_exist() -> None:
    known = {path.removeprefix("fib") for path, _ in walk(SCHEMA, "fib")}
    plain = [column["jsonPath"] for column in VERSION["additionalPrinterColumns"] if "[?" not in column["jsonPath"]]
    for path in [*plain, *VERSION["subresources"]["scale"].values()]:
        assert path in known or path == ".metadata.creationTimestamp"


def test_the_longest_name_leaves_room_for_what_is_derived_from_it() -> None:
    [bound] = [int(match[1]) for rule in SCHEMA["x-kubernetes-validations"] if (match := re.search(r"size\(\) <= (\d+)", rule["rule"]))]
    children = desired(_context(fibpipeline(name="a" * bound)))
    services = [len(child["metadata"]["name"]) for child in children if child["kind"] == "Service"]
    # The pods of a StatefulSet carry the label controller-revision-hash: its name, a dash and up to 10 characters.
    revisions = [len(child["metadata"]["name"]) + 11 for child in children if child["kind"] == "StatefulSet"]
    assert max(services + revisions) == LABEL_LENGTH


def test_the_longest_job_ends_before_the_broker_takes_it_back() -> None:
    longest_grace = SPEC["properties"]["worker"]["properties"]["terminationGracePeriodSeconds"]["maximum"]
    consumer_timeout, check_interval = 30 * 60, 60
    assert longest_grace - SHUTDOWN_MARGIN_SECONDS < consumer_timeout - check_interval


@pytest.mark.parametrize(
    "pipeline_spec", [{}, {"rabbitmq": {"external": {"secretName": "broker"}}, "ingress": {"host": "fib.example.com"}}]
)
def test_the_schema_knows_every_field_of_the_status(pipeline_spec: dict[str, Any]) -> None:
    """Server-side apply of a field that the schema does not declare is refused as a whole."""
    pipeline = operator_spec.parse(fibpipeline(pipeline_spec))
    workers = Verdict(True, "ScalingActive", "3 of 3-10 workers.")
    written = status.of_pipeline(pipeline, {}, Evidence(), None, workers, {}, "2026-01-01T00:00:00Z", "0.1.0")
    jsonschema.validate(written, strict(STATUS))


def test_client_side_apply_can_keep_it_in_an_annotation() -> None:
    assert len(json.dumps(CRD)) < 256 * 1024


def _context(body: dict[str, Any]) -> Context:
    pipeline = operator_spec.parse(body)
    credentials = {component: generate(component) for component in generated_components(pipeline)}
    return Context(pipeline, credentials, Release("0.1.0", "fibpipeline/app:0.1.0"), pipeline.spec.worker.floor)
