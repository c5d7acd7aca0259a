"""The control endpoints over real HTTP: what they do, what they refuse, and whom."""

from __future__ import annotations

import json
import threading
import time

import pytest
import requests

from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.guard import is_own_host

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def control(box):
    """``control("POST", "faults", {...})`` answers status and JSON."""

    def ask(method, path, body=None, **more):
        response = requests.request(method, f"{box.url}/_sandbox/{path}", json=body, timeout=10, **more)
        return response.status_code, response.json()

    return ask


def test_groups_and_contacts(box, control, caller):
    rows = [{"mobile": "1", "name": "<b>é"}, {"mobile": "1"}]
    wanted = {"name": "g", "type": "mobile", "fields": ["mobile", "name"], "contacts": rows}
    assert control("POST", "groups", wanted) == (
        201,
        {
            "id": "1000",
            "user": "u",
            "name": "g",
            "type": "mobile",
            "fields": ["mobile", "name"],
            "country": None,
            "size": 2,
            "contacts": {"count": 2, "first": "100001", "last": "100002"},
        },
    )
    caller.result("assigncountrytogroup", idgroup="1000", countryiso3="esp")
    assert control("POST", "groups/1000/contacts", {"contacts": [{"mobile": "2"}]})[1]["contacts"]["last"] == "100003"
    caller.result("deletecontact", idgroup="1000", idcontact="100002")
    ((status, body), (_, accounts)) = control("GET", "groups"), control("GET", "accounts")
    assert (status, [group["size"] for group in body["groups"]], body["groups"][0]["country"]) == (200, [2], "esp")
    assert accounts == {"accounts": [{"user": "u", "balance": 25.5}]}
    lines = requests.get(f"{box.url}/_sandbox/groups/1000/contacts", timeout=5)
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == box.contacts("1000")


def test_accounts_of_others(box, control, caller):
    assert control("POST", "accounts", {"user": "shop", "password": "pw-2", "balance": 3}) == (
        201,
        {"user": "shop", "balance": 3},
    )
    theirs = control("POST", "groups", {"name": "g", "type": "email", "fields": ["email"], "user": "shop"})[1]["id"]
    assert caller.code("getcontacts", idgroup=theirs) == "NOT_ACCESS_TO_GROUP"
    caller.user, caller.password = "shop", "pw-2"
    assert (caller.result("getcontacts", idgroup=theirs), caller.result("getbalance")) == ([], "3")
    for path in ("accounts", "groups", "calls"):
        assert "pw-" not in requests.get(f"{box.url}/_sandbox/{path}", timeout=5).text


def test_calls(control, caller):
    assert control("GET", "calls") == (200, {"calls": []})
    caller.result("getbalance")
    caller.code("getcontacts", idgroup="5")
    caller.style = "basic"
    caller.result("getbalance")
    calls = control("GET", "calls")[1]["calls"]
    assert [(call["number"], call["method"], call["style"], call["error"]) for call in calls] == [
        (1, "getbalance", "post", None),
        (2, "getcontacts", "post", "NOT_ACCESS_TO_GROUP"),
        (3, "getbalance", "basic", None),
    ]
    assert calls[0]["params"]["password"] == "***"
    assert abs(calls[0]["time"] - time.time()) < 60
    assert [call["number"] for call in control("GET", "calls?method=getbalance&after=1")[1]["calls"]] == [3]
    assert control("GET", "calls?after=-1")[0] == 400
    assert control("DELETE", "calls") == (200, {"status": "ok"})
    assert control("GET", "calls?method=x") == (200, {"calls": []})


def test_a_long_list_of_calls_is_whole(box, control, caller):
    for _ in range(1_001):
        caller.session.get(f"{box.url}/api/http/", timeout=5)
    assert [call["number"] for call in control("GET", "calls")[1]["calls"]] == list(range(1, 1_002))
    assert len(control("GET", "calls?after=1")[1]["calls"]) == 1_000


def test_faults(box, control, caller):
    status, fault = control("POST", "faults", {"kind": "error", "code": "X", "methods": ["getbalance"], "count": 1})
    assert (status, fault["id"], fault["hits"], fault["code"]) == (201, 1, 0, "X")
    assert caller.code("getbalance") == "X"
    assert caller.result("getbalance")
    control("POST", "faults", {"kind": "hide", "keys": ["2", "1"], "every": None, "after": 3})
    control("POST", "faults", {"kind": "rate_limited", "per_second": 2.5})
    shown = control("GET", "faults")[1]["faults"]
    assert [(one["kind"], one["hits"]) for one in shown] == [("error", 1), ("hide", 0), ("rate_limited", 0)]
    assert (shown[1]["keys"], shown[1]["every"], shown[1]["after"]) == (["1", "2"], 1, 3)
    assert control("DELETE", "faults/2") == (200, {"status": "ok"})
    assert control("DELETE", "faults/2")[0] == 404
    assert [one["id"] for one in control("GET", "faults")[1]["faults"]] == [1, 3]
    control("DELETE", "faults")
    assert control("GET", "faults") == (200, {"faults": []})


