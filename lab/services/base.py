"""What every service can do: start, stop, die, freeze, come back."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from lab import images
from lab.process import child_of
from lab.services.spawner import spawn
from lab.settings import REPOSITORY, LabError, Settings

START_SECONDS = 120.0


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """One server process tree: started from an image's root, waited for, killed, frozen, restarted."""

    image: ClassVar[str]
    volume: ClassVar[str]
    writable: ClassVar[Sequence[str]] = ()
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    default_command: ClassVar[Sequence[str]]

    def __init__(self, data_dir: Path | str | None = None, log_file: Path | str | None = None) -> None:
        """Without `data_dir` and `log_file` both lie in a temporary folder, which `close` deletes."""
        self._own_folder = Path(tempfile.mkdtemp(prefix=f"fiblab-{self.image}-"))
        self.data_dir = Path(data_dir) if data_dir else self._own_folder / "data"
        self.log_file = Path(log_file) if log_file else self._own_folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    # What a kind of server decides.

    def environment(self) -> dict[str, str]:
        """Variables of the container."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Arguments of the entry script."""
        return list(self.default_command)

    def entry_command(self) -> list[str]:
        """What the container runs: the image's entry script with the arguments."""
        return ["docker-entrypoint.sh", *self.command()]

    def accepts(self) -> bool:
        """True once clients can work."""
        raise NotImplementedError

    def mounts(self) -> dict[str, str]:
        """Further folders of the host, by their place in the container."""
        return {}

    # Life.

    def start(self, seconds: float = START_SECONDS) -> Self:
        """Start the server and return when it accepts clients; a LabError with the end of its log if it does not within `seconds`."""
        self.launch()
        self.wait_ready(seconds)
        return self

    def launch(self) -> None:
        """Start the server without waiting for it."""
        if self.running:
            raise LabError(f"this {self.image} is running already")
        settings = Settings.from_environment()
        images.ensure(settings, [self.image])
        self.data_dir.mkdir(parents=True, exist_ok=True)
        os.chown(self.data_dir, 999, 999)
        plan = {
            "root": str(images.root(settings, self.image)),
            "mounts": {self.volume: str(self.data_dir), **self.mounts()},
            "writable": list(self.writable),
            "environment": self.environment(),
            "command": self.entry_command(),
        }
        line = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        line += [sys.executable, "-m", "lab.services.container", json.dumps(plan)]
        with self.log_file.open("ab") as log:
            self._process = spawn(
                lambda: subprocess.Popen(line, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            )

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Return when the server accepts clients."""
        end = time.monotonic() + seconds
        while not self.accepts():
            if not self.running:
                raise LabError(f"{self.image} ended while it started; the end of its log:\n{self.log_tail()}")
            if time.monotonic() > end:
                raise LabError(f"{self.image} does not accept clients after {seconds:.0f} s; the end of its log:\n{self.log_tail()}")
            time.sleep(0.05)

    @property
    def running(self) -> bool:
        """True while the server's processes are there (frozen ones too)."""
        return self._process is not None and self._process.poll() is None

    def stop(self, seconds: float = 60) -> None:
        """End the server in good order, by the signal its image names; SIGKILL after `seconds`."""
        if self._process is None or not self.running:
            return
        self.thaw()
        if first := child_of(self._process.pid):
            os.kill(first, self.stop_signal)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the whole process tree, as a crash of the node would, and return when it is gone."""
        if self._process is None or not self.running:
            return
        # When the namespace's first process dies the kernel kills the others; unshare returns after that.
        if first := child_of(self._process.pid):
            os.kill(first, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def restart(self, seconds: float = START_SECONDS) -> None:
        """Stop in good order and start again on the same data."""
        self.stop()
        self.start(seconds)

    def freeze(self) -> None:
        """SIGSTOP the whole tree: connections stay open, nothing answers. Returns when every process stands still."""
        while moving := [pid for pid, state in self._tree().items() if state not in "TtZX"]:
            for pid in moving:
                _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT the whole tree."""
        for pid in self._tree():
            _signal(pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Delete the data of a stopped server, as a lost volume would."""
        if self.running:
            raise LabError("stop or kill the server before its data is deleted")
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def execute(self, *command: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in the running container, as an exec probe does; its output and status are in the result."""
        first = child_of(self._process.pid) if self._process else None
        if first is None:
            return subprocess.CompletedProcess(command, 1, "", f"this {self.image} is not running\n")
        line = [
            "nsenter",
            "--target",
            str(first),
            "--mount",
            "--pid",
            "--ipc",
            "--root",
            "--wdns=/",
            "--setuid=999",
            "--setgid=999",
            *command,
        ]
        return subprocess.run(line, env=self.environment(), capture_output=True, text=True, timeout=seconds, check=False)

    def close(self) -> None:
        """Kill the server and delete what lies in the temporary folder."""
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self._own_folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def log_tail(self, lines: int = 25) -> str:
        """The last lines the server printed."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def _tree(self) -> dict[int, str]:
        """Pid and state letter of every process in the server's PID namespace."""
        first = child_of(self._process.pid) if self._process else None
        if first is None:
            return {}
        space = _pid_namespace(first)
        found: dict[int, str] = {}
        if space is None:
            return found
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _pid_namespace(int(entry.name)) == space:
                try:
                    found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
        return found


def _pid_namespace(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
