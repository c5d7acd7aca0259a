"""Mask phones and e-mails for logs: enough is left to find the row, too little to reach the person."""

from __future__ import annotations

import re

_EMAIL = re.compile(r"[^\s@,;:<>\"'=&]+@[^\s@,;:<>\"'=&]+")
_PHONE = re.compile(r"(?<![\w.])\+?\d(?:[\s().-]{0,3}\d){6,}(?![\w])")


def mask_key(key: str) -> str:
    """Mask one phone or e-mail: ``346*******12``, ``j***@e***``. Anything else keeps its first and last character."""
    key = key.strip()
    local, at, domain = key.rpartition("@")
    if at:
        return f"{local[:1]}***@{domain[:1]}***"
    if len(key) >= 9:
        return f"{key[:3]}{'*' * (len(key) - 5)}{key[-2:]}"
    return f"{key[:1]}***{key[-1:]}" if len(key) > 2 else "***"


def mask_text(text: str) -> str:
    """Mask everything in ``text`` that looks like an e-mail or a phone (seven digits or more)."""
    text = _EMAIL.sub(lambda found: mask_key(found[0]), text)
    return _PHONE.sub(lambda found: mask_key(found[0]), text)
