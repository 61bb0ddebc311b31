"""The Go programs: which are built, and how a module is trimmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import golang
from lab.settings import Settings


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_folder_with_a_stand_in_is_taken_from_there_alone(tmp_path: Path) -> None:
    _write(tmp_path / "module/cloud/client.go", "package cloud // a big one")
    _write(tmp_path / "module/cloud/sdk/sdk.go", "package sdk")
    _write(tmp_path / "module/core/core.go", "package core")
    _write(tmp_path / "stand-ins/cloud/cloud.go", "package cloud // nothing")
    golang.trim(tmp_path / "module", tmp_path / "stand-ins", tmp_path / "copy")
    files = sorted(str(file.relative_to(tmp_path / "copy")) for file in (tmp_path / "copy").rglob("*") if file.is_file())
    assert files == ["cloud/cloud.go", "core/core.go"]


def test_a_trimmed_copy_has_no_tests(tmp_path: Path) -> None:
    _write(tmp_path / "module/core/core.go", "package core")
    _write(tmp_path / "module/core/core_test.go", "package core")
    _write(tmp_path / "module/core/testdata/x", "")
    golang.trim(tmp_path / "module", tmp_path / "stand-ins", tmp_path / "copy")
    assert [file.name for file in (tmp_path / "copy").rglob("*") if file.is_file()] == ["core.go"]


def test_a_copy_of_a_read_only_module_can_be_changed(tmp_path: Path) -> None:
    _write(tmp_path / "module/core/core.go", "package core")
    (tmp_path / "module/core/core.go").chmod(0o444)
    golang.trim(tmp_path / "module", tmp_path / "stand-ins", tmp_path / "copy")
    assert (tmp_path / "copy/core/core.go").stat().st_mode & 0o200


@pytest.mark.parametrize(
    ("name", "go_name"),
    [("etcd", "server"), ("coredns", "dns"), ("traefik", "traefik"), ("containerd-shim-runc-v2", "containerd-shim-runc-v2")],
)
def test_the_binarys_name_is_the_one_that_go_build_gives(name: str, go_name: str) -> None:
    assert {program.name: program.go_name for program in golang.PROGRAMS}[name] == go_name


def test_every_trimmed_module_is_required_with_a_version_and_has_stand_ins() -> None:
    required = (golang.MODULE / "go.mod").read_text()
    for folder, path in {**golang.TRIMMED, **golang.REPLACED}.items():
        assert golang.required_version(required, path).startswith("v")
        assert list((golang.STAND_INS / folder).rglob("*.go"))


def test_a_program_is_missing_until_it_is_built_from_todays_inputs(tmp_path: Path) -> None:
    settings, program = Settings(home=tmp_path), golang.PROGRAMS[0]
    assert program in golang.missing(settings)
    _write(settings.bin / program.name, "binary")
    _write(tmp_path / "bin-keys" / program.name, golang.program_key(program))
    assert program not in golang.missing(settings)
    _write(tmp_path / "bin-keys" / program.name, "of other inputs")
    assert program in golang.missing(settings)
