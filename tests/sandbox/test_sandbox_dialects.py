"""Every value of every dialect field, seen from outside."""

from __future__ import annotations

import json
from dataclasses import fields
from xml.etree import ElementTree

import pytest
import zeep

from airflow_provider_afilnet.sandbox import Dialect
from airflow_provider_afilnet.sandbox.dialect import dialects_of, parse_dialect

pytestmark = pytest.mark.timeout(30)

ONE = {"mobile": "34600", "name": "a"}
TWO = {"mobile": "34601"}
A, B = "100001", "100002"

EXPECTED = {
    ("contacts", "flat"): [{"idcontact": A, **ONE}, {"idcontact": B, **TWO}],
    ("contacts", "flat-id"): [{"id": A, **ONE}, {"id": B, **TWO}],
    ("contacts", "nested"): [{"idcontact": A, "fields": ONE}, {"idcontact": B, "fields": TWO}],
    ("contacts", "nested-id"): [{"id": A, "fields": ONE}, {"id": B, "fields": TWO}],
    ("contacts", "keyed"): {A: ONE, B: TWO},
    ("contacts", "keyed-nested"): {A: {"fields": ONE}, B: {"fields": TWO}},
    ("contacts", "no-ids"): [ONE, TWO],
    ("contacts", "positional"): {"0": ONE, "1": TWO},
    ("columns", "names"): ["mobile", "name"],
    ("columns", "objects"): [{"name": "mobile"}, {"name": "name"}],
    ("columns", "object"): {"mobile": "mobile", "name": "name"},
    ("columns", "positions"): {"0": "mobile", "1": "name"},
    ("columns", "text"): "mobile,name",
    ("new_id", "scalar"): ("1001", "100003"),
    ("new_id", "object"): ({"idgroup": "1001"}, {"idcontact": "100003"}),
    ("new_id", "list"): ([{"idgroup": "1001"}], [{"idcontact": "100003"}]),
    ("new_id", "none"): (None, None),
    ("new_id", "absent"): ("-", "-"),
    ("single", "object"): {"idcontact": A, **ONE},
    ("single", "list"): [{"idcontact": A, **ONE}],
    ("single", "keyed"): {A: ONE},
    ("bulk", "none"): None,
    ("bulk", "absent"): "-",
    ("bulk", "counts"): {"added": "3", "skipped": "0"},
    ("bulk", "ids"): ["100003", "100004", "100005"],
    ("bulk", "number"): "3",
    ("numbers", "text"): [{"idcontact": A, **ONE}, {"idcontact": B, **TWO}],
    ("numbers", "number"): [
        {"idcontact": 100001, "mobile": 34600, "name": "a"},
        {"idcontact": 100002, "mobile": 34601},
    ],
    ("empty_values", "omit"): [{"idcontact": A, **ONE}, {"idcontact": B, **TWO}],
    ("empty_values", "empty"): [{"idcontact": A, **ONE}, {"idcontact": B, **TWO, "name": ""}],
    ("empty_values", "null"): [{"idcontact": A, **ONE}, {"idcontact": B, **TWO, "name": None}],
    ("bulk_dedupes", False): ["34600", "34601", "34600", "5", "5"],
    ("bulk_dedupes", True): ["34600", "34601", "5"],
    ("modify_merges", False): {"idcontact": A, "mobile": "7"},
    ("modify_merges", True): {"idcontact": A, "mobile": "7", "name": "a"},
    ("written", "none"): [None] * 6,
    ("written", "absent"): ["-"] * 6,
    ("written", "scalar"): ["1"] * 6,
    ("written", "list"): [[]] * 6,
    ("written", "object"): [{"done": "1"}] * 6,
    ("column_repeat", "ignored"): ("SUCCESS", ["mobile", "name"]),
    ("column_repeat", "refused"): ("FIELD_EXISTS", ["mobile", "name"]),
    ("column_repeat", "doubled"): ("SUCCESS", ["mobile", "name", "name"]),
    ("country_case", "any"): ("SUCCESS", "SUCCESS", "COUNTRY_NOT_FOUND"),
    ("country_case", "lower"): ("SUCCESS", "COUNTRY_NOT_FOUND", "COUNTRY_NOT_FOUND"),
    ("country_case", "upper"): ("COUNTRY_NOT_FOUND", "SUCCESS", "COUNTRY_NOT_FOUND"),
    ("stored_key", "as-sent"): "346",
    ("stored_key", "plus"): "+346",
    ("stored_key", "national"): "6",
    ("stored_value", "as-sent"): " <b> & more than twenty",
    ("stored_value", "trim"): "<b> & more than twenty",
    ("stored_value", "html"): " &lt;b&gt; &amp; more than twenty",
    ("stored_value", "truncate"): " <b> & more than twe",
    ("status_case", "upper"): ("SUCCESS", "ERROR", "NOT_ACCESS_TO_GROUP"),
    ("status_case", "lower"): ("success", "error", "not_access_to_group"),
    ("status_case", "mixed"): ("Success", "Error", "Not_Access_To_Group"),
    ("soap_operations", "per-method"): "getcontact(user password idgroup idcontact)",
    ("soap_operations", "generic"): "call(user password class method idgroup idcontact …)",
    ("soap_operations", "generic-pairs"): "call(user password class method parameters{item{key value}})",
    ("soap_operations", "generic-json"): "call(user password class method parameters)",
    ("soap_answer", "json"): '{"status":"SUCCESS","result":["mobile","name"]}',
    ("soap_answer", "fields"): ["status SUCCESS", "item mobile", "item name"],
    ("oauth_client", "either"): (200, 200),
    ("oauth_client", "header"): (200, 401),
    ("oauth_client", "body"): (401, 200),
    ("oauth_life", "number"): 3600,
    ("oauth_life", "text"): "3600",
    ("oauth_life", "absent"): "-",
}


