"""Container images without a registry: stand-ins from Debian packages, system images from one binary, the project's by buildah.

An image of the lab is a folder in lab/images: `image.toml` says its name, where its content comes from (Debian packages, a Go binary,
a C file), which files are added and how it is configured; `setup.sh` runs inside the Debian root once the packages are installed.
"""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import archive as archives
from lab import cache, parts
from lab.console import say
from lab.process import run
from lab.settings import LAB, REPOSITORY, LabError, Settings

STAND_INS = ("rabbitmq", "postgres", "python")
SYSTEM = ("pause", "coredns", "traefik")
PROJECT = ("operator", "app")
MIRROR = "http://deb.debian.org/debian"
PYTHON_IMAGE = "docker.io/library/python:3.13-slim"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_SETTINGS = (
    "index_url",
    "extra_index_url",
    "trusted_host",
    "no_index",
    "find_links",
    "cert",
    "client_cert",
    "proxy",
    "default_timeout",
    "retries",
)

# What the project's images are made from, by target of the Dockerfile; tests, docs and the lab itself are not in them.
PROJECT_INPUTS = {
    target: ("Dockerfile", ".dockerignore", "pyproject.toml", "constraints.txt", *sources)
    for target, sources in {"operator": ("crds", "operator"), "app": ("app", "worker")}.items()
}


@dataclass(frozen=True)
class Image:
    """One image: its folder name, its full name, and the parsed image.toml."""

    key: str
    name: str
    recipe: dict[str, Any]


def load(key: str) -> Image:
    """Read lab/images/KEY/image.toml."""
    recipe = tomllib.loads((LAB / "images" / key / "image.toml").read_text())
    return Image(key, recipe["name"], recipe)


def archive(settings: Settings, key: str) -> Path:
    """Where the image's archive lies once it is built."""
    return settings.images / key / "image.tar"


def root(settings: Settings, key: str) -> Path:
    """The unpacked root file system of a built stand-in (for lab.services)."""
    folder = settings.home / "unpacked" / key
    with cache.locked(settings.home / "locks" / f"unpack-{key}"):
        cache.refresh(folder, (settings.images / key / cache.KEY).read_text(), lambda target: _unpack(settings, key, target))
    return folder


def _unpack(settings: Settings, key: str, target: Path) -> None:
    archives.unpack(archive(settings, key), target)
    # A container runtime makes this folder and this file; who uses the root without one needs them too.
    (target / "dev").mkdir(exist_ok=True)
    (target / "etc/hosts").write_text("127.0.0.1 localhost\n")


def check_version(status: str, package: str, wanted: str) -> str:
    """The version of `package` in a dpkg status file; a LabError unless it is `wanted` or begins with `wanted` and a dot.

    An epoch and the Debian revision do not count: "1:18.6-1" is 18.6.
    """
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Package") == package:
            version = fields.get("Version", "").rpartition(":")[2]
            upstream = version.split("-")[0].split("+")[0]
            if upstream == wanted or upstream.startswith(wanted + "."):
                return upstream
            raise LabError(f"Debian now has {package} {version}, but the image's tag promises {wanted}: choose another suite in image.toml")
    raise LabError(f"the package {package} is not in the image's root file system")


class Buildah:
    """buildah with a storage of its own under FIBLAB_HOME, so that nothing of it is in the host's."""

    def __init__(self, settings: Settings) -> None:
        """`settings` gives the place of the storage."""
        self.settings = settings
        self.base = ("buildah", "--root", settings.home / "buildah", "--runroot", settings.home / "buildah-run")

    def __call__(self, *arguments: str | Path, log: Path | None = None) -> str:
        """Run one buildah command and return its output."""
        # chroot isolation needs no container runtime; Debian's are too old for some kernels.
        return run(*self.base, *arguments, env={"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self._scratch())}, log=log)

    def _scratch(self) -> Path:
        folder = self.settings.home / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load(self, name: str, archive: Path, log: Path) -> None:
        """Put an archive's image into the storage under its `name`, unless this very archive is there."""
        note = self.settings.home / "buildah-loaded" / cache.digest(name)
        wanted = (archive.parent / cache.KEY).read_text()
        if note.exists() and note.read_text() == wanted:
            return
        self("pull", "--quiet", f"docker-archive:{archive}:{name}", log=log)
        note.parent.mkdir(exist_ok=True)
        note.write_text(wanted)

    def build(self, name: str, context: Path, *arguments: str | Path, log: Path) -> None:
        """Build `context` into the local storage under `name`."""
        self("build", "--pull-never", "--format", "docker", "--tag", name, *arguments, context, log=log)

    def save(self, name: str, target: Path) -> None:
        """Write an image as an archive that `ctr images import` and `docker load` read."""
        target.unlink(missing_ok=True)
        self("push", "--quiet", name, f"docker-archive:{target}:{name}")


def binaries(key: str) -> list[str]:
    """The Go programs (names in bin/) that an image is made from."""
    binary = load(key).recipe.get("binary")
    return [binary] if binary else []


def recipe_key(settings: Settings, key: str) -> str:
    """Hash of everything the image is made from."""
    return cache.digest(LAB / "images" / key, *(settings.bin / binary for binary in binaries(key)))


def ensure(settings: Settings, keys: Iterable[str]) -> list[str]:
    """Build the stand-in and system images of `keys` that are missing or stale; return those that were built."""
    built = []
    for key in keys:
        if cache.is_fresh(settings.images / key, recipe_key(settings, key)):
            continue
        with cache.locked(settings.home / "locks" / f"image-{key}", lambda key=key: say(f"waiting: someone else builds the image {key}")):  # type: ignore[misc]
            wanted = recipe_key(settings, key)
            if not cache.is_fresh(settings.images / key, wanted):
                image = load(key)
                with parts.part(settings, f"image {image.name}"):
                    cache.refresh(settings.images / key, wanted, lambda folder, image=image: _build(settings, image, folder))  # type: ignore[misc]
                built.append(key)
    return built


def _build(settings: Settings, image: Image, folder: Path) -> None:
    log = settings.home / "build-logs" / f"image-{image.key}.log"
    source, layers = LAB / "images" / image.key, []
    if debian := image.recipe.get("debian"):
        # Kept on its own: a changed entry script must not cost another bootstrap.
        system, options = settings.home / "roots" / image.key, _debian_options(debian, source / "setup.sh")
        key = cache.digest(json.dumps([debian, options], sort_keys=True), source / "setup.sh")
        cache.refresh(system, key, lambda target: _debian_root(debian, options, target / "root.tar", log))
        layers.append(system / "root.tar")
    if c_file := image.recipe.get("compile"):
        run("gcc", "-static", "-Os", "-s", "-o", folder / Path(c_file).stem, source / c_file, log=log)
    if files := image.recipe.get("files"):
        places = (source, folder, settings.bin)
        found = {target: next(place / name for place in places if (place / name).is_file()) for target, name in files.items()}
        archives.files_layer(folder / "files.tar", found)
        layers.append(folder / "files.tar")
    archives.write(folder / "image.tar", image.name, layers, image.recipe["config"])
    (folder / "files.tar").unlink(missing_ok=True)


def _debian_options(debian: dict[str, Any], setup: Path) -> list[str]:
    return [
        "--variant=minbase",
        # A testing suite's Release file may be past its date; its signature is still checked.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        # The root is thrown away with the build, so nothing is gained by waiting for the disk.
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "info", "lintian", "locale")),
        # A container runtime brings its own devices; what setup.sh makes in /run belongs to the image.
        "--skip=output/dev,cleanup/run",
        "--include=" + ",".join(debian["packages"]),
        *(f"--extract-hook={command}" for command in debian.get("commands", [])),
        f"--customize-hook=chroot $1 sh < {shlex.quote(str(setup))}",
    ]


