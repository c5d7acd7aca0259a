"""What a server did to a value, in words: kept, trimmed, HTML-escaped, cut and the like, also several at once."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from itertools import permutations
from typing import Final

_STEPS: Final[dict[str, Callable[[str], str]]] = {
    "trimmed": str.strip,
    "HTML-escaped": html.escape,
    "HTML-escaped, quotes as &#039;": lambda text: html.escape(text).replace("&#x27;", "&#039;"),
    "HTML-escaped, quotes kept": lambda text: html.escape(text, quote=False),
    "HTML-unescaped": html.unescape,
    "tags removed": lambda text: re.sub(r"<[^>]*>", "", text),
    "in NFC": lambda text: unicodedata.normalize("NFC", text),
    "line ends as newlines": lambda text: text.replace("\r\n", "\n"),
    "line ends as blanks": lambda text: re.sub(r"\r?\n", " ", text),
    "form-decoded again": lambda text: re.sub("%20", " ", text.replace("+", " ")),
    "backslashes added": lambda text: re.sub(r"([\\'\"])", r"\\\1", text),
    "backslashes removed": lambda text: text.replace("\\", ""),
    "without characters beyond the BMP": lambda text: "".join(ch for ch in text if ord(ch) < 0x10000),
    "with ? for characters": lambda text: "".join(ch if ord(ch) < 256 else "?" for ch in text),
    "without leading zeros": lambda text: text.lstrip("0") if text.isdecimal() else text,
}


def what_became_of(sent: str, stored: str) -> str:
    """The change from ``sent`` to ``stored`` in words that hold neither; ``kept`` if there is none."""
    if stored == sent:
        return "kept"
    if not stored:
        return "emptied"
    for count in (1, 2):
        for chosen in permutations(_STEPS, count):
            text = sent
            for name in chosen:
                text = _STEPS[name](text)
            if text == stored:
                return " and ".join(chosen)
    if sent.startswith(stored):
        return f"cut after {len(stored)} characters"
    return f"changed in another way, {len(stored)} characters for {len(sent)}"
