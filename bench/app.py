"""`python -m bench.app`: the benchmarks of API, relay and workers, in one table."""

import sys

from bench.cli import main
from bench.stage import Stage

BENCHMARKS = {
    "P8": "bench.p8_submit",
    "P9": "bench.p9_batch",
    "P10": "bench.p10_throughput",
    "P11": "bench.p11_crash",
    "P12": "bench.p12_latency",
    "P13": "bench.p13_big_numbers",
    "PAGE": "bench.page",
}
DESCRIPTION = "Measure API, relay and workers on real servers, beside a stock Flask and Celery peer and lean floors."

if __name__ == "__main__":
    sys.exit(main("python -m bench.app", DESCRIPTION, BENCHMARKS, Stage))
