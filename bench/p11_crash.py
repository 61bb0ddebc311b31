"""P11: ten workers of two processes, one of them killed with -9 in the middle: what is lost."""

from collections.abc import Callable

from bench.ours import Ours
from bench.peer.system import Peer
from bench.processes import Program, wait_until
from bench.stage import Stage, System
from bench.table import Row, higher, rates, times

WORKERS = 10
PROCESSES = 2
OURS = 2000
PEER = 500
LOST = "SELECT count(*) FROM jobs WHERE state <> 'done' OR writes <> 1 OR result <> '5'"
BACKENDS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name IN ('fib-worker', 'fib-supervisor')"
)
QUIET_SECONDS = 5.0


def run(stage: Stage, rounds: int) -> list[Row]:
    """Both in turn; the peer counts as ended when nothing more is finished for some seconds."""
    lost: list[int] = []
    peers_lost: list[int] = []
    ours: list[float] = []
    peers: list[float] = []
    backends = 0
    for _ in range(rounds):
        missing, rate, seen = _ours(stage)
        lost.append(missing)
        ours.append(rate)
        backends = max(backends, seen)
        missing, rate = _peer(stage)
        peers_lost.append(missing)
        peers.append(rate)
    allowed = WORKERS * (PROCESSES + 1)
    return [
        Row(
            "P11",
            f"of {OURS:,} jobs lost or stored twice, 1 of 10 workers killed",
            str(max(lost)),
            f"peer {max(peers_lost)} of {PEER}",
            "",
            "0",
            max(lost) == 0,
        ),
        Row(
            "P11",
            "jobs meanwhile, waiting out the dead one's leases",
            rates(ours, "jobs/s"),
            f"peer {rates(peers, '/s')}",
            times(higher(ours, peers)),
            "",
            None,
        ),
        Row("P11", "connections to PostgreSQL, 10 workers", str(backends), "", "", f"<= {allowed}", backends <= allowed),
    ]


def _ours(stage: Stage) -> tuple[int, float, int]:
    with Ours(stage) as ours:
        ours.start_api()
        ours.start_relay()
        workers = ours.start_workers(WORKERS, concurrency=PROCESSES)
        ours.submit(OURS, n=5)
        _kill_midway(ours, workers[0], OURS, "SELECT count(*) FROM jobs WHERE state = 'done'")
        backends = int(ours.scalar(BACKENDS))
        ours.wait_finished(180)
        rate = float(ours.scalar("SELECT count(*) / extract(epoch FROM max(finished_at) - min(created_at))::float FROM jobs"))
        return int(ours.scalar(LOST)), rate, backends


def _peer(stage: Stage) -> tuple[int, float]:
    done = "SELECT count(*) FROM job WHERE completed IS NOT NULL"
    with Peer(stage) as peer:
        peer.start_web()
        peer.submit(PEER, n=5)
        workers = [peer.start_worker(PROCESSES) for _ in range(WORKERS)]
        _kill_midway(peer, workers[0], PEER, done)
        _wait_quiet(lambda: int(peer.scalar(done)), PEER)
        rate = float(peer.scalar("SELECT count(completed) / extract(epoch FROM max(completed) - min(completed))::float FROM job"))
        return peer.unfinished(), rate


def _kill_midway(system: System, victim: Program, count: int, done: str) -> None:
    with system.cursor() as cursor:

        def midway() -> bool:
            cursor.execute(done)
            return bool(cursor.fetchone()[0] >= count // 4)

        wait_until("a quarter of the jobs", midway, 180, 0.005)
    victim.kill()


def _wait_quiet(count: Callable[[], int], enough: int) -> None:
    """Return when all is done, or nothing was for some seconds."""
    seen = -1
    while (now := count()) not in (seen, enough):
        seen = now
        waited = [now]

        def moved(before: int = now, waited: list[int] = waited) -> bool:
            waited.append(count())
            return waited[-1] != before or len(waited) > QUIET_SECONDS * 10

        wait_until("the peer", moved, 60, 0.1)
