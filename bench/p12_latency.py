"""P12: from submitting to a visible result on an idle system, and what a page of the list costs when the table is large."""

import http.client
import time
from statistics import median

from bench.load import drive
from bench.ours import Ours, post
from bench.peer.system import Peer
from bench.processes import BenchError
from bench.stage import Stage
from bench.table import Row, figure, lower, quantile, times

JOBS = 100
AWAKE = 10
"""So many jobs at the beginning are not counted."""
LOOK_SECONDS = 0.0005
"""Between two looks at the row: without a rest the benchmark itself would keep the machine busy."""
SMALL = 100
LARGE = 1_000_000
PEER_ROWS = 10_000
SECONDS = 3
FILL = """INSERT INTO jobs (id, n, algorithm, client, state, result, digits, due_at, created_at, started_at, finished_at, duration_ms,
        worker, attempts, writes, publishes)
    SELECT gen_random_uuid(), 5, 'recursive', 'bench', 'done', '5', 1, NULL, now(), now(), now(), 0.01, 'worker@bench', 1, 1, 1
    FROM generate_series(1, %s)"""
FILL_PEER = """INSERT INTO job (uuid, n, created, started, completed, result)
    SELECT gen_random_uuid()::text, 5, now(), now(), now(), '5' FROM generate_series(1, %s)"""
DONE = "SELECT 1 FROM jobs WHERE id = %s AND state = 'done'"
PEER_DONE = "SELECT 1 FROM job WHERE uuid = %s AND completed IS NOT NULL"


def run(stage: Stage, rounds: int) -> list[Row]:
    """Latency, each contender with the machine to itself; then lists. In both they take turns."""
    return [*_latency(stage, rounds), *_lists(stage, rounds)]


def _latency(stage: Stage, rounds: int) -> list[Row]:
    ours_ms: list[list[float]] = []
    peer_ms: list[list[float]] = []
    for _ in range(rounds):
        ours_ms.append(_ours(stage))
        peer_ms.append(_peer(stage))
    p50, peers = [median(values) for values in ours_ms], [median(values) for values in peer_ms]
    p99, ratio = median(quantile(values, 0.99) for values in ours_ms), lower(p50, peers)
    peers_p99 = median(quantile(values, 0.99) for values in peer_ms)
    return [
        Row(
            "P12",
            "submit to visible result, idle, p50",
            f"{figure(median(p50))} ms",
            f"peer {figure(median(peers))} ms",
            times(ratio),
            "<= 6 ms and >= 5x",
            median(p50) <= 6 and ratio >= 5,
        ),
        Row("P12", "the same, p99", f"{figure(p99)} ms", f"peer {figure(peers_p99)} ms", times(peers_p99 / p99), "<= 15 ms", p99 <= 15),
    ]


def _ours(stage: Stage) -> list[float]:
    with Ours(stage) as ours:
        ours.start_api()
        ours.start_relay()
        ours.start_workers()
        _measure(ours, ours.api_port, "/api/jobs", "id", DONE, AWAKE)
        return _measure(ours, ours.api_port, "/api/jobs", "id", DONE, JOBS)


def _peer(stage: Stage) -> list[float]:
    with Peer(stage) as peer:
        peer.start_web()
        peer.start_worker()
        _measure(peer, peer.port, "/add", "uuid", PEER_DONE, AWAKE)
        return _measure(peer, peer.port, "/add", "uuid", PEER_DONE, JOBS)


def _measure(system: Ours | Peer, port: int, path: str, key: str, done: str, count: int) -> list[float]:
    """Milliseconds from the request to the committed result, one job at a time."""
    found: list[float] = []
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with system.cursor() as cursor:
        for _ in range(count):
            begun = time.perf_counter()
            job = post(client, path, {"n": 5})[key]
            while True:
                cursor.execute(done, (job,))
                if cursor.fetchone():
                    break
                if time.perf_counter() - begun > 60:
                    raise BenchError(f"job {job} was not done within 60 s")
                time.sleep(LOOK_SECONDS)
            found.append((time.perf_counter() - begun) * 1000)
    client.close()
    return found


def _lists(stage: Stage, rounds: int) -> list[Row]:
    with Ours(stage) as small, Ours(stage) as large, Peer(stage) as peer:
        _fill(small, FILL, SMALL)
        _fill(large, FILL, LARGE)
        _fill(peer, FILL_PEER, PEER_ROWS)
        small.start_api()
        large.start_api()
        peer.start_web()
        few: list[float] = []
        many: list[float] = []
        peers: list[float] = []
        for _ in range(rounds):
            few.append(_page(small.api_port, "/api/jobs"))
            many.append(_page(large.api_port, "/api/jobs"))
            peers.append(_page(peer.port, "/"))
    slower, faster = 1 / lower(many, few), lower(many, peers)
    return [
        Row(
            "P12",
            f"page of 50 at {LARGE:,} rows, p50",
            f"{figure(median(many))} ms",
            f"own at {SMALL} rows {figure(median(few))} ms",
            times(slower),
            "<= 1.3x",
            slower <= 1.3,
        ),
        Row(
            "P12",
            "the same",
            f"{figure(median(many))} ms",
            f"peer's list at {PEER_ROWS:,} rows {figure(median(peers))} ms",
            times(faster),
            ">= 100x",
            faster >= 100,
        ),
    ]


def _fill(system: Ours | Peer, statement: str, count: int) -> None:
    with system.cursor() as cursor:
        cursor.execute(statement, (count,))
        cursor.execute("VACUUM ANALYZE")


def _page(port: int, path: str) -> float:
    return drive(f"http://127.0.0.1:{port}{path}", connections=1, seconds=SECONDS).p50
