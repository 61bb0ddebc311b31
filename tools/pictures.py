"""`make pictures`: pictures of the page and of Flower in docs/images, taken of a pipeline at work by Debian's Chromium.

What they show happened: real RabbitMQ and PostgreSQL, real jobs in real worker processes, as many as the operator's rule asks for.
"""

import base64
import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import FLAGS
from tests.services.pipeline import FLOWER_LOGIN, Pipeline
from tests.waiting import eventually
from tools.stand import Workers, standing

IMAGES = Path(__file__).parents[1] / "docs/images"
MAX_BYTES = 1_500 * 1024
PAGE, WIDE, PHONE = {"width": 1280, "height": 1340}, {"width": 1280, "height": 860}, {"width": 390, "height": 844}
TASKS, BROKER = {"width": 1800, "height": 760}, {"width": 1280, "height": 320}
FIRST_CELL = {"broker": "fib", "tasks": "fib_job"}
BURST_N, BURST_SECONDS, MAX_BURST = 31, 150.0, 1000
STEPS_PAGE = """<!doctype html><style>
body {{ margin: 0; padding: 16px; background: #e4e6ee; font: 600 20px system-ui; color: #222; width: 1632px }}
main {{ display: grid; grid-template-columns: 1fr 1fr; gap: 16px }}
figure {{ margin: 0; border-radius: 8px; overflow: hidden; background: #f5f6fa }}
figcaption {{ padding: 10px 14px; background: #fff }}
img {{ display: block; width: 100% }}
</style><main>{figures}</main>"""
STEPS_FIGURE = '<figure><figcaption>{number}. {caption}</figcaption><img src="data:image/png;base64,{picture}"></figure>'


class Album:
    """Takes the pictures of one pipeline."""

    def __init__(self, browser: Browser, pipeline: Pipeline, flower: httpx.Client, folder: Path) -> None:
        self._browser = browser
        self._stack = ExitStack()
        self._url = f"http://127.0.0.1:{pipeline.api_port}"
        self._flower = str(flower.base_url).rstrip("/")
        self._folder = folder
        self._steps: list[tuple[str, str]] = []

    def open(self, path: str, **options: Any) -> Page:
        """A page in English that stays open."""
        address = f"{self._flower}{path}" if path.startswith("/flower") else f"{self._url}{path}"
        login = {"username": FLOWER_LOGIN[0], "password": FLOWER_LOGIN[1]}
        context = self._browser.new_context(**{"viewport": WIDE, "locale": "en-GB", "http_credentials": login, **options})
        page = context.new_page()
        page.goto(address)
        return page

    def take(self, page: Page, name: str, *, whole: bool = False) -> None:
        """Keep what a page shows now, or all of it."""
        page.screenshot(path=self._folder / f"{name}.png", full_page=whole, animations="disabled")

    def step(self, page: Page, caption: str) -> None:
        """One more part of the stepped picture: what moves on the page, from the tiles to the charts."""
        first, last = page.locator("#summary").bounding_box(), page.locator(".charts").bounding_box()
        assert first and last, "both are shown"
        top, bottom = first["y"] - 12, last["y"] + last["height"] + 12
        picture = page.screenshot(animations="disabled", clip={"x": 0, "y": top, "width": WIDE["width"], "height": bottom - top})
        self._steps.append((caption, base64.b64encode(picture).decode()))

    def put_steps_together(self, name: str) -> None:
        """The stepped picture."""
        figures = [
            STEPS_FIGURE.format(number=number, caption=caption, picture=picture)
            for number, (caption, picture) in enumerate(self._steps, start=1)
        ]
        page = self._browser.new_context(viewport={"width": 1664, "height": 100}).new_page()
        page.set_content(STEPS_PAGE.format(figures="".join(figures)), wait_until="load")
        self.take(page, name, whole=True)


def everyday(pipeline: Pipeline) -> tuple[str, int]:
    """Jobs of every kind and fate; returns one with a long number, and how many jobs make a burst here."""
    known = pipeline.submit_many([BURST_N] * 12)
    pipeline.until_all_done([*known, *pipeline.submit_many([5, 20, 25, 26, 27, 28, 30])])
    long = pipeline.submit(4000, "fast")
    too_slow = pipeline.submit(40)
    pipeline.until(long, "done")
    pipeline.until(too_slow, "failed", 60)
    seconds = median(row["duration_ms"] for row in pipeline.rows("duration_ms", known)) / 1000
    return long, min(MAX_BURST, round(BURST_SECONDS / seconds))


