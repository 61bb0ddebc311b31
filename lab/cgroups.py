"""The lab's own branch of the machine's control groups, version 1 and 2."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from lab.settings import CGROUP, LabError, Node

ROOT = Path("/sys/fs/cgroup")
_SECONDS_TO_DIE = 20


def is_unified() -> bool:
    """True with cgroup v2 only."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The mounted hierarchies: one with v2, one a controller with v1."""
    if is_unified():
        return [ROOT]
    return sorted({path.resolve() for path in ROOT.iterdir() if path.is_dir() and (path / "cgroup.procs").exists()})


def create(node: Node) -> None:
    """Make a node's group in every hierarchy, with what a child does not inherit by itself."""
    for hierarchy in hierarchies():
        path = hierarchy
        for part in (CGROUP, node.name):
            if is_unified():
                wanted = (path / "cgroup.controllers").read_text().split()
                (path / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
            path = path / part
            path.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                file = path / name
                # Version 1 starts a group with an empty set, in which nothing can run.
                if not is_unified() and file.exists() and not file.read_text().strip():
                    file.write_text((path.parent / name).read_text())


def branches() -> list[Path]:
    """The lab's branch in every hierarchy where it exists."""
    return [hierarchy / CGROUP for hierarchy in hierarchies() if (hierarchy / CGROUP).is_dir()]


def remove(node: Node | None = None) -> None:
    """Remove the branch of a node, or the lab's, after the last process in it is gone.

    Left-over pod groups slow the next kubelet down: it looks at each for seconds.
    """
    end = time.monotonic() + _SECONDS_TO_DIE
    for branch in branches():
        top = branch / node.name if node else branch
        while top.is_dir():
            for folder in sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)):
                with suppress(OSError):
                    folder.rmdir()
            with suppress(OSError):
                top.rmdir()
                break
            if time.monotonic() > end:
                raise LabError(f"processes are left in {top}: {processes(top)}")
            time.sleep(0.05)


def processes(top: Path) -> list[int]:
    """Pids in a branch."""
    pids: set[int] = set()
    for file in [top / "cgroup.procs", *top.rglob("cgroup.procs")]:
        with suppress(OSError):
            pids.update(int(pid) for pid in file.read_text().split())
    return sorted(pids)
