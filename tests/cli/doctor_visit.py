"""One visit of the doctor to a sandbox, and what a sandbox's dialect makes true."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afilnet_process import Ended, afilnet, environment_for

from airflow_provider_afilnet.sandbox import Dialect, Sandbox

NO_ID = ("none", "absent")
NO_TRUE_IDS = ("no-ids", "positional")
FOREIGN = [{"mobile": "34600111222", "name": "Ana"}, {"mobile": "447700900123", "name": "Eve"}]


@dataclass
class Visited:
    """The process's end and its report."""

    ended: Ended
    report: dict[str, Any]

    def value(self, question: str) -> Any:
        finding = self.finding(question)
        return finding["value"] if finding["confidence"] != "unknown" else "unknown"

    def finding(self, question: str) -> dict[str, Any]:
        (finding,) = (one for one in self.report["findings"] if one["id"] == question)
        return finding


def visit(box: Sandbox, folder: Path, *arguments: str, **extra: Any) -> Visited:
    """Let the doctor visit; short bounds keep it quick."""
    ended = afilnet(
        "doctor", "--yes", "--report", folder, "--longest-list", "60", *arguments, env=environment_for(box, **extra)
    )
    report = folder / "afilnet-doctor.json"
    return Visited(ended, json.loads(report.read_text()) if report.exists() else {})


def compare(found: Visited, expected: dict[str, Any]) -> None:
    """The findings are as expected, question by question."""
    found_values = {question: found.value(question) for question in expected}
    wrong = {name: (found_values[name], true) for name, true in expected.items() if found_values[name] != true}
    assert not wrong, f"found, true: {wrong}"


CONTACTS = {
    "flat": {"form": "list", "id": "idcontact", "nested": False},
    "flat-id": {"form": "list", "id": "id", "nested": False},
    "nested": {"form": "list", "id": "idcontact", "nested": True},
    "nested-id": {"form": "list", "id": "id", "nested": True},
    "keyed": {"form": "object", "id": "key", "nested": False},
    "keyed-nested": {"form": "object", "id": "key", "nested": True},
    "no-ids": {"form": "list", "id": "none", "nested": False},
    "positional": {"form": "object", "id": "position", "nested": False},
}
IDS = {"no-ids": "none", "positional": "refused"}
NEW_ID = {"none": "null"}
BULK = {"none": "null"}
HTML = {"quotes", "markup", "form characters"}


def truth(dialect: Dialect) -> dict[str, Any]:
    """What is true in a mobile group of this dialect, question by question, whichever way it is looked at."""
    duplicates = "skipped" if dialect.bulk_dedupes else "doubled"
    repeat = {"refused": "FIELD_EXISTS"}.get(dialect.column_repeat, dialect.column_repeat)
    if repeat == "doubled" and dialect.columns == "object":
        repeat = "ignored"  # an object from name to name cannot show a name twice
    return {
        "status_words": dialect.status_case,
        "unknown_method": "INCORRECT_METHOD",
        "unknown_class": "INCORRECT_CLASS",
        "columns_form": dialect.columns,
        "column_repeat": repeat,
        "column_delete": {"gone": True, "again": "success"},
        "empty_group": "empty list",
        "addcontact_answer": NEW_ID.get(dialect.new_id, dialect.new_id),
        "contact_exists": "CONTACT_EXISTS",
        "contacts_form": CONTACTS[dialect.contacts],
        "single_form": dialect.single,
        "contact_ids": IDS.get(dialect.contacts, "stable"),
        "empty_values": {"empty": "empty", "null": "null"}.get(dialect.empty_values, "omit"),
        "numbers": dialect.numbers,
        "bulk_existing": duplicates,
        "bulk_within": duplicates,
        "bulk_answer": BULK.get(dialect.bulk, dialect.bulk),
        "modify_merges": dialect.modify_merges,
        "modify_blank": True,
        # What is sent there is shorter than what truncate leaves, and has no blanks around it.
        "text_values": "HTML-escaped" if dialect.stored_value == "html" else "kept",
        "missing_get": "NOT_ACCESS_TO_CONTACT",
        "missing_modify": dialect.missing_contact_code,
        "missing_delete": dialect.missing_contact_code,
        "value_length": {
            "stored": 20 if dialect.stored_value == "truncate" else 5000,
            "cut": dialect.stored_value == "truncate",
            "refused": None,
        },
        "stored_key": dialect.stored_key,
        "key_plus": "same" if dialect.stored_key == "plus" else "different",
        "country_case": "both" if dialect.country_case == "any" else dialect.country_case,
        "unknown_country": "COUNTRY_NOT_FOUND",
        "list_length": {"accepted": 60, "refused": None, "why": ""},
        "rate_limits": [],
        "reads_late": 0.0,
        "soap": "unknown",
        "oauth": "unknown",
    }


def changed_values(dialect: Dialect) -> dict[str, str]:
    """The kinds of values that this dialect changes, and how."""
    changed: dict[str, str] = {}
    if dialect.stored_value == "trim":
        changed["blanks around"] = "trimmed"
    if dialect.stored_value == "html":
        changed |= dict.fromkeys(HTML, "HTML-escaped")
    if dialect.numbers == "number":
        changed["leading zeros"] = "without leading zeros"
    return changed


def true_facts(dialect: Dialect) -> dict[str, bool]:
    """The ``api_facts`` of this dialect, as far as contacts go."""
    return {"bulk_dedupes": dialect.bulk_dedupes, "modify_merges": dialect.modify_merges}
