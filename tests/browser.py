"""Debian's Chromium for tests. Import the fixtures into a conftest, or use `open_page` for a page with options of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# Without a sandbox, since it runs as root; without the background traffic that has nowhere to go here.
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser; expectations are given the time that a busy machine takes."""
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a context of its own with Playwright's `options`; fails on an error in its console."""
    context = browser.new_context(**options)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert errors == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in English that fails the test on an error in its console."""
    with open_page(browser, locale="en-GB", timezone_id="UTC") as page:
        yield page


def fill_in(page: Page, n: str, algorithm: str = "recursive") -> None:
    """Fill in the form that submits a job and send it by the keyboard."""
    page.get_by_label("Algorithm").select_option(algorithm)
    page.get_by_label("Number n").fill(n)
    page.get_by_label("Number n").press("Enter")
