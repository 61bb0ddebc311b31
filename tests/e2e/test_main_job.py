"""The main job as a user does it: a number goes in on the page or by curl, a worker pod computes it, the result is shown."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Pipeline
from tests.waiting import eventually


@pytest.mark.parametrize(("n", "result"), [(5, "5"), (20, "6765"), (30, "832040")])
def test_a_number_posted_is_computed_by_a_worker_pod(pipeline: Pipeline, n: int, result: str) -> None:
    job = pipeline.result(pipeline.submit(n))
    assert (job["state"], job["result"], job["attempts"]) == ("done", result, 1)
    pods = {f"worker@{pod['metadata']['name']}" for pod in pipeline.read("pods", "-l", "app.kubernetes.io/component=worker")["items"]}
    assert job["worker"] in pods


def test_a_number_of_two_hundred_thousand_digits_is_stored_whole(pipeline: Pipeline) -> None:
    path = pipeline.submit(1_000_000, "fast")
    job = pipeline.result(path)
    assert (job["state"], job["digits"]) == ("done", 208988)
    text = pipeline.http.get(job["result_url"]).text.strip()
    assert len(text) == 208988
    assert text.startswith("19532821287077577316") and text.endswith("68996526838242546875")


def test_the_form_on_the_page_does_the_same(pipeline: Pipeline, page: Page) -> None:
    page.goto(f"{pipeline.url}/api")
    page.get_by_role("spinbutton").fill("27")
    page.get_by_role("button", name="Submit").first.click()
    row = page.get_by_role("row").filter(has_text="196418")
    expect(row.first).to_contain_text("done", timeout=20_000)


@pytest.mark.parametrize("path", ["/", "/api", "/flower"])
def test_the_addresses_people_type_lead_to_the_pages(pipeline: Pipeline, path: str) -> None:
    answer = pipeline.http.get(path, follow_redirects=True, auth=pipeline.flower_login())
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]


def test_flower_shows_the_workers_and_the_task_with_its_number_result_and_duration(pipeline: Pipeline) -> None:
    assert pipeline.http.get("/flower/").status_code == 401
    assert pipeline.http.get("/flower/", auth=("admin", "wrong")).status_code == 401
    login = pipeline.flower_login()

    def shown() -> dict[str, Any]:
        # A task anew each time: what went by while Flower did not listen, after a fault of the broker, is unseen.
        path = pipeline.submit(21)
        pipeline.result(path)
        task: dict[str, Any] = pipeline.http.get("/flower/api/tasks", auth=login).json().get(path.rpartition("/")[2], {})
        return task if task.get("state") == "SUCCESS" else {}

    task = eventually(shown, "the task to be shown", 90, 1)
    assert (task["name"], task["args"], task["state"], task["result"]) == ("fib_job", "[21]", "SUCCESS", "10946")
    assert task["runtime"] > 0
    workers = {pod["metadata"]["name"] for pod in pipeline.read("pods", "-l", "app.kubernetes.io/component=worker")["items"]}
    shown = pipeline.http.get("/flower/workers", auth=login).text
    assert len(workers) >= 3
    assert all(f"worker@{name}" in shown for name in workers)


def test_flower_reads_only(pipeline: Pipeline) -> None:
    worker = pipeline.read("pods", "-l", "app.kubernetes.io/component=worker")["items"][0]["metadata"]["name"]
    answer = pipeline.http.post(f"/flower/api/worker/shutdown/worker@{worker}", auth=pipeline.flower_login())
    assert answer.status_code == 403


def test_metrics_and_load_are_not_routed(pipeline: Pipeline) -> None:
    for path in ("/metrics", "/load", "/api/metrics", "/api/load"):
        assert pipeline.http.get(path).status_code == 404