@pytest.fixture
def group(box):
    return box.create_group("g", "mobile", ["mobile", "name"], [ONE, TWO])


def test_no_value_is_forgotten():
    every = {(field.name, value) for field in fields(Dialect) for value in dialects_of(field.name)}
    assert every == set(EXPECTED)
    for field in fields(Dialect):
        assert dialects_of(field.name)[:1] in ((field.default,), ())


def _observe(field, caller, box, group):
    def result(method, **params):
        return caller.ask(method, idgroup=group, **params).get("result", "-")

    if field in ("contacts", "numbers", "empty_values"):
        return result("getcontacts")
    if field == "columns":
        return result("getgroupcolumns")
    if field == "single":
        return result("getcontact", idcontact=A)
    if field == "new_id":
        created = caller.ask("creategroup", name="n", type="mobile", fields="mobile").get("result", "-")
        return created, result("addcontact", contact="mobile:1")
    if field == "bulk":
        return result("addcontactlist", contacts=json.dumps([{"mobile": key} for key in "123"]))
    if field == "bulk_dedupes":
        result("addcontactlist", contacts=json.dumps([{"mobile": key} for key in ("34600", "5", "5")]))
        return [contact["mobile"] for contact in box.contacts(group)]
    if field == "modify_merges":
        result("modifycontact", idcontact=A, contact="mobile:7")
        return box.contacts(group)[0]
    if field == "written":
        return [
            result("addcolumntogroup", field="city"),
            result("deletecolumnfromgroup", field="city"),
            result("assigncountrytogroup", countryiso3="esp"),
            result("modifycontact", idcontact=A, contact="mobile:1"),
            result("deletecontact", idcontact=A),
            result("deletegroup"),
        ]
    if field == "column_repeat":
        answer = caller.ask("addcolumntogroup", idgroup=group, field="name")
        return answer.get("error", answer["status"]), box.columns(group)
    if field == "country_case":
        tried = [caller.ask("assigncountrytogroup", idgroup=group, countryiso3=name) for name in ("esp", "ESP", "zzz")]
        return tuple(answer.get("error", answer["status"]) for answer in tried)
    if field == "stored_key":
        result("assigncountrytogroup", countryiso3="esp")
        result("addcontact", contact="mobile:346")
        assert caller.ask("addcontact", idgroup=group, contact="mobile:346")["error"] == "CONTACT_EXISTS"
        return box.contacts(group)[-1]["mobile"]
    if field == "stored_value":
        row = {"mobile": "5", "name": " <b> & more than twenty"}
        result("addcontactlist", contacts=json.dumps([row]))
        listed = box.contacts(group)[-1]["name"]
        result("modifycontact", idcontact=A, contact=f"mobile:5000,name:{row['name']}")
        assert box.contacts(group)[0]["name"] == listed
        return listed
    if field.startswith("soap"):
        return _observe_soap(field, caller, box, group)
    if field.startswith("oauth"):
        return _observe_oauth(field, caller, box)
    refused = caller.ask("getcontacts", idgroup="5")
    return caller.ask("getcontacts", idgroup=group)["status"], refused["status"], refused["error"]


def _observe_soap(field, caller, box, group):
    if field == "soap_operations":
        service = zeep.Client(f"{box.url}/soap?wsdl").service
        operations = service._binding.all()
        name = "getcontact" if "getcontact" in operations else "call"
        shown = []
        for parameter, element in operations[name].input.body.type.elements:
            inner = [(item, [part for part, _ in kind.type.elements]) for item, kind in _inner(element)]
            shown.append(parameter + "".join(f"{{{item}{{{' '.join(parts)}}}}}" for item, parts in inner))
        if len(shown) > 6:
            shown = [name for name in shown if name in ("user", "password", "class", "method", "idgroup", "idcontact")]
            shown.append("…")
        return f"{name}({' '.join(shown)})"
    envelope = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><getgroupcolumns><user>u</user>'
        f"<password>pw-secret</password><idgroup>{group}</idgroup></getgroupcolumns></e:Body></e:Envelope>"
    )
    answer = ElementTree.fromstring(caller.session.post(f"{box.url}/soap", envelope, timeout=10).content)
    texts = [(element.tag.rpartition("}")[2], element.text) for element in answer.iter() if element.text]
    return texts[0][1] if texts[0][0] == "return" else [" ".join(pair) for pair in texts]


