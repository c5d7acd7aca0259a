"""SOAP: which WSDLs can be used and what is said of the others, faults, hostile XML, and a read in constant memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import zeep
from api_styles import http_answer, make_settings

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.answers import read_columns
from airflow_provider_afilnet.api.client import AfilnetClient
from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.api.soap import SoapAnswer
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.soap import wsdl

READ, WRITE, ONCE = "getgroupcolumns", "modifycontact", "creategroup"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
ENVELOPE_12 = "http://www.w3.org/2003/05/soap-envelope"


def envelope(content: str, namespace: str = ENVELOPE) -> str:
    return f'<?xml version="1.0"?><e:Envelope xmlns:e="{namespace}"><e:Body>{content}</e:Body></e:Envelope>'


def answer(text: str) -> str:
    return envelope(f"<x><return>{text}</return></x>")


class Service:
    """A bare server with a WSDL and one answer to every call."""

    def __init__(self, raw_server: Any, description: Any, reply: bytes = b"") -> None:
        self.reply = reply

        def respond(request: Any) -> bytes | None:
            if request.line.startswith("GET "):
                content = description(self.server.url) if callable(description) else description
                if isinstance(content, dict):
                    content = content[request.line.split()[1]]
                return content if isinstance(content, bytes) else http_answer(content, "text/xml")
            return self.reply

        self.server = raw_server(respond, bare=True)

    @property
    def calls(self) -> list[Any]:
        return [request for request in self.server.requests if request.line.startswith("POST")]

    def settings(self, **more: Any) -> ClientSettings:
        return make_settings(self.server.url, "soap", **more)


def usual(url: str) -> str:
    return wsdl(Dialect(), f"{url}/soap")


def test_a_plain_zeep_client_can_use_the_sandbox(sandbox: Sandbox) -> None:
    group = sandbox.create_group("g", "mobile", ["mobile", "name"])
    sandbox.dialect = Dialect(soap_answer="fields")
    service = zeep.Client(f"{sandbox.url}/soap?wsdl").service
    signed = {"user": "demo", "password": "demo"}
    balance = service.getbalance(**signed)
    assert (balance.status, balance.result) == ("SUCCESS", "25.5")
    added = service.addcontact(**signed, idgroup=group, contact="mobile:34600111222,name:Ana & Eva")
    assert added.status == "SUCCESS"
    assert service.addcontact(**signed, idgroup=group, contact="mobile:34600111222").error == "CONTACT_EXISTS"
    assert sandbox.contacts(group) == [{"idcontact": "100001", "mobile": "34600111222", "name": "Ana & Eva"}]
    sandbox.dialect = Dialect(soap_operations="generic")
    service = zeep.Client(f"{sandbox.url}/soap?wsdl").service
    answered = service.call(**signed, **{"class": "group"}, method="getgroupcolumns", idgroup=group)
    assert answered == '{"status":"SUCCESS","result":["mobile","name"]}'


# --- the WSDL --------------------------------------------------------------------------------------------------------


def changed(*changes: tuple[str, str]) -> Any:
    """The usual WSDL with texts replaced; each must be there."""

    def write(url: str) -> str:
        text = usual(url)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return text

    return write


def renamed(url: str) -> str:
    return re.sub(rf'([":])({"|".join(METHODS)})(?=["RM])', r"\1do_\2", usual(url))


UNFIT = {
    "other names": (renamed, "do_getbalance(user, password)"),
    "no sign-in": (changed(('<xsd:element name="password" type="xsd:string"/>', "")), "getbalance(user)"),
    "more is needed": (
        changed(('<xsd:element name="user"', '<xsd:element name="key" type="xsd:string"/><xsd:element name="user"')),
        "getbalance(key, user, password)",
    ),
    "answers a number": (changed(('name="return" type="xsd:string"', 'name="return" type="xsd:int"')), "getbalance("),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_wsdl_that_fits_neither_is_told_with_its_operations(asker: Any, raw_server: Any, case: str) -> None:
    description, shown = UNFIT[case]
    service = Service(raw_server, description)
    error = asker.one(service.settings(), READ, idgroup=1)
    assert (type(error), error.retryable, error.method) == (e.AfilnetConfigurationError, False, READ)
    assert shown in str(error)
    assert "neither an operation for each method" in str(error)
    assert service.calls == []


def test_a_method_without_an_operation_is_told_with_the_others(asker: Any, raw_server: Any, http: Any) -> None:
    service = Service(raw_server, changed(("deletecontact", "removecontact")), http(200, answer("x"), kind="text/xml"))
    error = asker.one(service.settings(), "deletecontact", idgroup=1, idcontact=2)
    assert type(error) is e.AfilnetConfigurationError
    assert "no operation for it" in str(error)
    assert "removecontact(user, password, idgroup, idcontact)" in str(error)
    assert service.calls == []


def test_a_method_nobody_knows_goes_to_an_operation_of_its_name(asker: Any, sandbox: Sandbox, raw_server: Any) -> None:
    """``hook.call("sendsms", **{"class": "sms"}, …)`` works where the WSDL has it."""
    reply = http_answer(answer('{"status":"SUCCESS","result":"sent"}'), "text/xml")
    service = Service(raw_server, changed(("assigncountrytogroup", "sendsms")), reply)
    params = {"class": "sms", "idgroup": 1, "countryiso3": "x"}
    assert asker.one(service.settings(), "sendsms", **params) == "sent"
    assert b"<ns0:sendsms" in service.calls[0].body
    assert "no operation" in str(asker.one(service.settings(), "sendmail", **params))


TYPES = {
    "any type": ('name="idgroup" type="xsd:string"', 'name="idgroup" type="xsd:anyType"'),
    "a number": ('name="idgroup" type="xsd:string"', 'name="idgroup" type="xsd:int"'),
    "any answer": ('name="return" type="xsd:string"', 'name="return" type="xsd:anyType"'),
}


@pytest.mark.parametrize("case", TYPES)
def test_other_types_that_can_carry_a_text(asker: Any, raw_server: Any, case: str) -> None:
    reply = http_answer(answer('{"status":"SUCCESS","result":"mobile,name"}'), "text/xml")
    service = Service(raw_server, changed(TYPES[case]), reply)
    assert read_columns(asker.one(service.settings(), READ, idgroup=1000)) == ["mobile", "name"]
    assert b">1000<" in service.calls[0].body


RPC = """<definitions targetNamespace="urn:r" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:r"
 xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<message name="in"><part name="user" type="xsd:string"/><part name="password" type="xsd:string"/>
