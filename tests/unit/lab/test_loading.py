"""A docker archive becomes an OCI layout with only the layers that are needed."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from lab.loading import import_archive, write_layout
from lab.settings import LabError

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


# A containerd that names a layer in its list and has collected it when the image arrives.
FORGETFUL = """
import sys, tarfile
if sys.argv[1:3] == ["content", "list"]:
    print("{digest}")
else:
    names = tarfile.open(fileobj=sys.stdin.buffer, mode="r|").getnames()
    sys.exit(0 if "{needed}" in names else "content digest {digest}: not found")
"""


def forgetful(tmp_path: Path, needed: str) -> list[str]:
    program = tmp_path / "ctr.py"
    program.write_text(FORGETFUL.format(digest=DIGESTS[0], needed=needed))
    return [sys.executable, str(program)]


def test_a_layer_that_was_collected_meanwhile_is_sent_after_all(archive: Path, tmp_path: Path) -> None:
    import_archive(forgetful(tmp_path, "blobs/" + DIGESTS[0].replace(":", "/")), archive)


def test_an_import_that_fails_with_everything_sent_says_why(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"image.tar could not be imported: content digest {DIGESTS[0]}: not found"):
        import_archive(forgetful(tmp_path, "something else"), archive)
