"""The CRD's OpenAPI schema as strict JSON schema, so that a test sees what the API server would refuse or drop."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


def strict(schema: Schema) -> Schema:
    """The same as JSON schema: unknown fields refused, `nullable` and int-or-string spelt out. CEL rules are left to the API server."""
    known = (
        "description",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "required",
    )
    result = {key: schema[key] for key in known if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        return {**result, "type": ["integer", "string"]}
    kind = schema["type"]
    result["type"] = [kind, "null"] if schema.get("nullable") else kind
    if "properties" in schema:
        result["properties"] = {name: strict(inner) for name, inner in schema["properties"].items()}
        result["additionalProperties"] = False
    if "additionalProperties" in schema:
        result["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        result["items"] = strict(schema["items"])
    return result


def walk(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every (dotted path, schema) below and including `path`; `[]` stands for the items of a list, `*` for the values of a map."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}.*")


def is_leaf(schema: Schema) -> bool:
    """Whether a person writes this field as one value: anything but an object with fields of its own."""
    return "properties" not in schema
