"""FibPipelines for tests, with the defaults that the API server would fill in from the CRD."""

import copy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
CRD = yaml.safe_load((ROOT / "crds/fibpipeline.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def defaulted(value: Any, schema: dict[str, Any]) -> Any:
    """Structural defaulting as the API server does it: a missing property with a default gets it, then its own inner ones."""
    if schema.get("type") == "object" and isinstance(value, dict):
        result = dict(value)
        for name, inner in schema.get("properties", {}).items():
            if name not in result and "default" in inner:
                result[name] = copy.deepcopy(inner["default"])
            if name in result:
                result[name] = defaulted(result[name], inner)
        return result
    if schema.get("type") == "array" and isinstance(value, list):
        return [defaulted(item, schema["items"]) for item in value]
    return value


def fibpipeline(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A FibPipeline named `demo` as the API server would return it."""
    identity = {"name": "demo", "namespace": "flask-celery", "uid": "11111111-aaaa", "generation": 1, "resourceVersion": "100"}
    body = {"apiVersion": "fibpipeline.io/v1", "kind": "FibPipeline", "metadata": {**identity, **metadata}, "spec": spec or {}}
    return {**body, "spec": defaulted(body["spec"], SCHEMA["properties"]["spec"])}
