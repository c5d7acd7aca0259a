"""What to put into the connection and the refresh options, from what was found."""

from __future__ import annotations

from typing import Any, Final

from airflow_provider_afilnet.cli.doctor.findings import Findings

_BATCH_SIZE: Final = 500
_SAFE: Final = ("skipped", "overwritten")
_GIVES_ID: Final = {"scalar": True, "object": True, "list": True, "null": False, "absent": False, "foreign": False}


def api_facts(findings: Findings) -> dict[str, bool]:
    """The connection's extra ``api_facts``: only what is certain."""
    facts: dict[str, bool] = {}
    existing, within = findings.value("bulk_existing"), findings.value("bulk_within")
    if "doubled" in (existing, within):
        facts["bulk_dedupes"] = False
    elif existing in _SAFE and within in _SAFE:
        facts["bulk_dedupes"] = True
    if findings.value("modify_merges") is not None:
        facts["modify_merges"] = findings.value("modify_merges")
    gives_id = _GIVES_ID.get(findings.value("creategroup_answer") or "")
    if gives_id is not None:
        facts["creategroup_returns_id"] = gives_id
    return facts


def recommended(findings: Findings) -> dict[str, Any]:
    """Refresh options that differ from their defaults, each with the reason."""
    options: dict[str, Any] = {}
    longest = findings.value("list_length")
    if longest is not None and longest["accepted"] < _BATCH_SIZE:
        options["batch_size"] = {
            "value": max(1, longest["accepted"]),
            "why": f"a list of {longest['accepted']} contacts was stored whole, and one of {longest['refused']} not",
        }
    changed = findings.value("stored_values")
    limit = findings.value("value_length")
    reasons = [f"{kind}: {what}" for kind, what in (changed or {}).items() if what != "kept"]
    if limit is not None and limit["cut"]:
        reasons.append(f"values are cut after {limit['stored']} characters")
    if reasons:
        options["lossy_fields"] = {
            "value": "<your fields that hold such values>",
            "why": f"what is stored differs from what is sent ({'; '.join(reasons)})",
        }
    if findings.value("stored_key") == "national":
        options["default_region"] = {
            "value": "<the two letters of the group's country>",
            "why": "keys lose the code of the group's country",
        }
    return options
