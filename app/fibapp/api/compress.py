"""Sending text compressed to those who take it, and the application's own files under addresses that change with their content."""

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

STATIC = "/api/static/"
PACKED_TYPES = ("text/html", "text/css", "text/javascript", "application/javascript", "image/svg+xml")
SMALLEST = 600
"""Shorter texts fit into one packet anyway."""
YEAR_SECONDS = 365 * 24 * 3600


def configure(app: Flask) -> None:
    """Name every static file by its content, and compress what is text."""
    folder = Path(app.static_folder or "")

    @app.url_defaults
    def name_by_content(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "filename" in values:
            values["v"] = _digest(folder / values["filename"])

    @app.after_request
    def compress(response: Response) -> Response:
        static = request.path.startswith(STATIC)
        if static and request.args.get("v"):
            response.cache_control.max_age = YEAR_SECONDS
            response.cache_control.immutable = True
        if response.status_code == 304 or response.mimetype not in PACKED_TYPES or response.headers.get("Content-Encoding"):
            return response
        response.vary.add("Accept-Encoding")
        if not takes_gzip() or response.status_code == 206:
            return response
        if static and response.status_code == 200 and request.method == "GET":
            response.direct_passthrough = False
            return _packed(response, _packed_file(folder / request.path.removeprefix(STATIC)))
        if not static and (response.content_length or 0) >= SMALLEST:
            return _packed(response, gzip.compress(response.get_data(), 6))
        return response


def takes_gzip() -> bool:
    """Does the client take compressed answers?"""
    return bool(request.accept_encodings["gzip"])


def _packed(response: Response, data: bytes) -> Response:
    response.set_data(data)
    response.headers["Content-Encoding"] = "gzip"
    etag, _ = response.get_etag()
    if etag:  # the same validator for both encodings: it is about the content
        response.set_etag(etag, weak=True)
    return response


@lru_cache(maxsize=64)
def _packed_file(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 9)


@lru_cache(maxsize=64)
def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else None
