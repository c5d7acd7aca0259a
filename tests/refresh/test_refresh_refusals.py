"""What the server refuses: single rows, whole batches, access, redirects, speed. Good rows land, the rest is said."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from refresh_world import World, bag, people, person, phone

from airflow_provider_afilnet.api.errors import (
    AfilnetAccessError,
    AfilnetConfigurationError,
    AfilnetCredentialsError,
    AfilnetRateLimitedError,
)
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sandbox.dialect import Dialect


@pytest.mark.parametrize("bad", [(17,), (3, 4), (3, 50, 101), tuple(range(45, 60))])
@pytest.mark.parametrize("batch_size", [500, 16, 1])
def test_a_refused_batch_is_halved_until_the_bad_rows_stand_alone(
    world: World, bad: tuple[int, ...], batch_size: int
) -> None:
    world.sandbox.fail("refuse_row", keys=[phone(n) for n in bad])
    ended = world.ends(people(*range(123)), batch_size=batch_size)
    assert world.now() == bag(people(*(n for n in range(123) if n not in bad)))
    assert f"{len(bad)} contacts" in ended.message
    assert f"row {bad[0] + 1} (" in ended.message
    assert "refused with INCORRECT_CONTACTS" in ended.message
    assert ended.error is not None
    assert not ended.error.retryable
    assert ended.counts is not None
    assert (ended.counts.failed, ended.counts.added) == (len(bad), 123 - len(bad))


def test_no_access_to_a_batch_of_a_group_that_is_there_is_halved_too(world: World) -> None:
    """An addition cannot meet a contact that has gone."""
    world.sandbox.fail("refuse_row", keys=[phone(17)], code="NOT_ACCESS_TO_GROUP")
    ended = world.ends(people(*range(40)))
    assert world.now() == bag(people(*(n for n in range(40) if n != 17)))
    assert "row 18 (" in ended.message
    assert "refused with NOT_ACCESS_TO_GROUP" in ended.message
    assert world.sandbox.sent_rows(world.group)[phone(17)] < 8, "it stands alone after some halvings, once"


def test_a_refused_row_is_not_sent_again(world: World) -> None:
    world.sandbox.fail("refuse_row", keys=[phone(20)])
    world.ends(people(*range(43)), batch_size=10)
    calls = [call for call in world.sandbox.calls if call.method == "addcontactlist" and call.params["rows"] == 1]
    assert sum(call.error is not None for call in calls) == 1


_TOO_LARGE: list[dict[str, Any]] = [
    {"status": 413},
    {"status": 414},
    *({"code": f"MISSING_{what}"} for what in ("COMPULSORY_PARAM", "USER", "PASSWORD", "METHOD")),
]


@pytest.mark.parametrize("detail", _TOO_LARGE)
def test_a_batch_that_is_too_large_is_halved(world: World, detail: dict[str, Any]) -> None:
    world.sandbox.fail("too_large", rows=10, **detail)
    result = world.run(people(*range(203)))
    assert world.now() == bag(people(*range(203)))
    assert result.added == 203
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert sum(size > 10 for size in sizes) < 40


def test_after_a_batch_was_too_large_the_next_ones_are_smaller(world: World) -> None:
    world.sandbox.fail("too_large", rows=50, status=413)
    world.run(people(*range(1203)), batch_size=400, settings={"max_connections": 1})
    sizes = [int(call.params["rows"]) for call in world.sandbox.calls if call.method == "addcontactlist"]
    assert sum(size > 50 for size in sizes) <= 7, "only the first batch had to find out"


def test_a_batch_of_which_every_row_is_refused_ends_the_additions(world: World) -> None:
    world.sandbox.fail("error", methods="addcontactlist", code="NO_CREDIT")
    ended = world.ends(people(*range(2003)), batch_size=100, settings={"max_connections": 1})
    assert "refused with NO_CREDIT, so nothing more is added" in ended.message
    assert world.sandbox.count("addcontactlist") < 250
    assert ended.counts is not None
    assert ended.counts.failed == 2000


def test_a_refused_update_fails_by_row(world: World) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail("error", methods="modifycontact", code="SOME_REASON", count=2)
    ended = world.ends(people(*range(20), name="New"))
    assert "2 contacts" in ended.message
    assert "name: refused with SOME_REASON" in ended.message
    assert world.sandbox.count("modifycontact") == 20
    assert len([c for c in world.stored() if c["name"] == "New"]) == 18


@pytest.mark.parametrize("method", ["modifycontact", "deletecontact"])
def test_no_access_to_a_contact_that_is_there_is_red(world: World, method: str) -> None:
    """The group answers, so the contact is taken for gone; the next read shows that it is not."""
    world.make(people(*range(20)))
    world.sandbox.fail("error", methods=method, code="NOT_ACCESS_TO_GROUP")
    rows = people(*range(15), name="New") if method == "modifycontact" else people(*range(15))
    ended = world.ends(rows, mode="mirror")
    assert not ended.green
    assert world.sandbox.count("getgroupcolumns") > 1
    assert len(world.stored()) == (15 if method == "modifycontact" else 20)


def test_a_forbidden_deletion_is_no_contact_that_has_gone(world: World) -> None:
    """HTTP 403 of something on the way: a replacement must not add its copy."""
    world.make(people(*range(20)))
    before = world.now()
    with _Front(world.sandbox, lambda head, body: 403 if b"method=deletecontact" in body else None) as front:
        ended = _via(world, front, [person(3, name="a, b")], unsafe_values="replace")
    assert not ended.green
    assert "HTTP_403" in ended.message
    assert world.now() == before


@pytest.mark.parametrize("method", ["addcontact", "addcontactlist", "modifycontact", "deletecontact"])
def test_no_access_to_the_group_itself_ends_the_run_for_good(world: World, method: str) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail("error", methods=method, code="NOT_ACCESS_TO_GROUP")
    world.sandbox.fail("error", methods="getgroupcolumns", code="NOT_ACCESS_TO_GROUP", after=1)
    with pytest.raises(AfilnetAccessError) as caught:
        world.run([*people(*range(15), name="New"), *people(*range(50, 60))], mode="mirror")
    assert not caught.value.retryable
    assert world.sandbox.count(method) <= 4, "one for each connection"


@pytest.mark.parametrize("method", ["getgroupcolumns", "getcontacts", "addcontact", "addcontactlist", "modifycontact",
                                    "getcontact", "deletecontact"])  # fmt: skip
def test_a_redirect_is_never_followed(world: World, method: str) -> None:
    with Sandbox(user=world.sandbox.user, password=world.sandbox.password) as elsewhere:
        world.make(people(*range(20)))
        world.sandbox.fail("redirect", methods=method, location=elsewhere.url + "/api/http/")
        with pytest.raises(AfilnetConfigurationError, match="redirected") as caught:
            world.run([*people(*range(15), name="New"), *people(*range(50, 60))], mode="mirror")
        assert elsewhere.calls == []
    assert not caught.value.retryable


@pytest.mark.parametrize("method", ["getgroupcolumns", "getcontacts", "addcontact", "addcontactlist", "modifycontact"])
def test_a_wrong_password_ends_the_run_at_once(world: World, method: str) -> None:
    world.make(people(*range(20)))
    world.sandbox.fail("error", methods=method, code="INCORRECT_USER_PASSWORD")
    with pytest.raises(AfilnetCredentialsError) as caught:
        world.run([*people(*range(15), name="New"), *people(*range(50, 60))])
    assert not caught.value.retryable
    assert world.sandbox.count(method) <= 4, "one for each connection"


def test_a_password_that_is_really_wrong(world: World) -> None:
    world.sandbox.add_account(world.sandbox.user, "Other")
    settings = world.settings()
    world.sandbox.add_account(world.sandbox.user, "Changed")
    from airflow_provider_afilnet.refresh.engine import Refresh
    from airflow_provider_afilnet.refresh.rows import DictRows

    with pytest.raises(AfilnetCredentialsError):
        Refresh(settings, world.group).run(DictRows(people(1)))
    assert len(world.sandbox.calls) == 1


def test_a_group_that_is_not_there(world: World) -> None:
    world.group, there = "99999", world.group
    with pytest.raises(AfilnetAccessError) as caught:
        world.run(people(1))
    assert not caught.value.retryable
    world.group = there
    assert world.stored() == []


def test_a_server_that_is_not_there(world: World) -> None:
    settings = world.settings()
    world.sandbox.stop()
    from airflow_provider_afilnet.refresh.engine import Refresh
    from airflow_provider_afilnet.refresh.rows import DictRows

    refresh = Refresh(settings, world.group)
    threading.Timer(1.0, refresh.stop).start()
    start = time.monotonic()
    with pytest.raises(Exception, match="stop"):
        refresh.run(DictRows(people(1)))
    assert 0.9 < time.monotonic() - start < 4, "it was still trying, and stopped when told"


# --- speed


@pytest.mark.parametrize("method", ["addcontactlist", "modifycontact", "deletecontact"])
def test_retry_after_holds_back_every_connection(world: World, method: str) -> None:
    world.make(people(*range(60)))
    world.sandbox.fail("rate_limited", methods=method, count=1, after=6, retry_after=1)
    rows = [*people(*range(50), name="New"), *people(*range(100, 160))]
    world.run(rows, mode="mirror", batch_size=3, max_deletes=10)
    assert world.now() == bag(rows)
    calls = world.sandbox.calls
    limited = next(call for call in calls if call.status == 429)
    # Those that were on their way already may arrive.
    during = [call for call in calls if limited.at + 0.15 < call.at < limited.at + 0.95]
    assert during == []
    assert any(call.at > limited.at + 0.95 for call in calls)


def test_retry_after_of_a_failed_write_holds_back_the_others_too(world: World) -> None:
    """Its outcome is unknown, so it is not repeated; the server asked for a pause all the same."""
    world.sandbox.fail("http_500", methods="addcontactlist", count=1, after=3, status=503, retry_after=1)
    world.run(people(*range(103)), batch_size=5)
    assert world.now() == bag(people(*range(103)))
    calls = world.sandbox.calls
    failed = next(call for call in calls if call.status == 503)
    assert [call for call in calls if failed.at + 0.15 < call.at < failed.at + 0.95] == []


def test_a_pause_that_is_asked_for_while_a_call_waits_for_the_rate(world: World) -> None:
    world.make(people(*range(30)))
    world.sandbox.fail("rate_limited", methods="modifycontact", count=1, after=5, retry_after=1)
    world.run(people(*range(30), name="New"), settings={"max_requests_per_second": 40, "max_connections": 16})
    calls = world.sandbox.calls
    limited = next(call for call in calls if call.status == 429)
    assert [call for call in calls if limited.at + 0.1 < call.at < limited.at + 0.95] == []


def test_a_very_long_pause_ends_the_run_and_may_be_retried(world: World) -> None:
    world.make(people(*range(200)))
    world.sandbox.fail("rate_limited", methods=["modifycontact"], retry_after=3600)
    with pytest.raises(AfilnetRateLimitedError) as caught:
        world.run(people(*range(200), name="New"))
    assert caught.value.retryable
    assert world.sandbox.count("modifycontact") <= 4, "the others are not tried one after the other"


def test_the_rate_is_kept(world: World) -> None:
    start = time.monotonic()
    world.make(people(*range(40)))
    result = world.run(people(*range(40), name="New"), settings={"max_requests_per_second": 30, "max_connections": 8})
    passed = time.monotonic() - start
    assert result.requests == len(world.sandbox.calls) == 44
    assert passed >= (44 - 3) / 30 * 0.95


def test_no_more_connections_than_allowed(world: World) -> None:
    world.make(people(*range(30)))
    world.sandbox.fail("latency", methods="modifycontact", seconds=0.2)
    start = time.monotonic()
    world.run(people(*range(9), name="New"), settings={"max_connections": 3})
    assert 0.6 <= time.monotonic() - start < 1.5
    at = sorted(call.at for call in world.sandbox.calls if call.method == "modifycontact")
    assert at[3] - at[0] >= 0.19


@pytest.mark.parametrize("method", ["getgroupcolumns", "getcontacts", "getcontact"])
@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("drop_before", {}),
        ("html", {}),
        ("garbled", {}),
        ("http_500", {"status": 502}),
        ("http_500", {"status": 503, "retry_after": 0.1}),
        ("rate_limited", {"retry_after": 0.1}),
        ("rate_limited", {}),
    ],
)
def test_reads_are_repeated_in_place(world: World, method: str, fault: str, detail: dict[str, Any]) -> None:
    world.make(people(*range(20)))
    hit = world.sandbox.fail(fault, methods=method, count=1, **detail)
    world.run(people(*range(20), name="New"))
    assert hit.hits == 1
    assert world.now() == bag(people(*range(20), name="New"))


@pytest.mark.parametrize("method", ["addcontact", "addcontactlist"])
def test_additions_that_were_certainly_not_taken_go_again_in_place(world: World, method: str) -> None:
    world.sandbox.fail("rate_limited", methods=method, count=2, retry_after=0.1)
    result = world.run(people(*range(30)))
    assert result.rounds == 1
    assert world.now() == bag(people(*range(30)))


def test_values_that_the_server_keeps_are_compared_also_in_insert_mode(world: World) -> None:
    world.make(people(*range(5)))
    world.sandbox.dialect = Dialect(stored_value="truncate")
    ended = world.ends([person(0, name="left alone"), person(9, name="n" * 30)], mode="insert")
    assert "row 2" in ended.message
    assert "name: its value still differs" in ended.message
    assert "row 1 " not in ended.message


# --- something between the client and the server


class _Front:
    """An HTTP front of a sandbox that answers some requests itself: ``decide(head, body)`` gives a status or None."""

    def __init__(self, sandbox: Sandbox, decide: Any) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        import requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = decide(self.headers, body)
                text = b"<html>Forbidden</html>"
                if status is None:
                    kind = {"Content-Type": self.headers["Content-Type"]}
                    answer = requests.post(sandbox.url + self.path, data=body, headers=kind, timeout=10)
                    status, text = answer.status_code, answer.content
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> _Front:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _via(world: World, front: _Front, rows: Any, **options: Any) -> Any:
    """As ``world.ends``, through the front."""
    import dataclasses

    original = world.settings
    world.settings = lambda **changes: dataclasses.replace(original(**changes), base_url=front.url)  # type: ignore[method-assign]
    try:
        return world.ends(rows, **options)
    finally:
        world.settings = original  # type: ignore[method-assign]


def test_a_forbidden_batch_is_isolated_too(world: World) -> None:
    """A firewall that dislikes one row's words."""
    rows = [*people(*range(20)), person(20, name="DROP TABLE")]
    with _Front(world.sandbox, lambda head, body: 403 if b"DROP" in body else None) as front:
        ended = _via(world, front, rows)
    assert world.now() == bag(people(*range(20)))
    assert "row 21" in ended.message
    assert "HTTP_403" in ended.message


def test_a_server_that_is_down_is_not_asked_again_for_every_contact(world: World) -> None:
    world.make(people(*range(40)))
    changed = [{**one, "name": "Neu"} for one in people(*range(40))]
    world.sandbox.fail("rate_limited", methods=["modifycontact"], retry_after=0)
    ended = world.ends(changed)
    assert "no clear answer" in ended.message
    assert ended.error is not None
    assert ended.error.retryable
    assert world.sandbox.count("modifycontact") <= 6 * (10 + 4)
    world.sandbox.clear_faults()
    world.run(changed)
    assert world.now() == bag(changed)
