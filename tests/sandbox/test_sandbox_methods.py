"""Every method and every documented code, over all four ways to call."""

from __future__ import annotations

import json
import time

import pytest
import requests

from airflow_provider_afilnet.api.methods import COMMON_CODES, METHODS
from airflow_provider_afilnet.sandbox import Dialect, Sandbox

STYLES = ("post", "get", "basic", "basic-get")
pytestmark = pytest.mark.timeout(30)


@pytest.fixture(params=STYLES)
def styled(request, caller):
    caller.style = request.param
    return caller


@pytest.fixture
def group(box):
    return box.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "1", "name": "a"}, {"mobile": "2"}])


def test_life_of_a_group(styled, box):
    gid = styled.result("creategroup", name="My group", type="email", fields="email,name")
    assert gid == "1000"
    assert box.groups() == [
        {"id": "1000", "user": "u", "name": "My group", "type": "email", "fields": ["email", "name"]}
    ]
    assert styled.result("addcolumntogroup", idgroup=gid, field="city") is None
    assert styled.result("addcolumntogroup", idgroup=gid, field="city") is None
    assert styled.result("getgroupcolumns", idgroup=gid) == ["email", "name", "city"]
    cid = styled.result("addcontact", idgroup=gid, contact="email:a@b.es,name:Zoë,city:Vigo")
    assert cid == "100001"
    rows = [{"email": "c@d.es", "name": 'x, "y": é'}, {"email": "e@f.es", "city": None}]
    assert styled.result("addcontactlist", idgroup=gid, contacts=json.dumps(rows)) is None
    assert styled.result("getcontacts", idgroup=gid) == [
        {"idcontact": "100001", "email": "a@b.es", "name": "Zoë", "city": "Vigo"},
        {"idcontact": "100002", "email": "c@d.es", "name": 'x, "y": é'},
        {"idcontact": "100003", "email": "e@f.es"},
    ]
    styled.result("modifycontact", idgroup=gid, idcontact=cid, contact="email:z@b.es,name:New")
    assert styled.result("getcontact", idgroup=gid, idcontact=cid) == {
        "idcontact": cid,
        "email": "z@b.es",
        "name": "New",
    }
    styled.result("deletecolumnfromgroup", idgroup=gid, field="name")
    styled.result("addcolumntogroup", idgroup=gid, field="name")
    assert styled.result("getcontact", idgroup=gid, idcontact=cid) == {"idcontact": cid, "email": "z@b.es"}
    styled.result("assigncountrytogroup", idgroup=gid, countryiso3="EsP")
    assert box.country(gid) == "esp"
    styled.result("deletecontact", idgroup=gid, idcontact="100003")
    assert styled.result("addcontact", idgroup=gid, contact="email:new@f.es") == "100004"
    styled.result("deletegroup", idgroup=gid)
    assert styled.code("deletegroup", idgroup=gid) == "NOT_ACCESS_TO_GROUP"
    assert styled.result("creategroup", name="g", type="mobile", fields=" mobile , name,,name") == "1001"
    assert box.columns("1001") == ["mobile", "name"]
    assert styled.result("getbalance") == "25.5"
    assert {call.style for call in box.calls} == {styled.style}


