"""What axe finds wrong with a page."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def violations(page: Page) -> list[str]:
    """One line for each rule that is broken, with the elements that break it. Fails when axe judged nothing."""
    found = Axe().run(page).response
    assert len(found["passes"]) > 10, "axe must have looked at something"
    return [f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes']]}" for each in found["violations"]]
