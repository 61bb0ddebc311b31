"""What a refusal of the API server tells."""

import json
from typing import Any

import pytest
from kubernetes.aio import client

from fiboperator.errors import api_error


def refusal(status: int, body: Any, headers: dict[str, str] | None = None) -> client.ApiException:
    """What the client raises."""
    error = client.ApiException(status=status, reason="Refused")
    error.body, error.headers = json.dumps(body), headers
    return error


@pytest.mark.parametrize(
    ("causes", "owned"),
    [
        ([{"reason": "FieldManagerConflict", "field": ".data.mine"}], True),
        ([], False),
        (None, False),
    ],
)
def test_only_a_conflict_over_a_field_means_that_somebody_owns_it(causes: Any, owned: bool) -> None:
    assert api_error("apply it", refusal(409, {"reason": "Conflict", "details": {"causes": causes}})).owned is owned


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "3"}, {}, 3.0),
        (None, {"retryAfterSeconds": 2}, 2.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, 0.0),
        (None, None, 0.0),
    ],
)
def test_it_says_how_long_to_stay_away(headers: Any, details: Any, seconds: float) -> None:
    assert api_error("apply it", refusal(429, {"reason": "TooManyRequests", "details": details}, headers)).retry_after == seconds


def test_no_answer_is_a_failure_that_may_pass() -> None:
    error = api_error("apply it", ConnectionResetError())
    assert (error.status, error.permanent, str(error)) == (0, False, "apply it: the API server did not answer: ConnectionResetError")
