"""Image archives as `docker save` writes them: a configuration, layers that are plain tar files, and a manifest."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def files_layer(target: Path, files: Mapping[str, Path]) -> None:
    """Write a layer of executable files, by their absolute path in the image; equal content gives an equal layer."""
    with tarfile.open(target, "w") as layer:
        for place, source in sorted(files.items()):
            header = tarfile.TarInfo(place.lstrip("/"))
            header.mode, header.size = 0o755, source.stat().st_size
            with source.open("rb") as content:
                layer.addfile(header, content)


def write(target: Path, name: str, layers: Iterable[Path], config: Mapping[str, Any]) -> None:
    """Write the image `name` with these layers (tar files, not compressed) to `target`.

    `config` is the `config` object of the OCI image specification: Env, Entrypoint, Cmd, User, Volumes, ExposedPorts, StopSignal.
    """
    digests = {layer: _digest(layer) for layer in layers}
    machine = platform.machine()
    description = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests.values()]},
            "history": [{"created_by": "lab.images"} for _ in digests],
        }
    ).encode()
    description_name = f"{hashlib.sha256(description).hexdigest()}.json"
    manifest = [{"Config": description_name, "RepoTags": [name], "Layers": [f"{digest}.tar" for digest in digests.values()]}]
    with tarfile.open(target, "w") as out:
        for layer, digest in digests.items():
            with layer.open("rb") as content:
                _add(out, f"{digest}.tar", content, layer.stat().st_size)
        for file, blob in ((description_name, description), ("manifest.json", json.dumps(manifest).encode())):
            _add(out, file, io.BytesIO(blob), len(blob))


def unpack(source: Path, target: Path) -> None:
    """Unpack an archive's layers, one over the other, into a folder (as root: owners and modes are kept).

    Layers that delete files of others (whiteouts) are not understood: ours have none.
    """
    with tarfile.open(source) as image:
        (entry,) = json.load(_member(image, "manifest.json"))
        for name in entry["Layers"]:
            with tarfile.open(fileobj=_member(image, name)) as layer:
                layer.extractall(target, filter="fully_trusted", numeric_owner=True)  # noqa: S202 - an archive of our own making


def _member(image: tarfile.TarFile, name: str) -> IO[bytes]:
    content = image.extractfile(name)
    assert content is not None, f"{name} is no file"
    return content


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _add(out: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    header = tarfile.TarInfo(name)
    header.size = size
    out.addfile(header, content)
