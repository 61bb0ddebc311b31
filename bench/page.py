"""The page: bytes of its first load, and what many open tabs cost while the table is large."""

import gzip
import http.client
import re
import threading
import time
from statistics import median

from bench.ours import Ours
from bench.p12_latency import FILL
from bench.stage import Stage
from bench.table import Row, figure, lower, quantile, times

JOBS = 100_000
TABS = 20
POLL_SECONDS = 2.0
SECONDS = 20
MAX_KIB = 150
MAX_SHARE = 0.05
"""Of one processor, for all tabs together."""


def run(stage: Stage, rounds: int) -> list[Row]:
    """First load, then one tab and many in turns."""
    with Ours(stage) as ours:
        with ours.cursor() as cursor:
            cursor.execute(FILL, (JOBS,))
            cursor.execute("VACUUM ANALYZE")
        program = ours.start_api()
        sent, whole = _first_load(ours.api_port)
        one: list[float] = []
        many: list[float] = []
        took: list[float] = []
        for _ in range(rounds):
            for tabs, shares in ((1, one), (TABS, many)):
                before = program.cpu_seconds()
                answers = _watch(ours.api_port, tabs)
                shares.append((program.cpu_seconds() - before) / SECONDS)
                took += answers if tabs == TABS else []
    kib, share = sent / 1024, median(many)
    return [
        Row(
            "PAGE",
            "first load over the wire",
            f"{figure(kib)} KiB",
            f"uncompressed {figure(whole / 1024)} KiB",
            times(whole / sent),
            f"<= {MAX_KIB} KiB",
            kib <= MAX_KIB,
        ),
        Row(
            "PAGE",
            f"{TABS} tabs, {JOBS:,} rows: API's processor",
            f"{figure(100 * share)} %",
            f"{TABS} times one tab {figure(100 * TABS * median(one))} %",
            times(lower(many, [TABS * each for each in one])),
            f"<= {MAX_SHARE:.0%}",
            share <= MAX_SHARE,
        ),
        Row("PAGE", "the same, answer p50", f"{figure(1000 * median(took))} ms", "-", "-", "-", None),
        Row("PAGE", "the same, answer p99", f"{figure(1000 * quantile(took, 0.99))} ms", "-", "-", "-", None),
    ]


def _first_load(port: int) -> tuple[int, int]:
    """Bytes of the page and all that it asks for: as sent, and uncompressed."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = whole = 0

    def fetch(path: str) -> str:
        nonlocal sent, whole
        client.request("GET", path, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
        answer = client.getresponse()
        body = answer.read()
        content = gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body
        sent += len(body) + len(str(answer.headers))
        whole += len(content) + len(str(answer.headers))
        return content.decode()

    for path in sorted(set(re.findall(r'(?:src|href)="(/api/static/[^"]+)"', fetch("/api/")))):
        fetch(path)
    fetch("/api/history")
    return sent, whole


def _watch(port: int, tabs: int) -> list[float]:
    """Let tabs ask as the page does; the seconds that each answer took."""
    found: list[float] = []
    threads = [threading.Thread(target=_tab, args=(port, POLL_SECONDS * number / tabs, found)) for number in range(tabs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _tab(port: int, delay: float, found: list[float]) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    etag, end = "", time.monotonic() + SECONDS
    time.sleep(delay)
    while time.monotonic() < end:
        begun = time.perf_counter()
        client.request("GET", "/api/live", headers={"Accept": "text/html", "Accept-Encoding": "gzip", "If-None-Match": etag})
        answer = client.getresponse()
        answer.read()
        found.append(time.perf_counter() - begun)
        etag = answer.headers["ETag"]
        time.sleep(POLL_SECONDS)
    client.close()
