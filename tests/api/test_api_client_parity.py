"""Both clients over all six styles against the sandbox: the same results, and the same errors."""

from __future__ import annotations

from typing import Any

import pytest
from api_styles import make_settings

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.answers import read_balance, read_bulk, read_columns, read_contact, read_new_id
from airflow_provider_afilnet.api.calls import contact_text, contacts_json
from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.api.settings import STYLES, ClientSettings
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.dialect import dialects_of

ANA = {"mobile": "34600111222", "name": 'Ana & Eva = 100% +ñ😀 "x" #?/'}
EVA = {"mobile": "34600333444", "name": "Eva, the 2nd: \n yes"}
IAN = {"mobile": "34600555666", "name": "Ian"}


# Every form of a call and its answer: a style, and what the dialect must say besides.
FORMS = [
    *(pytest.param(style, {}, id=style) for style in STYLES),
    *(
        pytest.param("soap", {"soap_operations": operations, "soap_answer": answer}, id=f"soap-{operations}-{answer}")
        for operations in dialects_of("soap_operations")
        for answer in dialects_of("soap_answer")
        if (operations, answer) != ("per-method", "json")
    ),
]


def settings_of(server: Sandbox, style: str = "post", **more: Any) -> ClientSettings:
    return make_settings(server.url, style, **{"user": server.user, "password": server.password, **more})


@pytest.mark.parametrize(("style", "more"), FORMS)
def test_all_thirteen_methods(sandbox: Sandbox, asker: Any, style: str, more: dict[str, Any]) -> None:
    settings = settings_of(sandbox, style)
    sandbox.dialect = Dialect(**more)

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
    assert {"password" in call.params for call in sandbox.calls} == {style in ("post", "get", "soap")}
    assert not any(call.params.get("password", "***") != "***" for call in sandbox.calls)


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
@pytest.mark.parametrize(("style", "more"), FORMS)
def test_contacts_in_every_dialect_with_ids(
    sandbox: Sandbox, asker: Any, style: str, more: dict[str, Any], dialect: dict[str, Any]
) -> None:
    sandbox.dialect = Dialect(**dialect, **more)
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], [ANA, EVA, IAN])
    settings = settings_of(sandbox, style)
    records = asker.contacts(settings, group)
    assert [record.as_dict() for record in records] == sandbox.contacts(group)
    # An answer keyed by id elsewhere shows none in a single contact, unless that is keyed too.
    shows_id = dialect.get("single") == "keyed" or not dialect.get("contacts", "").startswith("keyed")
    for record in records:
        answer = asker.one(settings, "getcontact", idgroup=group, idcontact=record.id)
        assert read_contact(answer, record.id) == (record.id if shows_id else None, record.fields)


@pytest.mark.parametrize("columns", ["names", "objects", "object", "positions", "text"])
@pytest.mark.parametrize("numbers", ["text", "number"])
@pytest.mark.parametrize(("style", "more"), FORMS)
def test_columns_and_new_ids_in_every_dialect(
    sandbox: Sandbox, asker: Any, style: str, more: dict[str, Any], columns: Any, numbers: Any
) -> None:
    settings = settings_of(sandbox, style)
    for new_id in ("scalar", "object", "list", "none", "absent"):
        sandbox.dialect = Dialect(columns=columns, numbers=numbers, new_id=new_id, **more)
        made, balance = asker.many(
            settings, ("creategroup", {"name": "g", "type": "mobile", "fields": "mobile,name"}), ("getbalance", {})
        )
        group = sandbox.groups()[-1]["id"]
        assert read_new_id(made, "idgroup") == (None if new_id in ("none", "absent") else group)
        assert read_columns(asker.one(settings, "getgroupcolumns", idgroup=group)) == ["mobile", "name"]
        assert read_balance(balance) == 25.5


@pytest.mark.parametrize("bulk", ["none", "absent", "counts", "ids", "number"])
@pytest.mark.parametrize(("style", "more"), FORMS)
def test_what_a_list_answers_in_every_dialect(
    sandbox: Sandbox, asker: Any, style: str, more: dict[str, Any], bulk: Any
) -> None:
    sandbox.dialect = Dialect(bulk=bulk, **more)
    group = sandbox.create_group("g", "mobile", ["mobile", "name"])
    answer = asker.one(settings_of(sandbox, style), "addcontactlist", idgroup=group, contacts=contacts_json([ANA, EVA]))
    told = {"counts": {"added": 2, "skipped": 0}, "ids": {"reported": 2}, "number": {"reported": 2}}
    assert read_bulk(answer).counts == told.get(bulk, {})


