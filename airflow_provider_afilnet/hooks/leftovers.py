"""What a template leaves where it found no value: the one check for arguments that must be text."""

from __future__ import annotations

from typing import Final

from airflow_provider_afilnet.api.errors import AfilnetInvalidRequestError

_WORDS: Final = frozenset({"", "none", "null"})


def is_leftover(value: object) -> bool:
    """Whether the value is ``None``, blank, or the word that a template writes for it: ``None``, ``none``, ``null``."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _WORDS)


def given_text(value: object, argument: str) -> str:
    """Read an argument that must be text, without the blanks around it.

    :param argument: its name, for the error.
    :raises AfilnetInvalidRequestError: if it is no text, or what a template leaves where it found no value.
    """
    if isinstance(value, str) and not is_leftover(value):
        return value.strip()
    if isinstance(value, str) or value is None:
        raise AfilnetInvalidRequestError(
            f"{argument} must be text with something in it, not {value!r}, which is what a template leaves where it "
            "finds no value; check what it is filled from."
        )
    raise AfilnetInvalidRequestError(f"{argument} must be text, not {type(value).__name__}.")
