"""Building a call: what is refused before anything is sent, and the two forms of a contact."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_afilnet.api.calls import build_call, contact_text, contacts_json, is_text_safe, record_id
from airflow_provider_afilnet.api.errors import AfilnetInvalidRequestError
from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.api.styles import put_on_wire

Params = Callable[[str], dict[str, object]]
EVERY_PARAM = [(name, param) for name, method in METHODS.items() for param in method.params]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FIELD = TEXT.filter(str.strip)


def refused(build: Callable[[], object]) -> str:
    with pytest.raises(AfilnetInvalidRequestError) as caught:
        build()
    assert not caught.value.retryable
    return str(caught.value)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_with_exactly_its_parameters(name: str, params_of: Params) -> None:
    call = build_call(name, params_of(name))
    assert call.method is METHODS[name]
    assert call.params == params_of(name)
    assert tuple(call.params) == METHODS[name].params


@pytest.mark.parametrize(("name", "param"), EVERY_PARAM)
def test_every_parameter_is_mandatory_text(name: str, param: str, params_of: Params) -> None:
    params = params_of(name)
    without = {key: value for key, value in params.items() if key != param}
    message = refused(lambda: build_call(name, without))
    assert name in message
    assert repr(param) in message
    assert "nothing" in message
    for value, shown in (
        (None, "nothing"),
        (True, "bool"),
        (1.5, "float"),
        ([], "list"),
        (b"1", "bytes"),
        ("", "blank"),
        (" \n", "blank"),
    ):
        assert shown in refused(lambda value=value: build_call(name, {**params, param: value}))


def test_whole_numbers_become_text() -> None:
    assert build_call("getcontact", {"idgroup": 7, "idcontact": "8"}).params == {"idgroup": "7", "idcontact": "8"}


@pytest.mark.parametrize("surplus", ["user", "password", "class", "method", "idcontact", "IDGROUP"])
def test_surplus_parameters_are_refused_by_name(surplus: str) -> None:
    assert repr(surplus) in refused(lambda: build_call("getcontacts", {"idgroup": "1", surplus: "secret-value"}))


def test_unknown_methods_are_refused_with_the_known_ones() -> None:
    message = refused(lambda: build_call("listgroups", {}))
    assert all(name in message for name in ("listgroups", *METHODS))


def test_half_a_surrogate_pair_is_refused_without_showing_it() -> None:
    message = refused(lambda: build_call("getcontacts", {"idgroup": "34600111222\ud83d"}))
    assert "surrogate" in message
    assert "34600111222" not in message


def test_a_call_does_not_show_its_parameters() -> None:
    assert "34600111222" not in repr(build_call("addcontact", {"idgroup": 1, "contact": "mobile:34600111222"}))


@pytest.mark.parametrize(
    ("contact", "text"),
    [
        ({"mobile": "34600000000"}, "mobile:34600000000"),
        ({"mobile": "34600000000", "name": "Ana"}, "mobile:34600000000,name:Ana"),
        ({"name": "Ana", "mobile": "346"}, "name:Ana,mobile:346"),
        ({"mobile": "346", "name": ""}, "mobile:346,name:"),
        ({"mobile": "346", "name": "Żółć 😀 \t\n&=%+"}, "mobile:346,name:Żółć 😀 \t\n&=%+"),
    ],
)
def test_contact_text(contact: dict[str, str], text: str) -> None:
    assert contact_text(contact, method="addcontact") == text
    assert is_text_safe(contact)


@pytest.mark.parametrize("ch", [",", ":"])
@pytest.mark.parametrize("in_name", [True, False])
def test_separators_are_refused_by_field_and_never_by_value(ch: str, in_name: bool) -> None:
    word = {",": "comma", ":": "colon"}[ch]
    contact = {"mobile": "34600111222", **({f"a{ch}b": "x"} if in_name else {"note": f"Doe{ch} Jane"})}
    message = refused(lambda: contact_text(contact, method="modifycontact"))
    assert not is_text_safe(contact)
    assert word in message
    assert "addcontactlist" in message
    assert ("'note'" in message) is not in_name
    assert "Doe" not in message
    assert "34600111222" not in message


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ({}, "empty"),
        ({"": "x"}, "without a name"),
        ({" ": "x"}, "without a name"),
        ({"age": 5}, "not int"),
        ({"age": None}, "not NoneType"),
        ({5: "x"}, "without a name"),
    ],
)
def test_both_writers_refuse_what_is_no_contact(contact: dict, shown: str) -> None:
    assert shown in refused(lambda: contact_text(contact, method="addcontact"))
    assert shown in refused(lambda: contacts_json([{"mobile": "1"}, contact]))


def test_contacts_json_carries_any_value_in_few_bytes() -> None:
    contacts = [{"mobile": "346", "note": 'a,b:c"\\\n'}, {"mobile": "347", "name": "Żółć 😀", "empty": ""}]
    text = contacts_json(iter(contacts))
    assert json.loads(text) == contacts
    assert text.startswith('[{"mobile":"346",')
    assert "Żółć 😀" in text
    assert "empty" in refused(lambda: contacts_json([]))


@given(st.lists(st.dictionaries(FIELD, TEXT, min_size=1), min_size=1, max_size=4))
def test_any_contacts_survive_json_and_form_encoding(contacts: list[dict[str, str]]) -> None:
    call = build_call("addcontactlist", {"idgroup": 1, "contacts": contacts_json(contacts)})
    sent = parse_qs(
        put_on_wire(ClientSettings("u", "p"), call).body.decode(), keep_blank_values=True, strict_parsing=True
    )
    assert json.loads(sent["contacts"][0]) == contacts


@given(st.dictionaries(FIELD, TEXT, min_size=1, max_size=4))
def test_any_safe_contact_survives_as_text_and_any_other_is_refused(contact: dict[str, str]) -> None:
    if not is_text_safe(contact):
        refused(lambda: contact_text(contact, method="addcontact"))
        return
    call = build_call("addcontact", {"idgroup": 1, "contact": contact_text(contact, method="addcontact")})
    sent = parse_qs(
        put_on_wire(ClientSettings("u", "p"), call).body.decode(), keep_blank_values=True, strict_parsing=True
    )
    pairs = [part.partition(":") for part in sent["contact"][0].split(",")]
    assert {name: value for name, _, value in pairs} == contact


@pytest.mark.parametrize(("value", "text"), [("1000", "1000"), (1000, "1000"), (" 7 ", "7"), ("g-7", "g-7"), (0, "0")])
def test_record_id(value: object, text: str) -> None:
    assert record_id(value, "group_id") == text


@pytest.mark.parametrize(
    "value", ["", " ", None, "None", "none", "null", True, False, 1.0, [], b"1", {"mobile": "34600111222"}]
)
def test_record_id_refuses_the_rest_without_showing_people(value: object) -> None:
    message = refused(lambda: record_id(value, "contact_id"))
    assert "contact_id" in message
    assert "34600111222" not in message


def test_any_other_method_of_the_api_can_be_called_with_its_class() -> None:
    call = build_call("sendsms", {"class": "sms", "to": "34600000001", "text": "Hola"})
    assert (call.method.name, call.method.api_class, dict(call.params)) == (
        "sendsms",
        "sms",
        {"to": "34600000001", "text": "Hola"},
    )
    # Nothing is known of it, so a lost answer leaves its outcome unknown, and it is not repeated.
    assert call.method.writes
    assert not call.method.repeatable
