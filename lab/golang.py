"""The Go programs of the lab, built from modules: Kubernetes, etcd, containerd, runc, CoreDNS, metrics-server, Traefik.

All programs come from one go.mod, so that a package they share is compiled once. Traefik and its ACME library are compiled from trimmed
copies, without the clients of services that an Ingress never uses: the folders in lab/go/stand-ins take their place (lab/go/README.md
says how, and how versions are raised).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cache, parts
from lab.console import say
from lab.process import run
from lab.settings import KUBERNETES_VERSION, LAB, LabError, Settings

MODULE = LAB / "go/programs"
STAND_INS = LAB / "go/stand-ins"
KUBE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "certificates")
# What the programs and the nodes report, and what they call themselves in the audit log.
_KUBE_FLAGS = " ".join(
    f"-X k8s.io/{package}.{name}={value}"
    for package in ("component-base/version", "client-go/pkg/version")
    for name, value in (("gitVersion", f"v{KUBERNETES_VERSION}"), ("gitMajor", "1"), ("gitMinor", KUBERNETES_VERSION.split(".")[1]))
)
TRIMMED = {"traefik": "github.com/traefik/traefik/v3", "lego": "github.com/go-acme/lego/v4"}
"""Modules that are compiled from a trimmed copy, by the folder of their stand-ins."""
REPLACED = {"go-redis": "github.com/redis/go-redis/v9", "influxdb-client": "github.com/influxdata/influxdb-client-go/v2"}
"""Modules of which nothing is compiled, by the folder that stands in for them."""
_PROGRESS_SECONDS = 15.0


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
    return cache.digest(MODULE, STAND_INS, repr(program), _KUBE_FLAGS, wanted_go())


def wanted_go() -> str:
    """The Go version the module asks for."""
    found = re.search(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise LabError(f"{MODULE / 'go.mod'} names no Go version")
    return found.group(1)


def is_built(settings: Settings, program: Program) -> bool:
    """True if the binary is there and was built from today's inputs."""
    note = settings.home / "bin-keys" / program.name
    return (settings.bin / program.name).exists() and note.exists() and note.read_text() == program_key(program)


def missing(settings: Settings) -> list[Program]:
    """The programs that are not built from today's inputs."""
    return [program for program in PROGRAMS if not is_built(settings, program)]


def trim(module: Path, stand_ins: Path, target: Path) -> None:
    """Copy a module without its tests, with every folder that has Go files in `stand_ins` taken from there instead."""
    shutil.copytree(module, target, ignore=shutil.ignore_patterns("*_test.go", "testdata"), copy_function=shutil.copy)
    run("chmod", "-R", "u+w", target)
    for folder in sorted({file.parent for file in stand_ins.rglob("*.go")}):
        place = target / folder.relative_to(stand_ins)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)


def workspace(settings: Settings) -> Path:
    """The folder with the trimmed modules and a go.mod that points at them; made unless it is there for today's inputs."""
    folder = settings.home / "go-workspace"
    key = cache.digest(MODULE / "go.mod", MODULE / "go.sum", STAND_INS, repr((TRIMMED, REPLACED)), str(folder))
    cache.refresh(folder, key, lambda fresh: _make_workspace(fresh, folder))
    return folder


def _make_workspace(fresh: Path, folder: Path) -> None:
    required = (MODULE / "go.mod").read_text()
    wanted = [f"{path}@{required_version(required, path)}" for path in TRIMMED.values()]
    said = run("go", "mod", "download", "-json", *wanted, cwd=MODULE, env=_environment())
    found = {entry["Path"]: Path(entry["Dir"]) for entry in _json_values(said)}
    for name, path in TRIMMED.items():
        trim(found[path], STAND_INS / name, fresh / name)
    for name in REPLACED:
        shutil.copytree(STAND_INS / name, fresh / name)
    lines = [f"replace {path} => {folder / name}\n" for name, path in {**TRIMMED, **REPLACED}.items()]
    (fresh / "go.mod").write_text(required + "".join(lines))
    shutil.copy(MODULE / "go.sum", fresh / "go.sum")


def _download(folder: Path, programs: Iterable[Program]) -> None:
    """Fetch the modules of the programs; the compiler then never waits for the network."""
    # Go opens as many connections as it may use cores. -e: `go list` takes no offence at paths that differ by case only.
    environment = {**_environment(), "GOMAXPROCS": "16"}
    packages = [program.package for program in programs]
    run("go", "list", "-e", "-deps", f"-modfile={folder / 'go.mod'}", "-tags", _MOST.tags, *packages, cwd=MODULE, env=environment)


