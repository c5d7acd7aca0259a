"""E-mails: trimmed, domain in lower case and IDNA, compared without case; the fast path is the library's word."""

from __future__ import annotations

from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_afilnet.refresh.normalise import KeyReader, RejectError

READER = KeyReader("email")

GOOD = {
    "ana@uno.es": ("ana@uno.es", "ana@uno.es"),
    "  ana@uno.es\n": ("ana@uno.es", "ana@uno.es"),
    "Ana.Perez+News@UNO.es": ("ana.perez+news@uno.es", "Ana.Perez+News@uno.es"),
    "o'hara@uno.es": ("o'hara@uno.es", "o'hara@uno.es"),
    "a!#$%&'*+/=?^_`{|}~-b@uno.es": ("a!#$%&'*+/=?^_`{|}~-b@uno.es", "a!#$%&'*+/=?^_`{|}~-b@uno.es"),
    "ana@b\u00fccher.de": ("ana@xn--bcher-kva.de", "ana@xn--bcher-kva.de"),
    "ana@B\u00dcCHER.de": ("ana@xn--bcher-kva.de", "ana@xn--bcher-kva.de"),
    "ana@XN--BCHER-KVA.de": ("ana@xn--bcher-kva.de", "ana@xn--bcher-kva.de"),
    "jos\u00e9@uno.es": ("jos\u00e9@uno.es", "jos\u00e9@uno.es"),
    "JOSE\u0301@UNO.es": ("jos\u00e9@uno.es", "JOS\u00c9@uno.es"),
    "ana@\u4f8b\u3048.jp": ("ana@xn--r8jz45g.jp", "ana@xn--r8jz45g.jp"),
    "a" * 64 + "@uno.es": ("a" * 64 + "@uno.es", "a" * 64 + "@uno.es"),
    "ana@" + "d" * 63 + ".es": ("ana@" + "d" * 63 + ".es", "ana@" + "d" * 63 + ".es"),
}

BAD = [
    "ana",
    "@uno.es",
    "ana@",
    "ana@uno",
    "ana@uno.es.",
    "ana@.es",
    "ana@uno..es",
    ".ana@uno.es",
    "ana.@uno.es",
    "an..a@uno.es",
    "ana@uno_dos.es",
    "ana@-uno.es",
    "ana perez@uno.es",
    "ana@uno .es",
    "ana@@uno.es",
    "ana@uno@dos.es",
    '"ana perez"@uno.es',
    '"ana"@uno.es',
    "Ana <ana@uno.es>",
    "ana@uno.es, eva@uno.es",
    "ana@uno.es;eva@uno.es",
    "ana@[127.0.0.1]",
    "ana@127.0.0.1",
    "ana@localhost",
    "ana@uno.test",
    "ana@uno.invalid",
    "ana@uno.local",
    "ana@example",
    "ana@" + "d" * 64 + ".es",
    "a@" + ".".join(["d" * 60] * 5) + ".es",
    "ana@uno.es\u200b",
    "ana\x00@uno.es",
    "ana@uno\n.es",
    "an\ta@uno.es",
    "ana@uno.es\ud800",
    "\ud800@uno.es",
    "ana\uff20uno.es",
    "34600111222",
    "e\u0301\u200dx@uno.es",
]


def _library(text: str) -> tuple[str, str] | None:
    """What email-validator says, without our fast path."""
    try:
        found = validate_email(text.strip(), check_deliverability=False)
    except (EmailNotValidError, UnicodeError):
        return None
    sent = f"{found.local_part}@{found.ascii_domain.lower()}"
    return sent.lower(), sent


def _ours(text: object) -> tuple[str, str] | None:
    try:
        return tuple(READER.read(text))  # type: ignore[return-value]
    except RejectError:
        return None


@pytest.mark.parametrize("text", GOOD)
def test_good_addresses(text: str) -> None:
    assert _ours(text) == GOOD[text]
    assert _library(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_bad_addresses(text: str) -> None:
    assert _ours(text) is None
    with pytest.raises(RejectError) as caught:
        READER.read(text)
    assert caught.value.args == ("is not a valid e-mail address",)
    assert _library(text) is None


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (None, "is null"),
        (" ", "is blank"),
        (True, "is a bool"),
        (b"a@uno.es", "is a bytes"),
        (["a@uno.es"], "is a list"),
    ],
)
def test_kinds(raw: object, why: str) -> None:
    with pytest.raises(RejectError, match=why):
        READER.read(raw)


@pytest.mark.parametrize("length", range(240, 262))
def test_the_longest_address(length: int) -> None:
    domain = ".".join(["d" * 60] * 4)[: length - 11 - len(".es")].rstrip(".") + ".es"
    for text in ("a" * (length - len(domain) - 1) + "@" + domain, "\u00e9" * 5 + "a" * 10 + "@" + domain):
        assert _ours(text) == _library(text), len(text)


@pytest.mark.parametrize("extra", range(12))
def test_the_longest_international_address(extra: int) -> None:
    """The ASCII form is longer than the typed one, and both are bounded."""
    domain = ".".join(["b\u00fccher" + "d" * 50] * 3) + ".es"
    text = "a" * (50 + extra) + "@" + domain
    assert _ours(text) == _library(text), (len(text), _ours(text), _library(text))


_ATEXT = "abcXYZ019!#$%&'*+/=?^_`{|}~-."
_LOCAL = st.one_of(
    st.text(alphabet=_ATEXT, min_size=1, max_size=12),
    st.text(alphabet=_ATEXT, min_size=60, max_size=66),
    st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=6),
    st.text(alphabet='ab"\\ (),:;<>@[]\t', min_size=1, max_size=6),
)
_LABEL = st.one_of(
    st.text(alphabet="abcXYZ019-_", min_size=1, max_size=10),
    st.text(alphabet="\u00fc\u00df\u4f8b\u3002\uff0e\u0130ab", min_size=1, max_size=5),
    st.sampled_from(["xn--bcher-kva", "test", "local", "localhost", "invalid", "arpa", "example", ""]),
)
_DOMAIN = st.lists(_LABEL, min_size=1, max_size=4).map(".".join)
_ADDRESS = st.one_of(
    st.builds("{}@{}".format, _LOCAL, _DOMAIN),
    st.builds("{}@{}.{}".format, _LOCAL, _DOMAIN, st.sampled_from(["es", "COM", "De", "org.", "c"])),
    st.text(max_size=20),
    st.emails(),
)


@settings(max_examples=3000, deadline=None)
@given(_ADDRESS)
def test_the_fast_path_agrees_with_the_library(text: str) -> None:
    if not text.strip():
        return
    assert _ours(text) == _library(text)


def test_the_stored_form_is_matched_without_case() -> None:
    assert READER.match_form(" Ana@UNO.es ") == READER.read("ana@uno.es").compared


def test_a_domain_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import email_validator

    asked: list[str] = []
    original: Any = email_validator.validate_email
    monkeypatch.setattr(
        email_validator, "validate_email", lambda text, **how: asked.append(text) or original(text, **how)
    )
    for n in range(50):
        READER.read(f"user{n}@only-in-this-test.es")
    assert len(asked) == 1