def test_a_group_of_many_slices(sandbox: Sandbox, askers: list[Any]) -> None:
    contacts = [{"mobile": str(34600000000 + number), "name": f"Ñandú {number} 😀"} for number in range(5000)]
    group = sandbox.create_group("g", "mobile", ["mobile", "name"], contacts)
    for asker in askers:
        assert [record.fields for record in asker.contacts(settings_of(sandbox), group)] == contacts


@pytest.mark.parametrize("kind", ["null_read", "absent_read"])
@pytest.mark.parametrize(("style", "more"), FORMS)
def test_reads_without_a_result_are_red(
    sandbox: Sandbox, asker: Any, style: str, more: dict[str, Any], kind: str
) -> None:
    sandbox.dialect = Dialect(**more)
    settings = settings_of(sandbox, style)
    group = sandbox.create_group("g", "mobile", ["mobile"])
    assert asker.contacts(settings, group) == []
    sandbox.fail(kind)
    assert type(asker.contacts(settings, group)) is e.AfilnetUnprovenReadError


# --- the table: what a server may do x every method x every style x both clients -------------------------------------

AWAY = "Location: https://elsewhere.example/"
TROUBLES: dict[str, tuple[Any, ...] | None] = {
    "success": (200, '{"status":"SUCCESS","result":"7"}'),
    "success, nothing in it": (200, '{"status":"success"}'),
    "unknown status": (200, '{"status":"PERHAPS"}'),
    "unknown code": (200, '{"status":"ERROR","error":"A_NEW_CODE"}'),
    "error without a code": (200, '{"status":"ERROR"}'),
    "a list": (200, "[]"),
    "garbled": (200, '{"status":"SUCC'),
    "empty": (200, ""),
    "rate limit": (429, "", "Retry-After: 7"),
    "rate limit without a pause": (429, "slow down"),
    "server error": (500, ""),
    "unavailable": (503, "", "Retry-After: 3"),
    "redirect": (307, "", AWAY),
    "moved": (301, "", AWAY),
    "sign-in refused": (401, ""),
    "forbidden": (403, ""),
    "not found": (404, ""),
    "too large": (413, ""),
    "dropped": None,
}


@pytest.mark.parametrize("name", METHODS)
def test_one_table_for_all_styles(askers: list[Any], raw_server: Any, http: Any, params_of: Any, name: str) -> None:
    method = METHODS[name]
    now: list[bytes | None] = [None]
    server = raw_server(lambda _: now[0])
    answers = {name: None if trouble is None else http(*trouble) for name, trouble in TROUBLES.items()}
    answers["html"] = http(200, "<html>maintenance</html>", kind="text/html")
    answers["html, unavailable"] = http(502, "<html>maintenance</html>", kind="text/html")

    def told(outcome: Any, *, streamed: bool = False) -> Any:
        if not isinstance(outcome, e.AfilnetError):
            return outcome
        kind, message, *rest = facts(outcome)
        # What is no answer at all is described by what it should have been.
        if streamed and kind is e.AfilnetUnreadableAnswerError:
            return (kind, *rest)
        return (kind, message.replace("a whole SOAP envelope", "a JSON object"), *rest)

    cases = answers | {code: http(200, f'{{"status":"ERROR","error":"{code}"}}') for code in sorted(method.codes)}

    def row(asker: Any, style: str) -> dict[str, Any]:
        """What one client makes of everything."""
        settings, found = make_settings(server.url, style), {}
        for case, answer in cases.items():
            now[0] = answer
            before = len(server.requests)
            found[case] = told(asker.one(settings, name, **params_of(name)))
            # Nothing is sent twice, but for the token that was refused.
            twice = style == "json" and case == "sign-in refused"
            assert len(server.requests) == before + 1 + twice, (style, case)
            if name == "getcontacts":
                found[f"{case}, streamed"] = told(asker.contacts(settings, "1000"), streamed=True)
        return found

    rows = {(asker.kind, style): row(asker, style) for asker in askers for style in STYLES}
    expected = rows["sync", "post"]
    for who, found in rows.items():
        assert found == expected, who
    unclear = [case for case, fact in expected.items() if fact and fact[0] is e.AfilnetOutcomeUnknownError]
    assert bool(unclear) is method.writes
    assert expected["success"] == "7"


def test_nothing_is_sent_for_an_unusable_call(sandbox: Sandbox, asker: Any) -> None:
    settings = settings_of(sandbox, "get")
    assert type(asker.one(settings, "getcontacts")) is e.AfilnetInvalidRequestError
    assert type(asker.one(settings, "addcontactlist", idgroup=1, contacts="x" * 4000)) is e.AfilnetTooLargeError
    assert sandbox.calls == []
