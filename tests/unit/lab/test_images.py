"""Image recipes, and the check that a Debian package carries the version its tag promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import images
from lab.settings import LAB, LabError

STATUS = """\
Package: postgresql-18
Status: install ok installed
Version: 18.6-3
Description: object-relational SQL database
 Version: 99 is only a word in this description

Package: rabbitmq-server
Version: 1:4.3.6+dfsg-2
"""


@pytest.mark.parametrize(
    ("package", "wanted", "version"),
    [("postgresql-18", "18", "18.6"), ("rabbitmq-server", "4.3", "4.3.6"), ("rabbitmq-server", "4", "4.3.6")],
)
def test_the_promised_version_is_accepted(package: str, wanted: str, version: str) -> None:
    assert images.check_version(STATUS, package, wanted) == version


@pytest.mark.parametrize("wanted", ["4.4", "4.30", "3"])
def test_another_version_fails_the_build_with_both_versions(wanted: str) -> None:
    with pytest.raises(LabError, match=rf"rabbitmq-server 4\.3\.6.*promises {wanted}"):
        images.check_version(STATUS, "rabbitmq-server", wanted)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(LabError, match="erlang-base is not in"):
        images.check_version(STATUS, "erlang-base", "27")


@pytest.mark.parametrize("key", [*images.STAND_INS, *images.SYSTEM])
def test_every_image_has_a_recipe_with_a_command_and_the_files_it_names(key: str) -> None:
    image = images.load(key)
    assert ":" in image.name
    assert "Entrypoint" in image.recipe["config"] or "Cmd" in image.recipe["config"]
    made = {*images.binaries(key), Path(image.recipe.get("compile", "")).stem}
    for name in image.recipe.get("files", {}).values():
        assert name in made or (LAB / "images" / key / name).is_file()


@pytest.mark.parametrize("key", images.STAND_INS)
def test_every_stand_in_sets_its_debian_root_up(key: str) -> None:
    assert (LAB / "images" / key / "setup.sh").is_file()


def test_the_stand_ins_carry_the_official_names() -> None:
    names = [images.load(key).name for key in images.STAND_INS]
    assert names == ["docker.io/library/rabbitmq:4.3-management", "docker.io/library/postgres:18", images.PYTHON_IMAGE]


def test_pip_variables_reach_the_build_as_a_file() -> None:
    environment = {"PIP_INDEX_URL": "https://mirror.test/simple", "PIP_DEFAULT_TIMEOUT": "180", "PIP_TARGET": "/elsewhere", "HOME": "/root"}
    assert images.pip_settings(environment) == "[global]\nindex-url = https://mirror.test/simple\ndefault-timeout = 180\n"
    assert images.pip_settings({"HOME": "/root"}) == ""


def test_a_project_image_depends_on_its_own_code_only() -> None:
    assert "worker" not in images.PROJECT_INPUTS["operator"]
    assert "operator" not in images.PROJECT_INPUTS["app"]
