"""Probes of ``addcontactlist``: duplicates, its answer, and how long a list may be."""

from __future__ import annotations

from typing import Any

from airflow_provider_afilnet.api.errors import AfilnetConnectionError, AfilnetCredentialsError, AfilnetError
from airflow_provider_afilnet.cli.doctor.observer import Reply
from airflow_provider_afilnet.cli.doctor.scratch import COLUMNS, Scratch, UnsettledError
from airflow_provider_afilnet.cli.doctor.visit import Visit

_FIRST = COLUMNS[0]
_SAID = {
    "skipped": "it is passed over",
    "overwritten": "the stored contact takes the new values",
    "doubled": "it is there twice",
    "skipped, the last counts": "the last one is stored",
}


def duplicates(visit: Visit, scratch: Scratch) -> None:
    """One list with a key that is there, a new key twice, and a new key that must appear."""
    there, twice, marker = scratch.new_key(), scratch.new_key(), scratch.new_key()
    known = scratch.add_list([_row(scratch, there, "before")])
    if not known.ok:
        raise UnsettledError(f"addcontactlist was refused with {known.code}")
    scratch.wait(lambda now: bool(scratch.copies(now, there)), "a list that was added")
    rows = [_row(scratch, there, "after"), _row(scratch, twice, "one"), _row(scratch, twice, "other")]
    reply = scratch.add_list([*rows, _row(scratch, marker, "marker")])
    if reply.ok:
        _answer(visit, reply)
        _existing(visit, scratch, there, marker)
        _within(visit, scratch, twice, marker)
        return
    _answer(visit, known)
    # Refused as a whole: which of the two is it?
    one, other = scratch.new_key(), scratch.new_key()
    reply = scratch.add_list([rows[0], _row(scratch, one, "marker")])
    if reply.ok:
        _existing(visit, scratch, there, one)
    else:
        visit.settle_question("bulk_existing", "refused", f"the whole list is refused with {reply.code}.")
    reply = scratch.add_list([*rows[1:], _row(scratch, other, "marker")])
    if reply.ok:
        _within(visit, scratch, twice, other)
    else:
        visit.settle_question("bulk_within", "refused", f"the whole list is refused with {reply.code}.")


def _row(scratch: Scratch, key: str, value: str) -> dict[str, str]:
    return {scratch.key_column: key, _FIRST: value}


def _existing(visit: Visit, scratch: Scratch, there: str, marker: str) -> None:
    shown = scratch.wait(lambda now: bool(scratch.copies(now, marker)), "a list that was added")
    copies = scratch.copies(shown, there)
    value = "doubled" if len(copies) > 1 else "skipped"
    if value == "skipped" and scratch.value(copies[0], _FIRST) == "after":
        value = "overwritten"
    visit.settle_question("bulk_existing", value, f"{_SAID[value]}.")


def _within(visit: Visit, scratch: Scratch, twice: str, marker: str) -> None:
    shown = scratch.wait(lambda now: bool(scratch.copies(now, marker)), "a list that was added")
    copies = scratch.copies(shown, twice)
    if not copies:
        raise UnsettledError("a key that came twice was not stored at all")
    if len(copies) > 1:
        visit.settle_question("bulk_within", "doubled", f"{_SAID['doubled']}.")
        return
    last = scratch.value(copies[0], _FIRST) == "other"
    said = _SAID["skipped, the last counts"] if last else "the first one is stored"
    visit.settle_question("bulk_within", "skipped", f"{said}, once.")


def _answer(visit: Visit, reply: Reply) -> None:
    result: Any = reply.result
    if reply.form == "no result":
        value, said = "absent", "nothing: the answer has no result"
    elif result is None:
        value, said = "null", "nothing: the result is null"
    elif isinstance(result, dict):
        value, said = "counts", reply.form
    elif isinstance(result, list):
        value, said = "ids", f"{reply.form}, {len(result)} of them for 4 contacts"
    else:
        value, said = "number", "one number or text"
    visit.settle_question("bulk_answer", value, f"{said}.")


def long_lists(visit: Visit, scratch: Scratch) -> None:
    """A quarter, a half and the whole of the longest list to try; below that, halves until one is stored whole."""
    bound = visit.longest_list
    accepted, refused, why = 0, None, ""
    for size in dict.fromkeys((max(1, bound // 4), max(1, bound // 2), bound)):
        why = _stores(scratch, size)
        if why:
            refused = size
            break
        accepted = size
    while not accepted and refused and refused > 1:
        smaller = refused // 2
        said = _stores(scratch, smaller)
        if said:
            refused, why = smaller, said
        else:
            accepted = smaller
    visit.settle_question(
        "list_length",
        {"accepted": accepted, "refused": refused, "why": why},
        f"{accepted} contacts were stored and shown whole; longer ones were not tried."
        if refused is None
        else f"{accepted} contacts were stored whole; of {refused}, {why}.",
        "likely" if refused is None else "certain",
    )


def _stores(scratch: Scratch, size: int) -> str:
    """Add a list of this length; blank if all of it is stored and shown, else what happened."""
    keys = scratch.list_keys(size)
    try:
        reply = scratch.add_list({scratch.key_column: key} for key in keys)
    except (AfilnetConnectionError, AfilnetCredentialsError):
        raise
    except AfilnetError as error:
        return str(error).rstrip(".")
    if not reply.ok:
        return f"the whole list was refused with {reply.code}"
    tails = {scratch.tail(key) for key in keys}
    seen = 0

    def all_there(now: list[Any]) -> bool:
        nonlocal seen
        seen = len(tails & {scratch.tail(scratch.key_of(one)) for one in now})
        return seen == size

    try:
        scratch.wait(all_there, "the whole list")
    except UnsettledError:
        return f"only {seen} showed"
    return ""
