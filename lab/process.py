"""Run commands, and start, find and end the lab's long-lived processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.settings import LabError


def run(
    *command: str | Path, env: Mapping[str, str] | None = None, stdin: str | None = None, cwd: Path | None = None, log: Path | None = None
) -> str:
    """Run a command to its end and return its output; a failure becomes a LabError with the last lines it wrote.

    With `log` everything it prints goes into that file as well.
    """
    line = [str(part) for part in command]
    done = subprocess.run(
        line,
        env={**os.environ, **(env or {})},
        input=stdin,
        cwd=cwd,
        text=True,
        capture_output=True,
        check=False,
    )
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as out:
            out.write(f"$ {' '.join(line)}\n{done.stdout}{done.stderr}")
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise LabError(f"`{' '.join(line)[:300]}` failed with code {done.returncode}:\n{tail}" + (f"\n(all of it: {log})" if log else ""))
    return done.stdout


def wait_for(what: str, condition: Callable[[], bool], seconds: float, interval: float = 0.1) -> None:
    """Wait until `condition` holds; after `seconds` a LabError says what did not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(interval)


@dataclass(frozen=True)
class Record:
    """A process as it was started; the start time tells it from a later one with the same pid."""

    pid: int
    started: str
    command: list[str]


def start(
    name: str, command: Sequence[str | Path], folder: Path, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Record:
    """Start a process that outlives the terminal and this program, and record it as `folder/name.json`."""
    line = [str(part) for part in command]
    folder.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    # Between the start and the record no Ctrl-C may come: the process would be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with log.open("a") as out:
            child = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_default_signals,
            )
        record = Record(child.pid, _start_time(child.pid), line)
        (folder / f"{name}.json").write_text(json.dumps(asdict(record), indent=1))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return record


def _default_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def recorded(folder: Path, name: str) -> Record | None:
    """The recorded process of that name if it is still that very process, else None."""
    try:
        record = Record(**json.loads((folder / f"{name}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if is_alive(record) else None


def is_alive(record: Record) -> bool:
    """True if the pid still belongs to the recorded process: same start time, same command line, no zombie."""
    try:
        command = Path(f"/proc/{record.pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
        # A script's interpreter is put before the command.
        return _start_time(record.pid) == record.started and command[-len(record.command) :] == record.command
    except OSError:
        return False


def end(folder: Path, name: str, seconds: float = 10) -> bool:
    """SIGKILL the recorded process, wait until it is gone, drop the record; True if it was running."""
    record = recorded(folder, name)
    if record:
        with suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGKILL)
        wait_for(f"end of {name} (pid {record.pid})", lambda: not is_alive(record), seconds, 0.02)
        with suppress(ChildProcessError):
            os.waitpid(record.pid, os.WNOHANG)
    (folder / f"{name}.json").unlink(missing_ok=True)
    return record is not None


def child_of(pid: int) -> int | None:
    """The first child of a process: under `unshare --fork` that is PID 1 of the new namespaces."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def _start_time(pid: int) -> str:
    # Fields after the command name, which may itself hold spaces and parentheses; field 22 is the start time.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
