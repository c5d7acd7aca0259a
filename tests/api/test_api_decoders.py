"""What stands under ``result``: columns, contacts, ids, the balance and bulk counts, in every form of the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_afilnet.api.answers import (
    ContactRecord,
    read_answer,
    read_balance,
    read_bulk,
    read_columns,
    read_contact,
    read_new_id,
)
from airflow_provider_afilnet.api.errors import AfilnetError, AfilnetUnreadableAnswerError
from airflow_provider_afilnet.api.methods import METHODS

ANA = {"mobile": "34600111222", "name": "Ana"}


def parsed(result: object) -> Any:
    """The result as it comes out of an answer, numbers included."""
    return read_answer(METHODS["getbalance"], 200, {}, json.dumps({"status": "SUCCESS", "result": result}).encode())


@pytest.mark.parametrize(
    "result",
    [
        ["mobile", "name"],
        [" mobile", "name "],
        [{"name": "mobile"}, {"name": "name"}],
        [{"id": 1, "field": "mobile"}, {"id": 2, "field": "name"}],
        [{"Column": "mobile"}, "name"],
        {"mobile": "mobile", "name": "name"},
        {"mobile": {"type": "x"}, "name": None},
        {"0": "mobile", "1": "name"},
        {"1": {"name": "mobile"}, "2": {"name": "name"}},
        "mobile,name",
        "mobile, name",
    ],
    ids=json.dumps,
)
def test_columns(result: object) -> None:
    assert read_columns(parsed(result)) == ["mobile", "name"]


@pytest.mark.parametrize(
    "result",
    [
        None,
        True,
        5,
        "",
        [],
        {},
        ",",
        ["mobile", ""],
        ["mobile", "MOBILE"],
        "a,,b",
        [["mobile"]],
        [{"x": "mobile"}],
        [{"name": 5}, {"name": None}],
        {"columns": ["mobile"]},
        {"0": 5.5, "1": ["x"]},
    ],
    ids=json.dumps,
)
def test_columns_of_unknown_form(result: object) -> None:
    with pytest.raises(AfilnetUnreadableAnswerError, match="getgroupcolumns answered") as caught:
        read_columns(parsed(result))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("result", "record"),
    [
        ({"idcontact": "7", **ANA}, ("7", ANA)),
        ({"idcontact": 7, **ANA}, ("7", ANA)),
        ({"id": 7, **ANA}, ("7", ANA)),
        ({"IDCONTACT": 7, **ANA}, ("7", ANA)),
        ({"idcontact": 7, "id": "x", **ANA}, ("7", {"id": "x", **ANA})),
        ([{"idcontact": 7, **ANA}], ("7", ANA)),
        ({"idcontact": 7, "fields": ANA}, ("7", ANA)),
        ({"id": 7, "idgroup": 1, "fields": ANA}, ("7", ANA)),
        ({"idcontact": 7, "fields": []}, ("7", {})),
        ({"idcontact": 7, "fields": None}, ("7", {})),
        ({"idcontact": 7, "mobile": "1", "fields": None}, ("7", {"mobile": "1", "fields": ""})),
        ({"idcontact": 7, "mobile": "1", "fields": "x"}, ("7", {"mobile": "1", "fields": "x"})),
        ({"7": ANA}, ("7", ANA)),
        ({"7": {"fields": ANA}}, ("7", ANA)),
        ({"7": {"id": "column", **ANA}}, ("7", {"id": "column", **ANA})),
        ({"7": {"idcontact": "7", **ANA}}, ("7", ANA)),
        (ANA, (None, ANA)),
        ({"fields": ANA}, (None, ANA)),
        ({"id": None, **ANA}, (None, ANA)),
        (
            {"id": 7, "a": None, "b": True, "c": False, "d": 1, "e": ""},
            ("7", {"a": "", "b": "true", "c": "false", "d": "1", "e": ""}),
        ),
        ('{"id":7,"a":1.10,"b":34600000000000000000000}', ("7", {"a": "1.10", "b": "34600000000000000000000"})),
    ],
)
def test_contact(result: object, record: tuple[str | None, dict[str, str]]) -> None:
    text = result if isinstance(result, str) else json.dumps(result)
    body = f'{{"status":"success","result":{text}}}'.encode()
    assert read_contact(read_answer(METHODS["getcontact"], 200, {}, body), "7") == ContactRecord(*record)


@pytest.mark.parametrize(
    "result",
    [
        None,
        True,
        "34600111222",
        [],
        {},
        [ANA, ANA],
        [[ANA]],
        [5],
        {"idcontact": "", **ANA},
        {"id": {"x": 1}, **ANA},
        {"id": 7, "name": {"ana@example.com": 1}},
        {"id": 7, "tags": ["Ana"]},
        {"8": ANA},
    ],
    ids=json.dumps,
)
def test_contacts_of_unknown_form_show_nobody(result: object) -> None:
    with pytest.raises(AfilnetUnreadableAnswerError, match="getcontact answered") as caught:
        read_contact(parsed(result), "7")
    assert not any(part in str(caught.value) for part in ("34600111222", "Ana", "ana@"))


def test_a_record_as_a_dict() -> None:
    assert ContactRecord("7", ANA).as_dict() == {"idcontact": "7", **ANA}
    assert ContactRecord(None, ANA).as_dict() == ANA


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (1000, "1000"),
        ("1000", "1000"),
        (" 1000 ", "1000"),
        ("g-1000", "g-1000"),
        ({"idgroup": 1000}, "1000"),
        ({"IdGroup": "1000", "id": 5}, "1000"),
        ({"id": 5}, "5"),
        ([1000], "1000"),
        ([{"idgroup": "1000"}], "1000"),
        *(
            (result, None)
            for result in (
                None,
                True,
                False,
                "",
                "OK",
                "Group created",
                "1000 groups",
                [],
                {},
                [1, 2],
                {"name": "1000"},
                {"idgroup": None},
                {"idgroup": [5]},
                [[5]],
                "1,5",
                "1.5",
            )
        ),
    ],
    ids=repr,
)
def test_new_id(result: object, found: str | None) -> None:
    assert read_new_id(parsed(result), "idgroup") == found


@pytest.mark.parametrize(
    ("result", "amount"),
    [
        (25.5, 25.5),
        ("25.50", 25.5),
        (0, 0),
        ("-1.5", -1.5),
        (" 7 ", 7),
        (1e3, 1000),
        ([5], 5),
        ({"Balance": "5.5"}, 5.5),
    ],
)
def test_balance(result: object, amount: float) -> None:
    assert read_balance(parsed(result)) == amount


@pytest.mark.parametrize(
    "result",
    [None, True, "", "25,50", "nan", "inf", "1_000", "25 EUR", [], [5, 6], {"x": 5}, {"balance": []}],
    ids=repr,
)
def test_balance_of_unknown_form(result: object) -> None:
    with pytest.raises(AfilnetError, match="getbalance answered"):
        read_balance(parsed(result))


@pytest.mark.parametrize(
    ("result", "counts"),
    [
        ({"added": 5, "skipped": "2"}, {"added": 5, "skipped": 2}),
        ({"added": 5, "34600111222": 1, "errors": ["x"], "ok": True, "rate": 1.5, "debt": -1}, {"added": 5}),
        (5, {"reported": 5}),
        ("5", {"reported": 5}),
        ([1, 2, 3], {"reported": 3}),
        *((result, {}) for result in (None, True, "OK", [], {}, "", "5 added", 1e30)),
    ],
    ids=repr,
)
def test_bulk_counts(result: object, counts: dict[str, int]) -> None:
    assert read_bulk(parsed(result)).counts == counts
