"""SOAP at the sandbox, seen by bare HTTP: the WSDL, the envelopes, the faults, the log."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
import requests

from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.dialect import dialects_of
from airflow_provider_afilnet.sandbox.soap import _fields

pytestmark = pytest.mark.timeout(30)

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"


def send(box: Sandbox, content: str) -> requests.Response:
    body = f'<e:Envelope xmlns:e="{SOAP}"><e:Body>{content}</e:Body></e:Envelope>'
    return requests.post(f"{box.url}/soap", body.encode(), timeout=10, allow_redirects=False)


def call(box: Sandbox, operation: str, **params: str) -> str:
    given = {"user": box.user, "password": box.password, **params}
    elements = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in given.items())
    return ElementTree.fromstring(send(box, f"<{operation}>{elements}</{operation}>").content)[0][0][0].text or ""


@pytest.mark.parametrize("answer", dialects_of("soap_answer"))
@pytest.mark.parametrize("operations", dialects_of("soap_operations"))
def test_the_wsdl_names_the_operations_of_the_dialect(box: Sandbox, operations: Any, answer: Any) -> None:
    box.dialect = Dialect(soap_operations=operations, soap_answer=answer)
    response = requests.get(f"{box.url}/soap?wsdl", timeout=10)
    assert response.headers["Content-Type"].startswith("text/xml")
    root = ElementTree.fromstring(response.content)
    names = [found.get("name") for found in root.findall(f"{WSDL}portType/{WSDL}operation")]
    assert names == (list(METHODS) if operations == "per-method" else ["call"])
    assert f'location="{box.url}/soap"' in response.text
    assert ('name="return" type="t:Answer"' in response.text) is (answer == "fields")


def test_calls_are_those_of_the_other_styles(box: Sandbox) -> None:
    assert call(box, "getbalance") == '{"status":"SUCCESS","result":"25.5"}'
    assert call(box, "getcontacts", idgroup="5") == '{"status":"ERROR","error":"NOT_ACCESS_TO_GROUP"}'
    assert call(box, "getcontacts") == '{"status":"ERROR","error":"MISSING_COMPULSORY_PARAM"}'
    assert "INCORRECT_USER_PASSWORD" in call(box, "getbalance", password="wrong")
    assert "MISSING_USER" in call(box, "getbalance", user="")
    box.dialect = Dialect(soap_operations="generic")
    assert "INCORRECT_METHOD" in call(box, "call", **{"class": "group"}, method="nothing")
    assert "MISSING_CLASS" in call(box, "call", method="getbalance")
    logged = box.calls
    assert {found.style for found in logged} == {"soap"}
    assert {found.params.get("password") for found in logged} == {"***"}
    assert box.count("getcontacts") == 2


def test_accounts_do_not_see_each_other(box: Sandbox) -> None:
    box.add_account("other", "pw")
    group = box.create_group("g", "mobile", ["mobile"])
    assert "SUCCESS" in call(box, "getgroupcolumns", idgroup=group)
    assert "NOT_ACCESS_TO_GROUP" in call(box, "getgroupcolumns", idgroup=group, user="other", password="pw")


@pytest.mark.parametrize(
    "content",
    ["", "<getbalance/><getbalance/>", "<nothing/>", "<call/>", "<broken>", "<getbalance>&nothing;</getbalance>"],
)
def test_what_is_no_call_gets_a_fault(box: Sandbox, content: str) -> None:
    response = send(box, content)
    assert response.status_code == 500
    assert "<faultcode>e:Client</faultcode>" in response.text
    assert box.calls == []


def test_faults_hit_soap_calls_too(box: Sandbox) -> None:
    group = box.create_group("g", "mobile", ["mobile"], [{"mobile": "34600"}])
    box.fail("rate_limited", methods="addcontact", retry_after=3, count=1)
    body = f"<addcontact><user>u</user><password>pw-secret</password><idgroup>{group}</idgroup>"
    body += "<contact>mobile:1</contact></addcontact>"
    response = send(box, body)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
    box.fail("drop_after", methods="addcontact", count=1)
    with pytest.raises(requests.ConnectionError):
        send(box, body)
    assert len(box.contacts(group)) == 2
    box.fail("garbled", count=1)
    with pytest.raises(ElementTree.ParseError):
        ElementTree.fromstring(send(box, body.replace("mobile:1", "mobile:2")).content)
    box.fail("html", count=1)
    assert send(box, body).headers["Content-Type"].startswith("text/html")
    box.fail("redirect", location="https://elsewhere.example/", count=1)
    assert send(box, body).status_code == 307


@pytest.mark.parametrize("answer", dialects_of("soap_answer"))
def test_a_long_list_is_whole(box: Sandbox, answer: Any) -> None:
    box.dialect = Dialect(soap_answer=answer)
    rows = [{"mobile": str(n), "name": f"<&> {n}"} for n in range(2501)]
    group = box.create_group("g", "mobile", ["mobile", "name"], rows)
    signed = f"<user>u</user><password>pw-secret</password><idgroup>{group}</idgroup>"
    text = send(box, f"<getcontacts>{signed}</getcontacts>").text
    ElementTree.fromstring(text)
    assert text.count("&lt;&amp;&gt; ") == 2501


@pytest.mark.parametrize("numbers", dialects_of("numbers"))
@pytest.mark.parametrize("empty", dialects_of("empty_values"))
@pytest.mark.parametrize("form", dialects_of("contacts"))
def test_a_list_in_fields_is_that_of_the_other_styles(box: Sandbox, form: Any, empty: Any, numbers: Any) -> None:
    """It is made while it is sent; a short answer is made as a whole, from the JSON of the other styles."""
    box.dialect = Dialect(soap_answer="fields", contacts=form, empty_values=empty, numbers=numbers, status_case="lower")
    value = '<&>\r\n" é \U0001f600 \u2028 \x01 ]}'
    for count in (0, 1, 1200):
        contacts = [{"mobile": f"0{number}", "name": value} for number in range(count)]
        group = box.create_group("g", "mobile", ["mobile", "name", "city"], contacts)
        signed = {"user": "u", "password": "pw-secret", "idgroup": group}
        params = {"class": "group", "method": "getcontacts", **signed}
        answer = requests.post(f"{box.url}/api/http/", params, timeout=10).json()
        elements = "".join(f"<{name}>{text}</{name}>" for name, text in signed.items())
        text = send(box, f"<getcontacts>{elements}</getcontacts>").content.decode()
        assert f"<t:return>{_fields(answer)}</t:return>" in text
        ElementTree.fromstring(text)


@pytest.mark.parametrize("operations", dialects_of("soap_operations"))
@pytest.mark.parametrize("text", ["[]", "7", "null", '"text"', "[1", '{"idgroup": "\\ud800"}'])
def test_parameters_that_are_no_object_are_the_callers_mistake(box: Sandbox, operations: Any, text: str) -> None:
    box.dialect = Dialect(soap_operations=operations)
    operation = "getbalance" if operations == "per-method" else "call"
    response = send(box, f"<{operation}><parameters>{text}</parameters></{operation}>")
    assert response.status_code == 500
    assert "<faultcode>e:Client</faultcode>" in response.text
    assert box.calls == []
