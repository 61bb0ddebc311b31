"""Reading JSON strictly: no duplicate names, no NaN, no deep nesting, no numbers that only look like integers."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import ClientDisconnected

from fibapp.api.document import takes
from fibapp.api.problems import Problem, invalid, malformed

Model = TypeVar("Model", bound=BaseModel)

MAX_INTEGER_DIGITS = 30
"""Longer integers are out of every bound; converting them would only cost time."""
MAX_SHOWN = 80


class _HugeInteger:
    """Stands for an integer too long to be meant seriously."""

    def __init__(self, digits: str) -> None:
        self._digits = digits

    def __repr__(self) -> str:
        return f"{self._digits[:12]}... ({len(self._digits)} digits)"


def read_json(limit: int) -> Any:
    """The JSON value in the body of the current request, of at most `limit` bytes. Raises Problem."""
    if not request.is_json:
        if not request.content_length and not request.mimetype:
            raise malformed("The request has no body; send a JSON object.")
        raise Problem(415, "Unsupported media type", "Send the body as application/json.")
    request.max_content_length = limit
    try:
        body = request.get_data(cache=False)  # werkzeug answers 413 by itself
    except ClientDisconnected:
        raise Problem(408, "Request timeout", "The body did not arrive in time.", headers={"Connection": "close"}) from None
    if not body.strip():
        raise malformed("The request has no body; send a JSON object.")
    return parse(body)


def parse(body: bytes) -> Any:
    """`body` as a Python value. Raises Problem."""
    try:
        return json.loads(body, parse_constant=_constant, parse_int=_integer, object_pairs_hook=_object)
    except RecursionError:
        raise malformed("The JSON is nested too deeply.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise malformed(f"The body is not JSON: {error}"[:200]) from None


def _constant(name: str) -> NoReturn:
    raise malformed(f"The body is not JSON: {name} is no number of JSON.")


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else _HugeInteger(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(f"The member {_shown(twice)} is given more than once.", field=twice[:MAX_SHOWN])
    return value


def validate(model: type[Model], value: Any) -> Model:
    """`value` as a `model`. Raises Problem: 400 when it is no object at all, 422 naming field and value otherwise."""
    if not isinstance(value, dict):
        raise malformed(f"The body must be a JSON object, not {_kind(value)}.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise invalid(_sentence(field, first), field=field, **_value(first)) from None


def reads(blueprint: APIBlueprint, model: type[Model], *, limit: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a view: its first argument is the body, read strictly as `model`; the API document describes it."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def read_then_view(*args: Any, **kwargs: Any) -> Any:
            return view(validate(model, read_json(limit)), *args, **kwargs)

        return takes(blueprint, model, "json")(read_then_view)

    return decorate


def _sentence(field: str, error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return f"{field} is missing."
        case "extra_forbidden":
            return f"{field} is not a member of this request."
        case "int_type" if isinstance(error["input"], _HugeInteger):
            return f"{field} is beyond every bound; given was {error['input']!r}."
        case "int_type":
            return f"{field} must be an integer, not {_kind(error['input'])} {_shown(error['input'])}."
        case _:
            return f"{field}: {error['msg']}; given was {_shown(error['input'])}."


def _value(error: ErrorDetails) -> dict[str, Any]:
    return {} if error["type"] == "missing" else {"value": _shown(error["input"])}


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {
        bool: "a boolean",
        float: "a floating-point number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return "null" if value is None else kinds.get(type(value), "this value")


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, _HugeInteger) else json.dumps(value, default=repr)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
