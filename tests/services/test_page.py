"""The page as a person uses it, in a browser over real processes: submit, watch, find, cancel, retry, with and without scripts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import open_page
from tests.services.pipeline import Pipeline
from tests.waiting import eventually

SENTENCE = "3 of 3-10 workers: 40 s of queued and running work, 30 s wanted"
DECISION = {
    "workers": 3,
    "floor": 3,
    "min": 3,
    "max": 10,
    "sentence": SENTENCE,
    "at": "2026-01-02T03:04:05Z",
}


@pytest.fixture
def idle(pipeline: Pipeline) -> Pipeline:
    """Only the API: what is submitted stays queued."""
    pipeline.migrate()
    pipeline.start_api()
    return pipeline


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in English, without errors in its console."""
    with open_page(browser, locale="en-GB", timezone_id="UTC") as page:
        yield page


def go(page: Page, pipeline: Pipeline, path: str = "/api/") -> None:
    """Open a page of the pipeline."""
    page.goto(f"http://127.0.0.1:{pipeline.api_port}{path}")


def submit(page: Page, n: str, algorithm: str = "recursive") -> None:
    """Fill in the form and send it by the keyboard."""
    page.get_by_label("Algorithm").select_option(algorithm)
    page.get_by_label("Number n").fill(n)
    page.get_by_label("Number n").press("Enter")


def row(page: Page, job: str) -> str:
    """The selector of a job's row."""
    return f"#job-{job}"


def test_a_submitted_number_is_shown_done_without_a_reload(standing: Pipeline, page: Page) -> None:
    go(page, standing)
    page.evaluate("window.untouched = true")
    submit(page, "26")
    expect(page.get_by_text("1 job accepted.")).to_be_visible()
    mine = page.get_by_role("row").filter(has_text="121393").first
    expect(mine).to_contain_text("done")
    expect(mine).to_contain_text("ms")
    assert page.evaluate("window.untouched"), "the page was not loaded again"
    expect(page.get_by_label("Number n")).to_have_value("26")
    expect(page.get_by_label("Number n")).to_be_focused()


def test_the_expected_cost_follows_what_is_typed_and_is_the_servers(standing: Pipeline, page: Page) -> None:
    costs = standing.client.get("/api/stats").json()["costs"]
    go(page, standing, "/api/?n=33&algorithm=recursive")
    served = re.search(r"Expected: <b>([^<]+)</b>", standing.client.get("/api/?n=33&algorithm=recursive").text)
    cost = page.locator("#cost")
    assert served
    expect(cost).to_contain_text(served[1])
    page.get_by_label("Number n").fill("12")
    expect(cost).to_contain_text(f"{1000 * (costs['overhead_seconds'] + costs['recursive']['coefficient'] * 1.618034**12):.1f} ms")
    page.get_by_label("Number n").fill("41")
    expect(cost).to_contain_text("from 0 to 40")
    page.get_by_label("Algorithm").select_option("fast")
    expect(cost).to_contain_text("Expected: 1.0 ms")


def test_what_is_out_of_bounds_is_said_beside_the_field_and_kept(standing: Pipeline, browser: Browser) -> None:
    page = browser.new_page()  # a browser logs every 422
    go(page, standing)
    submit(page, "41")
    field = page.get_by_label("Number n")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_have_text("n must be an integer 0..40 for algorithm recursive; given was 41.")
    assert "n-error" in (field.get_attribute("aria-describedby") or "")
    expect(field).to_have_value("41")
    submit(page, "")
    expect(page.get_by_role("alert")).to_have_text("Enter a whole number.")
    submit(page, "4")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_text("1 job accepted.")).to_be_visible()
    page.close()


def test_a_double_click_is_one_job_and_the_next_click_another(idle: Pipeline, page: Page) -> None:
    go(page, idle)
    page.get_by_role("button", name="Submit").dblclick()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert len(idle.rows("id")) == 2


def test_a_burst_is_two_hundred_jobs_of_about_a_second(idle: Pipeline, page: Page) -> None:
    go(page, idle)
    page.get_by_role("button", name="Burst of 200").dblclick()
    expect(page.get_by_text("200 jobs accepted.")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="T1 Ingest")).to_contain_text("200 waiting")
    rows = idle.rows("n")
    assert (len(rows), {row["n"] for row in rows}) == (200, {35}), "a double click is one burst"


def test_filter_and_pages_show_every_job_once(idle: Pipeline, page: Page) -> None:
    ids = idle.submit_many(list(range(35)) + list(range(25)))
    idle.client.delete(f"/api/jobs/{ids[0]}")
    go(page, idle)
    page.get_by_role("link", name="queued 59").click()
    seen: list[str] = []
    for size in (25, 25, 9):
        expect(page.locator("tbody tr")).to_have_count(size)
        seen += [each.get_attribute("id") or "" for each in page.locator("tbody tr").all()]
        if size == 25:
            page.get_by_role("link", name="Older jobs").click()
            page.wait_for_load_state()
    assert seen == [f"job-{job}" for job in reversed(ids[1:])]
    expect(page.get_by_role("link", name="Older jobs")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    page.get_by_role("link", name="cancelled 1").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="cancelled 1")).to_have_attribute("aria-current", "page")


