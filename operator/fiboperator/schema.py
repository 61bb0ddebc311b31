"""The CRD that this operator was released with, as a source of defaults.

The API server fills in the defaults of the CRD that is installed. That may be an older one: Helm never upgrades a CRD, and a rollback of
the CRD leaves the operator as it is (https://helm.sh/docs/chart_best_practices/custom_resource_definitions/).
"""

import copy
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Schema = dict[str, Any]


def defaulted(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec of a FibPipeline with the default of each field that it lacks."""
    filled: dict[str, Any] = _defaulted(spec, _spec_schema())
    return filled


@cache
def _spec_schema() -> Schema:
    crd = yaml.safe_load(files(__package__).joinpath("crd.yaml").read_text(encoding="utf-8"))
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def _defaulted(value: Any, schema: Schema) -> Any:
    """Structural defaulting as the API server does it: a missing property gets its default, which is then defaulted itself.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting
    """
    if schema.get("type") == "object" and isinstance(value, dict):
        result = dict(value)
        for name, inner in schema.get("properties", {}).items():
            if name not in result and "default" in inner:
                result[name] = copy.deepcopy(inner["default"])
            if name in result:
                result[name] = _defaulted(result[name], inner)
        return result
    if schema.get("type") == "array" and isinstance(value, list):
        return [_defaulted(item, schema["items"]) for item in value]
    return value