REFUSED = [
    ("creategroup", {"name": "g", "type": "fax", "fields": "fax"}, "INCORRECT_TYPE"),
    ("creategroup", {"name": "g", "type": "email", "fields": "mobile,name"}, "MISSING_MAIN_FIELD"),
    *(
        (name, dict.fromkeys(method.params, "7"), "NOT_ACCESS_TO_GROUP")
        for name, method in METHODS.items()
        if "idgroup" in method.params
    ),
    ("getcontacts", {"idgroup": "x1"}, "NOT_ACCESS_TO_GROUP"),
    ("assigncountrytogroup", {"countryiso3": "es"}, "COUNTRY_NOT_FOUND"),
    ("assigncountrytogroup", {"countryiso3": "zzz"}, "COUNTRY_NOT_FOUND"),
    ("getcontact", {"idcontact": "5"}, "NOT_ACCESS_TO_CONTACT"),
    ("getcontact", {"idcontact": "one"}, "NOT_ACCESS_TO_CONTACT"),
    ("addcontact", {"contact": "mobile:1"}, "CONTACT_EXISTS"),
    ("addcontact", {"contact": "name:x"}, "MISSING_COMPULSORY_PARAM"),
    ("addcontact", {"contact": "mobile:3,name:x,y"}, "INCORRECT_FIELD"),
    ("addcontactlist", {"contacts": '[{"mobile": "3", "nope": "x"}]'}, "INCORRECT_FIELD"),
    ("addcontactlist", {"contacts": '[{"mobile": "3"}, {"name": "x"}]'}, "MISSING_COMPULSORY_PARAM"),
    ("addcontactlist", {"contacts": '[{"mobile": "3"'}, "INCORRECT_CONTACTS"),
    ("addcontactlist", {"contacts": '{"mobile": "3"}'}, "INCORRECT_CONTACTS"),
    ("addcontactlist", {"contacts": '["3"]'}, "INCORRECT_CONTACTS"),
    ("addcontactlist", {"contacts": '[{"mobile": ["3"]}]'}, "INCORRECT_CONTACTS"),
    ("addcontactlist", {"contacts": "[" * 1_100}, "INCORRECT_CONTACTS"),
    ("addcontactlist", {"contacts": r'[{"mobile": "\ud800"}]'}, "INCORRECT_CONTACTS"),
    ("modifycontact", {"idcontact": "100001", "contact": "mobile:2"}, "CONTACT_EXISTS"),
    ("modifycontact", {"idcontact": "100001", "contact": "name:2"}, "MISSING_COMPULSORY_PARAM"),
    ("modifycontact", {"idcontact": "9", "contact": "mobile:9"}, "NOT_ACCESS_TO_GROUP"),
    ("deletecontact", {"idcontact": "9"}, "NOT_ACCESS_TO_GROUP"),
    ("deletecolumnfromgroup", {"field": "mobile"}, "MISSING_MAIN_FIELD"),
]


@pytest.mark.parametrize(("method", "params", "code"), REFUSED)
def test_refusals(caller, box, group, method, params, code):
    before = box.contacts(group), box.groups()
    for style in STYLES:
        caller.style = style
        response = caller.send(method, **({"idgroup": group} | params if method != "creategroup" else params))
        assert (response.status_code, response.json()) == (200, {"status": "ERROR", "error": code})
        assert (box.calls[-1].error, box.calls[-1].applied, box.calls[-1].status) == (code, False, 200)
    assert (box.contacts(group), box.groups()) == before


def test_each_documented_code_is_among_the_refusals():
    own = {code for method in METHODS.values() for code in method.own_codes}
    assert own <= {code for _, _, code in REFUSED}
    assert "MISSING_COMPULSORY_PARAM" in COMMON_CODES


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.params])
def test_every_parameter_is_compulsory(styled, method):
    params = dict.fromkeys(METHODS[method].params, "x")
    for param in params:
        for value in (None, ""):
            assert styled.code(method, **(params | {param: value})) == "MISSING_COMPULSORY_PARAM"


def test_common_checks_in_order(styled):
    missing_status = 401 if styled.style.startswith("basic") else 200
    for user, password, api_class, method, status, code in [
        (None, None, None, None, missing_status, "MISSING_USER"),
        ("", "x", None, None, missing_status, "MISSING_USER"),
        ("u", "", None, None, missing_status, "MISSING_PASSWORD"),
        ("u", "wrong", None, None, 200, "INCORRECT_USER_PASSWORD"),
        ("nobody", "pw-secret", None, None, 200, "INCORRECT_USER_PASSWORD"),
        ("u", "pw-secret", None, None, 200, "MISSING_CLASS"),
        ("u", "pw-secret", "fax", None, 200, "INCORRECT_CLASS"),
        ("u", "pw-secret", "group", None, 200, "MISSING_METHOD"),
        ("u", "pw-secret", "group", "dance", 200, "INCORRECT_METHOD"),
        ("u", "pw-secret", "group", "getbalance", 200, "INCORRECT_METHOD"),
        ("u", "pw-secret", "user", "getcontacts", 200, "INCORRECT_METHOD"),
        ("u", "pw-secret", "group", "getcontacts", 200, "MISSING_COMPULSORY_PARAM"),
    ]:
        styled.user, styled.password = user, password
        response = styled.raw({k: v for k, v in {"class": api_class, "method": method}.items() if v is not None})
        assert (response.status_code, response.json()) == (status, {"status": "ERROR", "error": code})
        if status == 401:
            assert "Basic" in response.headers["WWW-Authenticate"]