def _debian_root(debian: dict[str, Any], options: list[str], target: Path, log: Path) -> None:
    run("mmdebstrap", "--quiet", *options, debian["suite"], target, MIRROR, log=log)
    check_version(run("tar", "-xOf", target, "./var/lib/dpkg/status"), debian["package"], debian["version"])


def pip_settings(environment: Mapping[str, str]) -> str:
    """The PIP_* variables about where packages come from, as a pip.conf; "" if there are none."""
    found = {name: environment[f"PIP_{name.upper()}"] for name in PIP_SETTINGS if environment.get(f"PIP_{name.upper()}")}
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in found.items()]
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def _pip_mounts(folder: Path) -> list[str]:
    """buildah options that lend the build the host's certificates and pip settings; nothing of them gets into the image."""
    mounts = {}
    for file in {CA_BUNDLE, Path(os.environ.get("PIP_CERT", CA_BUNDLE)), Path(os.environ.get("PIP_FIND_LINKS", CA_BUNDLE))}:
        if file.exists():
            mounts[str(file)] = file
    for configuration in (Path("/etc/pip.conf"), Path("~/.config/pip/pip.conf").expanduser(), Path("~/.pip/pip.conf").expanduser()):
        if configuration.exists():
            mounts.setdefault("/etc/pip.conf", configuration)
    if text := pip_settings(os.environ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pip.conf").write_text(text)
        # The user's file wins over /etc/pip.conf, as variables do.
        mounts["/root/.config/pip/pip.conf"] = folder / "pip.conf"
    return [option for target, source in mounts.items() for option in ("--volume", f"{source}:{target}:ro")]


def project_key(target: str) -> str:
    """Hash of everything a project image is made from, its base included."""
    inputs = [REPOSITORY / name for name in PROJECT_INPUTS[target] if (REPOSITORY / name).exists()]
    return cache.digest(project_image(target), LAB / "images" / "python", *inputs)


def project_version() -> str:
    """The version in pyproject.toml: the tag of the project's images."""
    version: str = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    return version


def project_image(target: str) -> str:
    """Full name of the project's image for a Dockerfile target."""
    return f"fibpipeline.invalid/{target}:{project_version()}"


def ensure_project(settings: Settings, targets: Sequence[str] = PROJECT) -> list[str]:
    """Build the project's images if their inputs changed; return the targets that were built (none without a Dockerfile)."""
    if not (REPOSITORY / "Dockerfile").exists():
        say("no Dockerfile yet: the lab comes up without the project's images")
        return []
    keys = {target: project_key(target) for target in targets}
    stale = [target for target, key in keys.items() if not cache.is_fresh(settings.images / target, key)]
    for target in stale:
        with cache.locked(settings.home / "locks" / "project-images"), parts.part(settings, f"image {project_image(target)}"):
            cache.refresh(settings.images / target, keys[target], lambda folder, target=target: _build_project(settings, target, folder))  # type: ignore[misc]
    return stale


def _build_project(settings: Settings, target: str, folder: Path) -> None:
    name, log = project_image(target), settings.home / "build-logs" / f"image-{target}.log"
    ensure(settings, ["python"])
    Buildah(settings).load(PYTHON_IMAGE, archive(settings, "python"), log)
    Buildah(settings).build(
        name,
        REPOSITORY,
        *("--layers", "--target", target, "--build-arg", f"PYTHON_IMAGE={PYTHON_IMAGE}"),
        *_pip_mounts(settings.home / "tmp"),
        log=log,
    )
    Buildah(settings).save(name, folder / "image.tar")
