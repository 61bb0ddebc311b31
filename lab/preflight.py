"""What the lab needs of the machine: says what is missing and the line that mends it; on Debian it installs by itself."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from lab import gomodule
from lab.console import step
from lab.process import run
from lab.settings import LabError

# Program (or file) that proves a package is there, by Debian package.
PACKAGES = {
    "gcc": "gcc",
    "libc6-dev": "/usr/include/stdio.h",
    "pkg-config": "pkg-config",
    "libseccomp-dev": "/usr/include/seccomp.h",
    "iproute2": "ip",
    "iptables": "iptables",
    "nftables": "nft",
    "procps": "sysctl",
    "util-linux": "unshare",
    "socat": "socat",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "buildah": "buildah",
    "uidmap": "newuidmap",
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}


def missing_packages() -> list[str]:
    """Debian packages whose program or file is not on this machine."""
    return [package for package, proof in PACKAGES.items() if not (Path(proof).exists() if proof.startswith("/") else shutil.which(proof))]


def go_is_enough(found: str, wanted: str) -> bool:
    """True if Go version `found` (as in "go version go1.26.8 linux/amd64") is at least `wanted`."""
    match = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", found)
    if not match:
        return False
    return tuple(int(part or 0) for part in match.groups()) >= tuple(int(part) for part in (wanted + ".0.0").split(".")[:3])


def check() -> None:
    """Raise a LabError that says what to do unless this machine can run the lab, Debian packages aside."""
    if platform.system() != "Linux":
        raise LabError(
            "the lab runs Linux containers on this very machine and so needs Linux; elsewhere use a Linux virtual machine, or kind"
        )
    if os.geteuid() != 0:
        raise LabError(
            "the lab makes namespaces, links and mounts and so needs root; run the same command with: sudo --preserve-env=HOME,PATH"
        )
    _check_go()


def install_packages() -> None:
    """Install the Debian packages that are missing. Raises a LabError with the line to type where that is not possible."""
    if missing := missing_packages():
        line = f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(missing)}"
        if not shutil.which("apt-get"):
            raise LabError(
                f"missing on this machine: {', '.join(missing)} (names of the Debian packages; on Debian the mending line is `{line}`)"
            )
        _install(missing, line)


def _check_go() -> None:
    wanted = gomodule.wanted_go()
    mend = f"install Go {wanted} or newer from https://go.dev/dl/ and put it first in PATH: export PATH=/usr/local/go/bin:$PATH"
    if not shutil.which("go"):
        raise LabError(f"Go is missing; {mend}")
    found = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    if not go_is_enough(found, wanted):
        raise LabError(f"Go is too old ({found.strip()}); {mend}")


def _install(packages: list[str], line: str) -> None:
    with step(f"installing Debian packages: {' '.join(packages)}"):
        try:
            run("apt-get", "update", "--quiet")
            run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages, env={"DEBIAN_FRONTEND": "noninteractive"})
        except LabError as error:
            raise LabError(f"{error}\nmend it by hand with: {line}") from error
    if left := missing_packages():
        raise LabError(f"still missing after the installation: {', '.join(left)}")
