"""Reading the API server's audit log."""

import json
from typing import Any

from lab.audit import parse


def line(verb: str, stage: str = "ResponseComplete", code: int = 200, **about: str) -> bytes:
    event: dict[str, Any] = {
        "stage": stage,
        "verb": verb,
        "user": {"username": "somebody"},
        "objectRef": about,
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.250000Z",
        "stageTimestamp": "2026-01-02T03:04:05.750000Z",
    }
    return json.dumps(event).encode() + b"\n"


def test_a_request_has_its_object_and_its_times() -> None:
    (request,) = parse([line("patch", resource="deployments", subresource="scale", namespace="ns", name="demo-worker")])
    assert request.writes
    assert request.resource == "deployments/scale"
    assert request.object == ("deployments", "ns", "demo-worker")
    assert request.ended - request.begun == 0.5


def test_a_watch_counts_once_when_it_begins() -> None:
    seen = parse([line("watch", "ResponseStarted", resource="pods"), line("watch", resource="pods"), line("get", "ResponseStarted")])
    assert [request.verb for request in seen] == ["watch"]


def test_a_line_still_being_written_is_left_for_the_next_look() -> None:
    assert len(parse([line("get"), line("get")[:-20]])) == 1


def test_an_apply_that_makes_its_object_needs_the_right_to_create_too() -> None:
    about = {"apiGroup": "apps", "resource": "deployments"}
    changed, made, version = parse([line("patch", **about), line("patch", code=201, **about), line("get")])
    assert changed.rights == {("patch", "apps", "deployments")}
    assert made.rights == {("patch", "apps", "deployments"), ("create", "apps", "deployments")}
    assert version.rights == set()
