"""P10: jobs a second from queue to stored result, n=5, one worker of two processes, with every protection and Flower's events."""

from bench.floors.system import Floor
from bench.ours import Ours
from bench.peer.system import Peer
from bench.stage import Stage
from bench.table import Row, higher, rates, times

OURS = 20_000
PEER = 400
LEAN = 20_000
PROCESSES = 2
# Counted from when every process has finished a job: starting is another benchmark's subject.
OURS_RATE = """WITH begun AS (SELECT max(first) AS at FROM (SELECT min(finished_at) AS first FROM jobs GROUP BY worker) AS each_worker)
    SELECT count(*) / extract(epoch FROM max(finished_at) - min(at))::float FROM jobs, begun WHERE finished_at > at"""
PEER_RATE = "SELECT (count(*) - 1) / extract(epoch FROM max(completed) - min(completed))::float FROM job"


def run(stage: Stage, rounds: int) -> list[Row]:
    """A backlog is preloaded, then the worker starts; project, peer and the lean loop take turns."""
    ours: list[float] = []
    peer: list[float] = []
    lean: list[float] = []
    for _ in range(rounds):
        ours.append(measure_ours(stage))
        peer.append(_peer(stage))
        lean.append(_lean(stage))
    against_peer, of_lean = higher(ours, peer), higher(ours, lean)
    mine = rates(ours, "jobs/s")
    return [
        Row("P10", "jobs, n=5", mine, f"peer {rates(peer, '/s')}", times(against_peer), ">= 20x (stretch 40x)", against_peer >= 20),
        Row(
            "P10",
            "the same, beside a lean loop",
            mine,
            f"py-amqp {rates(lean, '/s')}",
            times(of_lean),
            ">= 0.3x (stretch 0.5x)",
            of_lean >= 0.3,
        ),
    ]


def measure_ours(stage: Stage, count: int = OURS) -> float:
    """Jobs a second of the project."""
    with Ours(stage) as ours:
        ours.start_api()
        ours.start_relay()
        ours.submit(count, n=5)
        ours.wait_published()
        ours.start_workers(concurrency=PROCESSES, wait=False)
        ours.wait_finished()
        return float(ours.scalar(OURS_RATE))


def _peer(stage: Stage) -> float:
    with Peer(stage) as peer:
        peer.start_web()
        peer.submit(PEER, n=5)
        peer.start_worker(PROCESSES)
        peer.wait_finished()
        return float(peer.scalar(PEER_RATE))


def _lean(stage: Stage) -> float:
    with Floor(stage) as floor:
        floor.publish(LEAN)
        return floor.consume(PROCESSES)
