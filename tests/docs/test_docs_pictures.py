"""Every picture of the documentation is there, and is one that a test takes in a real browser."""

from __future__ import annotations

import re

from pages import PAGES, ROOT, text_of

SHOWN = {
    (page, name) for page in PAGES for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text_of(page)) if "://" not in name
}
TAKEN = {
    f"{name}.png"
    for path in (ROOT / "tests" / "standalone").glob("test_*.py")
    for name in re.findall(r"(?:picture|pressed)\((?:pages, )?\"([a-z-]+)\"\)", path.read_text())
}


def test_each_picture_that_a_page_shows_is_there() -> None:
    missing = [(page, name) for page, name in SHOWN if not (ROOT / page).parent.joinpath(name).is_file()]
    assert missing == []


def test_the_pictures_are_those_that_the_browser_took_and_none_is_left_over() -> None:
    shown = {name.rpartition("/")[2] for _, name in SHOWN if "images/" in name}
    assert shown == TAKEN | {"sandbox.png"}, "tests/sandbox/test_sandbox_browser.py takes that of the sandbox"
    assert shown == {path.name for path in (ROOT / "docs" / "images").iterdir()}
