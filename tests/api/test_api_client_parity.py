"""Both clients over all six styles against the sandbox: the same results, and the same errors."""

from __future__ import annotations

from typing import Any

import pytest
from api_styles import make_settings

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.answers import read_balance, read_columns, read_contact, read_new_id
from airflow_provider_afilnet.api.calls import contact_text, contacts_json
from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.api.settings import STYLES, ClientSettings
from airflow_provider_afilnet.sandbox import Dialect, Sandbox

ANA = {"mobile": "34600111222", "name": 'Ana & Eva = 100% +ñ😀 "x" #?/'}
EVA = {"mobile": "34600333444", "name": "Eva, the 2nd: \n yes"}
IAN = {"mobile": "34600555666", "name": "Ian"}


def settings_of(server: Sandbox, style: str = "post", **more: Any) -> ClientSettings:
    return make_settings(server.url, style, **{"user": server.user, "password": server.password, **more})


@pytest.mark.parametrize("style", STYLES)
def test_all_thirteen_methods(sandbox: Sandbox, asker: Any, style: str) -> None:
    settings = settings_of(sandbox, style)

    def ask(name: str, /, **params: object) -> Any:
        outcome = asker.one(settings, name, **params)
        assert sandbox.calls[-1].style == style
        assert sandbox.calls[-1].method == name
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert read_balance(ask("getbalance")) == 25.5
    group = read_new_id(ask("creategroup", name="Niños & Co", type="mobile", fields="mobile,name"), "idgroup")
    assert group
    assert [found["name"] for found in sandbox.groups()] == ["Niños & Co"]
    ask("addcolumntogroup", idgroup=group, field="ciudad ñ")
    assert read_columns(ask("getgroupcolumns", idgroup=group)) == ["mobile", "name", "ciudad ñ"]
    ask("deletecolumnfromgroup", idgroup=group, field="ciudad ñ")
    assert sandbox.columns(group) == ["mobile", "name"]
    ask("assigncountrytogroup", idgroup=group, countryiso3="esp")
    assert sandbox.country(group) == "esp"
    ana = read_new_id(ask("addcontact", idgroup=group, contact=contact_text(ANA, method="addcontact")), "idcontact")
    assert ana
    ask("addcontactlist", idgroup=int(group), contacts=contacts_json([EVA, IAN]))
    assert read_contact(ask("getcontact", idgroup=group, idcontact=ana), ana) == (ana, ANA)
    found = asker.contacts(settings, group)
    assert [record.fields for record in found] == [ANA, EVA, IAN]
    assert [record.as_dict() for record in found] == sandbox.contacts(group) == ask("getcontacts", idgroup=group)
    changed = {**ANA, "name": "Ana María"}
    ask("modifycontact", idgroup=group, idcontact=int(ana), contact=contact_text(changed, method="modifycontact"))
    ask("deletecontact", idgroup=group, idcontact=found[1].id)
    assert [record.fields for record in asker.contacts(settings, group)] == [changed, IAN]
    ask("deletegroup", idgroup=group)
    assert sandbox.groups() == []
    assert {call.method for call in sandbox.calls} == set(METHODS)
    assert not any("password" in call.params and style.startswith("basic") for call in sandbox.calls)


def facts(outcome: Any) -> Any:
    """What a caller can tell of an outcome."""
    if not isinstance(outcome, e.AfilnetError):
        return outcome
    return (
        type(outcome),
        str(outcome),
        outcome.code,
        outcome.http_status,
        outcome.method,
        outcome.retryable,
        outcome.retry_after,
    )


