"""`python -m bench.app`: the benchmarks of API, relay and workers, in one table."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from bench.processes import BenchError
from bench.stage import Stage
from bench.table import Row, render

BENCHMARKS = {
    "P8": "bench.p8_submit",
    "P9": "bench.p9_batch",
    "P10": "bench.p10_throughput",
    "P11": "bench.p11_crash",
    "P12": "bench.p12_latency",
    "P13": "bench.p13_big_numbers",
}
ROUNDS = 3


def main() -> int:
    """Run what was asked for; 0 when every benchmark could be run, whether it met its goal or not."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.app",
        description="Measure API, relay and workers on real servers, beside a stock Flask and Celery peer and lean floors.",
    )
    parser.add_argument("--only", type=_names, default=list(BENCHMARKS), metavar="P8,P10", help=f"of {', '.join(BENCHMARKS)}; default all")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each contender, default {ROUNDS}")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with Stage() as stage:
        for name in arguments.only:
            print(f"{name} ... (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
            found = importlib.import_module(BENCHMARKS[name]).run(stage, arguments.rounds)
            print(render(found), file=sys.stderr, flush=True)
            rows += found
    print(render(rows))
    return 0


def _names(text: str) -> Sequence[str]:
    names = [name.strip().upper() for name in text.split(",")]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no benchmark {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
