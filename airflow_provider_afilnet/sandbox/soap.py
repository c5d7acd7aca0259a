"""SOAP at the sandbox: the WSDL at ``/soap?wsdl``, and the service that it describes at ``/soap``.

A call is read into the parameters that the other styles send, is answered by the same code, and the JSON answer is then
put into an envelope. What the documents leave open is in the dialect: ``soap_operations`` and ``soap_answer``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.sandbox.dialect import Dialect
from airflow_provider_afilnet.sandbox.wire import Streamed

if TYPE_CHECKING:
    from airflow_provider_afilnet.sandbox.app import State

Serve = Callable[[str, Mapping[str, str]], Awaitable[Response]]
"""Answers a call, given its style and parameters, user and password included, as ``/api/http/`` would."""

_NAMESPACE: Final = "urn:afilnet:sandbox"
_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_PHP_MAP: Final = "http://xml.apache.org/xml-soap"
_PHP_ARRAY: Final = "http://schemas.xmlsoap.org/soap/encoding/"
_XML: Final = "text/xml"
_GENERIC: Final = "call"
_OPEN: Final = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<e:Envelope xmlns:e="{_SOAP}" xmlns:t="{_NAMESPACE}" xmlns:xsi="{_XSI}"'
    f' xmlns:m="{_PHP_MAP}" xmlns:a="{_PHP_ARRAY}"><e:Body>'
)
_CLOSE: Final = "</e:Body></e:Envelope>"
# What XML 1.0 cannot hold; JSON escapes it anyway.
_UNFIT: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF], "\ufffd")


def routes(state: State, serve: Serve) -> list[Route]:
    """The address of the service, which also shows its WSDL."""

    async def soap(request: Request) -> Response:
        if request.method != "POST":
            return Response(wsdl(state.dialect, f"{request.url.scheme}://{request.url.netloc}/soap"), media_type=_XML)
        try:
            operation, params = _read_call(await request.body(), state.dialect)
        except ClientDisconnect:
            return Response(status_code=400)
        except (ElementTree.ParseError, ValueError, LookupError):  # an encoding that nobody knows is a LookupError
            return _fault("Client", "The request is no SOAP envelope with an operation of this service")
        return _in_envelope(operation, await serve("soap", params), fields=state.dialect.soap_answer == "fields")

    return [Route("/soap" + end, soap, methods=["GET", "POST"]) for end in ("", "/")]


# The WSDL


def wsdl(dialect: Dialect, address: str) -> str:
    """The WSDL of a service at ``address`` with the operations and the answers of the dialect."""
    params = dict.fromkeys(param for method in METHODS.values() for param in method.params)
    text = [(name, "xsd:string") for name in ("user", "password", "class", "method")]
    operations: dict[str, list[tuple[str, str]]] = {
        "per-method": {
            name: [*text[:2], *((param, "xsd:string") for param in method.params)] for name, method in METHODS.items()
        },
        "generic": {_GENERIC: [*text, *((param, "optional") for param in params)]},
        "generic-pairs": {_GENERIC: [*text, ("parameters", "t:Pairs")]},
        "generic-json": {_GENERIC: [*text, ("parameters", "xsd:string")]},
    }[dialect.soap_operations]
    result = "t:Answer" if dialect.soap_answer == "fields" else "xsd:string"
    schema, messages, port, binding = "", "", "", ""
    for name, elements in operations.items():
        inner = "".join(_element(*element) for element in elements)
        schema += _wrapper(name, inner) + _wrapper(f"{name}Response", _element("return", result))
        for end in ("", "Response"):
            messages += (
                f'<message name="{name}{end}Message"><part name="parameters" element="t:{name}{end}"/></message>'
            )
        port += (
            f'<operation name="{name}"><input message="t:{name}Message"/><output message="t:{name}ResponseMessage"/>'
            "</operation>"
        )
        body = '<s:body use="literal"/>'
        binding += (
            f'<operation name="{name}"><s:operation soapAction={quoteattr(f"{_NAMESPACE}#{name}")}/>'
            f"<input>{body}</input><output>{body}</output></operation>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<definitions name="Afilnet" targetNamespace="{_NAMESPACE}" xmlns="http://schemas.xmlsoap.org/wsdl/"'
        f' xmlns:t="{_NAMESPACE}" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"><types>'
        f'<xsd:schema targetNamespace="{_NAMESPACE}" elementFormDefault="qualified">{_TYPES}{schema}</xsd:schema>'
        f'</types>{messages}<portType name="AfilnetPort">{port}</portType>'
        '<binding name="AfilnetBinding" type="t:AfilnetPort">'
        f'<s:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>{binding}</binding>'
        '<service name="Afilnet"><port name="AfilnetPort" binding="t:AfilnetBinding">'
        f"<s:address location={quoteattr(address)}/></port></service></definitions>"
    )


_TYPES: Final = (
    '<xsd:complexType name="Answer"><xsd:sequence><xsd:element name="status" type="xsd:string"/>'
    '<xsd:element name="error" type="xsd:string" minOccurs="0"/>'
    '<xsd:element name="result" type="xsd:anyType" minOccurs="0" nillable="true"/></xsd:sequence></xsd:complexType>'
    '<xsd:complexType name="Pairs"><xsd:sequence><xsd:element name="item" type="t:Pair" minOccurs="0" '
    'maxOccurs="unbounded"/></xsd:sequence></xsd:complexType>'
    '<xsd:complexType name="Pair"><xsd:sequence><xsd:element name="key" type="xsd:string"/>'
    '<xsd:element name="value" type="xsd:string"/></xsd:sequence></xsd:complexType>'
)


def _element(name: str, kind: str) -> str:
    if kind == "optional":
        return f'<xsd:element name="{name}" type="xsd:string" minOccurs="0"/>'
    return f'<xsd:element name="{name}" type="{kind}"/>'


def _wrapper(name: str, inner: str) -> str:
    sequence = f"<xsd:complexType><xsd:sequence>{inner}</xsd:sequence></xsd:complexType>"
    return f'<xsd:element name="{name}">{sequence}</xsd:element>'


# A call


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _read_call(body: bytes, dialect: Dialect) -> tuple[str, dict[str, str]]:
    """The operation of an envelope, and the parameters as the other styles would send them."""
    root = ElementTree.fromstring(body)  # noqa: S314 - a local sandbox
    content = root.find(f"{{{_SOAP}}}Body")
    if content is None or len(content) != 1:
        raise ValueError
    (call,) = content
    operation, params = _local(call), {}
    if operation not in (METHODS if dialect.soap_operations == "per-method" else (_GENERIC,)):
        raise ValueError
    for element in call:
        if _local(element) != "parameters":
            params[_local(element)] = element.text or ""
        elif len(element):
            pairs = ({_local(part): part.text or "" for part in item} for item in element)
            params |= {pair["key"]: pair["value"] for pair in pairs if pair.keys() == {"key", "value"}}
        else:
            params |= _json_params(element.text or "{}")
    if operation != _GENERIC:
        params = {"method": operation, "class": METHODS[operation].api_class, **params}
    return operation, params


def _json_params(text: str) -> dict[str, str]:
    """The parameters in a JSON object; what is none of it is the caller's mistake."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError
    # Half a surrogate pair is no text that could be stored.
    json.dumps(found, ensure_ascii=False).encode()
    return {name: str(value) for name, value in found.items()}


