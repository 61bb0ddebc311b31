"""The page in a browser through the Ingress, as a person uses it: submit, watch the workers, read a job, see a burst being absorbed."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.accessibility import violations
from tests.browser import fill_in, open_page
from tests.e2e.conftest import Pipeline

SETTLED_MS = 90_000
FIRST_LOAD_BYTES = 150 * 1024
SHIFT = """new Promise(resolve => new PerformanceObserver(list => resolve(list.getEntries().reduce((sum, each) => sum + each.value, 0)))
    .observe({type: "layout-shift", buffered: true}) || setTimeout(() => resolve(0), 500))"""


@pytest.fixture
def burst(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline, with an empty queue again afterwards."""
    yield pipeline
    pipeline.cancel_all()


def desks(page: Page, computing: str) -> Locator:
    """The workers that compute something."""
    return page.get_by_role("list", name="What each worker computes").get_by_role("listitem").filter(has_text=computing)


def test_a_submitted_number_is_shown_done_without_a_reload(pipeline: Pipeline, page: Page) -> None:
    page.goto(f"{pipeline.url}/api")
    page.evaluate("window.untouched = true")
    fill_in(page, "26")
    expect(page.get_by_text("1 job accepted.")).to_be_visible()
    mine = page.get_by_role("row").filter(has_text="121393").first
    expect(mine).to_contain_text("done")
    expect(mine).to_contain_text("ms")
    assert page.evaluate("window.untouched"), "the page was not loaded again"
    expect(page.get_by_label("Number n")).to_have_value("26")
    expect(page.get_by_label("Number n")).to_be_focused()


def test_the_expected_cost_follows_what_is_typed_and_is_the_servers(pipeline: Pipeline, page: Page) -> None:
    number, cost = page.get_by_label("Number n"), page.locator("#cost")
    for algorithm, n, other in (("recursive", 33, 12), ("recursive", 12, 33), ("fast", 400_000, 41)):
        # Costs are learned all the time: only what stands in the same document is of the same moment.
        document = page.goto(f"{pipeline.url}/api/?n={n}&algorithm={algorithm}")
        assert document
        served = re.search(r"Expected: <b>([^<]+)</b>", document.text())
        assert served
        number.fill(str(other))
        expect(cost).not_to_contain_text(f"Expected: {served[1]}")
        number.fill(str(n))
        expect(cost).to_contain_text(f"Expected: {served[1]}")
    page.get_by_label("Algorithm").select_option("recursive")
    expect(cost).to_contain_text("from 0 to 40")


def test_what_is_out_of_bounds_is_said_beside_the_field_and_kept(pipeline: Pipeline, browser: Browser) -> None:
    page = browser.new_page()  # a browser logs every 422
    page.goto(f"{pipeline.url}/api/")
    fill_in(page, "41")
    field = page.get_by_label("Number n")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_have_text("n must be an integer 0..40 for algorithm recursive; given was 41.")
    assert "n-error" in (field.get_attribute("aria-describedby") or "")
    expect(field).to_have_value("41")
    assert violations(page) == []
    fill_in(page, "")
    expect(page.get_by_role("alert")).to_have_text("Enter a whole number.")
    fill_in(page, "4")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_text("1 job accepted.")).to_be_visible()
    page.close()


def test_a_jobs_page_becomes_done_by_itself_and_tells_its_way(pipeline: Pipeline, page: Page) -> None:
    path = pipeline.submit(35)
    page.goto(f"{pipeline.url}{path}")
    expect(page.get_by_role("heading", name="F(35)")).to_be_visible()
    expect(page.locator("#digits")).to_have_text("9227465", timeout=SETTLED_MS)
    job = pipeline.result(path)
    steps = page.get_by_role("region", name="Timeline").get_by_role("listitem")
    expect(steps).to_have_count(4)
    for step, name in zip(steps.all(), ("Accepted", "Published", "Claimed", "Stored"), strict=True):
        expect(step).to_contain_text(name)
    expect(steps.nth(2)).to_contain_text(f"by {job['worker']}")
    assert page.locator("time").first.get_attribute("datetime") == job["created_at"]
    assert violations(page) == []


def test_a_whole_number_is_copied_and_downloaded(pipeline: Pipeline, page: Page, tmp_path: Path) -> None:
    job = pipeline.result(pipeline.submit(1_000_000, "fast"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{pipeline.url}/api/jobs/{job['id']}")
    expect(page.get_by_text("208,988 digits")).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    whole = pipeline.http.get(job["result_url"]).text.strip()
    assert page.evaluate("navigator.clipboard.readText()") == whole
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    waiting.value.save_as(tmp_path / "number.txt")
    assert (tmp_path / "number.txt").read_text().strip() == whole
    assert violations(page) == []


def test_a_wrong_address_is_a_page_for_people_and_a_document_for_programs(pipeline: Pipeline, browser: Browser) -> None:
    missing = "/api/jobs/00000000-0000-4000-8000-000000000000"
    page = browser.new_page()  # a browser logs the 404
    page.goto(f"{pipeline.url}{missing}")
    expect(page.get_by_role("alert")).to_contain_text("There is no job")
    page.get_by_role("link", name="Back to the jobs").click()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.close()
    answer = pipeline.http.get(missing)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_the_first_load_is_small_stays_at_home_and_does_not_move(pipeline: Pipeline, browser: Browser) -> None:
    addresses: list[str] = []
    sizes: list[int] = []
    with open_page(browser, viewport={"width": 1280, "height": 900}) as page:
        page.on("request", lambda request: addresses.append(request.url))
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
        page.goto(f"{pipeline.url}/api/")
        page.locator(".plot canvas").last.wait_for()
        page.wait_for_load_state("networkidle")
        assert page.evaluate(SHIFT) < 0.01
    assert len(addresses) >= 8
    assert {urlsplit(address).hostname for address in addresses} == {pipeline.host}
    assert 20_000 < sum(sizes) <= FIRST_LOAD_BYTES


def test_a_worker_is_shown_with_what_it_computes_until_that_is_cancelled(pipeline: Pipeline, page: Page) -> None:
    path = pipeline.submit(40)
    page.goto(f"{pipeline.url}/api/")
    expect(desks(page, "F(40)")).to_contain_text(re.compile(r"\d s|\d ms"))
    expect(page.get_by_role("listitem").filter(has_text="T2 Process")).to_contain_text(re.compile(r"1 of \d+ workers busy"))
    expect(page.locator(".plot canvas")).to_have_count(3)
    page.get_by_role("button", name="cancel F(40)").first.click()
    expect(desks(page, "F(40)")).to_have_count(0)
    assert pipeline.result(path)["state"] == "cancelled"


def test_a_burst_is_seen_spreading_over_more_and_more_workers(burst: Pipeline, page: Page) -> None:
    page.goto(f"{burst.url}/api/")
    expect(page.locator("#now-workers")).to_have_text(re.compile(r"^\d+ of 3.10$"), timeout=SETTLED_MS)
    page.get_by_role("button", name="Burst of 200").click()
    expect(page.get_by_text("200 jobs accepted.")).to_be_visible()
    expect(desks(page, "F(").nth(3)).to_be_visible(timeout=SETTLED_MS)  # more than the three there were
    sentence = page.get_by_role("region", name="Workers", exact=True)
    expect(sentence).to_contain_text("queued and running work")
    said = burst.read("fib", "demo")["status"]["worker"]["reason"]
    assert "queued and running work" in said, "kubectl tells the same"
    assert violations(page) == []
    page.get_by_role("link", name=re.compile(r"^queued")).click()
    expect(page.locator("tbody tr").first).to_contain_text("queued")
