"""Flower over a real RabbitMQ: its figures; a login before everything; the broker away and back (all its tabs in a browser: tests/e2e)."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from lab.services import RabbitMQ
from tests.browser import open_page
from tests.services.pipeline import FLOWER_LOGIN, Pipeline
from tests.waiting import eventually

PATHS = (
    *("", "overview", "workers", "tasks", "broker", "monitor", "nothing"),
    *("metrics", "monitor/figures", "api/tasks", "monitor/monitor.js", "static/css/flower.css"),
)
CONTROLS = (
    *("worker/shutdown/x", "worker/pool/restart/x", "worker/pool/grow/x", "worker/queue/cancel-consumer/x"),
    *("task/revoke/x", "task/async-apply/fib_job", "task/send-task/fib_job", "task/apply/fib_job"),
)


@contextlib.contextmanager
def flower_of(pipeline: Pipeline) -> Iterator[httpx.Client]:
    """Flower over the pipeline, and a client that is logged in."""
    process, client = pipeline.start_flower()
    try:
        yield client
    finally:
        client.close()
        process.close()


@pytest.fixture
def flower(standing: Pipeline) -> Iterator[httpx.Client]:
    """Flower over the pipeline that stands."""
    with flower_of(standing) as client:
        yield client


def figures(flower: httpx.Client) -> dict[str, Any]:
    """What Overview and Monitor show."""
    return dict(flower.get("/flower/monitor/figures").raise_for_status().json())


@contextlib.contextmanager
def logged_in(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page whose browser knows the login."""
    user, password = FLOWER_LOGIN
    with open_page(browser, http_credentials={"username": user, "password": password}, **options) as page:
        yield page


def until_shown(flower: httpx.Client, job: str, seconds: float = 30) -> dict[str, Any]:
    """Wait until Flower has the job as succeeded."""

    def shown() -> dict[str, Any]:
        answer = flower.get(f"/flower/api/task/info/{job}")
        return dict(answer.json()) if answer.status_code == 200 and answer.json()["state"] == "SUCCESS" else {}

    return eventually(shown, f"Flower to show job {job}", seconds)


def until_full(flower: httpx.Client, workers: int) -> dict[str, Any]:
    """Wait until every worker told its load, the broker its queue, and a sample has it all."""

    def full() -> dict[str, Any]:
        found = figures(flower)
        told = [worker for worker in found["workers"] if worker["cpu"] is not None]
        return found if len(told) == workers and found["samples"]["cpu_mean"][-1:] not in ([], [None]) and found["queue"] else {}

    return eventually(full, f"the load of {workers} workers")


def test_workers_and_jobs_are_shown(standing: Pipeline, flower: httpx.Client) -> None:
    def heartbeats() -> list[object]:
        return list(flower.get("/flower/workers", params={"json": "1"}).json()["data"])

    eventually(lambda: len(heartbeats()) == 2, "Flower to hear the events of both processes")
    job = standing.submit(21)
    standing.until(job, "done")
    info = until_shown(flower, job)
    assert (info["name"], info["args"], info["result"]) == ("fib_job", "[21]", "10946")
    assert info["runtime"] >= 0

    def workers() -> dict[str, object]:
        return dict(flower.get("/flower/api/workers", params={"refresh": "true"}).json())

    eventually(lambda: len(workers()) == 2, "one entry a process, names unique")
    assert info["worker"] in workers()


def test_a_worker_that_answers_late_has_its_page(idle: Pipeline) -> None:
    with flower_of(idle) as flower:
        worker = idle.start_worker()
        worker.freeze()
        thaw = threading.Timer(2, worker.thaw)
        thaw.start()
        try:
            page = flower.get(f"/flower/worker/worker@pod-{worker.port}")
        finally:
            thaw.join()
        assert (page.status_code, f"worker@pod-{worker.port}" in page.text) == (200, True)


def test_nothing_is_shown_without_the_login(flower: httpx.Client) -> None:
    for name in PATHS:
        for login in (None, ("watcher", "wrong"), ("watcher", ""), ("wätcher", "flower-pa55")):
            answer = httpx.get(flower.base_url.join(f"/flower/{name}"), auth=login)
            assert answer.status_code == 401, (name, login)
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
        known = flower.get(f"/flower/{name}", follow_redirects=True)
        assert known.status_code == (404 if name == "nothing" else 200), name


def test_the_way_in_and_the_health_check_need_no_login(flower: httpx.Client) -> None:
    slash = httpx.get(flower.base_url.join("/flower"))
    assert (slash.status_code, slash.headers["Location"]) == (302, "/flower/")
    assert flower.get("/flower/").headers["Location"] == "/flower/overview"
    assert httpx.get(flower.base_url.join("/flower/healthcheck")).status_code == 200


