"""Image archives: what is written is what `docker save` would write, and unpacks to what went in."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from lab import archive, loading


def _layer(file: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as layer:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            layer.addfile(header, io.BytesIO(content))
    return file


def test_a_later_layer_lies_over_an_earlier_one(tmp_path: Path) -> None:
    layers = [_layer(tmp_path / "1.tar", {"a": b"old", "b": b"kept"}), _layer(tmp_path / "2.tar", {"a": b"new"})]
    archive.write(tmp_path / "image.tar", "localhost/x:1", layers, {})
    archive.unpack(tmp_path / "image.tar", tmp_path / "root")
    assert {file.name: file.read_bytes() for file in (tmp_path / "root").iterdir()} == {"a": b"new", "b": b"kept"}


def test_the_manifest_names_image_configuration_and_layers(tmp_path: Path) -> None:
    layer = _layer(tmp_path / "1.tar", {"a": b"x"})
    archive.write(tmp_path / "image.tar", "localhost/x:1", [layer], {"User": "1:1"})
    with tarfile.open(tmp_path / "image.tar") as image:
        (entry,) = json.loads(image.extractfile("manifest.json").read())  # type: ignore[union-attr]
        config = image.extractfile(entry["Config"]).read()  # type: ignore[union-attr]
    assert entry["RepoTags"] == ["localhost/x:1"]
    assert entry["Config"] == hashlib.sha256(config).hexdigest() + ".json"
    assert json.loads(config)["config"] == {"User": "1:1"}
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"]


def test_the_loader_reads_what_is_written(tmp_path: Path) -> None:
    archive.write(tmp_path / "image.tar", "localhost/x:1", [_layer(tmp_path / "1.tar", {"a": b"x"})], {})
    loading.write_layout(tmp_path / "image.tar", out := io.BytesIO(), known=[])
    out.seek(0)
    with tarfile.open(fileobj=out) as layout:
        index = json.loads(layout.extractfile("index.json").read())  # type: ignore[union-attr]
    assert index["manifests"][0]["annotations"] == {"io.containerd.image.name": "localhost/x:1"}


def test_equal_files_give_an_equal_layer_of_programs(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\n")
    for number in (1, 2):
        archive.files_layer(tmp_path / f"{number}.tar", {"/usr/bin/program": tmp_path / "program"})
        (tmp_path / "program").touch()
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as layer:
        assert [(member.name, member.mode) for member in layer] == [("usr/bin/program", 0o755)]
