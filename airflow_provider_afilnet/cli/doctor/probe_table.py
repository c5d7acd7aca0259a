"""The probes in their order: each builds on the contacts that the ones before it have added."""

from __future__ import annotations

from typing import Final

from airflow_provider_afilnet.cli.doctor import bulk_probes, contact_probes, group_probes, key_probes, value_probes
from airflow_provider_afilnet.cli.doctor.visit import Probe

PROBES: Final = (
    Probe("columns", ("columns_form",), group_probes.columns_form),
    Probe("empty group", ("empty_group",), group_probes.empty_group),
    Probe("new columns", ("column_repeat",), group_probes.add_columns),
    Probe(
        "first contact",
        ("addcontact_answer", "contacts_form", "single_form", "empty_values", "contact_ids"),
        contact_probes.first_contact,
    ),
    Probe("second contact", ("numbers", "contact_exists"), contact_probes.second_contact),
    Probe("changes", ("modify_merges", "modify_blank"), contact_probes.merge),
    Probe("text form", ("text_values",), contact_probes.text_values),
    Probe("ids", ("contact_ids", "missing_get", "missing_modify", "missing_delete"), contact_probes.stable_ids),
    Probe("duplicates", ("bulk_existing", "bulk_within", "bulk_answer"), bulk_probes.duplicates, adds_many=True),
    Probe("values", ("stored_values",), value_probes.characters, adds_many=True),
    Probe("long values", ("value_length",), value_probes.length, adds_many=True),
    Probe(
        "phones",
        ("stored_key", "key_plus", "country_case", "unknown_country"),
        key_probes.phone_forms,
        kinds=("mobile",),
    ),
    Probe("country", ("country_case", "unknown_country"), group_probes.country, kinds=("email",)),
    Probe("e-mails", ("email_case",), key_probes.email_case, kinds=("email",)),
    Probe("long lists", ("list_length",), bulk_probes.long_lists, adds_many=True),
    Probe("column deletion", ("column_delete",), group_probes.delete_column),
)

EMAIL_PROBES: Final = tuple(probe for probe in PROBES if probe.name == "e-mails")
"""What is asked of the second group, of type e-mail, that the doctor makes."""
