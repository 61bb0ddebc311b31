"""What every user does: submit a number, see it computed, by API, page and Flower."""

import re

import pytest

from fibapp.jobs import STATES
from tests.services.pipeline import Pipeline
from tests.services.promise import fibonacci
from tests.waiting import eventually


@pytest.mark.parametrize(("n", "value"), [(0, "0"), (1, "1"), (5, "5"), (20, "6765"), (30, "832040")])
def test_a_number_is_computed(standing: Pipeline, n: int, value: str) -> None:
    answer = standing.client.post("/api/jobs", json={"n": n})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/jobs/{answer.json()['id']}"
    assert answer.json()["state"] == "queued"
    job = standing.until(answer.json()["id"], "done")
    assert job["result"] == value
    assert job["attempts"] == 1
    assert job["worker"].startswith("worker-")
    assert job["duration_ms"] >= 0
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert standing.row(job["id"])["writes"] == 1


def test_row_46_a_result_of_more_than_4300_digits_is_stored_and_served_whole(standing: Pipeline) -> None:
    for n in (20578, 1_000_000):
        job = standing.until(standing.submit(n, "fast"), "done")
        assert job["result"] is None
        text = standing.client.get(job["result_url"]).text.strip()
        assert len(text) == job["digits"]
        if n == 20578:
            assert text == fibonacci(n)
        else:
            assert (job["digits"], text[:10], text[-10:]) == (208_988, "1953282128", "8242546875")


def test_a_batch_is_accepted_whole_and_in_order(standing: Pipeline) -> None:
    numbers = [25, 3, 26, 0, 27, 28] * 20
    answer = standing.client.post("/api/batches", json={"jobs": [{"n": n} for n in numbers]})
    assert answer.status_code == 202
    assert [job["n"] for job in answer.json()["jobs"]] == numbers
    standing.until_all_done([job["id"] for job in answer.json()["jobs"]])


def test_a_batch_with_one_bad_job_stores_nothing(standing: Pipeline) -> None:
    before = standing.client.get("/api/jobs", params={"limit": 1}).json()["jobs"]
    answer = standing.client.post("/api/batches", json={"jobs": [{"n": 1}, {"n": 41}, {"n": 2}]})
    assert answer.status_code == 422
    assert answer.json()["field"] == "jobs.1.n"
    assert standing.client.get("/api/jobs", params={"limit": 1}).json()["jobs"] == before


def test_pages_follow_each_other_without_gap_or_overlap(standing: Pipeline) -> None:
    ids = standing.submit_many(list(range(15)))
    standing.until_all_done(ids)
    seen: list[str] = []
    address = "/api/jobs?limit=4&state=done"
    while len(seen) < 15:
        page = standing.client.get(address).json()
        assert len(page["jobs"]) == 4
        seen += [job["id"] for job in page["jobs"]]
        address = page["next"]
    assert seen[:15] == ids[::-1]


def test_stats_count_every_job(standing: Pipeline) -> None:
    standing.until(standing.submit(4), "done")
    total = len(standing.rows("id"))
    stats = eventually(lambda: (found := standing.client.get("/api/stats").json())["total"] == total and found, "fresh counts")
    assert sum(stats[state] for state in STATES) == total
    assert stats["done"] > 0


def test_cancel_while_queued_and_retry(pipelines) -> None:  # type: ignore[no-untyped-def]
    pipeline: Pipeline = pipelines()
    pipeline.migrate()
    pipeline.start_api()
    pipeline.start_relay()
    job = pipeline.submit(9)
    assert pipeline.client.delete(f"/api/jobs/{job}").json()["state"] == "cancelled"
    assert pipeline.client.delete(f"/api/jobs/{job}").status_code == 200, "cancelling twice is no error"
    pipeline.start_worker()
    other = pipeline.submit(8)
    pipeline.until(other, "done")
    assert pipeline.job(job)["state"] == "cancelled", "a cancelled job must not be computed"
    assert pipeline.client.delete(f"/api/jobs/{other}").status_code == 409
    answer = pipeline.client.post(f"/api/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert pipeline.until(job, "done")["result"] == "34"
    assert pipeline.client.post(f"/api/jobs/{job}/retry").status_code == 409


def test_cancel_while_running_frees_the_worker(standing: Pipeline) -> None:
    job = standing.submit(40)
    standing.until(job, "running")
    assert standing.client.delete(f"/api/jobs/{job}").json()["state"] == "cancelled"
    eventually(lambda: f"{job}, lost" in standing.log("worker"), "the supervisor to end the computing", 10)
    standing.until_all_done(standing.submit_many([1, 2, 3, 4]))
    row = standing.row(job)
    assert (row["state"], row["writes"], row["crashes"]) == ("cancelled", 0, 0)


def test_a_job_over_the_time_limit_fails_with_the_reason(pipelines) -> None:  # type: ignore[no-untyped-def]
    pipeline: Pipeline = pipelines(FIB_JOB_TIME_LIMIT_SECONDS="1")
    pipeline.up()
    slow, small = pipeline.submit(40), pipeline.submit(10)
    failed = pipeline.until(slow, "failed")
    assert failed["error"] == "exceeded the time limit of 1 s"
    assert pipeline.until(small, "done")["result"] == "55"
    assert pipeline.job(slow)["state"] == "failed"


def test_a_slow_job_does_not_delay_the_small_ones_behind_it(standing: Pipeline) -> None:
    slow = standing.submit(40)
    holder = standing.until(slow, "running")["worker"]
    small = standing.submit_many([5] * 100)
    standing.until_all_done(small)
    assert standing.job(slow)["state"] == "running", "none waited behind the slow one"
    assert holder not in {row["worker"] for row in standing.rows("worker", small)}, "it takes its one process of two, no more"
    standing.client.delete(f"/api/jobs/{slow}")


def test_the_page_works_without_javascript(standing: Pipeline) -> None:
    page = standing.client.get("/api")
    assert page.status_code == 200
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token
    form = {"n": "17", "algorithm": "recursive", "token": token[1]}
    first, second = (standing.client.post("/api/", data=form) for _ in range(2))
    assert [(answer.status_code, answer.headers["Location"]) for answer in (first, second)] == [
        (303, "/api/?n=17&algorithm=recursive&accepted=1")
    ] * 2
    jobs = [job for job in standing.client.get("/api/jobs").json()["jobs"] if job["n"] == 17]
    assert len(jobs) == 1, "a double click is one job"
    standing.until(jobs[0]["id"], "done")
    eventually(lambda: "1597" in standing.client.get("/api/").text, "the page to show the number")
    assert "1597" in standing.client.get("/api/live").text


def test_the_page_shows_an_error_next_to_the_field_and_keeps_the_value(standing: Pipeline) -> None:
    answer = standing.client.post("/api/", data={"n": "41", "algorithm": "recursive", "token": "x"})
    assert answer.status_code == 422
    assert 'value="41"' in answer.text
    assert "n must be an integer 0..40 for algorithm recursive; given was 41." in answer.text


def test_root_and_flower_addresses_help(standing: Pipeline) -> None:
    root = standing.client.get("/")
    assert (root.status_code, root.headers["Location"]) == (302, "/api/")
    flower = standing.client.get("/flower/")
    assert flower.status_code == 404
    assert "kubectl port-forward" in flower.json()["detail"]


def test_no_password_in_any_log(standing: Pipeline) -> None:
    standing.until(standing.submit(3), "done")
    logs = standing.log()
    assert "ready" in logs
    for secret in (standing.database_url, standing.broker_url, "flower-pa55", "fib:fib@"):
        assert secret not in logs
