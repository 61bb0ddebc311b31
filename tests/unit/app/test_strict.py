"""Reading requests strictly."""

import pytest
from pydantic import BaseModel

from fibapp.api.models import BatchIn, JobIn
from fibapp.api.problems import Problem
from fibapp.api.strict import parse, validate


def problem(model: type[BaseModel], body: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        validate(model, parse(body))
    return caught.value


@pytest.mark.parametrize("body", [b"{", b"nul", b"", b"\xff", b'{"n": NaN}', b'{"n": -Infinity}', b"[" * 100_000, b"[1]", b"5"])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    assert problem(JobIn, body).status == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "n"),
        (b'{"n": true}', "n"),
        (b'{"n": 1.0}', "n"),
        (b'{"n": "5"}', "n"),
        (b'{"n": 1e400}', "n"),
        (b'{"n": 1, "n": 1}', "n"),
        (b'{"n": 1, "extra": 1}', "extra"),
        (b'{"n": 1, "algorithm": 5}', "algorithm"),
    ],
)
def test_what_is_of_the_wrong_type_is_invalid_and_names_the_field(body: bytes, field: str) -> None:
    found = problem(JobIn, body)
    assert (found.status, found.members["field"]) == (422, field)


def test_the_entry_of_a_batch_is_named_by_its_place() -> None:
    found = problem(BatchIn, b'{"jobs": [{"n": 1}, {"n": false}]}')
    assert (found.status, found.members["field"]) == (422, "jobs.1.n")


def test_an_integer_of_any_length_costs_nothing() -> None:
    found = problem(JobIn, b'{"n": ' + b"7" * 100_000 + b"}")
    assert found.status == 422
    assert len(found.detail) < 200
    assert "100000 digits" in found.detail


def test_what_is_right_is_read() -> None:
    assert validate(JobIn, parse(b' {"n": 30} ')) == JobIn(n=30)
    assert validate(JobIn, parse(b'{"n": 7, "algorithm": "fast"}')).algorithm == "fast"
