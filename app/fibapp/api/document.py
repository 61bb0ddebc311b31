"""The OpenAPI document: what views read, return and refuse.

APIFlask notes a model on the view and returns a wrapper that validates in its own, lenient way. Here only the note is wanted:
requests are read strictly elsewhere, and answers are built right in the first place.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from apiflask import APIBlueprint, APIFlask
from pydantic import BaseModel

from fibapp.api.models import ProblemOut
from fibapp.api.problems import MEDIA_TYPE

View = TypeVar("View", bound=Callable[..., Any])


def takes(blueprint: APIBlueprint, model: type[BaseModel], location: str) -> Callable[[View], View]:
    """The view reads `model` at `location` (json or query)."""

    def note(view: View) -> View:
        blueprint.input(model, location=location)(view)
        return view

    return note


def returns(blueprint: APIBlueprint, model: type[BaseModel], status: int = 200, description: str | None = None) -> Callable[[View], View]:
    """The view answers with `model`."""

    def note(view: View) -> View:
        blueprint.output(model, status_code=status, description=description)(view)
        return view

    return note


def configure(app: APIFlask) -> None:
    """Let every error of the document be a problem document."""
    app.config.update(
        DESCRIPTION="Fibonacci numbers, computed by workers. Errors are problem documents (RFC 9457).",
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        HTTP_ERROR_SCHEMA=ProblemOut.model_json_schema(),
    )

    @app.spec_processor  # type: ignore[arg-type]
    def name_media_type(document: dict[str, Any]) -> dict[str, Any]:
        for path in document["paths"].values():
            for operation in path.values():
                for status, response in operation.get("responses", {}).items():
                    content = response.get("content", {})
                    if status[0] in "45" and "application/json" in content:
                        content[MEDIA_TYPE] = content.pop("application/json")
        return document
