"""First process of a service's namespaces: mounts its file system read-only, drops to uid 999 and becomes the entry script.

Called by lab.services as `python -m lab.services.container PLAN`, PLAN being JSON; mount and PID namespace are its own already.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

UID = GID = 999
PR_SET_PDEATHSIG = 1


def enter(plan: dict[str, Any]) -> None:
    """Replace this process by the plan's command inside the plan's root."""
    environment, command = plan["environment"], plan["command"]
    _mount("--make-rprivate", "/")
    # On itself: a mount of its own that can be made read-only, and the host needs no further folder.
    place = plan["root"]
    _mount("--bind", place, place)
    for target, source in plan["mounts"].items():
        Path(place + target).mkdir(parents=True, exist_ok=True)  # as a container runtime does
        _mount("--bind", source, place + target)
    for target in plan["writable"]:
        _mount("-t", "tmpfs", "-o", f"mode=1777,uid={UID},gid={GID}", "tmpfs", place + target)
    _mount("-t", "proc", "proc", f"{place}/proc")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", f"{place}/dev")
    devices = Path(place) / "dev"
    for device in ("null", "zero", "full", "random", "urandom", "tty"):
        (devices / device).touch()
        _mount("--bind", f"/dev/{device}", f"{devices / device}")
    (devices / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (devices / name).symlink_to(f"/proc/self/fd/{number}")
    (devices / "shm").mkdir()
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{devices / 'shm'}")
    _mount("-o", "remount,bind,ro", place)
    libc = ctypes.CDLL(None, use_errno=True)
    os.chroot(place)
    os.chdir("/")
    os.setgroups([GID])
    os.setgid(GID)
    os.setuid(UID)
    # The change of user cleared what `unshare --kill-child` had set.
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    # What this process ignores the next one would ignore too: SIGPIPE as every Python, SIGINT where tests run in the background of a shell.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    path = shutil.which(command[0], path=environment["PATH"])
    os.execve(path or command[0], command, environment)  # noqa: S606 - that is its task


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    enter(json.loads(sys.argv[1]))
