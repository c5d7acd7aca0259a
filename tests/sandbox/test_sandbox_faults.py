"""Every kind of fault over real HTTP, and when a fault hits."""

from __future__ import annotations

import json
import threading
import time

import pytest
import requests

from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.faults import KINDS, parse_fault

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def group(box):
    return box.create_group("g", "mobile", ["mobile", "name"], [{"mobile": "1", "name": "a"}, {"mobile": "2"}])


@pytest.fixture
def add(caller, group):
    """Add contacts with these keys in one list, and answer the whole response."""

    def send(*keys, **more):
        return caller.send("addcontactlist", idgroup=group, contacts=json.dumps([{"mobile": k} for k in keys]), **more)

    return send


@pytest.fixture
def keys(box, group):
    return lambda: [contact["mobile"] for contact in box.contacts(group)]


def read(caller, group):
    return [contact["mobile"] for contact in caller.result("getcontacts", idgroup=group)]


def test_latency(box, add, keys):
    box.fail("latency", seconds=0.2)
    began = time.monotonic()
    assert add("3").json()["status"] == "SUCCESS"
    assert 0.2 <= time.monotonic() - began < 2
    assert keys() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("kind", "detail", "status", "wait"),
    [
        ("http_500", {}, 500, None),
        ("http_500", {"status": 502}, 502, None),
        ("http_500", {"status": 503, "retry_after": 2}, 503, "2"),
        ("rate_limited", {}, 429, None),
        ("rate_limited", {"retry_after": 0.5}, 429, "0.5"),
    ],
)
def test_http_errors(box, add, keys, kind, detail, status, wait):
    box.fail(kind, **detail)
    response = add("3")
    assert (response.status_code, response.headers.get("Retry-After")) == (status, wait)
    assert keys() == ["1", "2"]
    assert (box.calls[-1].status, box.calls[-1].applied) == (status, False)


@pytest.mark.parametrize("kind", ["html", "garbled"])
@pytest.mark.parametrize("applied", [False, True])
def test_answers_that_are_no_json(box, add, keys, caller, group, kind, applied):
    box.fail(kind, applied=applied)
    response = add("3")
    assert response.status_code == 200
    with pytest.raises(ValueError):
        response.json()
    assert ("3" in keys()) is applied is box.calls[-1].applied
    if kind == "html":
        assert "<html>" in response.text
    with pytest.raises(ValueError):
        caller.ask("getcontacts", idgroup=group)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_drops(box, add, keys, kind):
    box.fail(kind, count=1)
    with pytest.raises(requests.ConnectionError, match="without response"):
        add("3")
    assert ("3" in keys()) is (kind == "drop_after") is box.calls[-1].applied
    assert box.calls[-1].status == 0
    assert add("4").json()["status"] == "SUCCESS"


def test_drop_on_a_used_connection_and_on_a_read(box, caller, group):
    read(caller, group)
    box.fail("drop_after", methods="getcontacts", count=1)
    with pytest.raises(requests.ConnectionError):
        read(caller, group)
    assert read(caller, group) == ["1", "2"]


def test_late_is_applied_although_the_client_has_gone(box, add, keys):
    box.fail("late", seconds=0.6, count=1)
    with pytest.raises(requests.ReadTimeout):
        add("3", timeout=0.2)
    assert keys() == ["1", "2"]
    assert not box.calls[-1].applied
    time.sleep(0.7)
    assert keys() == ["1", "2", "3"]
    assert box.calls[-1].applied


def test_error(box, caller, add, keys):
    box.fail("error", code="OUT_OF_LUCK")
    assert add("3").json() == {"status": "ERROR", "error": "OUT_OF_LUCK"}
    assert box.calls[-1].error == "OUT_OF_LUCK"
    box.dialect = Dialect(status_case="lower")
    assert add("3").json() == {"status": "error", "error": "out_of_luck"}
    assert keys() == ["1", "2"]


def test_an_error_may_be_answered_although_it_was_done(box, add, keys):
    box.fail("error", code="OUT_OF_LUCK", applied=True)
    assert add("3").json() == {"status": "ERROR", "error": "OUT_OF_LUCK"}
    assert (box.calls[-1].error, box.calls[-1].applied) == ("OUT_OF_LUCK", True)
    assert keys() == ["1", "2", "3"]


def test_redirect(box, add, keys):
    box.fail("redirect", location="https://example.com/")
    response = add("3")
    assert (response.status_code, response.headers["Location"]) == (307, "https://example.com/")
    assert keys() == ["1", "2"]


def test_reads_that_lie(box, caller, group):
    fault = box.fail("capped_read", limit=1)
    assert read(caller, group) == ["1"]
    fault.remove()
    fault = box.fail("hide", keys=["1"])
    assert read(caller, group) == ["2"]
    fault.remove()
    fault = box.fail("null_read")
    assert caller.ask("getcontacts", idgroup=group) == {"status": "SUCCESS", "result": None}
    assert caller.code("getcontacts", idgroup="5") == "NOT_ACCESS_TO_GROUP"
    fault.remove()
    fault = box.fail("absent_read")
    assert caller.ask("getcontacts", idgroup=group) == {"status": "SUCCESS"}
    assert caller.result("getcontact", idgroup=group, idcontact="100001")
    fault.remove()
    assert read(caller, group) == ["1", "2"]


