"""Contacts decoded by slices are the contacts that the parser of single events finds, or it is asked instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.answers import ContactRecord
from airflow_provider_afilnet.api.contact_slices import ContactSlicer, ContactTable
from airflow_provider_afilnet.api.contact_stream import ContactStream

MANY = 3_000
"""Contacts of a document that is several slices long."""


def records(tables: list[ContactTable]) -> list[ContactRecord]:
    return [record for table in tables for record in table.records()]


def stream(body: bytes, size: int = 65536) -> list[ContactRecord]:
    reader = ContactStream()
    tables = [table for start in range(0, len(body), size) for table in reader.feed(body[start : start + size])]
    return records(tables + reader.close())


def document(contacts: list[Any], before: str = "") -> bytes:
    inside = ", ".join(json.dumps(contact, ensure_ascii=False) for contact in contacts)
    return f'{{{before}"status": "SUCCESS", "result": [{inside}]}}'.encode()


def event_by_event(contacts: list[Any]) -> list[ContactRecord]:
    """A document whose head is not that of a plain list of contacts goes through the parser of single events."""
    return stream(document(contacts, '"took": 1, '))


def plain(number: int) -> dict[str, Any]:
    return {"idcontact": str(100_000 + number), "mobile": f"346{number:08d}", "name": f"Ana {number}"}


ODD: dict[str, dict[str, Any]] = {
    "number as id": {"id": 7, "name": "Ana"},
    "id of another case": {"ID": "7", "name": "Ana"},
    "two ids": {"id": "7", "idcontact": "8", "name": "Ana"},
    "no id": {"name": "Ana"},
    "nested": {"id": "7", "fields": {"name": "Ana", "points": 12}},
    "nested, null": {"id": "7", "fields": None},
    "nested, empty list": {"id": "7", "fields": []},
    "a column called fields": {"id": "7", "Fields": "x", "name": "Ana"},
    "whole number": {"id": "7", "points": 12},
    "long number": {"id": "7", "points": 10**40},
    "fraction": {"id": "7", "points": 1.5},
    "boolean": {"id": "7", "active": True},
    "null": {"id": "7", "name": None},
    "empty": {"id": "7", "name": ""},
    "braces": {"id": "7", "name": '}, {"id": "8"}, {'},
    "brackets": {"id": "7", "name": "]}"},
    "quotes": {"id": "7", "name": 'a"}b\\"}'},
    "emoji": {"id": "7", "name": "Zoë 🎉"},
    "many": {"id": "7", **{f"f{number}": "x" * 200 for number in range(500)}},
}


@pytest.mark.parametrize("size", [1000, 65536, 1 << 22])
@pytest.mark.parametrize("odd", ODD)
def test_every_form_gives_the_same_contacts(odd: str, size: int) -> None:
    alone = [
        ODD[odd] | ({"id": str(number)} if "id" in ODD[odd] else {}) for number in range(MANY if odd != "many" else 5)
    ]
    mixed = [plain(number) if number % 700 else {**ODD[odd]} for number in range(MANY)]
    for contacts in (alone, mixed):
        assert stream(document(contacts), size) == event_by_event(contacts)


@pytest.mark.parametrize("space", ["", " ", "\n\t ", " \r\n"])
def test_blanks_between_contacts_do_not_matter(space: str) -> None:
    contacts = [plain(number) for number in range(MANY)]
    inside = f"{space},{space}".join(map(json.dumps, contacts))
    body = (
        f'{space}{{{space}"result"{space}:{space}[{space}{inside}{space}]{space},"status":"SUCCESS"}}{space}'.encode()
    )
    assert [record.id for record in stream(body, 10_000)] == [contact["idcontact"] for contact in contacts]


def test_plain_contacts_do_go_by_slices() -> None:
    """Or all of the above would compare the parser with itself."""
    slicer = ContactSlicer(65536)
    body = document([plain(number) for number in range(MANY)])
    found = records(slicer.feed(body[body.index(b"[") + 1 : -100]))
    assert not slicer.ended
    assert MANY - 10 < len(found) < MANY


@pytest.mark.parametrize("number", [False, True], ids=["text as id", "number as id"])
def test_contacts_of_one_form_are_decoded_as_that_form(number: bool) -> None:
    contacts = [plain(n) | ({"idcontact": 100_000 + n} if number else {}) for n in range(MANY)]
    slicer = ContactSlicer(1)
    found = []
    for contact in contacts[:50]:
        found += records(slicer.feed((b"," if found else b"") + json.dumps(contact).encode()))
    assert slicer._decode is not None
    assert found == event_by_event(contacts[:50])
    assert stream(document(contacts)) == event_by_event(contacts)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("}, {", "} {"),
        ("}, {", "},, {"),
        ("}, {", "}; {"),
        ("}, {", "}]]} , {"),
        ('"name": "Ana 2000"', '"name": "Ana 2000'),
        ('"name": "Ana 2000"', '"name": Ana'),
        ("}]}", "},]}"),
        ("}]}", "}}"),
        ("}]}", "}"),
        ("}]}", "}]"),
        ("}]}", "}]}}"),
    ],
)
@pytest.mark.parametrize("size", [1000, 65536, 1 << 22])
def test_what_is_no_json_is_an_error_wherever_it_stands(good: str, bad: str, size: int) -> None:
    text = document([plain(number) for number in range(MANY)]).decode()
    at = text.index(good, len(text) // 2)
    for place in {at, text.rindex(good)}:
        body = (text[:place] + bad + text[place + len(good) :]).encode()
        with pytest.raises(e.AfilnetUnreadableAnswerError) as caught:
            stream(body, size)
        assert caught.value.retryable


def test_an_unknown_form_among_many_is_an_error_that_a_retry_does_not_cure() -> None:
    contacts = [plain(number) for number in range(MANY)]
    contacts[2_000] = {"id": "7", "tags": ["a"]}
    with pytest.raises(e.AfilnetUnreadableAnswerError) as caught:
        stream(document(contacts))
    assert not caught.value.retryable


@pytest.mark.parametrize("cut", [1, 2, 3, 100, 70_000, 150_000])
def test_a_document_that_breaks_off_is_no_answer(cut: int) -> None:
    body = document([plain(number) for number in range(MANY)])
    for size in (1000, 65536):
        with pytest.raises(e.AfilnetUnreadableAnswerError):
            stream(body[:-cut], size)


@pytest.mark.parametrize(
    ("then", "rest"),
    [
        (' {"id":"2"}', None),
        (';{"id":"2"}', None),
        ('}{"id":"2"}', None),
        (" ,  ]}", None),
        (", ;{}", b";{}"),
        (", null]}", b"null]}"),
        (" ]}", b"]}"),
        (",", b""),
    ],
)
def test_what_follows_a_slice_must_be_a_comma_and_a_contact(then: str, rest: bytes | None) -> None:
    """Also where the slices meet, which no document can be made to show. What may be JSON is left to the parser."""
    slicer = ContactSlicer(1)
    assert records(slicer.feed(b'{"id":"1"}')) == [ContactRecord("1", {})]
    assert records(slicer.feed(b',{"id":"2"}')) == [ContactRecord("2", {})]
    assert slicer.feed(then.encode()) == []
    assert slicer.ended
    if rest is not None:
        assert slicer.rest() == rest
    else:
        with pytest.raises(ValueError):
            slicer.rest()


HOSTILE = st.text(st.sampled_from('{}[],":\\ aé🎉'), max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(HOSTILE, HOSTILE, max_size=3), min_size=1, max_size=30), st.integers(1, 60), st.data())
def test_hostile_texts_in_tiny_slices(contacts: list[dict[str, str]], size: int, data: st.DataObject) -> None:
    rows = [{"idcontact": str(number), **contact} for number, contact in enumerate(contacts)]
    body = json.dumps(rows, ensure_ascii=data.draw(st.booleans())).encode()[1:-1]
    slicer = ContactSlicer(size)
    found: list[ContactRecord] = []
    step = data.draw(st.integers(1, 40))
    for start in range(0, len(body), step):
        if slicer.ended:
            break
        found += records(slicer.feed(body[start : start + step]))
    expected = [ContactRecord(str(number), contact) for number, contact in enumerate(contacts)]
    assert found == expected[: len(found)]
    if not slicer.ended:
        left = json.loads(b"[" + slicer.rest() + b"]")
        assert [row.pop("idcontact") for row in left] == [record.id for record in expected[len(found) :]]
        assert left == contacts[len(found) :]
