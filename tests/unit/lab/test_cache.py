"""Build results are reused only for the very inputs they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import cache


def test_built_once_for_a_key_and_again_for_another(tmp_path: Path) -> None:
    built: list[str] = []

    def build(folder: Path) -> None:
        built.append(folder.name)
        (folder / "result").write_text(str(len(built)))

    target = tmp_path / "image"
    assert [cache.refresh(target, key, build) for key in ("a", "a", "b")] == [True, False, True]
    assert (target / "result").read_text() == "2"


def test_an_interrupted_build_leaves_the_former_result(tmp_path: Path) -> None:
    target = tmp_path / "image"
    cache.refresh(target, "a", lambda folder: (folder / "result").touch())

    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.refresh(target, "b", interrupted)
    assert cache.is_fresh(target, "a")
    assert [path.name for path in sorted(target.iterdir())] == [".key", "result"]
    assert cache.refresh(target, "b", lambda folder: (folder / "other").touch())
    assert not (target / "half").exists()


def test_the_digest_sees_content_name_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "entry.sh"
    file.write_text("one")
    seen = {cache.digest(tmp_path)}
    file.write_text("two")
    seen.add(cache.digest(tmp_path))
    file.chmod(0o755)
    seen.add(cache.digest(tmp_path))
    file.rename(tmp_path / "other.sh")
    seen.add(cache.digest(tmp_path))
    assert len(seen) == 4


def test_the_digest_leaves_out_compiled_python(tmp_path: Path) -> None:
    (tmp_path / "module.py").touch()
    before = cache.digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").touch()
    assert cache.digest(tmp_path) == before