def take_all(browser: Browser, pipeline: Pipeline, workers: Workers, flower: httpx.Client, folder: Path) -> None:
    """All pictures, in the order in which things happen."""
    album = Album(browser, pipeline, flower, folder)
    watching = album.open("/api/", viewport=PAGE)
    long, jobs = everyday(pipeline)
    pages = {
        "page-light": album.open("/api/", viewport=PAGE),
        "page-dark": album.open("/api/", viewport=PAGE, color_scheme="dark"),
        "page-phone": album.open("/api/", viewport=PHONE, device_scale_factor=2),
    }
    _until_said(watching, workers, 3, "nothing is queued")
    album.step(watching, "At rest: three workers, nothing queued")
    burst = pipeline.submit_many([BURST_N] * jobs)
    _until_said(watching, workers, 10, "of 3-10 workers")
    album.step(watching, f"{jobs} jobs arrive: all ten workers are asked for in one step")
    _until_queued(pipeline, jobs * 0.5)
    album.step(watching, "They work in parallel, the queue shrinks")
    for name, page in pages.items():
        album.take(page, name)
    pipeline.until_all_done(burst, 300)
    _until_said(watching, workers, 3, "nothing is queued")
    album.step(watching, "Done: the idle workers have left, each result was stored once")
    album.put_steps_together("burst")
    album.take(album.open(f"/api/jobs/{long}"), "job")
    tabs = {tab: album.open(f"/flower/{tab}") for tab in ("overview", "workers", "monitor")}
    pipeline.submit_many([BURST_N] * jobs)
    eventually(lambda: len(workers) == 10, "ten workers", 120)
    _until_queued(pipeline, jobs * 0.75)
    for tab, size in (("broker", BROKER), ("tasks", TASKS)):
        page = album.open(f"/flower/{tab}", viewport=size)
        page.get_by_role("cell", name=FIRST_CELL[tab]).first.wait_for()
        album.take(page, f"flower-{tab}")
    for tab, page in tabs.items():
        album.take(page, f"flower-{tab}")


def _until_queued(pipeline: Pipeline, jobs: float) -> None:
    """Wait until no more than so many jobs wait."""

    def few() -> bool:
        return int(pipeline.client.get("/api/stats").raise_for_status().json()["queued"]) <= jobs

    eventually(few, f"at most {jobs:.0f} waiting jobs", 300)


def _until_said(page: Page, workers: Workers, count: int, words: str) -> None:
    """Wait until so many workers are asked for, and the page says so."""
    eventually(lambda: len(workers) == count, f"{count} workers", 120)
    page.get_by_text(re.compile(f"^{count} of .*{words}|^{count} {words}")).first.wait_for(timeout=60_000)


def compress(folder: Path) -> None:
    """Fewer colours; raises CalledProcessError when pngquant cannot."""
    for path in sorted(folder.glob("*.png")):
        command = ["pngquant", "--force", "--ext", ".png", "--strip", "--speed", "1", "--quality", "50-90", "--skip-if-larger", str(path)]
        done = subprocess.run(command, check=False)
        if done.returncode not in (0, 98):  # 98: it would be larger
            raise subprocess.CalledProcessError(done.returncode, command)


def main() -> None:
    """Take them, and put them where the documents show them only when all came out."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright, standing() as (pipeline, workers, flower):
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        take_all(browser, pipeline, workers, flower, folder)
        browser.close()
        compress(folder)
        pictures = sorted(folder.glob("*.png"))
        size = sum(path.stat().st_size for path in pictures)
        if size > MAX_BYTES:
            raise SystemExit(f"The pictures have {size / 1024:.0f} KiB together, more than {MAX_BYTES / 1024:.0f}.")
        IMAGES.mkdir(parents=True, exist_ok=True)
        for path in pictures:
            (IMAGES / path.name).write_bytes(path.read_bytes())
            print(f"{path.name:<22} {path.stat().st_size / 1024:6.0f} KiB")


if __name__ == "__main__":
    main()