def cases(group: str) -> list[tuple[str, dict[str, object], type[e.AfilnetError], str]]:
    none = {"idgroup": "9"}
    return [
        (
            "creategroup",
            {"name": "x", "type": "fax", "fields": "mobile"},
            e.AfilnetInvalidRequestError,
            "INCORRECT_TYPE",
        ),
        (
            "creategroup",
            {"name": "x", "type": "email", "fields": "mobile"},
            e.AfilnetInvalidRequestError,
            "MISSING_MAIN_FIELD",
        ),
        ("getgroupcolumns", none, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("addcolumntogroup", {**none, "field": "x"}, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("deletecolumnfromgroup", {**none, "field": "x"}, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("deletegroup", none, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("assigncountrytogroup", {**none, "countryiso3": "esp"}, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("assigncountrytogroup", {"idgroup": group, "countryiso3": "zzz"}, e.AfilnetNotFoundError, "COUNTRY_NOT_FOUND"),
        ("getcontacts", none, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("getcontact", {**none, "idcontact": 1}, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("getcontact", {"idgroup": group, "idcontact": 1}, e.AfilnetNotFoundError, "NOT_ACCESS_TO_CONTACT"),
        ("addcontact", {"idgroup": group, "contact": "mobile:34600555666"}, e.AfilnetExistsError, "CONTACT_EXISTS"),
        ("addcontactlist", {**none, "contacts": contacts_json([IAN])}, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("modifycontact", {**none, "idcontact": 1, "contact": "mobile:1"}, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        ("deletecontact", {**none, "idcontact": 1}, e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
    ]


@pytest.mark.parametrize("case", ["upper", "lower", "mixed"])
def test_the_same_errors_in_every_style(sandbox: Sandbox, askers: list[Any], case: Any) -> None:
    sandbox.dialect = Dialect(status_case=case)
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], [IAN])
    table = cases(group)
    calls = [(name, params) for name, params, _, _ in table]
    outcomes = {
        (asker.kind, style): [facts(outcome) for outcome in asker.many(settings_of(sandbox, style), *calls)]
        for asker in askers
        for style in STYLES
    }
    expected = outcomes["sync", "post"]
    assert [(fact[0], fact[2]) for fact in expected] == [(kind, code) for _, _, kind, code in table]
    assert not any(fact[5] for fact in expected)
    assert all(found == expected for found in outcomes.values())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("wrong", ["password", "user"])
def test_wrong_sign_in(sandbox: Sandbox, askers: list[Any], style: str, wrong: str) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    field = {"password": "client_secret", "user": "client_id"}[wrong] if style == "json" else wrong
    settings = settings_of(sandbox, style, **{field: "wrong"})
    for asker in askers:
        for error in (asker.one(settings, "getbalance"), asker.contacts(settings, group)):
            assert type(error) is e.AfilnetCredentialsError
            # A token endpoint has no codes of Afilnet's.
            assert (error.code, error.retryable) == (None if style == "json" else "INCORRECT_USER_PASSWORD", False)
    assert sandbox.count("getcontacts") == (0 if style == "json" else 2)


@pytest.mark.parametrize(
    "dialect",
    [
        *({"contacts": form} for form in ("flat", "flat-id", "nested", "nested-id", "keyed", "keyed-nested")),
        {"numbers": "number"},
        {"status_case": "lower"},
        {"contacts": "keyed", "numbers": "number", "status_case": "mixed"},
        {"single": "keyed"},
        {"single": "keyed", "contacts": "keyed-nested"},
        {"single": "list", "contacts": "nested"},
    ],
    ids=str,
)
def test_contacts_in_every_dialect_with_ids(sandbox: Sandbox, asker: Any, dialect: dict[str, Any]) -> None:
    sandbox.dialect = Dialect(**dialect)
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], [ANA, EVA, IAN])
    records = asker.contacts(settings_of(sandbox), group)
    assert [record.as_dict() for record in records] == sandbox.contacts(group)
    # An answer keyed by id elsewhere shows none in a single contact, unless that is keyed too.
    shows_id = dialect.get("single") == "keyed" or not dialect.get("contacts", "").startswith("keyed")
    for record in records:
        answer = asker.one(settings_of(sandbox), "getcontact", idgroup=group, idcontact=record.id)
        assert read_contact(answer, record.id) == (record.id if shows_id else None, record.fields)


@pytest.mark.parametrize("columns", ["names", "objects", "object", "positions", "text"])
@pytest.mark.parametrize("numbers", ["text", "number"])
def test_columns_and_new_ids_in_every_dialect(sandbox: Sandbox, asker: Any, columns: Any, numbers: Any) -> None:
    for new_id in ("scalar", "object", "list", "none", "absent"):
        sandbox.dialect = Dialect(columns=columns, numbers=numbers, new_id=new_id)
        answer = asker.one(settings_of(sandbox), "creategroup", name="g", type="mobile", fields="mobile,name")
        group = sandbox.groups()[-1]["id"]
        assert read_new_id(answer, "idgroup") == (None if new_id in ("none", "absent") else group)
        assert read_columns(asker.one(settings_of(sandbox), "getgroupcolumns", idgroup=group)) == ["mobile", "name"]
    assert read_balance(asker.one(settings_of(sandbox), "getbalance")) == 25.5


def test_a_group_of_many_slices(sandbox: Sandbox, askers: list[Any]) -> None:
    contacts = [{"mobile": str(34600000000 + number), "name": f"Ñandú {number} 😀"} for number in range(5000)]
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], contacts)
    for asker in askers:
        assert [record.fields for record in asker.contacts(settings_of(sandbox), group)] == contacts


@pytest.mark.parametrize("kind", ["null_read", "absent_read"])
def test_reads_without_a_result_are_red(sandbox: Sandbox, asker: Any, kind: str) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile"])
    assert asker.contacts(settings_of(sandbox), group) == []
    sandbox.fail(kind)
    assert type(asker.contacts(settings_of(sandbox), group)) is e.AfilnetUnprovenReadError


def test_nothing_is_sent_for_an_unusable_call(sandbox: Sandbox, asker: Any) -> None:
    settings = settings_of(sandbox, "get")
    assert type(asker.one(settings, "getcontacts")) is e.AfilnetInvalidRequestError
    assert type(asker.one(settings, "addcontactlist", idgroup=1, contacts="x" * 4000)) is e.AfilnetTooLargeError
    assert sandbox.calls == []
