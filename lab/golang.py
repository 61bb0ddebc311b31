"""The Go programs of the lab, built from modules: Kubernetes, etcd, containerd, runc, CoreDNS, metrics-server, Traefik.

All programs come from one go.mod (lab/gomodule.py), so that a package they share is compiled once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import cache, gomodule, parts
from lab.console import say
from lab.settings import KUBERNETES_VERSION, LabError, Settings

KUBE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "certificates")
# What the programs and the nodes report, and what they call themselves in the audit log.
_KUBE_FLAGS = " ".join(
    f"-X k8s.io/{package}.{name}={value}"
    for package in ("component-base/version", "client-go/pkg/version")
    for name, value in (("gitVersion", f"v{KUBERNETES_VERSION}"), ("gitMajor", "1"), ("gitMinor", KUBERNETES_VERSION.split(".")[1]))
)
_PROGRESS_SECONDS = 15.0
_ORIGINS = ("github.com", "go.etcd.io", "go.opentelemetry.io", "google.golang.org", "k8s.io", "sigs.k8s.io")
# No debugging information: nobody debugs these programs, and it is an eighth of the compilers' work. Nor are functions inlined, which is
# another sixth of it, but in Go's own packages, where that counts when the programs run. The last pattern that fits a package holds.
_COMPILER_FLAGS = (
    "-gcflags=all=-dwarf=false",
    *(f"-gcflags={origin}/...=-dwarf=false -l" for origin in _ORIGINS),
)
_LAST_COMPILED = "metrics-server"
"""When this program is there, hardly any package is left to compile."""


@dataclass(frozen=True)
class Batch:
    """Programs that one `go build` compiles."""

    name: str
    tags: str = ""
    cgo: bool = False


# One build cannot hold packages whose paths differ by case only, and this program's github.com/Sirupsen/logrus is such a one.
_PROVISIONER = Batch("provisioner")
_MOST = Batch("most", tags="no_btrfs,no_devmapper,no_zfs,no_aufs")
# Without seccomp every pod with the RuntimeDefault profile fails, and that needs C.
_WITH_C = Batch("with-c", tags="seccomp", cgo=True)


@dataclass(frozen=True)
class Program:
    """One binary: its name in bin/, its Go package, and the batch it is built in."""

    name: str
    package: str
    batch: Batch = _MOST

    @property
    def go_name(self) -> str:
        """What `go build` calls the binary: the last element of the import path that is not a major version."""
        return next(element for element in reversed(self.package.split("/")) if not re.fullmatch(r"v\d+", element))


_CONTAINERD = "github.com/containerd/containerd/v2/cmd/"
# In the order of building: what others wait for comes first.
PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3"),
    Program("kube", "./kube"),
    Program("containerd", _CONTAINERD + "containerd"),
    Program("ctr", _CONTAINERD + "ctr"),
    Program("containerd-shim-runc-v2", _CONTAINERD + "containerd-shim-runc-v2"),
    Program("coredns", "./dns"),
    Program("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    Program("traefik", "github.com/traefik/traefik/v3/cmd/traefik"),
    Program("runc", "github.com/opencontainers/runc", batch=_WITH_C),
    Program("local-path-provisioner", "github.com/rancher/local-path-provisioner", batch=_PROVISIONER),
)


def program_key(program: Program) -> str:
    """Hash of everything the binary is made from."""
    return cache.digest(gomodule.key(), repr(program), _KUBE_FLAGS)


def is_built(settings: Settings, program: Program) -> bool:
    """True if the binary is there and was built from today's inputs."""
    note = settings.home / "bin-keys" / program.name
    return (settings.bin / program.name).exists() and note.exists() and note.read_text() == program_key(program)


def missing(settings: Settings) -> list[Program]:
    """The programs that are not built from today's inputs."""
    return [program for program in PROGRAMS if not is_built(settings, program)]