<part name="idgroup" type="xsd:string"/></message>
<message name="out"><part name="return" type="xsd:string"/></message>
<portType name="p"><operation name="getGroupColumns"><input message="t:in"/><output message="t:out"/></operation>
</portType>
<binding name="b" type="t:p"><s:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/>
<operation name="getGroupColumns"><s:operation soapAction="urn:r#columns"/>
<input><s:body use="encoded" namespace="urn:r" encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"/></input>
<output><s:body use="encoded" namespace="urn:r" encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"/></output>
</operation></binding>
<service name="s"><port name="p" binding="t:b"><s:address location="@URL@/soap"/></port></service></definitions>"""


def test_the_rpc_form_that_php_writes(asker: Any, raw_server: Any) -> None:
    reply = http_answer(answer('{"status":"SUCCESS","result":["mobile"]}'), "text/xml")
    service = Service(raw_server, lambda url: RPC.replace("@URL@", url), reply)
    assert asker.one(service.settings(), READ, idgroup=7) == ["mobile"]
    (call,) = service.calls
    assert call.headers["soapaction"] == '"urn:r#columns"'
    assert call.headers["content-type"].startswith("text/xml")
    assert b"<idgroup>7</idgroup>" in call.body


def test_soap_1_2(asker: Any, raw_server: Any) -> None:
    description = changed(("http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/"))
    text = envelope('<x><return>{"status":"SUCCESS","result":"5"}</return></x>', ENVELOPE_12)
    service = Service(raw_server, description, http_answer(text, "application/soap+xml"))
    assert asker.one(service.settings(), "getbalance") == "5"
    (call,) = service.calls
    kind = 'application/soap+xml; charset=utf-8; action="urn:afilnet:sandbox#getbalance"'
    assert call.headers["content-type"] == kind
    assert "soapaction" not in call.headers
    assert ENVELOPE_12.encode() in call.body


def split(url: str) -> dict[str, str]:
    """The usual WSDL with its types in a document of their own."""
    whole = usual(url)
    start, end = whole.index("<xsd:schema"), whole.index("</types>")
    schema = whole[start:end].replace("<xsd:schema", SCHEMA, 1)
    included = (
        '<xsd:schema targetNamespace="urn:afilnet:sandbox"><xsd:include schemaLocation="types.xsd"/></xsd:schema>'
    )
    return {"/soap?wsdl": whole[:start] + included + whole[end:], "/types.xsd": schema}


SCHEMA = '<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:afilnet:sandbox"'


def test_a_wsdl_in_several_documents(asker: Any, raw_server: Any) -> None:
    service = Service(raw_server, split, http_answer(answer('{"status":"SUCCESS","result":"5"}'), "text/xml"))
    assert asker.one(service.settings(), "getbalance") == "5"
    asked = [request.line.split()[1] for request in service.server.requests]
    assert asked == ["/soap?wsdl", "/types.xsd", "/soap"]


@pytest.mark.parametrize("place", ["http://wsdl.example/types.xsd", "file:///etc/passwd", "ftp://wsdl.example/x"])
def test_a_wsdl_cannot_refer_to_files_or_over_plain_http(asker: Any, raw_server: Any, place: str) -> None:
    service = Service(
        raw_server, lambda url: {name: text.replace("types.xsd", place) for name, text in split(url).items()}
    )
    error = asker.one(service.settings(), "getbalance")
    assert type(error) is e.AfilnetConfigurationError
    assert "A document that the WSDL names" in str(error)
    assert len(service.server.requests) == 1


@pytest.mark.parametrize("place", ["http://service.example/soap", "http://10.0.0.1/", "ftp://x/", "", "/soap"])
def test_a_service_address_that_cannot_be_used(asker: Any, raw_server: Any, place: str) -> None:
    service = Service(raw_server, lambda url: wsdl(Dialect(), place))
    error = asker.one(service.settings(), "creategroup", name="n", type="mobile", fields="mobile")
    assert (type(error), error.retryable) == (e.AfilnetConfigurationError, False)
    assert "service address in the WSDL" in str(error)
    if place.startswith("http://service"):
        assert "allow_insecure_http" in str(error)
        allowed = asker.one(service.settings(allow_insecure_http=True, timeout=0.5), "getbalance")
        assert type(allowed) is e.AfilnetConnectionError


def test_calls_go_to_the_service_address_wherever_it_is(asker: Any, raw_server: Any) -> None:
    reply = http_answer(answer('{"status":"SUCCESS","result":"5"}'), "text/xml")
    target = Service(raw_server, usual, reply)
    service = Service(raw_server, lambda _: usual(target.server.url))
    assert asker.many(service.settings(), ("getbalance", {}), ("getbalance", {})) == ["5", "5"]
    assert (len(service.server.requests), len(target.calls)) == (1, 2)


EXPANSION = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
)


@pytest.mark.parametrize("doctype", EXPANSION)
def test_document_types_are_refused(asker: Any, raw_server: Any, doctype: str) -> None:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    service = Service(raw_server, changed((head, head + doctype)))
    assert type(asker.one(service.settings(), "getbalance")) is e.AfilnetConnectionError
    text = answer('{"status":"SUCCESS","result":"&a;"}').replace('<?xml version="1.0"?>', doctype)
    for name, kind in (("getbalance", e.AfilnetUnreadableAnswerError), ("deletegroup", e.AfilnetOutcomeUnknownError)):
        service = Service(raw_server, usual, http_answer(text, "text/xml"))
        params = {"idgroup": 1} if name == "deletegroup" else {}
        assert type(asker.one(service.settings(), name, **params)) is kind
    assert type(asker.contacts(service.settings(), "1")) is e.AfilnetUnreadableAnswerError


TROUBLES = [
    ((200, "<html>maintenance</html>", "text/html"), e.AfilnetConnectionError, True, None),
    ((200, '{"not": "xml"}', "application/json"), e.AfilnetConnectionError, True, None),
    ((200, "", "text/xml"), e.AfilnetConnectionError, True, None),
    ((200, "<x/>", "text/xml"), e.AfilnetConnectionError, True, None),
    ((500, "", "text/xml"), e.AfilnetConnectionError, True, None),
    ((503, "", "text/xml", "Retry-After: 4"), e.AfilnetConnectionError, True, 4),
    ((429, "", "text/xml", "Retry-After: 4"), e.AfilnetRateLimitedError, True, 4),
    ((404, "", "text/xml"), e.AfilnetConfigurationError, False, None),
    ((401, "", "text/xml"), e.AfilnetConfigurationError, False, None),
    ((302, "", "text/xml", "Location: https://elsewhere.example/"), e.AfilnetConfigurationError, False, None),
]


@pytest.mark.parametrize(("trouble", "kind", "retryable", "wait"), TROUBLES, ids=lambda case: str(case)[:40])
@pytest.mark.parametrize("name", [READ, ONCE])
def test_a_wsdl_that_cannot_be_had(
    asker: Any,
    raw_server: Any,
    http: Any,
    params_of: Any,
    trouble: Any,
    kind: Any,
    retryable: Any,
    wait: Any,
    name: str,
) -> None:
    """Whatever it is, the call was not sent, so a write may be tried again."""
    status, body, media_type, *headers = trouble
    service = Service(raw_server, http(status, body, *headers, kind=media_type))
    error = asker.one(service.settings(), name, **params_of(name))
    assert (type(error), error.retryable, error.retry_after, error.method) == (kind, retryable, wait, name)
    assert "not sent" in str(error)
    assert "WSDL" in str(error)
    assert service.calls == []


def test_a_wsdl_that_cannot_be_reached(asker: Any, raw_server: Any, params_of: Any) -> None:
    dropped = raw_server(None, bare=True)
    slow = raw_server(lambda _: slow.released.wait(9) and None, bare=True)
    for url in ("http://127.0.0.1:1", dropped.url, slow.url):
        error = asker.one(make_settings(url, "soap", timeout=0.3), ONCE, **params_of(ONCE))
        assert (type(error), error.retryable, error.method) == (e.AfilnetConnectionError, True, ONCE)
        assert "WSDL" in str(error)


def test_the_wsdl_is_read_once_and_again_after_a_failure(asker: Any, raw_server: Any, http: Any) -> None:
    down = [http(503)]
    service = Service(raw_server, lambda url: down.pop() if down else usual(url))
    service.reply = http_answer(answer('{"status":"SUCCESS","result":"5"}'), "text/xml")
    first, *rest = asker.many(service.settings(), *[("getbalance", {})] * 4)
    assert type(first) is e.AfilnetConnectionError
    assert rest == ["5"] * 3
    assert len(service.server.requests) - len(service.calls) == 2


# --- calls and answers -----------------------------------------------------------------------------------------------


def fault(code: str, text: str = "secret-of-the-server", version: int = 11) -> str:
    if version == 11:
        return envelope(f"<e:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></e:Fault>")
    inner = f"<e:Code><e:Value>{code}</e:Value></e:Code><e:Reason><e:Text>{text}</e:Text></e:Reason>"
    return envelope(f"<e:Fault>{inner}</e:Fault>", ENVELOPE_12)


REFUSED = [("e:Client", 11), ("SOAP-ENV:Client.Authentication", 11), ("e:Sender", 12), ("e:VersionMismatch", 11)]
FAILED = [("e:Server", 11), ("e:Receiver", 12), ("WSDL", 11), ("", 11), ("x y z", 11)]


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(("code", "version"), [*REFUSED, *FAILED])
@pytest.mark.parametrize("name", [READ, WRITE, ONCE])
def test_faults(
    asker: Any, raw_server: Any, http: Any, params_of: Any, status: int, code: str, version: int, name: str
) -> None:
    """Blaming the caller means that nothing was done; anything else leaves the outcome of a write unknown."""
    service = Service(raw_server, usual, http(status, fault(code, version=version), kind="text/xml"))
    error = asker.one(service.settings(), name, **params_of(name))
    if (code, version) in REFUSED:
        assert (type(error), error.retryable) == (e.AfilnetInvalidRequestError, False)
    elif METHODS[name].writes:
        assert (type(error), error.retryable) == (e.AfilnetOutcomeUnknownError, METHODS[name].repeatable)
    else:
        assert (type(error), error.retryable) == (e.AfilnetServerError, True)
    assert "secret-of-the-server" not in str(error)
    assert error.method == name


@pytest.mark.parametrize("code", ["CONTACT_EXISTS", "not_access_to_group", "INCORRECT_USER_PASSWORD"])
def test_a_fault_that_names_one_of_afilnets_codes_is_that_code(
    asker: Any, raw_server: Any, http: Any, code: str
) -> None:
    service = Service(raw_server, usual, http(500, fault("e:Server", f" {code} "), kind="text/xml"))
    error = asker.one(service.settings(), "addcontact", idgroup=1, contact="mobile:1")
    assert error.code == code.upper()
    assert not error.retryable
    assert asker.contacts(service.settings(), "1").code == code.upper()


def test_a_fault_in_a_stream(asker: Any, raw_server: Any, http: Any) -> None:
    service = Service(raw_server, usual, http(200, fault("e:Server"), kind="text/xml"))
    assert type(asker.contacts(service.settings(), "1")) is e.AfilnetServerError


@pytest.mark.parametrize("text", ["a\x01b", "\x00", "a\ufffe"])
def test_what_xml_cannot_carry_is_refused_before_it_is_sent(asker: Any, sandbox: Sandbox, text: str) -> None:
    error = asker.one(make_settings(sandbox.url, "soap"), "addcolumntogroup", idgroup=1, field=f"{text}secret")
    assert type(error) is e.AfilnetInvalidRequestError
    assert "'field'" in str(error)
    assert "secret" not in str(error)
    assert sandbox.calls == []


NASTY = "a&b<c>d\"e'f]]> \t\n\r\r\n g ñ😀 &amp; <![CDATA[x]]>"


@pytest.mark.parametrize("operations", ["per-method", "generic", "generic-pairs", "generic-json"])
@pytest.mark.parametrize("form", ["json", "fields"])
def test_any_other_text_arrives_and_comes_back_as_it_is(
    asker: Any, sandbox: Sandbox, operations: Any, form: Any
) -> None:
    sandbox.dialect = Dialect(soap_operations=operations, soap_answer=form)
    settings = make_settings(sandbox.url, "soap")
    asker.one(settings, "creategroup", name=NASTY, type="mobile", fields="mobile")
    (group,) = sandbox.groups()
    assert group["name"] == NASTY
    asker.one(settings, "addcolumntogroup", idgroup=group["id"], field=NASTY)
    assert asker.one(settings, "getgroupcolumns", idgroup=group["id"]) == ["mobile", NASTY]


FIELDS = "<x><status>SUCCESS</status>{}</x>"
PLAIN_XML = {
    # As servers write it that know no PHP: elements by name.
    "<result>5</result>": "5",
    "<result/>": "",
    '<result xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>': None,
    "": None,
    "<result><item>a</item><item>b</item></result>": ["a", "b"],
    "<result><item>a</item></result>": ["a"],
    "<result><name>a</name></result>": {"name": "a"},
    # A list of one, whatever its item is called: the name is no id.
    "<result><row><mobile>346</mobile></row></result>": [{"mobile": "346"}],
    "<result><row><idcontact>1</idcontact><name>Ana</name></row></result>": [{"idcontact": "1", "name": "Ana"}],
    "<result><row>a</row><row>b</row><row>c</row></result>": ["a", "b", "c"],
    "<result>\n <contact>\n  <idcontact>1</idcontact>\n  <name>Ana</name>\n </contact>\n</result>": [
        {"idcontact": "1", "name": "Ana"}
    ],
    "<result><idcontact>1</idcontact><name>Ana</name><city/></result>": {"idcontact": "1", "name": "Ana", "city": ""},
    '<result>[{"id": 1}]</result>': [{"id": "1"}],
    '<result>{"1": {"name": "Ana"}}</result>': {"1": {"name": "Ana"}},
    "<result>[not json</result>": "[not json",
    "<result><item><key>a b</key><value>1</value></item><item><key>c</key><value/></item></result>": {
        "a b": "1",
        "c": "",
    },
}


@pytest.mark.parametrize("xml", PLAIN_XML)
def test_fields_written_by_other_servers(xml: str) -> None:
    for size in (1, 7, 10_000):
        reader = SoapAnswer(METHODS["getcontact"], 200, {}, fields=True)
        text = envelope(FIELDS.format(xml)).encode()
        found = b"".join(reader.feed(text[start : start + size]) for start in range(0, len(text), size))
        reader.close()
        parsed = json.loads(found, parse_int=str)
        assert parsed.pop("status") == "SUCCESS"
        assert parsed.get("result") == PLAIN_XML[xml]
        assert ("result" in parsed) is bool(xml)


def test_an_empty_group_in_fields_is_only_believed_where_it_is_a_list(asker: Any, raw_server: Any) -> None:
    """``<result/>`` may be an empty list or nothing at all, which is no proof of an empty group."""
    described = lambda url: wsdl(Dialect(soap_answer="fields"), f"{url}/soap")  # noqa: E731
    typed = '<result xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="a:Array"/>'
    for xml, expected in ((typed, []), ("<result/>", None), ("", None)):
        service = Service(raw_server, described, http_answer(envelope(FIELDS.format(xml)), "text/xml"))
        found = asker.contacts(service.settings(), "1")
        assert found == expected if expected is not None else isinstance(found, e.AfilnetUnreadableAnswerError)


@pytest.mark.parametrize("cut", [1, 30, 80])
@pytest.mark.parametrize("form", ["json", "fields"])
def test_an_envelope_that_broke_off_is_red(asker: Any, raw_server: Any, cut: int, form: Any) -> None:
    contact = '{"idcontact":"1","mobile":"34600111222"}'
    whole = {
        "json": answer(f'{{"status":"SUCCESS","result":[{contact}]}}'),
        "fields": envelope(FIELDS.format("<result><item><idcontact>1</idcontact><a>b</a></item></result>")),
    }[form]
    described = lambda url: wsdl(Dialect(soap_answer=form), f"{url}/soap")  # noqa: E731
    service = Service(raw_server, described, http_answer(whole, "text/xml"))
    assert len(asker.contacts(service.settings(), "1")) == 1
    service.reply = http_answer(whole[:-cut], "text/xml")
    error = asker.contacts(service.settings(), "1")
    assert (type(error), error.retryable) == (e.AfilnetUnreadableAnswerError, True)


def test_nesting_without_end_is_refused(asker: Any, raw_server: Any) -> None:
    service = Service(raw_server, usual, http_answer(envelope("<x>" * 100_000), "text/xml"))
    assert type(asker.one(service.settings(), "getbalance")) is e.AfilnetUnreadableAnswerError


# --- what it costs ---------------------------------------------------------------------------------------------------

# The system's own account (getrusage) begins with the memory of the process that started this one.
MEMORY = """
import sys
from airflow_provider_afilnet.api.client import AfilnetClient
from airflow_provider_afilnet.api.settings import ClientSettings
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024
fields = dict(pair.partition("=")[::2] for pair in sys.argv[2:])
with AfilnetClient(ClientSettings("demo", "demo", timeout=60, **fields)) as client:
    assert len(list(client.contacts(sys.argv[1].split(",")[0]))) == 100
    before = peak()
    count = sum(1 for _ in client.contacts(sys.argv[1].split(",")[1]))
    print(count, peak() - before)
