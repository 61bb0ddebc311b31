"""What the operator asks before it scales: the load, learned costs, and its own decision shown to people."""

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import median
from typing import Any

import pytest

from fibapp.api.watch import IDLE_SECONDS, MAX_WAITING, MOVING_SECONDS
from tests.services.pipeline import Pipeline
from tests.waiting import eventually

DECISION = {
    "workers": 3,
    "floor": 6,
    "min": 3,
    "max": 10,
    "sentence": "3 of 3-10 workers: 140 s of queued work, 30 s wanted",
    "at": "2026-01-02T03:04:05Z",
}
SLOW = 36


def only_listens(pipeline: Pipeline) -> bool:
    """Does the API listen for announcements, having asked nothing for longer than it would while something moves?"""
    with pipeline.connection() as connection, connection.cursor() as cursor:
        cursor.execute(
            """SELECT bool_or(query LIKE 'LISTEN%%') AND bool_and(state = 'idle' AND state_change < now() - %s * interval '1 second')
            FROM pg_stat_activity WHERE datname = %s AND application_name = 'fib-api'""",
            (2 * MOVING_SECONDS, pipeline.name),
        )
        return bool(cursor.fetchone()[0])


def cost(pipeline: Pipeline, algorithm: str, n: int) -> float:
    """What /api/stats says that a job costs."""
    costs = pipeline.client.get("/api/stats").json()["costs"]
    mine = costs[algorithm]
    units = mine["base"] ** n if algorithm == "recursive" else n ** mine["exponent"]
    return float(costs["overhead_seconds"] + mine["coefficient"] * units)


def without_workers(pipeline: Pipeline) -> Pipeline:
    """Only the API: what is submitted stays queued."""
    pipeline.migrate()
    pipeline.start_api()
    return pipeline


def test_a_poll_waits_while_nothing_moves_and_wakes_for_the_first_job(pipeline: Pipeline) -> None:
    without_workers(pipeline)
    idle = pipeline.load()
    assert {name: idle[name] for name in idle if name != "version"} == {
        "queued": 0,
        "running": 0,
        "seconds": 0,
        "running_seconds": 0,
        "oldest_wait_seconds": 0,
        "busy": {},
        "broker": None,
        "decision": None,
    }
    assert pipeline.load(idle["version"], wait=1) == idle, "the wait ends without news"
    with ThreadPoolExecutor(3) as pool:
        polls: list[Future[dict[str, Any]]] = [pool.submit(pipeline.load, idle["version"], 60) for _ in range(3)]
        eventually(lambda: only_listens(pipeline), "the API to do nothing but listen")
        assert not any(poll.done() for poll in polls)
        pipeline.submit(30)
        # Sooner than the API would look by itself: it was the announcement.
        eventually(lambda: all(poll.done() for poll in polls), "all polls to be answered", IDLE_SECONDS / 2)
        for poll in polls:
            assert (poll.result()["queued"], poll.result()["seconds"] > 0) == (1, True)


def test_queued_work_is_weighed_not_counted(pipeline: Pipeline) -> None:
    without_workers(pipeline)
    pipeline.submit_many([35] * 3 + [30] * 10 + [2] * 100)
    pipeline.submit_many([1_000_000] * 2, "fast")
    load = pipeline.load()
    expected = {("recursive", 35): 3, ("recursive", 30): 10, ("recursive", 2): 100, ("fast", 1_000_000): 2}
    assert (load["queued"], load["running"]) == (115, 0)
    assert load["seconds"] == pytest.approx(sum(jobs * cost(pipeline, *kind) for kind, jobs in expected.items()), abs=0.001)
    assert load["oldest_wait_seconds"] > 0
    before = pipeline.load(load["version"], wait=0)["version"]
    pipeline.submit(35)
    assert pipeline.load(before, wait=60)["seconds"] > load["seconds"] * 1.1, "few more jobs, but much more work"


