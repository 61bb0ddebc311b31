"""The Go module of the programs: how other modules are trimmed for it."""

from __future__ import annotations

from pathlib import Path

from lab import gomodule


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_folder_with_a_stand_in_is_taken_from_there_alone(tmp_path: Path) -> None:
    _write(tmp_path / "module/cloud/client.go", "package cloud // a big one")
    _write(tmp_path / "module/cloud/sdk/sdk.go", "package sdk")
    _write(tmp_path / "module/core/core.go", "package core")
    _write(tmp_path / "stand-ins/cloud/cloud.go", "package cloud // nothing")
    gomodule.trim(tmp_path / "module", tmp_path / "stand-ins", tmp_path / "copy")
    files = sorted(str(file.relative_to(tmp_path / "copy")) for file in (tmp_path / "copy").rglob("*") if file.is_file())
    assert files == ["cloud/cloud.go", "core/core.go"]


def test_a_trimmed_copy_has_no_tests(tmp_path: Path) -> None:
    _write(tmp_path / "module/core/core.go", "package core")
    _write(tmp_path / "module/core/core_test.go", "package core")
    _write(tmp_path / "module/core/testdata/x", "")
    gomodule.trim(tmp_path / "module", tmp_path / "stand-ins", tmp_path / "copy")
    assert [file.name for file in (tmp_path / "copy").rglob("*") if file.is_file()] == ["core.go"]


def test_a_copy_of_a_read_only_module_can_be_changed(tmp_path: Path) -> None:
    _write(tmp_path / "module/core/core.go", "package core")
    (tmp_path / "module/core/core.go").chmod(0o444)
    gomodule.trim(tmp_path / "module", tmp_path / "stand-ins", tmp_path / "copy")
    assert (tmp_path / "copy/core/core.go").stat().st_mode & 0o200


def test_every_trimmed_module_is_required_with_a_version_and_has_stand_ins() -> None:
    required = (gomodule.MODULE / "go.mod").read_text()
    for folder, path in {**gomodule.TRIMMED, **gomodule.REPLACED}.items():
        assert gomodule.required_version(required, path).startswith("v")
        assert list((gomodule.STAND_INS / folder).rglob("*.go"))
