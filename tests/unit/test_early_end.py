"""What is told to stop while it still starts ends at once: the first process of a container has no default for signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
HELD = """
import builtins, sys, time
load = builtins.__import__
def hold(name, *arguments, **options):
    while name.partition(".")[0] in {"fibapp", "fibworker", "kopf"}:
        time.sleep(0.01)
    return load(name, *arguments, **options)
builtins.__import__ = hold
import runpy
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Runs a program, but lets it come no further than its first own or heavy import."""


def catches_sigterm(process: subprocess.Popen[bytes]) -> bool:
    """Has it a handler? By the kernel's word: bit 14 of the caught signals is number 15."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) & 1 << signal.SIGTERM - 1)


@pytest.mark.parametrize("program", ["worker/fibworker", "app/fibapp", "operator/fiboperator"])
def test_a_signal_that_comes_before_the_program_is_loaded_ends_it(program: str) -> None:
    path = os.pathsep.join(str(ROOT / folder) for folder in ("app", "worker", "operator"))
    command = [sys.executable, "-c", HELD, str(ROOT / program / "__main__.py")]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            eventually(lambda: catches_sigterm(process), "a handler, though nothing is loaded yet", 10, 0.01)
            process.terminate()
            assert process.wait(10) == 128 + signal.SIGTERM
        finally:
            process.kill()
