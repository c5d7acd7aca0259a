"""Masking: enough is left to find the row, too little to reach the person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_afilnet.api.masking import mask_key, mask_text


@pytest.mark.parametrize(
    ("key", "masked"),
    [
        ("34600111222", "346******22"),
        ("+34600111222", "+34*******22"),
        (" 600111222 ", "600****22"),
        ("60011122", "6***2"),
        ("ana.garcia@example.com", "a***@e***"),
        ("@example.com", "***@e***"),
        ("a@b@c.es", "a***@c***"),
        ("xy", "***"),
        ("", "***"),
    ],
)
def test_mask_key(key: str, masked: str) -> None:
    assert mask_key(key) == masked


@pytest.mark.parametrize(
    "text",
    [
        "34600111222",
        "contact 34600111222 was refused",
        "+34 600 111 222.",
        "+34 (600) 111-222",
        "600.111.222",
        '{"mobile":"34600111222"}',
        "mobile:34600111222,name:Ana",
        "(34600111222)",
        "a 34600111222, b 34600333444",
        "x=34600111222&y=1",
        "6001112",
    ],
)
def test_phones_in_texts(text: str) -> None:
    masked = mask_text(text)
    assert "*" in masked
    assert not any(
        part in masked for part in ("600111", "111222", "600333", "600 111", "111-222", "111.222", "6001112")
    )


@pytest.mark.parametrize(
    "text",
    [
        "ana@example.com",
        "<ana@example.com>",
        "email:ana@example.com,name:x",
        '"ana@example.com"',
        "to ana@example.com.",
    ],
)
def test_emails_in_texts(text: str) -> None:
    masked = mask_text(text)
    assert "a***@e***" in masked
    assert "ana" not in masked
    assert "example" not in masked


@pytest.mark.parametrize(
    "text",
    ["500 contacts", "HTTP 429", "group 1000", "12345 of 67890", "run_2026", "abc123456789def", ""],
)
def test_other_texts_stay(text: str) -> None:
    assert mask_text(text) == text


@given(st.from_regex(r"\+?[1-9][0-9]{8,14}", fullmatch=True), st.sampled_from(["{}", "x: {}", "'{}'", "{},", "a={}&"]))
def test_no_phone_survives_in_a_text(phone: str, around: str) -> None:
    assert phone.lstrip("+")[3:-2] not in mask_text(around.format(phone)) or phone.lstrip("+")[3:-2] in around


@given(st.from_regex(r"[a-z]{3,9}@[a-z]{3,9}\.[a-z]{2,4}", fullmatch=True))
def test_masking_twice_changes_nothing_more(address: str) -> None:
    once = mask_text(f"to {address} and 34600111222")
    assert mask_text(once) == once
    assert address not in once