def test_a_busy_worker_pod_is_named_and_a_lost_one_is_not(pipeline: Pipeline) -> None:
    pipeline.up(concurrency=2)
    worker = pipeline.processes[-1]
    jobs = pipeline.submit_many([SLOW] * 3)
    load = eventually(lambda: (found := pipeline.load())["running"] == 2 and found, "both processes to be busy")
    assert load["queued"] == 1
    [(pod, busy)] = load["busy"].items()
    assert pod == f"pod-{worker.port}"
    assert busy["jobs"] == 2
    assert 0 <= busy["remaining_seconds"] <= cost(pipeline, "recursive", SLOW) * 1.1
    assert busy["remaining_seconds"] <= load["running_seconds"] <= 2 * busy["remaining_seconds"] + 0.01
    worker.kill()
    lost = eventually(lambda: (found := pipeline.load())["queued"] == 3 and found, "the lost jobs to wait again")
    assert (lost["running"], lost["busy"]) == (0, {})
    for job in jobs:
        assert pipeline.client.delete(f"/api/jobs/{job}").status_code == 200
    eventually(lambda: pipeline.load()["queued"] == 0, "nothing to wait any more")


def test_costs_are_learned_from_finished_jobs(pipeline: Pipeline) -> None:
    pipeline.up()
    assert pipeline.client.get("/api/stats").json()["costs"]["recursive"]["measured"] == 0, "a start value"
    ids = pipeline.submit_many([25, 26, 27, 28] * 2)
    pipeline.submit_many([3] * 20)
    pipeline.until_all_done(ids)

    def learned() -> dict[str, Any] | None:
        costs = pipeline.client.get("/api/stats").json()["costs"]["recursive"]
        return costs if costs["measured"] == len(ids) else None

    costs = eventually(learned, "the costs to be learned") or {}
    said = [row["duration_ms"] / 1000 / costs["base"] ** row["n"] for row in pipeline.rows("n, duration_ms", ids)]
    assert costs["coefficient"] == pytest.approx(median(said))
    pipeline.processes[-1].close()
    pipeline.submit_many([33] * 5)
    assert pipeline.load()["seconds"] == pytest.approx(5 * cost(pipeline, "recursive", 33), rel=0.01)


def test_the_decision_is_shown_until_it_is_too_old(pipeline: Pipeline) -> None:
    without_workers(pipeline)

    def shown() -> Any:
        return pipeline.client.get("/api/stats").json()["scaling"]

    assert shown() is None, "nobody decided yet"
    pipeline.decide(DECISION)
    assert eventually(shown, "the decision") == {**DECISION, "at": "2026-01-02T03:04:05.000Z"}
    pipeline.decide({**DECISION, "at": "2026-01-02T03:05:00Z"})
    assert rows(pipeline) == [("2026-01-02 03:04:05", 1)], "unchanged: not written again"
    pipeline.decide({**DECISION, "workers": 6, "sentence": "enough", "at": "2026-01-02T03:05:00Z"})
    eventually(lambda: shown()["workers"] == 6, "the new decision")
    assert rows(pipeline) == [("2026-01-02 03:05:00", 1)]
    with pipeline.connection() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE scaling SET noted_at = now() - interval '4 minutes'")
    eventually(lambda: shown() is None, "the old decision to be forgotten")
    assert pipeline.load()["decision"]["workers"] == 6
    eventually(lambda: (shown() or {}).get("at") == "2026-01-02T03:05:00.000Z", "the decision that a question confirms")


def test_each_answer_tells_which_decision_is_kept(pipeline: Pipeline) -> None:
    without_workers(pipeline)
    assert pipeline.load()["decision"] is None
    assert pipeline.decide(DECISION).status_code == 204
    kept = pipeline.load()["decision"]
    assert {name: kept[name] for name in kept if name != "at"} == {name: DECISION[name] for name in DECISION if name != "at"}


def test_an_operator_of_the_release_before_asks_and_tells_with_one_request(pipeline: Pipeline) -> None:
    without_workers(pipeline)
    answer = pipeline.ask_load({"seen": None, "wait": 0, "decision": DECISION})
    assert (answer.status_code, answer.json()["queued"], "decision" in answer.json()) == (200, 0, False)
    assert pipeline.load()["decision"]["floor"] == DECISION["floor"]


