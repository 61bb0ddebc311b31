"""What `python -m bench.app` and `python -m bench.operator` have in common: which benchmarks, how often, one table."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from bench.processes import BenchError
from bench.table import Row, render

ROUNDS = 3


def main(program: str, description: str, benchmarks: Mapping[str, str], stage: Callable[[], AbstractContextManager[Any]]) -> int:
    """Run what was asked for on one stage; 0 when every benchmark could be run, whether it met its goal or not."""

    def names(text: str) -> list[str]:
        found = [name.strip().upper() for name in text.split(",")]
        if unknown := [name for name in found if name not in benchmarks]:
            raise argparse.ArgumentTypeError(f"there is no benchmark {', '.join(unknown)}")
        return found

    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--only", type=names, default=list(benchmarks), metavar="NAMES", help=f"of {','.join(benchmarks)}; default all")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each contender, default {ROUNDS}")
    arguments = parser.parse_args()
    rows: list[Row] = []
    try:
        with stage() as ready:
            for name in arguments.only:
                print(f"{name} ... (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
                found = importlib.import_module(benchmarks[name]).run(ready, arguments.rounds)
                print(render(found), file=sys.stderr, flush=True)
                rows += found
    except BenchError as error:
        sys.exit(f"bench: {error}")
    print(render(rows))
    return 0
