"""Every hook method over real HTTP, in every dialect that the documents leave open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_of import VERSION
from style_extras import style_extras

from airflow_provider_afilnet import exceptions
from airflow_provider_afilnet.api.settings import STYLES
from airflow_provider_afilnet.hooks.afilnet import AfilnetHook, extra_of
from airflow_provider_afilnet.sandbox import Dialect, Sandbox

ANA = {"mobile": "34600000001", "name": "Ana"}
BEN = {"mobile": "34600000002", "name": "Ben"}

CONTACT_FORMS = ("flat", "flat-id", "nested", "nested-id", "keyed", "keyed-nested")


@pytest.fixture
def hook(afilnet_conn: Callable[..., None]) -> Iterator[AfilnetHook]:
    with AfilnetHook() as made:
        yield made


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"], [ANA, BEN])


@pytest.mark.parametrize("new_id", ["scalar", "object", "list", "none", "absent"])
@pytest.mark.parametrize("numbers", ["text", "number"])
def test_create_group_in_every_form_of_answer(hook: AfilnetHook, sandbox: Sandbox, new_id: str, numbers: str) -> None:
    sandbox.dialect = Dialect(new_id=new_id, numbers=numbers)
    group_id = hook.create_group("spring", "email", ["email", "name"])
    (made,) = sandbox.groups()
    assert group_id == (made["id"] if new_id in ("scalar", "object", "list") else None)
    assert (made["name"], made["type"], made["fields"]) == ("spring", "email", ["email", "name"])


def test_create_group_takes_fields_as_text(hook: AfilnetHook, sandbox: Sandbox) -> None:
    hook.create_group("spring", "mobile", " mobile , name ")
    assert sandbox.groups()[0]["fields"] == ["mobile", "name"]


@pytest.mark.parametrize(
    ("group_type", "fields", "says"),
    [
        ("fax", ["fax"], "'mobile' or 'email'"),
        ("mobile", ["name"], "fields must hold 'mobile'"),
        ("mobile", [], "fields is empty"),
        ("mobile", "mobile,,name", "a name in fields must be text with something in it"),
        ("mobile", ["mobile", "a,b"], "holds a comma"),
        ("mobile", ["mobile", "Name", "name"], "named twice"),
        ("mobile", {"mobile": "x"}, "must be a list of names"),
        ("mobile", 5, "must be a list of names"),
        ("mobile", ["mobile", None], "a name in fields must be text with something in it"),
        ("mobile", ["mobile", 5], "a name in fields must be text, not int"),
        ("mobile", ["mobile", "none"], "not 'none'"),
        ("mobile", "", "fields is empty"),
        ("mobile", "None", "fields is empty"),
        ("mobile", None, "must be a list of names"),
        ("mobile", b"mobile", "must be a list of names"),
        ("mobile", ["mobile", "a:b"], "holds a colon"),
        ("mobile", ["mobile", "IdContact"], "is reserved"),
    ],
)
def test_create_group_checks_before_sending(
    hook: AfilnetHook, sandbox: Sandbox, group_type: str, fields: object, says: str
) -> None:
    with pytest.raises(exceptions.AfilnetInvalidRequestError, match=says):
        hook.create_group("spring", group_type, fields)  # type: ignore[arg-type]
    assert sandbox.calls == []


@pytest.mark.parametrize("columns", ["names", "objects", "object", "positions", "text"])
@pytest.mark.parametrize("status_case", ["upper", "lower", "mixed"])
def test_columns_in_every_form(hook: AfilnetHook, sandbox: Sandbox, group: str, columns: str, status_case: str) -> None:
    sandbox.dialect = Dialect(columns=columns, status_case=status_case)
    assert hook.get_group_columns(group) == ["mobile", "name"]


@pytest.mark.parametrize(
    ("field", "says"),
    [
        (5, "field must be text, not int"),
        (None, "field must be text with something in it, not None"),
        ("None", "field must be text with something in it, not 'None'"),
        (" ", "field must be text with something in it"),
        ("a:b", "holds a colon"),
        ("IDCONTACT", "is reserved"),
    ],
)
def test_what_is_no_column_name_is_not_sent(hook: AfilnetHook, sandbox: Sandbox, field: Any, says: str) -> None:
    for call in (hook.add_column_to_group, hook.delete_column_from_group):
        with pytest.raises(exceptions.AfilnetInvalidRequestError, match=says):
            call("1", field)
    assert sandbox.calls == []


@pytest.mark.parametrize("left", [None, "", " ", "None", "none", "null"])
def test_what_a_template_leaves_is_no_value(hook: AfilnetHook, sandbox: Sandbox, left: Any) -> None:
    calls: dict[str, Callable[[], object]] = {
        "name": lambda: hook.create_group(left, "mobile", "mobile"),
        "fields": lambda: hook.create_group("spring", "mobile", left),
        "a name in fields": lambda: hook.create_group("spring", "mobile", ["mobile", left]),
        "field": lambda: hook.add_column_to_group("1", left),
        "country": lambda: hook.assign_country_to_group("1", left),
        "group_id": lambda: hook.get_contacts(left),
        "contact_id": lambda: hook.get_contact("1", left),
    }
    for argument, call in calls.items():
        with pytest.raises(exceptions.AfilnetInvalidRequestError, match=f"^{argument} "):
            call()
    assert sandbox.calls == []


def test_columns_are_added_and_deleted(hook: AfilnetHook, sandbox: Sandbox, group: str) -> None:
    hook.add_column_to_group(int(group), "city")
    assert sandbox.columns(group) == ["mobile", "name", "city"]
    hook.delete_column_from_group(group, "city")
    assert sandbox.columns(group) == ["mobile", "name"]
    with pytest.raises(exceptions.AfilnetInvalidRequestError, match="comma"):
        hook.add_column_to_group(group, "a,b")


@pytest.mark.parametrize("status_case", ["upper", "lower", "mixed"])
def test_delete_group_and_whether_it_exists(hook: AfilnetHook, sandbox: Sandbox, group: str, status_case: str) -> None:
    sandbox.dialect = Dialect(status_case=status_case)
    assert hook.group_exists(group)
    hook.delete_group(group)
    assert sandbox.groups() == []
    assert not hook.group_exists(group)
    with pytest.raises(exceptions.AfilnetAccessError):
        hook.delete_group(group)


def test_group_exists_does_not_take_a_wrong_password_for_a_missing_group(
    afilnet_conn: Callable[..., None], group: str
) -> None:
    afilnet_conn(password="wrong")
    with AfilnetHook() as hook, pytest.raises(exceptions.AfilnetCredentialsError):
        hook.group_exists(group)


def test_group_exists_does_not_take_a_forbidding_proxy_for_a_missing_group(
    hook: AfilnetHook, sandbox: Sandbox, group: str
) -> None:
    sandbox.fail("http_500", status=403)
    with pytest.raises(exceptions.AfilnetAccessError):
        hook.group_exists(group)


@pytest.mark.parametrize("country", ["ESP", "esp", "ES", "es", "Spain", " spain "])
def test_country_in_every_spelling(hook: AfilnetHook, sandbox: Sandbox, group: str, country: str) -> None:
    hook.assign_country_to_group(group, country)
    assert sandbox.country(group) == "esp"
    assert sandbox.calls[-1].params["countryiso3"] == "esp"


@pytest.mark.parametrize("country", ["", "34", "724", "Spa", "Hispania", None])
def test_unknown_country_is_not_sent(hook: AfilnetHook, sandbox: Sandbox, group: str, country: str) -> None:
    with pytest.raises(exceptions.AfilnetInvalidRequestError, match="alpha-3"):
        hook.assign_country_to_group(group, country)
    assert sandbox.calls == []


@pytest.mark.parametrize("contacts", CONTACT_FORMS)
@pytest.mark.parametrize("numbers", ["text", "number"])
def test_contacts_in_every_form(hook: AfilnetHook, sandbox: Sandbox, group: str, contacts: str, numbers: str) -> None:
    sandbox.dialect = Dialect(contacts=contacts, numbers=numbers)
    assert hook.get_contacts(group) == sandbox.contacts(group)
    assert list(hook.iter_contacts(group)) == sandbox.contacts(group)


def test_contacts_without_ids_have_none(hook: AfilnetHook, sandbox: Sandbox, group: str) -> None:
    sandbox.dialect = Dialect(contacts="no-ids")
    assert hook.get_contacts(group) == [ANA, BEN]


@pytest.mark.parametrize("kind", ["null_read", "absent_read"])
def test_a_null_read_is_never_an_empty_group(hook: AfilnetHook, sandbox: Sandbox, group: str, kind: str) -> None:
    sandbox.fail(kind)
    with pytest.raises(exceptions.AfilnetUnprovenReadError, match="no proof of an empty group"):
        hook.get_contacts(group)
    with pytest.raises(exceptions.AfilnetUnprovenReadError):
        list(hook.iter_contacts(group))


def test_a_read_that_breaks_off_is_an_error(hook: AfilnetHook, sandbox: Sandbox, group: str) -> None:
    sandbox.fail("garbled", methods="getcontacts")
    with pytest.raises(exceptions.AfilnetError) as caught:
        hook.get_contacts(group)
    assert caught.value.retryable


@pytest.mark.parametrize("single", ["object", "list", "keyed"])
@pytest.mark.parametrize("contacts", [*CONTACT_FORMS, "no-ids"])
def test_one_contact_in_every_form(hook: AfilnetHook, sandbox: Sandbox, group: str, single: str, contacts: str) -> None:
    sandbox.dialect = Dialect(single=single, contacts=contacts)
    contact_id = sandbox.contacts(group)[1]["idcontact"]
    assert hook.get_contact(group, int(contact_id)) == {"idcontact": contact_id, **BEN}


@pytest.mark.parametrize("new_id", ["scalar", "object", "list", "none", "absent"])
def test_add_contact_in_every_form_of_answer(hook: AfilnetHook, sandbox: Sandbox, group: str, new_id: str) -> None:
    sandbox.dialect = Dialect(new_id=new_id)
    contact_id = hook.add_contact(group, {"mobile": "34600000003", "name": "Eva"})
    stored = sandbox.contacts(group)[-1]
    assert stored["name"] == "Eva"
    assert contact_id == (stored["idcontact"] if new_id in ("scalar", "object", "list") else None)


def test_add_contact_that_exists(hook: AfilnetHook, group: str) -> None:
    with pytest.raises(exceptions.AfilnetExistsError):
        hook.add_contact(group, ANA)


@pytest.mark.parametrize("value", ["a,b", "a:b"])
def test_a_value_that_the_text_form_cannot_carry_is_not_sent(
    hook: AfilnetHook, sandbox: Sandbox, group: str, value: str
) -> None:
    for call in (lambda c: hook.add_contact(group, c), lambda c: hook.modify_contact(group, "1", c)):
        with pytest.raises(exceptions.AfilnetInvalidRequestError, match="'name'") as caught:
            call({"mobile": "34600000003", "name": value})
        assert value not in str(caught.value)
    assert sandbox.calls == []


@pytest.mark.parametrize(
    ("bulk", "reported"),
    [
        ("none", {}),
        ("absent", {}),
        ("counts", {"added": 2, "skipped": 0}),
        ("ids", {"reported": 2}),
        ("number", {"reported": 2}),
    ],
)
@pytest.mark.parametrize("numbers", ["text", "number"])
def test_add_contact_list_in_every_form_of_answer(
    hook: AfilnetHook, sandbox: Sandbox, bulk: str, reported: dict[str, int], numbers: str
) -> None:
    sandbox.dialect = Dialect(bulk=bulk, numbers=numbers)
    group = sandbox.create_group("g", "mobile", ["mobile", "name"])
    rows = [{"mobile": "34600000003", "name": 'a,b:c "d" ñ\n'}, {"mobile": "34600000004", "name": "日本"}]
    assert hook.add_contact_list(group, iter(rows)) == {"sent": 2, **reported}
    assert [{k: v for k, v in c.items() if k != "idcontact"} for c in sandbox.contacts(group)] == rows


def test_an_empty_list_is_not_sent(hook: AfilnetHook, sandbox: Sandbox, group: str) -> None:
    with pytest.raises(exceptions.AfilnetInvalidRequestError, match="empty"):
        hook.add_contact_list(group, [])
    assert sandbox.calls == []


def test_modify_and_delete_contact(hook: AfilnetHook, sandbox: Sandbox, group: str) -> None:
    first, second = (contact["idcontact"] for contact in sandbox.contacts(group))
    hook.modify_contact(group, first, {**ANA, "name": "Anna"})
    hook.delete_contact(group, second)
    assert sandbox.contacts(group) == [{"idcontact": first, **ANA, "name": "Anna"}]


@pytest.mark.parametrize("code", ["NOT_ACCESS_TO_GROUP", "NOT_ACCESS_TO_CONTACT"])
def test_a_missing_contact_is_told_from_a_missing_group(
    hook: AfilnetHook, sandbox: Sandbox, group: str, code: str
) -> None:
    sandbox.dialect = Dialect(missing_contact_code=code)
    calls: list[Callable[[str], object]] = [
        lambda g: hook.get_contact(g, "999"),
        lambda g: hook.modify_contact(g, "999", ANA),
        lambda g: hook.delete_contact(g, "999"),
    ]
    for call in calls:
        with pytest.raises(exceptions.AfilnetNotFoundError):
            call(group)
        with pytest.raises(exceptions.AfilnetAccessError):
            call("555")


@pytest.mark.parametrize("numbers", ["text", "number"])
def test_balance_and_connection_test(hook: AfilnetHook, sandbox: Sandbox, numbers: str) -> None:
    sandbox.dialect = Dialect(numbers=numbers)
    assert hook.get_balance() == 25.5
    worked, sentence = hook.test_connection()
    assert worked
    assert "25.5" in sentence


@pytest.mark.parametrize("balance", [None, "plenty", [], {"amount": "1"}])
def test_an_unreadable_balance_is_signed_in_all_the_same(
    hook: AfilnetHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, balance: object
) -> None:
    monkeypatch.setattr(hook.client, "call", lambda method, **params: balance)
    assert hook.test_connection() == (True, f"Signed in at {sandbox.url}; the balance could not be read.")


def test_an_answer_that_is_none_is_not_signed_in(hook: AfilnetHook, sandbox: Sandbox) -> None:
    sandbox.fail("html", methods="getbalance")
    assert hook.test_connection()[0] is False


@pytest.mark.parametrize("style", STYLES)
def test_every_style_of_call(afilnet_conn: Callable[..., None], sandbox: Sandbox, group: str, style: str) -> None:
    afilnet_conn(extra=style_extras(sandbox, style))
    with AfilnetHook() as hook:
        assert hook.get_contacts(group) == sandbox.contacts(group)
    assert {call.style for call in sandbox.calls} == {style}


def test_connection_test_answers_a_sentence_for_every_trouble(
    afilnet_conn: Callable[..., None], sandbox: Sandbox
) -> None:
    # Airflow 3.0 itself cannot read such a connection, and says that there is none.
    no_object = "must be a JSON object" if VERSION >= (3, 1) else "isn't defined"
    troubles = {
        "wrong": ({"password": "wrong"}, "password are wrong"),
        "refused": ({"host": "http://127.0.0.1:9"}, "could not be reached"),
        "nobody": ({"login": None}, "has no login"),
        "broken": ({"extra": "{not json"}, no_object),
        "listed": ({"extra": "[1]"}, no_object),
        "surplus": ({"extra": {"verify": False}}, "'verify'"),
    }
    for conn_id, (fields, says) in troubles.items():
        afilnet_conn(conn_id)
        _define(afilnet_conn, conn_id, fields)
        worked, sentence = AfilnetHook(conn_id).test_connection()
        assert not worked
        assert says in sentence, sentence
    worked, sentence = AfilnetHook("never_defined").test_connection()
    assert (worked, "never_defined" in sentence) == (False, True)


def test_a_bottomless_extra_gets_a_sentence() -> None:
    connection: Any = SimpleNamespace(conn_id="deep", extra='{"a":' * 100_000)
    with pytest.raises(exceptions.AfilnetConfigurationError, match="'deep': the extra must be a JSON object"):
        extra_of(connection)


def _define(afilnet_conn: Callable[..., None], conn_id: str, fields: dict[str, object]) -> None:
    extra = fields.get("extra")
    if isinstance(extra, dict):
        afilnet_conn(conn_id, extra=extra)
    elif extra is None:
        afilnet_conn(conn_id, **fields)  # type: ignore[arg-type]
    else:
        import json
        import os

        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        os.environ[name] = json.dumps({**json.loads(os.environ[name]), "extra": extra})


def test_connection_test_never_raises(afilnet_conn: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    hook = AfilnetHook()
    monkeypatch.setattr(type(hook), "get_connection", lambda *_: 1 / 0)
    worked, sentence = hook.test_connection()
    assert (worked, sentence) == (False, "The connection could not be tested: ZeroDivisionError.")


def test_call_reaches_any_method_and_refuses_unknown_ones(hook: AfilnetHook, group: str) -> None:
    assert hook.call("getgroupcolumns", idgroup=group) == ["mobile", "name"]
    with pytest.raises(exceptions.AfilnetInvalidRequestError, match="'listgroups'"):
        hook.call("listgroups")


def test_ids_are_checked(hook: AfilnetHook, sandbox: Sandbox) -> None:
    for wrong in (None, "", "None", True, 1.5):
        with pytest.raises(exceptions.AfilnetInvalidRequestError, match="group_id"):
            hook.get_contacts(wrong)  # type: ignore[arg-type]
        with pytest.raises(exceptions.AfilnetInvalidRequestError, match="contact_id"):
            hook.get_contact("1", wrong)  # type: ignore[arg-type]
    assert sandbox.calls == []


def test_session_is_plain_and_is_reopened_after_close(hook: AfilnetHook) -> None:
    session = hook.get_conn()
    assert session is hook.get_conn()
    assert session.auth is None
    hook.close()
    assert hook.get_conn() is not session


def test_settings_carry_every_extra(afilnet_conn: Callable[..., None], sandbox: Sandbox) -> None:
    afilnet_conn(
        extra={
            "api_style": "basic",
            "timeout": "7.5",
            "max_connections": "9",
            "max_requests_per_second": 3,
            "ca_bundle": None,
            "api_facts": {"modify_merges": True},
        }
    )
    settings = AfilnetHook().settings
    assert (settings.style, settings.timeout, settings.max_connections) == ("basic", 7.5, 9)
    assert (settings.max_requests_per_second, settings.ca_bundle) == (3, None)
    assert settings.facts.modify_merges is True
    assert settings.base_url == sandbox.url


def test_connection_from_a_uri(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    uri = f"afilnet://{sandbox.user}:{sandbox.password}@127.0.0.1:{sandbox.port}/http"
    monkeypatch.setenv("AIRFLOW_CONN_AFILNET_DEFAULT", uri)
    with AfilnetHook() as hook:
        assert hook.get_balance() == 25.5
