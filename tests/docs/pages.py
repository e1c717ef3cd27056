"""The documents, as tests read them: text, headings, links, tables, and the shell blocks that a reader would copy."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for folder in ("bench", "docs") for page in (ROOT / folder).rglob("*.md")),
        ROOT / "spec" / "README.md",
    ]
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text(path: str) -> str:
    return (ROOT / path).read_text()


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text())


def shell(page: Path) -> list[str]:
    """The blocks marked `sh`, in order."""
    return [block for language, block in _FENCE.findall(page.read_text()) if language == "sh"]


def diagrams(words: str) -> list[str]:
    """The blocks marked `mermaid`, in order."""
    return [block for language, block in _FENCE.findall(words) if language == "mermaid"]


def links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(prose(page)) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """The headings, as links to them are written."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in _HEADING.findall(prose(page))
    }


def section(path: str, heading: str) -> str:
    """What stands under a heading, until the next one of its level or above."""
    level = heading.split(" ")[0]
    _, found, rest = text(path).partition(f"\n{heading}\n")
    assert found, f"{path} has no {heading!r}"
    end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, its head left out."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(words: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", words))


def addresses(page: Path) -> list[tuple[str, str, str]]:
    """The accounts that examples name: bank, branch, number."""
    return re.findall(r"\b([0-9A-Z]{8})\.([0-9]{4})\.([0-9]{2,20})\b", page.read_text())