def test_dialect(box, control):
    assert control("GET", "dialect")[1]["contacts"] == "flat"
    assert control("PUT", "dialect", {"contacts": "keyed", "bulk_dedupes": True})[1]["contacts"] == "keyed"
    assert control("PUT", "dialect", {"missing_contact_code": "GONE"})[0] == 200
    assert box.dialect == Dialect(contacts="keyed", bulk_dedupes=True, missing_contact_code="GONE")


def test_reset(box, control, caller):
    box.add_account("shop", "pw-2")
    box.create_group("g", "mobile", ["mobile"], [{"mobile": "1"}])
    box.fail("latency", seconds=0.1)
    box.dialect = Dialect(contacts="keyed")
    caller.result("getbalance")
    assert control("POST", "reset", {}) == (200, {"status": "ok"})
    assert (box.groups(), box.calls, control("GET", "faults")[1]) == ([], [], {"faults": []})
    assert box.dialect.contacts == "keyed"
    caller.user, caller.password = "shop", "pw-2"
    assert caller.result("creategroup", name="g", type="mobile", fields="mobile") == "1000"
    assert caller.result("addcontact", idgroup="1000", contact="mobile:1") == "100001"


def test_a_reset_breaks_off_a_read_instead_of_ending_it(box, control):
    gid = box.create_group("g", "mobile", ["mobile"], [{"mobile": f"{n:060}"} for n in range(200_000)])
    data = {"user": "u", "password": "pw-secret", "class": "group", "method": "getcontacts", "idgroup": gid}
    with requests.post(f"{box.url}/api/http/", data=data, stream=True, timeout=10) as response:
        parts = response.iter_content(1000)
        next(parts)
        control("POST", "reset", {})
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(parts)
    assert control("GET", "groups") == (200, {"groups": []})


GROUP = {"name": "g", "type": "mobile", "fields": ["mobile"]}
WRONG = [
    ("POST", "faults", {"kind": "fire"}, 400, "There is no fault 'fire'"),
    ("POST", "faults", {}, 400, "There is no fault None"),
    ("POST", "faults", {"kind": "latency"}, 400, "needs seconds"),
    ("POST", "faults", {"kind": "latency", "seconds": "x"}, 400, "must be a number"),
    ("POST", "faults", {"kind": "latency", "seconds": 1, "colour": 1}, 400, "knows no colour"),
    ("POST", "faults", {"kind": ["latency"]}, 400, "There is no fault"),
    ("POST", "faults", {"kind": "html", "methods": {"a": 1}}, 400, "cannot hit a"),
    ("POST", "faults", {"kind": "html", "every": 0}, 400, "every of a fault"),
    ("POST", "faults", {"kind": "x" * 9_999}, 400, "There is no fault"),
    ("POST", "faults", [], 400, "must be a JSON object"),
    ("DELETE", "faults/x", None, 404, "no such fault"),
    ("PUT", "dialect", {"contacts": "round"}, 400, "cannot be 'round'"),
    ("PUT", "dialect", {"colour": "red"}, 400, "no dialect field 'colour'"),
    ("PUT", "dialect", {"missing_contact_code": 5}, 400, "must be plain text"),
    ("PUT", "dialect", {"contacts": ["flat"]}, 400, "cannot be"),
    ("POST", "accounts", {"user": "x"}, 400, "password must be a text"),
    ("POST", "accounts", {"user": "x", "password": "y", "balance": "z"}, 400, "balance must be a number"),
    ("POST", "accounts", {"user": "x", "password": "y", "more": 1}, 400, "Nothing is known of 'more'"),
    ("POST", "groups", {**GROUP, "type": "fax"}, 400, "type must be one of mobile, email"),
    ("POST", "groups", {**GROUP, "fields": "mobile"}, 400, "fields must be a list"),
    ("POST", "groups", {**GROUP, "fields": ["name"]}, 400, "fields must hold mobile"),
    ("POST", "groups", {**GROUP, "user": "nobody"}, 400, "user must be one of"),
    ("POST", "groups", {**GROUP, "contacts": [{"mobile": "1"}, {"mobile": 2}]}, 400, "Contact 2 must be an object"),
    ("POST", "groups", {**GROUP, "contacts": [{}]}, 400, "Contact 1 has no mobile"),
    ("POST", "groups", {**GROUP, "contacts": [{"mobile": "1", "x": "y"}]}, 400, "not a column"),
    ("POST", "groups/77/contacts", {"contacts": []}, 404, "no such group"),
    ("GET", "groups/x/contacts", None, 404, "no such group"),
    ("POST", "reset", {"all": True}, 400, "takes no arguments"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "sentence"), WRONG)
