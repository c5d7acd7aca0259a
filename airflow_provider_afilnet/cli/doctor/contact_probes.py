"""Probes of single contacts: ids, shapes, what changes and deletions do, what a missing contact answers."""

from __future__ import annotations

from typing import Any

from airflow_provider_afilnet.api.answers import ID_NAMES
from airflow_provider_afilnet.cli.doctor.group_probes import id_form, said_id
from airflow_provider_afilnet.cli.doctor.observer import Reply
from airflow_provider_afilnet.cli.doctor.scratch import COLUMNS, Scratch, Shown, UnsettledError
from airflow_provider_afilnet.cli.doctor.transformations import what_became_of
from airflow_provider_afilnet.cli.doctor.visit import Visit

_FIRST, _SECOND = COLUMNS
_HOSTILE = 'a&b=c%20+d#e"é'


class NotEmptyError(Exception):
    """The group of the user holds somebody; ``args[0]`` is the sentence."""


def first_contact(visit: Visit, scratch: Scratch) -> None:
    """The first contact tells the shapes, and whether ids work."""
    key = scratch.first_key
    reply = scratch.add({scratch.key_column: key})
    if not reply.ok:
        raise UnsettledError(f"addcontact was refused with {reply.code}")
    form = id_form(reply, "idcontact")
    visit.settle_question("addcontact_answer", form, f"{said_id(form)}.")
    try:
        shown = scratch.wait(lambda now: bool(scratch.copies(now, key)), "a contact that was added")
    except UnsettledError:
        scratch.stuck = not scratch.ours
        raise
    if scratch.ours and scratch.has_strangers:
        raise UnsettledError(f"group {scratch.group_id}, which the doctor made, holds somebody else's contacts")
    if not all(scratch.is_own(one) for one in shown):
        raise NotEmptyError(f"Group {scratch.group_id} is not empty; give an empty group, or use --create.")
    one = scratch.the(shown, key)
    scratch.ids_work = scratch.answers_to(one.record.id, key)
    contact_id = scratch.id_of(shown, key)
    scratch.stuck = contact_id is None and not scratch.ours
    _contacts_form(visit, scratch, one)
    _empty_values(visit, scratch, one)
    if contact_id is None:
        raise UnsettledError("no id that works is known, so getcontact cannot be asked")
    _single_form(visit, scratch, contact_id)


def _contacts_form(visit: Visit, scratch: Scratch, one: Shown) -> None:
    result: Any = scratch.last_result
    keyed = isinstance(result, dict)
    item = next(iter(result.values())) if keyed else result[0]
    names = {str(name).lower() for name in item}
    beside = next((name for name in ID_NAMES if name in names), None)
    where: str = beside or ("key" if keyed else "none")
    if where == "key" and not scratch.ids_work:
        where = "position"
    nested = one.raw is not item
    said = {"key": "the id as its key", "position": "a position as its key", "none": "no id"}.get(
        where, f"its id under {where!r}"
    )
    visit.settle_question(
        "contacts_form",
        {"form": "object" if keyed else "list", "id": where, "nested": nested},
        f"{'an object' if keyed else 'a list'} of contacts, each with {said} and its fields "
        f"{'under fields' if nested else 'beside it' if beside else 'in it'}; it was understood.",
    )


def _empty_values(visit: Visit, scratch: Scratch, one: Shown) -> None:
    names = {str(name).lower(): value for name, value in one.raw.items()}
    present = [name.lower() for name in scratch.columns]
    column = next((name for name in present if name not in (scratch.kind, *ID_NAMES)), None)
    if column is None:
        visit.findings.leave("empty_values", "Not asked: the group has no other column.")
        return
    if column not in names:
        visit.settle_question("empty_values", "omit", "it is left out.")
    elif names[column] is None:
        visit.settle_question("empty_values", "null", "as null.")
    else:
        visit.settle_question("empty_values", "empty", "as an empty text.")


def _single_form(visit: Visit, scratch: Scratch, contact_id: str) -> None:
    result: Any = scratch.observer.ask("getcontact", idgroup=scratch.group_id, idcontact=contact_id).result
    if isinstance(result, list):
        form, said = "list", "a list of one contact"
    elif isinstance(result, dict) and list(result) == [contact_id]:
        form, said = "keyed", "an object with the id as its only key"
    else:
        form, said = "object", "the contact as an object"
    visit.settle_question("single_form", form, f"{said}; it was understood.")


def second_contact(visit: Visit, scratch: Scratch) -> None:
    """A contact with values: how digits are shown, how its key is stored, what the same key answers again."""
    key = scratch.second_key
    reply = scratch.add({scratch.key_column: key, _FIRST: "12345", _SECOND: "two"})
    if not reply.ok:
        raise UnsettledError(f"addcontact with values was refused with {reply.code}")
    shown = scratch.wait(lambda now: bool(scratch.copies(now, key)), "a contact that was added")
    one = scratch.the(shown, key)
    raw = next((value for name, value in one.raw.items() if str(name).lower() == _FIRST), None)
    # The client keeps a number's text in a type of its own; what was text in the answer is plain.
    if type(raw) is str:
        visit.settle_question("numbers", "text", "as text.")
    elif raw is not None:
        visit.settle_question("numbers", "number", "as JSON numbers, which cannot keep leading zeros.")
    again = scratch.add({scratch.key_column: key})
    if again.ok:
        visit.settle_question("contact_exists", "success", "success: the key is there twice, or was overwritten.")
    else:
        visit.settle_question("contact_exists", again.code, f"{again.code}.")


