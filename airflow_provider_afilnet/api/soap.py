"""SOAP: read a WSDL, write a call as an envelope, and turn an answer into the JSON envelope of the other styles.

No I/O: the clients fetch the WSDL and send the envelopes, so that time-outs, proxies, certificates and what is known of
a lost call are those of every style. ``zeep`` reads the WSDL and writes envelopes. Answers are read here, as they
arrive, because zeep would hold a whole group in memory three times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from airflow_provider_afilnet.api.answers import (
    code_error,
    http_error,
    is_known_code,
    not_json,
    not_prepared,
    not_sent,
    read_answer,
    unreadable,
)
from airflow_provider_afilnet.api.calls import Call
from airflow_provider_afilnet.api.errors import (
    AfilnetConfigurationError,
    AfilnetError,
    AfilnetInvalidRequestError,
    AfilnetOutcomeUnknownError,
    AfilnetServerError,
)
from airflow_provider_afilnet.api.methods import METHODS, Method
from airflow_provider_afilnet.api.network import keep_url_out_of_logs
from airflow_provider_afilnet.api.settings import ClientSettings, check_address, is_xml_text
from airflow_provider_afilnet.api.styles import USER_AGENT, WireRequest

_MOST_DOCUMENTS: Final = 50
_SIGN_IN: Final = ("user", "password")
_GENERIC: Final = (*_SIGN_IN, "class", "method")


class DocumentMissingError(Exception):
    """The WSDL refers to ``url``, which the client has to fetch first."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _Documents:
    """What zeep takes for its transport: it knows only what has been fetched already, and reads no file."""

    def __init__(self, settings: ClientSettings, documents: Mapping[str, bytes]) -> None:
        self._settings, self._documents = settings, documents
        self.stopped: Exception | None = None

    def load(self, url: str) -> bytes:
        if url in self._documents:
            keep_url_out_of_logs(url)
            return self._documents[url]
        try:
            check_address(url, "A document that the WSDL names", allow_insecure_http=self._settings.allow_insecure_http)
            if len(self._documents) >= _MOST_DOCUMENTS:
                raise AfilnetConfigurationError(f"The WSDL refers to more than {_MOST_DOCUMENTS} documents.")
            raise DocumentMissingError(url)
        except Exception as error:
            self.stopped = error  # zeep might make another error of it
            raise


@dataclass(frozen=True, slots=True)
class _Form:
    """How an operation takes a call, and how it answers. ``elements``: name in lower case to name."""

    operation: str
    elements: Mapping[str, str]
    inner: str | None = None  # the one element that holds all parameters of a generic operation, if there is one
    pair: tuple[str, str, str] | None = None  # its repeated element, and that one's elements for name and value
    fields: bool = False  # the answer has fields, and is not one text with JSON


