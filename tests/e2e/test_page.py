"""The page in a browser through the Ingress: a burst is submitted by its button, seen on the workers, and absorbed before one's eyes."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.accessibility import violations
from tests.e2e.conftest import Pipeline

SETTLED_MS = 90_000


@pytest.fixture
def burst(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline; what the test leaves in the queue is cancelled, so that the next need not wait for it."""
    yield pipeline
    while queued := pipeline.http.get("/api/jobs", params={"state": "queued", "limit": 200}).raise_for_status().json()["jobs"]:
        for job in queued:
            pipeline.http.delete(f"/api/jobs/{job['id']}")


def test_a_jobs_page_names_the_pod_that_computed_it(pipeline: Pipeline, page: Page) -> None:
    path = pipeline.submit(20_000, "fast")
    job = pipeline.result(path)
    page.goto(f"{pipeline.url}{path}")
    expect(page.get_by_text("4,180 digits")).to_be_visible()
    expect(page.get_by_role("region", name="Timeline").get_by_role("listitem").nth(2)).to_contain_text(f"by {job['worker']}")
    assert violations(page) == []


def test_a_burst_is_seen_spreading_over_more_and_more_workers(burst: Pipeline, page: Page) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
    page.goto(f"{burst.url}/api/")
    expect(page.locator("#now-workers")).to_have_text(re.compile(r"^\d+ of 3.10$"), timeout=SETTLED_MS)
    page.get_by_role("button", name="Burst of 200").click()
    expect(page.get_by_text("200 jobs accepted.")).to_be_visible()
    desks = page.get_by_role("list", name="What each worker computes").get_by_role("listitem").filter(has_text="F(")
    expect(desks.nth(3)).to_be_visible(timeout=SETTLED_MS)  # more than the three there were
    expect(page.get_by_role("region", name="Workers", exact=True)).to_contain_text("queued and running work")
    assert violations(page) == []
    assert hosts == {burst.host}
    page.get_by_role("link", name=re.compile(r"^queued")).click()
    expect(page.locator("tbody tr").first).to_contain_text("queued")
