"""How a request to the API server can fail."""

import json
from collections.abc import Sequence
from typing import Final

import aiohttp
import orjson
from kubernetes.aio import client

# What the client raises: its own errors, those of the transport under it, and of an answer that was cut off.
FAILURES: Final = (client.ApiException, aiohttp.ClientError, OSError, TimeoutError, orjson.JSONDecodeError)

# What the API server says of any object that a ResourceQuota has no room for, and what helps.
QUOTA_EXCEEDED: Final = "exceeded quota"
QUOTA_REMEDY: Final = "Raise that ResourceQuota, or ask for less in the spec."


class ApiError(Exception):
    """The API server refused a request, or could not be reached.

    `status` is the HTTP status, 0 when there was no answer; `permanent` says that the same request will be refused again.
    `retry_after` is for how many seconds the server asked to be left alone.
    """

    def __init__(
        self, action: str, status: int, reason: str, message: str, *, causes: Sequence[str] = (), retry_after: float = 0.0
    ) -> None:
        super().__init__(f"{action}: {message or reason}")
        self.status = status
        self.reason = reason
        self.owned = "FieldManagerConflict" in causes  # another field manager has a field that was to be written
        self.duplicate = "FieldValueDuplicate" in causes  # two entries of a list would bear one name
        self.retry_after = retry_after

    @property
    def permanent(self) -> bool:
        return self.status in (400, 403, 404, 405, 415, 422)


class Taken(Exception):
    """The name of a child to be created is in use by a foreign object, which was left as it was."""


class NotHeld(Exception):
    """Nothing may be written there now: the Lease is another operator's, or could not be renewed."""


class Gone(Exception):
    """The watch is too far behind: list again."""


def api_error(action: str, error: Exception) -> ApiError:
    """What went wrong, whichever library says so."""
    status = getattr(error, "status", 0) or 0
    if not status:
        return ApiError(action, 0, "Unreachable", f"the API server did not answer: {str(error) or type(error).__name__}")
    try:
        body = json.loads(getattr(error, "body", "") or "{}")
    except ValueError:
        body = {}
    details = body.get("details") or {}
    return ApiError(
        action,
        int(status),
        body.get("reason", str(getattr(error, "reason", ""))),
        body.get("message", ""),
        causes=[cause.get("reason", "") for cause in details.get("causes") or []],
        retry_after=_seconds((getattr(error, "headers", None) or {}).get("Retry-After")) or float(details.get("retryAfterSeconds", 0)),
    )


def _seconds(text: str | None) -> float:
    # The API server sends seconds; a proxy before it may send a date, which is not worth reading.
    return float(text) if text and text.isdecimal() else 0.0
