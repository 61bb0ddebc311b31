"""The page of a pipeline that is new or in trouble: nothing there yet, the store away (what people do on it: tests/e2e)."""

from playwright.sync_api import Browser, expect

from tests.accessibility import violations
from tests.browser import fill_in, open_page
from tests.services.pipeline import Pipeline
from tests.waiting import eventually


def test_while_the_store_is_away_the_page_says_so_and_comes_back(idle: Pipeline, browser: Browser) -> None:
    page = browser.new_page()  # a browser logs every 503
    page.goto(idle.page_url())
    with idle.closed_database():
        expect(page.get_by_text("The store does not answer; trying again")).to_be_visible(timeout=15_000)
        fill_in(page, "7")
        expect(page.get_by_role("alert").filter(has_text="nothing was stored")).to_be_visible()
        expect(page.get_by_label("Number n")).to_have_value("7")
        other = browser.new_page()
        other.goto(idle.page_url())
        expect(other.get_by_text("The store (PostgreSQL) does not answer.")).to_be_visible()
        expect(other.get_by_role("link", name="Look again")).to_be_visible()
        expect(other.get_by_text("nothing was stored")).to_have_count(0)
        other.close()
    eventually(lambda: idle.client.get("/api/jobs").status_code == 200, "the store to answer again")
    expect(page.locator("#pulse")).to_have_text("live", timeout=15_000)
    fill_in(page, "7")
    expect(page.get_by_text("1 job accepted.")).to_be_visible()
    page.close()


def test_an_empty_pipeline_says_what_to_do(idle: Pipeline, browser: Browser) -> None:
    with open_page(browser) as page:
        page.goto(idle.page_url())
        expect(page.get_by_text("No jobs yet. Submit a number, for example 30.")).to_be_visible()
        expect(page.get_by_text("The operator has not said lately")).to_be_visible()
        assert violations(page) == []