def test_broken_basic_header(box):
    for header in ("Basic é".encode("latin-1"), "Basic !!!", "Bearer dTpwdy1zZWNyZXQ=", "Basic " + "/w=="):
        response = requests.get(f"{box.url}/api/basic/", headers={"Authorization": header}, timeout=5)
        assert (response.status_code, response.json()["error"]) == (401, "MISSING_USER")


def test_addresses(box):
    params = {"user": "u", "password": "pw-secret", "class": "user", "method": "getbalance"}
    for path in ("/api/http", "/api/http/"):
        for response in (
            requests.get(box.url + path, params=params, allow_redirects=False, timeout=5),
            requests.post(box.url + path, data=params, allow_redirects=False, timeout=5),
            requests.post(box.url + path, files={k: (None, v) for k, v in params.items()}, timeout=5),
        ):
            assert response.json() == {"status": "SUCCESS", "result": "25.5"}
        # Sign-in in the address of a POST does not count.
        assert requests.post(box.url + path, params=params, timeout=5).json()["error"] == "MISSING_USER"
        assert requests.post(box.url + path, json=params, timeout=5).json()["error"] == "MISSING_USER"
    response = requests.post(box.url + "/api/basic", data=params, auth=("u", "pw-secret"), timeout=5)
    assert response.json()["result"] == "25.5"
    assert requests.get(box.url + "/_sandbox/health", timeout=5).json() == {"status": "ok"}
    assert requests.get(box.url + "/elsewhere", timeout=5).status_code == 404


def test_multipart_carries_any_text(box, group):
    rows = [{"mobile": "3", "name": "é,:\r\n--x\t\u20ac"}]
    params = {"user": "u", "password": "pw-secret", "class": "group", "method": "addcontactlist", "idgroup": group}
    files = {
        name: (None, value) for name, value in (params | {"contacts": json.dumps(rows, ensure_ascii=False)}).items()
    }
    assert requests.post(f"{box.url}/api/http/", files=files, timeout=5).json()["status"] == "SUCCESS"
    assert box.contacts(group)[-1]["name"] == rows[0]["name"]


@pytest.mark.parametrize("style", ["get", "basic-get"])
@pytest.mark.parametrize("length", [4000, 4001, 100_000])
def test_a_get_address_has_a_limit(caller, box, style, length):
    caller.style = style
    probe = caller.send("creategroup", name="", type="mobile", fields="mobile")
    response = caller.send("creategroup", name="n" * (length - len(probe.url)), type="mobile", fields="mobile")
    assert len(response.url) == length
    assert response.status_code == (200 if length <= 4000 else 414)
    assert len(box.groups()) == (length <= 4000)
    assert box.calls[-1].status == response.status_code


def test_a_smuggled_comma_corrupts_a_neighbour(caller, box, group):
    caller.result("addcontact", idgroup=group, contact="mobile:3,name:Eve,mobile:4")
    assert box.contacts(group)[-1]["mobile"] == "4"


def test_scalars_in_contacts_become_texts(caller, box, group):
    for row, name in (({"mobile": 346, "name": 1.5}, "1.5"), ({"mobile": 5, "name": True}, "1")):
        caller.result("addcontactlist", idgroup=group, contacts=json.dumps([row]))
        assert box.contacts(group)[-1]["mobile"] == str(row["mobile"])
        assert box.contacts(group)[-1]["name"] == name
    caller.result(
        "addcontactlist", idgroup=group, contacts='[{"mobile": "6", "name": null}, {"mobile": "7", "name": false}]'
    )
    assert [set(contact) for contact in box.contacts(group)[-2:]] == [{"idcontact", "mobile"}] * 2


def test_accounts_do_not_see_each_other(caller, box, group):
    box.add_account("other", "pw2", balance=3)
    theirs = box.create_group("o", "mobile", ["mobile", "name"], [{"mobile": "9"}], user="other")
    assert caller.result("getcontacts", idgroup=group)
    for name, method in METHODS.items():
        if "idgroup" in method.params:
            params = {
                "field": "x",
                "countryiso3": "esp",
                "contact": "mobile:9",
                "contacts": "[]",
                "idcontact": "100001",
            }
            sent = {param: params[param] for param in method.params if param != "idgroup"}
            assert caller.code(name, idgroup=theirs, **sent) == "NOT_ACCESS_TO_GROUP"
    (stranger,) = box.contacts(theirs)
    assert caller.code("getcontact", idgroup=group, idcontact=stranger["idcontact"]) == "NOT_ACCESS_TO_CONTACT"
    assert caller.code("deletecontact", idgroup=group, idcontact=stranger["idcontact"]) == "NOT_ACCESS_TO_GROUP"
    assert len(box.contacts(theirs)) == 1
    caller.user, caller.password = "other", "pw2"
    assert caller.code("deletegroup", idgroup=group) == "NOT_ACCESS_TO_GROUP"
    assert caller.result("getbalance") in ("3", "3.0")
    assert box.sent_rows(theirs) == {}


