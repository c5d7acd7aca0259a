"""From HTTP status, headers and body to a result or one typed error."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_afilnet.api import errors as e
from airflow_provider_afilnet.api.answers import read_answer, read_retry_after, shape
from airflow_provider_afilnet.api.methods import METHODS, Method

PERSON = ("ana@example.com", "34600111222", "Ana Garcia", "Ana", "García")
CLASSES = {
    "MISSING_USER": e.AfilnetCredentialsError,
    "MISSING_PASSWORD": e.AfilnetCredentialsError,
    "INCORRECT_USER_PASSWORD": e.AfilnetCredentialsError,
    "MISSING_CLASS": e.AfilnetInvalidRequestError,
    "MISSING_METHOD": e.AfilnetInvalidRequestError,
    "MISSING_COMPULSORY_PARAM": e.AfilnetInvalidRequestError,
    "INCORRECT_CLASS": e.AfilnetInvalidRequestError,
    "INCORRECT_METHOD": e.AfilnetInvalidRequestError,
    "INCORRECT_TYPE": e.AfilnetInvalidRequestError,
    "MISSING_MAIN_FIELD": e.AfilnetInvalidRequestError,
    "NOT_ACCESS_TO_GROUP": e.AfilnetAccessError,
    "NOT_ACCESS_TO_CONTACT": e.AfilnetNotFoundError,
    "COUNTRY_NOT_FOUND": e.AfilnetNotFoundError,
    "CONTACT_EXISTS": e.AfilnetExistsError,
}
READ, WRITE, ONCE = METHODS["getcontacts"], METHODS["modifycontact"], METHODS["addcontactlist"]
KINDS = [READ, WRITE, ONCE]


def answer(method: Method, body: object, status: int = 200, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return read_answer(method, status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def failure(method: Method, body: object, status: int = 200, **headers: str) -> e.AfilnetError:
    with pytest.raises(e.AfilnetError) as caught:
        answer(method, body, status, **headers)
    assert caught.value.method == method.name
    assert method.name in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


def test_every_documented_code_has_a_class() -> None:
    assert set().union(*(method.codes for method in METHODS.values())) == set(CLASSES)


@pytest.mark.parametrize(
    "case", [str.upper, str.lower, str.title, lambda text: f" {text}\n"], ids=["upper", "lower", "mixed", "blanks"]
)
@pytest.mark.parametrize(("name", "code"), [(m.name, code) for m in METHODS.values() for code in sorted(m.codes)])
def test_codes(name: str, code: str, case: Any) -> None:
    error = failure(METHODS[name], {"status": case("ERROR"), "error": case(code)})
    assert type(error) is CLASSES[code]
    assert (error.code, error.http_status, error.retryable, error.retry_after) == (code, 200, False, None)
    assert code in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@pytest.mark.parametrize("envelope", [{"status": "ERROR"}, {}], ids=["status", "no-status"])
def test_a_known_code_wins_over_the_http_status(status: int, envelope: dict[str, str]) -> None:
    error = failure(WRITE, {**envelope, "error": "incorrect_user_password"}, status)
    assert type(error) is e.AfilnetCredentialsError
    assert (error.code, error.http_status) == ("INCORRECT_USER_PASSWORD", status)


@pytest.mark.parametrize("status", [201, 203, 500])
def test_success_counts_with_http_200_only(status: int) -> None:
    for extra in ({}, {"error": "CONTACT_EXISTS"}):
        failure(READ, {"status": "SUCCESS", "result": [], **extra}, status)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"status": "SUCCESS", "result": "5"}, "5"),
        ({"status": "success", "result": {"A": "b"}}, {"A": "b"}),
        ({"STATUS": "Success", "Result": [1, 1.5]}, ["1", "1.5"]),
        ('{"status":" SUCCESS ","result":1.10}', "1.10"),
        ('{"status":"SUCCESS","result":123456789012345678901234567890}', "123456789012345678901234567890"),
        ({"status": "SUCCESS"}, None),
        ({"status": "SUCCESS", "result": None}, None),
        ({"status": "SUCCESS", "result": True, "error": None}, True),
        (b'\xef\xbb\xbf{"status":"SUCCESS","result":[]}', []),
        (b'\r\n \t{"status":"SUCCESS","result":""}\n', ""),
        ({"status": "SUCCESS", "result": "ñ😀", "debug": {"x": [1]}}, "ñ😀"),
    ],
)
def test_success(body: object, result: object) -> None:
    assert answer(WRITE, body) == result


UNREADABLE: list[object] = [
    {},
    {"result": []},
    {"error": "CONTACT_EXISTS"},
    {"status": None},
    {"status": "OK", "result": PERSON[0]},
    {"status": True, "result": PERSON[1]},
    {"status": 1},
    {"status": {"ana@example.com": 1}},
]
NOT_JSON: list[object] = [
    b"",
    "OK,34600111222",
    "<html>ana@example.com</html>",
    '{"status":"SUCCESS","result":["ana@example',
    '{"status":"SUCCESS"} trailing',
    b'{"status":"SUCCESS","result":"\xff"}',
    [{"status": "SUCCESS"}],
    "null",
    '"SUCCESS"',
    "[" * 100_000,
    "-1",
]


def check_unreadable(method: Method, body: object, *, passing: bool, **headers: str) -> str:
    error = failure(method, body, **headers)
    if method.writes:
        assert type(error) is e.AfilnetOutcomeUnknownError
        assert error.retryable is method.repeatable
        assert "may have been applied" in str(error)
    else:
        assert type(error) is e.AfilnetUnreadableAnswerError
        assert error.retryable is passing
        assert ("report" in str(error)) is not passing
    assert not any(part in str(error) for part in PERSON)
    return str(error)


@pytest.mark.parametrize("method", KINDS, ids=lambda method: method.name)
@pytest.mark.parametrize("body", UNREADABLE, ids=repr)
def test_envelopes_of_unknown_form(method: Method, body: object) -> None:
    check_unreadable(method, body, passing=False)


@pytest.mark.parametrize("method", KINDS, ids=lambda method: method.name)
@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: str(body)[:20])
def test_what_is_no_json_object_may_pass(method: Method, body: object) -> None:
    check_unreadable(method, body, passing=True)


def test_an_html_page_is_named() -> None:
    assert "an HTML page" in check_unreadable(READ, "<p>", passing=True, Content_Type="Text/HTML; charset=x")


@pytest.mark.parametrize("error", [None, "", "  ", 5, ["X"], {"a": "b"}])
def test_an_error_without_a_code(error: object) -> None:
    for body in ({"status": "ERROR", "error": error}, {"status": "ERROR"}):
        found = failure(WRITE, body)
        assert type(found) is e.AfilnetInvalidRequestError
        assert found.code is None
        assert "no code" in str(found) or "unlisted" in str(found)


def test_an_unknown_code_is_shown() -> None:
    found = failure(WRITE, {"status": "ERROR", "error": "not_enough_credit"})
    assert (type(found), found.code) == (e.AfilnetInvalidRequestError, "NOT_ENOUGH_CREDIT")
    assert "NOT_ENOUGH_CREDIT" in str(found)


@pytest.mark.parametrize(
    "sentence",
    [
        "The contact ana@example.com exists",
        "34600111222",
        "EXISTS_34600111222",
        "Duplicate: García",
        "ANA GARCIA",
        "X" * 500,
    ],
)
def test_a_code_that_is_a_sentence_is_kept_nowhere(sentence: str) -> None:
    found = failure(WRITE, {"status": "ERROR", "error": sentence})
    assert found.code is None
    assert "unlisted code" in str(found)
    assert sentence.lower() not in f"{found!r} {found} {vars(found)}".lower()


PLAIN_STATUSES = {
    301: e.AfilnetConfigurationError,
    302: e.AfilnetConfigurationError,
    307: e.AfilnetConfigurationError,
    400: e.AfilnetInvalidRequestError,
    401: e.AfilnetCredentialsError,
    403: e.AfilnetAccessError,
    404: e.AfilnetInvalidRequestError,
    405: e.AfilnetInvalidRequestError,
    413: e.AfilnetTooLargeError,
    414: e.AfilnetTooLargeError,
    429: e.AfilnetRateLimitedError,
}


@pytest.mark.parametrize("method", KINDS, ids=lambda method: method.name)
@pytest.mark.parametrize("status", PLAIN_STATUSES)
@pytest.mark.parametrize("body", ["", "<html>34600111222</html>", '{"status":"ERROR","error":"SOMETHING"}', "[]"])
def test_http_statuses_that_are_sure(method: Method, status: int, body: str) -> None:
    error = failure(method, body, status, Location="https://else.example/?password=s3cret")
    assert type(error) is PLAIN_STATUSES[status]
    assert (error.http_status, error.code) == (status, None)
    assert error.retryable is (status == 429)
    assert str(status) in str(error)
    assert "34600111222" not in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("method", KINDS, ids=lambda method: method.name)
@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_http_statuses_that_leave_a_write_unsure(method: Method, status: int) -> None:
    error = failure(method, "<html>", status, Retry_After="7")
    assert (error.http_status, error.retry_after) == (status, 7)
    assert type(error) is (e.AfilnetOutcomeUnknownError if method.writes else e.AfilnetServerError)
    assert error.retryable is (method.repeatable if method.writes else True)


@pytest.mark.parametrize("status", [201, 202, 204, 206])
@pytest.mark.parametrize("method", KINDS, ids=lambda method: method.name)
def test_other_2xx_prove_nothing(method: Method, status: int) -> None:
    error = failure(method, "", status)
    assert type(error) is (e.AfilnetOutcomeUnknownError if method.writes else e.AfilnetUnreadableAnswerError)
    assert error.http_status == status


@pytest.mark.parametrize("name", METHODS)
def test_only_repeatable_methods_may_be_repeated_blindly(name: str) -> None:
    error = failure(METHODS[name], "", 500)
    assert error.retryable is (name not in ("creategroup", "addcolumntogroup", "addcontactlist"))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://new.example/api/?user=u&password=s3cret", " to https://new.example"),
        ("https://u:s3cret@new.example:8443/x", " to https://new.example"),
        ("/s3cret", " (HTTP"),
        ("http://[::1", " (HTTP"),
        ("", " (HTTP"),
    ],
)
def test_redirects_name_the_new_host_only(location: str, shown: str) -> None:
    message = str(failure(WRITE, "", 301, Location=location))
    assert f"redirected{shown}" in message
    assert "s3cret" not in message


def date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 1.5 ", 1.5),
        ("0", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("", None),
        ("1e9", None),
        ("Sun, 06 Nov 1994 08:49:37 +9999999999999999", None),
        ("06 Nov 99999999999 08:49:37 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert read_retry_after({"Retry-After": text}) == seconds
    error = failure(READ, "", 429, Retry_After=text)
    assert error.retry_after == seconds
    assert ("it asks to wait" in str(error)) is (seconds is not None)


def test_retry_after_as_a_date() -> None:
    assert read_retry_after({"Retry-After": date(90)}) == pytest.approx(90, abs=3)
    assert read_retry_after({}) is None


@given(
    st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [+-]?\d+", fullmatch=True)
)
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    seconds = read_retry_after({"Retry-After": text})
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "boolean"),
        (5, "number"),
        (5.5, "number"),
        ("Ana", "text"),
        ([], "empty list"),
        ({}, "empty object"),
        (["Ana", 5], "list of text"),
        ([["Ana"]], "list of list of text"),
        (
            {"mobile": "34600111222", "idcontact": 5},
            "object with keys idcontact, mobile and values of type number, text",
        ),
        (
            [{"id": 5, "fields": {"name": "Ana"}}],
            "list of object with keys fields, id and values of type number, object",
        ),
        ({"34600111222": {"name": "Ana"}}, "object with keys <other> and values of type object"),
        (
            {"ana@example.com": "x", "Ana Garcia": "y", "García": "z"},
            "object with keys <other> and values of type text",
        ),
    ],
)
def test_shape(value: object, shown: str) -> None:
    assert shape(value) == shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just("34600111222") | st.just("ana@example.com"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["34600111222", "ana@example.com", "José", "Ana Garcia", "x1"]), inner, max_size=3
        )
    ),
)


@given(JSON)
def test_a_shape_shows_no_value_and_no_key_that_could_be_a_person(value: object) -> None:
    found = shape(value)
    assert not re.search(r"\d|@|Jos|Garcia|x1", found)
    assert len(found) < 1000
