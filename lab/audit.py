"""What the API server's audit log says: each request with its user, verb, object and times."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request (a watch: one that began). Times in seconds since the epoch, by the API server's clock."""

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    code: int
    allowed: bool
    """Whether the user has the right; a 403 may also be an admission's, such as that of a namespace that is ending."""
    begun: float
    ended: float

    @property
    def writes(self) -> bool:
        """Did it change, or try to change, an object?"""
        return self.verb in WRITES

    @property
    def object(self) -> tuple[str, str, str]:
        """What it was about, without the subresource."""
        return self.resource.partition("/")[0], self.namespace, self.name

    @property
    def rights(self) -> set[tuple[str, str, str]]:
        """The rights that it was granted by, each as (verb, group, resource); none of an address that is no resource."""
        verbs = {self.verb, *(["create"] if self.verb == "patch" and self.code == 201 else [])}  # an apply that found nothing there
        return {(verb, self.group, self.resource) for verb in verbs if self.resource}


class Audit:
    """Reads the log from a mark on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """Where the log ends now."""
        return self._path.stat().st_size

    def since(self, mark: int, user: str = "") -> list[Request]:
        """The requests after `mark`, of `user` only if one is given."""
        with self._path.open("rb") as log:
            log.seek(mark)
            return [request for request in parse(log) if not user or request.user == user]


def parse(lines: Iterable[bytes]) -> list[Request]:
    """The requests in lines of the log. A watch counts when it begins, all others when they end."""
    found = []
    for line in lines:
        if not line.endswith(b"\n"):
            break  # still being written
        event = json.loads(line)
        if (event["verb"] == "watch") == (event["stage"] == "ResponseStarted"):
            found.append(_request(event))
    return found


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef", {})
    resource, part = about.get("resource", ""), about.get("subresource", "")
    return Request(
        user=event["user"]["username"],
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource=f"{resource}/{part}" if part else resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        allowed=event.get("annotations", {}).get("authorization.k8s.io/decision") != "forbid",
        begun=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
        ended=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
    )