def test_a_deleted_column_is_gone_for_good(caller, box, group):
    caller.result("deletecolumnfromgroup", idgroup=group, field="name")
    caller.result("addcolumntogroup", idgroup=group, field="name")
    (one, _) = box.contacts(group)
    assert one == {"idcontact": "100001", "mobile": "1"}
    caller.result("modifycontact", idgroup=group, idcontact="100001", contact="mobile:1,name:new")
    assert caller.result("getcontacts", idgroup=group)[0]["name"] == "new"
    box.dialect = Dialect(modify_merges=True)
    caller.result("deletecolumnfromgroup", idgroup=group, field="name")
    caller.result("modifycontact", idgroup=group, idcontact="100001", contact="mobile:9")
    caller.result("addcolumntogroup", idgroup=group, field="name")
    assert caller.result("getcontact", idgroup=group, idcontact="100001") == {"idcontact": "100001", "mobile": "9"}


@pytest.mark.parametrize(
    "name", ["city", "two words", 'quo"te', "é", "a.b", "a\\b", "a\\", "$", "[0]", "#", "mobile2", "", ":", 'x"', "'"]
)
def test_a_deleted_column_of_any_name_takes_its_own_values_only(box, name):
    columns = ["mobile", *dict.fromkeys(["name", f"{name} ", f"x{name}", name, "ci", "last"])]
    values = dict.fromkeys(columns[1:], f'"{name}":"{name}')
    group = box.create_group("g", "mobile", columns, [{"mobile": "1", **values}])
    store = box._state.store
    before = store.now()
    found = store.group(group)
    store.set_fields(found, [column for column in columns if column not in (name, "last")])
    box.add_contacts(group, [{"mobile": "2", name: "new"}])
    left = {column: value for column, value in values.items() if column not in (name, "last")}
    assert box.contacts(group) == [
        {"idcontact": "100001", "mobile": "1", **left},
        {"idcontact": "100002", "mobile": "2", name: "new"},
    ]
    assert store.contact(found, "100001").values == {"mobile": "1", **left}
    ((then,),) = store.contacts(found.id, before)
    assert then.values == {"mobile": "1", **values}


def test_many_deleted_columns(box):
    names = [f"c{number}" for number in range(1200)]
    group = box.create_group("g", "mobile", ["mobile", *names], [{"mobile": "1", **dict.fromkeys(names, "x")}])
    store = box._state.store
    store.set_fields(store.group(group), ["mobile", "c7"])
    assert box.contacts(group) == [{"idcontact": "100001", "mobile": "1", "c7": "x"}]


def test_direct_access_to_the_store(caller, box, group):
    ids = box.add_contacts(group, [{"mobile": "1"}, {"mobile": "8", "name": ""}])
    assert ids == ["100003", "100004"]
    assert box.contacts(group)[2:] == [{"idcontact": "100003", "mobile": "1"}, {"idcontact": "100004", "mobile": "8"}]
    # A double can be told apart by its id alone, and keeps its key when it is modified.
    caller.result("modifycontact", idgroup=group, idcontact="100003", contact="mobile:1,name:b")
    assert box.contacts(group)[0]["name"] == "a"
    box.remove_contacts(group, ["100003", "77"])
    assert [contact["idcontact"] for contact in box.contacts(group)] == ["100001", "100002", "100004"]
    assert box.add_contacts(group, [{"mobile": "5"}]) == ["100005"]
    with pytest.raises(KeyError, match="no group 5"):
        box.contacts("5")
    with pytest.raises(ValueError, match="mobile, email"):
        box.create_group("g", "fax", ["fax"])
    with pytest.raises(ValueError, match="among its fields"):
        box.create_group("g", "email", ["mobile"])


