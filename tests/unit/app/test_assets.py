"""What the app serves: vendored, unchanged, with licences, and nothing from another origin."""

import hashlib
import re
from pathlib import Path

import pytest

import fibapp

PACKAGE = Path(fibapp.__file__).parent
VENDOR = PACKAGE / "static" / "vendor"


def test_vendored_files_are_the_published_ones() -> None:
    lines = [line.split(maxsplit=1) for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    files = {str(path.relative_to(VENDOR)) for path in VENDOR.glob("*/*")}
    assert files == set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_each_vendored_package_has_its_licence() -> None:
    for folder in VENDOR.iterdir():
        if folder.is_dir():
            assert (folder / "LICENSE").stat().st_size > 0, folder.name


@pytest.mark.parametrize("template", sorted(PACKAGE.glob("templates/*.html")), ids=lambda path: path.name)
def test_no_template_refers_to_another_origin_or_runs_inline_code(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"(?:src|href|action|hx-\w+)=[\"'](?:https?:)?//", text)
    assert not re.search(r"\son\w+=|<script>|style=|javascript:", text)