def _inner(element):
    return getattr(element.type, "elements", [])


def _observe_oauth(field, caller, box):
    box.add_client("u", "an-id", "a-secret")
    form, url = {"grant_type": "client_credentials"}, f"{box.url}/oauth/token"
    in_header = caller.session.post(url, form, auth=("an-id", "a-secret"), timeout=10)
    in_body = caller.session.post(url, {**form, "client_id": "an-id", "client_secret": "a-secret"}, timeout=10)
    if field == "oauth_client":
        return in_header.status_code, in_body.status_code
    return in_header.json().get("expires_in", "-")


@pytest.mark.parametrize(("field", "value"), EXPECTED)
def test_value(caller, box, group, field, value):
    box.dialect = Dialect(**{field: value})
    assert _observe(field, caller, box, group) == EXPECTED[field, value]


@pytest.mark.parametrize("contacts", dialects_of("contacts"))
def test_empty_group_is_an_empty_list(caller, box, contacts):
    box.dialect = Dialect(contacts=contacts)
    assert caller.result("getcontacts", idgroup=box.create_group("e", "mobile", ["mobile"])) == []


@pytest.mark.parametrize("numbers", dialects_of("numbers"))
@pytest.mark.parametrize("contacts", dialects_of("contacts"))
def test_a_long_list_is_whole_in_every_shape(caller, box, contacts, numbers):
    box.dialect = Dialect(contacts=contacts, numbers=numbers)
    gid = box.create_group("e", "mobile", ["mobile"], [{"mobile": str(n)} for n in range(2501)])
    result = caller.result("getcontacts", idgroup=gid)
    assert len(result) == 2501
    assert "102501" in json.dumps(result) or contacts in ("no-ids", "positional")


@pytest.mark.parametrize("single", dialects_of("single"))
@pytest.mark.parametrize("contacts", dialects_of("contacts"))
def test_single_follows_the_nesting(caller, box, group, contacts, single):
    box.dialect = Dialect(contacts=contacts, single=single)
    result = caller.result("getcontact", idgroup=group, idcontact=A)
    inner = result if single == "object" else result[0] if single == "list" else result[A]
    assert (inner["fields"] if "nested" in contacts else inner)["mobile"] == "34600"


def test_numbers_elsewhere(caller, box, group):
    box.dialect = Dialect(numbers="number", bulk="counts", new_id="object")
    assert caller.result("getbalance") == 25.5
    assert caller.result("creategroup", name="n", type="mobile", fields="mobile") == {"idgroup": 1001}
    long = "1234567890123456"
    rows = json.dumps([{"mobile": long, "name": "007"}])
    assert caller.result("addcontactlist", idgroup=group, contacts=rows) == {"added": 1, "skipped": 0}
    assert caller.result("getcontacts", idgroup=group)[-1] == {"idcontact": 100003, "mobile": long, "name": 7}


def test_skipped_rows_are_counted(caller, box, group):
    box.dialect = Dialect(bulk="counts", bulk_dedupes=True)
    rows = json.dumps([{"mobile": key} for key in ("34600", "5", "5", "6")])
    assert caller.result("addcontactlist", idgroup=group, contacts=rows) == {"added": "2", "skipped": "2"}


def test_code_for_a_missing_contact(caller, box, group):
    box.dialect = Dialect(missing_contact_code="CONTACT_GONE")
    assert caller.code("deletecontact", idgroup=group, idcontact="5") == "CONTACT_GONE"
    assert caller.code("modifycontact", idgroup=group, idcontact="5", contact="mobile:1") == "CONTACT_GONE"


def test_keys_of_e_mail_groups_are_left_alone(caller, box):
    box.dialect = Dialect(stored_key="plus", stored_value="truncate")
    gid = box.create_group("e", "email", ["email", "mobile"])
    caller.result("addcontact", idgroup=gid, contact=f"email:{'x' * 30}@b.es,mobile:346")
    assert box.contacts(gid)[0] == {"idcontact": A, "email": "x" * 30 + "@b.es", "mobile": "346"}


def test_without_a_country_nothing_is_cut_off(caller, box, group):
    box.dialect = Dialect(stored_key="national")
    caller.result("addcontact", idgroup=group, contact="mobile:346")
    assert box.contacts(group)[-1]["mobile"] == "346"


def test_texts_of_the_command_line():
    assert parse_dialect(["contacts=keyed", "bulk_dedupes=True", "missing_contact_code=X=Y"]) == Dialect(
        contacts="keyed", bulk_dedupes=True, missing_contact_code="X=Y"
    )
    for text, message in [
        ("contacts=round", "contacts cannot be 'round'; it may be flat, "),
        ("shape=flat", "no dialect field 'shape'; the fields are contacts, "),
        ("contacts", "field=value"),
        ("bulk_dedupes=maybe", "may be False, True"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_dialect([text])
