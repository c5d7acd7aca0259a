"""Probes of the group itself: its columns, its country, how it looks while it is empty."""

from __future__ import annotations

from typing import Any

from airflow_provider_afilnet.api.answers import read_new_id
from airflow_provider_afilnet.cli.doctor.observer import Reply
from airflow_provider_afilnet.cli.doctor.scratch import COLUMNS, Scratch, UnsettledError
from airflow_provider_afilnet.cli.doctor.visit import Visit

_COUNTRY = "gbr"
_NO_COUNTRY = "zzz"


def id_form(reply: Reply, name: str) -> str:
    """In which form an answer holds a new id: ``scalar``, ``object``, ``list``, ``null``, ``absent``, ``other``."""
    if reply.form == "no result":
        return "absent"
    if reply.result is None:
        return "null"
    if read_new_id(reply.result, name) is None:
        return "other"
    if isinstance(reply.result, list):
        return "list"
    return "object" if isinstance(reply.result, dict) else "scalar"


def said_id(form: str) -> str:
    """The form of an id in words."""
    return {
        "absent": "no: the answer has no result",
        "null": "no: the result is null",
        "other": "no: the result holds nothing that looks like an id",
        "scalar": "yes, as the result itself",
        "object": "yes, in an object",
        "list": "yes, in a list of one",
    }[form]


def columns_form(visit: Visit, scratch: Scratch) -> None:
    """The shape of ``getgroupcolumns``."""
    result: Any = scratch.observer.ask("getgroupcolumns", idgroup=scratch.group_id).result
    if isinstance(result, str):
        form = "text"
    elif isinstance(result, list):
        form = "names" if isinstance(result[0], str) else "objects"
    else:
        form = "positions" if all(str(key).isdecimal() for key in result) else "object"
    said = {
        "text": "one text with commas",
        "names": "a list of names",
        "objects": "a list of objects",
        "positions": "an object from position to name",
        "object": "an object whose keys are the names",
    }
    visit.settle_question("columns_form", form, f"{said[form]}; it was understood.")


def empty_group(visit: Visit, scratch: Scratch) -> None:
    """What an empty group answers, which must not be mistaken for a failed read."""
    reply = scratch.observer.ask("getcontacts", idgroup=scratch.group_id)
    visit.settle_question("empty_group", reply.form or reply.code, f"{reply}.")


def add_columns(visit: Visit, scratch: Scratch) -> None:
    """Make the doctor's columns, and one of them twice."""
    present = {name.lower() for name in scratch.read_columns()}
    for name in COLUMNS:
        if name not in present:
            reply = scratch.add_column(name)
            if not reply.ok:
                raise UnsettledError(f"addcolumntogroup was refused with {reply.code}")
    before = scratch.read_columns()
    again = scratch.add_column(COLUMNS[1])
    after = _names(scratch)
    scratch.columns = before
    if not again.ok:
        visit.settle_question("column_repeat", again.code, f"it is refused with {again.code}.")
    elif after.count(COLUMNS[1]) > 1:
        visit.settle_question("column_repeat", "doubled", "it makes a second column of the same name.")
    elif len(after) > len(before):
        visit.settle_question("column_repeat", "renamed", "it makes another column under another name.")
    else:
        visit.settle_question("column_repeat", "ignored", "it succeeds and changes nothing.")


def _names(scratch: Scratch) -> list[str]:
    """The names now; a name that comes twice, which the usual reading refuses, is what is looked for here."""
    result = scratch.observer.ask("getgroupcolumns", idgroup=scratch.group_id).result
    if isinstance(result, str):
        return [name.strip().lower() for name in result.split(",")]
    items = list(result.values() if isinstance(result, dict) else result)
    if isinstance(result, dict) and not all(str(key).isdecimal() for key in result):
        items = list(result)
    values = (next(iter(item.values()), "") if isinstance(item, dict) else item for item in items)
    return [str(value).strip().lower() for value in values]


def delete_column(visit: Visit, scratch: Scratch) -> None:
    """Delete a column, and again."""
    first = scratch.delete_column(COLUMNS[1])
    if not first.ok:
        raise UnsettledError(f"deletecolumnfromgroup was refused with {first.code}")
    gone = COLUMNS[1] not in [name.lower() for name in scratch.read_columns()]
    again = scratch.delete_column(COLUMNS[1])
    visit.settle_question(
        "column_delete",
        {"gone": gone, "again": again.code or "success"},
        f"the column is {'gone' if gone else 'still there'}; for a column that is not there it answers "
        f"{again.code or 'success'}.",
    )


def country(visit: Visit, scratch: Scratch) -> None:
    """The case of countries, the code of one that does not exist, and what a country does to keys."""
    if not visit.set_country:
        for question in ("country_case", "unknown_country"):
            visit.findings.leave(question, "Not asked: --keep-country.")
        return
    unknown = _assign(scratch, _NO_COUNTRY)
    visit.settle_question("unknown_country", unknown.code or "success", f"{unknown.code or 'success'}.")
    upper, lower = _assign(scratch, _COUNTRY.upper()), _assign(scratch, _COUNTRY)
    value = {(True, True): "both", (True, False): "lower", (False, True): "upper"}.get((lower.ok, upper.ok), "neither")
    said = {"both": "both do", "lower": "small letters only", "upper": "capitals only", "neither": "neither does"}
    code = "" if value == "both" else f"; the other answers {lower.code or upper.code}"
    visit.settle_question("country_case", value, f"{said[value]}{code}.")


def _assign(scratch: Scratch, name: str) -> Reply:
    return scratch.observer.ask("assigncountrytogroup", idgroup=scratch.group_id, countryiso3=name)
