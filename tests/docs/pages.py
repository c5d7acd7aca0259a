"""The pages that users read, their headings, tables and code blocks.

A test claims each block that it runs or compares, when its module is imported; ``test_docs_blocks`` finds the blocks
that nobody claimed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Block:
    """One fenced block of a page, the ``number``-th in it."""

    page: str
    number: int
    language: str
    text: str


# A block in a list is indented as the list's text is.
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)

CLAIMED: set[Block] = set()


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text()


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """Every fenced block; one without a language has the language ``""``."""
    return tuple(
        Block(page, number, language, dedent(text))
        for number, (_, language, text) in enumerate(_FENCED.findall(text_of(page)))
    )


def claim(page: str, language: str, containing: str) -> str:
    """The text of the one block of this language that contains something; it counts as tested from here on."""
    found = [block for block in blocks(page) if block.language == language and containing in block.text]
    assert len(found) == 1, f"{page} has {len(found)} blocks of {language!r} with {containing!r}"
    CLAIMED.add(found[0])
    return found[0].text


def prose_of(page: str) -> str:
    """The page without its blocks."""
    return _FENCED.sub("", text_of(page))


def section(page: str, title: str) -> str:
    """The text between a heading and the next one of the same or a higher level."""
    text = text_of(page)
    marks = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert marks, f"{page} has no heading {title!r}"
    rest = text[marks.end() :]
    end = re.search(rf"^#{{1,{len(marks[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(text: str) -> list[list[str]]:
    """The rows of the tables in ``text``, without their headings, as cells."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]
    rules = [number for number, row in enumerate(rows) if all(re.fullmatch(r"-+", cell) for cell in row)]
    headings = {number - 1 for number in rules}
    return [row for number, row in enumerate(rows) if number not in headings and number not in rules]


def names_in(cell: str) -> list[str]:
    """The code words of a cell."""
    return re.findall(r"`([\w.-]+)`", cell)


def names_of(text: str) -> list[str]:
    """The code words in the first column of the tables in ``text``."""
    return [name for row in table(text) for name in names_in(row[0])]
