"""Bad input gets a problem document that names field, bound and value; never a 500, never a traceback."""

import socket
from typing import Any

import pytest

from tests.services.pipeline import Pipeline

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("", 400, "no body"),
        ("{", 400, "not JSON"),
        ("[1]", 400, "not an array"),
        ("null", 400, "not null"),
        ('"n"', 400, "not a string"),
        ('{"n": NaN}', 400, "NaN"),
        ('{"n": Infinity}', 400, "Infinity"),
        (b"\xff\xfe{", 400, "not JSON"),
        ("{}", 422, "n is missing"),
        ('{"n": true}', 422, "not a boolean true"),
        ('{"n": 1.0}', 422, "1.0"),
        ('{"n": "5"}', 422, "not a string"),
        ('{"n": null}', 422, "not null"),
        ('{"n": [5]}', 422, "not an array"),
        ('{"n": 1e400}', 422, "Infinity"),
        ('{"n": -1}', 422, "0..40"),
        ('{"n": 41}', 422, "0..40"),
        ('{"n": 1000001, "algorithm": "fast"}', 422, "0..1000000"),
        ('{"n": ' + "9" * 40 + "}", 422, "beyond every bound"),
        ('{"n": ' + "9" * 5000 + "}", 413, "larger"),
        ('{"n": 1, "n": 2}', 422, "more than once"),
        ('{"n": 1, "m": 2}', 422, "m is not a member"),
        ('{"n": 1, "algorithm": "quick"}', 422, "algorithm"),
        ("[" * 100_000, 413, "larger"),
    ],
)
def test_a_bad_job_is_refused(standing: Pipeline, body: str | bytes, status: int, words: str) -> None:
    answer = standing.client.post("/api/jobs", content=body, headers=JSON)
    check(answer, status, words)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("[" * 100_000, 400, "nested too deeply"),
        ('{"jobs": []}', 422, "jobs"),
        ('{"jobs": {}}', 422, "jobs"),
        ('{"jobs": [{"n": 1}, {"n": true}]}', 422, "jobs.1.n"),
        ('{"jobs": [' + ", ".join(['{"n": 1}'] * 1001) + "]}", 422, "at most 1000"),
        (" " * 300_000, 413, "larger"),
    ],
)
def test_a_bad_batch_is_refused(standing: Pipeline, body: str, status: int, words: str) -> None:
    check(standing.client.post("/api/batches", content=body, headers=JSON), status, words)


def test_the_wrong_type_is_refused(standing: Pipeline) -> None:
    check(standing.client.post("/api/jobs", content='{"n": 5}', headers={"content-type": "text/plain"}), 415, "application/json")
    check(standing.client.post("/api/jobs"), 400, "no body")


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/api/jobs/123e4567-e89b-12d3-a456-426614174000", 404),
        ("GET", "/api/jobs/123e4567-e89b-12d3-a456-426614174000/result", 404),
        ("DELETE", "/api/jobs/123e4567-e89b-12d3-a456-426614174000", 404),
        ("POST", "/api/jobs/123e4567-e89b-12d3-a456-426614174000/retry", 404),
        ("GET", "/api/jobs/1", 400),
        ("GET", "/api/jobs/123e4567e89b12d3a456426614174000", 400),
        ("GET", "/api/jobs/%00", 400),
        ("GET", "/api/jobs?limit=0", 422),
        ("GET", "/api/jobs?limit=201", 422),
        ("GET", "/api/jobs?limit=1e3", 422),
        ("GET", "/api/jobs?limit=-1", 422),
        ("GET", "/api/jobs?before=99999999999999999999999", 422),
        ("GET", "/api/jobs?state=done'%20OR%201=1--", 422),
        ("GET", "/api/jobs?offset=5", 422),
        ("PUT", "/api/jobs", 405),
        ("GET", "/api/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/static/../settings.py", 404),
    ],
)
def test_a_bad_address_is_refused(standing: Pipeline, method: str, address: str, status: int) -> None:
    check(standing.client.request(method, address), status, "")


def test_a_problem_names_field_bound_and_value(standing: Pipeline) -> None:
    problem = standing.client.post("/api/jobs", json={"n": 77}).json()
    assert (problem["field"], problem["minimum"], problem["maximum"], problem["value"]) == ("n", 0, 40, "77")


def test_an_idempotency_key_belongs_to_one_request(standing: Pipeline) -> None:
    first = standing.submit(7, **{"Idempotency-Key": "mine"})
    assert standing.submit(7, **{"Idempotency-Key": "mine"}) == first
    other = standing.client.post("/api/jobs", json={"n": 8}, headers={"Idempotency-Key": "mine"})
    check(other, 422, "another request")
    check(standing.client.post("/api/jobs", json={"n": 8}, headers={"Idempotency-Key": "k" * 300}), 400, "Idempotency-Key")


def test_too_many_queued_jobs_of_one_client(pipelines: Any) -> None:
    pipeline: Pipeline = pipelines(FIB_MAX_QUEUED_PER_CLIENT="20")
    pipeline.migrate()
    pipeline.start_api()
    pipeline.submit_many([1] * 15)
    refused = pipeline.client.post("/api/batches", json={"jobs": [{"n": 1}] * 6})
    check(refused, 429, "20")
    assert int(refused.headers["Retry-After"]) > 0
    pipeline.submit_many([1] * 5)
    check(pipeline.client.post("/api/jobs", json={"n": 1}), 429, "20")
    other = pipeline.client.post("/api/jobs", json={"n": 1}, headers={"X-Forwarded-For": "192.0.2.7"})
    assert other.status_code == 202, "another client has a quota of its own"
    assert len(pipeline.rows("id")) == 21


def test_a_body_that_never_comes_does_not_hold_the_server(standing: Pipeline) -> None:
    idle = [socket.create_connection(("127.0.0.1", standing.api_port)) for _ in range(8)]
    try:
        for connection in idle:
            connection.sendall(b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
        assert standing.client.get("/api/healthz").status_code == 200
        idle[0].settimeout(30)
        assert b" 408 " in idle[0].recv(4096).splitlines()[0]
    finally:
        for connection in idle:
            connection.close()


def check(answer: Any, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert words in problem["detail"]
    assert "Traceback" not in answer.text
    assert "postgresql://" not in answer.text
