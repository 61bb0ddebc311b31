"""The documents say what the code says: every field, every reason, links and commands that exist."""

import json
import re
import textwrap
from pathlib import Path

import jsonschema
import pytest

from tests.openapi import strict, walk
from tests.pipelines import CRD, ROOT, SCHEMA
from tools import reasons, reference

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "lab/README.md"])
README = (ROOT / "README.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (ROOT / reference.TROUBLESHOOTING).read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [reference.SPEC, reference.TROUBLESHOOTING], ids=str)
def test_a_page_made_from_the_code_is_up_to_date(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == reference.pages()[path], f"{path} is stale: run `make docs`"


def test_every_field_has_its_row() -> None:
    page = (ROOT / reference.SPEC).read_text(encoding="utf-8")
    same = dict(re.findall(r"^\| `([^`]+)` \|.* Fields as in `([^`]+)`\. \|$", page, flags=re.MULTILINE))

    def has_row(path: str) -> bool:
        """Whether it is there, also as a part of what is shown elsewhere."""
        for here, there in same.items():
            if path.startswith((f"{here}.", f"{here}[")):
                return has_row(there + path.removeprefix(here))
        return f"| `{path}` |" in page

    assert [path for path, _ in walk(SCHEMA["properties"]["spec"], "spec") if path != "spec" and not has_row(path)] == []
    assert same["spec.worker.affinity"] == "spec.rabbitmq.affinity"


def test_every_reason_is_explained_and_no_other() -> None:
    explained = re.findall(r"^### `(\w+)`$", TROUBLESHOOTING, flags=re.MULTILINE)
    assert sorted(explained) == sorted(reasons.of_package(reference.OPERATOR)), "docs/troubleshooting.md: a section a reason"


def test_every_section_says_where_it_is_seen_and_what_to_do() -> None:
    sections = re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", TROUBLESHOOTING, flags=re.MULTILINE | re.DOTALL)
    assert len(sections) > 20
    silent = [reason for reason, text in sections if len(text.split()) < 10]
    assert silent == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('Verdict(False, "Late", text)', {"Late"}),
        ('Blockage(reason="Late", message=text)', {"Late"}),
        ('Problem(LATE, "text")', {"Late"}),
        ('Problem("Early" if soon else LATE, "text")', {"Early", "Late"}),
        ('Verdict(False, WORDS.get(key, "Late"), text)', {"Broken", "Late"}),
        ("Verdict(False, other.reason, text)", set()),
        ('[("Warning", "Late", text)]', {"Late"}),
    ],
)
def test_reasons_are_followed_to_their_words(tmp_path: Path, source: str, found: set[str]) -> None:
    (tmp_path / "words.py").write_text('LATE: Final = "Late"\n')
    (tmp_path / "code.py").write_text(f'from .words import LATE\nWORDS = {{1: "Broken"}}\ndef tell():\n    return {source}\n')
    assert reasons.of_package(tmp_path) == found


def test_a_reason_that_is_put_together_first_is_found(tmp_path: Path) -> None:
    code = """
        def tell(ready):
            reason, text = other.reason, "text"
            if ready:
                reason = "Early" if text else reason
            return Verdict(ready, reason, text)
    """
    (tmp_path / "code.py").write_text(textwrap.dedent(code))
    assert reasons.of_package(tmp_path) == {"Early"}


@pytest.mark.parametrize("source", ["Verdict(False, unknown, text)", "Problem(f'{kind}Late', text)", "Blockage(table.get(key, 'x'), text)"])
def test_a_reason_that_cannot_be_followed_is_no_gap(tmp_path: Path, source: str) -> None:
    (tmp_path / "code.py").write_text(f"def tell():\n    return {source}\n")
    with pytest.raises(reasons.Unclear, match=r"code\.py:2"):
        reasons.of_package(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|srcset)=\"([^\"]+)\"", text)
    for link in links:
        target, _, anchor = link.partition("#")
        if ":" in target:
            continue
        file = (page.parent / target) if target else page
        assert file.exists(), link
        assert not anchor or anchor in _anchors(file), link


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.MULTILINE))
    told = re.findall(r"\bmake (?:-s )?([a-z0-9-]+)", "\n".join(_code(page.read_text(encoding="utf-8"))))
    assert set(told) - targets == set()


def test_files_that_kubectl_is_told_to_apply_exist() -> None:
    files = re.findall(r"kubectl (?:apply|delete).*? -f (\S+)", README)
    assert len(files) >= 3
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_fields_that_are_named_exist(page: Path) -> None:
    known = {path for path, _ in walk(SCHEMA, "")}
    named = re.findall(r"`((?:spec|status)(?:\.[a-zA-Z]+)+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if f".{name}" not in known and not name.endswith(".py")] == []


def test_patches_that_are_shown_fit_the_schema() -> None:
    patches = [patch for page in PAGES for patch in re.findall(r"kubectl patch fib .*? -p '(.*?)'", page.read_text(encoding="utf-8"))]
    assert len(patches) >= 2
    for patch in patches:
        jsonschema.validate(json.loads(patch), strict(SCHEMA))


def test_the_shown_columns_are_those_of_the_schema() -> None:
    columns = CRD["spec"]["versions"][0]["additionalPrinterColumns"]
    plain = ["NAME", *(column["name"].upper() for column in columns if not column.get("priority"))]
    assert any(line.split() == plain for line in README.splitlines())


def _code(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