def test_stale_read(box, caller, add, group):
    fault = box.fail("stale_read")
    add("3")
    caller.result("deletecontact", idgroup=group, idcontact="100001")
    caller.result("modifycontact", idgroup=group, idcontact="100002", contact="mobile:2,name:new")
    assert caller.result("getcontacts", idgroup=group) == [
        {"idcontact": "100001", "mobile": "1", "name": "a"},
        {"idcontact": "100002", "mobile": "2"},
    ]
    fault.remove()
    assert read(caller, group) == ["2", "3"]


def test_stale_read_by_seconds(box, caller, add, group):
    time.sleep(0.5)
    box.fail("stale_read", seconds=0.5)
    add("3")
    assert read(caller, group) == ["1", "2"]
    time.sleep(0.55)
    assert read(caller, group) == ["1", "2", "3"]


def test_a_rate_limit_lets_through_what_it_says(box, caller, group):
    """Called as fast as it goes for over two seconds: one burst, then the rate, and never more."""
    box.fail("rate_limited", per_second=20, burst=5)
    began, refused, passed = time.monotonic(), [], 0
    while time.monotonic() - began < 2.2:
        response = caller.send("getgroupcolumns", idgroup=group)
        if response.status_code == 200:
            passed += 1
        else:
            refused.append((response.status_code, response.headers["Retry-After"]))
        most = 5 + 20 * (time.monotonic() - began)
        assert passed <= most
        # Calls that are refused do not use the limit up. The client may be slow, so the bound is wide.
        time.sleep(0.01)
    assert passed >= most * 0.7
    assert set(refused) == {(429, "1")}
    assert passed + len(refused) == len(box.calls)


def test_a_rate_limit_counts_all_connections_and_says_how_long_to_wait(box, group, caller_for):
    fault = box.fail("rate_limited", per_second=0.1, burst=2)
    answers = [caller_for(box).send("getgroupcolumns", idgroup=group) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["Retry-After"] in ("9", "10")
    assert fault.hits == 1
    box.clear_faults()
    box.fail("rate_limited", per_second=0.1, retry_after=3)
    assert [caller_for(box).send("getcontacts", idgroup=group).headers.get("Retry-After") for _ in range(2)] == [
        None,
        "3",
    ]


def test_refuse_row(box, add, keys):
    fault = box.fail("refuse_row", keys=["4"], code="BAD_ROW")
    assert add("3", "4").json()["error"] == "BAD_ROW"
    assert add("3", "5").json()["status"] == "SUCCESS"
    assert keys() == ["1", "2", "3", "5"]
    assert fault.hits == 1


@pytest.mark.parametrize("stored_key", ["as-sent", "plus"])
def test_lose_row(box, caller, add, keys, group, stored_key):
    box.dialect = Dialect(stored_key=stored_key, bulk="ids")
    box.fail("lose_row", keys=["4", "6"])
    assert add("3", "4", "5").json() == {"status": "SUCCESS", "result": ["100003", "100004", "100005"]}
    assert caller.result("addcontact", idgroup=group, contact="mobile:6") == "100006"
    assert [key.lstrip("+") for key in keys()] == ["1", "2", "3", "5"]
    assert box.sent_rows(group) == {"3": 1, "4": 1, "5": 1, "6": 1}


def test_too_large(box, add, keys):
    fault = box.fail("too_large", rows=2)
    assert add("3", "4").status_code == 200
    assert add("5", "6", "7").status_code == 413
    fault.remove()
    box.fail("too_large", rows=2, code="MISSING_COMPULSORY_PARAM")
    response = add("5", "6", "7")
    assert (response.status_code, response.json()["error"]) == (200, "MISSING_COMPULSORY_PARAM")
    assert keys() == ["1", "2", "3", "4"]


def test_every_kind_is_tested_here():
    with open(__file__) as file:
        source = file.read()
    assert [kind for kind in KINDS if f'"{kind}"' not in source] == []


@pytest.mark.parametrize(
    ("when", "hit"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"count": 2}, [1, 2]),
        ({"after": 3}, [4, 5, 6, 7, 8]),
        ({"every": 3}, [3, 6]),
        ({"after": 1, "every": 2, "count": 2}, [3, 5]),
        ({"every": 2, "first": 4}, [2, 4]),
        ({"probability": 1.0}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"probability": 0.0}, []),
        ({"methods": ["getgroupcolumns"]}, []),
        ({"methods": "getcontacts", "count": 1}, [1]),
    ],
)
def test_when_a_fault_hits(box, caller, group, when, hit):
    fault = box.fail("error", code="X", **when)
    answers = [caller.ask("getcontacts", idgroup=group)["status"] for _ in range(8)]
    assert [number for number, status in enumerate(answers, 1) if status == "ERROR"] == hit
    assert fault.hits == len(hit)


