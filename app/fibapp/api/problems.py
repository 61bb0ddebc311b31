"""Errors as problem documents (RFC 9457): what is wrong, where, which bound, which value; never a traceback or an address."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, json, request
from werkzeug.exceptions import HTTPException

from fibapp.store import SchemaMissing, StoreAway

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
MAX_DISCARDED_BYTES = 4 * 1024 * 1024


class Problem(Exception):
    """An answer other than success. `members` are extra members of the document, such as field, bound and value."""

    def __init__(self, status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def document(self, instance: str) -> dict[str, Any]:
        """The problem document for the address `instance`."""
        document = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail, "instance": instance}
        return {**document, **self.members}

    def response(self) -> Response:
        """The document as HTTP."""
        body = json.dumps(self.document(request.path)) + "\n"
        return Response(body, self.status, self.headers, content_type=MEDIA_TYPE)


def malformed(detail: str, **members: Any) -> Problem:
    """400: not even well-formed."""
    return Problem(400, "Malformed request", detail, **members)


def invalid(detail: str, *, field: str, **members: Any) -> Problem:
    """422: well-formed, but a value is not acceptable."""
    return Problem(422, "Invalid value", detail, field=field, **members)


def not_found(detail: str) -> Problem:
    """404."""
    return Problem(404, "Not found", detail)


def conflict(detail: str, **members: Any) -> Problem:
    """409: not possible in the present state."""
    return Problem(409, "Conflict", detail, **members)


def store_away() -> Problem:
    """503: nothing was stored."""
    return Problem(
        503,
        "Database away",
        "The database does not answer, so nothing was stored. Try again in a few seconds.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def register(app: Flask, show: Callable[[Problem], Response | None], on_schema_missing: Callable[[], None]) -> None:
    """Let every error of `app` become a problem document, or what `show` makes of it.

    `on_schema_missing` is called when a request fails because the database has no schema; the kubelet's question for readiness is one.
    """

    def answer(problem: Problem) -> Response:
        return show(problem) or problem.response()

    @app.errorhandler(Problem)
    def on_problem(problem: Problem) -> Response:
        return answer(problem)

    @app.errorhandler(StoreAway)
    def on_store_away(error: StoreAway) -> Response:
        logger.warning("answering 503: %s", error)
        if isinstance(error, SchemaMissing):
            on_schema_missing()
        return answer(store_away())

    @app.errorhandler(HTTPException)
    def on_http_error(error: HTTPException) -> Response:
        status = error.code or 500
        detail = _DETAILS.get(status, error.description or error.name)
        headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        if status == 413:
            _discard_body()
            headers["Connection"] = "close"
        return answer(Problem(status, error.name, detail, headers=headers))

    @app.errorhandler(Exception)
    def on_bug(error: Exception) -> Response:
        logger.error("unexpected error in %s %s", request.method, request.path, exc_info=error)
        return answer(Problem(500, "Internal error", "An unexpected error; the log of the API has the details."))


def _discard_body() -> None:
    """Take what the client still sends: closing over unread bytes would reset the connection before the client reads our answer."""
    stream, left = request.environ["wsgi.input"], MAX_DISCARDED_BYTES
    while left > 0 and (chunk := stream.read(min(left, 65536))):
        left -= len(chunk)


_DETAILS = {
    404: "There is nothing at this address. The API is described at /api/docs.",
    413: "The body is larger than this request may be.",
    415: "Send the body as application/json.",
}