def tidy(settings: Settings) -> None:
    """After a change of versions: bring programs/go.mod and go.sum to what the programs need without what is left out of them."""
    folder = workspace(settings)
    run("go", "mod", "tidy", f"-modfile={folder / 'go.mod'}", cwd=MODULE, env=_environment())
    lines = (folder / "go.mod").read_text().splitlines(keepends=True)
    (MODULE / "go.mod").write_text("".join(line for line in lines if f"=> {folder}/" not in line).rstrip() + "\n")
    # The modules that are copied must be verified too, and `tidy` forgets those that are replaced.
    kept = [line for line in (MODULE / "go.sum").read_text().splitlines() if line.startswith(tuple(TRIMMED.values()))]
    sums = sorted({*(folder / "go.sum").read_text().splitlines(), *kept})
    (MODULE / "go.sum").write_text("\n".join([*sums, ""]))


def required_version(required: str, path: str) -> str:
    """The version of a module that the text of a go.mod requires. Raises LabError if it requires none."""
    found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", required, re.MULTILINE)
    if not found:
        raise LabError(f"{MODULE / 'go.mod'} does not require {path}")
    return found.group(1)


def _json_values(text: str) -> Iterable[dict[str, str]]:
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].lstrip()


def _environment() -> dict[str, str]:
    return {
        # The toolchain on the machine is checked beforehand; it must not fetch another one by itself.
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -modcacherw",
        # Compilers live for seconds: collecting their garbage less often saves a tenth of the time.
        "GOGC": os.environ.get("GOGC", "400"),
    }


class Build:
    """Compiles what is missing, batch after batch, and says so as soon as a binary is there."""

    def __init__(self, settings: Settings, done: Callable[[str], None] = lambda name: None) -> None:
        """`done` is called with a program's name as soon as its binary is in place."""
        self._settings = settings
        self._done = done
        self._process: subprocess.Popen[str] | None = None
        self._cancelled = False

    def run(self) -> list[str]:
        """Build; return the names of the programs that were built. Raises LabError with the compiler's words."""
        todo = missing(self._settings)
        if todo:
            for folder in (self._settings.bin, self._settings.home / "bin-keys", self._settings.home / "tmp"):
                folder.mkdir(parents=True, exist_ok=True)
            with parts.part(self._settings, "Go modules"):
                _download(workspace(self._settings), todo)
        for batch in (_MOST, _WITH_C, _PROVISIONER):
            if programs := [program for program in todo if program.batch == batch]:
                self._build(batch, programs)
        _link_kube_names(self._settings)
        return [program.name for program in todo]

    def cancel(self) -> None:
        """End the compiler; `run` then raises. What is compiled so far stays in Go's cache."""
        self._cancelled = True
        if self._process:
            self._process.terminate()

    def _build(self, batch: Batch, programs: Sequence[Program]) -> None:
        settings = self._settings
        fresh = settings.home / "bin-new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        line = [
            *("nice", "go", "build", "-v", f"-modfile={workspace(settings) / 'go.mod'}", "-trimpath", "-pgo=off", "-tags", batch.tags),
            # No debugging information: nobody debugs these programs, and it is an eighth of the compilers' work.
            *("-gcflags=all=-dwarf=false", "-ldflags", f"-s -w {_KUBE_FLAGS}"),
            *("-o", f"{fresh}/", *(program.package for program in programs)),
        ]
        # Binaries are linked there; on the same file system they appear in `fresh` by a rename, whole.
        environment = {**_environment(), "CGO_ENABLED": str(int(batch.cgo)), "GOTMPDIR": str(settings.home / "tmp")}
        began, waiting = time.time(), {program.go_name: program for program in programs}
        say(f"go build {', '.join(self._with_last_time(program) for program in programs)} ...")
        if self._cancelled:
            raise LabError("the build was stopped")
        self._process = subprocess.Popen(
            line,
            cwd=MODULE,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = _Output(self._process, settings.home / "build-logs" / f"go-{batch.name.replace(' ', '-')}.log", line)
        said = time.monotonic()
        running = True
        while running:
            running = output.wait(0.3)
            for name in [name for name in waiting if (fresh / name).exists()]:
                self._install(waiting.pop(name), fresh / name, began)
            if running and time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                say(
                    f"go build: {output.packages} packages compiled, now {output.last}; next is {next(iter(waiting.values())).name}"
                    if waiting
                    else ""
                )
        if self._process.returncode or waiting:
            raise LabError(
                f"`{' '.join(line)[:200]}` failed with code {self._process.returncode}:\n{output.tail()}\n(all of it: {output.log})"
            )

    def _with_last_time(self, program: Program) -> str:
        before = parts.last_seconds(self._settings, f"go build {program.name}")
        return program.name + (f" (last time {parts.duration(before)})" if before is not None else "")

    def _install(self, program: Program, file: Path, began: float) -> None:
        # A running program's file cannot be written, only replaced.
        file.rename(self._settings.bin / program.name)
        (self._settings.home / "bin-keys" / program.name).write_text(program_key(program))
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


if __name__ == "__main__":
    if sys.argv[1:] != ["tidy"]:
        sys.exit("usage: python -m lab.golang tidy   (after a change of versions in lab/go/programs/go.mod)")
    tidy(Settings.from_environment())
