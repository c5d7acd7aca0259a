"""Probes of what a server does to values: their characters and their length."""

from __future__ import annotations

from typing import Final

from airflow_provider_afilnet.cli.doctor.scratch import COLUMNS, Scratch, UnsettledError
from airflow_provider_afilnet.cli.doctor.transformations import what_became_of
from airflow_provider_afilnet.cli.doctor.visit import Visit

_COLUMN = COLUMNS[0]

VALUES: Final[dict[str, str]] = {
    # All short, so that a limit of length is not mistaken for a change of characters.
    "plain text": "Doctor",
    "blanks around": "  in blanks ",
    "tab": "tab\there",
    "newline": "line\nbreak",
    "Windows line end": "line\r\nbreak",
    "comma and colon": "a,b:c",
    "quotes": "\"double\" 'single'",
    "backslash": "back\\slash",
    "markup": "<b>x</b>",
    "form characters": "a&b=c%20+d#e?",
    "emoji": "smile \U0001f600",
    "accents": "ñ é ü ß €",
    "combining accent": "cafe\u0301",
    "other scripts": "Ω ж 字 ع",
    "leading zeros": "0012",
    "the word null": "null",
}
"""Kind to a value of that kind."""


def characters(visit: Visit, scratch: Scratch) -> None:
    """All kinds of values in one list, and how they come back."""
    keys = {kind: scratch.new_key() for kind in VALUES}
    rows = {kind: {scratch.key_column: keys[kind], _COLUMN: value} for kind, value in VALUES.items()}
    found: dict[str, str] = {}
    reply = scratch.add_list(rows.values())
    if not reply.ok:
        for kind, row in rows.items():
            one = scratch.add_list([row])
            if not one.ok:
                found[kind] = f"refused with {one.code}"
    last = next((key for kind, key in reversed(keys.items()) if kind not in found), None)
    if last is None:
        raise UnsettledError("addcontactlist refused every value")
    shown = scratch.wait(lambda now: bool(scratch.copies(now, last)), "a list that was added")
    for kind, value in VALUES.items():
        if kind not in found:
            stored = scratch.copies(shown, keys[kind])
            found[kind] = what_became_of(value, scratch.value(stored[0], _COLUMN)) if stored else "not stored"
    found = {kind: found[kind] for kind in VALUES}
    changed = [f"{kind}: {what}" for kind, what in found.items() if what != "kept"]
    visit.settle_question(
        "stored_values",
        found,
        f"{len(VALUES) - len(changed)} of {len(VALUES)} kinds are kept as they are"
        + (f"; {'; '.join(changed)}." if changed else ", blanks, line ends, quotes, emoji and markup included."),
    )


def length(visit: Visit, scratch: Scratch) -> None:
    """The longest value to try; if it is not stored whole, where the limit is."""
    bound = visit.longest_value
    stored, why = _stored_length(scratch, bound)
    cut = stored is not None and stored < bound
    if stored == bound:
        visit.settle_question(
            "value_length",
            {"stored": bound, "cut": False, "refused": None},
            f"{bound} characters were stored whole; longer ones were not tried.",
            "likely",
        )
        return
    if cut:
        visit.settle_question(
            "value_length",
            {"stored": stored, "cut": True, "refused": None},
            f"longer values are cut after {stored} characters, in silence.",
        )
        return
    fits, fails = 1, bound
    while fails - fits > 1:
        middle = (fits + fails) // 2
        got, said = _stored_length(scratch, middle)
        if got is None:
            fails, why = middle, said
        elif got < middle:
            visit.settle_question(
                "value_length",
                {"stored": got, "cut": True, "refused": fails},
                f"values are cut after {got} characters in silence, and from {fails} on {why}.",
            )
            return
        else:
            fits = middle
    visit.settle_question(
        "value_length",
        {"stored": fits, "cut": False, "refused": fails},
        f"{fits} characters are stored whole; with {fails} {why}.",
    )


def _stored_length(scratch: Scratch, size: int) -> tuple[int | None, str]:
    """How much of a value of this length is stored; ``None`` and what happened if nothing is."""
    key = scratch.new_key()
    text = ("abcdefghij" * (size // 10 + 1))[:size]
    reply = scratch.add_list([{scratch.key_column: key, _COLUMN: text}])
    if not reply.ok:
        return None, f"the list is refused ({reply.code})"
    try:
        shown = scratch.wait(lambda now: bool(scratch.copies(now, key)), "a long value")
    except UnsettledError:
        return None, "the contact is not stored"
    stored = scratch.value(scratch.copies(shown, key)[0], _COLUMN)
    if not text.startswith(stored):
        raise UnsettledError("a long value was stored as another text")
    return len(stored), ""
