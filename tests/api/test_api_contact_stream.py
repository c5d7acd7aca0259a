"""Contacts read while they arrive, in every form of the contract and however cut; nothing half-read counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.answers import ContactRecord
from airflow_provider_afilnet.api.contact_slices import ContactTable
from airflow_provider_afilnet.api.contact_stream import ContactStream

ANA = {"mobile": "34600111222", "name": "Ana"}
EVA = {"mobile": "34600333444", "name": "Eva"}
BOTH = [("7", ANA), ("8", EVA)]
SLICES = [1, 7, 64, 1 << 20]


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def records(tables: list[ContactTable]) -> list[ContactRecord]:
    return [record for table in tables for record in table.records()]


def read(chunks: list[bytes]) -> list[tuple[str | None, dict[str, str]]]:
    stream = ContactStream()
    found: list[ContactRecord] = []
    for chunk in chunks:
        found += records(stream.feed(chunk))
    found += records(stream.close())
    return [tuple(record) for record in found]


def envelope(result: object, **around: object) -> bytes:
    return json.dumps({"status": "SUCCESS", "result": result, **around}).encode()


FORMS: dict[str, tuple[bytes, list[Any]]] = {
    "list with idcontact": (envelope([{"idcontact": "7", **ANA}, {"idcontact": "8", **EVA}]), BOTH),
    "list with id": (envelope([{"id": 7, **ANA}, {**EVA, "id": 8}]), BOTH),
    "list with IDCONTACT": (envelope([{"IDCONTACT": 7, **ANA}, {"IdContact": 8, **EVA}]), BOTH),
    "nested": (envelope([{"idcontact": 7, "fields": ANA}, {"fields": EVA, "id": "8"}]), BOTH),
    "keyed": (envelope({"7": ANA, "8": EVA}), BOTH),
    "keyed nested": (envelope({"7": {"fields": ANA}, "8": {"fields": EVA}}), BOTH),
    "keyed with a column id": (envelope({"7": {"id": "x", **ANA}}), [("7", {"id": "x", **ANA})]),
    "positional with idcontact": (envelope({"0": {"idcontact": 7, **ANA}, "1": {"idcontact": 8, **EVA}}), BOTH),
    "no ids": (envelope([ANA, EVA]), [(None, ANA), (None, EVA)]),
    "no ids nested": (envelope([{"fields": ANA}]), [(None, ANA)]),
    "empty list": (envelope([]), []),
    "empty object": (envelope({}), []),
    "empty fields": (
        envelope({"7": [], "8": EVA}).replace(b'"7": []', b'"7": {"fields": []}'),
        [("7", {}), ("8", EVA)],
    ),
    "null fields": (envelope([{"id": 7, "fields": None}]), [("7", {})]),
    "scalars": (
        b'{"status":"SUCCESS","result":[{"id":7,"a":34600111222,"b":1.10,"c":true,"d":false,"e":null,"f":"","g":"007"}]}',
        [("7", {"a": "34600111222", "b": "1.10", "c": "true", "d": "false", "e": "", "f": "", "g": "007"})],
    ),
    "long numbers": (
        b'{"status":"SUCCESS","result":[{"id":123456789012345678901234567890}]}',
        [("123456789012345678901234567890", {})],
    ),
    "result first": (b'{"result":[{"id":"7","name":"Ana"}],"status":"success"}', [("7", {"name": "Ana"})]),
    "upper-case keys": (b'{"STATUS":"Success","RESULT":[{"Id":"7","NAME":"Ana"}]}', [("7", {"NAME": "Ana"})]),
    "other keys around": (
        b'{"debug":{"result":[{"id":1}],"status":"ERROR","x":[[{}],{"a":[]}]},"status":" success ","took":0.5,'
        b'"error":null,"result":[{"id":"7","name":"Ana"}],"page":[1,[2]],"more":{"status":"ERROR"}}',
        [("7", {"name": "Ana"})],
    ),
    "escapes": (
        b'{"status":"SUCCESS","result":[{"id":"7","n\\u00f1":"\\ud83d\\ude00\\u00e9\\"\\\\\\n\\/","\xc3\xb1":"\xf0\x9f\x98\x80\xe2\x82\xac"}]}',
        [("7", {"nñ": '😀é"\\\n/', "ñ": "😀€"})],
    ),
    "byte order mark": (b"\xef\xbb\xbf" + envelope([{"id": 7, **ANA}]), [("7", ANA)]),
    "blanks around": (b" \r\n\t" + envelope([{"id": 7, **ANA}]) + b"\n\n ", [("7", ANA)]),
}


@pytest.mark.parametrize("size", SLICES)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_slice(form: str, size: int) -> None:
    body, records = FORMS[form]
    assert read(cut(body, size)) == records


def test_contacts_come_before_the_document_ends() -> None:
    """In whole slices, and the last ones at the end."""
    stream = ContactStream()
    body = envelope([{"id": str(number), "name": "Ana"} for number in range(10_000)])
    found = [record for chunk in cut(body[:-30_000], 1000) for record in records(stream.feed(chunk))]
    assert len(found) > 5_000
    assert found == [(str(number), {"name": "Ana"}) for number in range(len(found))]
    assert stream.feed(b"") == []
    found += [record for chunk in cut(body[-30_000:], 1000) for record in records(stream.feed(chunk))]
    found += records(stream.close())
    assert found == [(str(number), {"name": "Ana"}) for number in range(10_000)]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT.filter(lambda name: name.lower() not in ("id", "idcontact", "fields"))
CONTACTS = st.lists(st.dictionaries(NAMES, TEXT | st.none(), max_size=3), max_size=5)


@given(CONTACTS, st.sampled_from(["flat", "nested", "keyed", "keyed nested"]), st.booleans(), st.data())
def test_any_contacts_in_any_slices(
    contacts: list[dict[str, str | None]], form: str, ascii_only: bool, data: st.DataObject
) -> None:
    rows = {str(number): contact for number, contact in enumerate(contacts, 100)}
    result: object = {
        "flat": [{"idcontact": key, **row} for key, row in rows.items()],
        "nested": [{"id": int(key), "fields": row} for key, row in rows.items()],
        "keyed": rows,
        "keyed nested": {key: {"fields": row} for key, row in rows.items()},
    }[form]
    body = json.dumps({"status": "SUCCESS", "result": result}, ensure_ascii=ascii_only).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    chunks = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    wanted = [(key, {name: value or "" for name, value in row.items()}) for key, row in rows.items()]
    assert read(chunks) == wanted == read(cut(body, 1))


@pytest.mark.parametrize("size", SLICES)
@pytest.mark.parametrize(
    "body", [b'{"status":"SUCCESS"}', b'{"status":"SUCCESS","result":null}', b'{"RESULT":null,"status":"success"}']
)
def test_no_result_is_no_proof_of_an_empty_group(body: bytes, size: int) -> None:
    with pytest.raises(e.AfilnetUnprovenReadError, match="no proof of an empty group") as caught:
        read(cut(body, size))
    assert caught.value.retryable


def failure(body: bytes, size: int) -> e.AfilnetError:
    with pytest.raises(e.AfilnetError) as caught:
        read(cut(body, size))
    assert caught.value.method == "getcontacts"
    assert caught.value.__cause__ is None
    assert not any(part in str(caught.value) for part in ("34600111222", "Ana", "ana@"))
    return caught.value


WHOLE = envelope([{"id": 7, **ANA}, {"id": 8, **EVA}], took=0.5)


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_every_broken_off_answer_is_red_and_may_pass(length: int) -> None:
    error = failure(WHOLE[:length], 1 << 20)
    assert type(error) is e.AfilnetUnreadableAnswerError
    assert error.retryable


@pytest.mark.parametrize("size", SLICES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf",
        b"\xef\xbb",
        b"<html><body>ana@example.com</body></html>",
        b"OK",
        WHOLE + b"x",
        WHOLE + WHOLE,
        WHOLE[:-1] + b",}",
        b'{"status":"SUCCESS","result":[{"id":7,"name":"\xff\xfe"}]}',
        b'{"status":"SUCCESS","result":[{"id":7,"name":NaN}]}',
        b'{"status":"SUCCESS","result":[{"id":7,"name":1e99999999999999999999}]}',
    ],
    ids=lambda body: repr(body[-24:]),
)
def test_what_is_no_json_may_pass(body: bytes, size: int) -> None:
    error = failure(body, size)
    assert type(error) is e.AfilnetUnreadableAnswerError
    assert error.retryable


@pytest.mark.parametrize("size", SLICES)
@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"[]", "no object at the top"),
        (b'"SUCCESS"', "no object at the top"),
        (envelope([["Ana", "34600111222"]]), "a list of list"),
        (envelope(["34600111222"]), "a list of text"),
        (envelope([5]), "a list of number"),
        (envelope([None]), "a list of null"),
        (envelope({"7": "34600111222"}), "an object of text"),
        (envelope({"contacts": [ANA]}), "an object of list"),
        (envelope([{"id": 7, "tags": ["Ana"]}]), "under tags"),
        (envelope([{"id": 7, "ana@example.com": ["x"]}]), "under a key"),
        (envelope([{"id": 7, "Añá": ["x"]}]), "under a key"),
        (envelope([{"id": 7, "name": {"first": "Ana"}}]), "object with keys id, name"),
        (envelope([{"id": 7, "fields": {"name": {"first": "Ana"}}}]), "nested too deeply"),
        (envelope([{"id": "", **ANA}]), "object with keys id, mobile, name"),
        (envelope([{"id": {}, **ANA}]), "object with keys"),
        (envelope("34600111222"), "string"),
        (envelope(5), "number"),
        (envelope(True), "boolean"),
        (b'{"result":[]}', "a status of null"),
        (b'{"status":{"a":"SUCCESS"},"result":[]}', "a status of null"),
        (b'{"status":"OK","result":[]}', "a status of text"),
        (b'{"status":true,"result":[]}', "a status of boolean"),
    ],
    ids=lambda part: part if isinstance(part, str) else part[-24:].decode(),
)
def test_unknown_forms_name_their_shape_and_do_not_pass(body: bytes, shown: str, size: int) -> None:
    error = failure(body, size)
    assert type(error) is e.AfilnetUnreadableAnswerError
    assert shown in str(error)
    assert not error.retryable


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_beside_the_result_is_passed_over_and_inside_refused(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    deep = opening * 50_000 + b"1" + closing * 50_000
    assert read(cut(b'{"x":' + deep + b',"status":"SUCCESS","result":[]}', 4096)) == []
    assert (
        type(failure(b'{"status":"SUCCESS","result":[{"id":7,"x":' + deep + b"}]}", 4096))
        is e.AfilnetUnreadableAnswerError
    )


@pytest.mark.parametrize("size", SLICES)
@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b'{"status":"ERROR","error":"NOT_ACCESS_TO_GROUP"}', e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        (b'{"error":"not_access_to_group","result":[],"Status":"error"}', e.AfilnetAccessError, "NOT_ACCESS_TO_GROUP"),
        (
            b'{"result":[{"id":"7","name":"Ana"}],"error":"INCORRECT_USER_PASSWORD","status":"ERROR"}',
            e.AfilnetCredentialsError,
            "INCORRECT_USER_PASSWORD",
        ),
        (b'{"status":"ERROR","error":"ana@example.com is away"}', e.AfilnetInvalidRequestError, None),
        (b'{"status":"ERROR","error":{"code":"X"}}', e.AfilnetInvalidRequestError, None),
    ],
)
def test_error_status_wins_even_after_contacts(
    body: bytes, kind: type[e.AfilnetError], code: str | None, size: int
) -> None:
    error = failure(body, size)
    assert (type(error), error.code, error.retryable) == (kind, code, False)


def test_a_repeated_status_after_the_contacts_counts() -> None:
    assert (
        failure(b'{"status":"SUCCESS","result":[],"status":"ERROR","error":"INCORRECT_CLASS"}', 7).code
        == "INCORRECT_CLASS"
    )