def test_cancel_and_retry_in_the_list_and_on_the_jobs_page(idle: Pipeline, page: Page) -> None:
    first, second = idle.submit_many([31, 32])
    go(page, idle)
    page.get_by_role("button", name="cancel F(31)").click()
    expect(page.locator(row(page, first))).to_contain_text("cancelled")
    page.get_by_role("button", name="retry F(31)").click()
    expect(page.locator(row(page, first))).to_contain_text("queued")
    page.get_by_role("link", name="32").click()
    page.get_by_role("button", name="cancel F(32)").click()
    page.get_by_role("button", name="retry F(32)").wait_for()
    expect(page.get_by_role("listitem").filter(has_text="Cancelled")).to_be_visible()
    assert idle.job(second)["state"] == "cancelled"
    page.get_by_role("button", name="retry F(32)").click()
    page.get_by_role("button", name="cancel F(32)").wait_for()
    assert idle.job(second)["state"] == "queued"


def test_workers_are_shown_with_what_they_compute_and_why_there_are_so_many(standing: Pipeline, page: Page) -> None:
    standing.load(decision=DECISION)
    job = standing.submit(40)
    go(page, standing)
    expect(page.get_by_text(SENTENCE)).to_be_visible()
    desk = page.get_by_role("list", name="What each worker computes").get_by_role("listitem").filter(has_text="F(40)")
    expect(desk).to_contain_text(re.compile(r"\d s|\d ms"))
    expect(page.get_by_role("listitem").filter(has_text="T2 Process")).to_contain_text("1 of 3 workers busy")
    expect(page.locator("#now-workers")).to_have_text("3 of 3–10")  # noqa: RUF001
    assert page.locator(".plot canvas").count() == 3
    page.get_by_role("button", name="cancel F(40)").first.click()
    expect(desk).to_have_count(0)
    assert standing.job(job)["state"] == "cancelled"


def test_a_jobs_page_becomes_done_by_itself_and_tells_its_way(standing: Pipeline, page: Page) -> None:
    job = standing.submit(35)
    go(page, standing, f"/api/jobs/{job}")
    expect(page.get_by_role("heading", name="F(35)")).to_be_visible()
    expect(page.locator("#digits")).to_have_text("9227465", timeout=60_000)
    steps = page.get_by_role("region", name="Timeline").get_by_role("listitem")
    expect(steps).to_have_count(4)
    for step, name in zip(steps.all(), ("Accepted", "Published", "Claimed", "Stored"), strict=True):
        expect(step).to_contain_text(name)
    expect(steps.nth(2)).to_contain_text("by worker-")
    assert page.locator("time").first.get_attribute("datetime") == standing.job(job)["created_at"]


def test_a_whole_number_is_copied_and_downloaded(standing: Pipeline, page: Page, tmp_path: Path) -> None:
    job = standing.until(standing.submit(1_000_000, "fast"), "done")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    go(page, standing, f"/api/jobs/{job['id']}")
    expect(page.get_by_text("208,988 digits")).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    whole = standing.client.get(job["result_url"]).text.strip()
    assert page.evaluate("navigator.clipboard.readText()") == whole
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    waiting.value.save_as(tmp_path / "number.txt")
    assert (tmp_path / "number.txt").read_text().strip() == whole


def test_everything_works_without_scripts(idle: Pipeline, browser: Browser) -> None:
    ids = idle.submit_many(list(range(30)))
    with open_page(browser, java_script_enabled=False) as page:
        go(page, idle)
        page.get_by_label("Number n").fill("35")
        page.get_by_role("button", name="Show the cost").click()
        expect(page.locator("#cost")).to_contain_text("Expected: 1.0 s")
        page.get_by_role("button", name="Submit").click()
        expect(page.get_by_text("1 job accepted.")).to_be_visible()
        expect(page.locator("tbody tr").first).to_contain_text("35")
        page.get_by_role("button", name="cancel F(35)").click()
        expect(page.locator("tbody tr").first).to_contain_text("cancelled")
        page.get_by_role("link", name="Older jobs").click()
        expect(page.locator("tbody tr")).to_have_count(6)
        page.locator(row(page, ids[0])).get_by_role("link").click()
        expect(page.get_by_role("heading", name="F(0)")).to_be_visible()
        page.get_by_role("link", name="All jobs").click()
        page.get_by_role("button", name="Burst of 200").click()
        expect(page.get_by_text("200 jobs accepted.")).to_be_visible()


def test_while_the_store_is_away_the_page_says_so_and_comes_back(idle: Pipeline, browser: Browser) -> None:
    page = browser.new_page()  # a browser logs every 503
    go(page, idle)
    with idle.closed_database():
        expect(page.get_by_text("The store does not answer; trying again")).to_be_visible(timeout=15_000)
        submit(page, "7")
        expect(page.get_by_role("alert").filter(has_text="nothing was stored")).to_be_visible()
        expect(page.get_by_label("Number n")).to_have_value("7")
        other = browser.new_page()
        go(other, idle)
        expect(other.get_by_text("The store (PostgreSQL) does not answer.")).to_be_visible()
        expect(other.get_by_role("link", name="Look again")).to_be_visible()
        expect(other.get_by_text("nothing was stored")).to_have_count(0)
        other.close()
    eventually(lambda: idle.client.get("/api/jobs").status_code == 200, "the store to answer again")
    expect(page.locator("#pulse")).to_have_text("live", timeout=15_000)
    submit(page, "7")
    expect(page.get_by_text("1 job accepted.")).to_be_visible()
    page.close()


def test_a_wrong_address_is_a_page_for_people_and_a_document_for_programs(standing: Pipeline, browser: Browser) -> None:
    page = browser.new_page()
    go(page, standing, "/api/jobs/00000000-0000-4000-8000-000000000000")
    expect(page.get_by_role("alert")).to_contain_text("There is no job")
    page.get_by_role("link", name="Back to the jobs").click()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.close()
    answer = standing.client.get("/api/jobs/00000000-0000-4000-8000-000000000000")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
