"""The prepared image store: every image imported and unpacked once, then copied to a node by hard links in a fraction of a second."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import cache, golang, images, loading, parts
from lab.process import run, wait_for
from lab.settings import Settings


def _note(settings: Settings) -> Path:
    return settings.store / "imported.json"


def imported(settings: Settings) -> dict[str, str]:
    """Hash of every image in the store, by image, and containerd's own under `containerd`."""
    try:
        noted: dict[str, str] = json.loads(_note(settings).read_text())
    except (OSError, ValueError):
        return {}
    return noted


def _built(settings: Settings) -> dict[str, str]:
    """Hash of every built image's archive, by image."""
    keys = (*images.SYSTEM, *images.STAND_INS, *images.PROJECT)
    return {key: (settings.images / key / cache.KEY).read_text() for key in keys if (settings.images / key / cache.KEY).exists()}


def _containerd_key() -> str:
    return cache.digest(*(golang.program_key(program) for program in golang.PROGRAMS if program.name.startswith("containerd")))


def is_fresh(settings: Settings) -> bool:
    """True if the store holds every built image as it is now."""
    return imported(settings) == {"containerd": _containerd_key(), **_built(settings)}


def prepare(settings: Settings) -> bool:
    """Import the images that are new or changed; True if there were any."""
    if is_fresh(settings):
        return False
    if imported(settings).get("containerd") != _containerd_key():
        shutil.rmtree(settings.store, ignore_errors=True)
        settings.store.mkdir(parents=True)
        _remember(settings, "containerd", _containerd_key())
    noted, built = imported(settings), _built(settings)
    changed = [key for key, value in built.items() if noted.get(key) != value]
    with parts.part(settings, f"image store: {', '.join(changed)}"), _containerd(settings) as address:
        for key in changed:
            loading.import_archive(loading.ctr(settings, address), images.archive(settings, key))
            _remember(settings, key, built[key])
    return True


def _remember(settings: Settings, key: str, value: str) -> None:
    noted = {**imported(settings), key: value}
    fresh = _note(settings).with_suffix(".new")
    fresh.write_text(json.dumps(noted, indent=1))
    fresh.rename(_note(settings))


@contextmanager
def _containerd(settings: Settings) -> Iterator[str]:
    """A containerd without pods on the store, in a mount namespace of its own; ended when the block is left."""
    scratch = settings.home / "store-run"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    address = str(scratch / "sock")
    configuration = scratch / "config.toml"
    # Only the store: no pods, so none of the CRI plugins.
    disabled = [f"io.containerd.{plugin}" for plugin in ("grpc.v1.cri", "cri.v1.images", "cri.v1.runtime")]
    configuration.write_text(
        f'version = 3\nroot = "{settings.store / "containerd"}"\nstate = "{scratch / "state"}"\n'
        f'disabled_plugins = {json.dumps(disabled)}\n[grpc]\naddress = "{address}"\n'
    )
    log_file = settings.home / "build-logs" / "store.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("a") as log:
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        server = subprocess.Popen([*command, settings.bin / "containerd", "--config", configuration], stdout=log, stderr=log)
    try:
        wait_for(f"the image store's containerd (log: {log_file})", lambda: _answers(settings, address), 30)
        yield address
    finally:
        # In good order, so that its database is closed: the child of unshare is containerd itself.
        with suppress(OSError):
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            for pid in children:
                os.kill(int(pid), 15)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def _answers(settings: Settings, address: str) -> bool:
    return subprocess.run([*loading.ctr(settings, address), "version"], capture_output=True, check=False).returncode == 0


def copy_to(settings: Settings, target: Path) -> None:
    """Give a node its own copy, unless it has one: hard links, except for the databases, which are written in place."""
    if target.exists():
        return
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    run("cp", "--archive", "--link", settings.store / "containerd", fresh)
    for database in fresh.glob("*/*.db"):
        copy = database.with_suffix(".copy")
        shutil.copy2(database, copy)
        copy.rename(database)
    fresh.rename(target)