class Build:
    """Compiles what is missing, batch after batch, and says so as soon as a binary is there."""

    def __init__(self, settings: Settings, done: Callable[[str], None], wait_for_packages: Callable[[], None]) -> None:
        """`done` is called with a program's name as soon as its binary is in place, `wait_for_packages` before the C compiler is used."""
        self._settings = settings
        self._done = done
        self._wait_for_packages = wait_for_packages
        self._processes: list[subprocess.Popen[str]] = []
        self._cancelled = False
        self._only_links = threading.Event()

    def run(self) -> list[str]:
        """Build; return the names of the programs that were built. Raises LabError with the compiler's words."""
        todo = missing(self._settings)
        if todo:
            for folder in (self._settings.bin, self._settings.home / "bin-keys", self._settings.home / "tmp"):
                folder.mkdir(parents=True, exist_ok=True)
            with parts.part(self._settings, "Go modules"):
                gomodule.download(self._settings, (program.package for program in todo), _MOST.tags)
        batches = {batch: [program for program in todo if program.batch == batch] for batch in (_MOST, _WITH_C, _PROVISIONER)}
        with ThreadPoolExecutor(1) as pool:
            small = pool.submit(self._build_small, {batch: programs for batch, programs in batches.items() if batch != _MOST})
            try:
                self._build(_MOST, batches[_MOST])
            except BaseException:
                self._cancelled = True
                raise
            finally:
                self._only_links.set()
            small.result()
        _link_kube_names(self._settings)
        return [program.name for program in todo]

    def _build_small(self, batches: Mapping[Batch, Sequence[Program]]) -> None:
        """Build the small batches while the linker works, which leaves a core free; before that they would compile the same packages."""
        self._only_links.wait()
        self._wait_for_packages()
        for batch, programs in batches.items():
            self._build(batch, programs)

    def cancel(self) -> None:
        """End the compiler; `run` then raises. What is compiled so far stays in Go's cache."""
        self._cancelled = True
        for process in self._processes:
            process.terminate()

    def _build(self, batch: Batch, programs: Sequence[Program]) -> None:
        if not programs:
            return
        settings = self._settings
        fresh = settings.home / "bin-new" / batch.name
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        module = gomodule.workspace(settings) / "go.mod"
        line = [
            *("nice", "go", "build", "-v", f"-p={os.cpu_count()}", f"-modfile={module}", "-trimpath", "-pgo=off", "-tags", batch.tags),
            *_COMPILER_FLAGS,
            *("-ldflags", f"-s -w {_KUBE_FLAGS}"),
            *("-o", f"{fresh}/", *(program.package for program in programs)),
        ]
        # Binaries are linked there; on the same file system they appear in `fresh` by a rename, whole.
        environment = {
            **gomodule.environment(),
            "CGO_ENABLED": str(int(batch.cgo)),
            "GOTMPDIR": str(settings.home / "tmp"),
            # As many compilers as cores, each with one thread: threads of one compiler that wait for each other cost a fifteenth more.
            "GOMAXPROCS": "1",
        }
        began, waiting = time.time(), {program.go_name: program for program in programs}
        say(f"go build {', '.join(self._with_last_time(program) for program in programs)} ...")
        if self._cancelled:
            raise LabError("the build was stopped")
        process = subprocess.Popen(
            line,
            cwd=gomodule.MODULE,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        output = _Output(process, settings.home / "build-logs" / f"go-{batch.name}.log", line)
        said = time.monotonic()
        running = True
        while running:
            running = output.wait(0.3)
            for name in [name for name in waiting if (fresh / name).exists()]:
                self._install(waiting.pop(name), fresh / name, began)
            if running and waiting and time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                say(f"go build: {output.packages} packages compiled, now {output.last}; next is {next(iter(waiting.values())).name}")
        if code := process.returncode:
            raise LabError(f"`{' '.join(line)[:200]}` failed with code {code}:\n{output.tail()}\n(all of it: {output.log})")

    def _with_last_time(self, program: Program) -> str:
        before = parts.last_seconds(self._settings, f"go build {program.name}")
        return program.name + (f" (last time {parts.duration(before)})" if before is not None else "")

    def _install(self, program: Program, file: Path, began: float) -> None:
        # A running program's file cannot be written, only replaced.
        file.rename(self._settings.bin / program.name)
        (self._settings.home / "bin-keys" / program.name).write_text(program_key(program))
        if program.name == _LAST_COMPILED:
            self._only_links.set()
        if program.name == "kube":
            _link_kube_names(self._settings)
        ended = time.time()
        say(f"go build {program.name}: done {parts.duration(ended - began)} after the start of its build")
        parts.remember(self._settings, f"go build {program.name}", began, ended)
        self._done(program.name)


class _Output:
    """What `go build -v` prints: one line a package, and errors; read by a thread, kept in a log."""

    def __init__(self, process: subprocess.Popen[str], log: Path, line: Sequence[str]) -> None:
        self.log, self.packages, self.last = log, 0, "loading packages"
        self._process = process
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(" ".join(line),), daemon=True)
        self._thread.start()

    def _read(self, line: str) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            log.write(f"$ {line}\n")
            assert self._process.stdout
            for text in self._process.stdout:
                log.write(text)
                self._lines.append(text)
                if " " not in text.strip():
                    self.packages, self.last = self.packages + 1, text.strip()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; False once the process has ended and everything is read."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            return True
        self._process.wait()
        return False

    def tail(self) -> str:
        """The last lines that are no package names."""
        return "".join(line for line in self._lines if " " in line.strip())[-2000:].strip()


def _link_kube_names(settings: Settings) -> None:
    for name in KUBE_NAMES:
        link: Path = settings.bin / name
        if not link.is_symlink():
            link.unlink(missing_ok=True)
            link.symlink_to("kube")