def test_wrong_input_gets_a_sentence(control, box, method, path, body, status, sentence):
    answered, told = control(method, path, body)
    assert answered == status
    assert list(told) == ["error"]
    assert sentence in told["error"]
    assert len(told["error"]) < 1_000
    assert (box.groups(), box.dialect, control("GET", "faults")[1]) == ([], Dialect(), {"faults": []})


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"name": NaN}', b'{"name": "\\ud800"}', b"[" * 100_000, b"null", b"5"]
)
def test_a_body_that_is_no_json_gets_a_sentence(box, body):
    headers = {"Content-Type": "application/json"}
    response = requests.post(f"{box.url}/_sandbox/groups", data=body, headers=headers, timeout=10)
    assert response.status_code == 400
    assert response.json()["error"].startswith("The body ")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_web_page_changes_nothing(box, kind):
    """A browser sends these without asking; JSON it would ask for, and the sandbox never agrees."""
    box.create_group("g", "mobile", ["mobile"])
    response = requests.post(f"{box.url}/_sandbox/reset", data=b"{}", headers={"Content-Type": kind}, timeout=5)
    assert response.status_code == 415
    assert len(box.groups()) == 1
    asked = requests.options(f"{box.url}/_sandbox/reset", headers={"Origin": "http://evil.example"}, timeout=5)
    assert "Access-Control-Allow-Origin" not in asked.headers


@pytest.mark.parametrize("path", ["/", "/_sandbox/groups", "/_sandbox/calls", "/_sandbox/accounts"])
def test_a_name_that_was_bound_to_this_machine_is_refused(box, path):
    for host, status in (("evil.example", 403), (f"127.0.0.1.evil.example:{box.port}", 403), ("[::1", 403), ("", 403)):
        assert requests.get(box.url + path, headers={"Host": host}, timeout=5).status_code == status, host
    for host in (f"localhost:{box.port}", "127.0.0.1", f"[::1]:{box.port}", "sandbox.localhost"):
        assert requests.get(box.url + path, headers={"Host": host}, timeout=5).status_code == 200, host


@pytest.mark.parametrize(
    ("header", "listens_on", "own"),
    [
        ("192.168.1.5:80", "0.0.0.0", True),
        ("[2001:db8::5]:80", "::", True),
        ("evil.example", "0.0.0.0", False),
        ("192.168.1.5", "192.168.1.5", True),
        ("192.168.1.6", "192.168.1.5", False),
        ("127.0.0.1", "192.168.1.5", True),
        ("sandbox.test:1", "sandbox.test", True),
        ("127.0.0.1", "localhost", True),
        ("192.168.1.5", "127.0.0.1", False),
    ],
)
def test_own_hosts(header, listens_on, own):
    assert is_own_host(header, listens_on) is own


def test_long_lists_from_several_at_once(box, control):
    gid = control("POST", "groups", GROUP)[1]["id"]

    def add(start):
        control(
            "POST", f"groups/{gid}/contacts", {"contacts": [{"mobile": str(n)} for n in range(start, start + 12_000)]}
        )

    threads = [threading.Thread(target=add, args=(start,)) for start in (0, 100_000, 200_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = box.contacts(gid)
    assert len({contact["idcontact"] for contact in stored}) == len({c["mobile"] for c in stored}) == 36_000
    assert control("GET", "groups")[1]["groups"][0]["size"] == 36_000


def test_sizes_are_right_after_everything(box, control, caller, tmp_path):
    def size():
        return control("GET", "groups")[1]["groups"][0]["size"]

    gid = box.create_group("g", "mobile", ["mobile"], [{"mobile": str(n)} for n in range(10)])
    caller.result("modifycontact", idgroup=gid, idcontact="100001", contact="mobile:77")
    assert size() == 10
    caller.result("deletecontact", idgroup=gid, idcontact="100002")
    box.remove_contacts(gid, ["100003", "5"])
    assert size() == len(box.contacts(gid)) == 8
    with Sandbox(path=str(tmp_path / "a.db")) as first:
        gid = first.create_group("g", "mobile", ["mobile"], [{"mobile": str(n)} for n in range(10)])
        first.remove_contacts(gid, ["100003"])
    with Sandbox(path=str(tmp_path / "a.db")) as second:
        groups = requests.get(f"{second.url}/_sandbox/groups", timeout=5).json()["groups"]
        assert [group["size"] for group in groups] == [9]