def test_it_reads_only(flower: httpx.Client) -> None:
    for path in CONTROLS:
        assert flower.post(f"/flower/api/{path}", json={"args": [5]}).status_code == 403, path


def test_its_log_has_no_password(standing: Pipeline, flower: httpx.Client) -> None:
    flower.get("/flower/broker")
    log = standing.log("flower")
    assert "listening for events" in log
    for secret in (standing.broker_url, FLOWER_LOGIN[1], "fib:fib@"):
        assert secret not in log


def test_figures_are_those_of_the_pipeline(standing: Pipeline, flower: httpx.Client) -> None:
    eventually(lambda: len(figures(flower)["workers"]) == 2, "both processes")
    ids = standing.submit_many([22] * 7)
    standing.until_all_done(ids)
    for job in ids:
        until_shown(flower, job)
    found = until_full(flower, 2)
    assert {name: found["totals"][name] for name in ("succeeded", "failed")} == {"succeeded": 7, "failed": 0}
    assert sum(worker["succeeded"] for worker in found["workers"]) == 7
    for worker in found["workers"]:
        assert worker["online"]
        assert 0 <= worker["cpu"] <= 150
        assert 2**24 < worker["memory"] < 2**30
        assert worker["processes"] == 1
        assert 0 < found["now"] - worker["started"] < 3600
    eventually(lambda: figures(flower)["samples"]["succeeded"][-1:] == [0], "a sample after the jobs")
    samples = figures(flower)["samples"]
    assert any(samples["succeeded"])
    assert any(p50 is not None and 0 < p50 <= p95 for p50, p95 in zip(samples["p50"], samples["p95"], strict=True))
    assert samples["online"][-1] == 2
    later = flower.get("/flower/monitor/figures", params={"since": samples["time"][-2]}).json()["samples"]
    assert later["time"][0] == samples["time"][-1]
    assert flower.get("/flower/monitor/figures", params={"since": "yesterday"}).status_code == 400
    eventually(lambda: figures(flower)["queue"] == {"ready": 0, "unacked": 0}, "the broker to say that the queue is empty")


def test_a_backlog_is_seen_as_queue_depth_and_busy_workers(standing: Pipeline, flower: httpx.Client) -> None:
    ids = standing.submit_many([35] * 12)

    def seen() -> bool:
        samples = figures(flower)["samples"]
        # The broker's figures are some seconds late, so all three need not meet in one sample.
        return any(samples["ready"]) and 2 in samples["busy"] and any(cpu and cpu > 20 for cpu in samples["cpu_mean"])

    try:
        eventually(seen, "waiting messages, two busy workers and their CPU")
    finally:
        standing.until_all_done(ids, 120)


@pytest.mark.parametrize("name", ["overview", "monitor"])
def test_no_page_is_wider_than_a_phone(flower: httpx.Client, browser: Browser, name: str) -> None:
    with logged_in(browser, viewport={"width": 320, "height": 640}) as page:
        page.goto(f"{str(flower.base_url).rstrip('/')}/flower/{name}")
        expect(page.locator("#live-text")).to_contain_text("Live")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_tasks_are_listed_again_soon_after_the_broker_was_away(
    pipelines: Callable[..., Pipeline], broker: RabbitMQ, browser: Browser
) -> None:
    pipeline = pipelines().up()
    with flower_of(pipeline) as flower, logged_in(browser) as page:
        page.goto(f"{str(flower.base_url).rstrip('/')}/flower/overview")
        first = pipeline.submit(12)
        pipeline.until(first, "done")
        until_shown(flower, first)
        broker.kill()
        eventually(lambda: figures(flower)["listening_since"] is None, "Flower to notice", 10)
        expect(page.locator("#live-text")).to_have_text(re.compile("RabbitMQ is away"), timeout=10_000)
        expect(page.locator('[data-card="online"]')).to_have_text("—")
        broker.start()
        # Flower's own wait would have doubled meanwhile.
        eventually(lambda: figures(flower)["listening_since"], "Flower to listen again", 5)

        def listed() -> bool:
            job = pipeline.submit(13)
            pipeline.until(job, "done")
            return job in flower.get("/flower/api/tasks").json()

        eventually(listed, "a task after the outage", 15)
        assert flower.get(f"/flower/api/task/info/{first}").status_code == 200, "what was known stays"
        expect(page.locator("#live-text")).to_have_text(re.compile("Live"), timeout=10_000)
        expect(page.locator('[data-card="online"]')).to_have_text("1", timeout=10_000)
        eventually(lambda: figures(flower)["queue"], "the queue's figures")
