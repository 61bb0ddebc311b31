"""The Go module of the lab's programs: fetched, trimmed of what an Ingress never uses, and tidied after a change of versions.

Traefik and its ACME library are compiled from trimmed copies, without the clients of services that an Ingress never uses: the folders in
lab/go/stand-ins take their place (lab/go/README.md says how, and how versions are raised).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from lab import cache
from lab.process import run
from lab.settings import LAB, LabError, Settings

MODULE = LAB / "go/programs"
STAND_INS = LAB / "go/stand-ins"
TRIMMED = {"traefik": "github.com/traefik/traefik/v3", "lego": "github.com/go-acme/lego/v4"}
"""Modules that are compiled from a trimmed copy, by the folder of their stand-ins."""
REPLACED = {
    "brotli": "github.com/andybalholm/brotli",
    "go-redis": "github.com/redis/go-redis/v9",
    "influxdb-client": "github.com/influxdata/influxdb-client-go/v2",
}
"""Modules of which nothing is compiled, by the folder that stands in for them."""


def wanted_go() -> str:
    """The Go version the module asks for."""
    found = re.search(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise LabError(f"{MODULE / 'go.mod'} names no Go version")
    return found.group(1)


def key() -> str:
    """Hash of everything that programs are compiled from."""
    return cache.digest(MODULE, STAND_INS, repr((TRIMMED, REPLACED)), wanted_go())


def environment() -> dict[str, str]:
    """Variables for every call of `go`."""
    return {
        # The toolchain on the machine is checked beforehand; it must not fetch another one by itself.
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -modcacherw",
        # Compilers live for seconds: collecting their garbage less often saves a tenth of the time.
        "GOGC": os.environ.get("GOGC", "400"),
    }


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
    said = run("go", "mod", "download", "-json", *wanted, cwd=MODULE, env=environment())
    found = {entry["Path"]: Path(entry["Dir"]) for entry in _json_values(said)}
    for name, path in TRIMMED.items():
        trim(found[path], STAND_INS / name, fresh / name)
    for name in REPLACED:
        shutil.copytree(STAND_INS / name, fresh / name)
    lines = [f"replace {path} => {folder / name}\n" for name, path in {**TRIMMED, **REPLACED}.items()]
    (fresh / "go.mod").write_text(required + "".join(lines))
    shutil.copy(MODULE / "go.sum", fresh / "go.sum")


def download(settings: Settings, packages: Iterable[str], tags: str) -> None:
    """Fetch the modules of these packages; the compiler then never waits for the network."""
    # Go opens as many connections as it may use cores. -e: `go list` takes no offence at paths that differ by case only.
    many = {**environment(), "GOMAXPROCS": "16"}
    run("go", "list", "-e", "-deps", f"-modfile={workspace(settings) / 'go.mod'}", "-tags", tags, *packages, cwd=MODULE, env=many)


def tidy(settings: Settings) -> None:
    """After a change of versions: bring programs/go.mod and go.sum to what the programs need without what is left out of them."""
    folder = workspace(settings)
    run("go", "mod", "tidy", f"-modfile={folder / 'go.mod'}", cwd=MODULE, env=environment())
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


if __name__ == "__main__":
    if sys.argv[1:] != ["tidy"]:
        sys.exit("usage: python -m lab.gomodule tidy   (after a change of versions in lab/go/programs/go.mod)")
    tidy(Settings.from_environment())
