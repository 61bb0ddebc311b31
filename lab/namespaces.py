"""Namespace sets with a supervisor as their first process: the control plane's and one per node."""

from __future__ import annotations

import sys
from pathlib import Path

from lab import process
from lab.settings import REPOSITORY, LabError, Settings

_OWN_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc")


def _folder(settings: Settings) -> Path:
    return settings.run / "processes"


def launch(settings: Settings, name: str, plan: Path) -> None:
    """Start the supervisor of `plan` in namespaces of its own; it outlives this program."""
    command: list[str | Path] = [
        "unshare",
        *_OWN_NAMESPACES,
        "--fork",
        "--kill-child",
        "--mount-proc",
        sys.executable,
        "-m",
        "lab.supervisor",
        plan,
    ]
    process.start(name, command, _folder(settings), settings.logs / f"{name}.log", cwd=REPOSITORY)
    process.wait_for(f"the namespaces of {name}", lambda: _first_process(settings, name) is not None, 10, 0.01)


def is_running(settings: Settings, name: str) -> bool:
    """True if the namespaces' first process is there."""
    return process.recorded(_folder(settings), name) is not None


def inner_pid(settings: Settings, name: str) -> int:
    """The host's pid of the first process inside: the handle by which `nsenter` gets in."""
    if pid := _first_process(settings, name):
        return pid
    raise LabError(f"{name} is not running")


def enter(settings: Settings, name: str, *command: str | Path) -> str:
    """Run a command with the network and the files of `name` and return its output."""
    return process.run("nsenter", "--target", str(inner_pid(settings, name)), "--mount", "--net", "--uts", *command)


def kill(settings: Settings, name: str) -> bool:
    """SIGKILL everything inside; True if it was running."""
    return process.end(_folder(settings), name)


def _first_process(settings: Settings, name: str) -> int | None:
    record = process.recorded(_folder(settings), name)
    # Until `unshare` has made the namespaces its command line is the recorded one and it has no child.
    return process.child_of(record.pid) if record else None
