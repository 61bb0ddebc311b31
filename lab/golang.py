"""The Go programs of the lab, built from modules: Kubernetes, etcd, containerd, runc, CoreDNS, metrics-server, Traefik."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab import cache
from lab.console import step
from lab.process import run
from lab.settings import KUBERNETES_VERSION, LAB, LabError, Settings

KUBE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubeadm", "kubectl")
# What the programs and the nodes report, and what they call themselves in the audit log.
_KUBE_FLAGS = " ".join(
    f"-X k8s.io/{package}.{name}={value}"
    for package in ("component-base/version", "client-go/pkg/version")
    for name, value in (("gitVersion", f"v{KUBERNETES_VERSION}"), ("gitMajor", "1"), ("gitMinor", KUBERNETES_VERSION.split(".")[1]))
)


@dataclass(frozen=True)
class Program:
    """One binary: its name in bin/, its Go package, and how it is built."""

    name: str
    package: str
    module: str = "kubernetes"
    tags: str = ""
    link_flags: str = ""
    cgo: bool = False


_CONTAINERD = "github.com/containerd/containerd/v2/cmd/"
_CONTAINERD_TAGS = "no_btrfs,no_devmapper,no_zfs,no_aufs"
# In the order of building: what others wait for comes first.
PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3"),
    Program("kube", "./kube", link_flags=_KUBE_FLAGS),
    Program("coredns", "./dns"),
    Program("containerd", _CONTAINERD + "containerd", tags=_CONTAINERD_TAGS),
    Program("containerd-shim-runc-v2", _CONTAINERD + "containerd-shim-runc-v2", tags=_CONTAINERD_TAGS),
    Program("ctr", _CONTAINERD + "ctr", tags=_CONTAINERD_TAGS),
    # Without seccomp every pod with the RuntimeDefault profile fails, and that needs C.
    Program("runc", "github.com/opencontainers/runc", tags="seccomp", cgo=True),
    Program("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    Program("local-path-provisioner", "github.com/rancher/local-path-provisioner"),
    Program("traefik", "github.com/traefik/traefik/v3/cmd/traefik", module="traefik"),
)


def program_key(program: Program) -> str:
    """Hash of everything the binary is made from."""
    return cache.digest(LAB / "go" / program.module, repr(program), wanted_go())


def wanted_go() -> str:
    """The Go version the modules ask for."""
    found = re.search(r"^go (\S+)$", (LAB / "go/kubernetes/go.mod").read_text(), re.MULTILINE)
    if not found:
        raise LabError("lab/go/kubernetes/go.mod names no Go version")
    return found.group(1)


def _is_built(settings: Settings, program: Program) -> bool:
    note = settings.home / "bin-keys" / program.name
    return (settings.bin / program.name).exists() and note.exists() and note.read_text() == program_key(program)


def missing(settings: Settings) -> list[Program]:
    """The programs that are not built from today's inputs."""
    return [program for program in PROGRAMS if not _is_built(settings, program)]


def download() -> None:
    """Fetch the modules of both go.mod files; the compiler then never waits for the network."""
    for module in ("kubernetes", "traefik"):
        run("go", "mod", "download", cwd=LAB / "go" / module, env=_environment())


def build(settings: Settings) -> list[str]:
    """Build what is missing, one program after another, each shown as a step; return their names."""
    todo = missing(settings)
    for number, program in enumerate(todo, 1):
        with step(f"go build {program.name} ({number} of {len(todo)})"):
            _build(settings, program)
    _link_kube_names(settings)
    return [program.name for program in todo]


def _environment() -> dict[str, str]:
    # The toolchain on the machine is checked beforehand; it must not fetch another one by itself.
    return {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}


def _build(settings: Settings, program: Program) -> None:
    settings.bin.mkdir(parents=True, exist_ok=True)
    (settings.home / "bin-keys").mkdir(exist_ok=True)
    # A running program's file cannot be written, only replaced.
    fresh = settings.bin / f".{program.name}.new"
    run(
        *("nice", "go", "build", "-p", str(os.cpu_count() or 2), "-trimpath", "-tags", program.tags),
        *("-ldflags", f"-s -w {program.link_flags}".strip(), "-o", fresh, program.package),
        cwd=LAB / "go" / program.module,
        env={**_environment(), "CGO_ENABLED": "1" if program.cgo else "0"},
        log=settings.home / "build-logs" / f"go-{program.name}.log",
    )
    fresh.rename(settings.bin / program.name)
    (settings.home / "bin-keys" / program.name).write_text(program_key(program))


def _link_kube_names(settings: Settings) -> None:
    for name in KUBE_NAMES:
        link: Path = settings.bin / name
        if not link.is_symlink():
            link.unlink(missing_ok=True)
            link.symlink_to("kube")
