"""P8: a job accepted for good, 202 after the commit, by 16 connections and by one."""

from statistics import median

from bench.floors.system import Floor
from bench.load import Load, drive
from bench.ours import Ours
from bench.peer.system import THREADS, Peer
from bench.processes import BenchError
from bench.stage import Stage
from bench.table import Row, figure, higher, lower, rates, times

SECONDS = 4
JOB = {"n": 5}


def run(stage: Stage, rounds: int) -> list[Row]:
    """API and relay, peer and the application that only validates take turns."""
    with Ours(stage) as ours, Peer(stage) as peer, Floor(stage) as floor:
        ours.start_api()
        ours.start_relay()
        peer.start_web()
        port = floor.start_validate(THREADS)
        addresses = {
            "ours": f"http://127.0.0.1:{ours.api_port}/api/jobs",
            "peer": f"http://127.0.0.1:{peer.port}/add",
            "floor": f"http://127.0.0.1:{port}/api/jobs",
        }
        many: dict[str, list[Load]] = {name: [] for name in addresses}
        alone: dict[str, list[Load]] = {name: [] for name in addresses}
        accepted = 0
        for _ in range(rounds):
            for name, url in addresses.items():
                many[name].append(drive(url, connections=16, seconds=SECONDS, body=JOB))
                alone[name].append(drive(url, connections=1, seconds=SECONDS // 2, body=JOB))
                if name == "ours":
                    accepted += many[name][-1].requests + alone[name][-1].requests
                    ours.wait_published()
        rows = int(ours.scalar("SELECT count(*) FROM jobs WHERE publishes > 0"))
        errors = sum(load.errors for load in many["ours"] + alone["ours"])
        if rows < accepted:
            raise BenchError(f"{accepted} jobs were accepted, but only {rows} are stored and published")
    return _rows(many, alone, errors)


def _rows(many: dict[str, list[Load]], alone: dict[str, list[Load]], errors: int) -> list[Row]:
    rate = {name: [load.rate for load in loads] for name, loads in many.items()}
    p50 = {name: [load.p50 for load in loads] for name, loads in alone.items()}
    against_peer, of_floor = higher(rate["ours"], rate["peer"]), higher(rate["ours"], rate["floor"])
    one = median(p50["ours"])
    return [
        Row(
            "P8",
            "durable 202, 16 connections",
            rates(rate["ours"], "/s"),
            f"peer {rates(rate['peer'], '/s')}",
            times(against_peer),
            ">= 2x",
            against_peer >= 2,
        ),
        Row(
            "P8",
            "the same, beside validation only",
            rates(rate["ours"], "/s"),
            f"floor {rates(rate['floor'], '/s')}",
            times(of_floor),
            ">= 0.55x",
            of_floor >= 0.55,
        ),
        Row(
            "P8",
            "p50 of one connection",
            f"{figure(one)} ms",
            f"peer {figure(median(p50['peer']))} ms",
            times(lower(p50["ours"], p50["peer"])),
            "<= 1.5 ms",
            one <= 1.5,
        ),
        Row("P8", "answers that were no 202", str(errors), "", "", "0", errors == 0),
    ]