def test_the_log_of_calls(caller, box, group):
    rows = json.dumps([{"mobile": "5"}, {"mobile": "5"}, {"mobile": "6"}])
    caller.result("addcontactlist", idgroup=group, contacts=rows)
    caller.code("addcontact", idgroup=group, contact="mobile:6")
    caller.result("getcontacts", idgroup=group)
    bulk, single, read = box.calls
    assert bulk.params == {
        "user": "u", "password": "***", "class": "group", "method": "addcontactlist", "idgroup": group, "rows": 3
    }  # fmt: skip
    assert (bulk.applied, bulk.status, bulk.error) == (True, 200, None)
    assert (single.applied, single.error, single.params["contact"]) == (False, "CONTACT_EXISTS", "mobile:6")
    assert read.applied
    assert bulk.at < single.at < read.at
    assert [call.number for call in box.calls] == [1, 2, 3]
    assert abs(time.time() - bulk.time) < 60
    assert "pw-secret" not in repr(box.calls)
    assert (box.writes, box.count("addcontactlist", "getcontacts"), box.count("deletegroup")) == (2, 2, 0)
    assert box.sent_rows(group) == {"5": 2, "6": 2}
    box.clear_calls()
    assert (box.calls, box.writes, box.sent_rows(group)) == ([], 0, {})


def test_state_outlives_a_sandbox_that_has_a_file(caller_for, tmp_path):
    path = str(tmp_path / "state.db")
    with Sandbox(path=path) as first:
        gid = first.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "1"}, {"mobile": "2", "name": "b"}])
        caller_for(first).result("deletecontact", idgroup=gid, idcontact="100001")
        caller_for(first).result("assigncountrytogroup", idgroup=gid, countryiso3="esp")
    with Sandbox(path=path) as second:
        assert caller_for(second).result("getcontacts", idgroup=gid) == [
            {"idcontact": "100002", "mobile": "2", "name": "b"}
        ]
        assert second.country(gid) == "esp"
        assert second.add_contacts(gid, [{"mobile": "3"}]) == ["100003"]
        assert second.create_group("h", "mobile", ["mobile"]) == "1001"


def test_a_long_read_shows_one_moment(caller, box):
    gid = box.create_group("g", "mobile", ["mobile"], [{"mobile": str(n)} for n in range(30_000)])
    url, data = (
        f"{box.url}/api/http/",
        {"user": "u", "password": "pw-secret", "class": "group", "method": "getcontacts"},
    )
    with requests.post(url, data=data | {"idgroup": gid}, stream=True, timeout=20) as response:
        parts = response.iter_content(1000)
        body = next(parts)
        caller.result("deletecontact", idgroup=gid, idcontact="130000")
        caller.result("addcontact", idgroup=gid, contact="mobile:99999999")
        caller.result("deletegroup", idgroup=gid)
        body += b"".join(parts)
    assert [contact["mobile"] for contact in json.loads(body)["result"]] == [str(n) for n in range(30_000)]


def test_a_refused_list_stores_nothing_of_it(caller, box, group):
    box.dialect = Dialect(bulk_dedupes=True)
    rows = json.dumps([{"mobile": "3"}, {"mobile": "4", "nope": "x"}])
    assert caller.code("addcontactlist", idgroup=group, contacts=rows) == "INCORRECT_FIELD"
    assert len(box.contacts(group)) == 2


def test_a_long_list_is_stored_in_order_while_others_are_served(caller, box, group):
    """Longer than what is stored in one go; and the log keeps nothing of its length."""
    rows = [{"mobile": str(n), "name": "n" * 100} for n in range(100, 30_100)]
    caller.result("addcontactlist", idgroup=group, contacts=json.dumps(rows))
    stored = box.contacts(group)[2:]
    assert [contact["mobile"] for contact in stored] == [row["mobile"] for row in rows]
    assert [contact["idcontact"] for contact in stored] == [str(n) for n in range(100_003, 130_003)]
    caller.code("creategroup", name="n" * 3_000, type="fax", fields="x")
    assert len(box.calls[-1].params["name"]) < 2_100
    assert max(len(repr(call)) for call in box.calls) < 5_000


def test_secrets_are_masked_however_they_are_written(caller, box):
    caller.raw(
        {"PassWord": "pw-secret", "token": "pw-secret", "client_secret": "pw-secret", "access_token": "pw-secret"}
    )
    assert "pw-secret" not in repr(box.calls)


def test_forms_that_are_broken(box):
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x", "é", ""):
        for body in (b"", b"--x", b"--x\r\n\r\n", b'--x\r\nContent-Disposition: form-data; name="user"', b"\xff" * 99):
            response = requests.post(
                f"{box.url}/api/http/", data=body, headers={"Content-Type": kind.encode("latin-1")}, timeout=5
            )
            assert (response.status_code, response.json()["error"]) == (200, "MISSING_USER")
