"""No phone, e-mail, value, password or user name reaches a log line, an error or a result, whatever happens."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from refresh_world import World, phone

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.refresh.rows import DictRows

VALUE = "Villanueva-del-Trabuco"
PHONES = [phone(98760 + n) for n in range(60)]
EMAILS = [f"persona.rara{n}@dominio-raro.es" for n in range(60)]

TROUBLES: list[tuple[str, dict[str, Any]]] = [
    ("nothing", {}),
    ("drop_after", {"methods": ["addcontactlist", "modifycontact", "deletecontact"], "count": 3}),
    ("html", {"methods": ["addcontactlist"], "count": 1}),
    ("garbled", {"methods": ["addcontact"], "count": 1}),
    ("http_500", {"methods": ["addcontactlist"], "count": 1}),
    ("error", {"methods": ["addcontactlist", "modifycontact"], "code": "STRANGE_CODE"}),
    ("error", {"methods": ["getcontacts"], "code": "NOT_ACCESS_TO_GROUP"}),
    ("error", {"methods": ["getgroupcolumns"], "code": "INCORRECT_USER_PASSWORD"}),
    ("redirect", {"methods": ["addcontactlist"], "location": "https://elsewhere.example/?secret=1"}),
    ("capped_read", {"limit": 20}),
    ("null_read", {"after": 1}),
    ("rate_limited", {"methods": ["addcontactlist"], "retry_after": 3600}),
    ("lose_row", {"keys": [*PHONES[45:], *EMAILS[45:]]}),
    ("refuse_row", {"keys": [PHONES[50], EMAILS[50]]}),
]


@pytest.mark.parametrize("style", ["post", "get"])
@pytest.mark.parametrize("kind", ["mobile", "email"])
@pytest.mark.parametrize(("trouble", "detail"), TROUBLES)
def test_nobody_is_named(
    world: World, caplog: pytest.LogCaptureFixture, kind: str, style: str, trouble: str, detail: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
    keys = PHONES if kind == "mobile" else EMAILS
    world.make([{kind: key, "name": VALUE} for key in keys[:40]], columns=(kind, "name"), kind=kind)
    if trouble != "nothing":
        world.sandbox.fail(trouble, **detail)
    rows = [{kind: key, "name": f"{VALUE}-{n}"} for n, key in enumerate(keys[8:], 8)]
    text = ""
    try:
        world.refresh({"style": style}, mode="mirror").run(DictRows(rows), suppress=lambda: keys[9:10])
    except AfilnetError as error:
        text = "".join(traceback.format_exception(error)) + repr(error) + str(error.__dict__)
    text += caplog.text
    assert f"group {world.group}" in text or "getgroupcolumns" in text or "getcontacts" in text
    for secret in (VALUE, *keys, world.sandbox.password):
        assert secret not in text, text[max(0, text.index(secret) - 300) :][:600]
        assert secret.replace("@", "%40") not in text


@pytest.mark.parametrize("kind", ["mobile", "email"])
def test_refusals_of_the_source_name_nobody(world: World, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    caplog.set_level(logging.DEBUG)
    keys = PHONES if kind == "mobile" else EMAILS
    world.make(columns=(kind, "name"), kind=kind)
    rows: list[dict[str, Any]] = [{kind: key, "name": VALUE} for key in keys]
    rows += [{kind: keys[0], "name": VALUE}, {kind: VALUE, "name": VALUE}, {kind: keys[1], "name": VALUE + "\x00"}]
    with pytest.raises(AfilnetError) as caught:
        world.refresh().run(DictRows(rows))
    text = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "row 62" in text
    for secret in (VALUE, *keys, world.sandbox.password, world.sandbox.user):
        assert secret not in text


def test_options_and_parts_show_no_secret(world: World) -> None:
    refresh = world.refresh()
    assert world.sandbox.password not in repr(refresh.__dict__)
    assert world.sandbox.user not in repr(refresh.__dict__)
