"""docs/spec.md: every field of a FibPipeline, in tables made from its CRD. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_HEAD = """# Every field of a FibPipeline

Made from `crds/fibpipeline.yaml` by `make docs`. The same text is in the cluster: `kubectl explain fib.spec`. Every field has a default, so
`spec: {}` is a complete pipeline; a list that is given replaces its default as a whole. `[]` stands for the items of a list, `*` for the
values of a map. Fields that are the same in several places have their rows once. A field that is not in these tables is refused, not
dropped, when it is applied with `kubectl`.
"""
_SPEC_COLUMNS = "| field | type | default | bounds | meaning |\n|---|---|---|---|---|"
_LARGE = 10
"""Rows of a part of the schema from which on it is shown only once."""
_STATUS_COLUMNS = "| field | type | meaning |\n|---|---|---|"


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


def page(crd: Schema) -> str:
    """The page for a CustomResourceDefinition with one version."""
    [version] = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [_HEAD, *_named_rules(schema)]
    top = schema["properties"]["spec"]["properties"]
    parts += ["## spec\n", _SPEC_COLUMNS, *(_row(f"spec.{name}", inner) for name, inner in top.items()), ""]
    known: list[tuple[str, Schema]] = []
    for name, inner in top.items():
        if not is_leaf(inner) or "items" in inner:
            parts += [f"## spec.{name}\n", _SPEC_COLUMNS, *list(_rows(inner, f"spec.{name}", known))[1:], ""]
    status = schema["properties"]["status"]
    rows = [f"| `{path}` | {_type(field)} | {_meaning(field)} |" for path, field in walk(status, "status")][1:]
    parts += ["## status\n", _STATUS_COLUMNS, *rows, ""]
    columns = [
        f"| {column['name']}{' (wide)' if column.get('priority') else ''} | `{column['jsonPath']}` | {_text(column['description'])} |"
        for column in version["additionalPrinterColumns"]
    ]
    parts += ["## Columns of `kubectl get fib`\n", "| column | from | meaning |\n|---|---|---|", *columns, ""]
    return "\n".join(parts)


def _named_rules(schema: Schema) -> list[str]:
    rules = [f"- {_text(rule['message'])}." for rule in schema["x-kubernetes-validations"]]
    return ["## metadata\n", *rules, ""]


def _rows(schema: Schema, path: str, known: list[tuple[str, Schema]]) -> Iterator[str]:
    """The row of a field and those below it. `known` are the large parts of the schema that have had their rows."""
    if same := next((there for there, part in known if part == schema), None):
        yield _row(path, schema, f" Fields as in `{same}`.")
        return
    yield _row(path, schema)
    if len(list(walk(schema, path))) > _LARGE:
        known.append((path, schema))
    for name, inner in schema.get("properties", {}).items():
        yield from _rows(inner, f"{path}.{name}", known)
    for mark, key in (("[]", "items"), (".*", "additionalProperties")):
        if key in schema:
            yield from _rows(schema[key], f"{path}{mark}", known)


def _row(path: str, schema: Schema, remark: str = "") -> str:
    return f"| `{path}` | {_type(schema)} | {_default(schema)} | {_bounds(schema)} | {_meaning(schema)}{remark} |"


def _type(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "number or text"
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    kind = {"string": "text", "boolean": "true or false"}.get(schema["type"], schema["type"])
    return f"{kind} or null" if schema.get("nullable") else str(kind)


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    default = schema["default"]
    if not is_leaf(schema):
        return "see below"
    return f"`{default}`" if isinstance(default, str) and default else f"`{json.dumps(default)}`"


def _bounds(schema: Schema) -> str:
    bounds = []
    if "enum" in schema:
        bounds.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "minimum" in schema:
        bounds.append(f"{schema['minimum']} to {schema['maximum']}" if "maximum" in schema else f"from {schema['minimum']}")
    for unit, low, high in (
        ("characters", "minLength", "maxLength"),
        ("entries", "minItems", "maxItems"),
        ("entries", "minProperties", "maxProperties"),
    ):
        if high in schema:
            bounds.append(f"{schema[low]} to {schema[high]} {unit}" if low in schema else f"at most {schema[high]} {unit}")
    bounds += [rule["message"] for rule in schema.get("x-kubernetes-validations", [])]
    if schema.get("required"):
        bounds.append("needs " + ", ".join(f"`{name}`" for name in schema["required"]))
    return _text("; ".join(bounds))


def _meaning(schema: Schema) -> str:
    """The description without what the other columns say already."""
    description = re.sub(r" Default: .*?(?= Example: |$)", "", schema["description"])
    if "maximum" in schema:
        description = description.replace(f" From {schema['minimum']} to {schema['maximum']}.", "")
    if "enum" in schema:
        description = description.replace(f" One of {', '.join(schema['enum'])}.", "")
    text, separator, example = description.partition(" Example: ")
    example = example.removesuffix(".")
    return _text(text) + (f" Example: `{example.replace('|', '')}`." if separator and "see " not in example else "")


def _text(words: str) -> str:
    return " ".join(words.split()).replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")
