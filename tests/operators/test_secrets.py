"""The plain operators leave no password anywhere, and no person in a log or an error."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from style_extras import CLIENT_SECRET, style_extras
from task_logs import PASSWORD, Logs

from airflow_provider_afilnet.api.settings import STYLES
from airflow_provider_afilnet.operators import contacts, groups
from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator
from airflow_provider_afilnet.sandbox import Sandbox

PHONE, NAME = "34611223344", "Zoraida"
ANA = {"mobile": PHONE, "name": NAME}

Run = Callable[..., Any]


def every_operator(group: str, contact_id: str) -> Iterator[Any]:
    known: dict[str, Any] = {
        "group_id": group,
        "contact_id": contact_id,
        "contact": ANA,
        "contacts": [ANA],
        "field": "city",
        "country": "ESP",
        "name": "spring",
        "group_type": "mobile",
        "fields": ["mobile"],
    }
    for module in (groups, contacts):
        for name, operator in vars(module).items():
            if name.startswith("Afilnet") and name.endswith("Operator") and operator.__module__ == module.__name__:
                needed = {field: known[field] for field in operator.template_fields if field in known}
                # A refresh, which has a test of its own, waits and tries again.
                if "Delete" not in name and not issubclass(operator, AfilnetRefreshOperator):
                    yield operator(task_id=name, **needed)


def told_by(error: BaseException | None) -> Iterator[str]:
    """Everything that an error and all that it comes from, suppressed or not, can be made to say."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield from (str(one), repr(one), repr(vars(one)), "".join(traceback.format_exception(one)))
            todo += [one.__cause__, one.__context__]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "trouble", [None, "wrong password", "http_500", "drop_after", "garbled", "html", "redirect", "down"]
)
def test_no_secret_is_left_behind(
    run_task: Run,
    sandbox: Sandbox,
    afilnet_conn: Callable[..., None],
    logs: Logs,
    style: str,
    trouble: str | None,
) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], [ANA])
    contact_id = sandbox.contacts(group)[0]["idcontact"]
    extra = style_extras(sandbox, style)
    afilnet_conn(extra=extra)
    if trouble == "wrong password":
        sandbox.add_account("demo", "another")
        sandbox.add_client("demo", "an-id", "another")
    elif trouble == "down":
        down = "http://127.0.0.1:9"
        addresses = {name: str(value).replace(sandbox.url, down) for name, value in extra.items()}
        afilnet_conn(host=down, extra=addresses)
    elif trouble == "redirect":
        sandbox.fail("redirect", location="https://example.com/?password=x")
    elif trouble:
        sandbox.fail(trouble)
    left, said = [], []
    tasks = list(every_operator(group, contact_id))
    assert len(tasks) == 9
    for task in tasks:
        result = run_task(task)
        said += told_by(result.error)
        left += [repr(task), repr(vars(task.hook)), json.dumps(result.value, default=repr), repr(result.message)]
        # What the masker is told to mask goes to it in clear.
        left += [repr(message) for message in result.sent if type(message).__name__ != "MaskSecret"]
    assert PASSWORD not in "\n".join(left)
    assert CLIENT_SECRET not in "\n".join(left)
    for secret in (PASSWORD, CLIENT_SECRET, PHONE, NAME):
        assert secret not in "\n".join(said) + logs.text
    if trouble is None:
        assert PHONE in "\n".join(left)  # what was asked for is in XCom, so the search does find things
