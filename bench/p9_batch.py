"""P9: 1,000 jobs in one request, beside as many requests; and how fast the relay publishes them."""

import http.client
import time

from bench.floors.system import Floor
from bench.load import drive
from bench.ours import Ours, post
from bench.stage import Stage
from bench.table import Row, higher, rates, times

SIZE = 1000
BATCHES = 10


def run(stage: Stage, rounds: int) -> list[Row]:
    """The API alone takes single jobs and batches in turn; then the relay, started on what was left for it, and py-amqp."""
    single: list[float] = []
    crowd: list[float] = []
    batch: list[float] = []
    relayed: list[float] = []
    raw: list[float] = []
    for _ in range(rounds):
        with Ours(stage) as ours, Floor(stage) as floor:
            ours.start_api()
            single.append(_single(ours))
            crowd.append(drive(f"http://127.0.0.1:{ours.api_port}/api/jobs", connections=16, seconds=2, body={"n": 5}).rate)
            batch.append(_batches(ours))
            relayed.append(_relay(ours))
            raw.append(floor.publish(SIZE * BATCHES))
    against_single, against_crowd, of_raw = higher(batch, single), higher(batch, crowd), higher(relayed, raw)
    goal = ">= 10x"
    ours_rate = rates(batch, "jobs/s")
    return [
        Row(
            "P9",
            "batches of 1,000, one client",
            ours_rate,
            f"own single {rates(single, '/s')}",
            times(against_single),
            goal,
            against_single >= 10,
        ),
        Row("P9", "the same, beside 16 clients of singles", ours_rate, f"own single {rates(crowd, '/s')}", times(against_crowd), "", None),
        Row("P9", "the relay's publishing", rates(relayed, "/s"), f"py-amqp {rates(raw, '/s')}", times(of_raw), ">= 0.6x", of_raw >= 0.6),
    ]


def _single(ours: Ours) -> float:
    client = http.client.HTTPConnection("127.0.0.1", ours.api_port, timeout=30)
    begun = time.perf_counter()
    for _ in range(SIZE):
        post(client, "/api/jobs", {"n": 5})
    return SIZE / (time.perf_counter() - begun)


def _batches(ours: Ours) -> float:
    client = http.client.HTTPConnection("127.0.0.1", ours.api_port, timeout=30)
    document = {"jobs": [{"n": 6}] * SIZE}
    begun = time.perf_counter()
    for _ in range(BATCHES):
        post(client, "/api/batches", document)
    return SIZE * BATCHES / (time.perf_counter() - begun)


def _relay(ours: Ours) -> float:
    """Messages a second while the relay works off everything accepted so far."""
    ours.start_relay()
    ours.wait_published()
    rate: float = ours.scalar("SELECT count(*) / extract(epoch FROM max(published_at) - min(published_at))::float FROM jobs")
    return rate
