"""The page while no worker runs, so that what is submitted stays queued: double clicks, filter and pages, cancel and retry, no scripts."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.accessibility import violations
from tests.browser import open_page
from tests.e2e.conftest import Pipeline
from tests.waiting import eventually

PAGE_ROWS = 25


@pytest.fixture(scope="module")
def without_workers(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline scaled to nothing by hand."""
    set_workers(pipeline, {"autoscaling": {"enabled": False}, "replicas": 0})
    eventually(lambda: not pipeline.read("pods", "-l", "app.kubernetes.io/component=worker")["items"], "the workers to go", 120, 0.5)
    yield pipeline
    set_workers(pipeline, {"autoscaling": {"enabled": True}, "replicas": None})
    pipeline.wait_ready()


@pytest.fixture
def still(without_workers: Pipeline) -> Iterator[Pipeline]:
    """The pipeline without workers, and with an empty queue."""
    yield without_workers
    without_workers.cancel_all()


def set_workers(pipeline: Pipeline, worker: dict[str, object]) -> None:
    pipeline.kubectl("patch", "fib", "demo", "--type=merge", "-p", json.dumps({"spec": {"worker": worker}}))


def submit_many(pipeline: Pipeline, numbers: list[int]) -> list[str]:
    """Post a batch; returns the ids."""
    answer = pipeline.http.post("/api/batches", json={"jobs": [{"n": n} for n in numbers]})
    assert answer.status_code == 202, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def queued(pipeline: Pipeline) -> list[dict[str, Any]]:
    """The newest jobs that are queued."""
    return list(pipeline.http.get("/api/jobs", params={"state": "queued", "limit": 200}).raise_for_status().json()["jobs"])


def row(job: str) -> str:
    """The selector of a job's row."""
    return f"#job-{job}"


def test_a_double_click_is_one_job_and_the_next_click_another(still: Pipeline, page: Page) -> None:
    page.goto(f"{still.url}/api/")
    page.get_by_role("button", name="Submit").dblclick()
    expect(page.get_by_role("link", name="queued 1", exact=True)).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("link", name="queued 2", exact=True)).to_be_visible()
    assert len(queued(still)) == 2


def test_a_burst_is_two_hundred_jobs_of_about_a_second(still: Pipeline, page: Page) -> None:
    page.goto(f"{still.url}/api/")
    page.get_by_role("button", name="Burst of 200").dblclick()
    expect(page.get_by_text("200 jobs accepted.")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="T1 Ingest")).to_contain_text("200 waiting")
    eventually(lambda: still.counts()["queued"] == 200, "one burst of the double click")
    costs = still.http.get("/api/stats").json()["costs"]["recursive"]
    [n] = {job["n"] for job in queued(still)}
    assert 0.4 < costs["coefficient"] * costs["base"] ** n < 2.5, "seconds, by what was measured"


def test_filter_and_pages_show_every_job_once(still: Pipeline, page: Page) -> None:
    ids = submit_many(still, list(range(35)) + list(range(25)))
    still.http.delete(f"/api/jobs/{ids[0]}")
    eventually(lambda: still.counts()["queued"] == 59, "the counts to be fresh")
    cancelled = still.counts()["cancelled"]
    page.goto(f"{still.url}/api/")
    page.get_by_role("link", name="queued 59").click()
    seen: list[str] = []
    for size in (PAGE_ROWS, PAGE_ROWS, 9):
        expect(page.locator("tbody tr")).to_have_count(size)
        seen += [each.get_attribute("id") or "" for each in page.locator("tbody tr").all()]
        if size == PAGE_ROWS:
            page.get_by_role("link", name="Older jobs").click()
            page.wait_for_load_state()
    assert seen == [f"job-{job}" for job in reversed(ids[1:])]
    expect(page.get_by_role("link", name="Older jobs")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    page.get_by_role("link", name=f"cancelled {cancelled:,}").click()
    expect(page.locator(row(ids[0]))).to_be_visible()
    expect(page.locator("tbody tr", has_text="queued")).to_have_count(0)
    expect(page.get_by_role("link", name=f"cancelled {cancelled:,}")).to_have_attribute("aria-current", "page")
    assert violations(page) == []


def test_cancel_and_retry_in_the_list_and_on_the_jobs_page(still: Pipeline, page: Page) -> None:
    first, second = submit_many(still, [31, 32])
    page.goto(f"{still.url}/api/")
    page.locator(row(first)).get_by_role("button", name="cancel F(31)").click()
    expect(page.locator(row(first))).to_contain_text("cancelled")
    page.locator(row(first)).get_by_role("button", name="retry F(31)").click()
    expect(page.locator(row(first))).to_contain_text("queued")
    page.locator(row(second)).get_by_role("link", name="32").click()
    page.get_by_role("button", name="cancel F(32)").click()
    page.get_by_role("button", name="retry F(32)").wait_for()
    expect(page.get_by_role("listitem").filter(has_text="Cancelled")).to_be_visible()
    assert still.http.get(f"/api/jobs/{second}").json()["state"] == "cancelled"
    page.get_by_role("button", name="retry F(32)").click()
    page.get_by_role("button", name="cancel F(32)").wait_for()
    assert still.http.get(f"/api/jobs/{second}").json()["state"] == "queued"


def test_everything_works_without_scripts(still: Pipeline, browser: Browser) -> None:
    ids = submit_many(still, list(range(30)))
    with open_page(browser, java_script_enabled=False) as page:
        page.goto(f"{still.url}/api/")
        page.get_by_label("Number n").fill("35")
        page.get_by_role("button", name="Show the cost").click()
        expect(page.locator("#cost")).to_contain_text("Expected: ")
        page.get_by_role("button", name="Submit").click()
        expect(page.get_by_text("1 job accepted.")).to_be_visible()
        expect(page.locator("tbody tr").first).to_contain_text("35")
        page.locator("tbody tr").first.get_by_role("button", name="cancel F(35)").click()
        expect(page.locator("tbody tr").first).to_contain_text("cancelled")
        page.get_by_role("link", name="Older jobs").click()
        page.locator(row(ids[0])).get_by_role("link").click()
        expect(page.get_by_role("heading", name="F(0)")).to_be_visible()
        page.get_by_role("link", name="All jobs").click()
        page.get_by_role("button", name="Burst of 200").click()
        expect(page.get_by_text("200 jobs accepted.")).to_be_visible()


def test_that_somebody_scaled_by_hand_is_said_where_the_workers_are_shown(still: Pipeline, page: Page) -> None:
    page.goto(f"{still.url}/api/")
    sentence = still.read("fib", "demo")["status"]["worker"]["reason"]
    assert "autoscaling is off" in sentence
    expect(page.get_by_role("region", name="Workers", exact=True)).to_contain_text(sentence)
    expect(page.locator("#now-workers")).to_have_text("0 of 0")
