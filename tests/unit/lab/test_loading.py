"""A docker archive becomes an OCI layout with only the layers that are needed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from lab.loading import write_layout

LAYERS = [b"base layer", b"code layer"]
DIGESTS = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in LAYERS]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": DIGESTS}}).encode()
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["docker.io/fibpipeline/app:0.1.0"], "Layers": ["0.tar", "1.tar"]}]).encode()
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as out:
        for name, content in {"0.tar": LAYERS[0], "1.tar": LAYERS[1], "c.json": config, "manifest.json": manifest}.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            out.addfile(header, io.BytesIO(content))
    return path


def written(archive: Path, known: list[str]) -> dict[str, bytes]:
    stream = io.BytesIO()
    write_layout(archive, stream, known)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as layout:
        return {member.name: file.read() for member in layout if (file := layout.extractfile(member))}


@pytest.mark.parametrize("known", [[], [DIGESTS[0]], DIGESTS])
def test_known_layers_stay_at_home(archive: Path, known: list[str]) -> None:
    files = written(archive, known)
    assert {digest for digest in DIGESTS if "blobs/" + digest.replace(":", "/") in files} == set(DIGESTS) - set(known)


def test_the_index_leads_to_every_layer_by_digest(archive: Path) -> None:
    files = written(archive, [])
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/fibpipeline/app:0.1.0"
    manifest = json.loads(files["blobs/" + entry["digest"].replace(":", "/")])
    assert [layer["digest"] for layer in manifest["layers"]] == DIGESTS
    for blob in (entry, manifest["config"], *manifest["layers"]):
        content = files["blobs/" + blob["digest"].replace(":", "/")]
        assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (blob["digest"], blob["size"])
