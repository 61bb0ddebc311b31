"""Images into running nodes: only the layers a node does not have travel, so a change of code costs a small one."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from lab import images, namespaces
from lab.process import run
from lab.settings import LabError, Settings

_ADDRESS = "/run/containerd/containerd.sock"
_OCI = "application/vnd.oci.image"


def into_nodes(settings: Settings, keys: list[str]) -> list[str]:
    """Import images into every running node, two nodes at a time; return the nodes' names."""
    running = [node.name for node in settings.nodes if namespaces.is_running(settings, node.name)]

    def load(name: str) -> None:
        inside = ["nsenter", "--target", str(namespaces.inner_pid(settings, name)), "--mount", "--net"]
        for key in keys:
            import_archive([*inside, *ctr(settings, _ADDRESS)], images.archive(settings, key))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(load, running))
    return running


def ctr(settings: Settings, address: str) -> list[str]:
    """The containerd client at a socket, in the containerd namespace that the kubelet sees."""
    return [str(settings.bin / "ctr"), "--address", address, "--namespace", "k8s.io"]


def import_archive(client: list[str], archive: Path) -> None:
    """Import and unpack one image by the given `ctr` command; layers that are there already are not sent."""
    known = run(*client, "content", "list", "--quiet").split()
    # A layer that no image needs any more may be collected between the list and the import: then everything is sent.
    if _import(client, archive, known) and (said := _import(client, archive, known=[])):
        raise LabError(f"{archive} could not be imported: {said}")


def _import(client: list[str], archive: Path, known: Iterable[str]) -> str:
    """Import an image without the blobs in `known` (digests); what `ctr` says if it cannot."""
    # `--local`: without it the import takes twice as long.
    with subprocess.Popen(
        [*client, "images", "import", "--local", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as importer:
        assert importer.stdin and importer.stdout
        # A broken pipe: it gave up, and its message follows.
        with suppress(BrokenPipeError):
            write_layout(archive, importer.stdin, known)
        with suppress(BrokenPipeError):
            importer.stdin.close()
        said = importer.stdout.read().decode(errors="replace")
    return said.strip() or f"exit code {importer.returncode}" if importer.returncode else ""


def write_layout(archive: Path, target: IO[bytes], known: Iterable[str]) -> None:
    """Write a docker archive's image as an OCI layout, as a tar stream, leaving out the blobs in `known` (digests)."""
    skipped = frozenset(known)
    with tarfile.open(archive) as source, tarfile.open(fileobj=target, mode="w|") as out:
        (entry,) = json.loads(_read(source, "manifest.json"))
        config = _read(source, entry["Config"])
        # The layers are not compressed, so a layer's digest is its `diff_id`.
        layers = list(zip(json.loads(config)["rootfs"]["diff_ids"], (source.getmember(name) for name in entry["Layers"]), strict=True))
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_OCI}.manifest.v1+json",
                "config": _descriptor(f"{_OCI}.config.v1+json", config),
                "layers": [{"mediaType": f"{_OCI}.layer.v1.tar", "digest": digest, "size": member.size} for digest, member in layers],
            }
        )
        names = {"annotations": {"io.containerd.image.name": entry["RepoTags"][0]}}
        index = {"schemaVersion": 2, "manifests": [{**_descriptor(f"{_OCI}.manifest.v1+json", manifest), **names}]}
        _add(out, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(out, "index.json", _json(index))
        for blob in (manifest, config):
            _add(out, _path(_digest(blob)), blob)
        for digest, member in layers:
            if digest not in skipped:
                header = tarfile.TarInfo(_path(digest))
                header.size = member.size
                out.addfile(header, source.extractfile(member))


def _read(source: tarfile.TarFile, name: str) -> bytes:
    file = source.extractfile(name)
    if file is None:
        raise LabError(f"the image archive has no {name}")
    return file.read()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    out.addfile(header, io.BytesIO(content))
