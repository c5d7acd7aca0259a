"""Every operator in a life of one group, in every dialect that the documents leave open: the results stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest

from airflow_provider_afilnet.operators.contacts import (
    AfilnetAddContactListOperator,
    AfilnetAddContactOperator,
    AfilnetDeleteContactOperator,
    AfilnetGetContactOperator,
    AfilnetGetContactsOperator,
    AfilnetModifyContactOperator,
)
from airflow_provider_afilnet.operators.groups import (
    AfilnetAddGroupColumnOperator,
    AfilnetAssignCountryOperator,
    AfilnetCreateGroupOperator,
    AfilnetDeleteGroupColumnOperator,
    AfilnetDeleteGroupOperator,
    AfilnetGetGroupColumnsOperator,
)
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.dialect import dialects_of

Run = Callable[..., Any]

ANA = {"mobile": "34600000001", "name": "Ana <1>  ", "city": "Soria"}
BEN = {"mobile": "34600000002", "name": "Ben, the second: a name that is long"}
EVA = {"mobile": "34600000003", "name": "Eva"}


def every_dialect() -> Iterator[Any]:
    for field in fields(Dialect):
        for value in dialects_of(field.name) or ("NOT_ACCESS_TO_CONTACT",):
            yield pytest.param({field.name: value}, id=f"{field.name}={value}")


def as_stored(contact: dict[str, str], dialect: dict[str, Any]) -> dict[str, str]:
    """What such a server makes of a contact; the rest of the results must not depend on the dialect at all."""
    change: dict[str, Callable[[str], str]] = {
        "trim": str.strip,
        "html": lambda text: text.replace("<", "&lt;").replace(">", "&gt;"),
        "truncate": lambda text: text[:20],
        "plus": lambda text: f"+{text}",
        "national": lambda text: text.removeprefix("34"),
    }
    key = change.get(dialect.get("stored_key", ""), str)
    value = change.get(dialect.get("stored_value", ""), str)
    return {name: (key if name == "mobile" else value)(text) for name, text in contact.items()}


@pytest.mark.parametrize("dialect", every_dialect())
def test_the_results_are_the_same_in(
    run_task: Run, sandbox: Sandbox, afilnet_conn: Callable[..., None], dialect: dict[str, Any]
) -> None:
    sandbox.dialect = Dialect(**dialect)
    knows_new_ids = dialect.get("new_id") not in ("none", "absent")

    def run(operator: Any, **arguments: Any) -> Any:
        result = run_task(operator(task_id="t", **arguments))
        assert result.state == "success", (operator.__name__, result.error)
        return result.value

    columns = ["mobile", "name"]
    created = run(AfilnetCreateGroupOperator, name="g", group_type="mobile", fields=columns, require_id=knows_new_ids)
    group = {"group_id": sandbox.groups()[0]["id"]}
    assert created == (group["group_id"] if knows_new_ids else None)
    assert run(AfilnetGetGroupColumnsOperator, **group) == columns
    assert run(AfilnetAddGroupColumnOperator, field="city", **group) is None
    if dialect.get("country_case") == "upper":
        # The documents' own example is in small letters, so a server that wants others is told as its error.
        refused = run_task(AfilnetAssignCountryOperator(task_id="t", country="Spain", **group))
        assert (refused.state, "COUNTRY_NOT_FOUND" in str(refused.error)) == ("failed", True)
    else:
        assert run(AfilnetAssignCountryOperator, country="Spain", **group) is None
    assert run(AfilnetGetGroupColumnsOperator, **group) == [*columns, "city"]

    added = run(AfilnetAddContactOperator, contact=ANA, **group)
    assert run(AfilnetAddContactListOperator, contacts=[BEN, EVA], **group)["sent"] == 2
    ids = [contact["idcontact"] for contact in sandbox.contacts(group["group_id"])]
    assert added == (ids[0] if knows_new_ids else None)

    def told(contact: dict[str, str], number: int, listed: bool = False) -> dict[str, str]:
        shape = dialect.get("contacts")
        contact_id = {"no-ids": None, "positional": str(number)}.get(shape, ids[number]) if listed else ids[number]
        return {**({"idcontact": contact_id} if contact_id else {}), **as_stored(contact, dialect)}

    def without_blanks(contact: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in contact.items() if value}

    read = [without_blanks(contact) for contact in run(AfilnetGetContactsOperator, **group)]
    assert read == [told(contact, number, True) for number, contact in enumerate((ANA, BEN, EVA))]
    one = run(AfilnetGetContactOperator, contact_id=ids[1], **group)
    assert without_blanks(one) == told(BEN, 1)

    changed = {**EVA, "name": "Eve", "city": "Lugo"}
    assert run(AfilnetModifyContactOperator, contact_id=ids[2], contact=changed, **group) is None
    assert run(AfilnetGetContactOperator, contact_id=ids[2], **group) == told(changed, 2)
    assert run(AfilnetDeleteContactOperator, contact_id=ids[0], **group) is None
    assert run(AfilnetDeleteContactOperator, contact_id=ids[0], ignore_missing=True, **group) is None
    assert len(run(AfilnetGetContactsOperator, **group)) == 2
    assert run(AfilnetDeleteGroupColumnOperator, field="city", **group) is None
    assert run(AfilnetGetGroupColumnsOperator, **group) == columns
    assert run(AfilnetDeleteGroupOperator, **group) is None
    assert run(AfilnetDeleteGroupOperator, ignore_missing=True, **group) is None
    assert sandbox.groups() == []
