"""`python -m bench.operator`: the benchmarks of the operator against a real API server, in one table."""

import sys

from bench.cli import main
from bench.cluster.control import Control

BENCHMARKS = {
    "P1": "bench.p1_create",
    "P7": "bench.p7_drift",
    "P3": "bench.p3_fleet",
}
DESCRIPTION = "Measure the operator (P1 and P2; P7; P3 to P6) on a real API server, beside kubectl, a bare client and usual kopf operators."

if __name__ == "__main__":
    sys.exit(main("python -m bench.operator", DESCRIPTION, BENCHMARKS, Control))
