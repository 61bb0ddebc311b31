"""The examples are valid, and show what they say they show."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic.alias_generators import to_camel

from fiboperator.spec import Placement, parse
from tests.openapi import is_leaf, strict, walk
from tests.pipelines import ROOT, SCHEMA, fibpipeline

PLACEMENT = {to_camel(name) for name in Placement.model_fields}
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def _pipeline(path: Path) -> dict[str, Any]:
    [pipeline] = [body for body in yaml.safe_load_all(path.read_text()) if body["kind"] == "FibPipeline"]
    return dict(pipeline)


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["external-services", "fibpipeline", "full", "small"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_fits_the_schema(path: Path) -> None:
    body = _pipeline(path)
    metadata = body.pop("metadata")
    jsonschema.validate(body, strict(SCHEMA))
    assert set(metadata) == {"name"}, "the namespace is the user's choice"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_operator_reads_an_example(path: Path) -> None:
    parse(fibpipeline(_pipeline(path)["spec"]))


def test_an_unknown_field_does_not_fit() -> None:
    with pytest.raises(jsonschema.ValidationError, match="replica"):
        jsonschema.validate({"worker": {"replica": 3}}, strict(SCHEMA["properties"]["spec"]))


def test_the_first_example_is_nothing_but_defaults() -> None:
    body = _pipeline(ROOT / "examples/fibpipeline.yaml")
    assert (body["metadata"]["name"], body["spec"]) == ("demo", {})


def test_the_full_example_shows_every_field() -> None:
    """What every component has is shown for the workers. Inside `affinity`, which is a pod's own, its three parts are enough."""
    spec = _pipeline(ROOT / "examples/full.yaml")["spec"]
    for path, schema in walk(SCHEMA["properties"]["spec"], "spec"):
        if path.split(".")[2:3] and path.split(".")[2].partition("[")[0] in PLACEMENT and not path.startswith("spec.worker."):
            continue
        if is_leaf(schema) and not path.endswith((".*", "[]")) and ".affinity." not in path:
            assert _has(spec, path.removeprefix("spec.")), path
    assert set(spec["worker"]["affinity"]) == {"nodeAffinity", "podAffinity", "podAntiAffinity"}


def test_the_external_example_brings_the_secrets_it_names() -> None:
    bodies = list(yaml.safe_load_all((ROOT / "examples/external-services.yaml").read_text()))
    secrets = {body["metadata"]["name"]: set(body["stringData"]) for body in bodies if body["kind"] == "Secret"}
    spec = bodies[-1]["spec"]
    assert {spec[part]["external"]["secretName"]: {"uri"} for part in ("rabbitmq", "postgresql")} == secrets


def _has(value: Any, path: str) -> bool:
    name, _, rest = path.partition(".")
    items = name.endswith("[]")
    value = value.get(name.removesuffix("[]")) if isinstance(value, dict) else None
    if items:
        value = value[0] if value else None
    return value is not None and (not rest or _has(value, rest))
