"""`make docs`: bring docs/spec.md and the list of reasons in docs/troubleshooting.md up to the schema and the code."""

from pathlib import Path

import yaml

from . import fields, reasons

ROOT = Path(__file__).parents[1]
SPEC = Path("docs/spec.md")
TROUBLESHOOTING = Path("docs/troubleshooting.md")
OPERATOR = ROOT / "operator/fiboperator"
_BEGIN, _END = "<!-- made by `make docs`: all reasons -->", "<!-- end -->"


def pages() -> dict[Path, str]:
    """The pages as they should be, by their paths in the repository."""
    crd = yaml.safe_load((ROOT / "crds/fibpipeline.yaml").read_text(encoding="utf-8"))
    there = (ROOT / TROUBLESHOOTING).read_text(encoding="utf-8")
    return {SPEC: fields.page(crd), TROUBLESHOOTING: with_index(there, reasons.of_package(OPERATOR))}


def with_index(page: str, known: set[str]) -> str:
    """The page with links to all reasons in the place for them. Raises ValueError when it has no such place."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise ValueError(f"{TROUBLESHOOTING} has no lines {_BEGIN} and {_END}")
    links = " · ".join(f"[{reason}](#{reason.lower()})" for reason in sorted(known))
    return f"{before}{begin}\n\n{links}\n\n{end}{after}"


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
