"""The same refresh in every style of call, and requests that stay within what a style can carry."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
from refresh_world import World, bag, expected, people, person, shown

from airflow_provider_afilnet.api.calls import contacts_json
from airflow_provider_afilnet.api.settings import STYLES
from airflow_provider_afilnet.sandbox import Dialect
from airflow_provider_afilnet.sandbox.app import LONGEST_URL
from airflow_provider_afilnet.sandbox.dialect import dialects_of

FORMS = [
    *(pytest.param(style, {}, id=style) for style in STYLES),
    *(
        pytest.param("soap", {"soap_operations": operations, "soap_answer": answer}, id=f"soap-{operations}-{answer}")
        for operations in dialects_of("soap_operations")
        for answer in dialects_of("soap_answer")
    ),
]


def settings_of(world: World, style: str, **more: Any) -> dict[str, Any]:
    """What the settings need for a style at the world's sandbox."""
    url = world.sandbox.url
    world.sandbox.add_client(world.sandbox.user, "an-id", "a-secret")
    return {
        "style": style,
        "wsdl_url": f"{url}/soap?wsdl",
        "json_url": f"{url}/api/json/",
        "token_url": f"{url}/oauth/token",
        "client_id": "an-id",
        "client_secret": "a-secret",
        **more,
    }


@pytest.mark.parametrize(("style", "dialect"), FORMS)
def test_the_same_refresh(world: World, style: str, dialect: dict[str, Any]) -> None:
    world.sandbox.dialect = Dialect(**dialect)
    before = [person(n, city='Old & <new> "town" ñ😀' if n % 2 else "") for n in range(40)]
    rows = [person(n, name=f"New {n}") for n in range(5, 20)] + people(*range(20, 40)) + people(*range(90, 130))
    world.make(before)
    settings = settings_of(world, style)
    result = world.run(rows, settings=settings, mode="mirror", max_deletes=10)
    wanted, counts = expected(before, rows, "mirror")
    assert world.now() == wanted
    assert shown(result) == counts
    assert {call.style for call in world.sandbox.calls} == {style}
    world.quiet(rows, settings=settings, mode="mirror", max_deletes=10)
    assert world.sandbox.token_requests == (2 if style == "json" else 0)


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "http_500", "rate_limited", "garbled", "html"])
@pytest.mark.parametrize("style", STYLES)
def test_the_same_end_after_trouble(world: World, style: str, fault: str) -> None:
    """Every third write meets it; the group is equal to the rows all the same, or the refresh says what is not."""
    world.make(people(*range(20)))
    world.sandbox.fail(fault, methods=("addcontactlist", "modifycontact"), every=3)
    rows = people(*range(10)) + [person(n, name="New") for n in range(10, 20)] + people(*range(50, 80))
    ended = world.ends(rows, settings=settings_of(world, style), batch_size=8)
    assert ended.green, ended.message
    assert world.now() == bag(rows)


def test_a_token_that_expires_in_the_middle(world: World) -> None:
    world.sandbox.token_life = 0.5
    world.sandbox.fail("latency", seconds=0.05)
    rows = [person(n, name="New") for n in range(60)]
    world.make(people(*range(60)))
    settings = settings_of(world, "json")
    world.run(rows, settings=settings)
    assert world.now() == bag(rows)
    assert world.sandbox.token_requests > 1


# --- how large a request may be --------------------------------------------------------------------------------------


def lengths(world: World) -> list[int]:
    return [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]


@pytest.mark.parametrize("style", ["get", "basic-get"])
def test_lists_over_get_are_split_to_fit_the_address(world: World, style: str) -> None:
    """300 contacts of some 400 encoded characters: the address would hold 120,000, and holds 4,000."""
    rows = [person(n, name=f"Ñandú {n} " + "ñ" * 30, city="ciudad, " * 12) for n in range(300)]
    world.make(people(900))
    result = world.run(rows, settings=settings_of(world, style))
    assert result.added == 300
    assert world.now() == bag([*rows, person(900)])
    calls = lengths(world)
    assert sum(calls) + world.sandbox.count("addcontact") == 300
    assert 1 < max(calls) < 20
    assert {call.status for call in world.sandbox.calls} == {200}


