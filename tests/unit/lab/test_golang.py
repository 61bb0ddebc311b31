"""The Go programs: their names, and which of them have to be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import golang
from lab.settings import Settings


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("name", "go_name"),
    [("etcd", "server"), ("coredns", "dns"), ("traefik", "traefik"), ("containerd-shim-runc-v2", "containerd-shim-runc-v2")],
)
def test_the_binarys_name_is_the_one_that_go_build_gives(name: str, go_name: str) -> None:
    assert {program.name: program.go_name for program in golang.PROGRAMS}[name] == go_name


def test_a_program_is_missing_until_it_is_built_from_todays_inputs(tmp_path: Path) -> None:
    settings, program = Settings(home=tmp_path), golang.PROGRAMS[0]
    assert program in golang.missing(settings)
    _write(settings.bin / program.name, "binary")
    _write(tmp_path / "bin-keys" / program.name, golang.program_key(program))
    assert program not in golang.missing(settings)
    _write(tmp_path / "bin-keys" / program.name, "of other inputs")
    assert program in golang.missing(settings)