def test_several_faults(box, caller, group):
    box.fail("latency", seconds=0.1)
    first = box.fail("error", code="FIRST", count=1)
    second = box.fail("error", code="SECOND", count=1)
    hidden = box.fail("hide", keys="1")
    began = time.monotonic()
    assert caller.code("getcontacts", idgroup=group) == "FIRST"
    assert time.monotonic() - began >= 0.1
    assert (first.hits, second.hits) == (1, 0)
    assert caller.code("getcontacts", idgroup=group) == "SECOND"
    assert read(caller, group) == ["2"]
    assert hidden.hits == 3
    # getbalance is hit only when it is named, and a call that fails the common checks never.
    assert caller.result("getbalance")
    box.clear_faults()
    box.fail("error", code="X", methods="getbalance")
    assert caller.code("getbalance") == "X"
    assert read(caller, group) == ["1", "2"]


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("fire", {}, "no fault 'fire'; the faults are latency, "),
        ("latency", {}, "needs seconds"),
        ("latency", {"seconds": "long"}, "seconds of the fault latency must be a number from 0, not 'long'"),
        ("latency", {"seconds": 1, "colour": 2}, "knows no colour"),
        ("hide", {"keys": [], "methods": ["addcontact"]}, "cannot hit addcontact; it may hit getcontacts"),
        ("drop_before", {"methods": ["dance"]}, "cannot hit dance"),
        ("drop_before", {"every": 0}, "every of a fault must be a whole number from 1"),
        ("drop_before", {"after": -1}, "from 0"),
        ("drop_before", {"count": "x"}, "not 'x'"),
        ("drop_before", {"count": True}, "not True"),
        ("drop_before", {"probability": 2}, "probability of a fault must be a number from 0 to 1"),
        ("drop_before", {"probability": "often"}, "from 0 to 1"),
        ("drop_before", {"methods": 5}, "methods of a fault must be a text or a list of texts"),
        ("hide", {"keys": [["1"]]}, "keys of a fault must be a text or a list of texts"),
        ("latency", {"seconds": float("nan")}, "must be a number from 0"),
        ("latency", {"seconds": None}, "must be a number from 0, not None"),
        ("capped_read", {"limit": 1e300}, "must be a number from 0"),
        ("rate_limited", {"per_second": 0}, "per_second of the fault rate_limited must be a number from 0.001"),
        ("redirect", {"location": "http://a\r\nX: y"}, "must be plain text"),
        ("error", {"code": None}, "must be plain text"),
    ],
)
def test_wrong_faults(box, kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        box.fail(kind, **arguments)


def test_texts_of_the_command_line():
    text = "html:applied=true,every=3,probability=0.5,methods=addcontact/addcontactlist"
    assert parse_fault(text) == {
        "kind": "html", "applied": True, "every": 3, "probability": 0.5, "methods": ["addcontact", "addcontactlist"]
    }  # fmt: skip
    assert parse_fault("drop_before") == {"kind": "drop_before"}
    assert parse_fault("refuse_row:keys=346,code=X") == {"kind": "refuse_row", "keys": ["346"], "code": "X"}
    with pytest.raises(ValueError, match="KIND:key=value"):
        parse_fault("latency:2")


@pytest.mark.parametrize("kind", ["latency", "late"])
def test_stop_cuts_waiting_calls_off(caller_for, kind, capfd):
    sandbox = Sandbox().start()
    sandbox.fail(kind, seconds=60)
    caller, failures = caller_for(sandbox), []

    def call():
        try:
            caller.ask("creategroup", name="g", type="mobile", fields="mobile")
        except requests.ConnectionError as error:
            failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    while not sandbox.calls:
        time.sleep(0.01)
    began = time.monotonic()
    sandbox.stop()
    thread.join(2)
    assert time.monotonic() - began < 1.5
    assert len(failures) == 1
    assert not any(thread.name == "afilnet-sandbox" for thread in threading.enumerate())
    assert capfd.readouterr().err == ""


def test_stop_does_not_wait_for_a_client_that_does_not_read(capfd):
    with Sandbox() as sandbox:
        gid = sandbox.create_group("g", "mobile", ["mobile"], [{"mobile": f"{n:050}"} for n in range(100_000)])
        params = {"user": "demo", "password": "demo", "class": "group", "method": "getcontacts", "idgroup": gid}
        response = requests.get(f"{sandbox.url}/api/http/", params=params, stream=True, timeout=5)
        began = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - began < 2
        response.close()
    assert capfd.readouterr().err == ""


def test_calls_at_the_same_time(box, group, caller_for):
    box.fail("latency", seconds=0.3)
    threads = [
        threading.Thread(
            target=caller_for(box).ask, args=("addcontact",), kwargs={"idgroup": group, "contact": f"mobile:{n}"}
        )
        for n in range(10, 30)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 3
    assert len(box.contacts(group)) == 22
    ids = [contact["idcontact"] for contact in box.contacts(group)]
    assert len(set(ids)) == len(ids)