class SoapBinding:
    """The service that a WSDL describes: where it is, and how to write a call for it."""

    def __init__(self, client: Any, service: str, port: Any, address: str) -> None:
        from zeep.wsdl.bindings.soap import Soap12Binding

        self.address = address
        self._client, self._port = client, port
        self._proxy = client.bind(service, port.name)
        self._is_12 = isinstance(port.binding, Soap12Binding)
        self._forms: dict[Method, _Form | None] = {}

    @classmethod
    def read(cls, settings: ClientSettings, method: Method, documents: Mapping[str, bytes]) -> SoapBinding:
        """Read the WSDL.

        :param method: the call that waits for it, for errors.
        :param documents: address to content of what was fetched so far, the WSDL included.
        :raises DocumentMissingError: naming what else to fetch before this is called again.
        :raises AfilnetConfigurationError: if zeep is not installed, or the WSDL describes no service that can be used.
        :raises AfilnetConnectionError: if it is no WSDL at all, which may pass.
        """
        try:
            import zeep
        except ImportError:
            raise AfilnetConfigurationError(
                "api_style 'soap' needs the package zeep: pip install 'airflow-provider-afilnet[soap]'.",
                method=method.name,
            ) from None
        source = _Documents(settings, documents)
        strict = zeep.Settings(forbid_dtd=True, forbid_entities=True, force_https=False)
        try:
            client: Any = zeep.Client(  # type: ignore[no-untyped-call]
                settings.wsdl_url, transport=source, settings=strict
            )
        except Exception as error:  # noqa: BLE001 - zeep raises whatever a wrong document makes of it
            if source.stopped is not None:
                raise source.stopped from None
            raise _no_wsdl(method, f"could not be read as a WSDL ({type(error).__name__})") from None
        if not client.wsdl.services:
            # Such as a maintenance page that happens to be XML.
            raise _no_wsdl(method, "describes no service")
        return cls._fitting(settings, method, client)

    @classmethod
    def _fitting(cls, settings: ClientSettings, method: Method, client: Any) -> SoapBinding:
        """The first SOAP port whose operations can carry a call."""
        from zeep.wsdl.bindings.soap import SoapBinding as ZeepBinding

        seen: list[str] = []
        for name, service in client.wsdl.services.items():
            for port in service.ports.values():
                if not isinstance(port.binding, ZeepBinding):
                    continue
                address = str((port.binding_options or {}).get("address"))
                binding = cls(client, name, port, address)
                if any(binding._form(known) for known in METHODS.values() if known.params):
                    check_address(
                        address, "The service address in the WSDL", allow_insecure_http=settings.allow_insecure_http
                    )
                    return binding
                seen += binding._listed()
        raise AfilnetConfigurationError(
            "The WSDL has neither an operation for each method, such as getcontacts(user, password, idgroup), nor one "
            "that takes user, password, class, method and the parameters, and answers text or status, error and "
            f"result; it has: {', '.join(dict.fromkeys(seen)) or 'no SOAP operation'}.",
            method=method.name,
        )

    def _listed(self) -> list[str]:
        found = [
            f"{name}({', '.join(given for given, _ in _elements(operation.input))})"
            for name, operation in self._port.binding.all().items()
        ]
        return found if len(found) <= 30 else [*found[:30], "…"]

    def _form(self, method: Method) -> _Form | None:
        """How to write a call of the method: its own operation comes before one that takes any."""
        if method not in self._forms:
            operations = self._port.binding.all().items()
            own = (_own_form(name, found, method) for name, found in operations if name.lower() == method.name.lower())
            generic = (_generic_form(name, found, method) for name, found in operations)
            self._forms[method] = next(filter(None, (*own, *generic)), None)
        return self._forms[method]

    def envelope(self, settings: ClientSettings, call: Call) -> tuple[dict[str, str], bytes]:
        """Write the call.

        :return: the headers that belong to SOAP, and the body.
        :raises AfilnetConfigurationError: if the service has no operation for the method.
        :raises AfilnetInvalidRequestError: if XML cannot carry a parameter; the message names it, not its value.
        """
        from lxml import etree

        method = call.method
        for name, text in call.params.items():
            if not is_xml_text(text):
                raise AfilnetInvalidRequestError(
                    f"{method.name}: {name!r} holds a control character, which XML and so api_style 'soap' cannot "
                    "carry.",
                    method=method.name,
                )
        form = self._needed_form(method)
        values = {
            "user": settings.user,
            "password": settings.password,
            "class": method.api_class,
            "method": method.name,
        }
        arguments: dict[str, Any] = {
            element: values[name] for name, element in form.elements.items() if name in values
        } | self._parameters(form, call.params)
        try:
            envelope = self._client.create_message(self._proxy, form.operation, **arguments)
            body = etree.tostring(envelope, encoding="utf-8", xml_declaration=True)
        except Exception as error:  # noqa: BLE001 - its text may quote a value
            raise AfilnetInvalidRequestError(
                f"{method.name} could not be written as the WSDL demands ({type(error).__name__}).", method=method.name
            ) from None
        action = str(self._port.binding.all()[form.operation].soapaction or "")
        action = action if re.fullmatch(r"[\x21\x23-\x7e]*", action) else ""
        if self._is_12:
            return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"'}, bytes(body)
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}, bytes(body)

    @staticmethod
    def _parameters(form: _Form, params: Mapping[str, str]) -> dict[str, Any]:
        if form.pair is not None:
            item, key, value = form.pair
            return {str(form.inner): {item: [{key: name, value: text} for name, text in params.items()]}}
        if form.inner is not None:
            return {form.inner: json.dumps(dict(params), ensure_ascii=False)}
        return {form.elements[name.lower()]: text for name, text in params.items()}

    def _needed_form(self, method: Method) -> _Form:
        form = self._form(method)
        if form is None:
            raise AfilnetConfigurationError(
                f"{method.name} was not sent: the WSDL has no operation for it; it has: {', '.join(self._listed())}.",
                method=method.name,
            )
        return form

    def reader(self, method: Method, http_status: int, headers: Mapping[str, str]) -> SoapAnswer:
        """A reader for one answer to a call of the method."""
        return SoapAnswer(method, http_status, headers, fields=self._needed_form(method).fields)

    def read_answer(self, method: Method, http_status: int, headers: Mapping[str, str], body: bytes) -> Any:
        """Read one whole answer, as :func:`~airflow_provider_afilnet.api.answers.read_answer` reads the other styles'.

        :raises AfilnetError: the typed error that the answer, or its SOAP fault, stands for.
        """
        if http_status not in (200, 400, 500):  # those that a fault comes with
            raise http_error(method, http_status, headers)
        reader = self.reader(method, http_status, headers)
        found = reader.feed(body)
        reader.close()
        return read_answer(method, http_status, headers, found)