@pytest.mark.parametrize("style", ["get", "basic-get"])
def test_batch_bytes_bounds_lists_over_get_too(world: World, style: str) -> None:
    rows = people(*range(100, 160))
    world.make(people(900))
    world.run(rows, settings=settings_of(world, style), batch_bytes=1000)
    assert max(len(quote_plus(contacts_json(rows[:size]))) for size in lengths(world)) <= 1000
    assert world.now() == bag([*rows, person(900)])


def test_one_contact_too_long_for_get_is_listed_as_failed(world: World) -> None:
    """The others land; the one is told by its number, with the code and without its values."""
    rows = [*people(*range(20)), person(99, name="x" * LONGEST_URL), *people(*range(30, 50))]
    ended = world.ends(rows, settings=settings_of(world, "get"))
    assert not ended.green
    assert ended.counts is not None
    assert (ended.counts.added, ended.counts.failed) == (40, 1)
    assert "TOO_LARGE" in ended.message
    assert "xxx" not in ended.message
    assert world.now() == bag(row for row in rows if row["mobile"] != rows[20]["mobile"])
    # Nothing too long was sent: it was refused here.
    assert {call.status for call in world.sandbox.calls} == {200}


def test_an_update_too_long_for_get_is_listed_as_failed(world: World) -> None:
    world.make(people(1, 2))
    rows = [person(1, name="x" * LONGEST_URL), person(2, name="New")]
    ended = world.ends(rows, settings=settings_of(world, "get"))
    assert not ended.green
    assert ended.counts is not None
    assert (ended.counts.updated, ended.counts.failed) == (1, 1)
    assert "TOO_LARGE" in ended.message
    assert world.now() == bag([person(1), person(2, name="New")])


class Relay:
    """Passes connections on to a sandbox and notes how long the bodies are that clients announce."""

    def __init__(self, port: int) -> None:
        self.bodies: list[int] = []
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for source, sink, noted in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=(source, sink, noted), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, noted: bool) -> None:
        try:
            while data := source.recv(1 << 20):
                if noted:
                    self.bodies += [int(length) for length in re.findall(rb"(?i)\r\ncontent-length: (\d+)", data)]
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def relay(world: World) -> Iterator[Relay]:
    relay = Relay(world.sandbox.port)
    yield relay
    relay.close()


ENCODINGS = [
    *(pytest.param(style, {}, id=style) for style in ("post", "basic", "json")),
    *(
        pytest.param("soap", {"soap_operations": operations}, id=f"soap-{operations}")
        for operations in dialects_of("soap_operations")
    ),
]


@pytest.mark.parametrize(("style", "dialect"), ENCODINGS)
def test_bodies_stay_within_batch_bytes(world: World, relay: Relay, style: str, dialect: dict[str, Any]) -> None:
    """Whatever the encoding makes of a contact: quotes double in JSON, and marks grow in XML."""
    world.sandbox.dialect = Dialect(**dialect)
    rows = [person(n, name=f'A & <B> "C" \\ ñ😀 {n}', city='<&">' * 10) for n in range(200)]
    world.make(people(900))
    world.sandbox.port = relay.port  # from here on its addresses are those of the relay
    result = world.run(rows, settings=settings_of(world, style), batch_bytes=6000)
    assert result.added == 200
    assert world.now() == bag([*rows, person(900)])
    assert max(relay.bodies) <= 6000
    # And the room is used: a bound that is far too careful would cost calls.
    assert max(relay.bodies) > 3500


def test_a_contact_that_xml_cannot_carry_is_refused_before_it_is_sent(world: World) -> None:
    """A refresh rejects control characters itself, in every style."""
    message = world.refused([person(1, name="a\x01b")], settings=settings_of(world, "soap"))
    assert "\x01" not in message
