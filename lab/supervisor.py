"""First process of the control plane's and of each node's namespaces: sets them up, then keeps their programs running.

Called as `python -m lab.supervisor PLAN.json`. A plan is data: `hostname`, `setup` (commands, in order), `wait_link` (an interface that
must have its address before anything starts) and `programs`. A program that ends is started again, so few things have to wait for others;
one with `after` starts when that file appears.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESTART_SECONDS = 0.3
LONGEST_RESTART_SECONDS = 10.0
_LOOK_SECONDS = 0.05


class Program:
    """One supervised program, with the growing pause before its next start."""

    def __init__(self, entry: dict[str, Any]) -> None:
        """`entry` has name, command, environment and log."""
        self.entry = entry
        self.pause = RESTART_SECONDS
        self.due = 0.0
        self.pid: int | None = None
        self.started = 0.0

    def may_start(self) -> bool:
        """True unless it waits for a file that is not there yet."""
        after = self.entry.get("after")
        return after is None or Path(after).exists()

    def start(self) -> None:
        """Start it now."""
        with Path(self.entry["log"]).open("ab") as log:
            child = subprocess.Popen(
                self.entry["command"],
                env={**os.environ, **self.entry["environment"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid, self.started = child.pid, time.monotonic()
        # The loop below reaps every child itself; Popen must not report this one as lost.
        child.returncode = 0

    def ended(self, status: int) -> None:
        """Plan the next start: soon, and later each time it does not stay up."""
        lived = time.monotonic() - self.started
        self.pause = RESTART_SECONDS if lived > 2 * LONGEST_RESTART_SECONDS else min(self.pause * 1.5, LONGEST_RESTART_SECONDS)
        self.pid, self.due = None, time.monotonic() + self.pause
        with Path(self.entry["log"]).open("a") as log:
            log.write(f"--- {self.entry['name']} ended with status {status} after {lived:.1f} s; again in {self.pause:.1f} s\n")


def supervise(plan: dict[str, Any]) -> None:
    """Carry out a plan; never returns."""
    subprocess.run(["hostname", plan["hostname"]], check=True)
    for command in plan["setup"]:
        subprocess.run(command, check=True)
    while not _has_address(plan["wait_link"]):
        time.sleep(0.02)
    programs = [Program(entry) for entry in plan["programs"]]
    while True:
        now = time.monotonic()
        for program in programs:
            if program.pid is None and program.due <= now and program.may_start():
                program.start()
        pending = [max(program.due - now, _LOOK_SECONDS) for program in programs if program.pid is None]
        _reap(programs, min(pending) if pending else None)


def _reap(programs: list[Program], seconds: float | None) -> None:
    info = None
    if seconds is None:
        info = os.waitid(os.P_ALL, 0, os.WEXITED)
    else:
        end = time.monotonic() + seconds
        while info is None and time.monotonic() < end:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
            if info is None:
                time.sleep(0.05)
    for program in programs:
        if info and program.pid == info.si_pid:
            program.ended(info.si_status)


def _has_address(link: str) -> bool:
    shown = subprocess.run(["ip", "-4", "-oneline", "address", "show", "dev", link], capture_output=True, text=True, check=False)
    return " inet " in shown.stdout


if __name__ == "__main__":
    supervise(json.loads(Path(sys.argv[1]).read_text()))
