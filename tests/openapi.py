"""The CRD's OpenAPI schema as strict JSON schema, so that a test sees what the API server would refuse or drop."""

from tools.fields import Schema, is_leaf, walk

__all__ = ["Schema", "is_leaf", "strict", "walk"]


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