"""


@pytest.mark.parametrize(("style", "form"), [("soap", "json"), ("soap", "fields"), ("json", "json")])
def test_a_large_group_is_read_in_constant_memory(sandbox: Sandbox, style: str, form: Any) -> None:
    """100,000 contacts are 9 MB as JSON and several times that as objects; the reader may grow by 12 MB at most."""
    contacts = [{"mobile": str(34600000000 + n), "name": f"Name & <number> {n}"} for n in range(100_000)]
    sandbox.dialect = Dialect(soap_answer=form)
    small = sandbox.create_group("s", "mobile", ["mobile", "name"], contacts[:100])
    large = sandbox.create_group("l", "mobile", ["mobile", "name"], contacts)
    settings = make_settings(sandbox.url, style)
    names = ("style", "wsdl_url", "json_url", "token_url", "client_id", "client_secret")
    given = [f"{name}={value}" for name in names if (value := getattr(settings, name))]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, f"{small},{large}", *given], capture_output=True, text=True, check=True
    )
    count, megabytes = map(int, done.stdout.split())
    assert count == 100_000
    assert megabytes <= 12


def test_without_zeep_one_sentence_says_what_to_install(
    asker: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zeep", None)
    error = asker.one(make_settings(sandbox.url, "soap"), "getbalance")
    assert type(error) is e.AfilnetConfigurationError
    assert str(error) == "api_style 'soap' needs the package zeep: pip install 'airflow-provider-afilnet[soap]'."


def test_a_closed_client_keeps_what_it_learned(sandbox: Sandbox) -> None:
    client = AfilnetClient(make_settings(sandbox.url, "soap"))
    for _ in range(2):
        assert client.call("getbalance") == "25.5"
        client.close()