def _no_wsdl(method: Method, found: str) -> AfilnetError:
    return not_sent(
        method,
        f"what the extra 'wsdl_url' names {found}; check the WSDL's address, or try later if the service is down",
    )


def wsdl_request(url: str) -> WireRequest:
    """Ask for a WSDL, or a document that it refers to."""
    return WireRequest("GET", url, {"Accept": "text/xml, application/xml, */*", "User-Agent": USER_AGENT}, None)


def read_document(method: Method, http_status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """The document that was asked for.

    :param method: the call that waits for it; whatever goes wrong, it was not sent.
    :raises AfilnetError: the typed error for any HTTP status but 200.
    """
    if http_status != 200:
        raise not_prepared(method, "the address of the WSDL", "wsdl_url", http_status, headers)
    return body


# --- the operations of a WSDL ----------------------------------------------------------------------------------------


def _elements(message: Any) -> list[tuple[str, Any]]:
    """Name and element of everything that a message holds at its first level."""
    kind = getattr(getattr(message, "body", None), "type", None)
    return [(str(name), element) for name, element in getattr(kind, "elements", ())]


def _is_text(element: Any) -> bool:
    """Whether the element takes one text, by its type."""
    from zeep.xsd.types.any import AnyType
    from zeep.xsd.types.simple import AnySimpleType

    kind = getattr(element, "type", None)
    return (isinstance(kind, AnySimpleType) or type(kind) is AnyType) and not getattr(
        element, "accepts_multiple", False
    )


def _is_json(element: Any) -> bool:
    """Whether the element takes a text that may be JSON, by its type."""
    from zeep.xsd.types.builtins import Boolean, Decimal, Double, Float

    return _is_text(element) and not isinstance(element.type, (Boolean, Decimal, Double, Float))


def _answers_fields(operation: Any) -> bool | None:
    """Whether the answer has fields; ``None`` if it has neither fields nor one text."""
    outer = _elements(operation.output)
    inner = [part for _, element in outer for part in getattr(getattr(element, "type", None), "elements", ())]
    if "status" in {str(name).lower() for name, _ in [*outer, *inner]}:
        return True
    if len(outer) == 1 and _is_json(outer[0][1]):
        return False
    # A message whose element is a text itself.
    return False if not outer and _is_json(getattr(operation.output, "body", None)) else None


def _taken(operation: Any) -> dict[str, tuple[str, Any]]:
    return {name.lower(): (name, element) for name, element in _elements(operation.input)}


def _form_of(name: str, operation: Any, texts: Mapping[str, tuple[str, Any]], **more: Any) -> _Form | None:
    fields = _answers_fields(operation)
    if fields is None or not all(_is_text(element) for _, element in texts.values()):
        return None
    return _Form(name, {lowered: given for lowered, (given, _) in texts.items()}, fields=fields, **more)


def _own_form(name: str, operation: Any, method: Method) -> _Form | None:
    """An operation of one method; it may ask for class and method too, and for nothing else."""
    taken = _taken(operation)
    wanted = {*_SIGN_IN, *(param.lower() for param in method.params)}
    needed = {lowered for lowered, (_, element) in taken.items() if not getattr(element, "is_optional", False)}
    if not wanted <= set(taken) or not needed <= wanted | {"class", "method"}:
        return None
    return _form_of(name, operation, {key: part for key, part in taken.items() if key in wanted | set(_GENERIC)})


def _generic_form(name: str, operation: Any, method: Method) -> _Form | None:
    """An operation of any method: parameters as elements, as pairs of name and value, or as JSON."""
    taken = _taken(operation)
    if not set(_GENERIC) <= set(taken):
        return None
    rest = {lowered: part for lowered, part in taken.items() if lowered not in _GENERIC}
    wanted = {param.lower() for param in method.params}
    if len(rest) == 1 and not set(rest) <= {param for known in METHODS.values() for param in known.params}:
        ((inner, element),) = rest.values()
        signed = {lowered: taken[lowered] for lowered in _GENERIC}
        if _is_text(element):
            return _form_of(name, operation, signed, inner=inner)
        pair = _pair_of(element)
        return _form_of(name, operation, signed, inner=inner, pair=pair) if pair else None
    return _form_of(name, operation, taken) if wanted <= set(rest) else None


def _pair_of(element: Any) -> tuple[str, str, str] | None:
    """The repeated element inside, and the names of that one's two texts: the name first, as in every such type."""
    outer = list(getattr(element.type, "elements", ()))
    if len(outer) != 1 or not outer[0][1].accepts_multiple:
        return None
    inner = list(getattr(outer[0][1].type, "elements", ()))
    if len(inner) != 2 or not all(_is_text(part) for _, part in inner):
        return None
    return str(outer[0][0]), str(inner[0][0]), str(inner[1][0])


# --- answers ---------------------------------------------------------------------------------------------------------


class _NoEnvelopeError(Exception):
    """The bytes are no SOAP envelope, or it broke off."""


_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_DEEPEST: Final = 60
_ITEM_NAMES: Final = frozenset({"item", "contact", "column", "field", "string", "anytype"})
"""Names under which a list's only member stands; two members of one name are a list anyway."""


@dataclass(slots=True)
class _Node:
    """An element that is kept until it is complete."""

    name: str
    attributes: Mapping[str, str]
    children: list[_Node] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def texts(self) -> Iterator[str]:
        yield self.text.strip()
        for child in self.children:
            yield from child.texts()

    @property
    def is_pair(self) -> bool:
        """Whether it is an entry of a map as PHP writes one."""
        return [child.name for child in self.children] == ["key", "value"]

    @property
    def is_nil(self) -> bool:
        return self.attributes.get(f"{_XSI} nil") in ("true", "1")

    @property
    def is_empty_list(self) -> bool:
        kind = self.attributes.get(f"{_XSI} type", "").rpartition(":")[2]
        return kind in ("Array", "Map") or any(name.rpartition(" ")[2] == "arrayType" for name in self.attributes)

    def value(self) -> Any:
        """The value in JSON's terms."""
        if self.is_nil:
            return None
        if not self.children:
            return [] if self.is_empty_list else self.text
        kind = _kind(self, self.children[0], self.children[1] if len(self.children) > 1 else None)
        if kind == "list":
            return [child.value() for child in self.children]
        if kind == "pairs":
            return {child.children[0].text: child.children[1].value() for child in self.children if child.is_pair}
        return {child.name: child.value() for child in self.children}


def _kind(parent: _Node, first: _Node, second: _Node | None) -> str:
    """``pairs`` and ``object`` are JSON objects, ``list`` is an array."""
    if first.is_pair:
        return "pairs"
    if second is not None:
        return "list" if first.name == second.name else "object"
    return "list" if first.name.lower() in _ITEM_NAMES or parent.is_empty_list else "object"


class SoapAnswer:
    """Push parser of one answer: :meth:`feed` it bytes, which hands out JSON, then :meth:`close` it.

    With one text for an answer, that text is the JSON, and it is handed on as it arrives. With fields, ``result`` is
    written as JSON child by child. Either way the memory does not grow with the number of contacts. A document type
    declaration is refused, so nothing can be expanded.

    :param fields: the answer has the fields status, error and result, and is not one text with JSON.
    """

    def __init__(self, method: Method, http_status: int, headers: Mapping[str, str], *, fields: bool) -> None:
        self._method, self._http_status, self._headers, self._fields = method, http_status, headers, fields
        self._path: list[str] = []
        self._nodes: list[_Node] = []
        self._fault: _Node | None = None
        self._out: list[str] = ["{"] if fields else []
        self._members = 0
        self._held: _Node | None = None
        self._kind: str | None = None
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.buffer_size = 65536
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes) -> bytes:
        """Parse the next bytes.

        :return: the JSON that became known.
        :raises AfilnetError: the typed error for what is no SOAP envelope.
        """
        self._parse(chunk, last=False)
        out = "".join(self._out)
        self._out.clear()
        return out.encode("utf-8", "replace")

    def close(self) -> None:
        """End the answer.

        :raises AfilnetError: the typed error for an envelope that broke off, or holds a fault.
        """
        self._parse(b"", last=True)
        if self._fault is not None:
            raise fault_error(self._method, self._fault)

    def _parse(self, chunk: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(chunk, last)
        except (expat.ExpatError, ValueError, LookupError, _NoEnvelopeError):
            if self._http_status != 200:
                raise http_error(self._method, self._http_status, self._headers) from None
            page = not_json(self._headers) == "an HTML page"
            found = "an HTML page" if page else "something that is not a whole SOAP envelope"
            raise unreadable(self._method, found, http_status=200, passing=True) from None

    def _doctype(self, *_: object) -> None:
        raise _NoEnvelopeError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._path.append(local)
        depth = len(self._path)
        if (depth == 1 and local != "Envelope") or depth > _DEEPEST:
            raise _NoEnvelopeError
        if depth < 3 or self._path[1] != "Body":
            return
        is_field = self._fields and depth > 3 and local.lower() in ("status", "error", "result")
        if self._nodes or is_field or (depth == 3 and local == "Fault"):
            self._nodes.append(_Node(local, attributes))

    def _characters(self, text: str) -> None:
        if self._nodes:
            self._nodes[-1].parts.append(text)
        elif not self._fields and len(self._path) > 2 and self._path[1] == "Body":
            self._out.append(text)

    def _end(self, _: str) -> None:
        self._path.pop()
        if not self._nodes:
            if self._fields and not self._path:
                self._out.append("}")
            return
        node = self._nodes.pop()
        if self._nodes:
            top = self._nodes[0]
            if len(self._nodes) == 1 and top.name.lower() == "result" and self._fields:
                self._child(top, node)
            else:
                self._nodes[-1].children.append(node)
        elif node.name == "Fault" and len(self._path) == 2:
            self._fault = node
        elif node.name.lower() == "result":
            self._end_result(node)
        else:
            self._member(node.name.lower(), json.dumps(None if node.is_nil else node.text.strip()))

    def _member(self, name: str, text: str) -> None:
        self._out.append(f'{"," if self._members else ""}"{name}":{text}')
        self._members += 1

    def _child(self, result: _Node, child: _Node) -> None:
        """A child of ``result`` is complete: what they are shows in the first two, so the first one waits."""
        result.parts.clear()
        if self._kind is None:
            if self._held is None:
                self._held = child
                return
            self._open_result(result, child)
        self._out.append("," + self._written(child))

    def _open_result(self, result: _Node, second: _Node | None) -> None:
        assert self._held is not None
        self._kind = _kind(result, self._held, second)
        if second is None and self._kind == "object" and self._held.children:
            # A list's only item may have any name, and a name that is taken for an id is believed.
            self._kind = "list"
        self._member("result", ("[" if self._kind == "list" else "{") + self._written(self._held))

    def _written(self, child: _Node) -> str:
        if self._kind == "list":
            return json.dumps(child.value())
        if self._kind == "pairs":
            if not child.is_pair:
                raise _NoEnvelopeError
            key, value = child.children
            return f"{json.dumps(key.text)}:{json.dumps(value.value())}"
        return f"{json.dumps(child.name)}:{json.dumps(child.value())}"

    def _end_result(self, result: _Node) -> None:
        if self._held is not None:
            if self._kind is None:
                self._open_result(result, None)
            self._out.append("]" if self._kind == "list" else "}")
            return
        value = result.value()
        self._member("result", value if _is_json_structure(value) else json.dumps(value))


def _is_json_structure(value: object) -> bool:
    """Whether a text is a list or an object that the server wrote as JSON inside XML."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def fault_error(method: Method, fault: Any) -> AfilnetError:
    """The typed error for a SOAP fault: one of Afilnet's codes in it counts as that code.

    A fault that blames the caller means that nothing was done. Any other one says that the server failed, and not when:
    a write may have been applied. Nothing else of its text is shown, since it may quote the call.
    """
    texts = list(fault.texts())
    if (known := next((text for text in texts if is_known_code(text)), None)) is not None:
        return code_error(method, known, http_status=200)
    # faultcode of SOAP 1.1, or Code/Value of 1.2: the first text that is not blank in both.
    code = next((text for text in texts if text), "").rpartition(":")[2]
    shown = code if re.fullmatch(r"[A-Za-z.]{1,40}", code) else "without a code"
    if code.partition(".")[0].lower() in ("client", "sender", "versionmismatch", "mustunderstand"):
        return AfilnetInvalidRequestError(f"{method.name} was refused with a SOAP fault ({shown}).", method=method.name)
    if method.writes:
        return AfilnetOutcomeUnknownError(
            f"{method.name}: the server failed with a SOAP fault ({shown}), so it may have been applied or not.",
            method=method.name,
            retryable=method.repeatable,
        )
    return AfilnetServerError(f"{method.name}: the server failed with a SOAP fault ({shown}).", method=method.name)
