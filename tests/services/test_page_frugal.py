"""What the page costs: bytes, requests and queries; and that it can be read by everyone, on every screen, in every state."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import TextClause

from fibapp.store import view
from fibapp.store.jobs import PAGE, PAGE_OF_STATE
from tests.accessibility import violations
from tests.browser import fill_in, open_page
from tests.services.pipeline import Pipeline
from tests.waiting import eventually

PHONE = {"width": 360, "height": 740}
DECISION = {
    "workers": 3,
    "floor": 3,
    "min": 3,
    "max": 10,
    "sentence": "3 of 3-10 workers: 40 s of queued and running work, 30 s wanted",
    "at": "2026-01-02T03:04:05Z",
}


@pytest.fixture(scope="module")
def rich(standing: Pipeline) -> Pipeline:
    """A pipeline with jobs in many states."""
    standing.decide(DECISION)
    standing.until_all_done(standing.submit_many(list(range(30))))
    standing.until(standing.submit(100_000, "fast"), "done")
    standing.client.delete(f"/api/jobs/{standing.submit(40)}")
    with standing.connection() as connection, connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO jobs (id, n, algorithm, state, error, client, created_at, started_at, finished_at, due_at, attempts, worker)
            VALUES (gen_random_uuid(), 39, 'recursive', 'failed', 'exceeded the time limit of 60 s', 'test', now(), now(), now(), NULL, 1,
            'worker@demo-worker-6d4b8c7f9-with-a-very-long-name-xk2lp')"""
        )
    return standing


def test_static_files_are_compressed_and_kept_by_the_browser(standing: Pipeline) -> None:
    page = standing.client.get("/api/").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    packed = standing.client.get(address, headers={"Accept-Encoding": "gzip"})
    plain = standing.client.get(address, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip" and packed.text == plain.text
    assert "Content-Encoding" not in plain.headers
    assert "immutable" in packed.headers["Cache-Control"]
    assert "immutable" not in standing.client.get(address.partition("?")[0]).headers["Cache-Control"]
    again = standing.client.get(address, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_who_has_the_present_figures_gets_no_second_copy(standing: Pipeline) -> None:
    standing.until_all_done(standing.submit_many([1, 2, 3]))

    def again() -> httpx.Response:
        etag = standing.client.get("/api/live").headers["ETag"]
        return standing.client.get("/api/live", headers={"If-None-Match": etag})

    eventually(lambda: again().status_code == 304, "a 304")
    assert again().content == b""
    job = standing.until(standing.submit(6), "done")
    eventually(lambda: job["id"] in standing.client.get("/api/live").text, "fresh figures")


def test_a_hidden_tab_asks_nothing(standing: Pipeline, browser: Browser) -> None:
    with open_page(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/api/live" in request.url else None)
        page.clock.install()
        page.goto(standing.page_url())
        page.clock.run_for(5_000)
        eventually(lambda: page.evaluate("1") and len(asked) >= 2, "polls of a visible tab")
        hide = "state => {Object.defineProperty(document, 'visibilityState', {get: () => state, configurable: true});"
        hide += "document.dispatchEvent(new Event('visibilitychange'))}"
        page.evaluate(hide, "hidden")
        before = len(asked)
        page.clock.run_for(60_000)
        assert len(asked) == before
        page.evaluate(hide, "visible")
        eventually(lambda: page.evaluate("1") and len(asked) > before, "polls of a tab that is shown again")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE["width"], 1280])
def test_nothing_is_inaccessible_or_out_of_the_screen(rich: Pipeline, browser: Browser, scheme: Any, width: int) -> None:
    job = rich.client.get("/api/jobs", params={"state": "failed"}).json()["jobs"][0]["id"]
    long = next(each["id"] for each in rich.client.get("/api/jobs", params={"limit": 200}).json()["jobs"] if (each["digits"] or 0) > 100)
    with open_page(browser, color_scheme=scheme, viewport={"width": width, "height": 740}) as page:
        for path in ("/api/", "/api/?state=failed", f"/api/jobs/{job}", f"/api/jobs/{long}"):
            page.goto(rich.page_url(path))
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_error_state_is_accessible_too(rich: Pipeline, browser: Browser) -> None:
    page = browser.new_page()  # a browser logs every 422
    page.goto(rich.page_url())
    fill_in(page, "-1")
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []
    page.close()


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (view.COMPUTING, {"most": 200}),
        (view.UNPUBLISHED, {"most": 1000}),
        (PAGE, {"before": 90_000, "limit": 26}),
        (PAGE_OF_STATE, {"before": 90_000, "limit": 26, "state": "done"}),
    ],
)
def test_no_query_of_the_page_reads_the_whole_table(large: Pipeline, statement: TextClause, values: dict[str, Any]) -> None:
    literal = statement.bindparams(**values).compile(compile_kwargs={"literal_binds": True}).string
    with large.connection() as connection, connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + literal)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan on jobs" not in plan, plan


@pytest.fixture(scope="module")
def large(broker_of_session: Any, database_of_session: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A table of 100,000 finished jobs."""
    with Pipeline(broker_of_session, database_of_session, tmp_path_factory.mktemp("large")) as pipeline:
        pipeline.migrate()
        with pipeline.connection() as connection, connection.cursor() as cursor:
            cursor.execute(
                """INSERT INTO jobs (id, n, algorithm, state, result, digits, client, due_at, duration_ms, finished_at)
                SELECT gen_random_uuid(), 20, 'recursive', 'done', '6765', 4, 'test', NULL, 1, now() FROM generate_series(1, 100000)"""
            )
            cursor.execute("ANALYZE jobs")
        yield pipeline
