"""No code block of any page is left without a test, and no link leads nowhere."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from docs.pages import CLAIMED, PAGES, ROOT, blocks, prose_of, text_of

TESTS = ROOT / "tests"
OTHERS = {"docs/airflow.md"}
"""Pages whose blocks have tests of their own kind, without claims."""


def test_every_block_is_claimed_by_a_test() -> None:
    """Claims are made when a test module is imported; a claim that fits no block, or two, fails there."""
    for path in sorted(TESTS.rglob("test_*.py")):
        if "from docs.pages import" in path.read_text() and path != Path(__file__):
            import_module(".".join(path.relative_to(TESTS).with_suffix("").parts))
    left = [
        f"{page}, block {block.number} ({block.language}): {block.text.splitlines()[0]}"
        for page in PAGES
        if page not in OTHERS
        for block in blocks(page)
        if block not in CLAIMED
    ]
    assert left == []


def anchors(page: str) -> set[str]:
    """What a heading is called in a link, as GitHub makes it."""
    found = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def links(page: str) -> list[str]:
    return re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose_of(page))


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert target.resolve().is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(ROOT))), link


def test_every_page_is_reached_from_the_readme() -> None:
    seen, ahead = set(), ["README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [((ROOT / page).parent / link.partition("#")[0]).resolve() for link in links(page)]
        ahead += [str(target.relative_to(ROOT)) for target in targets if target.suffix == ".md" and target.exists()]
    assert set(PAGES) <= seen


def test_every_picture_is_shown_and_is_one() -> None:
    shown = {(ROOT / page).parent / link for page in PAGES for link in links(page) if link.endswith(".png")}
    kept = set((ROOT / "docs").rglob("*.png"))
    assert {path.resolve() for path in shown} == kept
    for path in kept:
        assert path.read_bytes().startswith(b"\x89PNG"), path


@pytest.mark.parametrize("page", PAGES)
def test_no_place_is_left_to_be_filled_in(page: str) -> None:
    assert not re.search(r"@[A-Z]+@|TODO|XXX", text_of(page))
