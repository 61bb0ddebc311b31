"""HTTP load by `wrk`, which leaves the machine to those it measures."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import BenchError

SCRIPT = """
wrk.method = "{method}"
wrk.body = [==[{body}]==]
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
  io.write(string.format('\\nJSON {{"requests": %d, "us": %d, "refused": %d, "broken": %d, "p50": %f, "p99": %f}}\\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a few seconds of load gave. Latencies in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float
    errors: int
    """Answers that were no success, and connections that broke."""


def drive(url: str, *, connections: int, seconds: int, body: Any = None) -> Load:
    """Ask `url` as fast as it answers on `connections` connections at once; a `body` makes it a POST."""
    if not shutil.which("wrk"):
        raise BenchError("the benchmarks need wrk: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        Path(script.name).write_text(SCRIPT.format(method="GET" if body is None else "POST", body="" if body is None else json.dumps(body)))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script.name, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.rpartition("JSON ")[2])
    rate = found["requests"] / (found["us"] / 1e6)
    return Load(found["requests"], rate, found["p50"] / 1000, found["p99"] / 1000, found["refused"] + found["broken"])
