"""What counts as a list where a user hands one over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard


def is_listed(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether the value is a sequence of things: a list, a tuple, or what a mapped task's results come as; no text."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))
