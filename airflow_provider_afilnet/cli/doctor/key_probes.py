"""Probes of keys: how they are stored, and which spellings are the same contact."""

from __future__ import annotations

from airflow_provider_afilnet.cli.doctor.group_probes import country
from airflow_provider_afilnet.cli.doctor.scratch import Scratch, UnsettledError
from airflow_provider_afilnet.cli.doctor.visit import Visit

_CALLING_CODE = "44"


def _form(sent: str, stored: str) -> str:
    national = sent.removeprefix(_CALLING_CODE)
    forms = {sent: "as-sent", f"+{sent}": "plus", f"00{sent}": "zeros", national: "national", f"0{national}": "trunk"}
    return forms.get(stored, "other")


_SAID = {
    "as-sent": "as sent, digits with the country code",
    "plus": "with a plus in front",
    "zeros": "with 00 in front",
    "national": "without the country code",
    "trunk": "without the country code, with a 0 in front",
    "other": "in another form",
}


def phone_forms(visit: Visit, scratch: Scratch) -> None:
    """How a phone is stored, with and without a country; and whether a plus makes another contact."""
    shown = scratch.read() or []
    before = _form(scratch.second_key, scratch.key_of(scratch.the(shown, scratch.second_key)))
    plain = _added(scratch, scratch.new_key())
    reply = scratch.add({scratch.key_column: f"+{plain}"})
    if reply.code == "CONTACT_EXISTS":
        visit.settle_question("key_plus", "same", "yes: it answers CONTACT_EXISTS.")
    elif reply.ok:
        visit.settle_question("key_plus", "different", "no: it makes a second contact, so keys must be sent one way.")
    else:
        visit.settle_question("key_plus", reply.code, f"a phone with a plus is refused with {reply.code}.")
    country(visit, scratch)
    if not visit.set_country:
        visit.settle_question("stored_key", before, f"{_SAID[before]}; what a country changes was not asked.", "likely")
        return
    key = _added(scratch, scratch.new_key())
    after = _form(key, scratch.key_of(scratch.the(scratch.read() or [], key)))
    more = f", and {_SAID[after]} once the group has that country" if after != before else ""
    visit.settle_question("stored_key", after, f"{_SAID[before]}{more}.")


def _added(scratch: Scratch, key: str) -> str:
    reply = scratch.add({scratch.key_column: key})
    if not reply.ok:
        raise UnsettledError(f"addcontact was refused with {reply.code}")
    scratch.wait(lambda now: bool(scratch.copies(now, key)), "a contact that was added")
    return key


def email_case(visit: Visit, scratch: Scratch) -> None:
    """How an e-mail with capitals is stored, and whether capitals make another contact."""
    lower = scratch.new_key()
    mixed = "-".join(part.capitalize() for part in lower.split("-")).replace("example.com", "Example.com")
    _added(scratch, mixed)
    stored = scratch.key_of(scratch.the(scratch.read() or [], mixed))
    kept = "with its capitals" if stored == mixed else "in small letters" if stored == lower else "in another form"
    reply = scratch.add({scratch.key_column: lower})
    if reply.code == "CONTACT_EXISTS":
        visit.settle_question("email_case", "same", f"no: stored {kept}; in small letters it answers CONTACT_EXISTS.")
    elif reply.ok:
        visit.settle_question("email_case", "different", f"yes: stored {kept}; in small letters it is another contact.")
    else:
        visit.settle_question("email_case", reply.code, f"stored {kept}; in small letters: {reply.code}.")
