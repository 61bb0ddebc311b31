"""Flower through the Ingress: every tab the README promises, in a browser with the generated login, and nothing but reading."""

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import open_page
from tests.e2e.conftest import Pipeline
from tests.waiting import eventually

# Something but nothingness is drawn.
PAINTED = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(value => value !== 0)"
DRAWING = "canvas => canvas.toDataURL()"
CONTROLS = (
    *("worker/shutdown/{worker}", "worker/pool/restart/{worker}", "worker/pool/grow/{worker}", "worker/queue/cancel-consumer/{worker}"),
    *("task/revoke/x", "task/async-apply/fib_job", "task/send-task/fib_job", "task/apply/fib_job"),
)


@pytest.fixture
def flower(pipeline: Pipeline, browser: Browser) -> Iterator[Page]:
    """Flower as it opens for a browser that knows the login. Fails on a request that leaves the host."""
    user, password = pipeline.flower_login()
    hosts: set[str | None] = set()
    with open_page(browser, http_credentials={"username": user, "password": password}) as page:
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname) if request.url.startswith("http") else None)
        page.goto(f"{pipeline.url}/flower")
        expect(page).to_have_url(f"{pipeline.url}/flower/overview")
        yield page
    assert hosts == {pipeline.host}


@pytest.fixture
def task(pipeline: Pipeline) -> dict[str, Any]:
    """A task that Flower shows as done."""

    def shown() -> dict[str, Any]:
        # A task anew each time: what went by while Flower did not listen, after a fault of the broker, is unseen.
        path = pipeline.submit(21)
        pipeline.result(path)
        known = pipeline.http.get("/flower/api/tasks", auth=pipeline.flower_login()).json()
        task: dict[str, Any] = known.get(path.rpartition("/")[2], {})
        return task if task.get("state") == "SUCCESS" else {}

    return eventually(shown, "the task to be shown", 90, 1)


def workers(pipeline: Pipeline) -> list[str]:
    """The workers as Flower names them: their pods."""
    pods = pipeline.read("pods", "-l", "app.kubernetes.io/component=worker", "--field-selector=status.phase=Running")["items"]
    return [f"worker@{pod['metadata']['name']}" for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def test_the_api_tells_number_result_and_duration_of_a_task(pipeline: Pipeline, task: dict[str, Any]) -> None:
    assert (task["name"], task["args"], task["state"], task["result"]) == ("fib_job", "[21]", "SUCCESS", "10946")
    assert task["runtime"] > 0
    assert task["worker"] in workers(pipeline)


def test_overview_and_workers_show_every_worker_pod(pipeline: Pipeline, task: dict[str, Any], flower: Page) -> None:
    names = workers(pipeline)
    assert len(names) >= 3
    for name in names:
        line = flower.locator("#overview-workers tbody tr", has_text=name)
        cells = (rf"^{name}$", r"Online", r"^[\d.]+ %$", r"^[\d.]+ MiB$", r"^\d+$", r"^\d+$", r"^\d+$", r"^1$", r"^\d+ (s|min|h)")
        for column, words in enumerate(cells):
            expect(line.locator("td").nth(column)).to_have_text(re.compile(words))
    expect(flower.locator('[data-card="online"]')).to_have_text(str(len(names)))
    for card in ("succeeded", "total"):
        expect(flower.locator(f'[data-card="{card}"]')).to_have_text(re.compile(r"[1-9]"))
    flower.get_by_role("link", name="Workers", exact=True).click()
    for name in names:
        expect(flower.locator("#workers-table")).to_contain_text(name)
    flower.get_by_role("link", name=task["worker"]).click()
    expect(flower.get_by_role("heading", name=task["worker"])).to_be_visible()


def test_tasks_are_listed_found_and_told_in_full(task: dict[str, Any], flower: Page) -> None:
    flower.get_by_role("link", name="Tasks", exact=True).click()
    row = flower.locator("#tasks-table tbody tr", has_text=task["uuid"][:8])
    for words in ("fib_job", "[21]", "SUCCESS", "10946"):
        expect(row).to_contain_text(words)
    flower.get_by_role("searchbox").fill(task["uuid"])
    expect(flower.locator("#tasks-table tbody tr")).to_have_count(1)
    expect(row).to_be_visible()


def test_the_broker_tab_has_figures_and_no_password(pipeline: Pipeline, flower: Page) -> None:
    password = base64.b64decode(pipeline.read("secret", "demo-rabbitmq")["data"]["password"]).decode()
    flower.get_by_role("link", name="Broker", exact=True).click()
    expect(flower.locator("#queue-table tbody tr", has_text="fib")).not_to_have_count(0)
    for secret in (password, pipeline.flower_login()[1]):
        assert len(secret) > 15 and secret not in flower.content()


def test_the_monitor_draws_what_goes_on_in_light_and_dark(task: dict[str, Any], flower: Page) -> None:
    flower.get_by_role("link", name="Monitor", exact=True).click()
    charts = {
        "rate": r"[\d.]+/s received[\d.]+/s succeeded[\d.]+/s failed",
        "duration": r"(—|\d).* p50.* p95",
        "depth": r"\d+ waiting\d+ with a worker",
        "workers": r"\d+ online\d+ running",
        "cpu": r"[\d.]+ % mean[\d.]+ % highest",
        "memory": r"[\d.]+ MiB mean[\d.]+ MiB highest",
    }
    for name, words in charts.items():
        chart = flower.locator(f'[data-chart="{name}"]')
        expect(chart.locator(".figures-now")).to_have_text(re.compile(words))
        assert chart.locator("canvas").evaluate(PAINTED), f"the chart {name} is empty"
    flower.get_by_role("button", name="3 h").click()
    expect(flower.get_by_role("button", name="3 h")).to_have_attribute("aria-pressed", "true")
    expect(flower.locator("canvas")).to_have_count(len(charts))
    # Flower's own theme switch reaches the charts, too.
    cpu = flower.locator('[data-chart="cpu"] canvas')
    before = cpu.evaluate(DRAWING)
    flower.locator("#theme-toggle").click()
    flower.get_by_role("button", name="Dark").click()
    eventually(lambda: cpu.evaluate(DRAWING) != before, "the chart in dark colours")


def test_nobody_gets_in_without_the_login(pipeline: Pipeline) -> None:
    for path in ("", "overview", "workers", "tasks", "broker", "monitor", "api/tasks", "api/workers", "metrics"):
        for login in (None, ("admin", "wrong")):
            assert pipeline.http.get(f"/flower/{path}", auth=login).status_code == 401, path


def test_it_reads_only(pipeline: Pipeline) -> None:
    worker = workers(pipeline)[0]
    for path in CONTROLS:
        answer = pipeline.http.post(f"/flower/api/{path.format(worker=worker)}", json={"args": [5]}, auth=pipeline.flower_login())
        assert answer.status_code == 403, path