# An answer


def _fault(code: str, text: str) -> Response:
    fault = f"<e:Fault><faultcode>e:{code}</faultcode><faultstring>{escape(text)}</faultstring></e:Fault>"
    return Response(_OPEN + fault + _CLOSE, 500, media_type=_XML)


def _in_envelope(operation: str, answer: Response, *, fields: bool) -> Response:
    """The answer's JSON inside an envelope; what is no JSON answer of the API goes out as it is."""
    if answer.media_type != "application/json":
        return answer
    before = f"{_OPEN}<t:{operation}Response><t:return>"
    after = f"</t:return></t:{operation}Response>{_CLOSE}"
    if isinstance(answer, Streamed):
        return Streamed((_as_fields if fields else _escaped)(before, answer.parts, after), _XML)
    whole = bytes(answer.body).decode()
    try:
        envelope = json.loads(whole)
    except ValueError:
        # The fault that breaks an answer off breaks the envelope off too.
        return Response(before + escape(whole), answer.status_code, media_type=_XML)
    shown = _fields(envelope) if fields else escape(whole)
    return Response(before + shown + after, answer.status_code, media_type=_XML)


def _escaped(before: str, parts: Iterable[str], after: str) -> Iterator[str]:
    yield before
    for part in parts:
        yield escape(part)
    yield after


def _as_fields(before: str, parts: Iterable[str], after: str) -> Iterator[str]:
    """What :func:`_fields` makes of the whole, made while its parts come."""
    import ijson

    events = ijson.sendable_list()
    parser, open_values = ijson.basic_parse_coro(events), list[_Open]()
    yield before
    for part in parts:
        parser.send(part.encode())
        yield "".join(_tags(events, open_values))
        del events[:]
    yield after


@dataclass(slots=True)
class _Open:
    """A JSON object or array whose end has not come; ``close`` is what will end it. The envelope has no tag."""

    kind: str
    close: str
    key: str = ""


def _tags(events: Iterable[tuple[str, Any]], open_values: list[_Open]) -> Iterator[str]:
    for event, value in events:
        if event == "map_key":
            open_values[-1].key = value
            continue
        if event in ("end_map", "end_array"):
            yield open_values.pop().close
            continue
        if not open_values:
            open_values.append(_Open("envelope", ""))
            continue
        inside = open_values[-1]
        head, tag, end = {
            "envelope": ("", f"t:{inside.key}", ""),
            "map": (f"<item>{_tagged('key', inside.key)}", "value", "</item>"),
            "array": ("", "item", ""),
        }[inside.kind]
        if event in ("start_map", "start_array"):
            kind = event.removeprefix("start_")
            yield f'{head}<{tag} xsi:type="{_LISTED[kind]}">'
            open_values.append(_Open(kind, f"</{tag}>{end}"))
        else:
            yield f"{head}{_tagged(tag, value)}{end}"


_LISTED: Final = {"map": "m:Map", "array": "a:Array"}


def _fields(envelope: Mapping[str, Any]) -> str:
    return "".join(_tagged(f"t:{name}", value) for name, value in envelope.items())


def _tagged(tag: str, value: Any) -> str:
    """A value as PHP's SOAP server writes it: lists of ``item``, objects of ``item`` with ``key`` and ``value``."""
    if value is None:
        return f'<{tag} xsi:nil="true"/>'
    if isinstance(value, dict):
        items: Iterable[str] = (
            f"<item>{_tagged('key', key)}{_tagged('value', inner)}</item>" for key, inner in value.items()
        )
        return f'<{tag} xsi:type="m:Map">{"".join(items)}</{tag}>'
    if isinstance(value, list):
        return f'<{tag} xsi:type="a:Array">{"".join(_tagged("item", inner) for inner in value)}</{tag}>'
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{tag}>{escape(text.translate(_UNFIT), {chr(13): '&#13;'})}</{tag}>"