def test_who_hangs_up_takes_no_place_from_those_who_wait(pipeline: Pipeline) -> None:
    without_workers(pipeline)
    idle = pipeline.load()["version"]
    for _ in range(MAX_WAITING):
        with socket.create_connection(("127.0.0.1", pipeline.internal_port)) as client:
            client.sendall(f"GET /load?since={idle}&wait=600 HTTP/1.1\r\nHost: api\r\n\r\n".encode())
            time.sleep(0.02)
    eventually(lambda: pipeline.question(since=idle, wait="0.1").status_code == 200, "a place to be free", 2 * IDLE_SECONDS)


def rows(pipeline: Pipeline) -> list[tuple[str, int]]:
    """When the decision was made, by how many rows."""
    with pipeline.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), count(*) FROM scaling")
        return [tuple(row) for row in cursor.fetchall()]


def test_what_a_newer_operator_sends_besides_is_ignored(standing: Pipeline) -> None:
    answer = standing.ask_load({"seen": None, "wait": 0, "decision": {**DECISION, "pool": "gpu"}, "more": 1})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        ([], 400, None),
        ({}, 422, "seen"),
        ({"seen": None, "wait": 0}, 422, "decision"),
        ({"seen": 7, "wait": 0, "decision": None}, 422, "seen"),
        ({"seen": "x" * 201, "wait": 0, "decision": None}, 422, "seen"),
        ({"seen": None, "wait": -1, "decision": None}, 422, "wait"),
        ({"seen": None, "wait": 61, "decision": None}, 422, "wait"),
        ({"seen": None, "wait": "1", "decision": None}, 422, "wait"),
        ({"seen": None, "wait": True, "decision": None}, 422, "wait"),
        (b'{"seen": null, "wait": 1e999, "decision": null}', 422, "wait"),
        (b'{"seen": null, "wait": NaN, "decision": null}', 400, None),
        ({"seen": None, "wait": 0, "decision": {}}, 422, "decision.workers"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "workers": -1}}, 422, "decision.workers"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "floor": 2.5}}, 422, "decision.floor"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "max": 10**30}}, 422, "decision.max"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "sentence": ""}}, 422, "decision.sentence"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "sentence": "two\nlines"}}, 422, "decision.sentence"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "sentence": "nul\0"}}, 422, "decision.sentence"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "sentence": "x" * 1001}}, 422, "decision.sentence"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "at": 5}}, 422, "decision.at"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "at": "2026-01-02T03:04:05"}}, 422, "decision.at"),
        ({"seen": None, "wait": 0, "decision": {**DECISION, "at": "soon"}}, 422, "decision.at"),
    ],
    ids=str,
)
def test_a_malformed_question_is_refused_in_words(standing: Pipeline, body: Any, status: int, field: str | None) -> None:
    answer = standing.ask_load(body)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["instance"], problem.get("field")) == (status, "/load", field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"wait": "-1"}, "wait"),
        ({"wait": "601"}, "wait"),
        ({"wait": "soon"}, "wait"),
        ({"wait": "nan"}, "wait"),
        ({"since": "x" * 201}, "since"),
    ],
    ids=str,
)
def test_a_malformed_query_is_refused_in_words(standing: Pipeline, query: dict[str, str], field: str) -> None:
    answer = standing.question(**query)
    assert (answer.status_code, answer.json()["field"], answer.json()["instance"]) == (422, field, "/load")


def test_a_malformed_decision_is_refused_in_words(standing: Pipeline) -> None:
    answer = standing.decide({**DECISION, "floor": -1})
    assert (answer.status_code, answer.json()["field"], answer.json()["instance"]) == (422, "floor", "/scaling")


def test_a_body_too_large_and_a_wrong_address(standing: Pipeline) -> None:
    assert standing.ask_load(b" " * 20_000).status_code == 413
    assert standing.client.post("/api/load", json={}).status_code == 404, "no Ingress leads to it"
    assert standing.client.post("/load", json={}).status_code == 404


def test_without_its_database_the_api_says_so(pipeline: Pipeline) -> None:
    without_workers(pipeline)
    with pipeline.closed_database():
        answer = pipeline.ask_load({"seen": None, "wait": 60, "decision": DECISION})
        assert (answer.status_code, answer.json()["title"]) == (503, "Database away")
    eventually(
        lambda: pipeline.ask_load({"seen": None, "wait": 0, "decision": None}).status_code == 200, "an answer with the database back"
    )