def merge(visit: Visit, scratch: Scratch) -> None:
    """Whether a change keeps what it does not name, and whether it can blank a value."""
    key = scratch.second_key
    shown = scratch.read() or []
    one = scratch.the(shown, key)
    contact_id = scratch.id_of(shown, key)
    if contact_id is None:
        raise UnsettledError("no id that works is known")
    if not scratch.value(one, _SECOND):
        raise UnsettledError("the contact was not stored with its values")
    stored_key = scratch.key_of(one)

    def change(**values: str) -> Shown:
        reply = scratch.modify(contact_id, {scratch.key_column: stored_key, **values})
        if not reply.ok:
            raise UnsettledError(f"modifycontact was refused with {reply.code}")
        after = scratch.wait(
            lambda now: any(scratch.value(found, _FIRST) == values[_FIRST] for found in scratch.copies(now, key)),
            "a change that was acknowledged",
        )
        return scratch.the(after, key)

    merges = scratch.value(change(**{_FIRST: "three"}), _SECOND) != ""
    visit.settle_question(
        "modify_merges",
        merges,
        "yes: fields that are not sent stay as they are." if merges else "no: fields that are not sent are emptied.",
    )
    change(**{_FIRST: "four", _SECOND: "again"})
    kept = scratch.value(change(**{_FIRST: "five", _SECOND: ""}), _SECOND)
    visit.settle_question("modify_blank", not kept, "no: an empty value is ignored." if kept else "yes.")


def text_values(visit: Visit, scratch: Scratch) -> None:
    """Characters that the text form of a contact, or a form on its way, may damage."""
    key = scratch.second_key
    shown = scratch.read() or []
    contact_id = scratch.id_of(shown, key)
    if contact_id is None:
        raise UnsettledError("no id that works is known")
    stored_key = scratch.key_of(scratch.the(shown, key))
    before = scratch.value(scratch.the(shown, key), _FIRST)
    reply = scratch.modify(contact_id, {scratch.key_column: stored_key, _FIRST: _HOSTILE})
    if not reply.ok:
        visit.settle_question("text_values", reply.code, f"& = % + # quotes and accents are refused with {reply.code}.")
        return
    after = scratch.wait(
        lambda now: any(scratch.value(found, _FIRST) != before for found in scratch.copies(now, key)),
        "a change that was acknowledged",
    )
    what = what_became_of(_HOSTILE, scratch.value(scratch.the(after, key), _FIRST))
    visit.settle_question(
        "text_values", what, f"& = % + # quotes and accents are {what}; commas and colons are never sent that way."
    )


def stable_ids(visit: Visit, scratch: Scratch) -> None:
    """Delete the first contact: the second one's id must stay. Then ask for the one that is gone."""
    first, second = scratch.first_key, scratch.second_key
    shown = scratch.read() or []
    gone = scratch.id_of(shown, first)
    before = scratch.the(shown, second).record.id
    if before is None:
        visit.settle_question("contact_ids", "none", "getcontacts shows no ids, so a refresh can only insert.")
    elif not scratch.ids_work:
        visit.settle_question(
            "contact_ids", "refused", "no: getcontact does not know what getcontacts shows; they may be positions."
        )
    if gone is None:
        raise UnsettledError("no id that works is known, so nothing could be deleted")
    reply = scratch.delete(gone)
    if not reply.ok:
        raise UnsettledError(f"deletecontact was refused with {reply.code}")
    shown = scratch.wait(lambda now: not scratch.copies(now, first), "that a contact was deleted")
    if before is not None and scratch.ids_work:
        same = scratch.the(shown, second).record.id == before
        visit.settle_question(
            "contact_ids",
            "stable" if same else "changing",
            "yes: getcontact knows them, and they stay when another contact is deleted."
            if same
            else "no: they change when another contact is deleted, so nothing may be changed or deleted by them.",
        )
    _missing(visit, scratch, gone, first)


def _missing(visit: Visit, scratch: Scratch, contact_id: str, key: str) -> None:
    """What a contact that is gone answers; ``success`` where it is passed over in silence."""

    def settle(question: str, reply: Reply, more: str = "") -> None:
        word = reply.code or f"success with {reply.form}"
        visit.settle_question(question, reply.code or "success", f"{word}{more}.")

    settle("missing_get", scratch.observer.ask("getcontact", idgroup=scratch.group_id, idcontact=contact_id))
    changed = scratch.modify(contact_id, {scratch.key_column: key, _FIRST: "ghost"})
    back = changed.ok and bool(scratch.copies(scratch.read() or [], key))
    settle("missing_modify", changed, ", and the contact is there again" if back else "")
    settle("missing_delete", scratch.delete(contact_id))
